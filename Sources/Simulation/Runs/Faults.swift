// What can befall a cluster, and chance that lets it happen.
import Client
import JSON
import Raft
import Replica
import World

public enum FaultKind: String, Sendable, CaseIterable {
  /// kill -9, and a start after a while.
  case kill
  /// kill -9 of the server whose controllers are the elected ones.
  case killElected = "kill-elected"
  /// kill -9 between two awaits of the server, wherever it is then.
  case killAtAwait = "kill-at-await"
  /// The machine goes dark: what was not durable is gone, and nobody is told.
  case powerLoss = "power-loss"
  /// The same in the middle of what the server's disk does: during one of its next writes, syncs and changes of names.
  /// Stores in memory have none: there it is `powerLoss`.
  case powerLossAtWrite = "power-loss-at-write"
  /// The server dies, and when it starts again the power goes in the middle of what it does to its disk as it opens it:
  /// once, or a few times in a row. Stores in memory open at once: there the server only dies.
  case powerLossAtOpening = "power-loss-at-opening"
  /// Every server at once, with its power.
  case blackout
  /// SIGSTOP.
  case pause
  /// One server on one side, the others on the other.
  case isolate
  /// Two halves.
  case split
  /// One direction between two servers.
  case oneWay = "one-way"
  /// Two servers that do not see each other, and both see the rest.
  case partial
  /// Two halves that only one server sees both of.
  case bridge
  /// Every connection between two machines breaks at once, clients' included.
  case reset
  /// Clients do not reach one of the servers.
  case clientCut = "client-cut"
  /// Frames of Raft are lost, repeated, overtaken.
  case raw
  /// Much is late.
  case slowNetwork = "slow-network"
  case slowDisk = "slow-disk"
  /// The next sync of a log fails: the replica stops, and is started again.
  case syncFailure = "sync-failure"
  /// Nothing more fits on a disk until there is room again.
  case diskFull = "disk-full"
  /// Bits flip at rest on one disk, in log or table; the server is started again, and repairs itself.
  case rot
  /// Every disk at once loses entries of its log, each other ones.
  case rotEverywhere = "rot-everywhere"
  /// A write lands elsewhere in its file.
  case misdirect
  /// Some reads of a disk fail.
  case readFailure = "read-failure"
  /// A disk says that it has made durable what it has not, and loses its power: what its server promised is gone. Only
  /// for runs in which nothing else befalls the others: consensus is built on disks that keep what they have synced.
  case lyingSync = "lying-sync"
  /// A disk as it was earlier takes its place, by a volume's snapshot. As above.
  case setBack = "set-back"
  /// The same by files that were copied: the server must not start on them. Then the member is replaced.
  case restoreCopy = "restore-copy"
  /// A disk is replaced by an empty one and the server started on it under its old name: the others must not hear it.
  /// Then the member is replaced.
  case wipe
  case clockJump = "clock-jump"
  case clockDrift = "clock-drift"
  /// Leadership is handed over on demand.
  case transfer
  /// A server is lost for good, removed, and another takes its place.
  case replace
  /// One server more for a while, or one less.
  case resize
  /// The power goes in the moment in which a snapshot takes the place of a server's state.
  case killAtSnapshot = "kill-at-snapshot"
  /// A learner that stands by comes, or goes; there are two at most.
  case spare
}

/// Lets faults strike a cluster until it is told to stop; then takes everything back.
final class FaultInjector: @unchecked Sendable {
  let cluster: SimulatedCluster
  private let monitor: InvariantMonitor
  private let faults: [RunDescription.Fault]
  /// Fate has a loop of its own: no server's death ends it.
  private let fate: VirtualWorld
  private(set) var isOver = false
  private var jumps: [NodeID: Duration] = [:]
  /// How often each kind has struck.
  private(set) var counts: [FaultKind: Int] = [:]
  /// A change of membership is being made: one at a time.
  var isChanging = false
  private var newcomers = 0
  /// Servers whose disks have lost something and are not known to be whole again (DiskFaults.swift).
  var troubled: Set<NodeID> = [] {
    didSet {
      for id in oldValue.subtracting(troubled) { monitor.diskIsDamaged(of: id, false) }
      for id in troubled.subtracting(oldValue) {
        monitor.diskIsDamaged(of: id, true)
        // What is damaged does not lose its power.
        cluster.server(id).disk.keepPower()
      }
    }
  }
  /// Servers that lose their power or fail a sync, and in which of their lives (DiskFaults.swift).
  var darkened: [NodeID: Int] = [:]
  /// Servers that are to lose their power as they open their disks: how often yet, and for how long each time.
  private var cutOpenings: [NodeID: (times: Int, time: Duration)] = [:]
  private var spares: [NodeID] = []
  /// Servers that are to die at their next snapshots, and for how long.
  private var snapshotDeaths: [Duration] = []

