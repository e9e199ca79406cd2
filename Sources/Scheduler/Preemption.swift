// Making room: which pods of lower priority must go so that a pod fits (spec/6 §6.5, DefaultPreemption).
import Client
import Schema
import World

/// What became of an attempt to make room.
enum PreemptionOutcome: Sendable {
  /// Room is made on `node` when `victims` have gone.
  case victims([PlacedPod], node: String)
  /// The tails of messages that follow "preemption: ". The pod may not remove others …
  case forbidden(String)
  /// … or has done so and waits for them to go …
  case waiting(String)
  /// … or it would not help.
  case helpless(String)
}

/// Pods of a budget may be disrupted, but not all of them.
struct DisruptionAllowance: Sendable {
  var namespace: String
  var selector: LabelSelector
  var allowed: Int64
  /// Names of pods that have been counted already.
  var disrupted: Set<String>

  init(_ budget: PodDisruptionBudget) {
    namespace = budget.metadata.namespace
    selector = budget.selector
    allowed = budget.status.disruptionsAllowed
    disrupted = Set(budget.status.disruptedPods.keys)
  }

  func covers(_ pod: PlacedPod) -> Bool {
    namespace == pod.key.namespace && !selector.isEverything && selector.matches(pod.labels)
      && !disrupted.contains(pod.key.name)
  }
}

struct Preemption {
  /// Nodes on which victims are looked for: a tenth of those that may help, at least so many (spec/6 §6.5).
  private static let minimumCandidates = 100
  private static let candidatePercent = 10

  private struct Candidate {
    var node: NodeIndex
    /// The most important first.
    var victims: [PlacedPod]
    /// How many of them no budget allows to disrupt.
    var violations: Int
  }
  private enum Attempt {
    case candidate(Candidate)
    case nothingToRemove
    case stillRefused([Refusal])
  }

  let pod: PodToSchedule
  let mayPreempt: Bool
  let allowances: [DisruptionAllowance]

  init(_ pod: PodToSchedule, policy: String, budgets: [PodDisruptionBudget]) {
    self.pod = pod
    mayPreempt = policy != "Never"
    allowances = budgets.map(DisruptionAllowance.init)
  }

  /// Chooses victims for a pod that `error` says fits nowhere. The snapshot holds afterwards what it held before.
  func plan<Chance: RandomNumberGenerator>(
    _ error: FitError, in snapshot: inout ClusterSnapshot, chance: inout Chance
  ) -> PreemptionOutcome {
    guard mayPreempt else { return .forbidden("not eligible due to preemptionPolicy=Never.") }
    if waitsForVictims(error, snapshot) {
      return .waiting("not eligible due to a terminating pod on the nominated node.")
    }
    var candidates: [Candidate] = []
    var victimless = 0
    var refused: [Refusal: Int] = [:]
    let nodes = error.resolvable
    let wanted = min(nodes.count, max(Self.minimumCandidates, nodes.count * Self.candidatePercent / 100))
    let offset = nodes.isEmpty ? 0 : Int.random(in: 0..<nodes.count, using: &chance)
    let fit = FitState(pod, &snapshot, scoring: false)
    let roomOnly = fit.onlyRoomMatters
    for step in nodes.indices {
      // Enough to choose from, one at least that breaks no budget.
      if candidates.count >= wanted && candidates.contains(where: { $0.violations == 0 }) { break }
      switch attempt(on: nodes[(offset + step) % nodes.count], &snapshot, roomOnly: roomOnly) {
      case .candidate(let candidate): candidates.append(candidate)
      case .nothingToRemove: victimless += 1
      case .stillRefused(let refusals): for refusal in refusals { refused[refusal, default: 0] += 1 }
      }
    }
    if let best = Self.best(candidates) {
      return .victims(best.victims, node: snapshot.name(of: best.node))
    }
    return .helpless(
      FitError.text(
        nodeCount: error.nodeCount, refused,
        more: [
          "No preemption victims found for incoming pod": victimless,
          "Preemption is not helpful for scheduling": error.nodeCount - nodes.count,
        ]))
  }

  /// Room is being made already: the victims of an earlier attempt have not gone yet.
  private func waitsForVictims(_ error: FitError, _ snapshot: ClusterSnapshot) -> Bool {
    guard let name = snapshot.nomination(of: pod.placed.uid), let index = snapshot.index(of: name),
      error.resolvable.contains(index)
    else { return false }
    return snapshot.table[index].pods.contains { $0.isVictim && $0.priority < pod.placed.priority }
  }

  // MARK: One node

