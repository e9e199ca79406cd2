// What controllers decide, without an API.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

private let now = WallTime(secondsSinceEpoch: 1_000_000)

private func pod(
  _ name: String, node: String = "n", phase: String = "Running", readyFor seconds: Int64? = 60, cost: String? = nil,
  restarts: Int64 = 0, age: Int64 = 100, labels: JSONValue = ["app": "web"], ip: String = ""
) -> Pod {
  var json = Fixture.pod(name, node: node, labels: labels)
  json["metadata"]["uid"] = .string("uid-\(name)")
  json["metadata"]["creationTimestamp"] = .string((now + .seconds(-age)).rfc3339)
  if let cost { json["metadata"]["annotations"]["controller.kubernetes.io/pod-deletion-cost"] = .string(cost) }
  json["status"] = [
    "phase": .string(phase), "podIP": .string(ip), "containerStatuses": [["restartCount": .integer(restarts)]],
    "conditions": [
      [
        "type": "Ready", "status": .string(seconds == nil ? "False" : "True"),
        "lastTransitionTime": .string((now + .seconds(-(seconds ?? 0))).rfc3339),
      ]
    ],
  ]
  return Pod(json: json)
}

@Suite struct ReplicaDecisions {
  @Test func victimsAreRanked() {
    let ranked = [
      pod("unassigned", node: ""), pod("pending", phase: "Pending", readyFor: nil),
      pod("unknown", phase: "Unknown", readyFor: nil), pod("unready", readyFor: nil), pod("cheap", cost: "-5"),
      pod("crowded", node: "full"), pod("crowded-too", node: "full", readyFor: 5000, age: 6000),
      pod("young", readyFor: 3), pod("restarted", node: "m", restarts: 4), pod("newer", node: "o", age: 10),
      pod("older", node: "p", age: 99),
    ]
    let order = PodRanking(ranked.reversed(), siblings: ranked, now: now).firstToDelete(ranked.count - 1).map(\.name)
    #expect(
      Array(order.prefix(5)) == ["unassigned", "pending", "unknown", "unready", "cheap"])
    #expect(order.firstIndex(of: "young")! < order.firstIndex(of: "crowded")!, "its node holds four others")
    #expect(Array(order.suffix(2)) == ["restarted", "newer"])
  }

  @Test func theDifferenceIsMadeInBursts() {
    func plan(_ replicas: Int64, _ active: Int) -> String {
      let pods = (0..<active).map { pod("p\($0)") }
      switch ReplicaPlan(replicas: replicas, active: pods, siblings: pods, now: now) {
      case .nothing: return "nothing"
      case .create(let count): return "+\(count)"
      case .delete(let victims): return "-\(victims.count)"
      }
    }
    #expect(plan(3, 3) == "nothing")
    #expect(plan(5, 3) == "+2")
    #expect(plan(1, 3) == "-2")
    #expect(plan(2000, 0) == "+500")
    #expect(plan(0, 600) == "-500")
  }

  @Test func slowStartDoublesAndStopsAtTheFirstFailure() throws {
    struct Refused: Error {}
    let world = try TestCluster().world
    try world.run {
      let all = await slowStart(10, on: world) { _ in }
      #expect(all.succeeded == 10 && all.error == nil)
      // 1 + 2 go well; two of the next four do not, and nothing follows.
      let some = await slowStart(100, on: world) { if $0 >= 5 { throw Refused() } }
      #expect(some.succeeded == 5 && some.error is Refused)
    }
  }

  @Test func availabilityWaitsForMinReadySeconds() {
    let pods = [pod("a", readyFor: 5), pod("b", readyFor: 30), pod("c", readyFor: nil)]
    let count = ReplicaCount(active: pods, templateLabels: ["app": "web"], minReadySeconds: 10, now: now)
    #expect(count.replicas == 3 && count.fullyLabeled == 3 && count.ready == 2 && count.available == 1)
  }
}

