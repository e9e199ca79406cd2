// What a server says of itself: discovery in both forms, versions, the requests that kubectl begins with, Table's limits.
import Client
import HTTP
import JSON
import Schema
import TestSupport
import Testing

extension Conformance {
  private static let aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

  static let discoveryStories: [Int: Story] = [
    25: { try await $0.findsBuiltInKindsInTheAggregatedDocument() },
    26: { try await $0.findsACustomKind(in: Self.aggregated) },
    27: { try await $0.negotiatesTheDocument() },
    28: { try await $0.findsACustomKind(in: Self.aggregated + ",application/json") },
    48: { try await $0.findsAResourceInEveryGroup() },
    49: { try await $0.prefersAVersionOfEveryGroup() },
    84: { try await $0.refusesATableOfAReview() },
    94: { try await $0.saysItsVersion() },
    161: { try await $0.servesTheVersionOne() },
    162: { try await $0.tellsWhichServicesAreTheClusters() },
    164: { try await $0.showsADifferenceWithoutMakingIt() },
    171: { try await $0.saysItsVersion() },
    172: { try await $0.answersAProxy("/api/") },
    173: { try await $0.answersAProxy("/api") },
  ]

  private func aggregatedGroups(_ path: String, accept: String = aggregated) async throws -> [JSONValue] {
    let reply = try await ask("GET", path, accept: accept)
    #expect(reply.code == 200)
    #expect(reply.headers["content-type"] == Self.aggregated)
    #expect(reply.json["kind"] == "APIGroupDiscoveryList")
    #expect(reply.json["apiVersion"] == "apidiscovery.k8s.io/v2")
    return reply.json["items"].elements
  }

  private func findsBuiltInKindsInTheAggregatedDocument() async throws {
    let core = try await aggregatedGroups("/api")
    let groups = try await aggregatedGroups("/apis")
    func resources(_ groups: [JSONValue], _ group: String, _ version: String) -> [String] {
      groups.first { $0["metadata"]["name"].string ?? "" == group }?["versions"].elements
        .first { $0["version"].string == version }?["resources"].elements.compactMap { $0["resource"].string } ?? []
    }
    for (group, version, wanted) in [
      ("admissionregistration.k8s.io", "v1", ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]),
      ("apiextensions.k8s.io", "v1", ["customresourcedefinitions"]),
      ("apiregistration.k8s.io", "v1", ["apiservices"]),
      ("apps", "v1", ["controllerrevisions", "daemonsets", "deployments", "replicasets", "statefulsets"]),
      ("authentication.k8s.io", "v1", ["tokenreviews"]),
      (
        "authorization.k8s.io", "v1",
        ["localsubjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "subjectaccessreviews"]
      ),
      ("autoscaling", "v1", ["horizontalpodautoscalers"]), ("autoscaling", "v2", ["horizontalpodautoscalers"]),
      ("batch", "v1", ["jobs", "cronjobs"]), ("certificates.k8s.io", "v1", ["certificatesigningrequests"]),
      ("coordination.k8s.io", "v1", ["leases"]), ("discovery.k8s.io", "v1", ["endpointslices"]),
      ("networking.k8s.io", "v1", ["ingresses", "networkpolicies", "ingressclasses"]),
      ("node.k8s.io", "v1", ["runtimeclasses"]), ("policy", "v1", ["poddisruptionbudgets"]),
      (
        "rbac.authorization.k8s.io", "v1", ["clusterrolebindings", "clusterroles", "rolebindings", "roles"]
      ),
      ("scheduling.k8s.io", "v1", ["priorityclasses"]),
      (
        "storage.k8s.io", "v1",
        ["csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"]
      ),
      ("events.k8s.io", "v1", ["events"]),
      ("flowcontrol.apiserver.k8s.io", "v1", ["flowschemas", "prioritylevelconfigurations"]),
    ] {
      #expect(Set(wanted).isSubset(of: resources(groups, group, version)), "\(group)/\(version)")
    }
    let wanted: Set = [
      "bindings", "componentstatuses", "configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes",
      "persistentvolumeclaims", "persistentvolumes", "pods", "podtemplates", "replicationcontrollers",
      "resourcequotas", "secrets", "serviceaccounts", "services",
    ]
    #expect(Set(resources(core, "", "v1")) == wanted)
    let pods = core[0]["versions"][0]["resources"].elements.first { $0["resource"] == "pods" }
    #expect(pods?["scope"] == "Namespaced" && pods?["singularResource"] == "pod" && pods?["shortNames"] == ["po"])
    #expect(pods?["responseKind"] == ["group": "", "version": "", "kind": "Pod"])
    #expect(pods?["subresources"].elements.contains { $0["subresource"] == "status" } == true)
  }

