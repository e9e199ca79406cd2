// Nodes and pods of the scheduler's tests, and decisions without an API.
import Client
import JSON
import Schema
import TestSupport
import World

@testable import Scheduler

/// Deterministic chance.
struct Chance: RandomNumberGenerator {
  var state: UInt64 = 7
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state
  }
}

/// A cluster on which pods are put one after the other.
struct Bench {
  var snapshot = ClusterSnapshot()
  var cycle = SchedulingCycle()
  var chance = Chance()
  private var count = 0

  init(nodes: [JSONValue]) { for node in nodes { snapshot.put(Node(json: node)) } }

  static func pod(_ name: String, labels: JSONValue = [:], spec: JSONValue = .null) -> Pod {
    var json = Fixture.pod(name, labels: labels)
    json["metadata"]["uid"] = .string("uid-\(name)")
    for (key, value) in spec.object?.members ?? [] { json["spec"][key] = value }
    return Pod(json: json)
  }

  /// Decides for a pod and places it; the node, or the words of the refusal.
  @discardableResult
  mutating func put(_ pod: Pod, spread: LabelSelector? = nil) -> String {
    let prepared = PodToSchedule(pod, defaultSpread: spread, namespaces: snapshot.namespaces)
    switch cycle.choose(prepared, in: &snapshot, chance: &chance) {
    case .success(let node):
      snapshot.place(prepared.placed, on: node)
      return node
    case .failure(let error): return error.message
    }
  }

  /// Puts a pod on a node, whether it fits or not.
  mutating func force(_ pod: Pod, on node: String) { snapshot.place(PlacedPod(pod), on: node) }

  /// What would be done so that a pod fits that does not.
  mutating func preempt(_ pod: Pod, budgets: [PodDisruptionBudget] = []) -> PreemptionOutcome? {
    let prepared = PodToSchedule(pod, defaultSpread: nil, namespaces: snapshot.namespaces)
    guard case .failure(let error) = cycle.choose(prepared, in: &snapshot, chance: &chance) else { return nil }
    return Preemption(prepared, policy: pod.spec.preemptionPolicy, budgets: budgets)
      .plan(error, in: &snapshot, chance: &chance)
  }
}
