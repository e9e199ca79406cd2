// Linearizable reads on their way: everyone who waits when a read index is asked for shares it.

import DequeModule
import Raft
import World

struct ReadQueue {
  typealias Answer = ReplicaDriver.ReadAnswer
  private typealias Waiting = (answer: Answer, deadline: MonotonicTime)

  private var waiting: Deque<Waiting> = []
  private var asked: [ReadID: (reads: [Waiting], at: MonotonicTime)] = [:]

  /// Reads that have not been answered.
  var count: Int { asked.values.reduce(waiting.count) { $0 + $1.reads.count } }
  var hasWaiting: Bool { !waiting.isEmpty }

  mutating func add(_ answer: Answer, deadline: MonotonicTime) { waiting.append((answer, deadline)) }

  /// Everyone who waits now waits for this read index.
  mutating func asked(_ id: ReadID, now: MonotonicTime) {
    asked[id] = (Array(waiting), now)
    waiting = []
  }

  /// The read index has come, and what it requires is applied.
  mutating func served(_ id: ReadID) -> [Answer] {
    asked.removeValue(forKey: id)?.reads.map(\.answer) ?? []
  }

  /// Nothing will come of these: ask again.
  mutating func abandoned(_ ids: [ReadID]) {
    for id in ids {
      guard let (reads, _) = asked.removeValue(forKey: id) else { continue }
      waiting.append(contentsOf: reads)
    }
  }

  /// A question or its answer may have been lost on the way.
  mutating func askAgain(before time: MonotonicTime) {
    guard !asked.isEmpty else { return }
    abandoned(asked.filter { $0.value.at <= time }.keys.sorted { $0.number < $1.number })
  }

  /// Those whose time is up.
  mutating func expired(_ now: MonotonicTime) -> [Answer] {
    guard waiting.contains(where: { $0.deadline <= now }) else { return [] }
    let late = waiting.filter { $0.deadline <= now }
    waiting.removeAll { $0.deadline <= now }
    return late.map(\.answer)
  }

  mutating func removeAll() -> [Answer] {
    defer {
      waiting = []
      asked = [:]
    }
    let inOrder = asked.sorted { $0.key.number < $1.key.number }
    return waiting.map(\.answer) + inOrder.flatMap { $0.value.reads.map(\.answer) }
  }
}
