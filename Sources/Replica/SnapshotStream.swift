// A version of the state on its way to a server that fell too far behind: chunks out of an immutable map, and the map
// built from them again. Writing goes on meanwhile; nothing is copied but the bytes of the chunk under way.

import Raft
import Storage

/// Bounds of a snapshot transfer.
enum SnapshotLimits {
  /// Chunks on their way at once: what a network of some milliseconds takes, and what the sender keeps to send again.
  static let window: UInt64 = 4
  /// Silence after which what was sent last is sent again.
  static let resendAfter = Duration.milliseconds(500)
  /// The same where the receiver says that it waits for it.
  static let repeatAfter = Duration.milliseconds(20)
  /// Silence after which the transfer is given up. What has arrived is kept: another goes on from there.
  static let patience = Duration.seconds(30)
}

/// The sending side: hands out chunk after chunk.
struct SnapshotSource {
  let id: UInt64
  private var encoder: StateEncoder
  private var nextNumber: UInt64 = 0
  private var checksum: UInt64 = 0
  /// Handed out, and not known to have arrived.
  private(set) var unacknowledged: [SnapshotChunk] = []

  /// `resuming`: what the receiver holds already, and every change since.
  init(
    id: UInt64, cluster: String, machine: StateMachine, configuration: Configuration,
    resuming: (place: StatePlace, changes: [Change])? = nil
  ) {
    self.id = id
    encoder = StateEncoder(cluster: cluster, machine: machine, configuration: configuration, resuming: resuming)
  }

  var metadata: SnapshotMetadata { encoder.header.metadata }

  /// The receiver has every chunk below `next`. True when that is news.
  mutating func acknowledge(below next: UInt64) -> Bool {
    let before = unacknowledged.count
    unacknowledged.removeAll { $0.number < next }
    return unacknowledged.count < before
  }

  /// The next chunk, if one is left and the window has room.
  mutating func nextChunk() -> SnapshotChunk? {
    guard unacknowledged.count < SnapshotLimits.window, let bytes = encoder.nextPiece() else { return nil }
    checksum = xxh64(bytes, seed: checksum)
    let chunk = SnapshotChunk(
      id: id, number: nextNumber, isLast: encoder.isExhausted, checksum: checksum, bytes: bytes)
    unacknowledged.append(chunk)
    nextNumber += 1
    return chunk
  }
}

/// The receiving side: builds the map aside; nothing is replaced until all of it is there and right.
struct SnapshotSink {
  let id: UInt64
  private(set) var next: UInt64 = 0
  private var checksum: UInt64 = 0
  private var decoder: StateDecoder

  init(id: UInt64, cluster: String, bases: [PartialState] = []) {
    self.id = id
    decoder = StateDecoder(cluster: cluster, bases: bases)
  }

  /// What has come so far, for the next transfer to go on from.
  var partial: PartialState? { decoder.partial }

  /// Takes the next chunk; returns the state when it was the last. A chunk that came before is ignored; one that skips
  /// others, is damaged, or belongs to another cluster throws.
  mutating func receive(
    _ chunk: SnapshotChunk
  ) throws(CodecError) -> (machine: StateMachine, metadata: SnapshotMetadata)? {
    guard chunk.number >= next else { return nil }
    guard chunk.number == next else { throw CodecError("snapshot chunk \(chunk.number) came before \(next)") }
    guard xxh64(chunk.bytes, seed: checksum) == chunk.checksum else {
      throw CodecError("snapshot chunk \(chunk.number) is damaged")
    }
    checksum = chunk.checksum
    next += 1
    try decoder.take(chunk.bytes)
    guard chunk.isLast else { return nil }
    let (machine, header) = try decoder.finish()
    return (machine, header.metadata)
  }
}

extension ObjectMap {
  /// The changes that lead from this map to `other`, for storage: deletions carry the old object.
  func differences(to other: ObjectMap) -> [Change] {
    var changes: [Change] = []
    let (old, new) = (objects(at: 0..<count), other.objects(at: 0..<other.count))
    var (i, j) = (0, 0)
    while i < old.count || j < new.count {
      let order = i == old.count ? 1 : j == new.count ? -1 : old[i].key.order(against: new[j].key)
      if order < 0 {
        if !ReplicaMutant.snapshotKeepsDeleted.isActive {
          changes.append(Change(kind: .delete, revision: old[i].revision, object: old[i], previous: old[i]))
        }
        i += 1
      } else if order > 0 {
        changes.append(Change(kind: .put, revision: new[j].revision, object: new[j], previous: nil))
        j += 1
      } else {
        // Rows that have rotted, or were never right, may have the right revision.
        if old[i].revision != new[j].revision || old[i].contentHash != new[j].contentHash {
          changes.append(Change(kind: .put, revision: new[j].revision, object: new[j], previous: old[i]))
        }
        i += 1
        j += 1
      }
    }
    return changes
  }
}