  init(_ cluster: SimulatedCluster, _ faults: [RunDescription.Fault], monitor: InvariantMonitor) {
    self.cluster = cluster
    self.monitor = monitor
    self.faults = faults
    fate = SimulatedProcess(on: SimulatedHost("fate", simulator: cluster.simulator)).makeWorld("fate")
  }

  var random: SeededRandom {
    get { cluster.simulator.random }
    set { cluster.simulator.random = newValue }
  }

  func start() {
    for fault in faults { plan(fault) }
    if faults.contains(where: { $0.kind.strikesDisks }) { tendDisks() }
  }

  /// What the server promised does not bind it any more.
  func forgetPromises(of id: NodeID) { monitor.diskWasReplaced(of: id) }

  private func plan(_ fault: RunDescription.Fault) {
    // Equally likely at every moment would be exponential; a bounded spread keeps short runs eventful.
    let wait = random.duration(fault.every / 5...fault.every * 9 / 5)
    later(wait) { [self] in
      guard !isOver else { return }
      strike(fault.kind, for: random.duration(fault.lasting))
      plan(fault)
    }
  }

  func later(_ delay: Duration, _ body: @escaping () -> Void) {
    let action = Action(body)
    fate.schedule(after: delay) { action.body() }
  }
  private final class Action: @unchecked Sendable {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
  }

  /// Faults stop, and what they did is taken back: everyone lives, is connected, and has the right time.
  func stop() {
    isOver = true
    cluster.network.rawFaults = RawFaults()
    cluster.network.slowProbability = 0
    cluster.heal()
    for server in cluster.remaining {
      cluster.resume(server.id)
      server.disk.pace = DiskPace()
      server.disk.makeRoom()
      server.disk.lie(false)
      server.disk.keepPower()
      mendClock(server.id)
      server.host.drift(partsPerMillion: 0)
      // What has not come up again by now does so on a disk that has been read anew.
      if troubled.contains(server.id) { cluster.crash(server.id) }
      cluster.start(server.id)
    }
  }

  private func mendClock(_ id: NodeID) {
    guard let jump = jumps.removeValue(forKey: id) else { return }
    cluster.jumpClock(id, by: .zero - jump)
  }

  // MARK: Strikes

