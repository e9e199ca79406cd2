// A command as a log entry: who asked, under which number, and what shall happen. The format is versioned: every server
// must read what any other writes, and apply it identically for as long as it stands in a log.

/// Names one request for all time: the server that took it, that server's start, and a number within the start.
/// A retried proposal keeps its id; that is how it happens once.
public struct RequestID: Hashable, Sendable, CustomStringConvertible {
  /// The node id of the server that the client spoke to.
  public var origin: UInt64
  /// Counts the starts of that server; a new one makes everything under older ones void.
  public var incarnation: UInt64
  public var sequence: UInt64

  public init(origin: UInt64, incarnation: UInt64, sequence: UInt64) {
    self.origin = origin
    self.incarnation = incarnation
    self.sequence = sequence
  }
  public var description: String { "\(origin)/\(incarnation)/\(sequence)" }
}

/// Limits of what one command may carry, in bytes.
public enum CommandLimits {
  /// One object: what etcd allows a request by default, the limit that Kubernetes' clients know.
  public static let objectBytes = 3 << 19
  /// One log entry: a request body's limit (3 MiB), with room for its keys and labels.
  public static let entryBytes = (3 << 20) + (64 << 10)
}

/// A command with its request id, and the number below which its origin waits for no answer any more.
struct CommandEntry: Sendable {
  /// The newest format this server reads and writes.
  static let version: UInt8 = 1

  var request: RequestID
  /// Every lower sequence number of the origin has been answered or given up: nobody will retry it.
  var lowWatermark: UInt64
  var command: Command

  /// The entry's bytes; throws `tooLarge` past the limits.
  func encoded() throws(StoreError) -> [UInt8] {
    var size = 128
    for case .put(let key, let object) in command.mutations {
      guard object.bytes.count <= CommandLimits.objectBytes else { throw .tooLarge(limit: CommandLimits.objectBytes) }
      precondition(
        object.revisionOffset > 0 && object.revisionOffset <= object.bytes.count, "revisionOffset outside the object")
      size += object.bytes.count + key.name.utf8.count + 128
    }
    guard size <= CommandLimits.entryBytes + 4096 else { throw .tooLarge(limit: CommandLimits.entryBytes) }
    var writer = ByteWriter(capacity: size)
    writer.byte(Self.version)
    writer.word(request.origin)
    writer.word(request.incarnation)
    writer.word(request.sequence)
    writer.word(lowWatermark)
    writer.number(command.preconditions.count)
    for precondition in command.preconditions { writer.write(precondition) }
    writer.number(command.mutations.count)
    for mutation in command.mutations { writer.write(mutation) }
    guard writer.bytes.count <= CommandLimits.entryBytes else { throw .tooLarge(limit: CommandLimits.entryBytes) }
    return writer.bytes
  }

  /// Writes request id and watermark into an entry that was encoded before they were known.
  static func stamp(_ entry: inout [UInt8], _ request: RequestID, lowWatermark: UInt64) {
    precondition(entry.count > 33, "not a command entry")
    entry.withUnsafeMutableBytes { bytes in
      for (number, word) in [request.origin, request.incarnation, request.sequence, lowWatermark].enumerated() {
        bytes.storeBytes(of: word.littleEndian, toByteOffset: 1 + number * 8, as: UInt64.self)
      }
    }
  }

  /// Whose request an entry is; nil where its bytes are none that this server reads.
  static func request(of entry: [UInt8]) -> RequestID? {
    var reader = ByteReader(entry)
    return try? readHeader(&reader).request
  }

  fileprivate static func readHeader(
    _ reader: inout ByteReader
  ) throws(CodecError) -> (request: RequestID, lowWatermark: UInt64) {
    let version = try reader.byte()
    guard version == Self.version else {
      throw CodecError("entry format \(version); this server reads \(Self.version): upgrade it")
    }
    let origin = try reader.word()
    let incarnation = try reader.word()
    let sequence = try reader.word()
    return (RequestID(origin: origin, incarnation: incarnation, sequence: sequence), try reader.word())
  }
}

