// Bits that flip in places that are in use: nobody needs to notice what is free.
import EventLoop
import Glibc

enum DiskRot {
  /// Flips one bit in every place where the text stands; false when it stands nowhere.
  @discardableResult
  static func flip(_ text: String, in path: String, bit: UInt64) throws -> Bool {
    guard FileSystem.exists(path) else { return false }
    let bytes = try FileSystem.read(path)
    let wanted = Array(text.utf8)
    let places = bytes.withUnsafeBytes { bytes in
      var places: [Int] = []
      var start = 0
      while let base = bytes.baseAddress, bytes.count - start >= wanted.count,
        let found = memchr(base + start, Int32(wanted[0]), bytes.count - start - wanted.count + 1)
      {
        let place = UnsafeRawPointer(found) - base
        if memcmp(found, wanted, wanted.count) == 0 { places.append(place) }
        start = place + 1
      }
      return places
    }
    try flip(places.map { $0 + Int(bit % UInt64(wanted.count)) }, of: bytes, in: path, bit)
    return !places.isEmpty
  }

  /// Flips a bit in one of the last commits of an SQLite write-ahead log, some commits before its end: those were
  /// acknowledged. False when it holds too few.
  static func flipCommit(of path: String, bit: UInt64) throws -> Bool {
    let bytes = try FileSystem.read(path)
    let (header, frameHeader) = (32, 24)
    func word(_ place: Int) -> Int { bytes[place..<place + 4].reduce(0) { $0 << 8 | Int($1) } }
    guard bytes.count > header else { return false }
    let pageSize = word(8)
    let salts = bytes[16..<24]
    var commits: [Int] = []
    var frame = header
    // Frames of an earlier turn have other salts; the last of each commit says how large the database is.
    while frame + frameHeader + pageSize <= bytes.count, bytes[frame + 8..<frame + 16].elementsEqual(salts) {
      if word(frame + 4) != 0 { commits.append(frame) }
      frame += frameHeader + pageSize
    }
    let beforeTheEnd = 4
    guard commits.count > beforeTheEnd else { return false }
    let page = commits[commits.count - 1 - beforeTheEnd] + frameHeader
    try flip([page + Int(bit % UInt64(pageSize))], of: bytes, in: path, bit)
    return true
  }

  private static func flip(_ places: [Int], of bytes: [UInt8], in path: String, _ bit: UInt64) throws {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { close(descriptor) }
    for place in places {
      var byte = bytes[place] ^ UInt8(1) << UInt8(bit >> 16 & 7)
      guard pwrite(descriptor, &byte, 1, off_t(place)) == 1 else { throw failure("write", path) }
    }
    guard fsync(descriptor) == 0 else { throw failure("write", path) }
  }

  private static func failure(_ what: String, _ path: String) -> RunFailure {
    RunFailure("cannot \(what) \(path): \(String(cString: strerror(errno)))")
  }
}
