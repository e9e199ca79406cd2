// What befalls the contents of disks, within the bounds that the product promises to survive: damage of one server's
// disk at a time, or of all in different places; promises that a disk has forgotten only while the others keep theirs.
import Raft
import Replica
import Storage

extension FaultKind {
  /// Whether it takes from a disk what was on it.
  var strikesDisks: Bool {
    switch self {
    case .rot, .rotEverywhere, .misdirect, .readFailure, .lyingSync, .setBack, .restoreCopy, .wipe: true
    default: false
    }
  }
}

extension FaultInjector {
  private static let look = Duration.milliseconds(500)

  func strikeDisk(_ kind: FaultKind, of one: NodeID, for time: Duration) {
    guard troubled.isEmpty, !isChanging, cluster.remaining.count >= 3 else { return }
    let server = cluster.server(one)
    switch kind {
    // Damage of the end of a log whose last second of notes is lost with the power: nobody can know that there was more.
    // Every start notes it anew, durably.
    case .rot where isDark(server), .misdirect where isDark(server): return
    case .rot where !canBeDamaged, .misdirect where !canBeDamaged, .readFailure where !canBeDamaged,
      .rotEverywhere where !canBeDamaged:
      return
    case .rot:
      guard let struck = server.disk.rot() else { return }
      spoiled(server, "rots: \(struck)", for: time)
    case .misdirect:
      guard server.isAlive, server.disk.misdirectWrite() else { return }
      spoiled(server, "is about to write to a wrong place", for: time)
    case .readFailure:
      guard server.disk.failReads() else { return }
      spoiled(server, "cannot be read for a while", for: time)
    case .rotEverywhere: rotEverywhere(for: time)
    case .wipe: wipe(server, for: time)
    case .restoreCopy: restore(server, asFiles: true, after: time)
    case .setBack: restore(server, asFiles: false, after: time)
    case .lyingSync: lie(server, for: time)
    default: return
    }
  }

  /// Whether the group can do without any of its disks for a while. Of two voters neither can be missed: what only the
  /// one had at its log's end, and lost, no leader can say to have been nothing.
  private var canBeDamaged: Bool {
    let known = cluster.remaining.map(\.configuration).filter { !$0.voters.isEmpty }
    return known.allSatisfy { $0.voters.count >= 3 && ($0.outgoingVoters.isEmpty || $0.outgoingVoters.count >= 3) }
  }

  /// Whether the server's disk has lost what was not synced, and has not been opened since.
  private func isDark(_ server: SimulatedServer) -> Bool { darkened[server.id] == server.starts }

  // MARK: Damage that is found and repaired

  /// The server runs on, if it can; then it is started again, and must be whole in the end.
  private func spoiled(_ server: SimulatedServer, _ what: String, for time: Duration) {
    cluster.journal.note("\(server.name)'s disk \(what)")
    troubled = [server.id]
    let starts = server.starts
    later(time) { [self] in
      guard troubled.contains(server.id) else { return }
      // At the end of the faults it has been started again already.
      if !isOver {
        cluster.crash(server.id)
        cluster.start(server.id)
      }
      awaitWhole(server, startedAfter: starts)
    }
  }

  /// Looks until the server has read its disk anew and takes part again.
  private func awaitWhole(_ server: SimulatedServer, startedAfter starts: Int) {
    guard troubled.contains(server.id) else { return }
    if server.starts > starts, server.isAlive, server.stoppedBecause == nil, server.inspect({ !$0.isStopped }) == true {
      troubled.remove(server.id)
      return cluster.journal.note("\(server.name)'s disk is whole")
    }
    later(Self.look) { [self] in awaitWhole(server, startedAfter: starts) }
  }

  private func rotEverywhere(for time: Duration) {
    let servers = cluster.remaining
    for (number, server) in servers.enumerated() {
      cluster.crash(server.id)
      let share = RotShare(number: UInt64(number), of: UInt64(servers.count))
      guard let lost = server.disk.loseEntries(share) else { continue }
      cluster.journal.note("\(server.name)'s disk loses \(lost)")
      troubled.insert(server.id)
    }
    for server in servers {
      let starts = server.starts
      // One that lost nothing is not to be looked for: what befalls its disk next would pass for this that has ended.
      let isStruck = troubled.contains(server.id)
      later(random.duration(.milliseconds(50)...max(time, .milliseconds(50)))) { [self] in
        cluster.start(server.id)
        if isStruck { awaitWhole(server, startedAfter: starts) }
      }
    }
  }

