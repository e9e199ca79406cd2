// state.db: the objects as rows that an operator can read, request ids, and how far they go in the log.
// `synchronous=FULL`, for what a failed sync would leave behind (below); the log is kept until the next checkpoint all the
// same. Everything here blocks; SQLiteStateStorage calls it on its thread.
// Reading: StateReading.swift.

/// The state's database, synchronously. One thread at a time.
///
/// How large it grows. A row that is written again takes the place of the one before, and what it leaves free is used
/// again: the file holds the largest state there ever was (each row at its length and 150 bytes, in pages that are half
/// full at worst), however often it changed. Its write-ahead log starts anew after 16,000 pages, 64 MiB, and the
/// transaction that is written then.
final class StateDatabase {
  let database: Database
  let meta: MetaTable
  let cipher: any StorageCipher
  private let begin: Statement
  private let commit: Statement
  private let put: Statement
  private let delete: Statement
  private let putRequest: Statement
  private let deleteRequest: Statement
  private let setMark: Statement
  private let setMarkCopy: Statement
  private let putLost: Statement
  private let deleteLost: Statement
  /// Checksums of the request rows as stored (of what was sealed, if they are), so that unchanged ones are not written
  /// again, and the mark can say which ones are its own.
  var requestChecksums: [UInt64: UInt64] = [:]
  /// What is known to be lost: rows of the table `lost`.
  var lost = StateDamage()

  private let path: String
  private let system: SQLiteFileSystem?

  /// Another connection to the same file, which keeps nothing of what it reads.
  func openReader() throws(StorageError) -> Database {
    let reader = try Database(path: path, system: system)
    try reader.execute("PRAGMA cache_size=16")
    return reader
  }

  init(
    path: String, system: SQLiteFileSystem?, cipher: any StorageCipher,
    check: ([String: String]) throws(StorageError) -> Void = { _ in }
  ) throws(StorageError) {
    self.cipher = cipher
    self.path = path
    self.system = system
    database = try Database(path: path, system: system)
    try database.execute("PRAGMA page_size=4096")
    try database.execute("PRAGMA journal_mode=WAL")
    // Every commit is synced, and one whose sync fails is none. Were it synced afterwards, what a failed sync has lost
    // would be committed: closing the database would carry it over to the pages, and after a power cut the beginning of
    // the write-ahead log, which is durable, would come back over pages that are newer.
    try database.execute("PRAGMA synchronous=\(StorageMutant.checkpointUnsynced.isActive ? "NORMAL" : "FULL")")
    // The tree above the leaves. The leaves are the system's to keep: here they would be kept twice.
    try database.execute("PRAGMA cache_size=-8192")
    meta = MetaTable(database, path: path)
    try meta.prepare(StorageSchema.state, check: check)
    begin = try database.prepare("BEGIN IMMEDIATE")
    commit = try database.prepare("COMMIT")
    put = try database.prepare(
      """
      INSERT INTO object(
        resource, namespace, name, revision, uid, labels, fence, revision_offset, key_id, checksum, json)
      VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT(resource, namespace, name) DO UPDATE SET revision = excluded.revision, uid = excluded.uid,
        labels = excluded.labels, fence = excluded.fence, revision_offset = excluded.revision_offset,
        key_id = excluded.key_id, checksum = excluded.checksum, json = excluded.json
      """)
    delete = try database.prepare("DELETE FROM object WHERE resource = ? AND namespace = ? AND name = ?")
    putRequest = try database.prepare(
      "INSERT OR REPLACE INTO request(origin, key_id, checksum, outcomes) VALUES(?, ?, ?, ?)")
    deleteRequest = try database.prepare("DELETE FROM request WHERE origin = ?")
    let mark = { (table: String) in
      """
      INSERT OR REPLACE INTO \(table)(
        id, applied_index, applied_term, revision, state_hash, request_digest, checksum, configuration)
      VALUES(1, ?, ?, ?, ?, ?, ?, ?)
      """
    }
    setMark = try database.prepare(mark("mark"))
    setMarkCopy = try database.prepare(mark("mark_copy"))
    putLost = try database.prepare("INSERT OR IGNORE INTO lost(resource, namespace, name, origin) VALUES(?, ?, ?, ?)")
    deleteLost = try database.prepare(
      "DELETE FROM lost WHERE resource = ? AND namespace = ? AND name = ? AND origin = 0")
  }

