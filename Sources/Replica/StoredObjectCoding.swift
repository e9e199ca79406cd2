// Objects, outcomes and the request table as bytes (in snapshots and state.db), and objects as rows.

import Storage

extension ByteWriter {
  mutating func write(_ object: StoredObject) {
    write(object.key)
    number(object.revision)
    string(object.uid)
    write(object.labels)
    number(object.fence)
    number(object.revisionOffset)
    blob(object.bytes)
  }

  private mutating func write(_ object: StoredObject?) {
    flag(object != nil)
    if let object { write(object) }
  }

  mutating func write(_ outcome: CommandOutcome) {
    switch outcome {
    case .committed(let changes):
      byte(1)
      number(changes.count)
      for change in changes {
        flag(change.kind == .put)
        write(change.object)
        write(change.previous)
      }
    case .failed(let precondition, let current):
      byte(2)
      number(precondition)
      write(current)
    }
  }

  mutating func write(_ origin: RequestTable.Origin) {
    byte(1)  // The format.
    word(origin.incarnation)
    word(origin.lowWatermark)
    number(origin.outcomes.count)
    for (sequence, outcome) in origin.outcomes.sorted(by: { $0.key < $1.key }) {
      word(sequence)
      write(outcome)
    }
  }
}

extension ByteReader {
  mutating func object(_ pool: inout StringPool) throws(CodecError) -> StoredObject {
    let key = pool.interned(try key())
    let revision = try number()
    let uid = try string()
    let labels = try labels(&pool)
    let fence = try number()
    let offset = try number()
    let bytes = try blob()
    guard offset > 0, offset <= UInt64(bytes.count) else { throw CodecError("revisionOffset outside the object") }
    return StoredObject(
      key: key, revision: revision, uid: uid, bytes: bytes, revisionOffset: Int(offset), labels: labels, fence: fence)
  }

  private mutating func optionalObject(_ pool: inout StringPool) throws(CodecError) -> StoredObject? {
    try flag() ? try object(&pool) : nil
  }

  mutating func outcome(_ pool: inout StringPool) throws(CodecError) -> CommandOutcome {
    switch try byte() {
    case 1:
      var changes: [Change] = []
      for _ in 0..<(try count()) {
        let isPut = try flag()
        let object = try object(&pool)
        let previous = try optionalObject(&pool)
        changes.append(
          Change(kind: isPut ? .put : .delete, revision: object.revision, object: object, previous: previous))
      }
      return .committed(changes)
    case 2:
      let precondition = try number()
      guard precondition <= UInt64(UInt32.max) else { throw CodecError("precondition number \(precondition)") }
      return .failed(precondition: Int(precondition), current: try optionalObject(&pool))
    case let tag: throw CodecError("outcome of unknown kind \(tag)")
    }
  }

  mutating func requestOrigin(_ pool: inout StringPool) throws(CodecError) -> RequestTable.Origin {
    let version = try byte()
    guard version == 1 else { throw CodecError("request outcomes of format \(version)") }
    let incarnation = try word()
    var origin = RequestTable.Origin(incarnation: incarnation, lowWatermark: try word())
    for _ in 0..<(try count()) {
      let sequence = try word()
      origin.outcomes[sequence] = try outcome(&pool)
    }
    return origin
  }
}

extension RequestTable {
  /// The table as rows of state.db: bytes by origin.
  func encoded() -> [UInt64: [UInt8]] {
    origins.mapValues { origin in
      var writer = ByteWriter()
      writer.write(origin)
      return writer.bytes
    }
  }

  init(decoding rows: [UInt64: [UInt8]]) throws(CodecError) {
    var pool = StringPool()
    var origins: [UInt64: Origin] = [:]
    for (origin, bytes) in rows {
      var reader = ByteReader(bytes)
      origins[origin] = try reader.requestOrigin(&pool)
    }
    self.init(origins: origins)
  }
}

extension StoredObject {
  convenience init(_ row: ObjectRow, _ pool: inout StringPool) {
    self.init(
      key: pool.interned(ObjectKey(resource: row.resource, namespace: row.namespace, name: row.name)),
      revision: row.revision, uid: row.uid, bytes: row.json, revisionOffset: row.revisionOffset,
      labels: pool.interned(row.labels),
      fence: row.fence)
  }

  var row: ObjectRow {
    ObjectRow(
      resource: key.resource, namespace: key.namespace, name: key.name, revision: revision, uid: uid, labels: labels,
      fence: fence, revisionOffset: revisionOffset, json: bytes)
  }
}

/// The last change of each key among `changes`, as rows in key order (neighbours share pages).
func coalesced(_ changes: [Change]) -> [ObjectRowChange] {
  var last: [ObjectKey: Change] = [:]
  last.reserveCapacity(changes.count)
  for change in changes where !ReplicaMutant.coalescingKeepsFirst.isActive || last[change.key] == nil {
    last[change.key] = change
  }
  return last.values.sorted { $0.key.order(against: $1.key) < 0 }.map { change in
    ObjectRowChange(
      resource: change.key.resource, namespace: change.key.namespace, name: change.key.name,
      row: change.kind == .put ? change.object.row : nil)
  }
}
