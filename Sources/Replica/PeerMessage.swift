// What servers say to each other, as frames: Raft's messages, forwarded commands, snapshots in chunks, state hashes,
// reports, changes of membership. Every frame begins with its format, its kind and two disks.

import Raft

/// The content of one frame between two servers.
enum PeerMessage: Sendable {
  /// The newest format this server speaks; the hello of a connection agrees on it.
  static let version: UInt8 = 1

  case raft(Message)
  /// Command entries for the leader to propose, stamped with their request ids.
  case forward([[UInt8]])
  case snapshotChunk(SnapshotChunk)
  /// A state as of a log entry can be had. The receiver says what it holds already (the first that suits is taken), and
  /// chunks follow.
  case snapshotOffer(id: UInt64, index: LogIndex)
  case snapshotAnswer(id: UInt64, places: [StatePlace])
  /// Questions and answers about a damaged disk.
  case repair(RepairMessage)
  /// The receiver has taken every chunk below `next`, or installed it all, or gives up on it.
  case snapshotReply(id: UInt64, next: UInt64, status: SnapshotReplyStatus)
  /// The sender's running hash at an applied index, to be compared.
  case stateHash(index: LogIndex, hash: UInt64)
  /// Whether the sender's disk has room: said when that changes, and again while it has none.
  case room(hasRoom: Bool)

  /// Who a server is and how it fares; see `PeerReport`.
  case report(PeerReport)
  /// The leader shall change the membership; it answers under the same id.
  case membershipRequest(id: UInt64, MembershipChange)
  case membershipReply(id: UInt64, Result<Member, MembershipRefusal>)

  private var kind: UInt8 {
    switch self {
    case .raft: 1
    case .forward: 2
    case .snapshotChunk: 3
    case .snapshotReply: 4
    case .stateHash: 5
    case .report: 6
    case .membershipRequest: 7
    case .membershipReply: 8
    case .room: 9
    case .snapshotOffer: 10
    case .snapshotAnswer: 11
    case .repair: 12
    }
  }

  /// The frame. `fromDisk` is the sender's disk, `toDisk` the one that the sender takes the receiver to have; zero where
  /// that is not known.
  func encoded(fromDisk: UInt64 = 0, toDisk: UInt64 = 0) -> [UInt8] {
    var writer = ByteWriter(capacity: 64 + payloadBytes)
    writer.byte(Self.version)
    writer.byte(kind)
    writer.word(fromDisk)
    writer.word(toDisk)
    switch self {
    case .raft(let message):
      writer.append(message.encoded())
    case .forward(let entries):
      writer.number(entries.count)
      for entry in entries { writer.blob(entry) }
    case .snapshotChunk(let chunk):
      writer.word(chunk.id)
      writer.number(chunk.number)
      writer.flag(chunk.isLast)
      writer.word(chunk.checksum)
      writer.blob(chunk.bytes)
    case .snapshotReply(let id, let next, let status):
      writer.word(id)
      writer.number(next)
      writer.byte(status.rawValue)
    case .stateHash(let index, let hash):
      writer.number(index)
      writer.word(hash)
    case .report(let report): writer.write(report)
    case .membershipRequest(let id, let change):
      writer.word(id)
      writer.write(change)
    case .membershipReply(let id, let result):
      writer.word(id)
      writer.write(result)
    case .room(let hasRoom):
      writer.flag(hasRoom)
    case .snapshotOffer(let id, let index):
      writer.word(id)
      writer.number(index)
    case .snapshotAnswer(let id, let places):
      writer.word(id)
      writer.number(places.count)
      for place in places { writer.write(place) }
    case .repair(let message):
      writer.write(message)
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

  init(decoding frame: [UInt8]) throws(CodecError) { self = try Self.decode(frame).message }

  /// A frame: the message, the sender's disk and the one that the sender takes the receiver to have.
  static func decode(_ frame: [UInt8]) throws(CodecError) -> (message: PeerMessage, fromDisk: UInt64, toDisk: UInt64) {
    var reader = ByteReader(frame)
    let version = try reader.byte()
    guard version == Self.version else {
      throw CodecError("peer message of format \(version); this server speaks \(Self.version)")
    }
    let kind = try reader.byte()
    let (fromDisk, toDisk) = (try reader.word(), try reader.word())
    return (try PeerMessage(kind: kind, &reader), fromDisk, toDisk)
  }

  private init(kind: UInt8, _ reader: inout ByteReader) throws(CodecError) {
    switch kind {
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
    case 6: self = .report(try reader.report())
    case 7:
      let id = try reader.word()
      self = .membershipRequest(id: id, try reader.membershipChange())
    case 8:
      let id = try reader.word()
      self = .membershipReply(id: id, try reader.membershipResult())
    case 9: self = .room(hasRoom: try reader.flag())
    case 10:
      let id = try reader.word()
      self = .snapshotOffer(id: id, index: try reader.number())
    case 11:
      let id = try reader.word()
      var places: [StatePlace] = []
      for _ in 0..<(try reader.count()) { places.append(try reader.statePlace()) }
      self = .snapshotAnswer(id: id, places: places)
    case 12: self = .repair(try reader.repairMessage())
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
