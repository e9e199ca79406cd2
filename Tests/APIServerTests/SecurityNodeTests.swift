import APIServer
import HTTP
import JSON
import Replica
import Schema
import Testing
import World

@Suite struct SecurityNodeTests {
  private func cluster() async throws -> SecurityCluster {
    let cluster = try await SecurityCluster()
    for name in ["one", "two"] { #expect(try await cluster.node(name).post(nodes, node(name)).status == 201) }
    return cluster
  }

  /// A pod on a node that uses things.
  private func using(_ name: String, on nodeName: String) -> JSONValue {
    var object = pod(name, node: nodeName)
    object["spec"]["volumes"] = [
      ["name": "s", "secret": ["secretName": "mounted"]], ["name": "c", "configMap": ["name": "settings"]],
      ["name": "d", "persistentVolumeClaim": ["claimName": "data"]],
    ]
    object["spec"]["containers"] = [
      [
        "name": "main", "image": "nginx",
        "env": [["name": "A", "valueFrom": ["secretKeyRef": ["name": "in-env", "key": "a"]]]],
      ]
    ]
    object["spec"]["imagePullSecrets"] = [["name": "pull"]]
    return object
  }

  @Test func aNewNodeIsTaintedUntilItIsFoundWell() async throws {
    let cluster = try await cluster()
    let taints = try await cluster.node("one").get("\(nodes)/one").json["spec"]["taints"]
    #expect(taints[0]["key"] == "node.kubernetes.io/not-ready")
    #expect(taints[0]["effect"] == "NoSchedule")
  }

  /// Thousands of kubelets ask these at once when a server has gone: none may look at every pod of the cluster.
  @Test func whatANodeAsksOfItsPodsLooksAtNoOthers() async throws {
    let store = LocalStore(world: testLoop)
    let counting = ScanCountingStore(store, counting: "pods")
    var server = TestServer(store: store, seenThrough: counting) {
      $0.authorizer = AuthorizerChain([MastersAuthorizer(), NodeAuthorizer(store: counting)])
    }
    for name in ["one", "two"] { try await server.post(pods, using("on-\(name)", on: name)) }
    try await server.post("/api/v1/namespaces/default/secrets", ["metadata": ["name": "mounted"]])
    server.identity = TrustedContext(user: "system:node:one", groups: ["system:nodes"])
    let before = counting.scans
    #expect(try await server.get("/api/v1/pods?fieldSelector=spec.nodeName%3Done").names == ["on-one"])
    #expect(
      try await server.get("/api/v1/pods?resourceVersion=0&fieldSelector=spec.nodeName%3Done").names == ["on-one"])
    #expect(try await server.get("/api/v1/namespaces/default/secrets/mounted").status == 200)
    #expect(try await server.get("/api/v1/namespaces/default/secrets/other").status == 403)
    #expect(counting.scans == before)
    server.identity = TrustedContext(user: "alice", groups: ["system:masters"])
    _ = try await server.get(pods)
    #expect(counting.scans > before, "what others list is counted")
  }

