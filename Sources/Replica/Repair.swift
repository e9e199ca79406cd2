// The repair of a damaged disk from peers, as a value: what to ask whom, what an answer means, when all is whole again.
// The guide is Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage" (FAST '18).
//
// A server whose disk has lost entries that it may have acknowledged, or rows of its state, takes no part in anything
// until it has them back: it neither votes (what it lost could have refused a candidate) nor acknowledges nor serves; to
// the others it is as good as down, except that it answers what they ask for their own repair from what it still has.
// Thus damage on all servers, in different places, is survived: each finds what it lost with another.
//
// Rows first: from any peer, and believed when the state comes to the hash that was stored with it; where that fails, or
// nobody knows which rows are lost, a whole state is fetched as a snapshot. Then the log, which may begin behind that
// state: by log matching any log that holds an entry behind the hole holds what was in it. A leader that does not hold
// that entry shows that it was never committed, and its own log takes the place of ours from the hole on. Where nobody can
// be elected without this server, the same is shown by so many servers that never held the entry that those who may have
// are less than half.

import Raft
import Storage
import World

/// A repair under way, for displays.
public struct RepairStatus: Sendable, Equatable {
  /// Entries that are missing (nil: how far the log went is not known) and objects whose rows are lost.
  public var missingEntries: UInt64?
  public var lostObjects: Int
  /// The rows cannot be told one by one: the whole state is being fetched.
  public var needsWholeState: Bool
  /// Questions that were sent.
  public var asked: UInt64
}

/// What a repair has come to: a log without holes and a state that is whole, both to be written before they count.
struct RepairedDisk: Sendable {
  var machine: StateMachine
  /// Objects to be written, in key order; nil when the state was not touched.
  var stateChanges: [ObjectRowChange]?
  var mark: StateMark
  var log: LogContents
  /// Brings the stored log to what `log` says.
  var logWrite: LogWrite
}

struct Repair: Sendable {
  /// Silence after which the next peer is asked.
  static let patience = Duration.milliseconds(500)
  /// The same while a snapshot comes in.
  static let snapshotPatience = Duration.seconds(5)
  /// So many questions in a row without an answer, and a peer counts as one that cannot help.
  static let maxSilences = 3
  /// The same for rows; when no peer can help, a whole state is asked for, which may be an older one. A peer that has not
  /// applied as much as this server had cannot know the rows, and may need this server to apply more.
  static let maxRowSilences = 10
  /// More lost rows than this are not fetched one by one.
  static let maxRows = 4096

  enum State {
    /// As stored.
    case whole(StateMachine)
    /// These objects are missing from what is stored; some have been found.
    case partial([ObjectKey], found: [ObjectKey: StoredObject?])
    case lost
  }

  /// Whom to ask: the other servers, as far as they are known.
  var peers: [NodeID]
  let stored: ObjectMap
  let mark: StateMark?
  private let requests: [UInt64: [UInt8]]
  private(set) var state: State
  /// The state was changed, and must be written.
  private var isStateNew = false
  /// As of the state, where that came from a peer.
  private(set) var metadata: SnapshotMetadata?

  // The log: what is good of it, by index, with where it begins and ends.
  private(set) var hardState: LogHardState
  private(set) var base: LogBase
  private(set) var entries: [LogIndex: LogEntry]
  private var fetched: [LogIndex: LogEntry] = [:]
  /// Stored, and perhaps not what followed the state that came from elsewhere: asked for anew.
  private var doubted: LogEntry?
  /// The last entry that was acknowledged; nil when it is not known: then only a leader can say.
  private(set) var end: LogPosition?
  private var truncateFrom: LogIndex?
  /// Whose log takes the place of ours, through which index.
  private(set) var leaderEnd: LogIndex?
  private var isBaseNew = false

  // Asking.
  private var nextPeer = 0
  private var asked: (peer: NodeID, at: MonotonicTime, isState: Bool)?
  private var refusals: [NodeID: EntriesAnswer.Authority] = [:]
  private var silences: [NodeID: Int] = [:]
  private var rowRefusals: Set<NodeID> = []
  /// An entry that is to be had only as a part of a state: an earlier one is of no use.
  private var stateThrough: LogIndex = 0
  /// A term that this server has acknowledged nothing in, in which others are to say that they never held an entry: from
  /// then on no leader that counts this server's acknowledgement can have theirs.
  private var claimedTerm: Term?
  private(set) var askedTotal: UInt64 = 0

