// What servers say to each other, as frames: Raft's messages, forwarded commands, snapshots in chunks, state hashes.

import Raft

/// The content of one frame between two servers.
enum PeerMessage: Sendable {
  /// The newest format this server speaks; the hello of a connection agrees on it.
  static let version: UInt8 = 1

  case raft(Message)
  /// Command entries for the leader to propose, stamped with their request ids.
  case forward([[UInt8]])
  case snapshotChunk(SnapshotChunk)
  /// The receiver has taken every chunk below `next`, or installed it all, or gives up on it.
  case snapshotReply(id: UInt64, next: UInt64, status: SnapshotReplyStatus)
  /// The sender's running hash at an applied index, to be compared.
  case stateHash(index: LogIndex, hash: UInt64)

  func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: 64 + payloadBytes)
    writer.byte(Self.version)
    switch self {
    case .raft(let message):
      writer.byte(1)
      writer.append(message.encoded())
    case .forward(let entries):
      writer.byte(2)
      writer.number(entries.count)
      for entry in entries { writer.blob(entry) }
    case .snapshotChunk(let chunk):
      writer.byte(3)
      writer.word(chunk.id)
      writer.number(chunk.number)
      writer.flag(chunk.isLast)
      writer.word(chunk.checksum)
      writer.blob(chunk.bytes)
    case .snapshotReply(let id, let next, let status):
      writer.byte(4)
      writer.word(id)
      writer.number(next)
      writer.byte(status.rawValue)
    case .stateHash(let index, let hash):
      writer.byte(5)
      writer.number(index)
      writer.word(hash)
    }
    return writer.bytes
  }

  private var payloadBytes: Int {
    switch self {
    case .raft(let message):
      guard case .appendEntries(_, _, _, let entries) = message.body else { return 0 }
      return entries.reduce(0) { $0 + $1.payload.count + 16 }
    case .forward(let entries): return entries.reduce(0) { $0 + $1.count + 8 }
    case .snapshotChunk(let chunk): return chunk.bytes.count
    default: return 0
    }
  }

  init(decoding frame: [UInt8]) throws(CodecError) {
    var reader = ByteReader(frame)
    let version = try reader.byte()
    guard version == Self.version else { throw CodecError("peer message of format \(version)") }
    switch try reader.byte() {
    case 1:
      do throws(CodingError) { self = .raft(try Message(decoding: reader.rest())) } catch {
        throw CodecError("Raft message: \(error)")
      }
    case 2:
      var entries: [[UInt8]] = []
      for _ in 0..<(try reader.count()) { entries.append(try reader.blob()) }
      self = .forward(entries)
    case 3:
      let id = try reader.word()
      let number = try reader.number()
      let isLast = try reader.flag()
      let checksum = try reader.word()
      self = .snapshotChunk(
        SnapshotChunk(id: id, number: number, isLast: isLast, checksum: checksum, bytes: try reader.blob()))
    case 4:
      let id = try reader.word()
      let next = try reader.number()
      guard let status = SnapshotReplyStatus(rawValue: try reader.byte()) else {
        throw CodecError("snapshot reply of unknown status")
      }
      self = .snapshotReply(id: id, next: next, status: status)
    case 5:
      let index = try reader.number()
      self = .stateHash(index: index, hash: try reader.word())
    case let tag: throw CodecError("peer message of unknown kind \(tag)")
    }
    guard reader.isAtEnd else { throw CodecError("a peer message with bytes behind its end") }
  }
}

/// A piece of a snapshot. Pieces of one id are numbered from zero.
struct SnapshotChunk: Sendable {
  var id: UInt64
  var number: UInt64
  var isLast: Bool
  /// XXH64 of the bytes, seeded by the checksum of the piece before: a chain over the whole snapshot.
  var checksum: UInt64
  var bytes: [UInt8]
}

enum SnapshotReplyStatus: UInt8, Sendable {
  case receiving = 0
  case installed = 1
  case rejected = 2
}

extension Configuration {
  /// A configuration that was stored or came with a snapshot.
  init(stored bytes: [UInt8]) throws(CodecError) {
    do throws(CodingError) { self = try Configuration(decoding: bytes) } catch {
      throw CodecError("configuration: \(error)")
    }
  }
}
