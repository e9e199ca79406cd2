// The driver's part in the walk over its own disk: what has rotted there is in memory still, which is looked over too
// (Scrub.swift), and is written again. What cannot be mended so, the other servers mend at the next start.

import Logging
import Raft
import Storage
import World

extension ReplicaDriver {
  func scrubbed(_ found: LogScrub) {
    guard repair == nil, stateWriter.installing == nil else { return }
    if let what = found.unreadable { return cannotRead("raft.db: \(what)") }
    let entries = found.damaged.filter { $0 > raft.baseIndex && $0 <= raft.durableIndex }.compactMap {
      raft.entry(at: $0)
    }
    guard !entries.isEmpty else { return }
    logger.error(
      "entries of the log have rotted on the disk: they are written again from memory",
      metadata: ["entries": "\(entries.map(\.index).prefix(16))", "count": "\(entries.count)"])
    status.rewrittenTotal += UInt64(entries.count)
    // Under the token of the last write: it says nothing that was not so.
    log.append(
      LogWrite(
        token: logWrites.lastToken,
        entries: entries.map {
          LogEntry(index: $0.index, term: $0.term, kind: $0.kind.rawValue, payload: $0.payload)
        }))
  }

  func scrubbed(_ found: StateScrub) {
    guard repair == nil, stateWriter.installing == nil else { return }
    if let what = found.unreadable { return cannotRead("state.db: \(what)") }
    guard let appliedIndex = found.appliedIndex else { return }
    let map = machine.map
    let (first, end) = (
      found.above.map { position(behind: $0) } ?? 0, found.through.map { position(behind: $0) } ?? map.count
    )
    guard first <= end else { return }
    var rotten: [ObjectKey] = []
    // What has not changed since the state that is on the disk must be there as it is here.
    for object in map.objects(at: first..<end) where object.revision <= found.revision {
      let key = ObjectRowKey(
        resource: object.key.resource, namespace: object.key.namespace, name: object.key.name)
      if found.good[key] != object.revision { rotten.append(object.key) }
    }
    if appliedIndex == machine.appliedIndex, appliedIndex == stateWriter.writtenIndex, !stateWriter.isWriting {
      // Rows of objects that are gone: a deletion was lost.
      rotten += found.good.keys.map(ObjectKey.init).filter { map[$0] == nil }
    }
    rotten.removeAll { stateWriter.repairs.contains($0) }
    guard !rotten.isEmpty else { return }
    rotten.sort { $0.order(against: $1) < 0 }
    logger.error(
      "objects have rotted on the disk: they are written again from memory",
      metadata: ["objects": "\(rotten.prefix(16).map(\.description))", "count": "\(rotten.count)"])
    status.rewrittenTotal += UInt64(rotten.count)
    stateWriter.repairs.formUnion(rotten)
    scheduleTurn()
  }

  private func position(behind row: ObjectRowKey) -> Int {
    let key = ObjectKey(row)
    return machine.map.position(of: key) + (machine.map[key] == nil ? 0 : 1)
  }

  /// What is to be written again, as it is now.
  func repairedRows() -> [ObjectRowChange] {
    defer { stateWriter.repairs = [] }
    return stateWriter.repairs.sorted { $0.order(against: $1) < 0 }.map { key in
      ObjectRowChange(
        resource: key.resource, namespace: key.namespace, name: key.name, row: machine.map[key]?.row)
    }
  }

  /// The file itself is broken. Others mend it at the next start; a leader lets another lead first, and a server that is
  /// alone goes on as long as it can.
  private func cannotRead(_ what: String) {
    guard raft.configuration.voters.contains(where: { $0 != options.node }) else {
      return logger.critical(
        "the disk is damaged, and there is no other server to repair it from: make a backup now",
        metadata: ["damage": "\(what)"])
    }
    if raft.role == .leader, let target = raft.resign() {
      logger.error(
        "the disk is damaged: leadership is handed over", metadata: ["damage": "\(what)", "to": "\(target)"])
      return scheduleTurn()
    }
    fail("the disk is damaged, and is repaired from the other servers at the next start: \(what)")
  }
}

/// Those of `repairs` that `rows` do not name: one change a key.
func missing(from rows: [ObjectRowChange], of repairs: [ObjectRowChange]) -> [ObjectRowChange] {
  guard !repairs.isEmpty else { return [] }
  let named = Set(rows.map { ObjectRowKey(resource: $0.resource, namespace: $0.namespace, name: $0.name) })
  return repairs.filter {
    !named.contains(ObjectRowKey(resource: $0.resource, namespace: $0.namespace, name: $0.name))
  }
}
