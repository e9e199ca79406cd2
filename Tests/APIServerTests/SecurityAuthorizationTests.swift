import APIServer
import HTTP
import JSON
import Replica
import Schema
import Testing
import World

@Suite struct SecurityAuthorizationTests {
  @Test func nobodyMayDoAnythingThatNobodyAllowed() async throws {
    let cluster = try await SecurityCluster()
    let reply = try await cluster.user("bob").get(configMaps)
    #expect(reply.status == 403)
    #expect(reply.reason == "Forbidden")
    #expect(
      reply.message
        == "configmaps is forbidden: User \"bob\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    )
    let one = try await cluster.user("bob").get("\(pods)/web/log")
    #expect(
      one.message
        == "pods \"web\" is forbidden: User \"bob\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"default\""
    )
    let wide = try await cluster.user("bob").get(nodes)
    #expect(wide.message.hasSuffix("cannot list resource \"nodes\" in API group \"\" at the cluster scope"))
    let path = try await cluster.user("bob").get("/metrics")
    #expect(path.status == 403)
    #expect(path.message == "forbidden: User \"bob\" cannot get path \"/metrics\"")
    // A method that is no verb is nobody's right.
    let odd = try await cluster.user("bob").send("OPTIONS", nodes)
    #expect(
      odd.message
        == "nodes is forbidden: User \"bob\" cannot  resource \"nodes\" in API group \"\" at the cluster scope")
  }

  @Test func aRefusalQuotesNamesAndHoldsNoHTML() async throws {
    let reply = try await SecurityCluster().user(#"<b>"bob"\"#).get("/metrics")
    #expect(reply.message == #"forbidden: User "&lt;b&gt;\"bob\"\\" cannot get path "/metrics""#)
  }

  @Test func everybodyWhoIsSomebodyMayDiscoverAndAskAboutHimself() async throws {
    let bob = try await SecurityCluster().user("bob")
    for path in ["/api", "/apis", "/api/v1", "/apis/apps/v1", "/openapi/v3", "/version", "/healthz"] {
      #expect(try await bob.get(path).status == 200, "\(path)")
    }
    #expect(
      try await bob.post(
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        ["apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"]
      ).status == 201)
  }

  @Test func mastersNeedNoRole() async throws {
    let cluster = try await SecurityCluster(bootstrapped: false)
    #expect(try await cluster.user("root", groups: ["system:masters"]).get(nodes).status == 200)
    #expect(try await cluster.user("root").get(nodes).status == 403)
  }

  @Test func whoMayViewReadsEverythingButSecrets() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grant("view", to: "vic")
    let vic = cluster.user("vic")
    #expect(try await vic.get(configMaps).status == 200)
    #expect(try await vic.get(deployments).status == 200)
    #expect(try await vic.get(secrets).status == 403)
    #expect(try await vic.post(configMaps, configMap("x")).status == 403)
    #expect(try await vic.get("/api/v1/namespaces/kube-system/configmaps").status == 403, "another namespace")
    #expect(try await vic.get("/api/v1/configmaps").status == 403, "all namespaces")
    #expect(try await vic.get(nodes).status == 403)
  }

  @Test func whoMayEditWritesWorkloadsButNoRoles() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grant("edit", to: "eve")
    let eve = cluster.user("eve")
    #expect(try await eve.post(configMaps, configMap("x")).status == 201)
    #expect(try await eve.get(secrets).status == 200)
    #expect(try await eve.delete("\(configMaps)/x").status == 200)
    #expect(try await eve.get("\(rbacPath)/namespaces/default/roles").status == 403)
    #expect(
      try await eve.patch("/api/v1/namespaces/default", ["metadata": ["labels": ["a": "b"]]]).status == 403)
  }

  @Test func anAdminOfANamespaceGivesAwayWhatHeHas() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grant("admin", to: "ann")
    let ann = cluster.user("ann")
    let roles = "\(rbacPath)/namespaces/default/roles"
    #expect(try await ann.post(roles, role("reader", rules: [rule(["get"], ["pods"])])).status == 201)
    let bindings = "\(rbacPath)/namespaces/default/rolebindings"
    let bob: JSONValue = ["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"]
    #expect(try await ann.post(bindings, binding("r", role: "reader", roleKind: "Role", subjects: [bob])).status == 201)
    #expect(try await ann.post(bindings, binding("v", role: "view", subjects: [bob])).status == 201)
    #expect(try await cluster.user("bob").get(pods).status == 200)
    #expect(try await ann.post(bindings, binding("c", role: "cluster-admin", subjects: [bob])).status == 403)
    #expect(try await cluster.user("bob").get(secrets).status == 403)
  }

  @Test func namesLimitWhatHasAName() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grantEverywhere(
      [rule(["get", "list", "watch", "create", "update"], ["configmaps"], names: ["one"])], to: "bob")
    try await cluster.inside.post(configMaps, configMap("one"))
    let bob = cluster.user("bob")
    #expect(try await bob.get("\(configMaps)/one").status == 200)
    #expect(try await bob.get("\(configMaps)/two").status == 403)
    #expect(try await bob.get(configMaps).status == 403)
    #expect(try await bob.get("\(configMaps)?fieldSelector=metadata.name%3Done").names == ["one"])
    #expect(try await bob.get("\(configMaps)?fieldSelector=metadata.name!%3Done").status == 403)
    #expect(try await bob.post(configMaps, configMap("one")).status == 403, "a create has no name to go by")
  }

  @Test func groupsAndServiceAccountsAreSubjectsToo() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grant("view", to: "developers", kind: "Group")
    try await cluster.grant("view", to: "robot", kind: "ServiceAccount")
    #expect(try await cluster.user("bob", groups: ["developers"]).get(pods).status == 200)
    #expect(try await cluster.serviceAccount("robot").get(pods).status == 200)
    #expect(try await cluster.serviceAccount("robot", in: "other").get(pods).status == 403)
    #expect(try await cluster.user("developers").get(pods).status == 403)
  }

  @Test func aChangeOfRolesCountsForTheNextRequest() async throws {
    let cluster = try await SecurityCluster()
    let bob = cluster.user("bob")
    for _ in 0..<20 {
      #expect(try await bob.get(pods).status == 403)
      let made = try await cluster.grant("view", to: "bob")
      #expect(try await bob.get(pods).status == 200)
      try await cluster.inside.delete("\(rbacPath)/namespaces/default/rolebindings/\(made.name)")
      // What is taken away counts when the loop has turned.
      try await testLoop.withDeadline(.seconds(5)) {
        while try await bob.get(pods).status != 403 { try await testLoop.sleep(for: .milliseconds(1)) }
      }
    }
  }

  // MARK: Escalation

  @Test func nobodyHandsOutWhatHeDoesNotHave() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grantEverywhere(
      [
        rule(
          ["*"], ["roles", "rolebindings", "clusterroles", "clusterrolebindings"], groups: ["rbac.authorization.k8s.io"]
        ),
        rule(["get"], ["pods"]),
      ], to: "mallory")
    let mallory = cluster.user("mallory")
    let own = try await cluster.inside.get("\(rbacPath)/clusterroles/of-mallory")
    #expect(own.status == 200)
    // "*" on roles holds the verbs escalate and bind as well: take them away.
    try await cluster.inside.patch(
      "\(rbacPath)/clusterroles/of-mallory",
      [
        "rules": [
          rule(
            ["get", "list", "create", "update", "patch", "delete"],
            ["roles", "rolebindings", "clusterroles", "clusterrolebindings"], groups: ["rbac.authorization.k8s.io"]),
          rule(["get"], ["pods"]),
        ]
      ])
    let roles = "\(rbacPath)/namespaces/default/roles"
    #expect(try await mallory.post(roles, role("fine", rules: [rule(["get"], ["pods"])])).status == 201)
    let refused = try await mallory.post(
      roles, role("more", rules: [rule(["get", "list", "delete"], ["pods", "secrets"])]))
    #expect(refused.status == 403)
    #expect(
      refused.message
        == "roles.rbac.authorization.k8s.io \"more\" is forbidden: user \"mallory\" (groups=[\"system:authenticated\"]) "
        + "is attempting to grant RBAC permissions not currently held:\n"
        + "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"list\" \"delete\"]}\n"
        + "{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"list\" \"delete\"]}")
    // A role that is not there may be why too little is held: it is named, here and to whoever asks what he may do.
    let gone = binding(
      "gone", role: "nowhere", kind: "ClusterRoleBinding",
      subjects: [["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"]])
    #expect(try await cluster.inside.post("\(rbacPath)/clusterrolebindings", gone).status == 201)
    let lacking = "clusterrole.rbac.authorization.k8s.io \"nowhere\" not found"
    let unresolved = try await mallory.post(roles, role("more", rules: [rule(["delete"], ["pods"])]))
    #expect(unresolved.message.hasSuffix("Verbs:[\"delete\"]}; resolution errors: [\(lacking)]"))
    let review: JSONValue = [
      "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": ["namespace": "default"],
    ]
    let reviewed = try await mallory.post("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", review)
    #expect(reviewed.json["status"]["evaluationError"] == .string(lacking))
    #expect(reviewed.json["status"]["incomplete"] == false)
    #expect(reviewed.json["spec"] == [:], "what was asked is not told again")
    let everything = try await mallory.patch("\(roles)/fine", ["rules": [rule(["*"], ["*"], groups: ["*"])]])
    #expect(everything.status == 403)
    let me: JSONValue = ["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"]
    let bound = try await mallory.post(
      "\(rbacPath)/clusterrolebindings",
      binding("m", role: "cluster-admin", kind: "ClusterRoleBinding", subjects: [me]))
    #expect(bound.status == 403)
    #expect(bound.message.contains("{NonResourceURLs:[\"*\"], Verbs:[\"*\"]}"))
    let missing = try await mallory.post(
      "\(rbacPath)/namespaces/default/rolebindings", binding("m", role: "gone", subjects: [me]))
    #expect(missing.status == 404)
  }

  /// Labels decide which aggregated roles take a role's rules over.
  @Test func labelsOfAPowerfulRoleAreNotAWayAround() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.inside.post(
      "\(rbacPath)/clusterroles", role("root", kind: "ClusterRole", rules: [rule(["*"], ["*"], groups: ["*"])]))
    try await cluster.grantEverywhere(
      [rule(["get", "update", "patch"], ["clusterroles"], groups: ["rbac.authorization.k8s.io"])], to: "mallory")
    try await cluster.grant("view", to: "mallory")
    let label = try await cluster.user("mallory").patch(
      "\(rbacPath)/clusterroles/root",
      ["metadata": ["labels": ["rbac.authorization.k8s.io/aggregate-to-view": "true"]]])
    #expect(label.status == 403)
    let selector = try await cluster.user("mallory").patch(
      "\(rbacPath)/clusterroles/view",
      ["aggregationRule": ["clusterRoleSelectors": [["matchLabels": ["a": "b"]]]]])
    #expect(selector.status == 403)
    #expect(try await cluster.user("mallory").get(secrets).status == 403)
  }

  @Test func theVerbsEscalateAndBindLiftTheCheck() async throws {
    let cluster = try await SecurityCluster()
    let group: [JSONValue] = ["rbac.authorization.k8s.io"]
    try await cluster.grantEverywhere(
      [
        rule(["create", "escalate"], ["roles"], groups: group), rule(["create"], ["rolebindings"], groups: group),
        rule(["bind"], ["clusterroles"], groups: group, names: ["view"]),
      ], to: "olga")
    let olga = cluster.user("olga")
    let wide = role("wide", rules: [rule(["*"], ["*"], groups: ["*"])])
    #expect(try await olga.post("\(rbacPath)/namespaces/default/roles", wide).status == 201)
    let bob: JSONValue = ["kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "bob"]
    let bindings = "\(rbacPath)/namespaces/default/rolebindings"
    #expect(try await olga.post(bindings, binding("v", role: "view", subjects: [bob])).status == 201)
    #expect(try await olga.post(bindings, binding("e", role: "edit", subjects: [bob])).status == 403)
  }

  @Test func aggregatedRolesHaveWhatTheyGatherAtOnce() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grant("admin", to: "ann")
    let widgets = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
    #expect(try await cluster.user("ann").get(widgets).status == 200)
    try await cluster.grant("view", to: "vic")
    #expect(
      try await cluster.user("vic").get("/apis/storage.k8s.io/v1/namespaces/default/csistoragecapacities").status == 403
    )
    try await cluster.inside.post(
      "\(rbacPath)/clusterroles",
      role(
        "more", kind: "ClusterRole", labels: ["rbac.authorization.k8s.io/aggregate-to-view": "true"],
        rules: [rule(["list"], ["csistoragecapacities"], groups: ["storage.k8s.io"])]))
    for name in ["vic", "ann"] {
      #expect(
        try await cluster.user(name).get("/apis/storage.k8s.io/v1/namespaces/default/csistoragecapacities").status
          == 200, "view and through it edit and admin")
    }
  }

  // MARK: Reviews

  private func review(
    _ server: TestServer, _ kind: String, _ spec: JSONValue, namespace: String? = nil
  ) async throws -> Reply {
    let resource = "\(kind.lowercased())s"
    let place = namespace.map { "namespaces/\($0)/" } ?? ""
    return try await server.post(
      "/apis/authorization.k8s.io/v1/\(place)\(resource)",
      ["apiVersion": "authorization.k8s.io/v1", "kind": .string(kind), "spec": spec])
  }

  @Test func oneMayAskWhatOneMayDo() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grant("view", to: "vic")
    let attributes: JSONValue = ["namespace": "default", "verb": "list", "resource": "pods"]
    let own = try await review(cluster.user("vic"), "SelfSubjectAccessReview", ["resourceAttributes": attributes])
    #expect(own.status == 201)
    #expect(own.json["status"]["allowed"] == true)
    #expect(own.json["status"]["reason"].string?.contains("RBAC: allowed by RoleBinding \"view-vic/default\"") == true)
    let others = try await review(
      cluster.inside, "SubjectAccessReview",
      ["user": "vic", "resourceAttributes": ["verb": "get", "resource": "secrets"]])
    #expect(others.json["status"]["allowed"] == false)
    let path = try await review(
      cluster.inside, "SubjectAccessReview",
      ["user": "x", "groups": ["system:authenticated"], "nonResourceAttributes": ["verb": "get", "path": "/api"]])
    #expect(path.json["status"]["allowed"] == true)
    let local = try await review(
      cluster.inside, "LocalSubjectAccessReview", ["user": "vic", "resourceAttributes": attributes],
      namespace: "default")
    #expect(local.json["status"]["allowed"] == true)
    #expect(
      try await review(
        cluster.inside, "LocalSubjectAccessReview", ["user": "vic", "resourceAttributes": attributes],
        namespace: "kube-system"
      ).status == 422)
    #expect(try await review(cluster.inside, "SubjectAccessReview", ["user": "vic"]).status == 422)
    #expect(
      try await review(cluster.user("vic"), "SubjectAccessReview", ["user": "x", "resourceAttributes": attributes])
        .status == 403, "about others one must be allowed to ask")
  }

  @Test func whatIsWrongWithAReviewIsTold() async throws {
    let cluster = try await SecurityCluster()
    let none = try await review(cluster.inside, "SubjectAccessReview", ["user": "vic"])
    #expect(
      none.message
        == ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: \"null\": exactly one of "
        + "nonResourceAttributes or resourceAttributes must be specified")
    let both = try await review(
      cluster.inside, "SelfSubjectAccessReview",
      ["resourceAttributes": [:], "nonResourceAttributes": ["path": "/x", "verb": "get"]])
    #expect(
      both.message.hasSuffix(
        "spec.nonResourceAttributes: Invalid value: authorization.NonResourceAttributes{Path:\"/x\", Verb:\"get\"}: "
          + "cannot be specified in combination with resourceAttributes"), "\(both.message)")
    let twice: JSONValue = ["rawSelector": "a=b", "requirements": [["key": "", "operator": "In"]]]
    let selectors = try await review(
      cluster.inside, "SelfSubjectAccessReview",
      ["resourceAttributes": ["verb": "list", "resource": "pods", "fieldSelector": twice, "labelSelector": [:]]])
    #expect(
      selectors.json["details"]["causes"].elements.compactMap { $0["field"].string } == [
        "spec.resourceAttributes.fieldSelector.rawSelector",
        "spec.resourceAttributes.fieldSelector.requirements[0].key",
        "spec.resourceAttributes.fieldSelector.requirements[0].values",
        "spec.resourceAttributes.labelSelector.requirements",
      ])
    let named = try await cluster.inside.post(
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      [
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": ["name": "x"],
        "spec": ["resourceAttributes": ["verb": "list", "resource": "pods"]],
      ])
    #expect(named.status == 422 && named.json["details"]["causes"][0]["field"] == "metadata")
  }

  @Test func aNodeMayListItsOwnPodsAndAReviewKnowsIt() async throws {
    let cluster = try await SecurityCluster()
    func asked(_ selector: JSONValue) async throws -> JSONValue {
      try await review(
        cluster.node("n1"), "SelfSubjectAccessReview",
        ["resourceAttributes": ["verb": "list", "resource": "pods", "fieldSelector": selector]]
      ).json["status"]
    }
    func selector(_ node: String) -> JSONValue {
      ["requirements": [["key": "spec.nodeName", "operator": "In", "values": [.string(node)]]]]
    }
    #expect(try await asked(selector("n1"))["allowed"] == true)
    #expect(try await asked(selector("n2"))["allowed"] == false)
    let odd = try await asked(["requirements": [["key": "spec.nodeName", "operator": "Exists"]]])
    #expect(odd["allowed"] == false)
    #expect(
      odd["evaluationError"] == "spec.resourceAttributes.fieldSelector ignored due to parse error")
  }

  @Test func aRefusalTellsOfRolesThatAreNotThere() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grant("nobody-made-it", to: "vic")
    let refused = try await cluster.user("vic").get("/api/v1/namespaces/default/pods")
    #expect(
      refused.message
        == "pods is forbidden: User \"vic\" cannot list resource \"pods\" in API group \"\" in the namespace "
        + "\"default\": RBAC: clusterrole.rbac.authorization.k8s.io \"nobody-made-it\" not found")
  }

  @Test func aRefusalIsNoLongerThanWhatSomebodyReads() async throws {
    let cluster = try await SecurityCluster()
    let name = String(repeating: "x", count: 100_000)
    try await cluster.grant(name, to: "vic")
    let refused = try await cluster.user("vic").get("/api/v1/namespaces/default/pods")
    #expect(refused.status == 403 && refused.message.utf8.count < 2000)
    #expect(refused.message.hasSuffix("xxx…\" not found"))
    for number in 0..<150 { try await cluster.grant("gone-\(number)", to: "eve") }
    let second = try await cluster.user("eve").get("/api/v1/namespaces/default/pods")
    let named = second.message.split(separator: ", ").count { $0.contains("\" not found") }
    #expect(second.message.hasSuffix(", 50 more]") && named == 100)
  }

  @Test func allRulesOfOneselfInANamespace() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grant("view", to: "vic")
    let reply = try await review(cluster.user("vic"), "SelfSubjectRulesReview", ["namespace": "default"])
    #expect(reply.status == 201)
    #expect(reply.json["status"]["incomplete"] == false)
    #expect(
      reply.json["status"]["resourceRules"].elements.contains {
        $0["resources"].elements.contains("configmaps") && $0["verbs"] == ["get", "list", "watch"]
      })
    #expect(
      reply.json["status"]["nonResourceRules"].elements.contains { $0["nonResourceURLs"].elements.contains("/api/*") })
  }

  // MARK: Known ways around

  /// CVE-2019-11247, CVE-2022-3162: what is asked for and what is authorized are the same thing.
  @Test func objectsOfTheClusterHaveNoNamespacedPath() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grant("cluster-admin", to: "bob")
    let bob = cluster.user("bob")
    for path in [
      "/api/v1/namespaces/default/nodes", "/apis/rbac.authorization.k8s.io/v1/namespaces/default/clusterroles",
      "/api/v1/namespaces/default/nodes/n1", "/api/v1/namespaces/default/persistentvolumes",
    ] {
      #expect(try await bob.get(path).status == 404, "\(path)")
    }
    try await cluster.inside.post("/api/v1/namespaces/kube-system/secrets", secret("deep"))
    for path in [
      "/api/v1/namespaces/default/secrets/..%2F..%2Fkube-system%2Fsecrets%2Fdeep",
      "/api/v1/namespaces/default/secrets/../../kube-system/secrets/deep",
      "/api/v1/namespaces/default%2F..%2Fkube-system/secrets/deep", "/api/v1/namespaces//kube-system/secrets/deep",
      "/api/v1//namespaces/kube-system/secrets/deep",
    ] {
      let status = try await bob.get(path).status
      #expect(status == 404 || status == 403, "\(path) answered \(status)")
    }
  }

  @Test func watchesAndCollectionsNeedTheirOwnVerbs() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grantEverywhere([rule(["list"], ["configmaps"])], to: "bob")
    let bob = cluster.user("bob")
    #expect(try await bob.get(configMaps).status == 200)
    #expect(try await bob.get("\(configMaps)?watch=1").status == 403)
    #expect(try await bob.get("/api/v1/watch/namespaces/default/configmaps").status == 403)
    #expect(try await bob.delete(configMaps).status == 403)
  }

  /// CVE-2026-33343, CVE-2026-44283: every part of what a request does is authorized. A PUT may turn out to create.
  @Test func anUpdateThatCreatesNeedsTheRightToCreate() async throws {
    let cluster = try await SecurityCluster()
    try await cluster.grantEverywhere([rule(["update"], ["endpoints"])], to: "bob")
    let endpoints: JSONValue = ["apiVersion": "v1", "kind": "Endpoints", "metadata": ["name": "e"]]
    let reply = try await cluster.user("bob").put("/api/v1/namespaces/default/endpoints/e", endpoints)
    #expect(reply.status == 403)
    #expect(reply.message.contains("cannot create resource \"endpoints\""))
  }
}