  private func strike(_ kind: FaultKind, for time: Duration) {
    counts[kind, default: 0] += 1
    let ids = cluster.remaining.map(\.id)
    let one = random.pick(ids) ?? 1
    let others = ids.filter { $0 != one }
    let other = random.pick(others) ?? one
    switch kind {
    case .kill: kill(one, after: nil, powerLost: false, for: time)
    case .killElected: killElected(for: time)
    case .killAtAwait: kill(one, after: 1 + random.next(below: 400), powerLost: random.chance(0.3), for: time)
    case .powerLoss: kill(one, after: nil, powerLost: true, for: time)
    case .powerLossAtWrite: losePowerAtWrite(one, for: time)
    case .powerLossAtOpening: losePowerAtOpening(one, for: time)
    case .blackout:
      for id in ids { kill(id, after: nil, powerLost: true, for: random.duration(.milliseconds(100)...time)) }
    case .pause:
      cluster.pause(one)
      later(time) { [cluster] in cluster.resume(one) }
    case .isolate: partition([one], others, for: time)
    case .split:
      var shuffled = ids
      shuffled.shuffle(using: &random)
      let half = shuffled.count / 2
      partition(Array(shuffled[..<half]).sorted(), Array(shuffled[half...]).sorted(), for: time)
    case .bridge:
      var shuffled = others
      shuffled.shuffle(using: &random)
      let half = shuffled.count / 2
      partition(Array(shuffled[..<half]).sorted(), Array(shuffled[half...]).sorted(), for: time)
    case .partial: partition([one], [other], for: time)
    case .oneWay:
      cluster.cut(from: one, to: other)
      later(time) { [cluster] in cluster.network.mend(from: one, to: other) }
    case .reset:
      cluster.journal.note("connections between \(one) and \(other) break")
      cluster.network.reset(between: one, and: other)
      cluster.network.reset(between: one, and: SimulatedCluster.firstClientHostNumber)
    case .clientCut:
      let client = SimulatedCluster.firstClientHostNumber
      cluster.partition([one], from: [client])
      later(time) { [cluster] in
        cluster.network.mend(from: one, to: client)
        cluster.network.mend(from: client, to: one)
      }
    case .raw:
      cluster.journal.note("Raft's frames are lost, repeated, overtaken")
      cluster.network.rawFaults.loss = random.chance(0.5) ? 0.02 : 0.2
      cluster.network.rawFaults.duplication = 0.05
      cluster.network.rawFaults.reordering = 0.1
      later(time) { [cluster] in cluster.network.rawFaults = RawFaults() }
    case .slowNetwork:
      cluster.journal.note("the network is slow")
      cluster.network.slowProbability = 0.2
      later(time) { [cluster] in cluster.network.slowProbability = 0 }
    case .slowDisk:
      cluster.journal.note("\(cluster.server(one).name)'s disk is slow")
      cluster.server(one).disk.pace.slowProbability = random.chance(0.3) ? 1 : 0.2
      later(time) { [cluster] in cluster.server(one).disk.pace = DiskPace() }
    case .syncFailure:
      // What a failed sync drops may be the note of how far the log goes, as a power cut takes it.
      guard cluster.server(one).isAlive, !troubled.contains(one) else { return }
      darkened[one] = cluster.server(one).starts
      cluster.journal.note("\(cluster.server(one).name)'s next sync fails")
      cluster.server(one).disk.failNextSync()
    case .diskFull:
      let server = cluster.server(one)
      cluster.journal.note("\(server.name)'s disk is full")
      server.disk.fill()
      later(time) { [cluster] in
        cluster.journal.note("\(server.name)'s disk has room")
        server.disk.makeRoom()
      }
    case .rot, .rotEverywhere, .misdirect, .readFailure, .lyingSync, .setBack, .restoreCopy, .wipe:
      strikeDisk(kind, of: one, for: time)
    case .clockJump:
      mendClock(one)
      let jump = Duration.milliseconds(Int64(random.next(below: 7_200_000)) - 3_600_000)
      jumps[one] = jump
      cluster.jumpClock(one, by: jump)
      later(time) { [self] in mendClock(one) }
    case .clockDrift:
      cluster.drift(one, partsPerMillion: random.next(below: 100_000) - 50_000)
      later(time) { [cluster] in cluster.drift(one, partsPerMillion: 0) }
    case .transfer: transfer(to: one)
    case .replace:
      guard !isChanging, troubled.isEmpty, let one = random.pick(ids.filter(cluster.canSpare)) else { return }
      replace(one)
    case .killAtSnapshot: snapshotDeaths.append(time)
    case .spare:
      guard !isChanging, troubled.isEmpty else { return }
      isChanging = true
      cluster.spawn { [self] in
        await changeSpares()
        isChanging = false
      }
    case .resize:
      guard !isChanging, troubled.isEmpty else { return }
      let spare = ids.count > cluster.options.servers ? random.pick(ids.filter(cluster.canSpare)) : nil
      isChanging = true
      cluster.spawn { [self] in
        if let spare {
          if await change(.remove(spare)) != nil { cluster.retire(spare) }
        } else if ids.count <= cluster.options.servers {
          await grow()
        }
        isChanging = false
      }
    }
  }

  private func killElected(for time: Duration) {
    cluster.spawn { [self] in
      let lease = try? await cluster.client().get(.leases, namespace: "kube-system", name: "kube-controller-manager")
      guard let holder = lease?["spec"]["holderIdentity"].string,
        let server = cluster.remaining.first(where: { holder.hasPrefix("\($0.name)_") }), !isOver
      else { return }
      kill(server.id, after: nil, powerLost: false, for: time)
    }
  }

  private func kill(_ id: NodeID, after jobs: Int?, powerLost: Bool, for time: Duration) {
    guard cluster.server(id).isAlive || cluster.server(id).opening != nil else { return }
    let crash = { [self] in
      guard !isOver else { return }
      // How far a log went is durable a second later than the log: a disk that loses the end of the log and the power
      // within that second cannot know. (The other way round: `darkened`.)
      let powerLost = powerLost && !troubled.contains(id)
      cluster.crash(id, powerLost: powerLost)
      if powerLost { darkened[id] = cluster.server(id).starts }
      later(time) { [self] in if !isOver { cluster.start(id) } }
    }
    if let jobs { cluster.server(id).process?.afterJobs(jobs, crash) } else { crash() }
  }

  /// The power goes while the disk is at work, or, where it has nothing to do in that time, at its end; and stays away
  /// for as long.
  private func losePowerAtWrite(_ id: NodeID, for time: Duration) {
    let server = cluster.server(id)
    guard server.isAlive, !troubled.contains(id) else { return }
    let starts = server.starts
    // The next commit, one of the next few, or a while later: the state's transactions are fewer than the log's.
    let operations = random.next(below: random.pick([8, 64, 512]) ?? 8)
    let isAhead = server.disk.cutPower(afterOperations: UInt64(operations)) { [self] in
      cluster.journal.note("\(server.name)'s power goes in the middle of a write")
      kill(id, after: nil, powerLost: true, for: time)
    }
    guard isAhead else { return kill(id, after: nil, powerLost: true, for: time) }
    cluster.journal.note("\(server.name)'s power is about to go, after \(operations) more operations")
    // No damage may meet it: both together are more than is promised.
    darkened[id] = starts
    later(time) { [self] in
      if !isOver, server.starts == starts { kill(id, after: nil, powerLost: true, for: time) }
    }
  }

