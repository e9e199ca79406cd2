// Disruption budgets: what is counted, and what evictions come of it.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct DisruptionPlanTests {
  private static let now = WallTime(rfc3339: "2026-01-01T12:00:00Z")!

  private func pod(_ name: String, ready: Bool = true, deleted: Bool = false, owned: Bool = true) -> Pod {
    var json: JSONValue = [
      "metadata": ["name": .string(name), "namespace": "default"],
      "status": [
        "phase": "Running", "conditions": [["type": "Ready", "status": ready ? "True" : "False"]],
      ],
    ]
    if deleted { json["metadata"]["deletionTimestamp"] = "2026-01-01T11:59:59Z" }
    if owned {
      json["metadata"]["ownerReferences"] = [
        ["apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true]
      ]
    }
    return Pod(json: json)
  }

  private func budget(_ spec: JSONValue, status: JSONValue = .null) -> PodDisruptionBudget {
    PodDisruptionBudget(json: ["metadata": ["name": "b", "generation": 3], "spec": spec, "status": status])
  }

  @Test(
    arguments: [
      // spec, pods, wanted by their controllers; expected, desired, allowed
      (["minAvailable": 2], 3, [3], 3, 2, 1), (["minAvailable": 3], 3, [3], 3, 3, 0),
      (["minAvailable": 5], 3, [3], 3, 5, 0), (["minAvailable": 0], 3, [3], 3, 0, 3),
      (["minAvailable": "50%"], 3, [3], 3, 2, 1), (["minAvailable": "50%"], 3, [7], 7, 4, 0),
      (["minAvailable": "0%"], 3, [3], 3, 0, 3), (["minAvailable": "100%"], 3, [3], 3, 3, 0),
      (["maxUnavailable": 1], 3, [3], 3, 2, 1), (["maxUnavailable": 1], 3, [5], 5, 4, 0),
      (["maxUnavailable": 9], 3, [3], 3, 0, 3), (["maxUnavailable": "34%"], 3, [3], 3, 1, 2),
      (["maxUnavailable": "30%"], 4, [2, 2], 4, 2, 2), (["maxUnavailable": 1], 0, [], 0, 0, 0),
      (["minAvailable": 1], 0, [], 0, 1, 0), ([:], 3, [], 0, 0, 0),
    ] as [(JSONValue, Int, [Int64], Int64, Int64, Int64)])
  func countsFollowTheSpec(
    spec: JSONValue, pods: Int, scales: [Int64], expected: Int64, desired: Int64, allowed: Int64
  ) {
    let plan = DisruptionPlan(
      budget(spec), pods: (0..<pods).map { pod("p\($0)") },
      scales: Dictionary(uniqueKeysWithValues: scales.enumerated().map { ("u\($0)", $1) }), now: Self.now)
    #expect(plan.status.expectedPods == expected)
    #expect(plan.status.desiredHealthy == desired)
    #expect(plan.status.currentHealthy == Int64(pods))
    #expect(plan.status.disruptionsAllowed == allowed)
    #expect(plan.status.observedGeneration == 3)
    #expect(plan.status.conditions.count == 1)
    let condition = plan.status.conditions[0]
    #expect(condition["status"] == (allowed > 0 ? "True" : "False"))
    #expect(condition["reason"] == (allowed > 0 ? "SufficientPods" : "InsufficientPods"))
  }

  @Test func onlyPodsThatAreReadyAndStayAreHealthy() {
    let plan = DisruptionPlan(
      budget(
        ["minAvailable": 1],
        status: [
          "disruptedPods": [
            "evicted": "2026-01-01T11:59:00Z", "stuck": "2026-01-01T11:50:00Z", "gone": "2026-01-01T11:59:30Z",
          ]
        ]),
      pods: [
        pod("well"), pod("unready", ready: false), pod("going", deleted: true), pod("evicted"), pod("stuck"),
      ], scales: [:], now: Self.now)
    #expect(plan.status.currentHealthy == 2)
    #expect(plan.status.expectedPods == 5)
    #expect(plan.status.disruptedPods.keys.sorted() == ["evicted"])
    #expect(plan.notDeleted.map(\.name) == ["stuck"])
    #expect(plan.recheck == WallTime(rfc3339: "2026-01-01T12:01:00Z"))
  }

  @Test func podsOfNobodyAreNamedWhereTheirControllersWouldHaveToBeAsked() {
    let pods = [pod("a"), pod("b", owned: false)]
    for (spec, unmanaged): (JSONValue, [String]) in [
      (["minAvailable": 1], []), (["minAvailable": "50%"], ["b"]), (["maxUnavailable": 1], ["b"]),
    ] {
      let plan = DisruptionPlan(budget(spec), pods: pods, scales: ["u": 1], now: Self.now)
      #expect(plan.unmanaged.map(\.name) == unmanaged)
    }
  }

  @Test func theConditionKeepsItsTimeWhileItIsTheSame() {
    let first = DisruptionPlan(budget(["minAvailable": 1]), pods: [pod("a"), pod("b")], scales: [:], now: Self.now)
    let later = DisruptionPlan(
      budget(["minAvailable": 1], status: first.status.json), pods: [pod("a"), pod("b"), pod("c")], scales: [:],
      now: Self.now + .seconds(60))
    #expect(later.status.conditions[0]["lastTransitionTime"] == first.status.conditions[0]["lastTransitionTime"])
    let failed = DisruptionPlan.failed(
      budget(["minAvailable": 1], status: first.status.json), "why", now: Self.now + .seconds(60))
    #expect(failed.disruptionsAllowed == 0)
    #expect(failed.conditions[0]["reason"] == "SyncFailed")
    #expect(failed.conditions[0]["message"] == "why")
    #expect(failed.conditions[0]["lastTransitionTime"] == "2026-01-01T12:01:00Z")
  }
}

