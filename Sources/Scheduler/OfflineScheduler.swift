// Decisions without an API: for measuring them, and for tests.
import Client
import Schema

/// A cluster that exists only here, on which pods are put one after the other.
public struct OfflineScheduler {
  public enum Outcome: Sendable, Equatable {
    case placed(node: String)
    /// Room must be made: these pods would have to go. They still stand.
    case madeRoom(node: String, victims: [String])
    /// In kube-scheduler's words.
    case refused(String)
  }

  var snapshot = ClusterSnapshot()
  private var cycle = SchedulingCycle()
  private let profile: SchedulerProfile

  public init(nodes: [Node]) { self.init(nodes: nodes, profile: .standard) }

  init(nodes: [Node], profile: SchedulerProfile) {
    self.profile = profile
    for node in nodes { snapshot.put(node) }
  }

  /// Decides for a pod and places it where it fits. `spread`: the selector of the Service or workload that it belongs to.
  public mutating func put(
    _ pod: Pod, spread: LabelSelector? = nil, budgets: [PodDisruptionBudget] = [],
    using chance: inout some RandomNumberGenerator
  ) -> Outcome {
    let prepared = PodToSchedule(pod, defaultSpread: spread, namespaces: snapshot.namespaces, profile: profile)
    switch cycle.choose(prepared, in: &snapshot, chance: &chance) {
    case .success(let node):
      snapshot.place(prepared.placed, on: node)
      return .placed(node: node)
    case .failure(var error):
      guard error.nodeCount > 0, profile.has(.defaultPreemption, at: .postFilter) else {
        return .refused(error.message)
      }
      let preemption = Preemption(prepared, policy: pod.spec.preemptionPolicy, budgets: budgets)
      switch preemption.plan(error, in: &snapshot, chance: &chance) {
      case .victims(let victims, let node): return .madeRoom(node: node, victims: victims.map(\.uid))
      case .forbidden(let why), .waiting(let why), .helpless(let why):
        error.preemption = why
        return .refused(error.message)
      }
    }
  }

  /// Puts a pod on a node, whether it fits or not.
  public mutating func force(_ pod: Pod, on node: String) { snapshot.place(PlacedPod(pod), on: node) }
  public mutating func remove(uid: String) { snapshot.remove(pod: uid) }
  public mutating func label(namespace: String, _ labels: [String: String]) {
    snapshot.namespaceLabels[namespace] = labels
  }
  public mutating func put(_ node: Node) { snapshot.put(node) }
}