  /// Writes it all in one transaction. After an error nothing of it is in the tables.
  func commit(_ write: StateWrite) throws(StorageError) {
    let rows = write.rows()
    let before = (requestChecksums, lost)
    do throws(StorageError) {
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
      try noteRepairs(rows.changes, completes: write.completes)
      try commit.run()
    } catch {
      database.rollBack()
      (requestChecksums, lost) = before
      throw error
    }
  }

  /// The mark of what is stored now: the rows of requests come before it.
  func store(_ mark: StateMark) throws(StorageError) { try store(mark, requestDigest: requestDigest) }

  func store(_ mark: StateMark, requestDigest: UInt64) throws(StorageError) {
    for statement in [setMark, setMarkCopy] {
      statement.bind(mark.appliedIndex)
      statement.bind(mark.appliedTerm)
      statement.bind(mark.revision)
      statement.bind(mark.stateHash)
      statement.bind(requestDigest)
      statement.bind(mark.checksum(requestDigest: requestDigest))
      try statement.run(last: mark.configuration)
    }
  }

  func store(_ row: ObjectRow) throws(StorageError) {
    let key = cipher.key(for: row.resource)
    var labels = LabelText.encode(row.labels)
    var json = row.json
    if key != 0 {
      // Labels are hidden with the rest.
      json = cipher.seal(SealedRow.encode(labels: labels, json: json), key: key, place: row.place)
      labels = ""
    }
    put.bind(row.resource)
    put.bind(row.namespace)
    put.bind(row.name)
    put.bind(row.revision)
    put.bind(row.uid)
    put.bind(labels)
    put.bind(row.fence)
    put.bind(UInt64(row.revisionOffset))
    put.bind(key)
    put.bind(row.checksum(labels: labels, stored: json, key: key))
    try put.run(last: json, asText: key == 0)
  }

  private func remove(_ change: ObjectRowChange) throws(StorageError) {
    delete.bind(change.resource)
    delete.bind(change.namespace)
    delete.bind(change.name)
    try delete.run()
  }

  func store(_ requests: [UInt64: [UInt8]]) throws(StorageError) {
    for (origin, outcomes) in requests.sorted(by: { $0.key < $1.key }) {
      let checksum = xxh64(outcomes, seed: origin)
      guard requestChecksums[origin] != checksum else { continue }
      let key = cipher.currentKey
      let stored = key == 0 ? outcomes : cipher.seal(outcomes, key: key, place: RequestRow.place(origin))
      putRequest.bind(origin)
      putRequest.bind(key)
      putRequest.bind(RequestRow.checksum(origin, key: key, stored: stored))
      try putRequest.run(last: stored)
      requestChecksums[origin] = checksum
    }
    for origin in requestChecksums.keys.sorted() where requests[origin] == nil {
      deleteRequest.bind(origin)
      try deleteRequest.run()
      requestChecksums[origin] = nil
    }
  }

  /// Of all request rows as stored; never zero. The key they are sealed with does not change it.
  var requestDigest: UInt64 {
    let digest = requestChecksums.sorted { $0.key < $1.key }.reduce(0 as UInt64) { seed, row in
      var words = (row.key.littleEndian, row.value.littleEndian)
      return withUnsafeBytes(of: &words) { xxh64($0, seed: seed) }
    }
    return max(digest, 1)
  }

  /// The file was just made of this.
  func adopt(_ contents: StateContents) {
    requestChecksums = [:]
    for (origin, outcomes) in contents.requests { requestChecksums[origin] = xxh64(outcomes, seed: origin) }
    lost = contents.damage ?? StateDamage()
  }

  // MARK: What is lost

  func noteLost(_ damage: StateDamage) throws(StorageError) {
    for key in damage.objects { try insertLost(key.resource, key.namespace, key.name, 0) }
    for origin in damage.requests { try insertLost("", "", "", origin) }
    if damage.isIncomplete { try insertLost("", "", "", 0) }
    lost = damage
  }