  /// `configuration`: where the stored log does not say.
  init(_ disk: ReplicaDisk, peers: [NodeID], configuration: Configuration) {
    self.peers = peers
    let (log, state) = (disk.directory.logContents, disk.directory.stateContents)
    stored = disk.map
    mark = state.mark
    requests = state.requests
    hardState = log.hardState
    base = log.base ?? LogBase(index: 0, term: 0, configuration: configuration.encoded())
    entries = Dictionary(
      (log.entries + (log.damage?.entriesBeyond ?? [])).map { ($0.index, $0) }, uniquingKeysWith: { first, _ in first })
    if let damage = log.damage {
      end = damage.lastAcknowledged
    } else {
      end = LogPosition(
        index: log.entries.last?.index ?? base.index, term: log.entries.last?.term ?? base.term)
    }
    self.state = Self.stored(disk)
    if case .whole(let machine) = self.state { takeBoundary(of: machine) }
  }

  private static func stored(_ disk: ReplicaDisk) -> State {
    let contents = disk.directory.stateContents
    if let damage = contents.damage {
      guard !damage.isIncomplete, damage.requests.isEmpty, contents.mark != nil, damage.objects.count <= maxRows else {
        return .lost
      }
      return .partial(damage.objects.map(ObjectKey.init), found: [:])
    }
    guard let machine = try? disk.storedMachine() else { return .lost }
    return .whole(machine)
  }

  var status: RepairStatus {
    var status = RepairStatus(missingEntries: nil, lostObjects: 0, needsWholeState: false, asked: askedTotal)
    if end != nil { status.missingEntries = UInt64(missing.count) }
    switch state {
    case .whole: break
    case .partial(let keys, let found): status.lostObjects = keys.count - found.count
    case .lost: status.needsWholeState = true
    }
    return status
  }

  // MARK: The log's holes

  var appliedIndex: LogIndex? {
    if case .whole(let machine) = state { return machine.appliedIndex }
    return nil
  }

  /// The first entry that is missing behind what the state includes; nil when none is.
  private var firstMissing: LogIndex? {
    let applied = max(appliedIndex ?? 0, base.index)
    var index = applied + 1
    while entries[index] != nil { index += 1 }
    if let leaderEnd { return index <= leaderEnd ? index : nil }
    guard let end else { return index }
    return index <= end.index ? index : nil
  }

  private var missing: [LogIndex] {
    guard let end, end.index > base.index else { return [] }
    let applied = max(appliedIndex ?? 0, base.index)
    return applied < end.index ? ((applied + 1)...end.index).filter { entries[$0] == nil } : []
  }

  func term(at index: LogIndex) -> Term? {
    if index == base.index { return base.term }
    if case .whole(let machine) = state, index == machine.appliedIndex { return machine.appliedTerm }
    return entries[index]?.term
  }

  // MARK: Asking

  /// What to send now, if anything. Nil also when all is whole (`result`).
  mutating func ask(_ now: MonotonicTime) -> (to: NodeID, RepairMessage)? {
    guard !peers.isEmpty else { return nil }
    if let asked {
      guard now - asked.at >= (asked.isState ? Self.snapshotPatience : Self.patience) else { return nil }
      switch state {
      case .whole: noteSilence(of: asked.peer)
      case .partial:
        silences[asked.peer, default: 0] += 1
        giveUpRowsIfNobodyKnows()
      case .lost: break
      }
    }
    guard let message = question() else { return nil }
    let peer = peers[nextPeer % peers.count]
    nextPeer += 1
    var isState = false
    if case .state = message { isState = true }
    asked = (peer, now, isState)
    askedTotal += 1
    return (peer, message)
  }

  /// Dead, cut off, or damaged itself: the entries must not wait for it when their state is to be had.
  private mutating func noteSilence(of peer: NodeID) {
    silences[peer, default: 0] += 1
    if silences[peer, default: 0] >= Self.maxSilences, refusals[peer] == nil { refuse(peer, .none) }
  }

  /// Those who are silent are not waited for where the others' rows are not the ones that were here.
  private mutating func giveUpRowsIfNobodyKnows() {
    let isHopeless = peers.allSatisfy { rowRefusals.contains($0) || silences[$0, default: 0] >= Self.maxRowSilences }
    guard isHopeless else { return }
    state = .lost
    silences = [:]
  }

