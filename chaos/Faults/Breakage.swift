// How each fault is done to real processes, networks and disks, and how it is undone.
import ChaosPlan
import EventLoop
import Glibc
import Synchronization
import World

struct Breakage: Sendable {
  typealias Mend = @Sendable () async throws -> Void

  let cluster: Cluster
  let journal: Journal
  /// For what is drawn while a fault goes on: lengths of bursts.
  let seed: UInt64
  /// Decides what the fault leaves open beside its target: which file, forward or back.
  let choice: UInt64
  /// How long it is to last.
  let lasts: Duration
  /// Returns when everybody is well.
  let recovered: @Sendable () async throws -> Void

  var loop: EventLoop { cluster.loop }

  /// Breaks; returns what mends it again.
  func strike(_ fault: Fault, _ target: Target) async throws -> Mend {
    let victims = target.victims.map { cluster.plan.members[$0] }
    switch fault {
    case .killLeader, .killFollower, .killMajority, .killAll:
      for victim in victims { try cluster.signal(SIGKILL, victim) }
      return { [cluster] in try await cluster.up() }
    case .pauseLeader, .pauseFollower:
      for victim in victims { try cluster.signal(SIGSTOP, victim) }
      return { [cluster] in
        for victim in victims { try cluster.signal(SIGCONT, victim) }
      }
    case .starveProcessor: return starve(victims)
    case .partitionLeader, .unplugLeader, .partitionMinority, .partitionOneWay, .partitionBridge:
      let network = try machines.network
      try await network.set(target.cuts)
      return { try await network.set([]) }
    case .flapLinks: return try interrupt(target.cuts, .partition, down: 50...1000, up: 50...1000)
    // About a fifth of the time: what a bad cable does.
    case .losePackets: return try interrupt(target.cuts, .loss, down: 5...60, up: 20...240)
    case .delayPackets: return try await delayPackets(target.victims)
    case .fillDisk: return try fillDisk(victims)
    case .cutPower: return try await cutPower(victims)
    case .slowDisk: return try slowDisk(victims)
    case .failWrites: return try await failCalls("pwrite64,pwritev", victims, losesCache: false)
    case .failSyncs: return try await failCalls("fdatasync,fsync", victims, losesCache: choice % 2 == 0)
    case .flipBit: return try await flipBit(victims)
    case .setDiskBack: return try await setDiskBack(target.victims)
    case .moveClock: return try await moveClocks(victims)
    case .expireCertificate: return try await expireCertificates(victims)
    case .killBalancer:
      for name in try machines.balancers {
        guard let pid = try machines.processIdentifier(name) else { throw RunFailure("\(name) does not run") }
        kill(pid, SIGKILL)
      }
      return { [cluster] in try await cluster.up() }
    case .failOver: return try await failOver()
    case .restartRolling, .transferLeadership, .changeMembership, .restoreBackup:
      preconditionFailure("\(fault) is work, not breakage")
    }
  }

  var machines: Machines {
    get throws {
      guard let machines = cluster.machines else { throw RunFailure("this fault needs machines (--machines)") }
      return machines
    }
  }

  /// Ten milliseconds of a hundred. Whoever another fault has ended meanwhile starves no more.
  private func starve(_ victims: [ClusterPlan.Member]) -> Mend {
    let (cluster, loop) = (cluster, loop)
    let rhythm = Rhythm(on: loop) {
      for victim in victims { try? cluster.signal(SIGSTOP, victim) }
      try await loop.sleep(for: .milliseconds(90))
      for victim in victims { try? cluster.signal(SIGCONT, victim) }
      try await loop.sleep(for: .milliseconds(10))
    }
    return { try await rhythm.end() }
  }

  /// Milliseconds for which packets vanish, and pass, in turns.
  private func interrupt(
    _ cuts: Set<Cut>, _ layer: MachineNetwork.Layer, down: ClosedRange<Int>, up: ClosedRange<Int>
  ) throws -> Mend {
    let (network, loop) = (try machines.network, loop)
    let random = Mutex(SeededGenerator(seed: seed))
    let draw = { @Sendable (range: ClosedRange<Int>) in
      Duration.milliseconds(random.withLock { Int.random(in: range, using: &$0) })
    }
    let rhythm = Rhythm(on: loop) {
      try await network.set(cuts, layer)
      try await loop.sleep(for: draw(down))
      try await network.set([], layer)
      try await loop.sleep(for: draw(up))
    }
    return { try await rhythm.end() }
  }
}

/// Something that is done again and again until it is ended, in whole turns.
final class Rhythm: Sendable {
  private let isEnding = Atomic<Bool>(false)
  private let failure = Mutex<(any Error)?>(nil)
  private let task = Mutex<SpawnedTask?>(nil)

  init(on loop: EventLoop, turn: @escaping @Sendable () async throws -> Void) {
    let spawned = loop.spawn {
      while !self.isEnding.load(ordering: .relaxed) {
        do { try await turn() } catch {
          self.failure.withLock { $0 = error }
          return
        }
      }
    }
    task.withLock { $0 = spawned }
  }

  /// Returns after the last turn; throws what went wrong in one.
  func end() async throws {
    isEnding.store(true, ordering: .relaxed)
    await task.withLock { $0 }?.wait()
    if let failure = failure.withLock({ $0 }) { throw failure }
  }
}
