// Sealing anew what is stored, in steps small enough for commits to go between them.

/// How far a walk over what is stored has come.
struct ResealWalk: Sendable {
  /// Where it begins and ends; nil where nothing is stored.
  var places: ClosedRange<UInt64>?
  /// Told the share that is done, from 0 to 1.
  var progress: @Sendable (Double) -> Void

  func reached(_ place: UInt64) {
    guard let places, places.upperBound > places.lowerBound, place >= places.lowerBound else { return }
    progress(min(1, Double(place - places.lowerBound) / Double(places.upperBound - places.lowerBound)))
  }

  /// Goes on from `place`. Every step is a job of its own, behind whatever waits to be written; it seals what comes next
  /// and returns how far it came, nil at the end. `failed` is told after what the store must write no more.
  func run(
    from place: UInt64 = 0, on worker: any BlockingWorker,
    step: @escaping @Sendable (_ after: UInt64) throws(StorageError) -> UInt64?,
    failed: @escaping @Sendable (StorageError) -> Void, _ completion: @escaping @Sendable (StorageError?) -> Void
  ) {
    do throws(StorageError) {
      guard let next = try step(place) else {
        progress(1)
        return completion(nil)
      }
      reached(next)
      worker.perform { run(from: next, on: worker, step: step, failed: failed, completion) }
    } catch {
      if !error.leavesStoreUsable { failed(error) }
      completion(error)
    }
  }
}

extension LogDatabase {
  private static let entriesPerStep = 128

  /// The indexes of the first and the last entry; nil without any.
  func storedIndexes() throws(StorageError) -> ClosedRange<UInt64>? {
    let first = try database.word("SELECT min(log_index) FROM log")
    let last = try database.word("SELECT max(log_index) FROM log")
    return first > 0 && first <= last ? first...last : nil
  }

  /// Seals the next entries behind `index` with the current key; returns the last, nil when there are no more.
  func reseal(after index: UInt64) throws(StorageError) -> UInt64? {
    var last: UInt64?
    var rows = LogRows()
    let key = cipher.currentKey
    let stored = try database.prepare(
      """
      SELECT log_index, term, kind, key_id, checksum, payload FROM log WHERE log_index > ?
      ORDER BY log_index LIMIT \(Self.entriesPerStep)
      """)
    stored.bind(index)
    while try stored.step() {
      last = stored.word(0)
      if stored.word(3) != key { try take(stored, &rows) }
    }
    guard !rows.isSpoiled else { throw .damaged("raft.db: an entry between \(index) and \(last ?? index)") }
    guard !rows.entries.isEmpty else { return last }
    let update = try database.prepare("UPDATE log SET key_id = ?, checksum = ?, payload = ? WHERE log_index = ?4")
    try database.transaction { () throws(StorageError) in
      for entry in rows.entries.values.sorted(by: { $0.index < $1.index }) {
        let payload = key == 0 ? entry.payload : cipher.seal(entry.payload, key: key, place: entry.place)
        update.bind(key)
        update.bind(entry.checksum(of: payload, key: key))
        update.bind(payload)
        update.bind(entry.index)
        try update.run()
      }
    }
    return last
  }
}

extension StateDatabase {
  private static let rowsPerStep: UInt64 = 256

  /// The ids of the first and the last object's row; nil without any.
  func storedRows() throws(StorageError) -> ClosedRange<UInt64>? {
    let first = try database.word("SELECT min(rowid) FROM object NOT INDEXED")
    let last = try database.word("SELECT max(rowid) FROM object NOT INDEXED")
    return first > 0 && first <= last ? first...last : nil
  }

  /// Seals the next objects behind the row `id` with the keys that are theirs now; returns the last row's id, nil when
  /// there are no more.
  func reseal(after id: UInt64) throws(StorageError) -> UInt64? {
    var last: UInt64?
    var objects: [ObjectRow] = []
    let stored = try database.prepare(
      """
      SELECT \(Self.columns), rowid FROM object NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT \(Self.rowsPerStep)
      """)
    stored.bind(id)
    while try stored.step() {
      last = stored.word(11)
      guard stored.word(8) != cipher.key(for: stored.text(0)) else { continue }
      guard let object = try decode(stored) else { throw .damaged("state.db: row \(stored.word(11))") }
      objects.append(object)
    }
    guard !objects.isEmpty else { return last }
    try database.transaction { () throws(StorageError) in for object in objects { try store(object) } }
    return last
  }

  /// The outcomes of requests: few.
  func resealRequests() throws(StorageError) {
    var read = StateRowsRead()
    var damage = StateDamage()
    try readRequests(&read, &damage)
    guard !read.isSpoiled else { throw .damaged("state.db: requests") }
    guard read.contents.needsResealing else { return }
    let before = requestChecksums
    do throws(StorageError) {
      try database.transaction { () throws(StorageError) in
        requestChecksums = requestChecksums.mapValues { ~$0 }
        try store(read.contents.requests)
      }
    } catch {
      requestChecksums = before
      throw error
    }
  }
}