  private mutating func refuse(_ peer: NodeID, _ authority: EntriesAnswer.Authority) {
    refusals[peer] = authority
    guard refusals.count == peers.count else { return }
    if refusals.values.contains(where: { $0 == .compacted || $0 == .diverged }) {
      giveUpLog()
    } else if let first = firstMissing, leaderEnd == nil, wasNeverCommitted(first) {
      if claimedTerm == nil {
        // They have no leader. They are asked once more, in a term in which nothing is open.
        claimedTerm = hardState.currentTerm + 1
        refusals = [:]
      } else {
        endLog(before: first)
      }
    }
  }

  /// Whether those who may have held the entry are less than half of the voters: too few to have committed it, also with
  /// one voter more or less than the log in front of it says, which entries behind it may have made of them. A second
  /// change would have needed the first to be committed.
  private func wasNeverCommitted(_ first: LogIndex) -> Bool {
    guard first > hardState.commitIndex, let configuration = configuration(before: first) else { return false }
    return [configuration.voters, configuration.outgoingVoters].allSatisfy { voters in
      let holders = voters.filter { refusals[$0] != .absent }
      return voters.isEmpty || holders.count * 2 < voters.count
    }
  }

  /// As of the entry before; everything up to there is here, or part of the state.
  private func configuration(before first: LogIndex) -> Configuration? {
    var latest: (index: LogIndex, configuration: [UInt8]) = (base.index, base.configuration)
    if metadata == nil, let mark, mark.appliedIndex > latest.index { latest = (mark.appliedIndex, mark.configuration) }
    for entry in entries.values
    where entry.kind == EntryKind.configuration.rawValue && entry.index > latest.index && entry.index < first {
      latest = (entry.index, entry.payload)
    }
    return try? Configuration(stored: latest.configuration)
  }

  /// What this log had from `first` on was nothing. What this server acknowledges from now on, it does in a term of its own.
  private mutating func endLog(before first: LogIndex) {
    if let claimedTerm, claimedTerm > hardState.currentTerm { enter(claimedTerm) }
    claimedTerm = nil
    truncateFrom = min(truncateFrom ?? .max, first)
    end = LogPosition(index: first - 1, term: term(at: first - 1) ?? 0)
    entries = entries.filter { $0.key < first }
    fetched = fetched.filter { $0.key < first }
    doubted = nil
    refusals = [:]
    silences = [:]
  }

  /// The term is on the disk, or will be with what is repaired.
  mutating func enter(_ term: Term) {
    precondition(term > hardState.currentTerm, "terms do not fall")
    hardState = LogHardState(currentTerm: term, votedFor: 0, commitIndex: hardState.commitIndex)
  }

  private func question() -> RepairMessage? {
    switch state {
    case .partial(let keys, let found):
      let open = keys.filter { found[$0] == nil }
      return .rows(revision: mark?.revision ?? 0, keys: Array(open.prefix(RepairMessage.rowsPerRequest)))
    case .lost: return .state
    case .whole:
      guard let first = firstMissing else { return nil }
      return .entries(
        EntriesRequest(
          first: first, previousTerm: term(at: first - 1) ?? 0, check: leaderEnd == nil ? check(first) : nil,
          term: max(hardState.currentTerm, claimedTerm ?? 0)))
    }
  }

  /// The nearest entry behind the hole that this log had for sure.
  private func check(_ first: LogIndex) -> LogPosition? {
    guard let end, end.index >= first else { return nil }
    var index = first
    while index < end.index {
      index += 1
      if let entry = entries[index] { return LogPosition(index: index, term: entry.term) }
    }
    return end
  }

  func wantsState(asOf index: LogIndex) -> Bool {
    switch state {
    case .whole: return false
    // Rows that have changed since can only come with the rest.
    case .partial: return index >= max(base.index, mark?.appliedIndex ?? 0)
    case .lost: return index >= max(base.index, stateThrough)
    }
  }

  mutating func stateIsArriving(_ now: MonotonicTime) {
    if let asked, asked.isState { self.asked = (asked.peer, now, true) }
  }

  // MARK: Answers

