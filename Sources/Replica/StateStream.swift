// A version of the whole state as a stream of records: how it travels to another server (SnapshotStream.swift) and into
// a backup (Backup.swift). Writing goes on meanwhile: the stream is read out of an immutable map, piece by piece.
//
// Each record stands behind its length (four bytes, little-endian) and its kind; pieces cut the stream without regard to
// records. The same state gives the same stream on every server.

import Raft
import Storage

/// Bounds of the stream.
enum StateStreamLimits {
  /// Bytes of a piece: large enough to be cheap, small enough that making one does not hold the loop.
  static let pieceBytes = 256 << 10
  /// The largest record: the outcome of the largest command, with what was there before.
  static let recordBytes = 16 << 20
  /// Objects looked up in the map at a time.
  static let objectsPerStep = 32
}

/// The kinds of records, in the order in which they come.
private enum StateRecord: UInt8 {
  /// Exactly one: see `StateStreamHeader`.
  case header = 1
  /// An origin of requests: id, incarnation, watermark.
  case origin = 2
  /// How a request of the last origin ended.
  case outcome = 3
  /// An object as it is; first those that changed below the resumed place, then all behind it, in key order.
  case object = 4
  /// A key below the resumed place that is no more.
  case removal = 5
}

/// What the stream says of itself.
struct StateStreamHeader: Sendable {
  static let version: UInt8 = 1

  var cluster: String
  /// The log entry that the state includes, and the configuration as of it.
  var metadata: SnapshotMetadata
  var revision: Revision
  /// The state's hash: what arrives must come to the same.
  var stateHash: UInt64
  /// Objects in the whole state.
  var objects: UInt64
  var outcomes: UInt64
  /// Set when the stream goes on where an earlier one broke off.
  var resumed: ResumedState?

  struct ResumedState: Sendable, Equatable {
    var place: StatePlace
    /// Records that bring what is there already up to date.
    var records: UInt64
  }
}

/// How much of which state a receiver holds: every object at `revision` whose key is not above `through`; nil: all.
struct StatePlace: Sendable, Equatable {
  var revision: Revision
  var through: ObjectKey?
}

/// The sending side.
struct StateEncoder {
  let header: StateStreamHeader
  private let map: ObjectMap
  private var nextPosition = 0
  /// Bytes of records that no piece has taken yet.
  private var buffer: [UInt8] = []

  /// `resuming` with every change since the revision of its place, where the receiver holds something already.
  init(
    cluster: String, machine: StateMachine, configuration: Configuration,
    resuming: (place: StatePlace, changes: [Change])? = nil
  ) {
    map = machine.map
    let origins =
      ReplicaMutant.requestsLostInSnapshot.isActive ? [] : machine.requests.origins.sorted { $0.key < $1.key }
    var changes: [Change] = []
    if let resuming {
      var last: [ObjectKey: Change] = [:]
      for change in resuming.changes where resuming.place.includes(change.key) { last[change.key] = change }
      changes = last.values.sorted { $0.key.order(against: $1.key) < 0 }
      nextPosition = resuming.place.through.map { machine.map.position(of: $0.successor) } ?? machine.map.count
    }
    header = StateStreamHeader(
      cluster: cluster,
      metadata: SnapshotMetadata(
        index: machine.appliedIndex, term: machine.appliedTerm, configuration: configuration),
      revision: machine.revision, stateHash: machine.stateHash, objects: UInt64(machine.map.count),
      outcomes: UInt64(origins.reduce(0) { $0 + $1.value.outcomes.count }),
      resumed: resuming.map { .init(place: $0.place, records: UInt64(changes.count)) })
    append(.header) { [header] in $0.write(header) }
    for (id, origin) in origins {
      append(.origin) { writer in
        writer.word(id)
        writer.word(origin.incarnation)
        writer.word(origin.lowWatermark)
      }
      for (sequence, outcome) in origin.outcomes.sorted(by: { $0.key < $1.key }) {
        append(.outcome) { writer in
          writer.word(sequence)
          writer.write(outcome)
        }
      }
    }
    for change in changes {
      switch change.kind {
      case .put: append(.object) { $0.write(change.object) }
      case .delete: append(.removal) { $0.write(change.key) }
      }
    }
  }

