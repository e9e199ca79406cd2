// Room kept back on the disk: a file of zeros that is given up when the disk is full, so that the last entries of an
// election, a new term and the words that say so still find a place.

/// The file "ballast". One thread at a time.
public final class Ballast: Sendable {
  /// Room for many elections and their first entries, and little beside any disk worth the name.
  public static let defaultBytes = 8 << 20
  private static let pieceBytes = 256 << 10

  private let path: String
  private let files: any FileSystem
  private let bytes: Int
  // The log's writer alone.
  nonisolated(unsafe) private(set) var isHeld = false

  /// Takes the room if it is there; a disk that is full already is found out by the first write.
  init(path: String, files: any FileSystem, bytes: Int) {
    self.path = "\(path)/ballast"
    self.files = files
    self.bytes = bytes
    refill()
  }

  /// Gives the room up. False: there was none.
  func release() -> Bool {
    guard isHeld else { return false }
    isHeld = false
    do throws(FileError) {
      let file = try files.open(path, create: true).file
      defer { file.close() }
      try file.truncate(to: 0)
      // What is freed may be taken only once the freeing is durable.
      try file.sync()
      return true
    } catch {
      return false
    }
  }

  /// Takes the room back, all of it or nothing. True: it is held.
  @discardableResult
  func refill() -> Bool {
    guard !isHeld, bytes > 0 else { return true }
    do throws(FileError) {
      let file = try files.open(path, create: true).file
      defer { file.close() }
      do throws(FileError) {
        var size = try file.size()
        let zeros = [UInt8](repeating: 0, count: Self.pieceBytes)
        while size < bytes {
          let piece = min(zeros.count, bytes - size)
          try zeros.withUnsafeBytes { raw in
            Result { () throws(FileError) in
              try file.write(UnsafeRawBufferPointer(rebasing: raw[..<piece]), at: size)
            }
          }.get()
          size += piece
        }
        try file.sync()
        isHeld = true
      } catch {
        try file.truncate(to: 0)
      }
    } catch {}
    return isHeld
  }
}
