// What a server must never forget, beside raft.db: its term and vote, and how far its log was acknowledged.
//
// SQLite drops whatever it cannot read at the end of a write-ahead log: a bit that flips there would take back a vote,
// or entries that were acknowledged, and nothing in raft.db would show it. Therefore term and vote are kept twice, and
// how far the log went is kept once more in the file "promises". It is five records in pages of their own, overwritten
// in place: it never grows, so that a term can be promised on a full disk too. A promise also names the file that it
// was made in: the promises of a copy are a former self's.

/// Term and vote, and the count of the server's starts.
struct Promise: Hashable {
  var currentTerm: UInt64 = 0
  var votedFor: UInt64 = 0
  var incarnation: UInt64 = 0
}

/// How far the log on this disk was acknowledged.
struct LogExtent: Hashable {
  /// Counts the truncations of the log. An extent of an earlier count than raft.db's says nothing any more.
  var truncations: UInt64 = 0
  /// Where the last of them began.
  var truncatedFrom: UInt64 = 0
  var last = LogPosition(index: 0, term: 0)
}

/// The file "promises". One thread at a time, but for `syncExtent`, which another may call.
final class PromiseFile: Sendable {
  static let name = "promises"
  /// Each record in a page of its own: no fault strikes two.
  private static let pageBytes = 4096
  private static let recordBytes = 7 * 8
  private static let promiseMagic: UInt64 = 0x3145_5349_4D4F_5250  // "PROMISE1"
  private static let extentMagic: UInt64 = 0x3154_4E45_5458_4531  // "1EXTENT1"
  private static let promisePages = 2
  /// One that is known to be durable, one that a sync makes so, and one to note on meanwhile: a process that dies during
  /// a sync, which a slow disk makes long, must not take with it what was noted since.
  private static let extentPages = 3
  private static let fileBytes = (promisePages + extentPages) * pageBytes

  private let file: any File
  private struct State {
    var promise: Promise?
    /// The number of the file that the promises were made in; zero: not known.
    var place: UInt64 = 0
    var promiseSequence: UInt64 = 0
    var extent: LogExtent?
    var extentSequence: UInt64 = 0
    /// The page that extents are noted on.
    var extentPage = 0
    /// The page that holds the last extent that is known to be durable.
    var durablePage: Int?
    var isExtentSynced = true
    /// The page that a sync is about to make durable: it must stay as it is.
    var syncingPage: Int?
  }
  // The writer's thread alone.
  nonisolated(unsafe) private var state = State()

  /// Opens or creates the file. `isNew`: nothing was there.
  init(path: String, files: any FileSystem) throws(StorageError) {
    do throws(FileError) {
      let (file, _) = try files.open("\(path)/\(Self.name)", create: true)
      self.file = file
      if try file.size() < Self.fileBytes {
        // All of the file's room is taken now; later it might not be there.
        let size = try file.size() / 8 * 8
        try file.write([UInt64](repeating: 0, count: (Self.fileBytes - size) / 8), at: size)
        try file.sync()
      }
      try load()
    } catch {
      throw .system(operation: "\(path)/\(Self.name)", code: error.code)
    }
  }

  deinit { file.close() }

  /// Promises from here on are this very file's. False: those that stand in it were made in another, which this is a
  /// copy of; nothing is changed then, unless it `mayMove`.
  func settle(mayMove: Bool) throws(StorageError) -> Bool {
    do throws(FileError) {
      let number = try file.number()
      guard mayMove || state.place == 0 || number == 0 || state.place == number else { return false }
      state.place = number
      return true
    } catch {
      throw .system(operation: "look at \(Self.name)", code: error.code)
    }
  }

  /// As last made; nil when there is none that can be read.
  var promise: Promise? { state.promise }
  /// As last noted; nil when there is none that can be read.
  var extent: LogExtent? { state.extent }

  /// Durable when it returns.
  func make(_ promise: Promise) throws(StorageError) {
    let words = [promise.currentTerm, promise.votedFor, promise.incarnation, state.place]
    do throws(FileError) {
      try write(Self.promiseMagic, state.promiseSequence + 1, words, page: Int(state.promiseSequence & 1))
      try file.sync()
    } catch {
      throw .system(operation: "sync of the promises", code: error.code)
    }
    state.promiseSequence += 1
    state.promise = promise
    if state.syncingPage == nil, !state.isExtentSynced { extentIsDurable(on: state.extentPage) }
  }

