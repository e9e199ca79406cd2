// Commands on their way: which wait, which are placed where, which were answered. A value; the driver performs.

import DequeModule
import World

/// The proposals of one server from the moment a client asks until they are applied here or given up.
struct ProposalQueue {
  typealias Answer = CheckedContinuation<Result<CommandOutcome, StoreError>, Never>

  private struct Outstanding {
    let entry: [UInt8]
    let answer: Answer
    let deadline: MonotonicTime
    var isPlaced: Bool
    var placedAt: MonotonicTime
  }
  /// Sequence numbers between the oldest unanswered and the next: what the request table must remember of us.
  static let window: UInt64 = 8192
  /// Commands that wait before they get a number; past it they are refused at once.
  static let capacity = 32_768
  /// Bytes of commands that wait or are under way: what a group without a quorum may fill a server's memory with.
  static let capacityBytes = 256 << 20

  private let origin: UInt64
  private let incarnation: UInt64
  private var arrivals: Deque<(entry: [UInt8], answer: Answer, deadline: MonotonicTime)> = []
  private var outstanding: [UInt64: Outstanding] = [:]
  /// Numbers that must be sent, or sent again, in order.
  private var unsent: Deque<UInt64> = []
  private var nextSequence: UInt64 = 1
  private var waitingBytes = 0
  private var lowWatermark: UInt64 = 1

  init(origin: UInt64, incarnation: UInt64) {
    self.origin = origin
    self.incarnation = incarnation
  }

  /// Commands that have not been answered.
  var count: Int { arrivals.count + outstanding.count }
  /// Whether anything waits to be placed in a log.
  var hasUnsent: Bool { !unsent.isEmpty || (!arrivals.isEmpty && hasRoom) }
  private var hasRoom: Bool { nextSequence - lowWatermark < Self.window }

  /// Takes a command's entry; false when too many wait.
  mutating func add(_ entry: [UInt8], _ answer: Answer, deadline: MonotonicTime) -> Bool {
    guard arrivals.count < Self.capacity, waitingBytes < Self.capacityBytes else { return false }
    waitingBytes += entry.count
    arrivals.append((entry, answer, deadline))
    return true
  }

  /// The next entries to be placed, some `bytes` of them; they count as placed until told otherwise.
  mutating func takeUnsent(upTo bytes: Int, now: MonotonicTime) -> (sequences: [UInt64], entries: [[UInt8]]) {
    var sequences: [UInt64] = []
    var entries: [[UInt8]] = []
    var size = 0
    while size < bytes {
      if unsent.isEmpty {
        guard admitOne() else { break }
      }
      guard let sequence = unsent.popFirst() else { break }
      guard let proposal = outstanding[sequence] else { continue }  // Answered or given up meanwhile.
      outstanding[sequence]?.isPlaced = true
      outstanding[sequence]?.placedAt = now
      sequences.append(sequence)
      entries.append(proposal.entry)
      size += proposal.entry.count
    }
    return (sequences, entries)
  }

  /// These could not be placed: they come first the next time.
  mutating func putBack(_ sequences: [UInt64]) {
    for sequence in sequences.reversed() {
      outstanding[sequence]?.isPlaced = false
      unsent.prepend(sequence)
    }
  }

  /// Whatever was placed before `time` may have been lost with a leader or a connection: place it again. The state
  /// machine sees to it that it happens once.
  mutating func placeAgain(before time: MonotonicTime) {
    guard !outstanding.isEmpty else { return }
    let lost = outstanding.filter { $0.value.isPlaced && $0.value.placedAt <= time }.keys.sorted()
    if ReplicaMutant.retriedUnderNewNumber.isActive {
      for sequence in lost {
        guard let proposal = outstanding.removeValue(forKey: sequence) else { continue }
        arrivals.append((proposal.entry, proposal.answer, proposal.deadline))
      }
      return
    }
    putBack(lost)
  }

  /// The answer to a command that was applied; nil if nobody waits for it.
  mutating func answered(_ sequence: UInt64) -> Answer? {
    guard let proposal = outstanding.removeValue(forKey: sequence) else { return nil }
    waitingBytes -= proposal.entry.count
    advanceWatermark()
    return proposal.answer
  }

  /// Sequence numbers that are waited for.
  var waitingSequences: [UInt64] { outstanding.keys.sorted() }

  /// Those whose time is up.
  mutating func expired(_ now: MonotonicTime) -> [Answer] {
    var answers: [Answer] = []
    // Numbers are given in the order of arrival, and everyone waits equally long.
    while lowWatermark < nextSequence {
      if let proposal = outstanding[lowWatermark] {
        guard proposal.deadline <= now else { break }
        outstanding[lowWatermark] = nil
        waitingBytes -= proposal.entry.count
        answers.append(proposal.answer)
      }
      lowWatermark += 1
    }
    while let first = arrivals.first, first.deadline <= now {
      answers.append(first.answer)
      waitingBytes -= first.entry.count
      arrivals.removeFirst()
    }
    return answers
  }

  /// Everyone who waits, at the end.
  mutating func removeAll() -> [Answer] {
    let answers = arrivals.map(\.answer) + outstanding.sorted { $0.key < $1.key }.map(\.value.answer)
    arrivals = []
    outstanding = [:]
    waitingBytes = 0
    unsent = []
    lowWatermark = nextSequence
    return answers
  }

  private mutating func advanceWatermark() {
    while lowWatermark < nextSequence, outstanding[lowWatermark] == nil { lowWatermark += 1 }
  }

  /// Gives the oldest arrival its number, if the window has room.
  private mutating func admitOne() -> Bool {
    guard hasRoom, let arrival = arrivals.popFirst() else { return false }
    var entry = arrival.entry
    CommandEntry.stamp(
      &entry, RequestID(origin: origin, incarnation: incarnation, sequence: nextSequence), lowWatermark: lowWatermark)
    outstanding[nextSequence] = Outstanding(
      entry: entry, answer: arrival.answer, deadline: arrival.deadline, isPlaced: false,
      placedAt: MonotonicTime(nanoseconds: 0))
    unsent.append(nextSequence)
    nextSequence += 1
    return true
  }
}