@Suite struct RolloutDecisions {
  /// A set of the deployment: `template` tells one from another; the deployment's own is "new".
  private func set(_ template: String, _ replicas: Int64, available: Int64, age: Int64, max: Int64? = nil) -> ReplicaSet
  {
    var json = Fixture.deployment("web", replicas: replicas, image: template)
    json["metadata"]["name"] = .string("web-\(template)")
    json["metadata"]["uid"] = .string(template)
    json["metadata"]["creationTimestamp"] = .string((now + .seconds(-age)).rfc3339)
    json["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = .string("\(1000 - age)")
    if let max { json["metadata"]["annotations"]["deployment.kubernetes.io/max-replicas"] = .string("\(max)") }
    json["status"] = ["replicas": .integer(replicas), "availableReplicas": .integer(available)]
    return ReplicaSet(json: json)
  }
  private func deployment(_ replicas: Int64, surge: JSONValue = "25%", unavailable: JSONValue = "25%") -> Deployment {
    var json = Fixture.deployment("web", replicas: replicas, image: "new")
    json["metadata"]["generation"] = 2
    json["spec"]["strategy"] = [
      "type": "RollingUpdate", "rollingUpdate": ["maxSurge": surge, "maxUnavailable": unavailable],
    ]
    return Deployment(json: json)
  }

  @Test(arguments: [
    (10, "25%", "25%", 13, 8), (1, "25%", "25%", 2, 1), (3, "0%", "0%", 3, 2), (4, "1", "0", 5, 4),
  ])
  func bounds(replicas: Int, surge: String, unavailable: String, most: Int, least: Int) {
    func value(_ text: String) -> JSONValue { Int64(text).map { .integer($0) } ?? .string(text) }
    let deployment = deployment(Int64(replicas), surge: value(surge), unavailable: value(unavailable))
    #expect(deployment.maximumReplicas == Int64(most))
    #expect(deployment.minimumAvailable == Int64(least))
  }

  @Test func aRolloutEndsFromEveryStateAndKeepsItsBounds() {
    // Every step is taken by hand: sizes change, pods become available one by one, in any order of sets.
    for replicas: Int64 in [1, 2, 3, 5, 10] {
      for (surge, unavailable) in [("25%", "25%"), ("0%", "50%"), ("100%", "0%")] {
        let deployment = deployment(replicas, surge: .string(surge), unavailable: .string(unavailable))
        var new = (size: Int64(0), available: Int64(0))
        var old = (size: replicas, available: replicas)
        var steps = 0
        while new.available != replicas || old.size != 0 {
          let sets = DeploymentSets(
            deployment: deployment,
            sets: [
              set("old", old.size, available: old.available, age: 10),
              set("new", new.size, available: new.available, age: 1),
            ])
          #expect(sets.new?.metadata.uid == "new" && sets.old.count == 1)
          let size = RollingUpdate.newReplicas(deployment, sets)
          if size != new.size {
            new.size = size
          } else if let shrunk = RollingUpdate.oldReplicas(deployment, sets)["old"], shrunk != old.size {
            old.size = shrunk
            old.available = min(old.available, shrunk)
          } else if new.available < new.size {
            new.available += 1
          } else {
            Issue.record("stuck at new \(new) old \(old) of \(replicas) with \(surge), \(unavailable)")
            break
          }
          #expect(new.size + old.size <= deployment.maximumReplicas)
          #expect(new.available + old.available >= deployment.minimumAvailable)
          steps += 1
          if steps > 1000 { break }
        }
        #expect(steps <= 1000)
      }
    }
  }

  /// The replica sets' own controller may be behind: what was taken from a set is still there, and counts, but is not taken
  /// a second time.
  @Test func whatASetHasYetToLoseIsNeitherRoomNorAvailable() {
    let deployment = deployment(80)
    var old = set("old", 60, available: 80, age: 10)
    old.status.replicas = 80
    let new = set("new", 20, available: 20, age: 1)
    let sets = DeploymentSets(deployment: deployment, sets: [old, new])
    #expect(RollingUpdate.newReplicas(deployment, sets) == 20, "80 and 20 stand: the surge is used up")
    #expect(RollingUpdate.oldReplicas(deployment, sets) == ["old": 40], "60 of all must stay available")
  }

  @Test func oldPodsThatDoNotWorkGoFirst() {
    let deployment = deployment(4)
    let sets = DeploymentSets(
      deployment: deployment,
      sets: [
        set("broken", 2, available: 0, age: 20), set("old", 2, available: 2, age: 10),
        set("new", 1, available: 1, age: 1),
      ])
    #expect(RollingUpdate.oldReplicas(deployment, sets) == ["broken": 0])
  }

  @Test func resizingInTheMiddleKeepsProportions() {
    let deployment = deployment(15, surge: .integer(3), unavailable: .integer(2))
    let sets = DeploymentSets(
      deployment: deployment,
      sets: [set("old", 8, available: 8, age: 10, max: 13), set("new", 5, available: 0, age: 1, max: 13)])
    // The example of the documentation: five more, three to the old set and two to the new.
    #expect(ProportionalScaling.sizes(deployment, sets) == ["old": 11, "new": 7])
    let none = ProportionalScaling.sizes(self.deployment(0), sets)
    #expect(none == ["old": 0, "new": 0])
  }

  @Test func historyKeepsTheNewest() {
    var json = Fixture.deployment("web", replicas: 1, image: "new")
    json["spec"]["revisionHistoryLimit"] = 2
    let deployment = Deployment(json: json)
    let sets = DeploymentSets(
      deployment: deployment,
      sets: [set("new", 1, available: 1, age: 0)] + (1...5).map { set("r\($0)", 0, available: 0, age: $0 * 10) })
    #expect(RevisionHistory.surplus(deployment, sets).map(\.metadata.uid) == ["r5", "r4", "r3"])
  }

  @Test func templatesAreKnownByContentNotByOrder() {
    let one: JSONValue = ["metadata": ["labels": ["a": "1", "b": "2"]], "spec": ["x": 1, "y": 2]]
    let other: JSONValue = ["spec": ["y": 2, "x": 1], "metadata": ["labels": ["b": "2", "a": "1"]]]
    #expect(TemplateHash.hash(one, collisionCount: nil) == TemplateHash.hash(other, collisionCount: nil))
    #expect(TemplateHash.hash(one, collisionCount: nil) != TemplateHash.hash(one, collisionCount: 1))
  }

  @Test func progressIsToldAsItHappens() {
    func condition(_ status: JSONValue, _ sets: [ReplicaSet], paused: Bool = false, made: Bool = false) -> String {
      var json = Fixture.deployment("web", replicas: 2, image: "new")
      json["metadata"]["generation"] = 2
      json["spec"]["progressDeadlineSeconds"] = 60
      json["spec"]["paused"] = .bool(paused)
      json["status"] = status
      let deployment = Deployment(json: json)
      let decided = DeploymentStatus(
        deployment: deployment, sets: DeploymentSets(deployment: deployment, sets: sets), now: now,
        newSet: made ? .created : .unchanged, judgesProgress: !paused
      ).json()["conditions"].elements.map(StatusCondition.init(json:)).first { $0.type == "Progressing" }
      return "\(decided?.status ?? "-") \(decided?.reason ?? "-")"
    }
    func was(_ reason: String, _ status: String = "True", secondsAgo: Int64 = 10) -> JSONValue {
      let time = JSONValue.string((now + .seconds(-secondsAgo)).rfc3339)
      return [
        "conditions": [
          [
            "type": "Progressing", "status": .string(status), "reason": .string(reason), "lastUpdateTime": time,
            "lastTransitionTime": time,
          ]
        ]
      ]
    }
    let empty = [set("new", 0, available: 0, age: 0)]
    let done = [set("new", 2, available: 2, age: 0)]
    #expect(condition(.null, empty, made: true) == "True NewReplicaSetCreated")
    #expect(condition(.null, empty) == "True FoundNewReplicaSet")
    #expect(condition(was("NewReplicaSetCreated"), [set("new", 2, available: 1, age: 0)]) == "True ReplicaSetUpdated")
    #expect(condition(was("ReplicaSetUpdated"), done) == "True NewReplicaSetAvailable")
    #expect(condition(was("ReplicaSetUpdated", secondsAgo: 61), empty) == "False ProgressDeadlineExceeded")
    #expect(condition(was("ReplicaSetUpdated", secondsAgo: 59), empty) == "True ReplicaSetUpdated")
    #expect(condition(was("NewReplicaSetAvailable", secondsAgo: 9999), done) == "True NewReplicaSetAvailable")
    #expect(condition(was("ReplicaSetUpdated"), empty, paused: true) == "Unknown DeploymentPaused")
    #expect(condition(was("DeploymentPaused", "Unknown"), empty) == "Unknown DeploymentResumed")
  }
}

@Suite struct CollectionDecisions {
  private typealias State = CollectionDecision.OwnerState
  private func decide(_ states: [State], finalizers: Set<String> = [], dependents: Bool = false) -> CollectionDecision {
    CollectionDecision(
      owners: states.enumerated().map { ("o\($0)", $1) }, finalizers: finalizers, hasDependents: dependents)
  }

