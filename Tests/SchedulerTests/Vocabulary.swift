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
  private var offline: OfflineScheduler
  private var chance = Chance()

  var snapshot: ClusterSnapshot {
    get { offline.snapshot }
    _modify { yield &offline.snapshot }
  }

  init(nodes: [JSONValue]) { offline = OfflineScheduler(nodes: nodes.map(Node.init(json:))) }

  static func pod(_ name: String, labels: JSONValue = [:], spec: JSONValue = .null) -> Pod {
    var json = Fixture.pod(name, labels: labels)
    json["metadata"]["uid"] = .string("uid-\(name)")
    for (key, value) in spec.object?.members ?? [] { json["spec"][key] = value }
    return Pod(json: json)
  }

  /// Decides for a pod and places it; the node, or the words of the refusal without what follows of preemption.
  @discardableResult
  mutating func put(_ pod: Pod, spread: LabelSelector? = nil) -> String {
    switch offline.put(pod, spread: spread, using: &chance) {
    case .placed(let node): return node
    case .madeRoom(let node, let victims): return "room on \(node) of \(victims.joined(separator: ", "))"
    case .refused(let text): return text.split(separator: " preemption: ").first.map(String.init) ?? text
    }
  }

  /// What would be done so that a pod fits that does not.
  mutating func outcome(_ pod: Pod, budgets: [PodDisruptionBudget] = []) -> OfflineScheduler.Outcome {
    offline.put(pod, budgets: budgets, using: &chance)
  }

  /// Puts a pod on a node, whether it fits or not.
  mutating func force(_ pod: Pod, on node: String) { offline.force(pod, on: node) }
}
