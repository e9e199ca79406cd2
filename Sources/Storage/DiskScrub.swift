// What is stored, looked over while it is in use: a small part a second, on threads that no commit waits for, through
// connections that keep nothing in memory. Every entry and row is compared with its checksum, again and again, so that
// rot is found while the server still has in memory what was written, and the other servers theirs; not years later, when
// the second disk fails. (What the kernel's own memory hides is found when the pages are read from the disk again.)

/// What a look at the next part of the stored log came to.
public struct LogScrub: Sendable, Hashable {
  /// Entries that are missing or are not what was written. To be written again by an ordinary `LogWrite`.
  public var damaged: [UInt64] = []
  /// The file cannot be read any more, or does not say where the log begins: it must be made anew, at the next start.
  public var unreadable: String?

  public init() {}
}

/// What a look at the next part of the stored state came to.
public struct StateScrub: Sendable {
  /// Which part: keys above the first, through the second; nil: from the beginning, to the end.
  public var above: ObjectRowKey?
  public var through: ObjectRowKey?
  /// The rows of it that are as they were written, and their revisions. A row of the state as of `appliedIndex` that is
  /// not among them is lost, or older than it should be. To be written again by an ordinary `StateWrite`.
  public var good: [ObjectRowKey: UInt64] = [:]
  /// How far the state on the disk went; nil: it does not say, and is about to.
  public var appliedIndex: UInt64?
  public var revision: UInt64 = 0
  /// As of the log.
  public var unreadable: String?

  public init() {}
}

/// How a walk goes on: where it stands, and when it rests. One thread.
struct ScrubWalk<Place> {
  /// Bounds of a step: a few milliseconds of reading.
  static var rowsPerStep: Int { 256 }
  static var bytesPerStep: Int { 1 << 20 }
  /// Between two walks.
  private let restNanoseconds: UInt64

  private(set) var place: Place?
  private var notBefore: UInt64 = 0

  init(restNanoseconds: UInt64) { self.restNanoseconds = restNanoseconds }

  func isDue(_ now: UInt64) -> Bool { place != nil || now >= notBefore }

  /// Nil: the walk is at its end.
  mutating func goOn(from place: Place?, _ now: UInt64) {
    self.place = place
    if place == nil { notBefore = now + restNanoseconds }
  }
}

extension Database {
  /// Looks at the next entries behind `index`; `last`: where to go on, nil at the end.
  func scrubLog(after index: UInt64) -> (found: LogScrub, last: UInt64?) {
    var found = LogScrub()
    do throws(StorageError) {
      var last: UInt64?
      try snapshot { () throws(StorageError) in last = try scrubLog(after: index, &found) }
      return (found, last)
    } catch {
      if error.isDamage, !error.isReadError { found.unreadable = "\(error)" }
      return (found, nil)
    }
  }

  private func scrubLog(after index: UInt64, _ found: inout LogScrub) throws(StorageError) -> UInt64? {
    var base: UInt64 = 0
    let start = try prepare("SELECT log_index, term, checksum, configuration FROM base")
    if try start.step() {
      defer { start.reset() }
      let stored = LogBase(index: start.word(0), term: start.word(1), configuration: start.bytes(3))
      guard stored.checksum == start.word(2) else { throw .damaged("the start of the log") }
      base = stored.index
    }
    var expected = max(index, base) + 1
    var (count, bytes) = (0, 0)
    let rows = try prepare(
      """
      SELECT log_index, term, kind, key_id, checksum, payload FROM log WHERE log_index >= ? ORDER BY log_index
      LIMIT \(ScrubWalk<UInt64>.rowsPerStep)
      """)
    rows.bind(expected)
    defer { rows.reset() }
    while bytes < ScrubWalk<UInt64>.bytesPerStep, try rows.step() {
      let entry = LogEntry(
        index: rows.word(0), term: rows.word(1), kind: UInt8(truncatingIfNeeded: rows.word(2)), payload: rows.bytes(5))
      guard entry.index - expected < 1 << 16 else { throw .damaged("entries from \(expected) on are missing") }
      found.damaged += Array(expected..<entry.index)
      let checksum = entry.checksum(of: entry.payload, key: rows.word(3))
      if checksum != rows.word(4) || rows.word(2) > UInt8.max { found.damaged.append(entry.index) }
      expected = entry.index + 1
      count += 1
      bytes += entry.payload.count
    }
    return count == ScrubWalk<UInt64>.rowsPerStep || bytes >= ScrubWalk<UInt64>.bytesPerStep ? expected - 1 : nil
  }

  /// Looks at the next objects whose keys are above `key`.
  func scrubState(above key: ObjectRowKey?) -> StateScrub {
    var found = StateScrub()
    found.above = key
    do throws(StorageError) {
      try snapshot { () throws(StorageError) in try scrubState(&found) }
    } catch {
      found.good = [:]
      found.appliedIndex = nil
      if error.isDamage, !error.isReadError { found.unreadable = "\(error)" }
    }
    return found
  }

  private func scrubState(_ found: inout StateScrub) throws(StorageError) {
    for table in ["mark", "mark_copy"] where found.appliedIndex == nil {
      let row = try prepare("SELECT \(MarkRow.columns) FROM \(table)")
      guard try row.step() else { continue }
      defer { row.reset() }
      guard let mark = MarkRow(row)?.mark else { continue }
      found.appliedIndex = mark.appliedIndex
      found.revision = mark.revision
    }
    var (count, bytes) = (0, 0)
    var last: ObjectRowKey?
    let rows = try prepare(
      """
      SELECT \(StateDatabase.columns) FROM object WHERE (resource, namespace, name) > (?, ?, ?)
      ORDER BY resource, namespace, name LIMIT \(ScrubWalk<ObjectRowKey>.rowsPerStep)
      """)
    for text in [found.above?.resource ?? "", found.above?.namespace ?? "", found.above?.name ?? ""] { rows.bind(text) }
    defer { rows.reset() }
    while bytes < ScrubWalk<ObjectRowKey>.bytesPerStep, try rows.step() {
      let object = ObjectRow(
        resource: rows.text(0), namespace: rows.text(1), name: rows.text(2), revision: rows.word(3), uid: rows.text(4),
        labels: [:], fence: rows.word(6), revisionOffset: Int(truncatingIfNeeded: rows.word(7)), json: rows.bytes(10))
      let key = ObjectRowKey(resource: object.resource, namespace: object.namespace, name: object.name)
      last = key
      count += 1
      bytes += object.json.count
      guard object.revisionOffset >= 0,
        object.checksum(labels: rows.text(5), stored: object.json, key: rows.word(8)) == rows.word(9)
      else { continue }
      found.good[key] = object.revision
    }
    if count == ScrubWalk<ObjectRowKey>.rowsPerStep || bytes >= ScrubWalk<ObjectRowKey>.bytesPerStep {
      found.through = last
    }
  }

  /// Runs `body` on the database as it is at one moment.
  private func snapshot(_ body: () throws(StorageError) -> Void) throws(StorageError) {
    try execute("BEGIN")
    defer { rollBack() }
    try body()
  }
}