@Suite struct DisruptionStories {
  private static func budget(_ spec: JSONValue) -> JSONValue {
    var spec = spec
    spec["selector"] = ["matchLabels": ["app": "web"]]
    return [
      "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": ["name": "web"], "spec": spec,
    ]
  }

  private static func deployment(replicas: Int64) -> JSONValue {
    [
      "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": "web"],
      "spec": [
        "replicas": .integer(replicas), "selector": ["matchLabels": ["app": "web"]],
        "template": [
          "metadata": ["labels": ["app": "web"]], "spec": ["containers": [["name": "main", "image": "i"]]],
        ],
      ],
    ]
  }

  private static func allowed(_ plane: ControlPlane, _ count: Int64) async throws {
    try await plane.world.eventually("the budget allows \(count)", within: .seconds(60)) {
      let status = try await plane.admin.get(.podDisruptionBudgets, namespace: "default", name: "web")["status"]
      return status["disruptionsAllowed"].integer == count && status["observedGeneration"].integer == 1
    }
  }

  private static func evict(_ plane: ControlPlane, _ pod: Pod) async throws -> Int {
    let eviction: JSONValue = [
      "apiVersion": "policy/v1", "kind": "Eviction",
      "metadata": ["name": .string(pod.name), "namespace": .string(pod.namespace)],
    ]
    do {
      try await plane.admin.create(
        .pods, namespace: pod.namespace, eviction, name: pod.name, subresource: "eviction")
      return 201
    } catch let status as APIStatus { return status.code }
  }

  @Test func evictionsAreGrantedOneAfterTheOtherAsReplacementsBecomeReady() throws {
    try ControlPlane(nodes: 2).tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Self.deployment(replicas: 3))
      try await plane.rolledOut("web")
      try await plane.admin.create(.podDisruptionBudgets, namespace: "default", Self.budget(["maxUnavailable": "34%"]))
      // 34 % of three, rounded up: two may be away.
      try await Self.allowed(plane, 2)
      let pods = try await plane.pods("app=web")
      #expect(try await Self.evict(plane, pods[0]) == 201)
      #expect(try await Self.evict(plane, pods[1]) == 201)
      #expect(try await Self.evict(plane, pods[2]) == 429)
      // Others take their places; then there is room again.
      try await Self.allowed(plane, 2)
      let budget = try await plane.admin.get(.podDisruptionBudgets, namespace: "default", name: "web")
      #expect(budget["status"]["disruptedPods"].object?.isEmpty ?? true)
      #expect(budget["status"]["expectedPods"] == 3)
      #expect(budget["status"]["conditions"][0]["reason"] == "SufficientPods")
    }
  }

  @Test func aBudgetThatCannotCountAllowsNothingAndSaysWhy() throws {
    try ControlPlane(nodes: 1, scheduler: false).tell { plane in
      try await plane.world.eventually("the account is there", within: .seconds(30)) {
        try await plane.admin.find(.serviceAccounts, namespace: "default", name: "default") != nil
      }
      try await plane.admin.create(
        .pods, namespace: "default",
        [
          "apiVersion": "v1", "kind": "Pod",
          "metadata": [
            "name": "lost", "labels": ["app": "web"],
            "ownerReferences": [
              ["apiVersion": "example.com/v1", "kind": "Gone", "name": "g", "uid": "u", "controller": true]
            ],
          ],
          "spec": ["containers": [["name": "main", "image": "i"]]],
        ])
      try await plane.admin.create(.podDisruptionBudgets, namespace: "default", Self.budget(["maxUnavailable": 1]))
      try await plane.world.eventually("the condition says why", within: .seconds(60)) {
        let budget = try await plane.admin.get(.podDisruptionBudgets, namespace: "default", name: "web")
        let condition = budget["status"]["conditions"][0]
        return condition["reason"] == "SyncFailed" && condition["status"] == "False"
          && condition["message"] == "found no controllers for pod \"lost\""
      }
    }
  }

  @Test func aPodThatWasNotDisruptedAfterAllIsNoTargetAnyMore() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Self.deployment(replicas: 1))
      try await plane.rolledOut("web")
      let pod = try await plane.pods("app=web")[0]
      let condition: JSONValue = [
        "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
        "lastTransitionTime": .string(plane.world.wallClock.rfc3339),
      ]
      try await plane.admin.patch(
        .pods, namespace: "default", name: pod.name, ["status": ["conditions": [condition]]], type: .strategic,
        subresource: "status")
      @Sendable func target() async throws -> String? {
        try await plane.pods("app=web")[0].status.conditions.first { $0.type == "DisruptionTarget" }?.status
      }
      try await plane.world.sleep(for: .seconds(100))
      #expect(try await target() == "True")
      try await plane.world.eventually("the pod is no target any more", within: .seconds(60)) {
        try await target() == "False"
      }
    }
  }
}