  /// Notes how far the log is durable. Not durable itself before `syncExtent` or `make`: it is a hint that costs no
  /// sync of its own.
  func note(_ extent: LogExtent) throws(StorageError) {
    guard extent != state.extent else { return }
    let words = [extent.truncations, extent.truncatedFrom, extent.last.index, extent.last.term]
    do throws(FileError) {
      try write(Self.extentMagic, state.extentSequence + 1, words, page: Self.promisePages + state.extentPage)
    } catch {
      throw .system(operation: "write of the log's extent", code: error.code)
    }
    state.extentSequence += 1
    state.extent = extent
    state.isExtentSynced = false
  }

  /// Begins to make durable what was noted: `syncExtent` on any thread, then `endSync`. False: nothing to do.
  func beginSync() -> Bool {
    guard !state.isExtentSynced, state.syncingPage == nil else { return false }
    state.syncingPage = state.extentPage
    noteElsewhere()
    // What is noted from now on needs a sync of its own.
    state.isExtentSynced = true
    return true
  }

  /// On any thread.
  func syncExtent() throws(StorageError) {
    do throws(FileError) { try file.sync() } catch {
      throw .system(operation: "sync of the log's extent", code: error.code)
    }
  }

  /// What was noted when the sync began is durable.
  func endSync() {
    state.durablePage = state.syncingPage
    state.syncingPage = nil
  }

  private func extentIsDurable(on page: Int) {
    state.isExtentSynced = true
    state.durablePage = page
    noteElsewhere()
  }

  /// On a page that neither holds what is durable nor what is about to be.
  private func noteElsewhere() {
    state.extentPage =
      (0..<Self.extentPages).first { $0 != state.durablePage && $0 != state.syncingPage } ?? state.extentPage
  }

  private func load() throws(FileError) {
    for page in 0..<Self.promisePages {
      guard let (sequence, words) = try read(Self.promiseMagic, page: page), sequence > state.promiseSequence,
        // The page follows from the number: a record that lies elsewhere was misdirected.
        Int((sequence - 1) & 1) == page
      else { continue }
      state.promiseSequence = sequence
      state.promise = Promise(currentTerm: words[0], votedFor: words[1], incarnation: words[2])
      state.place = words[3]
    }
    for page in 0..<Self.extentPages {
      guard let (sequence, words) = try read(Self.extentMagic, page: Self.promisePages + page),
        sequence > state.extentSequence
      else { continue }
      state.extentSequence = sequence
      state.durablePage = page
      state.extent = LogExtent(
        truncations: words[0], truncatedFrom: words[1], last: LogPosition(index: words[2], term: words[3]))
    }
    noteElsewhere()
  }

  /// A record: magic, sequence, four words, checksum.
  private func write(
    _ magic: UInt64, _ sequence: UInt64, _ words: [UInt64], page: Int
  ) throws(FileError) {
    var record = [magic.littleEndian, sequence.littleEndian] + words.map(\.littleEndian)
    record.append(record.withUnsafeBytes { xxh64($0, seed: UInt64(page)) }.littleEndian)
    try file.write(record, at: page * Self.pageBytes)
  }

  private func read(_ magic: UInt64, page: Int) throws(FileError) -> (sequence: UInt64, words: [UInt64])? {
    let record = try file.read(words: Self.recordBytes / 8, at: page * Self.pageBytes)
    guard record.count == Self.recordBytes / 8, UInt64(littleEndian: record[0]) == magic else { return nil }
    let checksum = record[..<6].withUnsafeBytes { xxh64($0, seed: UInt64(page)) }
    guard checksum == UInt64(littleEndian: record[6]) else { return nil }
    return (UInt64(littleEndian: record[1]), record[2..<6].map { UInt64(littleEndian: $0) })
  }
}

extension File {
  fileprivate func write(_ words: [UInt64], at offset: Int) throws(FileError) {
    try words.withUnsafeBytes { bytes in
      Result { () throws(FileError) in try write(bytes, at: offset) }
    }.get()
  }

  /// Fewer where the file ends.
  fileprivate func read(words: Int, at offset: Int) throws(FileError) -> [UInt64] {
    var read = [UInt64](repeating: 0, count: words)
    let count = try read.withUnsafeMutableBytes { bytes in
      Result { () throws(FileError) in try self.read(into: bytes, at: offset) }
    }.get()
    return Array(read.prefix(count / 8))
  }
}
