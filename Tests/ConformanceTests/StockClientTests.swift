// What Kubernetes' own scheduler, controller manager, kubelet and proxy read when they start: it is there, they may read
// it, and it comes in protobuf, listed and watched.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing

@Suite struct StockClients {
  private static let core = "/api/v1"
  private static let storage = "/apis/storage.k8s.io/v1"
  private static let apps = "/apis/apps/v1"

  /// Who, and the collections that their informers list and watch.
  static let informers: [(String, [String])] = [
    (
      "system:kube-scheduler",
      [
        "\(core)/nodes", "\(core)/pods", "\(core)/namespaces", "\(core)/services", "\(core)/replicationcontrollers",
        "\(core)/persistentvolumes", "\(core)/persistentvolumeclaims", "\(apps)/replicasets", "\(apps)/statefulsets",
        "/apis/policy/v1/poddisruptionbudgets", "\(storage)/storageclasses", "\(storage)/csinodes",
        "\(storage)/csidrivers", "\(storage)/csistoragecapacities", "\(storage)/volumeattachments",
      ]
    ),
    (
      "system:kube-controller-manager",
      [
        "\(core)/configmaps", "\(core)/endpoints", "\(core)/events", "\(core)/limitranges", "\(core)/podtemplates",
        "\(core)/resourcequotas", "\(core)/secrets", "\(core)/serviceaccounts", "\(apps)/controllerrevisions",
        "\(apps)/daemonsets", "\(apps)/deployments", "/apis/autoscaling/v2/horizontalpodautoscalers",
        "/apis/batch/v1/cronjobs", "/apis/batch/v1/jobs", "/apis/certificates.k8s.io/v1/certificatesigningrequests",
        "/apis/coordination.k8s.io/v1/leases", "/apis/discovery.k8s.io/v1/endpointslices",
        "/apis/events.k8s.io/v1/events", "/apis/networking.k8s.io/v1/ingressclasses",
        "/apis/networking.k8s.io/v1/ingresses", "/apis/networking.k8s.io/v1/networkpolicies",
        "/apis/node.k8s.io/v1/runtimeclasses", "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/scheduling.k8s.io/v1/priorityclasses", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas",
        "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations",
        "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", "/apis/apiregistration.k8s.io/v1/apiservices",
      ]
    ),
    (
      "system:node:worker",
      [
        "\(core)/pods?fieldSelector=spec.nodeName%3Dworker", "\(core)/nodes?fieldSelector=metadata.name%3Dworker",
        "\(core)/services", "\(storage)/csidrivers", "/apis/node.k8s.io/v1/runtimeclasses",
      ]
    ),
    (
      "system:kube-proxy",
      [
        "\(core)/services?labelSelector=!service.kubernetes.io%2Fheadless%2C!service.kubernetes.io%2Fservice-proxy-name",
        "/apis/discovery.k8s.io/v1/endpointslices?labelSelector=!service.kubernetes.io%2Fheadless",
        "\(core)/nodes?fieldSelector=metadata.name%3Dworker",
      ]
    ),
  ]

  private static let accept = "application/vnd.kubernetes.protobuf, application/json"

  @Test(arguments: informers.indices)
  func informersListAndWatchInProtobuf(_ index: Int) throws {
    let (user, paths) = Self.informers[index]
    let cluster = try TestCluster()
    let transport = cluster.transport(user)
    try cluster.world.run {
      try await cluster.client().create(.nodes, Fixture.node("worker"))
      for path in paths {
        let join = path.contains("?") ? "&" : "?"
        let list = try await Self.ask(transport, "\(path)\(join)limit=500&resourceVersion=0")
        #expect(list.status == 200, "\(user) \(path)")
        #expect(list.headers["content-type"] == "application/vnd.kubernetes.protobuf", "\(path)")
        let bytes = try await list.body.collect(upTo: 1 << 24)
        #expect(bytes.starts(with: [0x6b, 0x38, 0x73, 0x00]), "\(path)")
        let watch = try await Self.ask(
          transport,
          "\(path)\(join)watch=true&allowWatchBookmarks=true&sendInitialEvents=true"
            + "&resourceVersionMatch=NotOlderThan&timeoutSeconds=1")
        #expect(watch.status == 200, "\(user) \(path)")
        #expect(watch.headers["content-type"] == "application/vnd.kubernetes.protobuf;stream=watch", "\(path)")
        if case .stream(let pipe) = watch.body { pipe.cancel() }
      }
    }
  }

  @Test func theGarbageCollectorReadsMetadataOfEverything() throws {
    let cluster = try TestCluster()
    let user = "system:serviceaccount:kube-system:generic-garbage-collector"
    let transport = cluster.transport(user)
    try cluster.world.run {
      let groups = try await cluster.client().json("GET", "/apis", [])["groups"].elements
      let versions =
        ["/api/v1"] + groups.compactMap { $0["preferredVersion"]["groupVersion"].string.map { "/apis/\($0)" } }
      for version in versions {
        let list = try await cluster.client().json("GET", version, [])
        for resource in list["resources"].elements {
          let verbs = resource["verbs"].elements.compactMap(\.string)
          guard Set(["delete", "list", "watch"]).isSubset(of: verbs), let name = resource["name"].string else {
            continue
          }
          let reply = try await Self.ask(
            transport, "\(version)/\(name)",
            accept: "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,"
              + "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json")
          #expect(reply.status == 200, "\(version)/\(name)")
          #expect(
            reply.headers["content-type"]?.hasPrefix("application/vnd.kubernetes.protobuf") == true,
            "\(version)/\(name)")
        }
      }
    }
  }

  private static func ask(
    _ transport: InProcessTransport, _ target: String, accept: String = accept
  ) async throws -> HTTPResponse {
    try await transport.send(
      HTTPRequest(
        method: "GET", target: target, headers: ["accept": accept, "user-agent": "kube-scheduler/v1.32.4"],
        body: .empty))
  }
}
