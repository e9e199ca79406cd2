// Members as the group's configuration knows them: what Raft carries as opaque bytes beside every id.

import Raft

/// A member of the group as a server must know it to speak with it.
public struct Member: Sendable, Hashable {
  /// Never used again in this cluster once its member was removed.
  public var id: NodeID
  /// The server's name: of its certificate, in displays.
  public var name: String
  /// Host and port of its one port: "127.0.0.1:6443".
  public var address: String
  /// The disk that the id belongs to, for life; zero while the group has not heard of it. A server with another disk
  /// under this id has been wiped: it is not listened to, for it cannot know what it has promised.
  public var disk: UInt64
  /// The newest version of commands that the server understands.
  public var version: UInt64
  /// A learner that stands by to replace a voter, rather than to become one when it has caught up.
  public var isSpare: Bool

  public init(
    id: NodeID, name: String, address: String, disk: UInt64 = 0, version: UInt64 = Member.newestVersion,
    isSpare: Bool = false
  ) {
    self.id = id
    self.name = name
    self.address = address
    self.disk = disk
    self.version = version
    self.isSpare = isSpare
  }

  /// The newest version of commands that this build understands.
  public static let newestVersion = UInt64(CommandEntry.version)

  /// The format of the bytes. A later one may only add fields at the end, which this one ignores.
  private static let format: UInt8 = 1

  /// The member as the bytes that the configuration holds beside its id.
  public var context: [UInt8] {
    var writer = ByteWriter(capacity: 32 + name.utf8.count + address.utf8.count)
    writer.byte(Self.format)
    writer.string(name)
    writer.string(address)
    writer.word(disk)
    writer.number(version)
    writer.flag(isSpare)
    return writer.bytes
  }

  /// The member of this id that these bytes describe.
  public init(id: NodeID, context: [UInt8]) throws(CodecError) {
    var reader = ByteReader(context)
    guard try reader.byte() > 0 else { throw CodecError("a member of format 0") }
    self.id = id
    name = try reader.string()
    address = try reader.string()
    disk = try reader.word()
    version = try reader.number()
    isSpare = try reader.flag()
  }
}

/// What a member is to the group.
public enum MemberRole: String, Sendable, Hashable {
  case voter
  /// Will be a voter when the change under way is committed.
  case incoming
  /// A voter that the change under way removes or demotes.
  case outgoing
  /// Receives the log, and becomes a voter when it has caught up.
  case learner
  /// Receives the log, and stands by to replace a voter.
  case spare
}

extension Configuration {
  /// A new group of these.
  public init(founders: [Member]) {
    self.init(
      voters: Set(founders.map(\.id)),
      contexts: Dictionary(founders.map { ($0.id, $0.context) }, uniquingKeysWith: { first, _ in first }))
  }

  /// A member by its id; nil if there is none, or if nothing but its id is known.
  public func member(_ id: NodeID) -> Member? { contexts[id].flatMap { try? Member(id: id, context: $0) } }

  /// The directory: every member, in ascending order of ids.
  public var directory: [Member] {
    members.map { member($0) ?? Member(id: $0, name: "server-\($0)", address: "", version: 1) }
  }

  /// What a member is.
  public func role(of id: NodeID) -> MemberRole {
    if voters.contains(id) { return isJoint && !outgoingVoters.contains(id) ? .incoming : .voter }
    if outgoingVoters.contains(id) { return .outgoing }
    return member(id)?.isSpare == true ? .spare : .learner
  }
}
