// Which requests have happened, and how they ended: what makes a retried proposal happen once.

import Raft
import Storage

/// Outcomes by request id, for as long as their origin may still retry. One origin is one server; its newest start
/// replaces older ones, so the table holds as many origins as the cluster had servers and, per origin, no more outcomes
/// than it keeps proposals in flight.
struct RequestTable: Sendable {
  struct Origin: Sendable {
    var incarnation: UInt64
    var lowWatermark: UInt64
    var outcomes: [UInt64: CommandOutcome] = [:]
  }
  enum Admission {
    case new
    /// It has happened already, and ended so.
    case repeated(CommandOutcome)
    /// Its origin has long stopped waiting for it: it must not happen now.
    case expired
  }
  private(set) var origins: [UInt64: Origin] = [:]

  init() {}
  init(origins: [UInt64: Origin]) { self.origins = origins }

  /// Decides whether the request is to be applied, and forgets what its origin no longer waits for.
  mutating func admit(_ request: RequestID, lowWatermark: UInt64) -> Admission {
    var origin = origins[request.origin] ?? Origin(incarnation: request.incarnation, lowWatermark: lowWatermark)
    guard request.incarnation >= origin.incarnation else { return .expired }
    origins[request.origin] = nil  // So that `origin` below is edited in place.
    defer { origins[request.origin] = origin }
    if request.incarnation > origin.incarnation {
      origin = Origin(incarnation: request.incarnation, lowWatermark: lowWatermark)
    }
    if lowWatermark > origin.lowWatermark {
      if lowWatermark - origin.lowWatermark <= UInt64(origin.outcomes.count) {
        for sequence in origin.lowWatermark..<lowWatermark { origin.outcomes[sequence] = nil }
      } else {
        origin.outcomes = origin.outcomes.filter { $0.key >= lowWatermark }
      }
      origin.lowWatermark = lowWatermark
    }
    if ReplicaMutant.duplicatesApplied.isActive { return .new }
    if let outcome = origin.outcomes[request.sequence] { return .repeated(outcome) }
    return request.sequence < origin.lowWatermark ? .expired : .new
  }

  /// Remembers how an admitted request ended.
  mutating func record(_ request: RequestID, _ outcome: CommandOutcome) {
    origins[request.origin]?.outcomes[request.sequence] = outcome
  }

  /// How a request ended, if it has happened and is still remembered.
  func outcome(of request: RequestID) -> CommandOutcome? {
    guard let origin = origins[request.origin], origin.incarnation == request.incarnation else { return nil }
    return origin.outcomes[request.sequence]
  }
}

extension RequestTable {
  /// Whether this may be what was remembered once everything up to the mark had been applied. The rows of a disk that lied
  /// about its syncs may be of any time, each with a good checksum, and the hash of the state is one of its objects. The
  /// digest in the stored mark tells, once this version of the tables has written one; before that, what the log holds up
  /// to there is remembered, unless its origin has gone on, and nothing that came later is.
  ///
  /// `entries`: of the log with which the table was stored, in any order, as far as they are there.
  func fits(_ mark: StateMark, _ entries: some Sequence<LogEntry>) -> Bool {
    guard newestRevision <= mark.revision else { return false }
    var requests: [RequestID] = []
    var isOfThatLog = false
    for entry in entries where entry.index <= mark.appliedIndex {
      // Of one term there is one log: who holds an entry of the mark's term holds what was applied before it (§5.3).
      if entry.term == mark.appliedTerm { isOfThatLog = true }
      if entry.kind == EntryKind.command.rawValue, let request = CommandEntry.request(of: entry.payload) {
        requests.append(request)
      }
    }
    return !isOfThatLog || requests.allSatisfy(knows)
  }

  /// Whether this request has happened, or can no longer happen.
  private func knows(_ request: RequestID) -> Bool {
    guard let origin = origins[request.origin] else { return false }
    if origin.incarnation != request.incarnation { return origin.incarnation > request.incarnation }
    return request.sequence < origin.lowWatermark || origin.outcomes[request.sequence] != nil
  }

  /// Of all that these outcomes tell of.
  private var newestRevision: Revision {
    var newest: Revision = 0
    for outcome in origins.values.lazy.flatMap(\.outcomes.values) {
      switch outcome {
      case .committed(let changes): newest = max(newest, changes.last?.revision ?? 0)
      case .failed(_, let current): newest = max(newest, current?.revision ?? 0)
      }
    }
    return newest
  }
}
