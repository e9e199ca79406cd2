// state.db: the objects as rows that an operator can read, request ids, and how far they go in the log.
// `synchronous=NORMAL`: a commit survives the process; a power cut may take it back until the next checkpoint, and the
// log, which is kept until then, brings it again. Everything here blocks; SQLiteStateStorage calls it on its thread.

/// The state's database, synchronously. One thread at a time.
final class StateDatabase {
  let database: Database
  let meta: MetaTable
  private let begin: Statement
  private let commit: Statement
  private let put: Statement
  private let delete: Statement
  private let putRequest: Statement
  private let deleteRequest: Statement
  private let setMark: Statement
  /// Checksums of the request rows as stored, so that unchanged ones are not written again.
  private var requestChecksums: [UInt64: UInt64] = [:]

  init(path: String, system: SQLiteFileSystem?) throws(StorageError) {
    database = try Database(path: path, system: system)
    try database.execute("PRAGMA page_size=4096")
    try database.execute("PRAGMA journal_mode=WAL")
    try database.execute("PRAGMA synchronous=NORMAL")
    try database.execute("PRAGMA cache_size=-32768")
    meta = try MetaTable(database)
    try database.execute(
      """
      CREATE TABLE IF NOT EXISTS object(
        resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL,
        uid TEXT NOT NULL, labels TEXT NOT NULL, fence INTEGER NOT NULL, revision_offset INTEGER NOT NULL,
        checksum INTEGER NOT NULL, json TEXT NOT NULL);
      CREATE UNIQUE INDEX IF NOT EXISTS object_key ON object(resource, namespace, name);
      CREATE TABLE IF NOT EXISTS request(
        origin INTEGER PRIMARY KEY, checksum INTEGER NOT NULL, outcomes BLOB NOT NULL);
      CREATE TABLE IF NOT EXISTS mark(
        id INTEGER PRIMARY KEY CHECK(id = 1), applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
        revision INTEGER NOT NULL, state_hash INTEGER NOT NULL, checksum INTEGER NOT NULL,
        configuration BLOB NOT NULL);
      """)
    begin = try database.prepare("BEGIN IMMEDIATE")
    commit = try database.prepare("COMMIT")
    put = try database.prepare(
      """
      INSERT INTO object(resource, namespace, name, revision, uid, labels, fence, revision_offset, checksum, json)
      VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT(resource, namespace, name) DO UPDATE SET revision = excluded.revision, uid = excluded.uid,
        labels = excluded.labels, fence = excluded.fence, revision_offset = excluded.revision_offset,
        checksum = excluded.checksum, json = excluded.json
      """)
    delete = try database.prepare("DELETE FROM object WHERE resource = ? AND namespace = ? AND name = ?")
    putRequest = try database.prepare("INSERT OR REPLACE INTO request(origin, checksum, outcomes) VALUES(?, ?, ?)")
    deleteRequest = try database.prepare("DELETE FROM request WHERE origin = ?")
    setMark = try database.prepare(
      """
      INSERT OR REPLACE INTO mark(
        id, applied_index, applied_term, revision, state_hash, checksum, configuration)
      VALUES(1, ?, ?, ?, ?, ?, ?)
      """)
  }

  /// Reads everything, checking every checksum; rows come in key order.
  func load(_ row: (ObjectRow) throws(StorageError) -> Void) throws(StorageError) -> StateContents {
    var contents = StateContents()
    let mark = try database.prepare(
      "SELECT applied_index, applied_term, revision, state_hash, checksum, configuration FROM mark")
    if try mark.step() {
      let stored = StateMark(
        appliedIndex: mark.word(0), appliedTerm: mark.word(1), revision: mark.word(2), stateHash: mark.word(3),
        configuration: mark.bytes(5))
      guard stored.checksum == mark.word(4) else { throw .damaged("state.db: the applied index") }
      contents.mark = stored
      mark.reset()
    }
    let requests = try database.prepare("SELECT origin, checksum, outcomes FROM request")
    while try requests.step() {
      let outcomes = requests.bytes(2)
      let checksum = xxh64(outcomes, seed: requests.word(0))
      guard checksum == requests.word(1) else { throw .damaged("state.db: requests of server \(requests.word(0))") }
      contents.requests[requests.word(0)] = outcomes
      requestChecksums[requests.word(0)] = checksum
    }
    let objects = try database.prepare(
      """
      SELECT resource, namespace, name, revision, uid, labels, fence, revision_offset, checksum, json FROM object
      ORDER BY resource, namespace, name
      """)
    while try objects.step() {
      let labels = objects.text(5)
      let stored = ObjectRow(
        resource: objects.text(0), namespace: objects.text(1), name: objects.text(2), revision: objects.word(3),
        uid: objects.text(4), labels: LabelText.decode(labels), fence: objects.word(6),
        revisionOffset: Int(truncatingIfNeeded: objects.word(7)), json: objects.bytes(9))
      guard stored.checksum(labels: labels) == objects.word(8) else {
        throw .damaged("state.db: object \(stored.resource) \(stored.namespace)/\(stored.name)")
      }
      try row(stored)
    }
    return contents
  }

