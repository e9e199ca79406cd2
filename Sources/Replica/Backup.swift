// Taking a backup: online, of one version of the state, while writing goes on. The taker pulls frame after frame at its
// own pace (a slow disk or client slows nobody else) and writes them to a file.

import Raft
import Storage
import TLS
import World

/// A backup under way: a sequence of byte blocks, to be written in this order. Holding it holds one version of the
/// state, which costs only what has changed since.
public struct Backup: Sendable {
  public let header: BackupHeader
  private let key: BackupKey?
  private let headerBytes: [UInt8]
  private var encoder: StateEncoder
  private var trailer: BackupTrailer
  private var checksum: UInt64 = 0
  private var number: UInt64 = 0
  private var isFinished = false

  init(
    machine: StateMachine, configuration: Configuration, cluster: String, node: UInt64, created: WallTime,
    key: BackupKey?
  ) {
    header = BackupHeader(machine: machine, cluster: cluster, node: node, created: created, key: key)
    headerBytes = header.encoded()
    trailer = BackupTrailer(stateHash: machine.stateHash)
    encoder = StateEncoder(cluster: cluster, machine: machine, configuration: configuration)
    self.key = key
  }

  /// The next block of the file, about 256 KiB; nil at the end. Takes a millisecond at most: may be called on a loop.
  public mutating func next() -> [UInt8]? {
    if isFinished { return nil }
    if number == 0 { return BackupFormat.magic + frame(.header, headerBytes) }
    guard let piece = encoder.nextPiece() else {
      isFinished = true
      return frame(.trailer, sealed(trailer.encoded(), .trailer))
    }
    trailer.pieces += 1
    trailer.bytes += UInt64(piece.count)
    return frame(.piece, sealed(piece, .piece))
  }

  private func sealed(_ payload: [UInt8], _ kind: BackupFormat.Frame) -> [UInt8] {
    guard let key else { return payload }
    return Crypto.seal(payload, key: key.bytes, context: BackupFormat.context(headerBytes, number: number, kind))
  }

  private mutating func frame(_ kind: BackupFormat.Frame, _ payload: [UInt8]) -> [UInt8] {
    precondition(payload.count <= BackupFormat.frameBytes, "a frame larger than readers accept")
    checksum = BackupFormat.checksum(payload, kind, after: checksum)
    number += 1
    var writer = ByteWriter(capacity: payload.count + BackupFormat.frameHeadBytes)
    writer.word32(UInt32(payload.count))
    writer.byte(kind.rawValue)
    writer.word(checksum)
    writer.append(payload)
    return writer.bytes
  }
}

extension Replica {
  /// Begins a backup of everything that was committed anywhere before the call. `key` nil leaves it readable to
  /// everyone who gets the file, Secrets included. Throws when there is no quorum, or this server is stopping.
  public func backup(sealedWith key: BackupKey?) async throws(StoreError) -> Backup {
    _ = try await linearizableState()
    let result: Result<Backup, StoreError> = await withCheckedContinuation { continuation in
      submit(.control { driver in continuation.resume(returning: driver.backup(sealedWith: key)) })
    }
    return try result.get()
  }

  /// A backup of what this server holds, without a quorum: what it has applied, which may be behind.
  public func backupOfThisServer(sealedWith key: BackupKey?) async throws(StoreError) -> Backup {
    let result: Result<Backup, StoreError> = await withCheckedContinuation { continuation in
      submit(.control { driver in continuation.resume(returning: driver.backup(sealedWith: key)) })
    }
    return try result.get()
  }
}

extension ReplicaDriver {
  fileprivate func backup(sealedWith key: BackupKey?) -> Result<Backup, StoreError> {
    if isStopped { return .failure(.stopped(status.stopped ?? "stopped")) }
    return .success(
      Backup(
        machine: machine, configuration: raft.configuration(at: machine.appliedIndex), cluster: identity.cluster,
        node: options.node,
        created: world.wallClock, key: key))
  }
}
