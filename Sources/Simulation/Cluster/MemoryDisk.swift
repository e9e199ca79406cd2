// The fast kind of disk: what the stores' protocols promise, kept in memory. What was not durable is lost with the
// process or with the power; a write under way at that moment has happened or not, as chance has it.
import Replica
import Storage
import World

/// How long a disk takes.
public struct DiskPace: Sendable {
  public var commit: ClosedRange<Duration> = .microseconds(80)...(.microseconds(900))
  /// How often a commit takes `slowness` longer.
  public var slowProbability = 0.0
  public var slowness: ClosedRange<Duration> = .milliseconds(5)...(.milliseconds(400))
  public init() {}

  func draw(_ random: inout SeededRandom) -> Duration {
    var time = random.duration(commit)
    if random.chance(slowProbability) { time += random.duration(slowness) }
    return time
  }
}

/// A server's disk, which outlives its processes.
public protocol ServerDisk: AnyObject {
  var pace: DiskPace { get set }
  /// Opens it for a process; its work runs on `world`. Throws as the real one does.
  func open(on world: VirtualWorld, identity: StorageIdentity) throws -> ReplicaDisk
  /// The process is gone; with the power, if `powerLost`.
  func crash(powerLost: Bool)
  /// The next commit of the log fails, and what was written since the last one may or may not be there.
  func failNextSync()
  /// A new disk in the place of this one.
  func wipe()
}

public final class MemoryDisk: ServerDisk {
  public var pace = DiskPace()
  private let simulator: Simulator
  private var incarnation: UInt64 = 0
  private var identity: StorageIdentity?
  fileprivate var log = LogContents()
  fileprivate var rows: [RowKey: ObjectRow] = [:]
  fileprivate var mark: StateMark?
  fileprivate var requests: [UInt64: [UInt8]] = [:]
  /// Written, and lost with the power.
  fileprivate var undurable: [(mark: StateMark, rows: StateRows)] = []
  fileprivate var failsNextSync = false
  private var openLog: MemoryLogStore?
  private var openState: MemoryStateStorage?

  struct RowKey: Hashable {
    var resource: String
    var namespace: String
    var name: String
  }

  public init(simulator: Simulator) { self.simulator = simulator }

  public func open(on world: VirtualWorld, identity: StorageIdentity) throws -> ReplicaDisk {
    if let mine = self.identity, mine != identity { throw StorageError.foreign("the disk belongs to \(mine)") }
    self.identity = identity
    incarnation += 1
    makeDurable()
    let log = MemoryLogStore(self, world)
    let state = MemoryStateStorage(self, world)
    (openLog, openState) = (log, state)
    var contents = StateContents()
    contents.mark = mark
    contents.requests = requests
    let directory = StorageDirectory(
      identity: identity, incarnation: incarnation, log: log, state: state, logContents: self.log,
      stateContents: contents)
    return ReplicaDisk(directory: directory, rows: Array(rows.values))
  }

  public func crash(powerLost: Bool) {
    openLog?.crash(chance: simulator.random.chance(0.5))
    openState?.crash(chance: simulator.random.chance(0.5))
    (openLog, openState) = (nil, nil)
    if powerLost { undurable = [] } else { makeDurable() }
  }

  public func failNextSync() { failsNextSync = true }

  public func wipe() {
    incarnation = 0
    identity = nil
    log = LogContents()
    rows = [:]
    mark = nil
    requests = [:]
    undurable = []
  }

  /// What was written is beyond the reach of a power cut.
  fileprivate func makeDurable() {
    for (mark, change) in undurable {
      for row in change.changes {
        rows[RowKey(resource: row.resource, namespace: row.namespace, name: row.name)] = row.row
      }
      requests = change.requests
      self.mark = mark
    }
    undurable = []
  }

  fileprivate func commitTime() -> Duration { pace.draw(&simulator.random) }

  fileprivate func apply(_ writes: [LogWrite], cut: LogBase?) {
    for write in writes {
      if let hardState = write.hardState { log.hardState = hardState }
      if let base = write.base { rebase(base) }
      if let from = write.truncateFrom, let first = log.entries.first?.index, from <= first + UInt64(log.entries.count)
      {
        log.entries.removeSubrange(Int(max(from, first) - first)...)
      }
      for entry in write.entries {
        let next = (log.entries.last?.index ?? log.base?.index ?? 0) + 1
        precondition(entry.index == next, "a log write leaves a hole before entry \(entry.index)")
        log.entries.append(entry)
      }
    }
    if let cut, cut.index > log.base?.index ?? 0 { rebase(cut) }
  }

  private func rebase(_ base: LogBase) {
    if let first = log.entries.first?.index, base.index >= first {
      log.entries.removeFirst(min(log.entries.count, Int(base.index - first) + 1))
    }
    log.base = base
  }
}

/// The log of a memory disk: group commit, as the real one has it.
private final class MemoryLogStore: LogStore, @unchecked Sendable {
  private let disk: MemoryDisk
  private let world: VirtualWorld
  private var queue: [LogWrite] = []
  private var cut: LogBase?
  private var underWay: (writes: [LogWrite], cut: LogBase?)?
  private var onEvent: (@Sendable (LogStoreEvent) -> Void)?
  private var onClose: (@Sendable () -> Void)?
  private var isFailed = false

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

  private func commit() {
    guard underWay == nil else { return }
    guard !isFailed, !queue.isEmpty || cut != nil else {
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
    disk.apply(writes, cut: cut)
    if let last = writes.last {
      onEvent?(.durable(through: last.token, nanoseconds: UInt64(time.wholeNanoseconds)))
    }
    commit()
  }

  func crash(chance: Bool) {
    if chance, !isFailed, let (writes, cut) = underWay { disk.apply(writes, cut: cut) }
    underWay = nil
  }
}

/// The state of a memory disk: written in the background, durable now and then.
private final class MemoryStateStorage: StateStorage, @unchecked Sendable {
  private static let checkpointInterval = Duration.seconds(15)
  private let disk: MemoryDisk
  private let world: VirtualWorld
  private var queue: [StateWrite] = []
  private var underWay: StateWrite?
  private var onEvent: (@Sendable (StateStorageEvent) -> Void)?
  private var onClose: (@Sendable () -> Void)?
  private var durableIndex: UInt64
  private var lastCheckpoint: MonotonicTime

  init(_ disk: MemoryDisk, _ world: VirtualWorld) {
    self.disk = disk
    self.world = world
    durableIndex = disk.mark?.appliedIndex ?? 0
    lastCheckpoint = world.now
  }

  func start(onEvent: @escaping @Sendable (StateStorageEvent) -> Void) { self.onEvent = onEvent }

  func write(_ write: StateWrite) {
    queue.append(write)
    perform()
  }

  func close(_ completion: @escaping @Sendable () -> Void) {
    onClose = completion
    perform()
  }

  private func perform() {
    guard underWay == nil else { return }
    guard !queue.isEmpty else {
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
    disk.undurable.append((write.mark, write.rows()))
    if write.durability != .inTime || world.now - lastCheckpoint > Self.checkpointInterval {
      lastCheckpoint = world.now
      disk.makeDurable()
      durableIndex = write.mark.appliedIndex
    }
    onEvent?(.written(appliedIndex: write.mark.appliedIndex, durableIndex: durableIndex))
    perform()
  }

  func crash(chance: Bool) {
    if chance, let write = underWay { disk.undurable.append((write.mark, write.rows())) }
    underWay = nil
  }
}