  /// Everything has been handed out.
  var isExhausted: Bool { buffer.isEmpty && nextPosition == map.count }

  /// The next piece, nil at the end.
  mutating func nextPiece(bytes: Int = StateStreamLimits.pieceBytes) -> [UInt8]? {
    while nextPosition < map.count, buffer.count < bytes {
      let end = min(nextPosition + StateStreamLimits.objectsPerStep, map.count)
      for object in map.objects(at: nextPosition..<end) { append(.object) { $0.write(object) } }
      nextPosition = end
    }
    if buffer.isEmpty { return nil }
    let piece = Array(buffer.prefix(bytes))
    buffer.removeFirst(piece.count)
    return piece
  }

  private mutating func append(_ kind: StateRecord, _ content: (inout ByteWriter) -> Void) {
    var writer = ByteWriter(capacity: 256)
    content(&writer)
    withUnsafeBytes(of: UInt32(writer.bytes.count).littleEndian) { buffer.append(contentsOf: $0) }
    buffer.append(kind.rawValue)
    buffer += writer.bytes
  }
}

/// The receiving side: builds the state aside. Nothing of it counts before `finish`; what is there by then can be
/// resumed from.
struct StateDecoder {
  private(set) var header: StateStreamHeader?
  /// Nil: any cluster's.
  private let cluster: String?
  private let bases: [PartialState]
  /// The beginning of a record whose end has not come.
  private var rest: [UInt8] = []
  private var origins: [UInt64: RequestTable.Origin] = [:]
  private var lastOrigin: UInt64?
  private var outcomeCount: UInt64 = 0
  /// What brings the resumed base up to date: performed when all of it has come, for half of it would be no state at all.
  private var updates: [(key: ObjectKey, object: StoredObject?)] = []
  private var isUpToDate = true
  private var map = ObjectMap()
  private var lastKey: ObjectKey?
  private var pool = StringPool()

  /// `bases`: what is here already and the stream may go on from.
  init(cluster: String?, bases: [PartialState] = []) {
    self.cluster = cluster
    self.bases = bases
  }

  /// What has come so far, for a later stream to go on from; nil when that is nothing.
  var partial: PartialState? {
    guard let header, isUpToDate, lastKey != nil || header.resumed != nil else { return nil }
    return PartialState(
      map: map, place: StatePlace(revision: header.revision, through: lastKey ?? header.resumed?.place.through))
  }

  /// Takes the next piece.
  mutating func take(_ piece: [UInt8]) throws(CodecError) {
    rest += piece
    var start = 0
    while rest.count - start >= 5 {
      let length = rest.withUnsafeBytes {
        Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
      }
      guard length <= StateStreamLimits.recordBytes else { throw CodecError("a state record of \(length) bytes") }
      let end = start + 5 + length
      guard end <= rest.count else { break }
      guard let kind = StateRecord(rawValue: rest[start + 4]) else {
        throw CodecError("state record of unknown kind \(rest[start + 4])")
      }
      guard (kind == .header) == (header == nil) else { throw CodecError("a state has one header, at its start") }
      var reader = ByteReader(Array(rest[(start + 5)..<end]))
      try take(kind, &reader)
      guard reader.isAtEnd else { throw CodecError("a state record with bytes behind its end") }
      start = end
    }
    rest.removeFirst(start)
  }

  /// The state, when all of it has come and comes to the hash that the header names.
  func finish() throws(CodecError) -> (machine: StateMachine, header: StateStreamHeader) {
    guard let header, rest.isEmpty, isUpToDate, header.objects == UInt64(map.count), header.outcomes == outcomeCount
    else { throw CodecError("a state that is not complete") }
    let machine = StateMachine(
      map: map, revision: header.revision, appliedIndex: header.metadata.index, appliedTerm: header.metadata.term,
      requests: RequestTable(origins: origins))
    guard machine.stateHash == header.stateHash else {
      throw CodecError("the objects that came do not add up to the state's hash")
    }
    return (machine, header)
  }

