// Members that come, go and are lost, under load: no write fails, none is lost.

import LoopSupport
import Raft
import Storage
import Synchronization
import Testing
import World

@testable import Replica

@Suite(.serialized) struct MembershipTests {
  /// Writers at some servers, until they are asked to end; what they wrote must be there afterwards.
  private final class Load: Sendable {
    struct State {
      var written: [String] = []
      var failures: [String] = []
      var isOver = false
    }
    let state = Mutex(State())

    func run(at servers: [Replica]) async {
      await withTaskGroup { group in
        for (writer, server) in servers.enumerated() {
          group.addTask { [self] in
            var number = 0
            while !state.withLock({ $0.isOver }) {
              number += 1
              let name = "pod-\(writer)-\(number)"
              do {
                try await server.create(name)
                state.withLock { $0.written.append(name) }
              } catch {
                state.withLock { $0.failures.append("\(name): \(error)") }
              }
            }
          }
        }
      }
    }
    func end() { state.withLock { $0.isOver = true } }
    var written: [String] { state.withLock { $0.written } }
    var failures: [String] { state.withLock { $0.failures } }
  }

  @Test func oneServerBecomesThreeFiveThreeAndOneUnderLoad() async throws {
    let cluster = try TestCluster(1)
    try await cluster.start()
    try await cluster.leader()
    let load = Load()
    let first = await cluster.server(1)
    try await eventually("reads ask nobody while there is nobody") { first.isAlone }
    let writing = Task { await load.run(at: [first, first]) }
    for expected in [[1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5]] as [[NodeID]] {
      try await cluster.add(asking: 1)
      try await cluster.voters(are: expected)
      #expect(!first.isAlone)
    }
    for (lost, expected) in [(5, [1, 2, 3, 4]), (2, [1, 3, 4]), (4, [1, 3]), (3, [1])] as [(NodeID, [NodeID])] {
      _ = try await cluster.server(1).changeMembership(.remove(lost))
      try await cluster.voters(are: expected)
      let removed = await cluster.server(lost)
      try await eventually("server \(lost) to know that it was removed") { removed.status.stopped != nil }
      #expect(removed.status.stopped?.contains("removed from the group") == true)
      await cluster.stop(lost)
    }
    try await eventually("the last one reads alone again") { first.isAlone }
    try await eventually("writes") { load.written.count > 50 }
    load.end()
    await writing.value
    #expect(load.failures.isEmpty, "\(load.failures.prefix(3))")
    let names = Set(
      try await cluster.server(1).linearizableState().objects(
        resource: "pods", namespace: "", after: nil, limit: 0
      ).objects.map(\.key.name))
    #expect(load.written.allSatisfy { names.contains($0) })
    await cluster.killAll()
  }

