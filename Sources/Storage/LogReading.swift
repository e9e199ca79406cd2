// Reading raft.db: everything that is as it was written, whatever the rest is like, and a judgement of what is missing.

/// What could be read of raft.db.
struct LogRows {
  var hardState: LogHardState?
  var base: LogBase?
  var truncation: LogExtent?
  /// Nothing was ever written.
  var isBlank: Bool { hardState == nil && base == nil && entries.isEmpty && !isSpoiled }
  /// Entries with good checksums, by index.
  var entries: [UInt64: LogEntry] = [:]
  /// Something was unreadable: the file must be made anew of what was not.
  var isSpoiled = false
  /// Entries are sealed with another key than the current one.
  var needsResealing = false
  /// A read failed: perhaps not the next time.
  var hadReadError = false
  /// The start of the log was there and is not what was written.
  var isBaseSpoiled = false
}

extension LogDatabase {
  /// Reads all that is good. Throws `foreign` where entries are sealed with a key that is not there.
  func readRows() throws(StorageError) -> LogRows {
    var rows = LogRows()
    rows.isSpoiled = try database.isInconsistent()
    try reading(&rows) { (rows) throws(StorageError) in
      let row = try database.prepare("SELECT current_term, voted_for, commit_index, checksum FROM hard_state")
      guard try row.step() else { return }
      defer { row.reset() }
      let stored = LogHardState(currentTerm: row.word(0), votedFor: row.word(1), commitIndex: row.word(2))
      if stored.checksum == row.word(3) { rows.hardState = stored } else { rows.isSpoiled = true }
    }
    rows.isBaseSpoiled = try !reading(&rows) { (rows) throws(StorageError) in
      let row = try database.prepare("SELECT log_index, term, checksum, configuration FROM base")
      guard try row.step() else { return }
      defer { row.reset() }
      let stored = LogBase(index: row.word(0), term: row.word(1), configuration: row.bytes(3))
      guard stored.checksum == row.word(2) else { throw .damaged("the start of the log") }
      rows.base = stored
    }
    try reading(&rows) { (rows) throws(StorageError) in
      let row = try database.prepare("SELECT number, log_index, checksum FROM truncation")
      guard try row.step() else { return }
      defer { row.reset() }
      var stored = LogExtent()
      stored.truncations = row.word(0)
      stored.truncatedFrom = row.word(1)
      if stored.truncationChecksum == row.word(2) { rows.truncation = stored } else { rows.isSpoiled = true }
    }
    let columns = "SELECT log_index, term, kind, key_id, checksum, payload FROM log"
    let isComplete = try reading(&rows) { (rows) throws(StorageError) in
      let row = try database.prepare("\(columns) WHERE log_index > ? ORDER BY log_index")
      row.bind(rows.base?.index ?? 0)
      while try row.step() { try take(row, &rows) }
    }
    guard !isComplete else { return rows }
    // From the other end too: what cannot be read is somewhere in between.
    try reading(&rows) { (rows) throws(StorageError) in
      let row = try database.prepare("\(columns) WHERE log_index > ? ORDER BY log_index DESC")
      row.bind(rows.base?.index ?? 0)
      while try row.step() { try take(row, &rows) }
    }
    return rows
  }

  /// Reads entries one by one, past whatever cannot be read.
  func readEntries(_ range: ClosedRange<UInt64>, into rows: inout LogRows) throws(StorageError) {
    for index in range where rows.entries[index] == nil {
      try reading(&rows) { (rows) throws(StorageError) in
        let row = try database.prepare(
          "SELECT log_index, term, kind, key_id, checksum, payload FROM log WHERE log_index = ?")
        row.bind(index)
        if try row.step() {
          defer { row.reset() }
          try take(row, &rows)
        }
      }
    }
  }

  func take(_ row: Statement, _ rows: inout LogRows) throws(StorageError) {
    let stored = row.bytes(5)
    var entry = LogEntry(
      index: row.word(0), term: row.word(1), kind: UInt8(truncatingIfNeeded: row.word(2)), payload: stored)
    let key = row.word(3)
    guard entry.checksum(of: stored, key: key) == row.word(4), entry.kind == row.word(2) else {
      rows.isSpoiled = true
      return
    }
    if key != cipher.currentKey { rows.needsResealing = true }
    if key != 0 {
      guard let opened = try cipher.opened(stored, key: key, place: entry.place, "entry \(entry.index)") else {
        rows.isSpoiled = true
        return
      }
      entry.payload = opened
    }
    rows.entries[entry.index] = entry
  }

  /// Runs a part of the reading; false when the file cannot be read there.
  @discardableResult
  private func reading(
    _ rows: inout LogRows, _ body: (inout LogRows) throws(StorageError) -> Void
  ) throws(StorageError) -> Bool {
    do throws(StorageError) {
      try body(&rows)
      return true
    } catch {
      guard error.isDamage else { throw error }
      rows.isSpoiled = true
      if error.isReadError { rows.hadReadError = true }
      return false
    }
  }
}