  @Test func anObjectLivesAsLongAsOneOwnerDoes() {
    #expect(decide([]) == .keep)
    #expect(decide([.present]) == .keep)
    #expect(decide([.present, .absent, .waiting]) == .removeOwners(["o1", "o2"]))
    #expect(decide([.absent, .absent]) == .delete(.background))
    #expect(decide([.absent], finalizers: ["orphan"]) == .delete(.orphan))
    #expect(decide([.absent], finalizers: ["foregroundDeletion"]) == .delete(.foreground))
    #expect(decide([.waiting], dependents: true) == .delete(.foreground))
    #expect(decide([.waiting]) == .delete(.background))
  }

  private func node(_ uid: String, owners: [String] = [], deleting: Bool = false, finalizers: [String] = [])
    -> GraphNode
  {
    var json: JSONValue = [
      "name": .string(uid), "namespace": "default", "uid": .string(uid),
      "ownerReferences": .array(
        owners.map {
          OwnerReference(apiVersion: "v1", kind: "ConfigMap", name: $0, uid: $0).json
        }), "finalizers": .array(finalizers.map { .string($0) }),
    ]
    if deleting { json["deletionTimestamp"] = .string(now.rfc3339) }
    return node(.configMaps, json)
  }

  private func node(_ kind: ResourceReference, _ metadata: JSONValue) -> GraphNode {
    guard let tape = try? JSONTape(parsing: metadata.bytes) else { fatalError("\(metadata) is no JSON") }
    return GraphNode(FollowedKind(kind), tape.root)
  }

