// Recovery by force: a group that has lost its majority for good goes on from the disk of one survivor. What the lost
// members acknowledged and the survivor does not hold is lost with them; nobody can know what it was.
//
// The recovered group is a new generation: its servers and those of the group as it was never meet (the name that they
// greet each other by holds the recovery). A member that comes back is told so, puts aside what it holds beyond the
// recovery, and begins again as a learner (Rejoin.swift).

import Raft
import Storage
import World

/// What a survivor held when the group was recovered from it.
public struct RecoveryReport: Sendable, Equatable {
  public var identity: StorageIdentity
  /// The last revision that the survivor holds, the entries included that were not known to be committed.
  public var revision: Revision
  /// The last revision that was known to be committed.
  public var committedRevision: Revision
  public var objects: Int
  /// Entries known to be committed, and all it held. Those between were kept and are committed now: a majority may have
  /// had them, and their clients an answer.
  public var commitIndex: LogIndex
  public var lastIndex: LogIndex
  public var lastTerm: Term
  /// The members that the group lost: learners now, voters again when they come back and have caught up.
  public var lostMembers: [NodeID]

  /// What an operator must know, line by line.
  public var description: [String] {
    var lines = [
      "server \(identity.node) holds \(objects) objects up to revision \(revision) (log entry \(lastIndex) of term "
        + "\(lastTerm)), and is the only voter now (generation \(identity.recovery?.generation ?? 0))"
    ]
    if lastIndex > commitIndex {
      let count = lastIndex - commitIndex
      lines.append(
        "\(count) \(count == 1 ? "entry" : "entries") behind \(commitIndex) (revisions \(committedRevision + 1) to \(revision)) "
          + "\(count == 1 ? "was" : "were") not known to be committed: kept, for a majority may have had "
          + "\(count == 1 ? "it" : "them")")
    }
    if !lostMembers.isEmpty {
      lines.append(
        "what the lost members (\(lostMembers.map(String.init).joined(separator: ", "))) acknowledged beyond entry "
          + "\(lastIndex) is not here and cannot be known: writes after revision \(revision) may be lost")
    }
    return lines
  }
}

/// Why nothing was recovered. Nothing was changed.
public enum RecoveryError: Error, Sendable, CustomStringConvertible {
  case storage(StorageError)
  case unreadable(CodecError)
  /// The disk holds no state: there is nothing to go on from.
  case nothingHere
  /// The disk says that this server was removed from its group, or never was a voter.
  case notAVoter(NodeID)
  /// The server belongs to that recovery, or a later one, already.
  case alreadyRejoined(RecoveryPoint)

  public var description: String {
    switch self {
    case .storage(.inUse(let path)): "\(path) is in use: stop the server first"
    case .storage(let error): error.description
    case .unreadable(let error): error.description
    case .nothingHere: "the disk is empty: recover on a server that holds the state"
    case .notAVoter(let node): "server \(node) is no voter of its group: recover on one that is"
    case .alreadyRejoined(let point): "the disk belongs to generation \(point.generation) of its group already"
    }
  }
}