/// A proposal as it stands in an entry: the documents are not copied out, only found.
struct DecodedCommandEntry {
  enum Mutation {
    case put(ObjectKey, Fields)
    case delete(ObjectKey)
  }
  struct Fields {
    var uid: String
    var labels: [String: String]
    var fence: UInt64
    var revisionOffset: Int
    /// Where the document lies in the entry.
    var document: Range<Int>
  }
  var request: RequestID
  var lowWatermark: UInt64
  var preconditions: [Precondition]
  var mutations: [Mutation]

  init(_ entry: [UInt8], _ pool: inout StringPool) throws(CodecError) {
    var reader = ByteReader(entry)
    (request, lowWatermark) = try CommandEntry.readHeader(&reader)
    preconditions = []
    for _ in 0..<(try reader.count()) { preconditions.append(try reader.precondition()) }
    mutations = []
    for _ in 0..<(try reader.count()) { mutations.append(try reader.mutation(&pool)) }
    guard reader.isAtEnd else { throw CodecError("an entry with bytes behind its end") }
  }
}

extension ByteWriter {
  mutating func write(_ key: ObjectKey) {
    string(key.resource)
    string(key.namespace)
    string(key.name)
  }

  mutating func write(_ labels: [String: String]) {
    number(labels.count)
    // Sorted: equal labels are equal bytes on every server.
    for (name, value) in labels.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
      string(name)
      string(value)
    }
  }

  fileprivate mutating func write(_ precondition: Precondition) {
    switch precondition {
    case .revision(let key, let revision):
      byte(1)
      write(key)
      number(revision)
    case .absent(let key):
      byte(2)
      write(key)
    case .exists(let key):
      byte(3)
      write(key)
    case .fence(let key, let fence):
      byte(4)
      write(key)
      number(fence)
    case .count(let resource, let namespace, let count):
      byte(5)
      string(resource)
      string(namespace)
      number(count)
    }
  }

  fileprivate mutating func write(_ mutation: Mutation) {
    switch mutation {
    case .put(let key, let object):
      byte(1)
      write(key)
      string(object.uid)
      write(object.labels)
      number(object.fence)
      number(object.revisionOffset)
      blob(object.bytes)
    case .delete(let key):
      byte(2)
      write(key)
    }
  }
}

extension ByteReader {
  mutating func key() throws(CodecError) -> ObjectKey {
    let resource = try string()
    let namespace = try string()
    return ObjectKey(resource: resource, namespace: namespace, name: try string())
  }

  mutating func labels() throws(CodecError) -> [String: String] {
    var labels: [String: String] = [:]
    for _ in 0..<(try count()) {
      let name = try string()
      labels[name] = try string()
    }
    return labels
  }

  fileprivate mutating func precondition() throws(CodecError) -> Precondition {
    switch try byte() {
    case 1:
      let key = try key()
      return .revision(key, try number())
    case 2: return .absent(try key())
    case 3: return .exists(try key())
    case 4:
      let key = try key()
      return .fence(key, try number())
    case 5:
      let resource = try string()
      let namespace = try string()
      return .count(resource: resource, namespace: namespace, try number())
    case let tag: throw CodecError("precondition of unknown kind \(tag)")
    }
  }

  /// Labels as they stand here, decoded once for all objects that bear the same.
  mutating func labels(_ pool: inout StringPool) throws(CodecError) -> [String: String] {
    let start = position
    for _ in 0..<(try count()) {
      _ = try blobRange()
      _ = try blobRange()
    }
    return try pool.labels(Array(bytes[start..<position]))
  }

  fileprivate mutating func mutation(
    _ pool: inout StringPool
  ) throws(CodecError) -> DecodedCommandEntry.Mutation {
    switch try byte() {
    case 1:
      let key = try key()
      let uid = try string()
      let labels = try labels(&pool)
      let fence = try number()
      let offset = try number()
      let document = try blobRange()
      guard offset > 0, offset <= UInt64(document.count) else { throw CodecError("revisionOffset outside the object") }
      return .put(
        key,
        DecodedCommandEntry.Fields(
          uid: uid, labels: labels, fence: fence, revisionOffset: Int(offset), document: document))
    case 2: return .delete(try key())
    case let tag: throw CodecError("mutation of unknown kind \(tag)")
    }
  }
}
