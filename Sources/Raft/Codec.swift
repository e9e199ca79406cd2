// The bytes of messages between peers, of entries and of configurations.
//
// Every encoded value starts with a version byte. A message goes on with its kind, sender, receiver and term, then the
// fields of its kind in the order of their declaration; integers have eight bytes, little-endian, counts four. Entries of
// an AppendEntries message carry no index: they follow `prevLogIndex`.

/// The version that this build writes and understands.
private let codecVersion: UInt8 = 1
/// The same for configurations. Version 1 had no contexts, last id and version; it is still read.
private let configurationVersion: UInt8 = 2

extension Message {
  /// Bytes of the longest message without entries.
  private static let sizeWithoutEntries = 64

  /// The message as bytes.
  public func encoded() -> [UInt8] {
    var size = Self.sizeWithoutEntries
    if case .appendEntries(_, _, _, let entries) = body {
      size += entries.reduce(0) { $0 + Entry.encodedOverhead + $1.payload.count }
    }
    var writer = ByteWriter(capacity: size)
    writer.write(codecVersion)
    writer.write(kind)
    writer.write(from)
    writer.write(to)
    writer.write(term)
    writeBody(to: &writer)
    return writer.bytes
  }

  /// The kind of a message on the wire. Numbers are never reused.
  private var kind: UInt8 {
    switch body {
    case .requestVote: 1
    case .requestVoteReply: 2
    case .appendEntries: 3
    case .appendAccepted: 4
    case .appendRejected: 5
    case .heartbeat: 6
    case .heartbeatReply: 7
    case .readIndex: 8
    case .readIndexReply: 9
    case .timeoutNow: 10
    case .removed: 11
    }
  }

  private func writeBody(to writer: inout ByteWriter) {
    switch body {
    case .requestVote(let lastLogIndex, let lastLogTerm, let preVote, let transfer):
      writer.write(lastLogIndex)
      writer.write(lastLogTerm)
      writer.write(preVote)
      writer.write(transfer)
    case .requestVoteReply(let granted, let preVote):
      writer.write(granted)
      writer.write(preVote)
    case .appendEntries(let prevLogIndex, let prevLogTerm, let leaderCommit, let entries):
      writer.write(prevLogIndex)
      writer.write(prevLogTerm)
      writer.write(leaderCommit)
      writer.writeCount(entries.count)
      for entry in entries { entry.write(to: &writer) }
    case .appendAccepted(let matchIndex): writer.write(matchIndex)
    case .appendRejected(let prevLogIndex, let hintIndex, let hintTerm):
      writer.write(prevLogIndex)
      writer.write(hintIndex)
      writer.write(hintTerm)
    case .heartbeat(let leaderCommit, let readRound):
      writer.write(leaderCommit)
      writer.write(readRound)
    case .heartbeatReply(let readRound): writer.write(readRound)
    case .readIndex(let read): read.write(to: &writer)
    case .readIndexReply(let read, let index):
      read.write(to: &writer)
      writer.write(index)
    case .timeoutNow, .removed: break
    }
  }

  /// The message of these bytes, all of them.
  public init(decoding bytes: [UInt8]) throws(CodingError) {
    self = try ByteReader.decode(bytes) { (reader) throws(CodingError) in try Message(from: &reader) }
  }

  private init(from reader: inout ByteReader) throws(CodingError) {
    try reader.readVersion()
    let kind = try reader.readByte()
    from = try reader.readInteger()
    to = try reader.readInteger()
    term = try reader.readInteger()
    body = try Self.readBody(kind, from: &reader)
  }

  private static func readBody(_ kind: UInt8, from reader: inout ByteReader) throws(CodingError) -> Body {
    switch kind {
    case 1:
      .requestVote(
        lastLogIndex: try reader.readInteger(), lastLogTerm: try reader.readInteger(), preVote: try reader.readFlag(),
        transfer: try reader.readFlag())
    case 2: .requestVoteReply(granted: try reader.readFlag(), preVote: try reader.readFlag())
    case 3: try readAppendEntries(from: &reader)
    case 4: .appendAccepted(matchIndex: try reader.readInteger())
    case 5:
      .appendRejected(
        prevLogIndex: try reader.readInteger(), hintIndex: try reader.readInteger(),
        hintTerm: try reader.readInteger())
    case 6: .heartbeat(leaderCommit: try reader.readInteger(), readRound: try reader.readInteger())
    case 7: .heartbeatReply(readRound: try reader.readInteger())
    case 8: .readIndex(try ReadID(from: &reader))
    case 9: .readIndexReply(try ReadID(from: &reader), index: try reader.readInteger())
    case 10: .timeoutNow
    case 11: .removed
    default: throw CodingError.unknownValue(kind)
    }
  }

