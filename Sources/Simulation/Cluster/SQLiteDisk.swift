// The thorough kind of disk: the production stores, SQLite included, over a disk that misbehaves as disks do.
import Replica
import Storage
import World

public final class SQLiteDisk: ServerDisk {
  /// The disk itself, with faults of its own.
  public let disk: SimulatedDisk
  private let simulator: Simulator
  public var pace = DiskPace()

  public init(simulator: Simulator) {
    self.simulator = simulator
    disk = SimulatedDisk(seed: simulator.random.next())
  }

  public func open(on world: VirtualWorld, identity: StorageIdentity) throws -> ReplicaDisk {
    // Salts and ids that SQLite draws are the same in every run.
    seedSQLiteRandomness(simulator.random.next())
    let mount = disk.attach()
    let clock = SimulatedClock(world: world)
    return try ReplicaDisk.open(
      path: disk.path, identity: identity, files: mount, ballastBytes: SimulatedDisk.ballastBytes,
      makeWorker: { _ in
        SimulatedWorker(world: world, mount: mount, clock: clock) { [self] in pace.draw(&simulator.random) }
      },
      clock: { clock.now })
  }

  public func crash(powerLost: Bool) {
    // What was about to happen to its reads and writes does not happen to those of the next.
    disk.faults.failingReads = 0
    disk.faults.misdirectedWrites = 0
    if powerLost {
      disk.crash()
      disk.faults.syncsLie = false
    } else {
      disk.kill()
    }
  }
  public func cutPower(afterOperations count: UInt64, onCut: @escaping @Sendable () -> Void) -> Bool {
    disk.cutPower(afterOperations: count, onCut: onCut)
    return true
  }
  public func keepPower() { disk.keepPower() }
  public func failNextSync() { disk.faults.failingSyncs += 1 }
  public func wipe() { disk.wipe() }

  // MARK: What befalls it

  public func fill() { disk.fill() }
  public func makeRoom() { disk.makeRoom() }
  public func lie(_ lies: Bool) {
    disk.faults.syncsLie = lies
    if !lies { disk.settle() }
  }
  public func rot() -> String? {
    let suffix = simulator.random.pick(["raft.db", "raft.db-wal", "state.db", "state.db-wal", "promises", nil]) ?? nil
    let flips = disk.flipBits(1 + simulator.random.next(below: 3), inFilesEndingWith: suffix)
    return flips.isEmpty ? nil : flips.map { "\($0.path) at \($0.offset)" }.joined(separator: ", ")
  }
  public func loseEntries(_ share: RotShare) -> String? { nil }
  public func misdirectWrite() -> Bool {
    disk.faults.misdirectedWrites += 1
    return true
  }
  public func failReads() -> Bool {
    disk.faults.failingReads += 1 + simulator.random.next(below: 4)
    return true
  }
  public func copy() -> (any DiskCopy)? { disk.copy() }
  public func restore(_ copy: any DiskCopy, asFiles: Bool) {
    if let copy = copy as? SimulatedDisk.Copy { disk.restore(copy, asFiles: asFiles) }
  }
}
