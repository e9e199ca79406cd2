// The files of SQLiteFileSystem: reading and writing through to a `File`, and what connections to one database share.

import CSQLite
import Glibc
import Synchronization

/// SQLite's own structure with ours behind it, in memory that SQLite allocates.
struct SQLiteFile {
  private var base: sqlite3_file
  private let handle: Unmanaged<SQLiteFileHandle>

  init(_ handle: SQLiteFileHandle) {
    base = sqlite3_file(pMethods: UnsafePointer(ioMethods))
    self.handle = .passRetained(handle)
  }

  fileprivate static func handle(_ file: UnsafeMutablePointer<sqlite3_file>?) -> SQLiteFileHandle {
    UnsafeMutableRawPointer(file.unsafelyUnwrapped).assumingMemoryBound(to: SQLiteFile.self).pointee.handle
      ._withUnsafeGuaranteedRef { $0 }
  }
  fileprivate static func release(_ file: UnsafeMutablePointer<sqlite3_file>?) {
    UnsafeMutableRawPointer(file.unsafelyUnwrapped).assumingMemoryBound(to: SQLiteFile.self).pointee.handle.release()
  }
}

/// One file opened by one connection.
final class SQLiteFileHandle: Sendable {
  private let file: any File
  /// Keeps the file system registered while one of its files is open.
  private let system: SQLiteFileSystem
  private let path: String
  private let shared: SharedFile?
  private let deletesOnClose: Bool
  private struct State {
    /// A new journal's name is made durable with its first content, as SQLite's own file systems do.
    var syncsDirectory: Bool
    var level: Int32 = SQLITE_LOCK_NONE
    var memory = SharedMemoryUse()
  }
  // SQLite uses one connection on one thread at a time.
  nonisolated(unsafe) private var state: State

  init(
    _ file: any File, of system: SQLiteFileSystem, path: String, shared: SharedFile?, deletesOnClose: Bool,
    syncsDirectory: Bool
  ) {
    self.file = file
    self.system = system
    self.path = path
    self.shared = shared
    self.deletesOnClose = deletesOnClose
    state = State(syncsDirectory: syncsDirectory)
  }

  func close() {
    _ = lock(SQLITE_LOCK_NONE)
    unmap()
    file.close()
    if deletesOnClose { try? system.files.delete(path) }
  }

  func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: Int) -> Int32 {
    do throws(FileError) {
      let count = try file.read(into: buffer, at: offset)
      if count == buffer.count { return SQLITE_OK }
      memset(buffer.baseAddress.unsafelyUnwrapped + count, 0, buffer.count - count)
      return IOErrorCode.shortRead
    } catch {
      return IOErrorCode.read
    }
  }

  func write(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Int32 {
    do throws(FileError) {
      try file.write(bytes, at: offset)
      return SQLITE_OK
    } catch {
      return error.code == ENOSPC ? SQLITE_FULL : IOErrorCode.write
    }
  }

  func truncate(_ size: Int) -> Int32 {
    do throws(FileError) {
      try file.truncate(to: size)
      return SQLITE_OK
    } catch {
      return IOErrorCode.truncate
    }
  }

  func sync() -> Int32 {
    do throws(FileError) { try file.sync() } catch { return IOErrorCode.sync }
    guard state.syncsDirectory else { return SQLITE_OK }
    do throws(FileError) { try system.files.syncDirectory(directory(of: path)) } catch {
      return IOErrorCode.syncDirectory
    }
    state.syncsDirectory = false
    return SQLITE_OK
  }

  func size(_ result: UnsafeMutablePointer<sqlite3_int64>) -> Int32 {
    do throws(FileError) {
      result.pointee = sqlite3_int64(try file.size())
      return SQLITE_OK
    } catch {
      return IOErrorCode.size
    }
  }

  func lock(_ level: Int32) -> Int32 {
    guard let shared, level != state.level else { return SQLITE_OK }
    guard shared.move(from: state.level, to: level) else { return SQLITE_BUSY }
    state.level = level
    return SQLITE_OK
  }

  var isReserved: Bool { shared?.isReserved ?? false }

  func map(_ region: Int, _ size: Int, _ extends: Bool) -> UnsafeMutableRawPointer? {
    guard let shared else { return nil }
    if !state.memory.isAttached {
      state.memory.isAttached = true
      shared.attach()
    }
    return shared.region(region, size, extends)
  }

  func lockMemory(_ first: Int, _ count: Int, _ flags: Int32) -> Int32 {
    guard let shared else { return SQLITE_MISUSE }
    return shared.lockMemory(&state.memory, mask: ((1 << count) - 1) << first, flags) ? SQLITE_OK : SQLITE_BUSY
  }

  func unmap() {
    guard let shared, state.memory.isAttached else { return }
    _ = shared.lockMemory(
      &state.memory, mask: state.memory.shared | state.memory.exclusive, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE)
    state.memory = SharedMemoryUse()
    shared.detach()
  }
}

/// What one connection holds of the shared memory: a bit for each of the eight locks.
struct SharedMemoryUse {
  var isAttached = false
  var shared = 0
  var exclusive = 0
}

/// What the connections to one database share: the file's lock, and the index of the write-ahead log with its locks.
final class SharedFile: Sendable {
  private struct State {
    var readers = 0
    var isReserved = false
    var isPending = false
    var isExclusive = false
    var attached = 0
    nonisolated(unsafe) var regions: [UnsafeMutableRawPointer] = []
    var memoryReaders = [Int](repeating: 0, count: 8)
    var memoryWriters = 0
  }
  private let state = Mutex(State())

  deinit { state.withLock { state in for region in state.regions { region.deallocate() } } }

