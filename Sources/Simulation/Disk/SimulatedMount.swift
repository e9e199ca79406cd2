// A simulated disk as one process sees it: dead with the process, whoever still holds its files.

import Glibc
import Storage

/// The errors that a simulated disk reports.
enum DiskErrno {
  static let noEntry = ENOENT
  static let inputOutput = EIO
  static let noSpace = ENOSPC
  static let wouldBlock = EWOULDBLOCK
}

/// `FileSystem` of one process on a simulated disk. On the simulation's thread alone.
public final class SimulatedMount: FileSystem, @unchecked Sendable {
  let disk: SimulatedDisk
  /// Whether the process lives: false after `kill` and `crash`.
  public internal(set) var isAlive = true

  init(_ disk: SimulatedDisk) { self.disk = disk }

  func alive() throws(FileError) {
    guard isAlive else { throw FileError(code: DiskErrno.inputOutput) }
  }

  public func open(_ path: String, create: Bool) throws(FileError) -> (file: any File, isNew: Bool) {
    try alive()
    let (file, isNew) = try disk.file(path, create: create)
    return (SimulatedFile(file, self), isNew)
  }
  public func exists(_ path: String) throws(FileError) -> Bool {
    try alive()
    return disk.exists(path)
  }
  public func delete(_ path: String) throws(FileError) {
    try alive()
    try disk.delete(path)
  }
  public func rename(_ path: String, to other: String) throws(FileError) {
    try alive()
    try disk.rename(path, to: other)
  }
  /// There is one directory, and it is there.
  public func createDirectory(_ path: String) throws(FileError) { try alive() }
  public func syncDirectory(_ path: String) throws(FileError) {
    try alive()
    try disk.syncNames()
  }
  public func lock(_ path: String) throws(FileError) -> any FileLock {
    try alive()
    try disk.lock(path)
    return SimulatedLock(path, self)
  }
}

private final class SimulatedLock: FileLock, @unchecked Sendable {
  private let path: String
  private let mount: SimulatedMount
  private var isHeld = true
  init(_ path: String, _ mount: SimulatedMount) {
    self.path = path
    self.mount = mount
  }
  deinit { release() }

  func release() {
    // The locks of a dead process are gone; who has them now is another.
    if isHeld, mount.isAlive { mount.disk.unlock(path) }
    isHeld = false
  }
}

private final class SimulatedFile: File, @unchecked Sendable {
  private let file: DiskFile
  private let mount: SimulatedMount
  init(_ file: DiskFile, _ mount: SimulatedMount) {
    self.file = file
    self.mount = mount
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    try mount.alive()
    return try mount.disk.read(file, into: buffer, at: offset)
  }
  func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    try mount.alive()
    try mount.disk.write(file, bytes, at: offset)
  }
  func truncate(to size: Int) throws(FileError) {
    try mount.alive()
    try mount.disk.truncate(file, to: size)
  }
  func sync() throws(FileError) {
    try mount.alive()
    try mount.disk.sync(file)
  }
  func size() throws(FileError) -> Int {
    try mount.alive()
    return file.size
  }
  func number() throws(FileError) -> UInt64 {
    try mount.alive()
    return file.number
  }
  func close() {}
}