  /// Takes all pods of lower priority off the node, and puts back as many as fit beside the new one.
  private func attempt(on node: NodeIndex, _ snapshot: inout ClusterSnapshot, roomOnly: Bool) -> Attempt {
    let pods = snapshot.table[node].pods
    let lower = pods[(pods.firstIndex { $0.priority < pod.placed.priority } ?? pods.count)...]
    guard !lower.isEmpty else { return .nothingToRemove }
    var trial = Trial(pod, node, snapshot, roomOnly: roomOnly && snapshot.rooms[node].nominations == 0)
    defer { trial.end(&snapshot) }
    for other in lower { trial.remove(other, &snapshot) }
    let answer = trial.answer(&snapshot)
    guard answer.fits else { return .stillRefused(answer.refusals) }
    var victims: [PlacedPod] = []
    var violations = 0
    /// Those that no longer fit beside the new one have to go.
    func putBack(_ pods: some Sequence<PlacedPod>) {
      for other in pods {
        trial.putBack(other, &snapshot)
        guard !trial.answer(&snapshot).fits else { continue }
        trial.remove(other, &snapshot)
        victims.append(other)
      }
    }
    if allowances.isEmpty {
      putBack(lower)
    } else {
      let (violating, others) = splitByBudgets(lower)
      putBack(violating)
      violations = victims.count
      putBack(others)
      victims.sort(by: PlacedPod.mostImportantFirst)
    }
    guard !victims.isEmpty else { return .stillRefused([]) }
    return .candidate(Candidate(node: node, victims: victims, violations: violations))
  }

  /// Pods whose removal some budget does not allow, those before them having been counted; and the others.
  private func splitByBudgets(_ pods: ArraySlice<PlacedPod>) -> (violating: [PlacedPod], others: [PlacedPod]) {
    var left = allowances
    var violating: [PlacedPod] = []
    var others: [PlacedPod] = []
    for pod in pods {
      var violates = false
      for index in left.indices where !pod.labels.isEmpty && left[index].covers(pod) {
        left[index].allowed -= 1
        if left[index].allowed < 0 { violates = true }
      }
      if violates { violating.append(pod) } else { others.append(pod) }
    }
    return (violating, others)
  }

  // MARK: The best node

  /// Fewest broken budgets; then the least important of most important victims; then the smallest sum of priorities;
  /// then the fewest victims; then those that have run for the shortest time; then the first.
  private static func best(_ candidates: [Candidate]) -> Candidate? {
    var left = candidates
    func keepLeast(_ measure: (Candidate) -> Int64) {
      guard left.count > 1 else { return }
      let measures = left.map(measure)
      let least = measures.min()
      left = zip(left, measures).filter { $0.1 == least }.map(\.0)
    }
    keepLeast { Int64($0.violations) }
    keepLeast { $0.victims[0].priority }
    // Priorities may be negative: each is raised by 2³¹, so that more victims never sum up to less.
    keepLeast { $0.victims.reduce(0) { $0 + $1.priority + 1 << 31 } }
    keepLeast { Int64($0.victims.count) }
    keepLeast { candidate in
      let highest = candidate.victims[0].priority
      let starts = candidate.victims.filter { $0.priority == highest }
        .map { $0.startTime?.nanosecondsSinceEpoch ?? Int64.max }
      return -(starts.min() ?? 0)
    }
    return left.first
  }
}

/// What would be if pods were not on a node. Where only room matters, it is arithmetic; else the snapshot itself is
/// changed, and changed back.
private struct Trial {
  private let pod: PodToSchedule
  private let demand: RoomDemand
  private let node: NodeIndex
  private let roomOnly: Bool
  private var room: NodeRoom
  private var removed: [String: PlacedPod] = [:]

  init(_ pod: PodToSchedule, _ node: NodeIndex, _ snapshot: borrowing ClusterSnapshot, roomOnly: Bool) {
    self.pod = pod
    self.node = node
    self.roomOnly = roomOnly
    demand = pod.placed.demand
    room = snapshot.rooms[node]
  }

  mutating func remove(_ other: PlacedPod, _ snapshot: inout ClusterSnapshot) {
    guard !roomOnly else { return room.remove(other.demand) }
    removed[other.uid] = other
    snapshot.lift(other, from: node)
  }

  mutating func putBack(_ other: PlacedPod, _ snapshot: inout ClusterSnapshot) {
    guard !roomOnly else { return room.add(other.demand) }
    removed[other.uid] = nil
    snapshot.settle(other, on: node)
  }

  /// What the node says now. Nodes come here only when what cannot be cured by removing pods does not stand against the
  /// pod: where only room matters, room alone is asked for.
  func answer(_ snapshot: inout ClusterSnapshot) -> NodeAnswer {
    guard roomOnly else { return FitState(pod, &snapshot, scoring: false).answer(node, &snapshot) }
    let shortages = room.shortages(demand)
    return shortages.isEmpty ? .fits : .refused(shortages)
  }

  mutating func end(_ snapshot: inout ClusterSnapshot) {
    for other in removed.values { snapshot.settle(other, on: node) }
    removed = [:]
  }
}
