// Members that come and go in the simulator, and disks that are lost.

@testable import Raft

extension Simulator {
  /// What the group knows a server by: its disk, the first of which has the server's own number.
  static func context(_ disk: UInt64) -> [UInt8] { withUnsafeBytes(of: disk.littleEndian) { Array($0) } }

  /// A server with an empty disk.
  mutating func create(_ id: NodeID, _ configuration: Configuration) {
    let base = SnapshotMetadata(index: 0, term: 0, configuration: configuration)
    servers[id] = Server(id: id, disk: Disk(base: base), diskID: id)
    start(id)
  }

  /// The leader of the highest term.
  var currentLeader: NodeID? {
    ids.filter { servers[$0]!.raft?.role == .leader }.max {
      servers[$0]!.raft!.currentTerm < servers[$1]!.raft!.currentTerm
    }
  }

  /// An operator asks some leader, current or not, for some change, sensible or not.
  mutating func changeMembership() {
    let leaders = ids.filter { servers[$0]!.raft?.role == .leader }
    guard !leaders.isEmpty else { return }
    let leader = leaders[generator.next(below: leaders.count)]
    let configuration = servers[leader]!.raft!.configuration
    let voters = configuration.voters.sorted()
    let learners = configuration.learners.sorted()
    let voter = voters[generator.next(below: voters.count)]
    let fresh = (ids.max() ?? 0) + 1
    var steps: [MembershipStep] = []
    switch generator.next(below: 8) {
    case 0,
      1 where configuration.members.count < 7:
      steps = [.addLearner(fresh, context: Self.context(fresh))]
    case 2, 3:
      guard let learner = learners.first else { return }
      steps = [.promote(learner)]
    case 4: steps = [.demote(voter)]
    case 5: steps = [.remove(voter)]
    case 6:
      guard let learner = learners.first else { return }
      steps = chance(500) ? [.remove(learner)] : [.promote(learner), .remove(voter)]
    default:
      // All at once.
      steps = learners.map { .promote($0) }
      for voter in voters where chance(400) { steps.append(chance(500) ? .demote(voter) : .remove(voter)) }
    }
    // Operators do not remove servers on whose disks everything may depend: of those that vote then, most have theirs.
    guard let target = try? configuration.applying(steps), canLose(target.voters) else { return }
    guard (try? servers[leader]!.raft!.changeMembership(steps)) != nil else { return }
    membershipChanges += 1
    if steps.contains(.addLearner(fresh, context: Self.context(fresh))) {
      ids.append(fresh)
      create(fresh, Configuration(voters: []))
    }
  }

  /// Whether a majority of these has its disk.
  private func canLose(_ voters: Set<NodeID>) -> Bool { voters.subtracting(wipedDisks).count > voters.count / 2 }

  /// A server comes back under its old name with an empty disk, as if the group were new.
  mutating func wipe(_ id: NodeID) {
    guard !wipedDisks.contains(id), configuration.isMember(id) else { return }
    // More than a minority of any configuration that may be in force is more than Raft can bear.
    var mayCount = [configuration.voters, configuration.outgoingVoters]
    for server in servers.values {
      guard let raft = server.raft else { return }
      mayCount += [raft.configuration.voters, raft.configuration.outgoingVoters]
      for entry in raft.log.entries where entry.kind == .configuration {
        guard let older = try? Configuration(decoding: entry.payload) else { continue }
        mayCount += [older.voters, older.outgoingVoters]
      }
    }
    wipedDisks.insert(id)
    guard mayCount.allSatisfy({ $0.isEmpty || canLose($0) }) else {
      wipedDisks.remove(id)
      return
    }
    crash(id)
    let base = SnapshotMetadata(index: 0, term: 0, configuration: configuration)
    servers[id]!.disk = Disk(base: base)
    servers[id]!.diskID = 1000 + id
  }

  /// In the calm, an operator has lost servers removed.
  mutating func replaceWipedServer() {
    guard let leader = currentLeader else { return }
    let lost = servers[leader]!.raft!.configuration.members.filter { wipedDisks.contains($0) }
    guard let id = lost.first else { return }
    _ = try? servers[leader]!.raft!.changeMembership([.remove(id)])
  }
}
