// SQLite on a real file system that has no room left: what our own file systems do not have is found out here.

import FileSupport
import Foundation
import Glibc
import Testing

@testable import Storage

@Suite(.serialized, .enabled(if: geteuid() == 0, "only root may mount a file system"))
struct SmallDiskTests {
  /// A file system in memory with a file that takes its room away.
  private final class SmallDisk {
    let folder = TemporaryFolder("small-disk")
    var path: String { folder.path }

    init(mebibytes: Int) throws {
      guard mount("tmpfs", folder.path, "tmpfs", 0, "size=\(mebibytes)m") == 0 else {
        throw StorageError.system(operation: "mount", code: errno)
      }
    }
    deinit { umount2(folder.path, Int32(MNT_DETACH)) }

    /// Leaves so many pages of 4,096 bytes.
    func leave(pages: Int) throws {
      var status = statvfs()
      let filler = open("\(path)/filler", O_RDWR | O_CREAT, 0o600)
      defer { close(filler) }
      guard statvfs(path, &status) == 0, filler >= 0 else {
        throw StorageError.system(operation: "statvfs", code: errno)
      }
      let size = Int(lseek(filler, 0, SEEK_END))
      let wanted = size + (Int(status.f_bavail) - pages) * 4096
      if wanted < size {
        try #require(ftruncate(filler, wanted) == 0)
      } else {
        try #require(posix_fallocate(filler, size, max(1, wanted - size)) == 0)
      }
    }
  }

  private func insert(_ count: Int, into database: Database) throws {
    let statement = try database.prepare("INSERT INTO entry(payload) VALUES(zeroblob(4000))")
    try database.transaction { () throws(StorageError) in for _ in 0..<count { try statement.run() } }
  }

  private func count(_ path: String) throws -> UInt64 {
    try Database(path: path, system: nil).word("SELECT count(*) FROM entry")
  }

  /// Lines that find no room are lost, one of them perhaps in its middle: what comes after them is whole.
  @Test func linesAfterAFullDiskBeginOnTheirOwn() throws {
    let disk = try SmallDisk(mebibytes: 8)
    let path = "\(disk.path)/log"
    let file = try LineFile(path: path, bytesMaximum: 1 << 30, backupsMaximum: 0)
    try file.append([Array("first".utf8)])
    try disk.leave(pages: 2)
    #expect(throws: StorageError.self) { try file.append([[UInt8](repeating: 120, count: 100_000)]) }
    try disk.leave(pages: 200)
    try file.append([Array("last".utf8)])
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 3 && lines.first == "first" && lines.last == "last")
  }

  /// A commit that finds no room for the index of the write-ahead log, after its frames were written, is one that found no
  /// room: tried again it is done once, and whoever opens the file before that finds all of it or nothing.
  @Test func noRoomForTheIndexOfTheWriteAheadLogIsNoRoom() throws {
    let disk = try SmallDisk(mebibytes: 48)
    let path = "\(disk.path)/a.db"
    let database = try Database(path: path, system: nil)
    try database.execute("PRAGMA page_size=4096")
    try database.execute("PRAGMA journal_mode=WAL")
    try database.execute("PRAGMA synchronous=FULL")
    try database.execute("CREATE TABLE entry(id INTEGER PRIMARY KEY, payload BLOB)")
    // The first part of the index has room for 4,062 frames.
    while database.frames < 4030 { try insert(1, into: database) }
    try #require(database.frames < 4062)
    let before = try database.word("SELECT count(*) FROM entry")
    var wasFoundOut = false
    // What one try has made of the files, the next finds: page by page.
    for _ in 0..<80 where !wasFoundOut {
      try disk.leave(pages: 1)
      do {
        try insert(40, into: database)
        Issue.record("there was room")
        break
      } catch let error as StorageError {
        #expect(error.isFull, "\(error)")
        if case .database(_, IOErrorCode.sharedMemorySize, _) = error { wasFoundOut = true }
      }
      #expect(try database.word("SELECT count(*) FROM entry") == before)
    }
    #expect(wasFoundOut)
    try disk.leave(pages: 6000)
    let copy = "\(disk.path)/copy.db"
    for suffix in ["", "-wal"] { try FileManager.default.copyItem(atPath: path + suffix, toPath: copy + suffix) }
    #expect(try [before, before + 40].contains(count(copy)))
    try insert(40, into: database)
    #expect(try database.word("SELECT count(*) FROM entry") == before + 40)
    #expect(try count(path) == before + 40)
    #expect(try !database.isInconsistent())
  }
}