  // MARK: Disks that have forgotten

  /// Whether the group can do without this disk for good, and everyone knows the disk as this server's.
  private func canLose(_ one: NodeID) -> Bool {
    guard let leader = cluster.leader else { return false }
    let isSettled = cluster.server(leader).inspect {
      $0.raft.isConfigurationSettled && $0.raft.configuration.voters.count >= 3
    }
    return isSettled == true
      && cluster.remaining.allSatisfy { server in
        server.id == one || server.inspect { $0.raft.configuration.member(one)?.disk ?? 0 != 0 } == true
      }
  }

  /// Everyone runs and is of one mind, and this server follows: what its disk forgets now, the leader knows and can say.
  private func isWell(without one: NodeID) -> Bool {
    guard let leader = cluster.leader, leader != one, !cluster.network.hasCuts else { return false }
    return cluster.remaining.allSatisfy { server in
      server.isRunning && server.stoppedBecause == nil
        && server.inspect { $0.raft.leader == leader && !$0.isStopped } == true
    }
  }

  private func wipe(_ server: SimulatedServer, for time: Duration) {
    guard canLose(server.id) else { return }
    isChanging = true
    cluster.crash(server.id, powerLost: true)
    cluster.journal.note("\(server.name)'s disk is replaced by an empty one")
    server.disk.wipe()
    forgetPromises(of: server.id)
    cluster.start(server.id)
    later(time + .seconds(2)) { [self] in replace(server.id) }
  }

  private func restore(_ server: SimulatedServer, asFiles: Bool, after time: Duration) {
    guard let copy = server.disk.copy() else { return }
    cluster.journal.note("\(server.name)'s disk is copied")
    later(time) { [self] in
      guard !isOver, troubled.isEmpty, !isChanging, !server.isRetired, canLose(server.id),
        asFiles || isWell(without: server.id)
      else { return }
      troubled = [server.id]
      cluster.crash(server.id)
      cluster.journal.note("\(server.name)'s disk is set back to the copy, \(asFiles ? "as files" : "as a volume")")
      server.disk.restore(copy, asFiles: asFiles)
      forgetPromises(of: server.id)
      cluster.start(server.id)
      guard asFiles else { return judge(server) }
      if server.isAlive { return cluster.violated("\(server.name) has started on a copy of its disk") }
      later(.seconds(2)) { [self] in if !isChanging, !server.isRetired { replace(server.id) } }
    }
  }

  private func lie(_ server: SimulatedServer, for time: Duration) {
    guard server.isAlive else { return }
    cluster.journal.note("\(server.name)'s disk begins to lie")
    troubled = [server.id]
    server.disk.lie(true)
    later(time) { [self] in
      guard !isOver, !server.isRetired, canLose(server.id), isWell(without: server.id) else {
        server.disk.lie(false)
        troubled.remove(server.id)
        return
      }
      cluster.crash(server.id, powerLost: true)
      forgetPromises(of: server.id)
      cluster.start(server.id)
      judge(server)
    }
  }

  /// A server that may have forgotten: once it has heard from the leader it has stopped, or has forgotten nothing that
  /// counts (`tendDisks` replaces what has stopped). Servers tell each other what they remember twice a second.
  private func judge(_ server: SimulatedServer) {
    later(Self.look) { [self] in
      guard troubled.contains(server.id), server.stoppedBecause == nil else { return }
      guard server.inspect({ $0.raft.leader != nil }) == true else { return judge(server) }
      later(.seconds(3)) { [self] in
        if server.stoppedBecause == nil { awaitWhole(server, startedAfter: server.starts - 1) }
      }
    }
  }

  // MARK: The operator

  /// Looks for servers that cannot go on with their disks, and replaces them, until the run is over.
  func tendDisks() {
    later(Self.look) { [self] in
      tendDisks()
      guard !isChanging else { return }
      for server in cluster.remaining {
        guard let reason = server.stoppedBecause, reason.contains("join") else { continue }
        guard troubled.contains(server.id) else {
          return cluster.violated("\(server.name) cannot go on with its disk, and nothing befell it: \(reason)")
        }
        cluster.journal.note("\(server.name) is to be replaced: \(reason)")
        return replace(server.id)
      }
    }
  }
}
