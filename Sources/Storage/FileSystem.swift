// Files, as Storage wants them: what SQLite and StorageDirectory ask of a disk, as protocols. Production's are the
// operating system's; the simulator supplies a disk in memory that tears, rots, fills and lies.

/// The operating system's answer when it refuses: an errno.
public struct FileError: Error, Sendable, Hashable, CustomStringConvertible {
  public var code: Int32
  public init(code: Int32) { self.code = code }
  public var description: String { "errno \(code)" }
}

/// An open file. Not for two threads at once.
public protocol File: AnyObject, Sendable {
  /// Reads from `offset` until the buffer is full or the file ends; returns the number of bytes read.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int
  /// Writes all of `bytes`, making the file longer where needed. Durable after `sync`.
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError)
  func truncate(to size: Int) throws(FileError)
  /// Returns when everything written through any handle of this file is durable. After an error what the disk holds is
  /// not known, and a second call must not be believed.
  func sync() throws(FileError)
  func size() throws(FileError) -> Int
  /// Tells the file from every other, a copy of it included, for as long as it exists; zero: this file system cannot.
  func number() throws(FileError) -> UInt64
  func close()
}

extension File {
  /// Everything in it.
  public func contents() throws(FileError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: try size())
    let count = try bytes.withUnsafeMutableBytes { raw in
      Result { () throws(FileError) in try read(into: raw, at: 0) }
    }.get()
    return Array(bytes.prefix(count))
  }

  /// From its beginning on.
  public func write(_ bytes: [UInt8]) throws(FileError) {
    try bytes.withUnsafeBytes { raw in Result { () throws(FileError) in try write(raw, at: 0) } }.get()
  }
}

/// A directory tree on one disk. Any thread may call any member. Names that were made, moved or deleted are durable
/// after `syncDirectory`.
public protocol FileSystem: AnyObject, Sendable {
  /// Opens the file at `path` for reading and writing; makes it where `create` allows. `isNew`: it was not there.
  func open(_ path: String, create: Bool) throws(FileError) -> (file: any File, isNew: Bool)
  func exists(_ path: String) throws(FileError) -> Bool
  func delete(_ path: String) throws(FileError)
  /// Gives the file at `path` another name; a file of that name is replaced, in one step.
  func rename(_ path: String, to other: String) throws(FileError)
  /// Makes a directory; one that exists is left alone.
  func createDirectory(_ path: String) throws(FileError)
  func syncDirectory(_ path: String) throws(FileError)
  /// Keeps every other process (and this one) from locking `path` until the returned lock is released. Throws EWOULDBLOCK
  /// when somebody has it.
  func lock(_ path: String) throws(FileError) -> any FileLock
}

/// A lock held; releasing it twice is harmless.
public protocol FileLock: AnyObject, Sendable {
  func release()
}