  var isReserved: Bool { state.withLock { $0.isReserved || $0.isExclusive } }

  /// SQLite's five levels: none, shared, reserved, pending, exclusive. False: another connection is in the way.
  func move(from old: Int32, to new: Int32) -> Bool {
    state.withLock { state in
      if new > old {
        if old == SQLITE_LOCK_NONE {
          guard !state.isPending, !state.isExclusive else { return false }
          state.readers += 1
        }
        if new >= SQLITE_LOCK_RESERVED, old < SQLITE_LOCK_RESERVED {
          guard !state.isReserved else {
            if old == SQLITE_LOCK_NONE { state.readers -= 1 }
            return false
          }
          state.isReserved = true
        }
        if new == SQLITE_LOCK_EXCLUSIVE {
          guard state.readers == 1 else {
            if old < SQLITE_LOCK_RESERVED { state.isReserved = false }
            if old == SQLITE_LOCK_NONE { state.readers -= 1 }
            return false
          }
          state.isExclusive = true
        }
      } else {
        if old >= SQLITE_LOCK_RESERVED, new < SQLITE_LOCK_RESERVED {
          state.isReserved = false
          state.isPending = false
          state.isExclusive = false
        }
        if new == SQLITE_LOCK_NONE { state.readers -= 1 }
      }
      return true
    }
  }

  func attach() { state.withLock { $0.attached += 1 } }

  /// The last to go takes the memory with it: it is rebuilt from the write-ahead log.
  func detach() {
    state.withLock { state in
      state.attached -= 1
      guard state.attached == 0 else { return }
      for region in state.regions { region.deallocate() }
      state.regions = []
    }
  }

  func region(_ number: Int, _ size: Int, _ extends: Bool) -> UnsafeMutableRawPointer? {
    nonisolated(unsafe) var found: UnsafeMutableRawPointer?
    state.withLock { state in
      while extends, state.regions.count <= number {
        let region = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 16)
        memset(region, 0, size)
        state.regions.append(region)
      }
      found = number < state.regions.count ? state.regions[number] : nil
    }
    return found
  }

  func lockMemory(_ use: inout SharedMemoryUse, mask: Int, _ flags: Int32) -> Bool {
    state.withLock { state in
      if flags & SQLITE_SHM_UNLOCK != 0 {
        for slot in 0..<8 where use.shared & mask & (1 << slot) != 0 { state.memoryReaders[slot] -= 1 }
        state.memoryWriters &= ~(use.exclusive & mask)
        use.shared &= ~mask
        use.exclusive &= ~mask
        return true
      }
      if flags & SQLITE_SHM_SHARED != 0 {
        guard state.memoryWriters & ~use.exclusive & mask == 0 else { return false }
        for slot in 0..<8 where mask & ~use.shared & (1 << slot) != 0 { state.memoryReaders[slot] += 1 }
        use.shared |= mask
        return true
      }
      guard state.memoryWriters & mask == 0,
        !(0..<8).contains(where: { mask & (1 << $0) != 0 && state.memoryReaders[$0] > 0 })
      else { return false }
      state.memoryWriters |= mask
      use.exclusive |= mask
      return true
    }
  }
}

/// SQLite's table of functions, made once.
nonisolated(unsafe) private let ioMethods: UnsafeMutablePointer<sqlite3_io_methods> = {
  let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
  methods.initialize(to: sqlite3_io_methods())
  methods.pointee.iVersion = 2
  methods.pointee.xClose = { file in
    SQLiteFile.handle(file).close()
    SQLiteFile.release(file)
    return SQLITE_OK
  }
  methods.pointee.xRead = { file, buffer, count, offset in
    SQLiteFile.handle(file).read(UnsafeMutableRawBufferPointer(start: buffer, count: Int(count)), Int(offset))
  }
  methods.pointee.xWrite = { file, bytes, count, offset in
    SQLiteFile.handle(file).write(UnsafeRawBufferPointer(start: bytes, count: Int(count)), Int(offset))
  }
  methods.pointee.xTruncate = { file, size in SQLiteFile.handle(file).truncate(Int(size)) }
  methods.pointee.xSync = { file, _ in SQLiteFile.handle(file).sync() }
  methods.pointee.xFileSize = { file, size in SQLiteFile.handle(file).size(size.unsafelyUnwrapped) }
  methods.pointee.xLock = { file, level in SQLiteFile.handle(file).lock(level) }
  methods.pointee.xUnlock = { file, level in SQLiteFile.handle(file).lock(level) }
  methods.pointee.xCheckReservedLock = { file, result in
    result?.pointee = SQLiteFile.handle(file).isReserved ? 1 : 0
    return SQLITE_OK
  }
  methods.pointee.xFileControl = { _, _, _ in SQLITE_NOTFOUND }
  // As SQLite's own file system for Linux has them: a write changes no byte outside its range, whatever happens.
  methods.pointee.xSectorSize = { _ in 4096 }
  methods.pointee.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
  methods.pointee.xShmMap = { file, region, size, extends, result in
    nonisolated(unsafe) let found = SQLiteFile.handle(file).map(Int(region), Int(size), extends != 0)
    result?.pointee = found
    return SQLITE_OK
  }
  methods.pointee.xShmLock = { file, first, count, flags in
    SQLiteFile.handle(file).lockMemory(Int(first), Int(count), flags)
  }
  methods.pointee.xShmBarrier = { _ in atomicMemoryFence(ordering: .sequentiallyConsistent) }
  methods.pointee.xShmUnmap = { file, _ in
    SQLiteFile.handle(file).unmap()
    return SQLITE_OK
  }
  return methods
}()
