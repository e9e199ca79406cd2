// Restoring a backup: a fresh data folder for a new cluster of one server, from which it grows again.

import Raft
import Storage

/// What a restored cluster starts with.
public struct RestoreOptions: Sendable {
  /// How far the revision moves forward: further than the old cluster can have come after the backup was taken (a
  /// billion writes), so that no revision means two things. Every watch from before is too old and lists again; nobody
  /// sees time go back.
  public var revisionStep: UInt64 = 1_000_000_000
  /// Leases that are deleted: their holders are gone, and the control loops shall not wait for them to expire.
  public var freedLeases: [ObjectKey] = ["kube-scheduler", "kube-controller-manager"].map {
    ObjectKey(resource: "leases.coordination.k8s.io", namespace: "kube-system", name: $0)
  }
  public init() {}
}

/// What was restored.
public struct RestoreReport: Sendable, Equatable {
  public var path: String
  public var identity: StorageIdentity
  public var objects: Int
  public var backupRevision: Revision
  /// The revision that the new cluster starts from.
  public var revision: Revision
  public var freedLeases: [ObjectKey]
}

/// Why nothing was restored. Nothing was changed.
public enum RestoreError: Error, Sendable, CustomStringConvertible {
  /// The new cluster must have an id of its own, or its servers could meet those of the old one.
  case sameCluster(String)
  case occupied(String)
  case revisionTooHigh(Revision)
  case storage(StorageError)
  /// What was written does not read back as it should.
  case unreadable(String)

  public var description: String {
    switch self {
    case .sameCluster(let cluster):
      "a restored cluster needs a new id: \(cluster) is the old one's, whose servers it must never meet"
    case .occupied(let path): "\(path) is not empty: restore into a new folder"
    case .revisionTooHigh(let revision): "revision \(revision) cannot be moved forward that far"
    case .storage(let error): error.description
    case .unreadable(let what): "what was restored does not read back: \(what)"
    }
  }
}

extension VerifiedBackup {
  /// Makes the data folder at `path` (absent or empty) for the first server of a new cluster. UIDs and objects stay as
  /// they were. Request ids do not: nobody of the old cluster can retry here, and the new server counts its starts from
  /// one. The folder appears whole or not at all. Blocks.
  public func restore(
    into path: String, as identity: StorageIdentity, options: RestoreOptions = RestoreOptions()
  ) throws(RestoreError) -> RestoreReport {
    guard identity.cluster != header.cluster else { throw .sameCluster(identity.cluster) }
    // Revisions are positive 64-bit integers for clients.
    let (revision, overflows) = machine.revision.addingReportingOverflow(options.revisionStep)
    guard !overflows, revision < UInt64(Int64.max) else { throw .revisionTooHigh(machine.revision) }
    var map = machine.map
    let freed = options.freedLeases.filter { map.remove($0) != nil }
    let report = RestoreReport(
      path: path, identity: identity, objects: map.count, backupRevision: machine.revision, revision: revision,
      freedLeases: freed)
    let isOccupied = try Self.wrapped { () throws(StorageError) in try DataFolder.isOccupied(path) }
    guard !isOccupied else { throw .occupied(path) }
    let unfinished = "\(path).restoring"
    try Self.wrapped { () throws(StorageError) in
      DataFolder.discard(unfinished)
      try Self.write(map, at: revision, to: unfinished, as: identity)
    }
    do throws(RestoreError) {
      try Self.verify(map, at: revision, in: unfinished)
      try Self.wrapped { () throws(StorageError) in try DataFolder.publish(unfinished, as: path) }
    } catch {
      DataFolder.discard(unfinished)
      throw error
    }
    return report
  }

  private static func write(
    _ map: ObjectMap, at revision: Revision, to path: String, as identity: StorageIdentity
  ) throws(StorageError) {
    let disk = try OfflineDisk(path: path, identity: identity)
    defer { disk.close() }
    let configuration = Configuration(voters: [identity.node]).encoded()
    // The log begins behind an entry that stands for everything there is, so that servers that join need all of it.
    let mark = StateMark(
      appliedIndex: 1, appliedTerm: 1, revision: revision, stateHash: StateMachine.hash(of: map, at: revision),
      configuration: configuration)
    try disk.writeState(mark) {
      StateRows(
        changes: map.objects(at: 0..<map.count).map { object in
          ObjectRowChange(
            resource: object.key.resource, namespace: object.key.namespace, name: object.key.name, row: object.row)
        }, requests: [:])
    }
    try disk.writeLog(
      hardState: LogHardState(currentTerm: 1, votedFor: 0, commitIndex: 1),
      base: LogBase(index: 1, term: 1, configuration: configuration))
  }

  /// Opens what was written as a server would.
  private static func verify(_ map: ObjectMap, at revision: Revision, in path: String) throws(RestoreError) {
    let disk = try wrapped { () throws(StorageError) in try OfflineDisk(path: path, identity: nil) }
    defer { disk.close() }
    let restored: StateMachine
    do throws(CodecError) {
      restored = try disk.disk.restore(configuration: Configuration(voters: []), options: RaftOptions(seed: 0)).machine
    } catch { throw .unreadable(error.description) }
    guard restored.revision == revision, restored.map.count == map.count, restored.map.hash == map.hash else {
      throw .unreadable("\(restored.map.count) objects of \(map.count), at revision \(restored.revision)")
    }
  }

  private static func wrapped<Value>(_ body: () throws(StorageError) -> Value) throws(RestoreError) -> Value {
    do throws(StorageError) { return try body() } catch { throw .storage(error) }
  }
}