  private static func readAppendEntries(from reader: inout ByteReader) throws(CodingError) -> Body {
    let prevLogIndex = try reader.readInteger()
    let prevLogTerm = try reader.readInteger()
    let leaderCommit = try reader.readInteger()
    let count = try reader.readCount(minimumSize: Entry.encodedOverhead)
    if prevLogIndex > UInt64.max - UInt64(count) { throw .outOfRange }
    var entries: [Entry] = []
    entries.reserveCapacity(count)
    for position in 0..<count {
      entries.append(try Entry(index: prevLogIndex + 1 + UInt64(position), from: &reader))
    }
    return .appendEntries(
      prevLogIndex: prevLogIndex, prevLogTerm: prevLogTerm, leaderCommit: leaderCommit, entries: entries)
  }
}

extension Entry {
  /// Bytes of an entry beside its payload: term, kind, length.
  static let encodedOverhead = 8 + 1 + 4

  fileprivate func write(to writer: inout ByteWriter) {
    writer.write(term)
    writer.write(kind.rawValue)
    writer.writeCounted(payload)
  }

  fileprivate init(index: LogIndex, from reader: inout ByteReader) throws(CodingError) {
    self.index = index
    term = try reader.readInteger()
    let kindByte = try reader.readByte()
    guard let kind = EntryKind(rawValue: kindByte) else { throw .unknownValue(kindByte) }
    self.kind = kind
    payload = try reader.readCounted()
    // Refused here, by its version, rather than when it comes into force.
    if kind == .configuration { _ = try Configuration(decoding: payload) }
  }

  /// The entry as bytes, with its index.
  public func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: 1 + 8 + Self.encodedOverhead + payload.count)
    writer.write(codecVersion)
    writer.write(index)
    write(to: &writer)
    return writer.bytes
  }

  /// The entry of these bytes, all of them.
  public init(decoding bytes: [UInt8]) throws(CodingError) {
    self = try ByteReader.decode(bytes) { (reader) throws(CodingError) in
      try reader.readVersion()
      let index = try reader.readInteger()
      return try Entry(index: index, from: &reader)
    }
  }
}

extension Configuration {
  /// The configuration as bytes, the same for equal configurations.
  public func encoded() -> [UInt8] {
    var writer = ByteWriter(
      capacity: 48 + 8 * (voters.count + outgoingVoters.count + learners.count)
        + contexts.values.reduce(0) { $0 + $1.count + 12 })
    writer.write(configurationVersion)
    for servers in [voters, outgoingVoters, learners] {
      writer.writeCount(servers.count)
      for server in servers.sorted() { writer.write(server) }
    }
    writer.writeCount(contexts.count)
    for (server, context) in contexts.sorted(by: { $0.key < $1.key }) {
      writer.write(server)
      writer.writeCounted(context)
    }
    writer.write(lastID)
    writer.write(version)
    return writer.bytes
  }

  /// The configuration of these bytes, all of them.
  public init(decoding bytes: [UInt8]) throws(CodingError) {
    self = try ByteReader.decode(bytes) { (reader) throws(CodingError) in
      let format = try reader.readByte()
      guard (1...configurationVersion).contains(format) else { throw .unknownVersion(format) }
      let voters = try reader.readServers()
      let outgoingVoters = try reader.readServers()
      var result = Configuration(voters: voters, outgoingVoters: outgoingVoters, learners: try reader.readServers())
      if format == 1 { return result }
      for _ in 0..<(try reader.readCount(minimumSize: 12)) {
        let server = try reader.readInteger()
        result.contexts[server] = try reader.readCounted()
      }
      result.lastID = try reader.readInteger()
      result.version = try reader.readInteger()
      return result
    }
  }
}

extension ReadID {
  fileprivate func write(to writer: inout ByteWriter) {
    writer.write(incarnation)
    writer.write(number)
  }

  fileprivate init(from reader: inout ByteReader) throws(CodingError) {
    incarnation = try reader.readInteger()
    number = try reader.readInteger()
  }
}

extension ByteReader {
  fileprivate mutating func readVersion() throws(CodingError) {
    let version = try readByte()
    if version != codecVersion { throw .unknownVersion(version) }
  }

  fileprivate mutating func readServers() throws(CodingError) -> Set<NodeID> {
    let count = try readCount(minimumSize: 8)
    var servers: Set<NodeID> = []
    for _ in 0..<count { servers.insert(try readInteger()) }
    return servers
  }
}
