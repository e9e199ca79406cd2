// Disks that fill up, lose power, slow down, fail, rot, and are set back.
import ChaosChecker
import ChaosPlan
import Client
import EventLoop
import Glibc
import JSON
import Synchronization
import World

extension Breakage {
  /// A server whose disk fails must end by itself within this time; traffic goes on meanwhile.
  private static let endPatience = Duration.seconds(20)
  /// Until damage is found: the disk is looked over piece by piece.
  private static let noticePatience = Duration.seconds(90)

  func fillDisk(_ victims: [ClusterPlan.Member]) throws -> Mend {
    let disks = try victims.map { try machines.disk($0.name) }
    for disk in disks { try disk.fill() }
    return { [cluster] in
      for disk in disks { try disk.empty() }
      try await cluster.up()
    }
  }

  func cutPower(_ victims: [ClusterPlan.Member]) async throws -> Mend {
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

  /// Between five and sixty writes a second: what is left of a disk when a backup runs, or before it dies.
  func slowDisk(_ victims: [ClusterPlan.Member]) throws -> Mend {
    let machines = try machines
    let throttles = try victims.map { victim -> (throttle: DiskThrottle, name: String) in
      guard let pid = machines.processIdentifier(victim.name) else { throw RunFailure("\(victim.name) does not run") }
      let throttle = try DiskThrottle(folder: machines.home(victim.name))
      try throttle.slow(pid, writesPerSecond: 5 + Int(choice >> 8) % 56)
      return (throttle, victim.name)
    }
    return {
      for (throttle, name) in throttles { try throttle.end(machines.processIdentifier(name)) }
    }
  }

  /// From now on these system calls of the servers fail with EIO. Who is told so must end: what it has written is in
  /// doubt. `losesCache`: what had not reached the disk is gone then.
  func failCalls(_ calls: String, _ victims: [ClusterPlan.Member], losesCache: Bool) async throws -> Mend {
    let machines = try machines
    for victim in victims {
      guard let pid = machines.processIdentifier(victim.name) else { throw RunFailure("\(victim.name) does not run") }
      let tracer = "tracer-of-\(victim.name)"
      try await machines.start(
        tracer, "strace",
        ["-f", "-q", "-p", "\(pid)", "-e", "trace=\(calls)", "-e", "inject=\(calls):error=EIO", "-e", "signal=none"])
      do { try await machines.waitForEnd(victim.name, patience: Self.endPatience) } catch {
        journal.record(Anomaly("\(victim.name) goes on although its disk fails (\(calls))", evidence: ["\(error)"]))
        try cluster.signal(SIGKILL, victim)
        try await machines.waitForEnd(victim.name)
      }
      try await machines.end(tracer)
      guard losesCache else { continue }
      try machines.disk(victim.name).cutPower()
      try await machines.disk(victim.name).unmount()
      try await machines.disk(victim.name).mount()
    }
    return { [cluster] in try await cluster.up() }
  }

  // MARK: Rot

  /// Kills the server and flips a bit of what it has written last, or of an object in its state. When it comes back it
  /// must say that its disk is damaged, and be as the others are.
  func flipBit(_ victims: [ClusterPlan.Member]) async throws -> Mend {
    let machines = try machines
    let victim = victims[0]
    try cluster.signal(SIGKILL, victim)
    try await machines.waitForEnd(victim.name)
    let data = "\(machines.home(victim.name))/data"
    let isLog = choice % 2 == 0
    // What only the state's own journal holds may be lost: the log has it as well.
    let mustBeSeen =
      try isLog
      ? DiskRot.flipCommit(of: "\(data)/raft.db-wal", bit: choice >> 8)
      : DiskRot.flip(ChaosObjects.rotMarker, in: "\(data)/state.db", bit: choice >> 8)
    if !isLog { try DiskRot.flip(ChaosObjects.rotMarker, in: "\(data)/state.db-wal", bit: choice >> 8) }
    let log = machines.log(victim.name)
    let before = try FileSystem.size(log)
    return { [cluster, journal, loop, recovered] in
      let start = loop.now
      while true {
        // Who finds its disk damaged while it runs ends, and is repaired when it starts again.
        try await cluster.up()
        try await recovered()
        let said = String(decoding: try FileSystem.read(log).dropFirst(before), as: UTF8.self)
        if said.contains("damage") || !mustBeSeen { return }
        guard loop.now - start < Self.noticePatience else {
          return journal.record(
            Anomaly(
              "\(victim.name) did not notice that a bit of its \(isLog ? "log" : "state") had flipped",
              evidence: [String(said.suffix(2000))]))
        }
        try await loop.sleep(for: .milliseconds(200))
      }
    }
  }

  // MARK: Copies

  /// A copy of the disk takes the place of what it has become since: the server must refuse to start, and an operator
  /// gives it a new disk.
  func setDiskBack(_ victims: [Int]) async throws -> Mend {
    let machines = try machines
    let (index, victim) = (victims[0], cluster.plan.members[victims[0]])
    let home = machines.home(victim.name)
    try cluster.signal(SIGTERM, victim)
    try await machines.waitForEnd(victim.name)
    try await machines.tool.run("cp", ["-a", "\(home)/data", "\(home)/copy"])
    try await cluster.up()
    try await recovered()
    try await loop.sleep(for: lasts)
    try cluster.signal(SIGKILL, victim)
    try await machines.waitForEnd(victim.name)
    try await machines.tool.run("rm", ["-r", "\(home)/data"])
    try await machines.tool.run("mv", ["\(home)/copy", "\(home)/data"])
    try await machines.startServer(index)
    do { try await machines.waitForEnd(victim.name, patience: Self.endPatience) } catch {
      journal.record(Anomaly("\(victim.name) goes on from an old copy of its disk", evidence: ["\(error)"]))
      try cluster.signal(SIGKILL, victim)
      try await machines.waitForEnd(victim.name)
    }
    let other = cluster.plan.members.first { $0 != victim } ?? victim
    return { [cluster] in
      try await Joining(cluster: cluster, machines: machines).replace(index, through: other)
    }
  }
}
