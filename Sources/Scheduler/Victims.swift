// What makes one node's victims a better choice than another's, and the memory of it.
import World

/// By what nodes are compared on which room can be made (spec/6 §6.5).
struct VictimMeasures: Sendable, BitwiseCopyable {
  /// Victims that no budget allows to disrupt.
  let violations: Int32
  let count: Int32
  let highestPriority: Int64
  /// Priorities may be negative: each is raised by 2³¹, so that more victims never sum up to less.
  let prioritySum: Int64
  /// When the first of the most important ones started, in nanoseconds; the largest number if none has.
  let earliestStart: Int64

  /// `victims`: not empty, the most important first.
  init(_ victims: [PlacedPod], violations: Int) {
    precondition(!victims.isEmpty, "room is made by removing somebody")
    let highest = victims[0].priority
    self.violations = Int32(clamping: violations)
    count = Int32(victims.count)
    highestPriority = highest
    prioritySum = victims.reduce(0) { $0 + $1.priority + 1 << 31 }
    // Of pods of one priority, the one that has run longest comes first.
    earliestStart = victims[0].startTime?.nanosecondsSinceEpoch ?? Int64.max
  }

  /// Fewest broken budgets; then the least important of most important victims; then the smallest sum of priorities;
  /// then the fewest victims; then those that have run for the shortest time.
  func areBetter(than other: Self) -> Bool {
    if violations != other.violations { return violations < other.violations }
    if highestPriority != other.highestPriority { return highestPriority < other.highestPriority }
    if prioritySum != other.prioritySum { return prioritySum < other.prioritySum }
    if count != other.count { return count < other.count }
    return earliestStart > other.earliestStart
  }
}

/// Victims on one node.
struct VictimChoice: Sendable {
  var node: String
  /// The most important first.
  var victims: [PlacedPod]
  var measures: VictimMeasures
}

/// Pods of one workload ask the same of every node: what was found on nodes that have not changed since is kept. Only
/// answers that depend on the node alone are put here: no budgets, nothing that other nodes have a say in.
struct VictimMemo: Sendable {
  struct Question: Hashable, Sendable {
    var demand: RoomDemand
    var priority: Int64
  }

  struct Answers: Sendable {
    fileprivate let question: Question
    /// By node.
    private var measures: [(version: UInt64, measures: VictimMeasures)?] = []

    fileprivate init(_ question: Question) { self.question = question }

    func measures(_ node: NodeIndex, version: UInt64) -> VictimMeasures? {
      guard node < measures.count, let known = measures[node], known.version == version else { return nil }
      return known.measures
    }

    mutating func remember(_ node: NodeIndex, version: UInt64, _ found: VictimMeasures) {
      while measures.count <= node { measures.append(nil) }
      measures[node] = (version, found)
    }
  }

  /// Questions kept: workloads that make room at the same time.
  private static let maximumCount = 8

  private var answers: [Question: Answers] = [:]

  /// Takes the answers out, to be put back.
  mutating func take(_ question: Question) -> Answers { answers.removeValue(forKey: question) ?? Answers(question) }

  mutating func put(back: Answers) {
    if answers.count >= Self.maximumCount { answers = [:] }
    answers[back.question] = back
  }
}