  @Test func theGraphNamesWhomAChangeConcerns() {
    var graph = OwnershipGraph()
    #expect(graph.put(node("owner")) == [])
    #expect(graph.put(node("child", owners: ["owner"])) == ["child"])
    #expect(graph.put(node("child", owners: ["owner"])) == [], "a change of something else is nothing to it")
    #expect(graph.ownersArePresent(of: node("child", owners: ["owner"])))
    #expect(graph.put(node("owner", deleting: true, finalizers: ["foregroundDeletion"])) == ["owner", "child"])
    #expect(graph.blockingDependents(of: "owner").map(\.uid) == ["child"])
    #expect(graph.remove(uid: "child") == ["owner"])
    #expect(graph.put(node("late", owners: ["owner"])) == ["late"])
    #expect(graph.remove(uid: "owner") == ["late"])
    #expect(graph.remove(uid: "owner") == ["late"], "whoever tells of it")
  }

  @Test func ownersThatWereNeverSeenAreLookedForWhenTheirKindIsFollowed() {
    #expect(decide([.unseen]) == .keep)
    #expect(decide([.unseen, .absent]) == .removeOwners(["o1"]))
    var graph = OwnershipGraph()
    _ = graph.put(node("child", owners: ["owner"]))
    _ = graph.put(node("other", owners: ["child"]))
    #expect(graph.dependentsOfUnknown(.configMaps) == ["child"])
    #expect(graph.dependentsOfUnknown(.secrets) == [])
    _ = graph.put(node("owner"))
    #expect(graph.dependentsOfUnknown(.configMaps) == [])
    _ = graph.put(node(.secrets, ["name": "s", "uid": "s"]))
    #expect(graph.removeAll(of: .configMaps) == [])
    #expect(graph.nodes.keys.sorted() == ["s"])
  }
}

@Suite struct NodeDecisions {
  private func node(ready: String?) -> Node {
    var json = Fixture.node("n")
    json["status"]["conditions"] = ready.map { [["type": "Ready", "status": .string($0)]] } ?? []
    return Node(json: json)
  }

