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

  private var loop: EventLoop { cluster.loop }

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
    case .fillDisk: return try fillDisk(victims)
    case .cutPower: return try await cutPower(victims)
    case .killBalancer:
      guard let pid = try machines.processIdentifier(Machines.balancer) else {
        throw RunFailure("the load balancer does not run")
      }
      kill(pid, SIGKILL)
      return { [cluster] in try await cluster.up() }
    case .restartRolling, .transferLeadership, .changeMembership:
      preconditionFailure("\(fault) is work, not breakage")
    }
  }

  private var machines: Machines {
    get throws {
      guard let machines = cluster.machines else { throw RunFailure("this fault needs machines (--machines)") }
      return machines
    }
  }

  /// Ten milliseconds of a hundred.
  private func starve(_ victims: [ClusterPlan.Member]) -> Mend {
    let (cluster, loop) = (cluster, loop)
    let rhythm = Rhythm(on: loop) {
      for victim in victims { try cluster.signal(SIGSTOP, victim) }
      try await loop.sleep(for: .milliseconds(90))
      for victim in victims { try cluster.signal(SIGCONT, victim) }
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

  private func fillDisk(_ victims: [ClusterPlan.Member]) throws -> Mend {
    let disks = try victims.map { try machines.disk($0.name) }
    for disk in disks { try disk.fill() }
    return { [cluster] in
      for disk in disks { try disk.empty() }
      try await cluster.up()
    }
  }

  private func cutPower(_ victims: [ClusterPlan.Member]) async throws -> Mend {
    let machines = try machines
    for victim in victims {
      try cluster.signal(SIGKILL, victim)
      try machines.disk(victim.name).cutPower()
      try await machines.waitForEnd(victim.name)
      try await machines.disk(victim.name).unmount()
    }
    return { [cluster] in
      for victim in victims { try await machines.disk(victim.name).mount() }
      try await cluster.up()
    }
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