  @Test func aNodeSeesItselfAndItsPodsAlone() async throws {
    let cluster = try await cluster()
    try await cluster.inside.post(pods, pod("mine", node: "one"))
    try await cluster.inside.post(pods, pod("theirs", node: "two"))
    let one = cluster.node("one")
    #expect(try await one.get("\(nodes)/one").status == 200)
    #expect(try await one.get("\(nodes)/two").status == 403)
    let all = try await one.get(nodes)
    #expect(
      all.status == 403 && all.message.hasSuffix("node 'one' cannot read all nodes, only its own Node object"),
      "\(all.message)")
    #expect(try await one.get("\(nodes)?fieldSelector=metadata.name%3Done").names == ["one"])
    #expect(try await one.get("/api/v1/pods").status == 403)
    #expect(try await one.get("/api/v1/pods?fieldSelector=spec.nodeName%3Done").names == ["mine"])
    #expect(try await one.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dtwo").status == 403)
    #expect(try await one.get("/api/v1/pods?fieldSelector=spec.nodeName!%3Done").status == 403)
    #expect(try await one.get("\(pods)/mine").status == 200)
    #expect(try await one.get("\(pods)/theirs").status == 403)
    #expect(try await one.delete("\(pods)/theirs").status == 403)
    #expect(try await one.delete("\(nodes)/one").status == 403)
  }

  @Test func aNodeReadsWhatItsPodsUse() async throws {
    let cluster = try await cluster()
    for name in ["mounted", "in-env", "pull", "unused"] { try await cluster.inside.post(secrets, secret(name)) }
    for name in ["settings", "unused"] { try await cluster.inside.post(configMaps, configMap(name)) }
    let one = cluster.node("one")
    #expect(try await one.get("\(secrets)/mounted").status == 403, "no pod yet")
    let made = try await cluster.inside.post(pods, using("p", on: "one"))
    #expect(made.status == 201, "\(made.text)")
    for name in ["mounted", "in-env", "pull"] {
      #expect(try await one.get("\(secrets)/\(name)").status == 200, "\(name)")
      #expect(try await cluster.node("two").get("\(secrets)/\(name)").status == 403, "\(name)")
    }
    #expect(try await one.get("\(secrets)?fieldSelector=metadata.name%3Dmounted").names == ["mounted"])
    #expect(try await one.get("\(configMaps)/settings").status == 200)
    #expect(try await one.get("\(configMaps)/kube-root-ca.crt").status == 404, "it may, but there is none")
    #expect(
      try await one.get("\(secrets)/unused").message
        == "secrets \"unused\" is forbidden: User \"system:node:one\" cannot get resource \"secrets\" in API group \"\" in "
        + "the namespace \"default\": no relationship found between node 'one' and this object")
    #expect(try await one.get("\(configMaps)/unused").status == 403)
    #expect(try await one.get(secrets).status == 403)
    #expect(try await one.put("\(secrets)/mounted", secret("mounted")).status == 403)
    try await cluster.inside.delete("\(pods)/p?gracePeriodSeconds=0")
    #expect(try await one.get("\(secrets)/mounted").status == 403, "the pod is gone")
  }

  @Test func aNodeGetsTokensForItsPodsAlone() async throws {
    let cluster = try await cluster()
    let mine = try await cluster.inside.post(pods, pod("mine", node: "one"))
    let theirs = try await cluster.inside.post(pods, pod("theirs", node: "two"))
    func ask(_ node: String, _ reference: JSONValue) async throws -> Reply {
      try await cluster.node(node).post(
        "\(serviceAccounts)/default/token",
        [
          "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
          "spec": ["boundObjectRef": reference],
        ])
    }
    func reference(_ pod: Reply) -> JSONValue {
      ["kind": "Pod", "apiVersion": "v1", "name": .string(pod.name), "uid": pod.json["metadata"]["uid"]]
    }
    #expect(try await ask("one", reference(mine)).status == 201)
    let foreign = try await ask("one", reference(theirs))
    #expect(foreign.status == 403)
    #expect(foreign.message.contains("node requested token bound to a pod scheduled on a different node"))
    #expect(try await ask("one", .null).message.contains("node requested token not bound to a pod"))
    var withoutUID = reference(mine)
    withoutUID["uid"] = .null
    #expect(try await ask("one", withoutUID).message.contains("node requested token with a pod binding without a uid"))
  }

  /// CVE-2025-5187: a node that owns itself away, or takes its taints off.
  @Test func aNodeMayNotChangeWhatDecidesOverIt() async throws {
    let cluster = try await cluster()
    let one = cluster.node("one")
    let owner: JSONValue = ["apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "x"]
    let owned = try await one.patch("\(nodes)/one", ["metadata": ["ownerReferences": [owner]]])
    #expect(owned.status == 403)
    #expect(owned.message.contains("node \"one\" is not allowed to modify ownerReferences"))
    let taints = try await one.patch("\(nodes)/one", ["spec": ["taints": []]])
    #expect(taints.status == 403)
    #expect(taints.message.contains("node \"one\" is not allowed to modify taints"))
    #expect(try await one.patch("\(nodes)/two", ["metadata": ["labels": ["a": "b"]]]).status == 403)
    #expect(
      try await one.patch("\(nodes)/one/status", ["metadata": ["ownerReferences": [owner]]]).status == 403,
      "nor by the way of its status")
    var born = node("three")
    born["metadata"]["ownerReferences"] = [owner]
    #expect(try await cluster.node("three").post(nodes, born).status == 403)
    #expect(try await cluster.node("three").post(nodes, node("four")).status == 403)
  }

  @Test(arguments: [
    ("node-restriction.kubernetes.io/role", false), ("node-role.kubernetes.io/control-plane", false),
    ("team.node-restriction.kubernetes.io/role", false), ("example.k8s.io/x", false),
    ("kubernetes.io/hostname", true), ("topology.kubernetes.io/zone", true), ("node.kubernetes.io/anything", true),
    ("example.com/x", true), ("plain", true),
  ])
  func aNodeChoosesOnlySomeLabels(label: String, isAllowed: Bool) async throws {
    let cluster = try await cluster()
    var labels: JSONValue = [:]
    labels[label] = "x"
    let update = try await cluster.node("one").patch("\(nodes)/one", ["metadata": ["labels": labels]])
    #expect((update.status == 200) == isAllowed, "\(update.text)")
    if !isAllowed { #expect(update.message.hasSuffix("is not allowed to modify labels: \(label)")) }
    let create = try await cluster.node("three").post(nodes, node("three", labels: labels))
    #expect((create.status == 201) == isAllowed, "\(create.text)")
    if !isAllowed {
      #expect(create.message.hasSuffix("node \"three\" is not allowed to set the following labels: \(label)"))
    }
  }

  /// CVE-2025-4563 and its kin: a node that gives itself rights by a pod of its own.
  @Test func aNodeMakesMirrorPodsThatNameNothing() async throws {
    let cluster = try await cluster()
    let one = cluster.node("one")
    let uid = try await one.get("\(nodes)/one").json["metadata"]["uid"]
    func mirror(_ change: (inout JSONValue) -> Void = { _ in }) -> JSONValue {
      var object = pod("static-one", node: "one")
      object["metadata"]["annotations"] = ["kubernetes.io/config.mirror": "abc"]
      object["metadata"]["ownerReferences"] = [
        ["apiVersion": "v1", "kind": "Node", "name": "one", "uid": uid, "controller": true]
      ]
      change(&object)
      return object
    }
    #expect(try await one.post(pods, pod("plain", node: "one")).status == 403)
    let cases: [(String, (inout JSONValue) -> Void)] = [
      ("spec.nodeName set to itself", { $0["spec"]["nodeName"] = "two" }),
      ("an owner reference set to itself", { $0["metadata"]["ownerReferences"] = .null }),
      ("reference secrets", { $0["spec"]["imagePullSecrets"] = [["name": "s"]] }),
      (
        "reference configmaps",
        { $0["spec"]["volumes"] = [["name": "v", "configMap": ["name": "c"]]] }
      ),
      (
        "reference persistentvolumeclaims",
        { $0["spec"]["volumes"] = [["name": "v", "persistentVolumeClaim": ["claimName": "c"]]] }
      ),
      (
        "reference resourceclaims",
        { $0["spec"]["resourceClaims"] = [["name": "gpu", "resourceClaimName": "g"]] }
      ),
    ]
    for (reason, change) in cases {
      let reply = try await one.post(pods, mirror(change))
      #expect(reply.status == 403, "\(reason)")
      #expect(reply.message.contains(reason), "\(reply.message)")
    }
    let account = try await one.post(pods, mirror { $0["spec"]["serviceAccountName"] = "default" })
    #expect(account.status == 403)
    let made = try await one.post(pods, mirror())
    #expect(made.status == 201, "\(made.text)")
    #expect(made.json["spec"]["volumes"].isNull, "no token is mounted")
  }

  @Test func aNodeReportsTheStatusOfItsPodsAndNothingElse() async throws {
    let cluster = try await cluster()
    try await cluster.inside.post(pods, pod("mine", node: "one"))
    try await cluster.inside.post(pods, pod("theirs", node: "two"))
    let running: JSONValue = ["status": ["phase": "Running"]]
    #expect(try await cluster.node("one").patch("\(pods)/mine/status", running).status == 200)
    #expect(try await cluster.node("one").patch("\(pods)/theirs/status", running).status == 403)
    #expect(try await cluster.node("one").patch("\(pods)/mine", ["metadata": ["labels": ["a": "b"]]]).status == 403)
    let labels = try await cluster.node("one").patch(
      "\(pods)/mine/status", ["metadata": ["labels": ["app": "evil"]]])
    #expect(labels.status != 200 || labels.json["metadata"]["labels"]["app"] == "web")
  }

  @Test func aNodeKeepsItsOwnLeaseAndReportsEvents() async throws {
    let cluster = try await cluster()
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    func lease(_ name: String) -> JSONValue {
      ["apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ["name": .string(name)]]
    }
    #expect(try await cluster.node("one").post(leases, lease("one")).status == 201)
    #expect(try await cluster.node("one").post(leases, lease("two")).status == 403)
    #expect(try await cluster.node("two").get("\(leases)/one").status == 403)
    #expect(try await cluster.node("one").get("\(leases)/one").status == 200)
    #expect(try await cluster.node("one").get(leases).status == 403)
  }

  @Test func aNodeWithoutTheGroupIsNoNode() async throws {
    let cluster = try await cluster()
    #expect(try await cluster.user("system:node:one").get("\(nodes)/one").status == 403)
    #expect(try await cluster.user("one", groups: ["system:nodes"]).get("\(nodes)/one").status == 403)
  }
}