public enum Recovery {
  /// Makes the server whose data folder is at `path` the only voter of its group, in a new generation. The server must
  /// not run; its next start serves reads and writes as soon as it has read its disk. One durable step: a crash leaves the
  /// folder as it was, or recovered. Blocks.
  ///
  /// To be used when a majority is lost for good and only then: the members that are left aside will never be part of
  /// this group again with what they hold.
  public static func recover(
    path: String, files: any FileSystem = OperatingSystemFiles()
  ) throws(RecoveryError) -> RecoveryReport {
    let disk = try open(path, files)
    defer { disk.close() }
    let held = try Held(disk.disk)
    guard held.raft.lastIndex > 0 else { throw .nothingHere }
    let node = disk.disk.identity.node
    let before = held.raft.configuration
    guard before.isVoter(node) else { throw .notAVoter(node) }
    var report = RecoveryReport(
      identity: disk.disk.identity, revision: held.last.revision, committedRevision: held.committed.revision,
      objects: held.last.map.count, commitIndex: held.raft.commitIndex, lastIndex: held.raft.lastIndex,
      lastTerm: held.raft.term(at: held.raft.lastIndex) ?? 0, lostMembers: before.members.filter { $0 != node })
    let generation = (report.identity.recovery?.generation ?? 0) + 1
    report.identity.recovery = RecoveryPoint(
      generation: generation, node: node, index: report.lastIndex, term: report.lastTerm)
    var configuration = before
    configuration.voters = [node]
    configuration.outgoingVoters = []
    configuration.learners = Set(report.lostMembers)
    // An entry of a term that nobody else has led, behind everything that is here: what it stands behind is committed.
    let term = held.raft.currentTerm + 1
    let (base, recovery) = (held.rebased, report.identity.recovery)
    try wrapped { () throws(StorageError) in
      try disk.writeLog(
        hardState: LogHardState(currentTerm: term, votedFor: node, commitIndex: report.lastIndex + 1), base: base,
        truncateFrom: base.map { $0.index + 1 },
        entries: [
          LogEntry(
            index: report.lastIndex + 1, term: term, kind: EntryKind.configuration.rawValue,
            payload: configuration.encoded())
        ], recovery: recovery)
    }
    return report
  }

  static func open(_ path: String, _ files: any FileSystem) throws(RecoveryError) -> OfflineDisk {
    try wrapped { () throws(StorageError) in try OfflineDisk(path: path, identity: nil, files: files) }
  }

  static func wrapped<Value>(_ body: () throws(StorageError) -> Value) throws(RecoveryError) -> Value {
    do throws(StorageError) { return try body() } catch { throw .storage(error) }
  }

  /// What a disk holds, with every entry of its log applied.
  struct Held {
    let raft: Raft
    let rebased: LogBase?
    /// As of the commit index.
    private(set) var committed: StateMachine
    /// As of the last entry.
    private(set) var last: StateMachine

    init(_ disk: ReplicaDisk) throws(RecoveryError) {
      do throws(CodecError) {
        let (machine, raft, rebased) = try disk.restore(
          configuration: Configuration(voters: []), options: RaftOptions(seed: 0))
        self.raft = raft
        self.rebased = rebased
        committed = machine
        last = machine
        var changes: [Change] = []
        for entry in disk.directory.logContents.entries
        where entry.index == last.appliedIndex + 1 && entry.index <= raft.lastIndex {
          if entry.kind == EntryKind.command.rawValue {
            _ = try last.apply(entry.payload, index: entry.index, term: entry.term, changes: &changes)
            changes = []
          } else {
            last.skip(index: entry.index, term: entry.term)
          }
          if entry.index <= raft.commitIndex { committed = last }
        }
      } catch { throw .unreadable(error) }
    }
  }
}

/// The name by which servers of one group greet each other: the cluster's id, and the recovery where there was one.
/// Servers of different names refuse each other.
public struct GroupName: Sendable, Hashable {
  public var cluster: String
  public var recovery: RecoveryPoint?

  public init(_ identity: StorageIdentity) {
    cluster = identity.cluster
    recovery = identity.recovery
  }

  /// "1f0c…" or "1f0c…#1.2.1234.7".
  public init(text: String) {
    let parts = text.split(separator: "#", maxSplits: 1)
    cluster = String(parts.first ?? "")
    recovery = parts.count == 2 ? RecoveryPoint(text: parts[1]) : nil
  }

  public var text: String { recovery.map { "\(cluster)#\($0.text)" } ?? cluster }

  /// The recovery by which a group of this name was left behind, if the peer's is the same cluster, recovered later.
  public func superseded(by peer: GroupName) -> RecoveryPoint? {
    guard peer.cluster == cluster, let theirs = peer.recovery, theirs.generation > recovery?.generation ?? 0 else {
      return nil
    }
    return theirs
  }
}
