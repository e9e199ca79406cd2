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
      writer.write(message)
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
    case 1: self = .raft(try reader.message())
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

// MARK: Raft's messages

extension ByteWriter {
  fileprivate mutating func write(_ message: Message) {
    word(message.from)
    word(message.to)
    number(message.term)
    switch message.body {
    case .requestVote(let index, let term, let preVote, let transfer):
      byte(1)
      number(index)
      number(term)
      flag(preVote)
      flag(transfer)
    case .requestVoteReply(let granted, let preVote):
      byte(2)
      flag(granted)
      flag(preVote)
    case .appendEntries(let index, let term, let commit, let entries):
      byte(3)
      number(index)
      number(term)
      number(commit)
      number(entries.count)
      // Indexes follow from the first: they are consecutive.
      for entry in entries {
        number(entry.term)
        byte(entry.kind.rawValue)
        blob(entry.payload)
      }
    case .appendAccepted(let index):
      byte(4)
      number(index)
    case .appendRejected(let index, let hintIndex, let hintTerm):
      byte(5)
      number(index)
      number(hintIndex)
      number(hintTerm)
    case .heartbeat(let commit, let round):
      byte(6)
      number(commit)
      number(round)
    case .heartbeatReply(let round):
      byte(7)
      number(round)
    case .readIndex(let read):
      byte(8)
      word(read.incarnation)
      number(read.number)
    case .readIndexReply(let read, let index):
      byte(9)
      word(read.incarnation)
      number(read.number)
      number(index)
    case .timeoutNow: byte(10)
    }
  }

  mutating func write(_ configuration: Configuration) {
    byte(1)  // The format, should more be said of members one day.
    for group in [configuration.voters, configuration.outgoingVoters, configuration.learners] {
      number(group.count)
      for member in group.sorted() { word(member) }
    }
  }
}

extension ByteReader {
  fileprivate mutating func message() throws(CodecError) -> Message {
    let from = try word()
    let to = try word()
    let term = try number()
    return Message(from: from, to: to, term: term, body: try body())
  }

  private mutating func body() throws(CodecError) -> Message.Body {
    switch try byte() {
    case 1:
      let index = try number()
      let term = try number()
      let preVote = try flag()
      return .requestVote(lastLogIndex: index, lastLogTerm: term, preVote: preVote, transfer: try flag())
    case 2:
      let granted = try flag()
      return .requestVoteReply(granted: granted, preVote: try flag())
    case 3:
      let index = try number()
      let term = try number()
      let commit = try number()
      return .appendEntries(
        prevLogIndex: index, prevLogTerm: term, leaderCommit: commit, entries: try entries(after: index))
    case 4: return .appendAccepted(matchIndex: try number())
    case 5:
      let index = try number()
      let hintIndex = try number()
      return .appendRejected(prevLogIndex: index, hintIndex: hintIndex, hintTerm: try number())
    case 6:
      let commit = try number()
      return .heartbeat(leaderCommit: commit, readRound: try number())
    case 7: return .heartbeatReply(readRound: try number())
    case 8: return .readIndex(try readID())
    case 9:
      let read = try readID()
      return .readIndexReply(read, index: try number())
    case 10: return .timeoutNow
    case let tag: throw CodecError("Raft message of unknown kind \(tag)")
    }
  }

  private mutating func readID() throws(CodecError) -> ReadID {
    let incarnation = try word()
    return ReadID(incarnation: incarnation, number: try number())
  }

  private mutating func entries(after index: LogIndex) throws(CodecError) -> [Entry] {
    let count = try count()
    guard index <= .max - UInt64(count) else { throw CodecError("entries beyond the last index") }
    var entries: [Entry] = []
    entries.reserveCapacity(min(count, 4096))
    for offset in 0..<UInt64(count) {
      let term = try number()
      guard let kind = EntryKind(rawValue: try byte()) else { throw CodecError("log entry of unknown kind") }
      entries.append(Entry(term: term, index: index + 1 + offset, kind: kind, payload: try blob()))
    }
    return entries
  }

  mutating func configuration() throws(CodecError) -> Configuration {
    let version = try byte()
    guard version == 1 else { throw CodecError("configuration of format \(version)") }
    let voters = try members()
    let outgoing = try members()
    return Configuration(voters: voters, outgoingVoters: outgoing, learners: try members())
  }

  private mutating func members() throws(CodecError) -> Set<NodeID> {
    var members: Set<NodeID> = []
    for _ in 0..<(try count()) { members.insert(try word()) }
    return members
  }
}

extension Configuration {
  /// The configuration as it stands in log bases, state marks and snapshots.
  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.write(self)
    return writer.bytes
  }
  init(decoding bytes: [UInt8]) throws(CodecError) {
    var reader = ByteReader(bytes)
    self = try reader.configuration()
  }
}
