// A version of the state on its way to a server that fell too far behind: chunks out of an immutable map, and the map
// built from them again. Writing goes on meanwhile; nothing is copied but the bytes of the chunk under way.

import Raft
import Storage

/// Sizes of a snapshot transfer.
enum SnapshotLimits {
  /// Chunks on their way at once: what a network of some milliseconds takes.
  static let window: UInt64 = 4
}

/// The sending side: hands out chunk after chunk.
struct SnapshotSource {
  let id: UInt64
  private var encoder: StateEncoder
  private var nextNumber: UInt64 = 0
  private var checksum: UInt64 = 0
  /// Everything below is known to have arrived.
  private var acknowledged: UInt64 = 0

  init(id: UInt64, cluster: String, machine: StateMachine, configuration: Configuration) {
    self.id = id
    encoder = StateEncoder(cluster: cluster, machine: machine, configuration: configuration)
  }

  var metadata: SnapshotMetadata { encoder.header.metadata }

  /// The receiver has every chunk below `next`.
  mutating func acknowledge(below next: UInt64) { acknowledged = max(acknowledged, min(next, nextNumber)) }

  /// The next chunk, if one is left and the window has room.
  mutating func nextChunk() -> SnapshotChunk? {
    guard nextNumber < acknowledged + SnapshotLimits.window, let bytes = encoder.nextPiece() else { return nil }
    checksum = xxh64(bytes, seed: checksum)
    defer { nextNumber += 1 }
    return SnapshotChunk(id: id, number: nextNumber, isLast: encoder.isExhausted, checksum: checksum, bytes: bytes)
  }
}

/// The receiving side: builds the map aside; nothing is replaced until all of it is there and right.
struct SnapshotSink {
  let id: UInt64
  private(set) var next: UInt64 = 0
  private var checksum: UInt64 = 0
  private var decoder: StateDecoder

  init(id: UInt64, cluster: String) {
    self.id = id
    decoder = StateDecoder(cluster: cluster)
  }

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
        if old[i].revision != new[j].revision {
          changes.append(Change(kind: .put, revision: new[j].revision, object: new[j], previous: old[i]))
        }
        i += 1
        j += 1
      }
    }
    return changes
  }
}