  private func insertLost(
    _ resource: String, _ namespace: String, _ name: String, _ origin: UInt64
  ) throws(StorageError) {
    putLost.bind(resource)
    putLost.bind(namespace)
    putLost.bind(name)
    putLost.bind(origin)
    try putLost.run()
  }

  /// A write names every origin of requests, and replaces the objects that it names.
  private func noteRepairs(_ changes: [ObjectRowChange], completes: Bool) throws(StorageError) {
    guard lost != StateDamage() else { return }
    if completes {
      try database.execute("DELETE FROM lost")
      lost = StateDamage()
      return
    }
    if !lost.requests.isEmpty {
      try database.execute("DELETE FROM lost WHERE origin <> 0")
      lost.requests = []
    }
    guard !lost.objects.isEmpty else { return }
    for change in changes {
      let key = ObjectRowKey(resource: change.resource, namespace: change.namespace, name: change.name)
      guard lost.objects.contains(key) else { continue }
      deleteLost.bind(change.resource)
      deleteLost.bind(change.namespace)
      deleteLost.bind(change.name)
      try deleteLost.run()
      lost.objects.removeAll { $0 == key }
    }
  }
}

extension ObjectRow {
  /// Guards every column as stored, the key included.
  func checksum(labels: String, stored: [UInt8], key: UInt64) -> UInt64 {
    var seed = xxh64(stored)
    for text in [resource, namespace, name, uid, labels] {
      var text = text
      seed = text.withUTF8 { xxh64(UnsafeRawBufferPointer($0), seed: seed) }
    }
    var words = (revision.littleEndian, fence.littleEndian, UInt64(revisionOffset).littleEndian)
    seed = withUnsafeBytes(of: &words) { xxh64($0, seed: seed) }
    return key == 0 ? seed : withUnsafeBytes(of: key.littleEndian) { xxh64($0, seed: seed) }
  }

  /// What a sealed row is bound to: it opens in no other row, and not as another version.
  var place: [UInt8] {
    var bytes = Array("object\0\(resource)\0\(namespace)\0\(name)\0\(uid)\0".utf8)
    for word in [revision, fence, UInt64(revisionOffset)] { withUnsafeBytes(of: word.littleEndian) { bytes += $0 } }
    return bytes
  }
}

/// What is sealed of an object's row: the length of its labels in four bytes, the labels, the document.
enum SealedRow {
  static func encode(labels: String, json: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 + labels.utf8.count + json.count)
    withUnsafeBytes(of: UInt32(labels.utf8.count).littleEndian) { bytes += $0 }
    bytes += labels.utf8
    bytes += json
    return bytes
  }

  static func decode(_ bytes: [UInt8]) -> (labels: String, json: [UInt8])? {
    guard bytes.count >= 4 else { return nil }
    let length = bytes.withUnsafeBytes { Int(UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self))) }
    guard bytes.count >= 4 + length else { return nil }
    return (String(decoding: bytes[4..<(4 + length)], as: UTF8.self), Array(bytes[(4 + length)...]))
  }
}

enum RequestRow {
  static func checksum(_ origin: UInt64, key: UInt64, stored: [UInt8]) -> UInt64 {
    let checksum = xxh64(stored, seed: origin)
    return key == 0 ? checksum : withUnsafeBytes(of: key.littleEndian) { xxh64($0, seed: checksum) }
  }
  static func place(_ origin: UInt64) -> [UInt8] { Array("request\0\(origin)".utf8) }
}

extension StateMark {
  func checksum(requestDigest: UInt64) -> UInt64 {
    var words = (appliedIndex.littleEndian, appliedTerm.littleEndian, revision.littleEndian, stateHash.littleEndian)
    let checksum = xxh64(configuration, seed: withUnsafeBytes(of: &words) { xxh64($0) })
    guard requestDigest != 0 else { return checksum }
    return withUnsafeBytes(of: requestDigest.littleEndian) { xxh64($0, seed: checksum) }
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
