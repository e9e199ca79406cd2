// Reading state.db: every row that is as it was written, whatever the rest is like, and what is lost.

/// What could be read of state.db.
struct StateRowsRead {
  var contents = StateContents()
  /// Something was unreadable: the file must be made anew of what was not.
  var isSpoiled = false
  /// A read failed: perhaps not the next time.
  var hadReadError = false
  /// The objects that are good; collected only where something is not.
  var objects: [ObjectRow] = []
}

/// A row of `mark` or `mark_copy` that is as it was written.
struct MarkRow {
  static let columns = "applied_index, applied_term, revision, state_hash, request_digest, checksum, configuration"

  let mark: StateMark
  /// Of the rows of requests that were written with it. Zero: tables of version 2 wrote it, which did not say.
  let requestDigest: UInt64

  init?(_ row: Statement) {
    mark = StateMark(
      appliedIndex: row.word(0), appliedTerm: row.word(1), revision: row.word(2), stateHash: row.word(3),
      configuration: row.bytes(6))
    requestDigest = row.word(4)
    guard mark.checksum(requestDigest: requestDigest) == row.word(5) else { return nil }
  }
}

extension StateDatabase {
  static let columns =
    "resource, namespace, name, revision, uid, labels, fence, revision_offset, key_id, checksum, json"

  /// Reads all that is good and hands out the objects, in the order of their keys; where something is not good, some of
  /// them again. Throws `foreign` where rows are sealed with a key that is not there.
  func readRows(_ row: (ObjectRow) throws(StorageError) -> Void) throws(StorageError) -> StateRowsRead {
    var read = StateRowsRead()
    read.isSpoiled = try database.isInconsistent()
    var damage = try readLost(&read)
    var marked = try readMark("mark", &read)
    if marked == nil { marked = try readMark("mark_copy", &read) }
    read.contents.mark = marked?.mark
    if marked == nil, read.isSpoiled { damage.isIncomplete = true }
    let hasRequests = try reading(&read) { (read) throws(StorageError) in try readRequests(&read, &damage) }
    if !hasRequests { damage.isIncomplete = true }
    // The rows of a disk that lied about its syncs may be of any time, each with a good checksum.
    if let digest = marked?.requestDigest, digest != 0, digest != requestDigest, damage.requests.isEmpty {
      damage.isIncomplete = true
    }
    var count: UInt64 = 0
    try reading(&read) { (read) throws(StorageError) in
      let rows = try database.prepare("SELECT \(Self.columns) FROM object ORDER BY resource, namespace, name")
      while try rows.step() {
        if rows.word(8) != cipher.key(for: rows.text(0)) { read.contents.needsResealing = true }
        guard let object = try decode(rows) else {
          read.isSpoiled = true
          continue
        }
        count += 1
        try row(object)
      }
      // What the index does not lead to is found nowhere.
      let total = try database.word("SELECT count(*) FROM object NOT INDEXED")
      if total != count { read.isSpoiled = true }
    }
    if read.isSpoiled { try salvage(&read, &damage, row) }
    lost = damage
    read.contents.damage = damage == StateDamage() ? nil : damage
    return read
  }

  /// Reads table and index apart: rows from the one, the names of what is missing from the other.
  private func salvage(
    _ read: inout StateRowsRead, _ damage: inout StateDamage, _ row: (ObjectRow) throws(StorageError) -> Void
  ) throws(StorageError) {
    var good: [ObjectRowKey: ObjectRow] = [:]
    var isWhole = true
    for order in ["", "DESC"] {
      let end = try reading(&read) { (_) throws(StorageError) in
        let rows = try database.prepare("SELECT \(Self.columns) FROM object NOT INDEXED ORDER BY rowid \(order)")
        while try rows.step() {
          // A row whose name cannot be believed is looked for in the index.
          if let object = try decode(rows) { good[object.key] = object }
        }
      }
      if end { break }
      isWhole = false
    }
    var named: Set<ObjectRowKey> = []
    for order in ["", "DESC"] {
      let end = try reading(&read) { (_) throws(StorageError) in
        let rows = try database.prepare(
          """
          SELECT resource, namespace, name FROM object INDEXED BY object_key
          ORDER BY resource \(order), namespace \(order), name \(order)
          """)
        while try rows.step() {
          named.insert(ObjectRowKey(resource: rows.text(0), namespace: rows.text(1), name: rows.text(2)))
        }
      }
      if end { break }
      isWhole = false
    }
    let total = try? database.word("SELECT count(*) FROM object NOT INDEXED")
    let missing = named.filter { good[$0] == nil }
    for key in missing where !damage.objects.contains(key) { damage.objects.append(key) }
    damage.objects.sort { ($0.resource, $0.namespace, $0.name) < ($1.resource, $1.namespace, $1.name) }
    if !isWhole || total != UInt64(good.count + missing.count) { damage.isIncomplete = true }
    read.objects = good.values.sorted {
      ($0.resource, $0.namespace, $0.name) < ($1.resource, $1.namespace, $1.name)
    }
    for object in read.objects { try row(object) }
  }

