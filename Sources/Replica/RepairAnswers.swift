// What a server that is being repaired tells others that are: what it still has, and what it surely never had.

import Raft
import Storage

extension Repair {
  /// The state of this disk, if it is whole: a peer may need it while this one's log has holes of its own.
  var wholeState: (machine: StateMachine, configuration: Configuration)? {
    guard case .whole(let machine) = state else { return nil }
    if let metadata { return (machine, metadata.configuration) }
    guard let mark, let configuration = try? Configuration(stored: mark.configuration) else { return nil }
    return (machine, configuration)
  }

  /// What this disk can say of another's hole; nil: nothing.
  func answer(_ message: RepairMessage) -> RepairMessage? {
    switch message {
    case .entries(let request):
      if let answer = answer(request) { return .entriesAnswer(answer) }
      // Entries that are let go of, or lost and not missed: the state includes them.
      guard request.first <= appliedIndex ?? 0, wholeState != nil else { return nil }
      return .entriesAnswer(
        EntriesAnswer(first: request.first, authority: .compacted, lastIndex: base.index, entries: []))
    case .rows(let revision, let keys):
      guard let mark, mark.revision >= revision else { return nil }
      var lost: Set<ObjectKey> = []
      switch state {
      case .whole: break
      case .partial(let keys, _): lost = Set(keys)
      case .lost: return nil
      }
      // A row that has not changed since is as it was; whether one that is not here was there, the asker's hash tells.
      guard keys.allSatisfy({ !lost.contains($0) && stored[$0]?.revision ?? 0 <= revision }) else { return nil }
      return .rowsAnswer(revision: revision, objects: keys.map { stored[$0] })
    case .entriesAnswer, .rowsAnswer, .state: return nil
    }
  }

  private var lastIndex: LogIndex { max(end?.index ?? 0, entries.keys.max() ?? 0) }

  private func answer(_ request: EntriesRequest) -> EntriesAnswer? {
    guard request.first > base.index else { return nil }
    if let common = request.commonEnd(lastIndex: lastIndex, term: { term(at: $0) }) {
      let found = consecutive(from: request.first, through: common)
      if found.isEmpty { return nil }
      return EntriesAnswer(first: request.first, authority: .sameLog, lastIndex: common, entries: found)
    }
    guard neverHeld(request), hardState.currentTerm >= request.term else { return nil }
    return EntriesAnswer(first: request.first, authority: .absent, lastIndex: lastIndex, entries: [])
  }

  /// Whether this log, with its holes, surely never held the entry that another lacks.
  private func neverHeld(_ request: EntriesRequest) -> Bool {
    guard let end, request.first > max(base.index, appliedIndex ?? 0), leaderEnd == nil else { return false }
    return request.isAbsent(lastIndex: end.index, term: { entries[$0]?.term })
  }

  /// What must be on the disk before another can be told that an entry was never here; nil: nothing, or it was.
  func promise(for message: RepairMessage) -> LogHardState? {
    guard case .entries(let request) = message, request.term > hardState.currentTerm, neverHeld(request),
      request.commonEnd(lastIndex: lastIndex, term: { term(at: $0) }) == nil
    else { return nil }
    return LogHardState(currentTerm: request.term, votedFor: 0, commitIndex: hardState.commitIndex)
  }

  private func consecutive(from first: LogIndex, through last: LogIndex) -> [Entry] {
    var found: [Entry] = []
    var bytes = 0
    var index = first
    while index <= last, bytes < RepairMessage.entriesBytes, let entry = entries[index],
      let kind = EntryKind(rawValue: entry.kind)
    {
      found.append(Entry(term: entry.term, index: entry.index, kind: kind, payload: entry.payload))
      bytes += entry.payload.count
      index += 1
    }
    return found
  }
}