  /// The server dies, with its power or without, and so it does whenever it starts: recovery from a crash is cut short by
  /// another one.
  private func losePowerAtOpening(_ id: NodeID, for time: Duration) {
    guard !troubled.contains(id) else { return }
    var times = 1
    while times < 4, random.chance(0.5) { times += 1 }
    // All in all it is away for so long.
    let time = time / times
    cutOpenings[id] = (times, time)
    cluster.journal.note("\(cluster.server(id).name)'s power is about to go as it starts, times: \(times)")
    if random.chance(0.5) {
      losePowerAtWrite(id, for: time)
    } else {
      kill(id, after: nil, powerLost: random.chance(0.5), for: time)
    }
  }

  /// A server is about to open its disk.
  func serverOpens(_ server: SimulatedServer) {
    guard let (times, time) = cutOpenings.removeValue(forKey: server.id), !isOver, !troubled.contains(server.id) else {
      return
    }
    if times > 1 { cutOpenings[server.id] = (times - 1, time) }
    // What an opening has to do depends on what was left undone; what comes too late strikes the first writes.
    let operations = random.next(below: random.pick([4, 16, 64]) ?? 4)
    _ = server.disk.cutPower(afterOperations: UInt64(operations)) { [self] in
      let moment = server.opening == nil ? "soon after its start" : "while it opens its disk"
      cluster.journal.note("\(server.name)'s power goes \(moment), after \(operations) operations")
      kill(server.id, after: nil, powerLost: true, for: time)
    }
  }

  /// A snapshot has replaced a server's state in memory: its disk is about to follow.
  func snapshotWasInstalled(by id: NodeID) {
    guard !isOver, let time = snapshotDeaths.popLast() else { return }
    later(random.duration(.zero...(.milliseconds(2)))) { [self] in kill(id, after: nil, powerLost: true, for: time) }
  }

  private func partition(_ one: [NodeID], _ other: [NodeID], for time: Duration) {
    cluster.partition(one, from: other)
    later(time) { [cluster] in
      for a in one {
        for b in other {
          cluster.network.mend(from: a, to: b)
          cluster.network.mend(from: b, to: a)
        }
      }
      cluster.journal.note("healed \(one) | \(other)")
    }
  }

  // MARK: Membership

  /// A server is lost for good, and another takes its place.
  func replace(_ id: NodeID) {
    isChanging = true
    cluster.retire(id)
    cluster.spawn { [self] in
      _ = await change(.remove(id))
      await grow()
      troubled.remove(id)
      isChanging = false
    }
  }

  @discardableResult
  private func grow(isSpare: Bool = false) async -> NodeID? {
    newcomers += 1
    let number = cluster.options.servers + newcomers
    let address = SimulatedCluster.address(NodeID(100 + number))
    guard let member = await change(.add(name: "newcomer-\(number)", address: address, isSpare: isSpare)) else {
      return nil
    }
    cluster.join(member)
    return member.id
  }

  private func changeSpares() async {
    spares.removeAll { cluster.server($0).isRetired }
    if spares.count < 2 {
      if let id = await grow(isSpare: true) { spares.append(id) }
    } else if await change(.remove(spares[0])) != nil {
      cluster.retire(spares.removeFirst())
    }
  }

  /// Asks for a change at one server after the other, until it has happened. It outlives the faults: what was begun is
  /// brought to its end.
  private func change(_ change: MembershipChange) async -> Member? {
    for _ in 0..<40 {
      if let server = random.pick(cluster.running), let replica = server.replica {
        cluster.journal.note("\(change) is asked of \(server.name)")
        let answer = Answer()
        // A server that dies never answers.
        cluster.spawn {
          do throws(MembershipRefusal) {
            answer.member = try await replica.changeMembership(change, timeout: .seconds(5))
          } catch {
            answer.refusal = error
          }
        }
        for _ in 0..<60 where answer.member == nil && answer.refusal == nil {
          try? await cluster.clientWorld.sleep(for: .milliseconds(100))
        }
        if let member = answer.member { return member }
        if answer.refusal?.kind == .notFound { return nil }
      }
      try? await cluster.clientWorld.sleep(for: .milliseconds(500))
    }
    return nil
  }

  private final class Answer: @unchecked Sendable {
    var member: Member?
    var refusal: MembershipRefusal?
  }

  private func transfer(to id: NodeID) {
    guard let leader = cluster.leader, leader != id, let replica = cluster.server(leader).replica,
      let world = cluster.server(leader).life?.control
    else { return }
    cluster.journal.note("leadership shall go to \(id)")
    world.spawn { try? await replica.transferLeadership(to: id) }
  }
}
