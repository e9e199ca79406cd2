// The operating system's files, for what Storage keeps beside SQLite (which has its own way to them).

import CSQLite
import Glibc
import Synchronization

/// The file system of the machine.
public final class OperatingSystemFiles: FileSystem {
  public init() {}

  public func open(_ path: String, create: Bool) throws(FileError) -> (file: any File, isNew: Bool) {
    let flags = O_RDWR | O_CLOEXEC
    var descriptor = Glibc.open(path, flags, 0o600)
    var isNew = false
    if descriptor < 0, errno == ENOENT, create {
      descriptor = Glibc.open(path, flags | O_CREAT, 0o600)
      isNew = true
    }
    guard descriptor >= 0 else { throw FileError(code: errno) }
    return (OperatingSystemFile(descriptor), isNew)
  }

  public func exists(_ path: String) throws(FileError) -> Bool {
    if access(path, F_OK) == 0 { return true }
    guard errno == ENOENT else { throw FileError(code: errno) }
    return false
  }

  public func delete(_ path: String) throws(FileError) {
    if unlink(path) != 0 { throw FileError(code: errno) }
  }

  public func rename(_ path: String, to other: String) throws(FileError) {
    if Glibc.rename(path, other) != 0 { throw FileError(code: errno) }
  }

  public func createDirectory(_ path: String) throws(FileError) {
    if mkdir(path, 0o700) != 0, errno != EEXIST { throw FileError(code: errno) }
  }

  public func syncDirectory(_ path: String) throws(FileError) {
    let directory = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw FileError(code: errno) }
    defer { Glibc.close(directory) }
    if fsync(directory) != 0 { throw FileError(code: errno) }
  }

  public func lock(_ path: String) throws(FileError) -> any FileLock {
    let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw FileError(code: errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      Glibc.close(descriptor)
      throw FileError(code: code)
    }
    return OperatingSystemLock(descriptor)
  }
}

/// `flock` on a descriptor of its own: the system lets go of it with the process.
private final class OperatingSystemLock: FileLock {
  private let descriptor: Mutex<Int32>
  init(_ descriptor: Int32) { self.descriptor = Mutex(descriptor) }
  deinit { release() }

  func release() {
    let held = descriptor.withLock { held in
      defer { held = -1 }
      return held
    }
    if held >= 0 { Glibc.close(held) }
  }
}

private final class OperatingSystemFile: File {
  private let descriptor: Int32
  private let isOpen = Atomic(true)
  init(_ descriptor: Int32) { self.descriptor = descriptor }
  deinit { close() }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    var done = 0
    while done < buffer.count {
      let count = pread(descriptor, buffer.baseAddress.map { $0 + done }, buffer.count - done, offset + done)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileError(code: errno) }
      if count == 0 { break }
      done += count
    }
    return done
  }

  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let count = pwrite(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done, offset + done)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileError(code: errno) }
      done += count
    }
  }

  func truncate(to size: Int) throws(FileError) {
    if ftruncate(descriptor, size) != 0 { throw FileError(code: errno) }
  }

  func sync() throws(FileError) {
    if fdatasync(descriptor) != 0 { throw FileError(code: errno) }
  }

  func size() throws(FileError) -> Int {
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw FileError(code: errno) }
    return Int(information.st_size)
  }

  /// Inode and birth: a copy may by chance get the same inode in another file system, not the same nanosecond.
  func number() throws(FileError) -> UInt64 {
    var information = stat()
    guard fstat(descriptor, &information) == 0 else { throw FileError(code: errno) }
    var words = (UInt64(information.st_ino).littleEndian, trireme_birth_time(descriptor).littleEndian)
    guard words.1 != 0 else { return 0 }
    return withUnsafeBytes(of: &words) { xxh64($0) }
  }

  func close() {
    if isOpen.exchange(false, ordering: .acquiringAndReleasing) { Glibc.close(descriptor) }
  }
}