  /// Writes it all in one transaction.
  func commit(_ write: StateWrite) throws(StorageError) {
    let rows = write.rows()
    try begin.run()
    if StorageMutant.markApartFromRows.isActive {
      try store(write.mark)
      try commit.run()
      try begin.run()
    }
    for change in rows.changes {
      if let row = change.row { try store(row) } else { try remove(change) }
    }
    try store(rows.requests)
    try store(write.mark)
    try commit.run()
  }

  private func store(_ mark: StateMark) throws(StorageError) {
    setMark.bind(mark.appliedIndex)
    setMark.bind(mark.appliedTerm)
    setMark.bind(mark.revision)
    setMark.bind(mark.stateHash)
    setMark.bind(mark.checksum)
    try setMark.run(last: mark.configuration)
  }

  private func store(_ row: ObjectRow) throws(StorageError) {
    let labels = LabelText.encode(row.labels)
    put.bind(row.resource)
    put.bind(row.namespace)
    put.bind(row.name)
    put.bind(row.revision)
    put.bind(row.uid)
    put.bind(labels)
    put.bind(row.fence)
    put.bind(UInt64(row.revisionOffset))
    put.bind(row.checksum(labels: labels))
    try put.run(last: row.json, asText: true)
  }

  private func remove(_ change: ObjectRowChange) throws(StorageError) {
    delete.bind(change.resource)
    delete.bind(change.namespace)
    delete.bind(change.name)
    try delete.run()
  }

  private func store(_ requests: [UInt64: [UInt8]]) throws(StorageError) {
    for (origin, outcomes) in requests {
      let checksum = xxh64(outcomes, seed: origin)
      guard requestChecksums[origin] != checksum else { continue }
      putRequest.bind(origin)
      putRequest.bind(checksum)
      try putRequest.run(last: outcomes)
      requestChecksums[origin] = checksum
    }
    for origin in requestChecksums.keys where requests[origin] == nil {
      deleteRequest.bind(origin)
      try deleteRequest.run()
      requestChecksums[origin] = nil
    }
  }
}

extension ObjectRow {
  /// Guards every column, the key included.
  func checksum(labels: String) -> UInt64 {
    var seed = xxh64(json)
    for text in [resource, namespace, name, uid, labels] {
      var text = text
      seed = text.withUTF8 { xxh64(UnsafeRawBufferPointer($0), seed: seed) }
    }
    var words = (revision.littleEndian, fence.littleEndian, UInt64(revisionOffset).littleEndian)
    return withUnsafeBytes(of: &words) { xxh64($0, seed: seed) }
  }
}

extension StateMark {
  var checksum: UInt64 {
    var words = (appliedIndex.littleEndian, appliedTerm.littleEndian, revision.littleEndian, stateHash.littleEndian)
    return xxh64(configuration, seed: withUnsafeBytes(of: &words) { xxh64($0) })
  }
}

/// Labels as the `labels` column shows them: name=value, sorted, one after the other with a comma between. Neither
/// names nor values of Kubernetes labels can contain either character.
enum LabelText {
  static func encode(_ labels: [String: String]) -> String {
    if labels.isEmpty { return "" }
    return labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
  }

  static func decode(_ text: String) -> [String: String] {
    var labels: [String: String] = [:]
    for pair in text.split(separator: ",") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      if parts.count == 2 { labels[String(parts[0])] = String(parts[1]) }
    }
    return labels
  }
}
