// A version of the state on its way to a server that fell too far behind: chunks out of an immutable map, and the map
// built from them again. Writing goes on meanwhile; nothing is copied but the bytes of the chunk under way.

import Raft
import Storage

/// Sizes of a snapshot transfer.
enum SnapshotLimits {
  /// Bytes of a chunk: large enough to be cheap, small enough that making one does not hold the loop.
  static let chunkBytes = 256 << 10
  /// Chunks on their way at once: what a network of some milliseconds takes.
  static let window: UInt64 = 4
  /// Format of the stream.
  static let version: UInt8 = 1
}

/// The sending side: hands out chunk after chunk.
struct SnapshotSource {
  let id: UInt64
  let metadata: SnapshotMetadata
  private let machine: StateMachine
  private let cluster: String
  private var nextNumber: UInt64 = 0
  private var nextPosition = 0
  private var checksum: UInt64 = 0
  private(set) var isExhausted = false
  /// Everything below is known to have arrived.
  private(set) var acknowledged: UInt64 = 0

  init(id: UInt64, cluster: String, machine: StateMachine, configuration: Configuration) {
    self.id = id
    self.cluster = cluster
    self.machine = machine
    metadata = SnapshotMetadata(
      index: machine.appliedIndex, term: machine.appliedTerm, configuration: configuration)
  }

  /// The receiver has every chunk below `next`.
  mutating func acknowledge(below next: UInt64) { acknowledged = max(acknowledged, min(next, nextNumber)) }

  /// The next chunk, if one is left and the window has room.
  mutating func nextChunk() -> SnapshotChunk? {
    guard !isExhausted, nextNumber < acknowledged + SnapshotLimits.window else { return nil }
    var writer = ByteWriter(capacity: SnapshotLimits.chunkBytes + (64 << 10))
    if nextNumber == 0 { writeHeader(&writer) }
    while nextPosition < machine.map.count, writer.bytes.count < SnapshotLimits.chunkBytes {
      let end = min(nextPosition + 32, machine.map.count)
      for object in machine.map.objects(at: nextPosition..<end) { writer.write(object) }
      nextPosition = end
    }
    isExhausted = nextPosition == machine.map.count
    checksum = xxh64(writer.bytes, seed: checksum)
    defer { nextNumber += 1 }
    return SnapshotChunk(id: id, number: nextNumber, isLast: isExhausted, checksum: checksum, bytes: writer.bytes)
  }

  private func writeHeader(_ writer: inout ByteWriter) {
    writer.byte(SnapshotLimits.version)
    writer.string(cluster)
    writer.word(metadata.index)
    writer.word(metadata.term)
    writer.write(metadata.configuration)
    writer.word(machine.revision)
    writer.word(machine.stateHash)
    writer.number(machine.map.count)
    writer.number(machine.requests.origins.count)
    for (origin, requests) in machine.requests.origins.sorted(by: { $0.key < $1.key }) {
      writer.word(origin)
      writer.write(requests)
    }
  }
}

/// The receiving side: builds the map aside; nothing is replaced until all of it is there and right.
struct SnapshotSink {
  let id: UInt64
  private(set) var next: UInt64 = 0
  private let cluster: String
  private var checksum: UInt64 = 0
  private var header: Header?
  private var map = ObjectMap()
  private var pool = StringPool()

  private struct Header {
    var metadata: SnapshotMetadata
    var revision: Revision
    var stateHash: UInt64
    var count: Int
    var requests: RequestTable
  }

  init(id: UInt64, cluster: String) {
    self.id = id
    self.cluster = cluster
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
    var reader = ByteReader(chunk.bytes)
    if chunk.number == 0 { header = try readHeader(&reader) }
    while !reader.isAtEnd { map.put(try reader.object(&pool)) }
    guard chunk.isLast else { return nil }
    guard let header, header.count == map.count else { throw CodecError("a snapshot that is not complete") }
    let machine = StateMachine(
      map: map, revision: header.revision, appliedIndex: header.metadata.index, appliedTerm: header.metadata.term,
      stateHash: header.stateHash, requests: header.requests)
    return (machine, header.metadata)
  }

  private mutating func readHeader(_ reader: inout ByteReader) throws(CodecError) -> Header {
    let version = try reader.byte()
    guard version == SnapshotLimits.version else { throw CodecError("snapshot of format \(version)") }
    guard try reader.string() == cluster else { throw CodecError("snapshot of another cluster") }
    let index = try reader.word()
    let term = try reader.word()
    let configuration = try reader.configuration()
    let revision = try reader.word()
    let stateHash = try reader.word()
    let count = try reader.number()
    guard count <= UInt64(Int.max) else { throw CodecError("snapshot of \(count) objects") }
    var origins: [UInt64: RequestTable.Origin] = [:]
    for _ in 0..<(try reader.count()) {
      let origin = try reader.word()
      origins[origin] = try reader.requestOrigin(&pool)
    }
    return Header(
      metadata: SnapshotMetadata(index: index, term: term, configuration: configuration), revision: revision,
      stateHash: stateHash, count: Int(count), requests: RequestTable(origins: origins))
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
        changes.append(Change(kind: .delete, revision: old[i].revision, object: old[i], previous: old[i]))
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
