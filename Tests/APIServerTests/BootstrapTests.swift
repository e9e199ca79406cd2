import APIServer
import EventLoop
import HTTP
import JSON
import Kinds
import Replica
import Schema
import Synchronization
import Testing
import World

@Suite struct BootstrapTests {
  private func names(_ server: TestServer, _ path: String) async throws -> Set<String> {
    Set(try await server.get(path).names)
  }

  @Test func aNewClusterHasWhatEveryClusterHas() async throws {
    let admin = try await SecurityCluster().inside
    #expect(
      try await names(admin, "/api/v1/namespaces") == ["default", "kube-system", "kube-public", "kube-node-lease"])
    let space = try await admin.get("/api/v1/namespaces/default").json
    #expect(space["metadata"]["labels"]["kubernetes.io/metadata.name"] == "default")
    #expect(space["status"]["phase"] == "Active")
    #expect(space["spec"]["finalizers"] == ["kubernetes"])
    let roles = try await names(admin, "\(rbacPath)/clusterroles")
    #expect(roles.isSuperset(of: ["cluster-admin", "admin", "edit", "view", "system:node", "system:discovery"]))
    #expect(try await names(admin, "\(rbacPath)/clusterrolebindings").contains("system:basic-user"))
    #expect(
      try await names(admin, "/apis/scheduling.k8s.io/v1/priorityclasses")
        == ["system-cluster-critical", "system-node-critical"])
    #expect(
      try await names(admin, "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas").isSuperset(of: [
        "exempt", "catch-all",
      ]))
    let maps = try await names(admin, "/api/v1/namespaces/kube-system/configmaps")
    #expect(maps.contains("extension-apiserver-authentication"))
    let role = try await admin.get("\(rbacPath)/clusterroles/view").json
    #expect(role["metadata"]["uid"].string?.count == 36)
    #expect(role["metadata"]["managedFields"][0]["manager"] == "kube-apiserver")
  }

  @Test func theServiceHoldsTheFirstAddressAndNobodyElseGetsIt() async throws {
    let admin = try await SecurityCluster().inside
    let service = try await admin.get("/api/v1/namespaces/default/services/kubernetes").json
    #expect(service["spec"]["clusterIP"] == "10.96.0.1")
    #expect(service["spec"]["ports"][0]["port"] == 443)
    #expect(service["spec"]["selector"].isNull)
    let taken = try await admin.post(
      "/api/v1/namespaces/default/services",
      [
        "apiVersion": "v1", "kind": "Service", "metadata": ["name": "thief"],
        "spec": ["clusterIP": "10.96.0.1", "ports": [["port": 80]]],
      ])
    #expect(taken.status == 422)
    #expect(taken.message.contains("provided IP is already allocated"))
  }

  @Test func aSecondPassWritesNothing() async throws {
    let servers = [ServerEndpoint(address: "127.0.0.1", port: 6443), ServerEndpoint(address: "10.0.0.2", port: 6444)]
    let cluster = try await SecurityCluster(servers: servers)
    let before = cluster.store.current.revision
    try await SecurityCluster.bootstrap(cluster.store, servers: servers).reconcile()
    let state = cluster.store.current
    #expect(state.revision == before)
    for resource in ["endpointslices.discovery.k8s.io", "endpoints", "services", "configmaps", "_clusterip"] {
      for object in state.objects(resource: resource, namespace: "", after: nil, limit: 0).objects {
        #expect(object.revision <= before, "\(String(decoding: object.bytes, as: UTF8.self))")
      }
    }
  }

  @Test func aNewClusterTakesAHandfulOfCommands() async throws {
    let store = CountingStore(LocalStore(world: testLoop))
    let started = testLoop.now
    try await BootstrapController(
      store: store, options: BootstrapController.Options(), world: testLoop, liveServers: { [] }
    ).reconcile()
    #expect(store.commits <= 4)
    #expect(testLoop.now - started < .seconds(5), "unoptimised; a tenth of it otherwise")
  }

  @Test func aFlowSchemaTellsWhetherItsLevelIsThere() async throws {
    let cluster = try await SecurityCluster()
    let group = "/apis/flowcontrol.apiserver.k8s.io/v1"
    let mine: JSONValue = ["type": "Mine", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"]
    try await cluster.inside.post(
      "\(group)/flowschemas",
      ["metadata": ["name": "own"], "spec": ["priorityLevelConfiguration": ["name": "later"]]])
    try await cluster.inside.patch("\(group)/flowschemas/own/status", ["status": ["conditions": [mine]]])
    @Sendable func dangling() async throws -> JSONValue {
      let conditions = try await cluster.inside.get("\(group)/flowschemas/own").json["status"]["conditions"].elements
      #expect(conditions.first?["type"] == "Mine")
      return conditions.first { $0["type"] == "Dangling" } ?? .null
    }
    // Given a running controller, it learns of a schema, and then of the level that it lacked.
    let controller = SecurityCluster.bootstrap(cluster.store)
    let running = testLoop.spawn { await controller.run(isLeader: { true }) }
    func becomes(_ status: String) async throws {
      try await testLoop.withDeadline(.seconds(30)) {
        while try await dangling()["status"].string != status { try await testLoop.sleep(for: .milliseconds(20)) }
      }
    }
    try await becomes("True")
    #expect(try await dangling()["reason"] == "NotFound")
    let missing =
      "This FlowSchema references the PriorityLevelConfiguration object named \"later\" but there is no such object"
    #expect(try await dangling()["message"].string == missing)
    try await cluster.inside.post(
      "\(group)/prioritylevelconfigurations",
      ["metadata": ["name": "later"], "spec": ["type": "Limited", "limited": ["limitResponse": ["type": "Reject"]]]])
    try await becomes("False")
    #expect(try await dangling()["reason"] == "Found")
    running.cancel()
    await running.wait()
  }

  /// As a cluster of the reference says who made what, and who told of it.
  @Test func whatIsMadeAndMendedHasOwners() async throws {
    let cluster = try await SecurityCluster(servers: [ServerEndpoint(address: "10.0.0.1", port: 7443)])
    func owners(_ path: String) async throws -> [String] {
      let entries = try await cluster.inside.get(path).json["metadata"]["managedFields"].elements
      return entries.map {
        "\($0["manager"].string ?? "") \($0["operation"].string ?? "") \($0["subresource"].string ?? "")"
      }
    }
    let schema = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas/probes"
    #expect(
      try await owners(schema) == [
        "api-priority-and-fairness-config-consumer-v1 Apply status",
        "api-priority-and-fairness-config-producer-v1 Update ",
      ])
    let told = try await cluster.inside.get(schema).json["metadata"]["managedFields"][0]["fieldsV1"]
    #expect(
      told == [
        "f:status": [
          "f:conditions": [
            "k:{\"type\":\"Dangling\"}": [
              ".": [:], "f:lastTransitionTime": [:], "f:message": [:], "f:reason": [:], "f:status": [:], "f:type": [:],
            ]
          ]
        ]
      ])
    #expect(
      try await owners("/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations/exempt")
        == ["api-priority-and-fairness-config-producer-v1 Update "])
    let service = try await cluster.inside.get("/api/v1/namespaces/default/services/kubernetes").json
    #expect(service["spec"]["ports"][0]["targetPort"] == 7443)

    let map = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
    try await cluster.inside.patch("\(map)?fieldManager=somebody", ["data": ["client-ca-file": "other"]])
    #expect(try await owners(map).contains("somebody Update "))
    try await SecurityCluster.bootstrap(cluster.store).reconcile()
    #expect(try await owners(map) == ["kube-apiserver Update "], "whoever mends a value owns it")
  }

  @Test func whatWasDeletedComesBack() async throws {
    let cluster = try await SecurityCluster()
    for path in [
      "\(rbacPath)/clusterroles/view", "\(rbacPath)/clusterrolebindings/system:basic-user",
      "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical",
      "/api/v1/namespaces/default/services/kubernetes",
    ] {
      #expect(try await cluster.inside.delete(path).status == 200, "\(path)")
      try await SecurityCluster.bootstrap(cluster.store).reconcile()
      #expect(try await cluster.inside.get(path).status == 200, "\(path)")
    }
  }

  @Test func missingRulesAndSubjectsAreAddedBackUnlessForbidden() async throws {
    let cluster = try await SecurityCluster()
    let path = "\(rbacPath)/clusterroles/system:basic-user"
    let mine: JSONValue = ["verbs": ["get"], "apiGroups": ["example.com"], "resources": ["widgets"]]
    try await cluster.inside.patch(path, ["rules": [mine]])
    try await cluster.inside.patch("\(rbacPath)/clusterrolebindings/system:basic-user", ["subjects": nil])
    try await SecurityCluster.bootstrap(cluster.store).reconcile()
    let role = try await cluster.inside.get(path).json
    #expect(role["rules"].elements.contains(mine), "what others added stays")
    #expect(
      role["rules"].elements.contains { $0["resources"].elements.contains("selfsubjectaccessreviews") })
    let bound = try await cluster.inside.get("\(rbacPath)/clusterrolebindings/system:basic-user").json
    #expect(bound["subjects"][0]["name"] == "system:authenticated")

    try await cluster.inside.patch(
      path,
      ["metadata": ["annotations": ["rbac.authorization.kubernetes.io/autoupdate": "false"]], "rules": [mine]])
    try await SecurityCluster.bootstrap(cluster.store).reconcile()
    #expect(try await cluster.inside.get(path).json["rules"] == [mine])
  }

  @Test func endpointsFollowTheServersThatLive() async throws {
    let cluster = try await SecurityCluster()
    func pass(_ servers: [ServerEndpoint]) async throws {
      try await SecurityCluster.bootstrap(cluster.store, servers: servers).reconcile()
    }
    let path = "/api/v1/namespaces/default/endpoints/kubernetes"
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    let three = (1...3).map { ServerEndpoint(address: "10.0.0.\($0)", port: 6443) }
    try await pass(three)
    var endpoints = try await cluster.inside.get(path).json
    #expect(endpoints["metadata"]["labels"]["endpointslice.kubernetes.io/skip-mirror"] == "true")
    #expect(endpoints["subsets"].elements.count == 1)
    #expect(
      endpoints["subsets"][0]["addresses"].elements.compactMap { $0["ip"].string } == [
        "10.0.0.1", "10.0.0.2", "10.0.0.3",
      ])
    var slice = try await cluster.inside.get("\(slices)/kubernetes").json
    #expect(slice["endpoints"].elements.count == 3)
    #expect(slice["ports"][0] == ["name": "https", "port": 6443, "protocol": "TCP"])

    try await pass([three[0], three[2]])
    endpoints = try await cluster.inside.get(path).json
    #expect(endpoints["subsets"][0]["addresses"].elements.compactMap { $0["ip"].string } == ["10.0.0.1", "10.0.0.3"])
    slice = try await cluster.inside.get("\(slices)/kubernetes").json
    #expect(slice["endpoints"].elements.count == 2)

    // All on one machine: loopback, a port each.
    try await pass((1...3).map { ServerEndpoint(address: "127.0.0.1", port: 7000 + $0) })
    endpoints = try await cluster.inside.get(path).json
    #expect(endpoints["subsets"].elements.compactMap { $0["ports"][0]["port"].integer } == [7001, 7002, 7003])
    #expect(try await cluster.inside.get(slices).names.count == 3)
    try await pass([three[0]])
    #expect(try await cluster.inside.get(slices).names == ["kubernetes"])
    try await pass([])
    #expect(try await cluster.inside.get("\(slices)/kubernetes").json["endpoints"].elements.count == 1)
  }

  @Test func twoServersThatBothBelieveTheyLeadDoNoHarm() async throws {
    let store = LocalStore(world: testLoop)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<3 { group.addTask { try await SecurityCluster.bootstrap(store).reconcile() } }
      try await group.waitForAll()
    }
    let roles = store.current.count(resource: "clusterroles.rbac.authorization.k8s.io", namespace: "")
    #expect(roles == RBACBootstrap.clusterRoles.count)
  }

  @Test func theLeaderWorksAndTheOthersWait() async throws {
    let store = LocalStore(world: testLoop)
    let leads = Atomic<Bool>(false)
    let controller = SecurityCluster.bootstrap(store)
    let task = Task { await controller.run { leads.load(ordering: .relaxed) } }
    try await testLoop.sleep(for: .milliseconds(500))
    #expect(store.current.count(resource: "namespaces", namespace: "") == 0)
    leads.store(true, ordering: .relaxed)
    controller.leadershipChanged()
    let told = testLoop.now
    try await testLoop.withDeadline(.seconds(30)) {
      while store.current.count(resource: "namespaces", namespace: "") < 4 {
        try await testLoop.sleep(for: .milliseconds(20))
      }
    }
    #expect(testLoop.now - told < .seconds(4), "it does not wait for its next look")
    task.cancel()
    await task.value
  }
}

/// Counts what is committed.
private final class CountingStore: ForwardingStore, @unchecked Sendable {
  private let count = Atomic<Int>(0)
  var commits: Int { count.load(ordering: .relaxed) }

  override func commit(_ command: Command) async throws(StoreError) -> CommandOutcome {
    count.add(1, ordering: .relaxed)
    return try await store.commit(command)
  }
}