  private func findsACustomKind(in accept: String) async throws {
    try await define(DefinitionFixture.definition("widgets", "Widget", group: "mygroup.example.com"))
    try await eventually("the group is in the document") {
      let groups = try await aggregatedGroups("/apis", accept: accept)
      let version = groups.first { $0["metadata"]["name"] == "mygroup.example.com" }?["versions"][0]
      return version?["version"] == "v1" && version?["freshness"] == "Current"
        && version?["resources"][0]["resource"] == "widgets"
    }
  }

  private func negotiatesTheDocument() async throws {
    for path in ["/api", "/apis"] {
      _ = try await aggregatedGroups(path)
      _ = try await aggregatedGroups(path, accept: "application/json;q=0.1, \(Self.aggregated)")
      let legacy = try await ask("GET", path)
      #expect(legacy.headers["content-type"] == "application/json")
      #expect(legacy.json["kind"].string == (path == "/api" ? "APIVersions" : "APIGroupList"))
    }
  }

  private func findsAResourceInEveryGroup() async throws {
    let groups = try await client.json("GET", "/apis", [])["groups"].elements
    #expect(groups.count > 15)
    for group in groups {
      let name = group["name"].string ?? ""
      let one = try await client.json("GET", "/apis/\(name)", [])
      #expect(one["name"] == group["name"] && one["versions"] == group["versions"])
      for version in group["versions"].elements {
        let groupVersion = version["groupVersion"].string ?? ""
        let list = try await client.json("GET", "/apis/\(groupVersion)", [])
        #expect(list["kind"] == "APIResourceList" && list["groupVersion"].string == groupVersion)
        #expect(!list["resources"].elements.isEmpty)
      }
    }
  }

  private func prefersAVersionOfEveryGroup() async throws {
    for group in try await client.json("GET", "/apis", [])["groups"].elements {
      let preferred = group["preferredVersion"]
      #expect(group["versions"].elements.contains(preferred))
      #expect(
        preferred["groupVersion"].string == "\(group["name"].string ?? "")/\(preferred["version"].string ?? "")")
    }
  }

  private func refusesATableOfAReview() async throws {
    let reply = try await ask(
      "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      [
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": ["resourceAttributes": ["namespace": "default", "verb": "get", "resource": "pods"]],
      ], accept: "application/json;as=Table;v=v1;g=meta.k8s.io")
    #expect(reply.code == 406)
    #expect(reply.json["reason"] == "NotAcceptable")
  }

  private func saysItsVersion() async throws {
    let version = try await client.json("GET", "/version", [])
    #expect(version["major"] == "1")
    #expect(Int(version["minor"].string?.prefix { $0.isNumber } ?? "") == 32)
    #expect(version["gitVersion"].string?.hasPrefix("v1.32.") == true)
    for member in ["gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"] {
      #expect(version[member].string != nil, "\(member)")
    }
  }

  private func servesTheVersionOne() async throws {
    #expect(try await client.json("GET", "/api", [])["versions"].elements.contains("v1"))
  }

  private func tellsWhichServicesAreTheClusters() async throws {
    let list = try await client.list(
      .services, namespace: "kube-system", ListOptions(labelSelector: "kubernetes.io/cluster-service=true"))
    #expect(list.items.isEmpty)
    #expect(try await client.get(.namespaces, name: "kube-system")["status"]["phase"] == "Active")
  }

  private func showsADifferenceWithoutMakingIt() async throws {
    var deployment = Fixture.deployment("httpd-deployment", replicas: 1, image: "httpd:2.4.38", namespace: namespace)
    try await make(.deployments, deployment)
    deployment["spec"]["template"]["spec"]["containers"] = [["name": "main", "image": "busybox:1.36"]]
    let path = ResourceReference.deployments.path(namespace: namespace, name: "httpd-deployment")
    let shown = try await ask(
      "PATCH", "\(path)?dryRun=All&fieldManager=kubectl-client-side-apply&fieldValidation=Strict",
      ["spec": deployment["spec"]], contentType: "application/strategic-merge-patch+json")
    #expect(shown.code == 200)
    #expect(shown.json["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox:1.36")
    let stored = try await read(.deployments, "httpd-deployment")
    #expect(stored["spec"]["template"]["spec"]["containers"][0]["image"] == "httpd:2.4.38")
  }

  private func answersAProxy(_ path: String) async throws {
    let reply = try await ask("GET", path)
    #expect(reply.code == 200)
    #expect(reply.json["versions"].elements.contains("v1"))
    #expect(reply.json["serverAddressByClientCIDRs"][0]["clientCIDR"] == "0.0.0.0/0")
  }
}
