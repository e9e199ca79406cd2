import LoopSupport
import Raft
import Synchronization
import Testing

@testable import Replica

/// Servers of two versions in one group, as they are during an upgrade.
@Suite struct CommandVersionTests {
  /// A command as a later version would write it.
  private func newer() throws -> [UInt8] {
    var entry = try CommandEntry(
      request: RequestID(origin: 0, incarnation: 0, sequence: 0), lowWatermark: 0,
      command: Command(mutations: [.put(pod("new"), document("x"))])
    ).encoded()
    entry[0] = CommandEntry.version + 1
    return entry
  }

  private func commit(_ entry: [UInt8], at server: Replica) async -> Result<CommandOutcome, StoreError> {
    await withCheckedContinuation { server.submit(.proposal(entry, $0)) }
  }

  /// Given a group with one server of the version before, when a command of the new version is written at any server,
  /// then it is refused at once, by the name of who must be upgraded, and older commands are taken; when that server was
  /// upgraded as well, the group is at the new version.
  @Test func aCommandThatAMemberDoesNotUnderstandIsHeldBack() async throws {
    let upgraded = Shared<Set<NodeID>>([1, 2])
    let cluster = try TestCluster(3) { options in
      options.commandVersion = Member.newestVersion + (upgraded.value.contains(options.node) ? 1 : 0)
    }
    try await cluster.start()
    _ = try await cluster.leader()
    let first = await cluster.server(1)
    try await eventually("the versions to be known") {
      first.status.members.filter { $0.member.version == 2 }.count == 2
    }
    for id in cluster.ids {
      let server = await cluster.server(id)
      try await eventually("the versions to be known at \(id)") {
        server.status.members.first { $0.member.id == 3 }?.member.version == 1
      }
      guard case .failure(.notUnderstood(let why)) = await commit(try newer(), at: server) else {
        Issue.record("server \(id) took a command that server 3 cannot read")
        continue
      }
      #expect(why.contains("version 2") && why.contains("upgrade") && why.contains("server-3 (1)"), "\(why)")
      #expect(try await server.put("old-\(id)", "x") > 0)
    }
    await cluster.stop(3)
    upgraded.update { $0.insert(3) }
    try await cluster.start([3])
    let version = Shared<UInt64>(0)
    try await eventually("the group to be at the new version") {
      first.submit(.control { driver in version.update { $0 = driver.raft.configuration.version } })
      return version.value == 2
    }
    await cluster.killAll()
  }
}