@Suite struct ClusterRoleAggregationTests {
  private func role(_ name: String, labels: JSONValue = [:], rules: JSONValue = [], gathers: JSONValue = .null)
    -> ClusterRole
  {
    var json: JSONValue = ["metadata": ["name": .string(name), "labels": labels], "rules": rules]
    if !gathers.isNull { json["aggregationRule"] = ["clusterRoleSelectors": gathers] }
    return ClusterRole(json: json)
  }

  @Test func rulesAreGatheredBySelectorAndNameEachOnce() {
    let read: JSONValue = ["apiGroups": [""], "resources": ["pods"], "verbs": ["get"]]
    let write: JSONValue = ["apiGroups": [""], "resources": ["pods"], "verbs": ["update"]]
    let others = [
      role("b", labels: ["to": "x"], rules: [write, read]), role("a", labels: ["to": "x"], rules: [read]),
      role("c", labels: ["to": "y"], rules: [["apiGroups": ["z"], "resources": ["z"], "verbs": ["z"]]]),
    ]
    let gathering = role("all", labels: ["to": "x"], gathers: [["matchLabels": ["to": "x"]]])
    #expect(ClusterRoleAggregationController.rules(of: gathering, among: others + [gathering]) == [read, write])
    #expect(ClusterRoleAggregationController.rules(of: role("own", rules: [read]), among: others) == nil)
    #expect(
      ClusterRoleAggregationController.rules(
        of: role("none", gathers: [["matchLabels": ["to": "nobody"]]]), among: others) == [])
  }

  @Test func aRoleLabelledForViewIsPartOfIt() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      let rule: JSONValue = ["apiGroups": ["stable.example.com"], "resources": ["crontabs"], "verbs": ["get", "list"]]
      let label = "rbac.authorization.k8s.io/aggregate-to-view"
      try await plane.admin.create(
        .clusterRoles,
        [
          "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
          "metadata": ["name": "crontabs", "labels": [label: "true"]], "rules": [rule],
        ])
      @Sendable func has(_ name: String) async throws -> Bool {
        try await plane.admin.get(.clusterRoles, name: name)["rules"].elements.contains(rule)
      }
      // What view gathers, edit and admin gather as well.
      for name in ["view", "edit", "admin"] {
        try await plane.world.eventually("\(name) has the rule", within: .seconds(60)) { try await has(name) }
      }
      let view = try await plane.admin.get(.clusterRoles, name: "view")
      #expect(
        view["metadata"]["managedFields"].elements.contains { $0["manager"] == "clusterrole-aggregation-controller" })
      try await plane.admin.delete(.clusterRoles, name: "crontabs")
      for name in ["view", "edit", "admin"] {
        try await plane.world.eventually("\(name) has lost it", within: .seconds(60)) { try await !has(name) }
      }
    }
  }
}