extension StorageCipher {
  /// What was sealed; nil where the bytes are not those sealed. Throws `foreign` where the key is not there.
  func opened(_ bytes: [UInt8], key: UInt64, place: [UInt8], _ what: String) throws(StorageError) -> [UInt8]? {
    if let opened = open(bytes, key: key, place: place) { return opened }
    guard holds(key: key) else {
      throw .foreign(
        "\(what) is encrypted with key \(key), which this server does not have: put its encryption keys back in their "
          + "place")
    }
    return nil
  }
}

/// What the log comes to, given all that is known of it.
struct LogJudgement {
  var contents = LogContents()
  var extent = LogExtent()
  /// Entries that are to be kept, should the file be made anew.
  var kept: [LogEntry] = []

  /// `known`: from the file of promises. `state`: what the state includes; the log may begin there if its own beginning
  /// is lost.
  init(
    _ rows: LogRows, promise: Promise?, known: LogExtent?, state: StateMark?
  ) throws(StorageError) {
    contents.hardState = try Self.hardState(rows, promise)
    contents.needsResealing = rows.needsResealing
    contents.base = rows.base
    if rows.base == nil, rows.isSpoiled, let state {
      contents.base = LogBase(index: state.appliedIndex, term: state.appliedTerm, configuration: state.configuration)
    }
    let base = contents.base?.index ?? 0
    let truncations = rows.truncation?.truncations ?? (rows.isSpoiled ? known?.truncations ?? 0 : 0)
    extent = rows.truncation ?? LogExtent()
    extent.truncations = truncations
    var entries = rows.entries.filter { $0.key > base }
    var acknowledged: LogPosition?
    if let known, known.truncations >= truncations {
      acknowledged = known.last
      if known.truncations > truncations {
        // raft.db lost what was acknowledged after the log had been truncated: what it still has behind is obsolete.
        let obsolete = known.truncations == truncations + 1 ? known.truncatedFrom : base + 1
        entries = entries.filter { $0.key < obsolete }
        extent = known
      } else if known.last.term != 0, let entry = entries[known.last.index], entry.term != known.last.term {
        entries = entries.filter { $0.key < known.last.index }
      }
    }
    if StorageMutant.damagedTailDropped.isActive {
      var last = base
      while entries[last + 1] != nil { last += 1 }
      contents.entries = (base..<last).compactMap { entries[$0 + 1] }
      contents.hardState.commitIndex = min(contents.hardState.commitIndex, last)
      kept = contents.entries
      extent.last = LogPosition(index: last, term: 0)
      return
    }
    // Nothing is known of the end of a log whose file was spoiled and whose extent is lost.
    let isEndUnknown = rows.isSpoiled && known == nil
    let lastReadable = entries.keys.max() ?? base
    let last = max(base, lastReadable, acknowledged?.index ?? 0, contents.hardState.commitIndex)
    var missing: [ClosedRange<UInt64>] = []
    for index in base + 1..<max(base, last) + 1 {
      guard let entry = entries[index] else {
        if let range = missing.last, range.upperBound + 1 == index {
          missing[missing.count - 1] = range.lowerBound...index
        } else {
          missing.append(index...index)
        }
        continue
      }
      kept.append(entry)
    }
    if isEndUnknown { missing.append(last + 1...UInt64.max) }
    extent.last = LogPosition(
      index: last, term: entries[last]?.term ?? (acknowledged?.index == last ? acknowledged?.term ?? 0 : 0))
    if last == base, let term = contents.base?.term { extent.last.term = term }
    guard let firstMissing = missing.first?.lowerBound else {
      contents.entries = kept
      return
    }
    contents.entries = kept.filter { $0.index < firstMissing }
    contents.damage = LogDamage(
      missing: missing, entriesBeyond: kept.filter { $0.index > firstMissing },
      lastAcknowledged: isEndUnknown ? nil : extent.last)
  }

  /// The later of the two copies of term and vote; either may be lost, but not both.
  private static func hardState(_ rows: LogRows, _ promise: Promise?) throws(StorageError) -> LogHardState {
    guard var hardState = rows.hardState else {
      if promise == nil, rows.isSpoiled {
        throw .damaged("term and vote are lost: this server may have voted and cannot know; remove it and join it anew")
      }
      return LogHardState(currentTerm: promise?.currentTerm ?? 0, votedFor: promise?.votedFor ?? 0)
    }
    if let promise,
      promise.currentTerm > hardState.currentTerm
        || promise.currentTerm == hardState.currentTerm && hardState.votedFor == 0
    {
      hardState.currentTerm = promise.currentTerm
      hardState.votedFor = promise.votedFor
    }
    return hardState
  }
}
