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
  /// The largest record: the outcome of the largest command, with what was there before.
  static let recordBytes = 16 << 20
}

/// The stream is a sequence of records, each behind its length (four bytes, little-endian) and its kind; chunks cut it
/// without regard to them.
private enum SnapshotRecord: UInt8 {
  /// Format, cluster, index, term, configuration, revision, state hash, number of objects and of outcomes. The first.
  case header = 1
  /// An origin of requests: id, incarnation, watermark.
  case origin = 2
  /// How a request of the last origin ended.
  case outcome = 3
  case object = 4
}

/// The sending side: hands out chunk after chunk.
struct SnapshotSource {
  let id: UInt64
  let metadata: SnapshotMetadata
  private let machine: StateMachine
  private let cluster: String
  private let origins: [(id: UInt64, origin: RequestTable.Origin)]
  private var nextNumber: UInt64 = 0
  private var nextPosition = 0
  private var checksum: UInt64 = 0
  /// Bytes of records that no chunk has taken yet.
  private var buffer: [UInt8] = []
  private(set) var isExhausted = false
  /// Everything below is known to have arrived.
  private var acknowledged: UInt64 = 0

  init(id: UInt64, cluster: String, machine: StateMachine, configuration: Configuration) {
    self.id = id
    self.cluster = cluster
    self.machine = machine
    origins = machine.requests.origins.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    metadata = SnapshotMetadata(
      index: machine.appliedIndex, term: machine.appliedTerm, configuration: configuration)
    appendHead()
  }

  /// The receiver has every chunk below `next`.
  mutating func acknowledge(below next: UInt64) { acknowledged = max(acknowledged, min(next, nextNumber)) }

  /// The next chunk, if one is left and the window has room.
  mutating func nextChunk() -> SnapshotChunk? {
    guard !isExhausted, nextNumber < acknowledged + SnapshotLimits.window else { return nil }
    while nextPosition < machine.map.count, buffer.count < SnapshotLimits.chunkBytes {
      let end = min(nextPosition + 32, machine.map.count)
      for object in machine.map.objects(at: nextPosition..<end) { buffer += Self.record(.object) { $0.write(object) } }
      nextPosition = end
    }
    let bytes = Array(buffer.prefix(SnapshotLimits.chunkBytes))
    buffer.removeFirst(bytes.count)
    isExhausted = buffer.isEmpty && nextPosition == machine.map.count
    checksum = xxh64(bytes, seed: checksum)
    defer { nextNumber += 1 }
    return SnapshotChunk(id: id, number: nextNumber, isLast: isExhausted, checksum: checksum, bytes: bytes)
  }

  /// Everything but the objects: as much as there are requests under way.
  private mutating func appendHead() {
    buffer += Self.record(.header) { writer in
      writer.byte(SnapshotLimits.version)
      writer.string(cluster)
      writer.word(metadata.index)
      writer.word(metadata.term)
      writer.blob(metadata.configuration.encoded())
      writer.word(machine.revision)
      writer.word(machine.stateHash)
      writer.word(UInt64(machine.map.count))
      writer.word(UInt64(origins.reduce(0) { $0 + $1.origin.outcomes.count }))
    }
    for (id, origin) in origins {
      buffer += Self.record(.origin) { writer in
        writer.word(id)
        writer.word(origin.incarnation)
        writer.word(origin.lowWatermark)
      }
      for (sequence, outcome) in origin.outcomes.sorted(by: { $0.key < $1.key }) {
        buffer += Self.record(.outcome) { writer in
          writer.word(sequence)
          writer.write(outcome)
        }
      }
    }
  }

  private static func record(_ kind: SnapshotRecord, _ content: (inout ByteWriter) -> Void) -> [UInt8] {
    var writer = ByteWriter()
    writer.word32(0)  // The length, known in the end.
    writer.byte(kind.rawValue)
    content(&writer)
    var bytes = writer.bytes
    let length = UInt32(bytes.count - 5).littleEndian
    bytes.withUnsafeMutableBytes { $0.storeBytes(of: length, as: UInt32.self) }
    return bytes
  }
}

/// The receiving side: builds the map aside; nothing is replaced until all of it is there and right.
struct SnapshotSink {
  let id: UInt64
  private(set) var next: UInt64 = 0
  private let cluster: String
  private var checksum: UInt64 = 0
  /// The beginning of a record whose end has not come.
  private var rest: [UInt8] = []
  private var header: Header?
  private var origins: [UInt64: RequestTable.Origin] = [:]
  private var lastOrigin: UInt64?
  private var outcomeCount: UInt64 = 0
  private var map = ObjectMap()
  private var pool = StringPool()

  private struct Header {
    var metadata: SnapshotMetadata
    var revision: Revision
    var stateHash: UInt64
    var objects: UInt64
    var outcomes: UInt64
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
    rest += chunk.bytes
    try takeRecords()
    guard chunk.isLast else { return nil }
    guard let header, rest.isEmpty, header.objects == UInt64(map.count), header.outcomes == outcomeCount else {
      throw CodecError("a snapshot that is not complete")
    }
    let machine = StateMachine(
      map: map, revision: header.revision, appliedIndex: header.metadata.index, appliedTerm: header.metadata.term,
      stateHash: header.stateHash, requests: RequestTable(origins: origins))
    return (machine, header.metadata)
  }

  private mutating func takeRecords() throws(CodecError) {
    var start = 0
    while rest.count - start >= 5 {
      let length = rest.withUnsafeBytes {
        Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
      }
      guard length <= SnapshotLimits.recordBytes else { throw CodecError("a snapshot record of \(length) bytes") }
      let end = start + 5 + length
      guard end <= rest.count else { break }
      guard let kind = SnapshotRecord(rawValue: rest[start + 4]) else {
        throw CodecError("snapshot record of unknown kind \(rest[start + 4])")
      }
      guard (kind == .header) == (header == nil) else { throw CodecError("a snapshot has one header, at its start") }
      var reader = ByteReader(Array(rest[(start + 5)..<end]))
      try take(kind, &reader)
      guard reader.isAtEnd else { throw CodecError("a snapshot record with bytes behind its end") }
      start = end
    }
    rest.removeFirst(start)
  }

  private mutating func take(_ kind: SnapshotRecord, _ reader: inout ByteReader) throws(CodecError) {
    switch kind {
    case .header: header = try readHeader(&reader)
    case .origin:
      let id = try reader.word()
      let incarnation = try reader.word()
      origins[id] = RequestTable.Origin(incarnation: incarnation, lowWatermark: try reader.word())
      lastOrigin = id
    case .outcome:
      guard let lastOrigin else { throw CodecError("an outcome without its origin") }
      let sequence = try reader.word()
      origins[lastOrigin]?.outcomes[sequence] = try reader.outcome(&pool)
      outcomeCount += 1
    case .object: map.put(try reader.object(&pool))
    }
  }

  private func readHeader(_ reader: inout ByteReader) throws(CodecError) -> Header {
    let version = try reader.byte()
    guard version == SnapshotLimits.version else { throw CodecError("snapshot of format \(version)") }
    guard try reader.string() == cluster else { throw CodecError("snapshot of another cluster") }
    let index = try reader.word()
    let term = try reader.word()
    let configuration = try Configuration(stored: try reader.blob())
    let revision = try reader.word()
    let stateHash = try reader.word()
    let objects = try reader.word()
    return Header(
      metadata: SnapshotMetadata(index: index, term: term, configuration: configuration), revision: revision,
      stateHash: stateHash, objects: objects, outcomes: try reader.word())
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
