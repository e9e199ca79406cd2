// The stores of a memory disk: group commit and writing behind, as the real ones have them.
import Glibc
import Replica
import Storage
import World

/// The log of a memory disk: group commit, as the real one has it.
final class MemoryLogStore: LogStore, @unchecked Sendable {
  private let disk: MemoryDisk
  private let world: VirtualWorld
  private var queue: [LogWrite] = []
  private var cut: LogBase?
  private var underWay: (writes: [LogWrite], cut: LogBase?)?
  private var onEvent: (@Sendable (LogStoreEvent) -> Void)?
  private var onClose: (@Sendable () -> Void)?
  private var isFailed = false
  /// There was no room: said, and not taken back.
  private var isLow = false
  /// Nothing is tried before `maintain`.
  private var isStuck = false

  init(_ disk: MemoryDisk, _ world: VirtualWorld) {
    self.disk = disk
    self.world = world
  }

  func start(onEvent: @escaping @Sendable (LogStoreEvent) -> Void) { self.onEvent = onEvent }

  func append(_ write: LogWrite) {
    queue.append(write)
    commit()
  }

  func cut(to base: LogBase) {
    cut = base
    commit()
  }

  func close(_ completion: @escaping @Sendable () -> Void) {
    onClose = completion
    commit()
  }

  func maintain() {
    isStuck = false
    commit()
  }

  private func commit() {
    guard underWay == nil else { return }
    guard !isFailed, !isStuck, !queue.isEmpty || cut != nil else {
      if let onClose {
        self.onClose = nil
        world.execute(onClose)
      }
      return
    }
    underWay = (queue, cut)
    queue = []
    cut = nil
    let time = disk.commitTime()
    world.schedule(after: time) { [self] in finish(time) }
  }

  private func finish(_ time: Duration) {
    guard let (writes, cut) = underWay else { return }
    underWay = nil
    if disk.failsNextSync {
      disk.failsNextSync = false
      isFailed = true
      onEvent?(.failed(.system(operation: "fsync", code: 5)))
      return commit()
    }
    if disk.isFull, !writes.allSatisfy(\.isPromise) { return wait(with: writes, cut) }
    if isLow, !disk.isFull {
      isLow = false
      onEvent?(.hasRoom)
    }
    disk.apply(writes, cut: cut)
    if let last = writes.last {
      onEvent?(.durable(through: last.token, nanoseconds: UInt64(time.wholeNanoseconds)))
    }
    commit()
  }

  /// Until there is room.
  private func wait(with writes: [LogWrite], _ cut: LogBase?) {
    queue = writes + queue
    self.cut = self.cut ?? cut
    isStuck = true
    if !isLow {
      isLow = true
      onEvent?(.full(.system(operation: "write", code: ENOSPC)))
    }
    commit()
  }

  func crash(chance: Bool) {
    if chance, !isFailed, !disk.isFull, let (writes, cut) = underWay { disk.apply(writes, cut: cut) }
    underWay = nil
  }
}

extension LogWrite {
  /// Nothing but a term and a vote, which have a place of their own.
  fileprivate var isPromise: Bool { base == nil && truncateFrom == nil && entries.isEmpty && recovery == nil }
}

/// The state of a memory disk: written in the background, durable now and then.
final class MemoryStateStorage: StateStorage, @unchecked Sendable {
  private static let checkpointInterval = Duration.seconds(15)
  private let disk: MemoryDisk
  private let world: VirtualWorld
  private var queue: [StateWrite] = []
  private var underWay: StateWrite?
  private var isStuck = false
  private var onEvent: (@Sendable (StateStorageEvent) -> Void)?
  private var onClose: (@Sendable () -> Void)?
  private var durableIndex: UInt64
  private var lastCheckpoint: MonotonicTime

  init(_ disk: MemoryDisk, _ world: VirtualWorld) {
    self.disk = disk
    self.world = world
    durableIndex = disk.durableIndex
    lastCheckpoint = world.now
  }

  func start(onEvent: @escaping @Sendable (StateStorageEvent) -> Void) { self.onEvent = onEvent }

  func write(_ write: StateWrite) {
    queue.append(write)
    perform()
  }

  func maintain() {
    isStuck = false
    perform()
  }

  func close(_ completion: @escaping @Sendable () -> Void) {
    onClose = completion
    perform()
  }

  private func perform() {
    guard underWay == nil else { return }
    guard !queue.isEmpty, !isStuck else {
      if let onClose {
        self.onClose = nil
        disk.makeDurable()
        world.execute(onClose)
      }
      return
    }
    underWay = queue.removeFirst()
    world.schedule(after: disk.commitTime()) { [self] in finish() }
  }

  private func finish() {
    guard let write = underWay else { return }
    underWay = nil
    if disk.isFull {
      queue.insert(write, at: 0)
      isStuck = true
      onEvent?(.full(.system(operation: "write", code: ENOSPC)))
      return perform()
    }
    disk.write(write)
    if write.durability != .inTime || world.now - lastCheckpoint > Self.checkpointInterval {
      lastCheckpoint = world.now
      disk.makeDurable()
      durableIndex = write.mark.appliedIndex
    }
    onEvent?(.written(appliedIndex: write.mark.appliedIndex, durableIndex: durableIndex))
    perform()
  }

  func crash(chance: Bool) {
    if chance, !disk.isFull, let write = underWay { disk.write(write) }
    underWay = nil
  }
}
