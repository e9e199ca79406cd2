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
    let mount = disk.attach()
    let clock = SimulatedClock(world: world)
    return try ReplicaDisk.open(
      path: disk.path, identity: identity, files: mount, ballastBytes: SimulatedDisk.ballastBytes,
      makeWorker: { _ in
        SimulatedWorker(world: world, mount: mount, clock: clock) { [self] in pace.draw(&simulator.random) }
      },
      clock: { clock.now })
  }

  public func crash(powerLost: Bool) { if powerLost { disk.crash() } else { disk.kill() } }
  public func failNextSync() { disk.faults.failingSyncs += 1 }
  public func wipe() { disk.wipe() }
}