  private mutating func take(_ kind: StateRecord, _ reader: inout ByteReader) throws(CodecError) {
    switch kind {
    case .header: try take(reader.stateStreamHeader())
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
    case .object:
      let object = try reader.object(&pool)
      guard isUpToDate else { return try update(object.key, object) }
      if let lastKey, object.key.order(against: lastKey) <= 0 { throw CodecError("objects out of order") }
      if let place = header?.resumed?.place, place.includes(object.key) {
        throw CodecError("an object that came before")
      }
      map.put(object)
      lastKey = object.key
    case .removal:
      guard !isUpToDate else { throw CodecError("a removal from nothing") }
      try update(try reader.key(), nil)
    }
  }

  private mutating func take(_ header: StateStreamHeader) throws(CodecError) {
    if let cluster, header.cluster != cluster { throw CodecError("the state of another cluster") }
    if let resumed = header.resumed {
      guard let base = bases.first(where: { $0.place == resumed.place }) else {
        throw CodecError("a state resumed from elsewhere")
      }
      map = base.map
      isUpToDate = resumed.records == 0
    }
    self.header = header
  }

  private mutating func update(_ key: ObjectKey, _ object: StoredObject?) throws(CodecError) {
    guard let resumed = header?.resumed, resumed.place.includes(key) else {
      throw CodecError("a change behind the resumed place")
    }
    updates.append((key, object))
    guard UInt64(updates.count) == resumed.records else { return }
    for (key, object) in updates {
      if let object { map.put(object) } else { map.remove(key) }
    }
    updates = []
    isUpToDate = true
  }
}

/// What a stream that broke off has brought.
struct PartialState: Sendable {
  var map: ObjectMap
  var place: StatePlace
}

extension StatePlace {
  func includes(_ key: ObjectKey) -> Bool { through.map { key.order(against: $0) <= 0 } ?? true }
}

extension ObjectKey {
  /// The first key behind this one: a NUL sorts below every byte that a name may hold.
  var successor: ObjectKey { ObjectKey(resource: resource, namespace: namespace, name: name + "\0") }
}

extension ByteWriter {
  mutating func write(_ place: StatePlace) {
    word(place.revision)
    flag(place.through != nil)
    if let through = place.through { write(through) }
  }

  fileprivate mutating func write(_ header: StateStreamHeader) {
    byte(StateStreamHeader.version)
    string(header.cluster)
    word(header.metadata.index)
    word(header.metadata.term)
    blob(header.metadata.configuration.encoded())
    word(header.revision)
    word(header.stateHash)
    word(header.objects)
    word(header.outcomes)
    flag(header.resumed != nil)
    if let resumed = header.resumed {
      write(resumed.place)
      word(resumed.records)
    }
  }
}

extension ByteReader {
  mutating func statePlace() throws(CodecError) -> StatePlace {
    let revision = try word()
    return StatePlace(revision: revision, through: try flag() ? try key() : nil)
  }

  fileprivate mutating func stateStreamHeader() throws(CodecError) -> StateStreamHeader {
    let version = try byte()
    guard version == StateStreamHeader.version else {
      throw CodecError("state of format \(version); this server reads \(StateStreamHeader.version): use a newer one")
    }
    let cluster = try string()
    let index = try word()
    let term = try word()
    let configuration = try Configuration(stored: try blob())
    let revision = try word()
    let stateHash = try word()
    let objects = try word()
    let outcomes = try word()
    var resumed: StateStreamHeader.ResumedState?
    if try flag() {
      let place = try statePlace()
      resumed = .init(place: place, records: try word())
    }
    return StateStreamHeader(
      cluster: cluster, metadata: SnapshotMetadata(index: index, term: term, configuration: configuration),
      revision: revision, stateHash: stateHash, objects: objects, outcomes: outcomes, resumed: resumed)
  }
}