  @Test func aMemberIsAddedAndReplacesAnotherWhileThatIsDown() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let others = cluster.ids.filter { $0 != leader }
    await cluster.kill(others[0])
    let load = Load()
    let (one, two) = (await cluster.server(leader), await cluster.server(others[1]))
    let writing = Task { await load.run(at: [one, two]) }
    let fresh = try await cluster.add(isSpare: true, asking: others[1])
    let replaced = try await cluster.server(others[1]).changeMembership(.replace(others[0], with: fresh))
    #expect(replaced.id == fresh)
    try await cluster.voters(are: [leader, others[1], fresh].sorted())
    load.end()
    await writing.value
    #expect(load.failures.isEmpty, "\(load.failures.prefix(3))")
    // The one that was down learns it when it comes back, and stops.
    try await cluster.start([others[0]])
    let removed = await cluster.server(others[0])
    try await eventually("the removed member to be told") { removed.status.stopped != nil }
    #expect(removed.status.stopped?.contains("removed from the group") == true)
    await cluster.killAll()
  }

  @Test func aVoterThatIsGoneChangesPlacesWithASpare() async throws {
    let cluster = try TestCluster(3) { $0.replacesLostVoterAfter = .seconds(1) }
    try await cluster.start()
    let leader = try await cluster.leader()
    let spare = try await cluster.add(isSpare: true, asking: leader)
    let lost = try await cluster.follower()
    await cluster.kill(lost)
    let left = cluster.ids.filter { $0 != lost }
    try await cluster.voters(are: (left + [spare]).sorted())
    // It comes back as a spare, and catches up.
    try await cluster.start([lost])
    let server = await cluster.server(lost)
    try await eventually("the old voter to know its place") {
      server.status.members.first { $0.isSelf }?.role == .spare
    }
    try await cluster.converged()
    await cluster.killAll()
  }

  @Test func aWipedDiskCannotVoteAsItsFormerSelf() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let server = await cluster.server(leader)
    try await eventually("the disks to be known") { server.status.members.allSatisfy { $0.member.disk != 0 } }
    let victim = try await cluster.follower()
    let witness = cluster.ids.first { $0 != leader && $0 != victim }!
    let other = await cluster.server(witness)
    try await eventually("the disks to be known there too") { other.status.members.allSatisfy { $0.member.disk != 0 } }
    _ = try await server.put("kept", "1")
    await cluster.wipe(victim)
    try await cluster.start([victim])
    let impostor = await cluster.server(victim)
    try await eventually("the wiped server to stop") { impostor.status.stopped != nil }
    #expect(impostor.status.stopped?.contains("wiped or replaced") == true)
    #expect(impostor.current.revision == 1)
    #expect(try await other.put("more", "2") > 0)
    await cluster.killAll()
  }

  @Test func changesThatMakeNoSenseAreRefusedAndNothingChanges() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let follower = try await cluster.follower()
    let server = await cluster.server(follower)
    func refusal(_ change: MembershipChange) async -> MembershipRefusal.Kind? {
      do throws(MembershipRefusal) {
        _ = try await server.changeMembership(change, timeout: .seconds(5))
        return nil
      } catch {
        return error.kind
      }
    }
    #expect(await refusal(.remove(9)) == .notFound)
    #expect(await refusal(.add(name: "server-1", address: "127.0.0.1:99", isSpare: false)) == .conflict)
    #expect(await refusal(.add(name: "new", address: "127.0.0.1:1", isSpare: false)) == .conflict)
    #expect(await refusal(.add(name: "", address: "", isSpare: false)) == .conflict)
    let third = cluster.ids.first { $0 != leader && $0 != follower }!
    await cluster.kill(third)
    try await Task.sleep(for: .milliseconds(2200))
    #expect(await refusal(.remove(follower)) == .unsafe)
    #expect(server.status.members.filter { $0.role == .voter }.count == 3)
    await cluster.killAll()
  }

  @Test func theLeaderIsRemovedAndAnotherLeadsWithoutAFailedWrite() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let left = cluster.ids.filter { $0 != leader }
    let load = Load()
    let (one, two) = (await cluster.server(left[0]), await cluster.server(left[1]))
    let writing = Task { await load.run(at: [one, two]) }
    _ = try await cluster.server(left[0]).changeMembership(.remove(leader))
    try await cluster.voters(are: left)
    let old = await cluster.server(leader)
    try await eventually("the old leader to stop") { old.status.stopped != nil }
    load.end()
    await writing.value
    #expect(load.failures.isEmpty, "\(load.failures.prefix(3))")
    await cluster.killAll()
  }

  @Test func aServerKnowsItsPeersFromItsOwnDisk() async throws {
    let cluster = try TestCluster(1)
    try await cluster.start()
    try await cluster.leader()
    try await cluster.add(asking: 1)
    try await cluster.voters(are: [1, 2])
    await cluster.kill(1)
    await cluster.kill(2)
    // Started as one that would join: what its disk says counts.
    try await cluster.start([1, 2])
    try await cluster.voters(are: [1, 2])
    _ = try await cluster.server(2).put("after", "1")
    #expect(await cluster.server(2).status.members.map(\.member.name) == ["server-1", "server-2"])
    await cluster.killAll()
  }
}