  /// Takes an answer. A late or unexpected one changes nothing.
  mutating func take(_ message: RepairMessage, from peer: NodeID) {
    switch message {
    case .rowsAnswer(let revision, let objects): takeRows(objects, at: revision, from: peer)
    case .entriesAnswer(let answer): takeEntries(answer, from: peer)
    case .entries, .rows, .state: return
    }
  }

  private mutating func takeRows(_ objects: [StoredObject?], at revision: Revision, from peer: NodeID) {
    guard case .partial(let keys, var found) = state, revision == mark?.revision, asked?.peer == peer else { return }
    asked = nil
    silences[peer] = nil
    let open = keys.filter { found[$0] == nil }.prefix(RepairMessage.rowsPerRequest)
    guard objects.count == open.count,
      zip(open, objects).allSatisfy({ key, object in object.map { $0.key == key && $0.revision <= revision } ?? true })
    else { return }
    for (key, object) in zip(open, objects) { found[key] = .some(object) }
    state = .partial(keys, found: found)
    guard found.count == keys.count, let mark else {
      nextPeer -= 1  // The same peer's rows belong together.
      return
    }
    var map = stored
    for (key, object) in found { if let object { map.put(object) } else { map.remove(key) } }
    if StateMachine.hash(of: map, at: mark.revision) == mark.stateHash,
      let table = try? RequestTable(decoding: requests), table.fits(mark, entries.values)
    {
      let machine = StateMachine(
        map: map, revision: mark.revision, appliedIndex: mark.appliedIndex, appliedTerm: mark.appliedTerm,
        requests: table)
      state = .whole(machine)
      isStateNew = true
      takeBoundary(of: machine)
      silences = [:]
      return
    }
    // That peer's rows are not the ones that were here: another may have them, or the whole state must come.
    rowRefusals.insert(peer)
    state = .partial(keys, found: [:])
    giveUpRowsIfNobodyKnows()
  }

  private mutating func takeEntries(_ answer: EntriesAnswer, from peer: NodeID) {
    guard let first = firstMissing, answer.first == first, asked?.peer == peer else { return }
    asked = nil
    silences[peer] = nil
    switch answer.authority {
    case .sameLog where !answer.entries.isEmpty && leaderEnd == nil:
      let limit = check(first)
      for entry in answer.entries where entry.index <= limit?.index ?? 0 { keep(entry) }
    case .leader where leaderEnd != nil && answer.entries.isEmpty && answer.lastIndex == first - 1:
      // Another leads now, and its log ends where ours does.
      leaderEnd = answer.lastIndex
    case .leader where leaderEnd == nil || !answer.entries.isEmpty:
      if leaderEnd == nil {
        // What is behind the hole was never committed, or this is its only true form.
        leaderEnd = answer.lastIndex
        truncateFrom = first
        for index in entries.keys where index >= first { entries[index] = nil }
      }
      for entry in answer.entries where entry.index <= leaderEnd ?? 0 { keep(entry) }
    case .diverged where leaderEnd == nil && first > hardState.commitIndex:
      // Its log may end before ours, and no state that it could send would reach the hole.
      return endLog(before: first)
    default:
      return refuse(peer, answer.authority)
    }
    refusals = [:]
    silences = [:]
    nextPeer -= 1
  }

  private mutating func keep(_ entry: Entry) {
    guard entries[entry.index] == nil else { return }
    if let doubted, doubted.index == entry.index, doubted.term == entry.term { return entries[entry.index] = doubted }
    let kept = LogEntry(index: entry.index, term: entry.term, kind: entry.kind.rawValue, payload: entry.payload)
    entries[entry.index] = kept
    fetched[entry.index] = kept
  }

  /// Nobody has these entries any more: a newer state takes their place.
  private mutating func giveUpLog() {
    refusals = [:]
    silences = [:]
    stateThrough = leaderEnd == nil ? firstMissing ?? 0 : 0
    state = .lost
    if let truncateFrom, leaderEnd != nil {
      // What one leader began another cannot end: only a whole log of one counts.
      for index in entries.keys where index >= truncateFrom { entries[index] = nil }
      for index in fetched.keys where index >= truncateFrom { fetched[index] = nil }
      leaderEnd = nil
      end = nil
    }
  }

