// Files for start-up and the command line. Everything here blocks: it does not belong on a loop that serves requests.

import CLibuv
import Glibc

/// A file operation that failed.
public struct FileError: Error, Sendable, Hashable, CustomStringConvertible {
  public let operation: String
  public let path: String
  /// `errno`.
  public let code: Int32

  public var description: String { "\(operation) \(path): \(String(cString: strerror(code)))" }
  public var isNotFound: Bool { code == ENOENT }

  static func last(_ operation: String, _ path: String) -> FileError {
    FileError(operation: operation, path: path, code: errno)
  }
}

/// Blocking file operations. Not for a loop that serves requests.
public enum FileSystem {
  /// Files larger than this are not configuration: reading one is a mistake.
  public static let readLimit = 256 << 20

  /// The whole file.
  public static func read(_ path: String, limit: Int = readLimit) throws(FileError) -> [UInt8] {
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .last("open", path) }
    defer { Glibc.close(descriptor) }
    var bytes: [UInt8] = []
    var information = stat()
    // Files of /proc say that they have no size; a pipe has none.
    let expected = fstat(descriptor, &information) == 0 ? Int(information.st_size) : 0
    bytes.reserveCapacity(min(expected, limit) + 1)
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let count = Glibc.read(descriptor, &buffer, buffer.count)
      if count == 0 { return bytes }
      guard count > 0 else {
        if errno == EINTR { continue }
        throw .last("read", path)
      }
      bytes.append(contentsOf: buffer[..<count])
      guard bytes.count <= limit else { throw FileError(operation: "read", path: path, code: EFBIG) }
    }
  }

  /// The whole file as text.
  public static func readText(_ path: String) throws(FileError) -> String {
    guard let text = String(validating: try read(path), as: UTF8.self) else {
      throw FileError(operation: "read text of", path: path, code: EILSEQ)
    }
    return text
  }

  /// Replaces the file in one step that survives a power cut: after it, `path` holds either what it held or all of
  /// `bytes`. `permissions` hold from the start, before the first byte is written.
  public static func write(
    _ bytes: some Collection<UInt8>, to path: String, permissions: UInt32 = 0o644
  ) throws(FileError) {
    var template = Array("\(path).XXXXXX".utf8CString)
    let descriptor = mkostemp(&template, O_CLOEXEC)
    let temporary = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    guard descriptor >= 0 else { throw .last("create", temporary) }
    do throws(FileError) {
      defer { Glibc.close(descriptor) }
      guard fchmod(descriptor, permissions) == 0 else { throw .last("set permissions of", temporary) }
      try writeAll(Array(bytes), to: descriptor, temporary)
      guard fsync(descriptor) == 0 else { throw .last("fsync", temporary) }
    } catch {
      unlink(temporary)
      throw error
    }
    guard Glibc.rename(temporary, path) == 0 else {
      let error = FileError.last("rename to", path)
      unlink(temporary)
      throw error
    }
    try synchronizeDirectory(parent(of: path))
  }

  public static func write(_ text: String, to path: String, permissions: UInt32 = 0o644) throws(FileError) {
    try write(text.utf8, to: path, permissions: permissions)
  }

  private static func writeAll(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws(FileError) {
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, $0.count - written) }
      if count > 0 { written += count } else if errno != EINTR { throw .last("write", path) }
    }
  }

  /// Makes a rename or removal in the directory durable.
  public static func synchronizeDirectory(_ path: String) throws(FileError) {
    let descriptor = Glibc.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .last("open", path) }
    defer { Glibc.close(descriptor) }
    guard fsync(descriptor) == 0 else { throw .last("fsync", path) }
  }

  /// Whether something is at the path (a broken link is not).
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  public static func isDirectory(_ path: String) -> Bool {
    var information = stat()
    return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFDIR
  }

  /// Size in bytes.
  public static func size(_ path: String) throws(FileError) -> Int {
    var information = stat()
    guard stat(path, &information) == 0 else { throw .last("stat", path) }
    return Int(information.st_size)
  }

  /// The permission bits.
  public static func permissions(_ path: String) throws(FileError) -> UInt32 {
    var information = stat()
    guard stat(path, &information) == 0 else { throw .last("stat", path) }
    return information.st_mode & 0o7777
  }

  public static func setPermissions(_ path: String, _ permissions: UInt32) throws(FileError) {
    guard chmod(path, permissions) == 0 else { throw .last("set permissions of", path) }
  }

  /// Makes the directory and those above it that are missing; one that exists is left as it is.
  public static func createDirectory(_ path: String, permissions: UInt32 = 0o755) throws(FileError) {
    if isDirectory(path) { return }
    let above = parent(of: path)
    if above != path { try createDirectory(above, permissions: permissions) }
    if mkdir(path, permissions) != 0 {
      let error = FileError.last("create directory", path)
      guard isDirectory(path) else { throw error }
    }
  }

  /// A new directory of one's own under `parent`.
  public static func createTemporaryDirectory(in parent: String = "/tmp", prefix: String) throws(FileError) -> String {
    var template = Array("\(parent)/\(prefix)XXXXXX".utf8CString)
    let isMade = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) != nil }
    guard isMade else { throw .last("create directory in", parent) }
    return template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  /// Names in a directory, sorted, without "." and "..".
  public static func list(_ path: String) throws(FileError) -> [String] {
    guard let directory = opendir(path) else { throw .last("list", path) }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let offset = MemoryLayout<dirent>.offset(of: \.d_name)!
      let name = String(cString: (UnsafeRawPointer(entry) + offset).assumingMemoryBound(to: CChar.self))
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Removes a file or link; one that is not there is no error.
  public static func remove(_ path: String) throws(FileError) {
    guard unlink(path) == 0 || errno == ENOENT else { throw .last("remove", path) }
  }

  /// Removes a directory and all below it, without following links; one that is not there is no error.
  public static func removeTree(_ path: String) throws(FileError) {
    var information = stat()
    guard lstat(path, &information) == 0 else {
      if errno == ENOENT { return }
      throw .last("remove", path)
    }
    guard information.st_mode & S_IFMT == S_IFDIR else { return try remove(path) }
    for name in try list(path) { try removeTree("\(path)/\(name)") }
    guard rmdir(path) == 0 || errno == ENOENT else { throw .last("remove", path) }
  }

  /// Renames, replacing what is at the target.
  public static func rename(_ source: String, to target: String) throws(FileError) {
    guard Glibc.rename(source, target) == 0 else { throw .last("rename \(source) to", target) }
  }

  /// The directory that holds the path.
  public static func parent(of path: String) -> String {
    let trimmed = path.count > 1 && path.hasSuffix("/") ? String(path.dropLast()) : path
    guard let slash = trimmed.lastIndex(of: "/") else { return "." }
    return slash == trimmed.startIndex ? "/" : String(trimmed[..<slash])
  }
}
