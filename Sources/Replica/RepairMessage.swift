// What a server whose disk is damaged asks its peers, and what they answer. Whoever is asked answers from what it holds,
// whether it leads, follows, or is being repaired itself.

import Raft
import Storage

enum RepairMessage: Sendable {
  /// Entries from `first` on.
  case entries(EntriesRequest)
  case entriesAnswer(EntriesAnswer)
  /// Objects as they were at a revision, `rowsPerRequest` at most.
  case rows(revision: Revision, keys: [ObjectKey])
  /// In the order of the keys of the request; nil where there was none.
  case rowsAnswer(revision: Revision, objects: [StoredObject?])
  /// A whole state, as a snapshot.
  case state

  var isAnswer: Bool {
    switch self {
    case .entriesAnswer, .rowsAnswer: true
    case .entries, .rows, .state: false
    }
  }

  /// As many of the largest objects as a frame holds with room.
  static let rowsPerRequest = 4
  /// Bytes of entries in an answer.
  static let entriesBytes = 1 << 20
}

struct EntriesRequest: Sendable, Equatable {
  var first: LogIndex
  /// The entry before, which the asker has.
  var previousTerm: Term
  /// An entry at or behind `first` that the asker had: a log that holds it is the same up to there (log matching, §5.3).
  var check: LogPosition?
  /// The asker's term: a leader of a lower one cannot speak for what the asker acknowledged. A higher one, when all that
  /// is left to find out is that nobody ever had the entries.
  var term: Term

  /// Through where another log holds the very entries that the asker had from `first` on; nil: it does not, or cannot
  /// tell. `term`: of that log's entries; nil where it does not know.
  func commonEnd(lastIndex: LogIndex, term: (LogIndex) -> Term?) -> LogIndex? {
    guard let check else { return nil }
    if term(check.index) == check.term {
      // What stands before the hole may have come with another server's state: a log that holds the entry behind it and
      // another before it shows that the asker's end was never committed. That is for a leader to say.
      return term(first - 1) ?? previousTerm == previousTerm ? check.index : nil
    }
    // Terms do not fall along a log: what lay between two entries of one term was of that term, and an index and a term
    // name one entry (§5.3).
    guard check.term == previousTerm else { return nil }
    var last = first - 1
    while last < min(lastIndex, check.index), term(last + 1) == previousTerm { last += 1 }
    return last >= first ? last : nil
  }

  /// Whether a log, which ends at `lastIndex`, surely does not hold the entry that the asker had at `first`: it ends before
  /// that, or holds one of a term that the asker's cannot have been of, for terms do not fall along a log.
  func isAbsent(lastIndex: LogIndex, term: (LogIndex) -> Term?) -> Bool {
    if lastIndex < first { return true }
    guard let held = term(first) else { return false }
    if let check, check.term != 0, held > check.term { return true }
    return held < previousTerm
  }
}

struct EntriesAnswer: Sendable, Equatable {
  enum Authority: UInt8, Sendable {
    /// These are the entries that the asker had: the log holds `check`, or what lies between is of one term.
    case sameLog = 1
    /// The log of a leader whose term is not below the asker's, which holds `previousTerm` before `first` and does not
    /// hold `check`: whatever the asker had from `first` on and this log has not was never committed.
    case leader = 2
    /// Nothing can be said.
    case none = 3
    /// Entries from `first` on have been let go of: there is only the state they led to.
    case compacted = 4
    /// This log does not hold the entry that the asker had at `first`, nor will this server take it from a leader of a term
    /// below the asker's: its own is durably no lower. It knows of no leader.
    case absent = 5
    /// The log of a leader whose term is not below the asker's, which does not hold what the asker has before `first`:
    /// whatever the asker had from there on was never committed. What this log holds there instead, the leader sends
    /// as to any follower.
    case diverged = 6
  }
  var first: LogIndex
  var authority: Authority
  /// The last entry of that log.
  var lastIndex: LogIndex
  /// Consecutive from `first`, as many as are at hand and fit.
  var entries: [Entry]
}

extension PeerMessage {
  /// Heard also by a server that is being repaired. Reports tell it where servers are that its disk knows nothing of any
  /// more: among them may be the one that leads.
  var concernsRepair: Bool {
    switch self {
    case .repair, .report, .snapshotOffer, .snapshotAnswer, .snapshotChunk, .snapshotReply: true
    default: false
    }
  }
}

extension ByteWriter {
  mutating func write(_ message: RepairMessage) {
    switch message {
    case .entries(let request):
      byte(1)
      word(request.first)
      word(request.previousTerm)
      flag(request.check != nil)
      if let check = request.check {
        word(check.index)
        word(check.term)
      }
      word(request.term)
    case .entriesAnswer(let answer):
      byte(2)
      word(answer.first)
      byte(answer.authority.rawValue)
      word(answer.lastIndex)
      number(answer.entries.count)
      for entry in answer.entries { blob(entry.encoded()) }
    case .rows(let revision, let keys):
      byte(3)
      word(revision)
      number(keys.count)
      for key in keys { write(key) }
    case .rowsAnswer(let revision, let objects):
      byte(4)
      word(revision)
      number(objects.count)
      for object in objects {
        flag(object != nil)
        if let object { write(object) }
      }
    case .state: byte(5)
    }
  }
}

extension ByteReader {
  mutating func repairMessage() throws(CodecError) -> RepairMessage {
    switch try byte() {
    case 1:
      let first = try word()
      let previousTerm = try word()
      var check: LogPosition?
      if try flag() {
        let index = try word()
        check = LogPosition(index: index, term: try word())
      }
      return .entries(EntriesRequest(first: first, previousTerm: previousTerm, check: check, term: try word()))
    case 2:
      let first = try word()
      guard let authority = EntriesAnswer.Authority(rawValue: try byte()) else {
        throw CodecError("entries of unknown authority")
      }
      let lastIndex = try word()
      var entries: [Entry] = []
      for _ in 0..<(try count()) {
        let bytes = try blob()
        do throws(CodingError) { entries.append(try Entry(decoding: bytes)) } catch {
          throw CodecError("entry: \(error)")
        }
      }
      return .entriesAnswer(
        EntriesAnswer(first: first, authority: authority, lastIndex: lastIndex, entries: entries))
    case 3:
      let revision = try word()
      var keys: [ObjectKey] = []
      for _ in 0..<(try count()) { keys.append(try key()) }
      return .rows(revision: revision, keys: keys)
    case 4:
      let revision = try word()
      var pool = StringPool()
      var objects: [StoredObject?] = []
      for _ in 0..<(try count()) { objects.append(try flag() ? try object(&pool) : nil) }
      return .rowsAnswer(revision: revision, objects: objects)
    case 5: return .state
    case let tag: throw CodecError("repair message of unknown kind \(tag)")
    }
  }
}
