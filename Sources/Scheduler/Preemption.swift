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
  private enum Attempt {
    case candidate(VictimMeasures)
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
    var best: (node: NodeIndex, measures: VictimMeasures)?
    var candidates = 0
    var victimless = 0
    var refused: [Refusal: Int] = [:]
    let nodes = error.resolvable
    let wanted = wantedCandidates(nodes.count)
    let offset = nodes.isEmpty ? 0 : Int.random(in: 0..<nodes.count, using: &chance)
    let roomOnly = FitState(pod, &snapshot, scoring: false).onlyRoomMatters
    var memo = snapshot.victimMemo.take(VictimMemo.Question(demand: pod.placed.demand, priority: pod.placed.priority))
    var victims: [PlacedPod] = []
    for step in nodes.indices {
      // Enough to choose from, one at least that breaks no budget.
      if candidates >= wanted, let best, best.measures.violations == 0 { break }
      let position = offset + step
      let node = nodes[position < nodes.count ? position : position - nodes.count]
      let isPlain = roomOnly && allowances.isEmpty && snapshot.rooms[node].nominations == 0
      var measures = isPlain ? memo.measures(node, version: snapshot.rooms[node].version) : nil
      if measures == nil {
        switch attempt(on: node, &snapshot, roomOnly: roomOnly, &victims) {
        case .candidate(let found):
          measures = found
          if isPlain { memo.remember(node, version: snapshot.rooms[node].version, found) }
        case .nothingToRemove: victimless += 1
        case .stillRefused(let refusals): for refusal in refusals { refused[refusal, default: 0] += 1 }
        }
      }
      guard let measures else { continue }
      candidates += 1
      if best.map({ measures.areBetter(than: $0.measures) }) ?? true { best = (node, measures) }
    }
    snapshot.victimMemo.put(back: memo)
    if let best {
      _ = attempt(on: best.node, &snapshot, roomOnly: roomOnly, &victims)
      return .victims(victims, node: snapshot.name(of: best.node))
    }
    return .helpless(
      FitError.text(
        nodeCount: error.nodeCount, refused,
        more: [
          "No preemption victims found for incoming pod": victimless,
          "Preemption is not helpful for scheduling": error.nodeCount - nodes.count,
        ]))
  }

  /// All victims that would make room, for others to choose from; empty when the pod may not or need not preempt.
  func choices<Chance: RandomNumberGenerator>(
    _ error: FitError, in snapshot: inout ClusterSnapshot, chance: inout Chance
  ) -> [VictimChoice] {
    guard mayPreempt, !waitsForVictims(error, snapshot) else { return [] }
    let nodes = error.resolvable
    let wanted = wantedCandidates(nodes.count)
    let offset = nodes.isEmpty ? 0 : Int.random(in: 0..<nodes.count, using: &chance)
    let roomOnly = FitState(pod, &snapshot, scoring: false).onlyRoomMatters
    var victims: [PlacedPod] = []
    var choices: [VictimChoice] = []
    for step in nodes.indices where choices.count < wanted {
      let node = nodes[(offset + step) % nodes.count]
      guard case .candidate(let measures) = attempt(on: node, &snapshot, roomOnly: roomOnly, &victims) else { continue }
      choices.append(VictimChoice(node: snapshot.name(of: node), victims: victims, measures: measures))
    }
    return choices
  }

  /// Victims are looked for on a tenth of the nodes where it may help, on a hundred at least (spec/6 §6.5).
  private func wantedCandidates(_ nodes: Int) -> Int {
    min(nodes, max(pod.profile.minimumCandidateNodes, nodes * pod.profile.candidateNodesPercent / 100))
  }

  /// Room is being made already: the victims of an earlier attempt have not gone yet.
  private func waitsForVictims(_ error: FitError, _ snapshot: ClusterSnapshot) -> Bool {
    guard let name = snapshot.nomination(of: pod.placed.uid), let index = snapshot.index(of: name),
      error.resolvable.contains(index)
    else { return false }
    return snapshot.table[index].pods.contains { $0.isVictim && $0.priority < pod.placed.priority }
  }

  // MARK: One node

  /// Takes all pods of lower priority off the node, and puts back as many as fit beside the new one. `victims`: those
  /// that would have to go, the most important first.
  private func attempt(
    on node: NodeIndex, _ snapshot: inout ClusterSnapshot, roomOnly: Bool, _ victims: inout [PlacedPod]
  ) -> Attempt {
    victims.removeAll(keepingCapacity: true)
    let pods = snapshot.table[node].pods
    let lower = pods[(pods.firstIndex { $0.priority < pod.placed.priority } ?? pods.count)...]
    guard !lower.isEmpty else { return .nothingToRemove }
    var trial = Trial(pod, node, snapshot, roomOnly: roomOnly && snapshot.rooms[node].nominations == 0)
    defer { trial.end(&snapshot) }
    for other in lower { trial.remove(other, &snapshot) }
    let answer = trial.answer(&snapshot)
    guard answer.fits else { return .stillRefused(answer.refusals) }
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
    return .candidate(VictimMeasures(victims, violations: violations))
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