  /// Nil: not what was written.
  func decode(_ rows: Statement) throws(StorageError) -> ObjectRow? {
    var labels = rows.text(5)
    var object = ObjectRow(
      resource: rows.text(0), namespace: rows.text(1), name: rows.text(2), revision: rows.word(3), uid: rows.text(4),
      labels: [:], fence: rows.word(6), revisionOffset: Int(truncatingIfNeeded: rows.word(7)), json: rows.bytes(10))
    let key = rows.word(8)
    guard object.revisionOffset >= 0,
      object.checksum(labels: labels, stored: object.json, key: key) == rows.word(9)
    else { return nil }
    if key != 0 {
      let what = "object \(object.resource) \(object.namespace)/\(object.name)"
      guard let opened = try cipher.opened(object.json, key: key, place: object.place, what),
        let row = SealedRow.decode(opened)
      else { return nil }
      (labels, object.json) = row
    }
    object.labels = LabelText.decode(labels)
    return object
  }

  private func readMark(_ table: String, _ read: inout StateRowsRead) throws(StorageError) -> MarkRow? {
    var found: MarkRow?
    try reading(&read) { (read) throws(StorageError) in
      let row = try database.prepare("SELECT \(MarkRow.columns) FROM \(table)")
      guard try row.step() else { return }
      defer { row.reset() }
      found = MarkRow(row)
      if found == nil { read.isSpoiled = true }
    }
    return found
  }

  func readRequests(_ read: inout StateRowsRead, _ damage: inout StateDamage) throws(StorageError) {
    let rows = try database.prepare("SELECT origin, key_id, checksum, outcomes FROM request ORDER BY origin")
    while try rows.step() {
      let (origin, key) = (rows.word(0), rows.word(1))
      if key != cipher.currentKey { read.contents.needsResealing = true }
      var outcomes = rows.bytes(3)
      var isGood = RequestRow.checksum(origin, key: key, stored: outcomes) == rows.word(2)
      if isGood, key != 0 {
        let opened = try cipher.opened(
          outcomes, key: key, place: RequestRow.place(origin), "requests of server \(origin)")
        outcomes = opened ?? []
        isGood = opened != nil
      }
      guard isGood else {
        read.isSpoiled = true
        if !damage.requests.contains(origin) { damage.requests.append(origin) }
        continue
      }
      read.contents.requests[origin] = outcomes
      requestChecksums[origin] = xxh64(outcomes, seed: origin)
    }
  }

  private func readLost(_ read: inout StateRowsRead) throws(StorageError) -> StateDamage {
    var damage = StateDamage()
    let isRead = try reading(&read) { (_) throws(StorageError) in
      let rows = try database.prepare("SELECT resource, namespace, name, origin FROM lost")
      while try rows.step() {
        let key = ObjectRowKey(resource: rows.text(0), namespace: rows.text(1), name: rows.text(2))
        if rows.word(3) != 0 {
          damage.requests.append(rows.word(3))
        } else if key.name.isEmpty {
          damage.isIncomplete = true
        } else {
          damage.objects.append(key)
        }
      }
    }
    if !isRead { damage.isIncomplete = true }
    return damage
  }

  /// Runs a part of the reading; false when the file cannot be read there.
  @discardableResult
  private func reading(
    _ read: inout StateRowsRead, _ body: (inout StateRowsRead) throws(StorageError) -> Void
  ) throws(StorageError) -> Bool {
    do throws(StorageError) {
      try body(&read)
      return true
    } catch {
      guard error.isDamage else { throw error }
      read.isSpoiled = true
      if error.isReadError { read.hadReadError = true }
      return false
    }
  }
}

extension ObjectRow {
  var key: ObjectRowKey { ObjectRowKey(resource: resource, namespace: namespace, name: name) }
}