  /// A peer's whole state has arrived.
  mutating func take(_ machine: StateMachine, _ metadata: SnapshotMetadata) {
    guard wantsState(asOf: metadata.index) else { return }
    asked = nil
    state = .whole(machine)
    isStateNew = true
    self.metadata = metadata
    takeBoundary(of: machine)
    entries = entries.filter { $0.key > metadata.index }
    fetched = fetched.filter { $0.key > metadata.index }
    base = LogBase(index: metadata.index, term: metadata.term, configuration: metadata.configuration.encoded())
    isBaseNew = true
  }

  /// What of this log may stand behind a state that may have come from elsewhere: from a peer just now, or before a write
  /// of the log that was to follow it and failed.
  private mutating func takeBoundary(of machine: StateMachine) {
    let (index, term) = (machine.appliedIndex, machine.appliedTerm)
    // As far as this log knew its entries to be committed, it is the log that led to the state.
    guard index > max(base.index, hardState.commitIndex) else { return }
    let next = entries.keys.filter { $0 > index }.min().flatMap { entries[$0] }
    let nextTerm = next?.term ?? end.flatMap { $0.index > index && $0.term != 0 ? $0.term : nil }
    let isOther = entries[index].map { $0.term != term } ?? false
    // An entry of another term there, or of an earlier one behind it: what follows it here was never committed.
    if isOther || nextTerm.map({ $0 < term }) ?? false {
      truncateFrom = min(truncateFrom ?? .max, index + 1)
      entries = entries.filter { $0.key < index }
      if end != nil { end = LogPosition(index: index, term: term) }
    } else if entries[index] == nil, let nextTerm, nextTerm > term {
      // What stood there is lost: if it was another entry, what follows it was never committed either. Asked for anew,
      // it comes from a log that holds the one before as well, or a leader says that it was nothing. (Behind an entry
      // of the same term stood the same one: one leader wrote both.)
      doubted = entries.removeValue(forKey: index + 1)
      if fetched.removeValue(forKey: index + 1) != nil { doubted = nil }
    }
  }

  // MARK: The end

  /// The disk as it shall be, once nothing is missing.
  func result() -> RepairedDisk? {
    guard case .whole(let machine) = state, firstMissing == nil,
      let configuration = try? Configuration(stored: base.configuration)
    else { return nil }
    var log = LogContents()
    var base = base
    var isBaseNew = isBaseNew
    let applied = machine.appliedIndex
    // Holes in what the state includes need no filling: the log begins behind them.
    if applied > base.index, !((base.index + 1)...applied).allSatisfy({ entries[$0] != nil }) {
      base = LogBase(
        index: applied, term: machine.appliedTerm, configuration: mark?.configuration ?? base.configuration)
      isBaseNew = true
    }
    var index = base.index + 1
    while let entry = entries[index] {
      log.entries.append(entry)
      index += 1
    }
    let last = log.entries.last?.index ?? base.index
    let lastTerm = log.entries.last?.term ?? base.term
    // A term in which nobody was voted for is safe to enter.
    if lastTerm > hardState.currentTerm {
      log.hardState = LogHardState(currentTerm: lastTerm)
    } else {
      log.hardState = hardState
    }
    log.hardState.commitIndex = max(min(hardState.commitIndex, last), applied)
    log.base = base
    let mark = StateMark(
      appliedIndex: applied, appliedTerm: machine.appliedTerm, revision: machine.revision,
      stateHash: machine.stateHash,
      configuration: metadata == nil ? mark?.configuration ?? base.configuration : configuration.encoded())
    return RepairedDisk(
      machine: machine, stateChanges: isStateNew ? changes(to: machine.map) : nil, mark: mark, log: log,
      logWrite: LogWrite(
        token: 0, hardState: log.hardState, base: isBaseNew ? base : nil,
        truncateFrom: truncateFrom.map { max($0, base.index + 1) },
        entries: fetched.values.filter { $0.index > base.index && $0.index <= last }.sorted { $0.index < $1.index }))
  }

  private func changes(to map: ObjectMap) -> [ObjectRowChange] {
    stored.differences(to: map).map { change in
      ObjectRowChange(
        resource: change.key.resource, namespace: change.key.namespace, name: change.key.name,
        row: change.kind == .put ? change.object.row : nil)
    }
  }
}

extension ObjectKey {
  init(_ row: ObjectRowKey) { self.init(resource: row.resource, namespace: row.namespace, name: row.name) }
}