  @Test func silenceMakesANodeUnreachable() {
    let start = MonotonicTime(nanoseconds: 0)
    let heartbeat = NodeHeartbeat(node: node(ready: "True"), lease: nil, now: start)
    func health(_ ready: String?, after seconds: Int64) -> NodeHealth {
      NodeHealth(node: node(ready: ready), heartbeat: heartbeat, now: start + .seconds(seconds))
    }
    #expect(health("True", after: 50) == .ready)
    #expect(health("True", after: 51) == .unreachable)
    #expect(health("False", after: 1) == .notReady)
    #expect(health(nil, after: 60) == .notReady)
    #expect(health(nil, after: 61) == .unreachable)
  }

  @Test func podsLeaveWhenTheirPatienceEnds() {
    func decide(_ tolerations: JSONValue) -> TaintEviction {
      var json = Fixture.pod("p", node: "n")
      json["spec"]["tolerations"] = tolerations
      return TaintEviction(pod: Pod(json: json), taints: [Taint(key: "down", effect: "NoExecute")])
    }
    #expect(decide([]) == .leave(after: .zero))
    #expect(decide([["operator": "Exists"]]) == .stay)
    #expect(decide([["key": "down", "operator": "Exists", "tolerationSeconds": 300]]) == .leave(after: .seconds(300)))
    #expect(
      decide([
        ["operator": "Exists", "tolerationSeconds": 300],
        ["key": "down", "operator": "Exists", "tolerationSeconds": 5],
      ]) == .leave(after: .seconds(5)))
  }
}

@Suite struct EndpointDecisions {
  private let service = Service(
    json: [
      "metadata": ["name": "web", "namespace": "default", "uid": "s"],
      "spec": [
        "clusterIP": "10.96.0.5", "selector": ["app": "web"],
        "ports": [["port": 80, "targetPort": 8080, "protocol": "TCP"]],
      ],
    ])

  @Test func slicesKeepWhatTheyHaveAndFillUp() {
    let pods = (0..<250).map { pod("p\($0)", ip: "10.0.\($0 / 200).\($0 % 200 + 1)") }
    let first = SlicePlan(existing: [], groups: EndpointGroups(service: service, pods: pods), maximum: 100)
    #expect(first.creations.map(\.endpoints.count) == [100, 100, 50])
    let slices = first.creations.enumerated().map { index, content in
      EndpointSlice(
        json: [
          "metadata": ["name": .string("s\(index)")], "addressType": "IPv4", "endpoints": .array(content.endpoints),
          "ports": .array(content.ports),
        ])
    }
    // One pod goes and another comes: one slice is written.
    let changed = Array(pods.dropFirst()) + [pod("new", ip: "10.0.9.9")]
    let second = SlicePlan(existing: slices, groups: EndpointGroups(service: service, pods: changed), maximum: 100)
    #expect(second.creations.isEmpty && second.deletions.isEmpty)
    let written = second.updates.filter { slice, content in slice.endpoints.elements != content.endpoints }
    #expect(written.count == 1)
    // Nobody is left: one empty slice stays.
    let none = SlicePlan(existing: slices, groups: EndpointGroups(service: service, pods: []), maximum: 100)
    #expect(none.updates.count == 1 && none.updates[0].1.endpoints.isEmpty && none.deletions.count == 2)
  }

  @Test func whoEndsServesButIsNotReady() {
    var json = Fixture.pod("p", node: "n", labels: ["app": "web"])
    json["metadata"]["deletionTimestamp"] = .string(now.rfc3339)
    json["status"] = [
      "podIP": "10.0.0.1", "phase": "Running", "conditions": [["type": "Ready", "status": "True"]],
    ]
    let groups = EndpointGroups(
      service: service, pods: [Pod(json: json), pod("done", phase: "Succeeded", ip: "10.0.0.2")])
    #expect(groups.groups.count == 1)
    let address = groups.groups[0].addresses
    #expect(address.count == 1 && !address[0].isReady && address[0].isServing && address[0].isTerminating)
    #expect(groups.groups[0].ports.map(\.port) == [8080])
  }
}
