// Coming back to a group that was recovered without this server: what it holds beyond the recovery is kept aside in a
// file, and it begins again as a learner with nothing.

import Logging
import Raft
import Storage
import TLS
import World

/// What a returning member put aside.
public struct RejoinReport: Sendable, Equatable {
  public var identity: StorageIdentity
  /// Entries that the recovered group does not have (or, where that cannot be told, may not have).
  public var entries: Int
  /// The file that holds them, in the data folder: one JSON object a line. Nil: there were none.
  public var tailFile: String?
  /// A backup of the whole state as this server had it, when that includes entries beyond the recovery which its log does
  /// not hold any more. Not sealed; only its owner may read it.
  public var stateFile: String?
}

extension Recovery {
  /// Prepares the server whose data folder is at `path` to come back to its group, recovered at `point` without it. The
  /// server must not run. `now` names the files. One durable step behind them: a crash before leaves the folder as it was.
  /// Blocks.
  public static func rejoin(
    path: String, recoveredAt point: RecoveryPoint, now: WallTime, files: any FileSystem = OperatingSystemFiles()
  ) throws(RecoveryError) -> RejoinReport {
    let disk = try open(path, files)
    defer { disk.close() }
    var identity = disk.disk.identity
    if let present = identity.recovery, present.generation >= point.generation { throw .alreadyRejoined(present) }
    let held = try Held(disk.disk)
    identity.recovery = point
    let tail = DivergentTail(held, disk.disk.directory.logContents.entries, recoveredAt: point)
    let date = now.rfc3339.filter { $0 != ":" }
    var report = RejoinReport(identity: identity, entries: tail.entries.count, tailFile: nil, stateFile: nil)
    try wrapped { () throws(StorageError) in
      if !tail.entries.isEmpty {
        let name = "divergent-tail-\(date)"
        try DataFolder.write(tail.text(), to: name, in: path, files: files)
        report.tailFile = "\(path)/\(name)"
      }
      if tail.needsState {
        let name = "divergent-state-\(date)"
        var backup = Backup(
          machine: held.last, configuration: held.raft.configuration, cluster: identity.cluster, node: identity.node,
          created: now, key: nil)
        var bytes: [UInt8] = []
        while let block = backup.next() { bytes += block }
        try DataFolder.write(bytes, to: name, in: path, files: files)
        report.stateFile = "\(path)/\(name)"
      }
      try beginAnew(disk, held, identity)
    }
    return report
  }

  /// Empties log and state. After a crash at any of its steps the disk is that of a member of the group as it was, which
  /// has all it had or cannot vote, and this can be done again; with the last step it belongs to the new one.
  private static func beginAnew(
    _ disk: OfflineDisk, _ held: Held, _ identity: StorageIdentity
  ) throws(StorageError) {
    // No voter at all: it asks nobody for votes before the group has told it who belongs to it.
    var configuration = held.raft.configuration
    configuration.voters = []
    configuration.outgoingVoters = []
    configuration.learners = [identity.node]
    let encoded = configuration.encoded()
    if var mark = disk.disk.directory.stateContents.mark {
      let requests = disk.disk.directory.stateContents.requests
      mark.configuration = encoded
      try disk.writeState(mark) { StateRows(changes: [], requests: requests) }
    }
    // The term stays: it may have voted in it.
    let hardState = LogHardState(currentTerm: held.raft.currentTerm, votedFor: 0, commitIndex: 0)
    let base = LogBase(index: 0, term: 0, configuration: encoded)
    try disk.writeLog(hardState: hardState, base: base, truncateFrom: 1)
    let empty = StateMachine()
    let map = disk.disk.map
    try disk.writeState(
      StateMark(
        appliedIndex: 0, appliedTerm: 0, revision: empty.revision, stateHash: empty.stateHash, configuration: encoded)
    ) {
      StateRows(
        changes: map.objects(at: 0..<map.count).map {
          ObjectRowChange(resource: $0.key.resource, namespace: $0.key.namespace, name: $0.key.name, row: nil)
        }, requests: [:])
    }
    try disk.writeLog(recovery: identity.recovery)
  }
}

extension ReplicaDriver {
  /// A peer's group was recovered by force without this server. Believed only while this server's own group has no
  /// leader: a recovery that was made while a majority lived must not take that majority's servers away one by one.
  func leftBehind(by recovery: RecoveryPoint) {
    guard raft.leader == nil else {
      logger.error(
        "a server was recovered by force, and this group still has a leader: that server must be wiped and join anew",
        metadata: ["server": "\(recovery.node)", "generation": "\(recovery.generation)"])
      return
    }
    status.supersededBy = recovery
    fail(
      "the group was recovered from server \(recovery.node) without this one (generation \(recovery.generation)): it can "
        + "come back as a learner, with what it holds beyond entry \(recovery.index) kept aside")
  }
}

/// What a returning member holds beyond the recovery.
struct DivergentTail {
  let entries: [LogEntry]
  /// Its state includes entries beyond the recovery that its log does not hold.
  let needsState: Bool

  init(_ held: Recovery.Held, _ stored: [LogEntry], recoveredAt point: RecoveryPoint) {
    // Logs that have the same entry at one place are the same up to there (§5.3). Where this one ends before the recovery,
    // its last entry tells as much if it is of the recovery's term: that term's leader appended both (§5.2, §5.4). With
    // another entry there, all of it may be different.
    let shared = min(point.index, held.raft.lastIndex)
    let known = held.raft.term(at: shared) == point.term ? shared : 0
    entries = stored.filter { $0.index > known }
    needsState = held.raft.baseIndex > known
  }

  /// One JSON object a line: where the entry stood, and each thing that it did. Documents stand as they were written, but
  /// for their resourceVersion, which they never got.
  func text() -> [UInt8] {
    var text: [UInt8] = []
    var pool = StringPool()
    for entry in entries {
      let head = "{\"index\":\(entry.index),\"term\":\(entry.term)"
      let decoded = entry.kind == EntryKind.command.rawValue ? try? DecodedCommandEntry(entry.payload, &pool) : nil
      guard let decoded else {
        text += "\(head),\"kind\":\(entry.kind),\"payload\":\"\(hexadecimal(entry.payload))\"}\n".utf8
        continue
      }
      for mutation in decoded.mutations {
        switch mutation {
        case .put(let key, let fields):
          text += "\(head),\"put\":\"\(Self.escaped(key))\",\"object\":".utf8
          text += entry.payload[fields.document]
          text += "}\n".utf8
        case .delete(let key): text += "\(head),\"delete\":\"\(Self.escaped(key))\"}\n".utf8
        }
      }
    }
    return text
  }

  /// Names of objects hold neither quotes nor control characters; if one does, it shall not break the line.
  private static func escaped(_ key: ObjectKey) -> String {
    String(key.description.map { $0 == "\"" || $0 == "\\" || $0.asciiValue.map { $0 < 32 } ?? false ? "?" : $0 })
  }

  private func hexadecimal(_ bytes: [UInt8]) -> String { Crypto.hexadecimal(bytes) }
}
