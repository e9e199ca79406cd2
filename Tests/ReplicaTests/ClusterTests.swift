import EventLoop
import Glibc
import Logging
import LoopSupport
import Raft
import Synchronization
import Testing
import World

@testable import Replica

@Suite(.serialized) struct ClusterTests {
  @Test(arguments: [1, 3, 5]) func aGroupElectsALeaderAndEveryServerTakesWrites(_ count: Int) async throws {
    let cluster = try TestCluster(count)
    try await cluster.start()
    try await cluster.leader()
    for (number, server) in await cluster.servers.enumerated() {
      for index in 0..<20 { #expect(try await server.create("pod-\(number)-\(index)")) }
      // Whoever is answered reads what it wrote, on the same server.
      #expect(server.current.object(pod("pod-\(number)-19")) != nil)
      #expect(try await server.create("pod-\(number)-0") == false)
    }
    #expect(try await cluster.converged() == UInt64(1 + count * 20))
    for server in await cluster.servers { #expect(server.podNames.count == count * 20) }
    await cluster.killAll()
  }

  /// A write that nobody hears the end of looks like a slow disk: the only server waited twenty seconds to lead itself.
  @Test func nothingIsWrittenBeforeTheStart() async throws {
    let cluster = try TestCluster(1)
    try await cluster.start(afterATurn: true)
    try await cluster.leader()
    #expect(await cluster.log(1).appendsUnheard == 0)
  }

  @Test func aReadThroughAnyServerSeesWhatWasAcknowledgedAnywhere() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    for round in 0..<50 {
      let revision = try await cluster.server(leader).put("a", "\(round)")
      for server in await cluster.servers {
        #expect(try await server.linearizableState().object(pod("a"))!.revision >= revision)
      }
    }
    await cluster.killAll()
  }

  @Test func aFollowerThatWasKilledCatchesUp() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let follower = try await cluster.follower()
    try await cluster.server(follower).create("before")
    await cluster.kill(follower)
    let leader = try await cluster.leader()
    for index in 0..<100 { try await cluster.server(leader).create("pod-\(index)") }
    try await cluster.start([follower])
    try await cluster.leader()
    try await cluster.converged()
    #expect(await cluster.server(follower).podNames.count == 101)
    await cluster.killAll()
  }

  @Test func whatWasAcknowledgedSurvivesTheDeathOfAll() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    try await cluster.leader()
    for index in 0..<200 {
      try await cluster.server(ids(index)).create("pod-\(index)", String(repeating: "d", count: 500))
    }
    let revision = try await cluster.server(1).put("last", "word")
    await cluster.killAll()
    try await cluster.start()
    try await cluster.leader()
    let state = try await cluster.server(2).linearizableState()
    #expect(state.revision == revision)
    #expect(state.count(resource: "pods", namespace: "") == 201)
    #expect(text(state.object(pod("last"))) == #"{"metadata":{"resourceVersion":"\#(revision)"},"data":"word"}"#)
    try await cluster.converged()
    #expect(try await cluster.server(3).create("after"))
    await cluster.killAll()
  }

  /// Given writers on every server, when the leader dies twice, then no write through a survivor fails, none is lost,
  /// and none happens twice: a second application of a creation would say that the object is there already.
  @Test func theDeathOfALeaderIsASlowRequest() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    for round in 0..<3 {
      let leader = try await cluster.leader()
      let survivors = cluster.ids.filter { $0 != leader }
      let written = Shared(0)
      let slowest = Shared(Duration.zero)
      try await withThrowingTaskGroup { group in
        for (number, id) in (survivors + survivors).enumerated() {
          let server = await cluster.server(id)
          group.addTask {
            for index in 0..<150 {
              let start = ContinuousClock.now
              let isNew = try await server.create("pod-\(round)-\(number)-\(index)")
              let took = ContinuousClock.now - start
              #expect(isNew, "a creation that was retried happened twice, or was answered wrongly")
              written.update { $0 += 1 }
              slowest.update { $0 = max($0, took) }
            }
          }
        }
        group.addTask {
          try await eventually("some writes") { written.value > 100 }
          await cluster.kill(leader)
        }
        try await group.waitForAll()
      }
      print("slowest write across the death of a leader:", slowest.value)
      try await cluster.start([leader])
      try await cluster.leader()
      #expect(try await cluster.converged() == UInt64(1 + (round + 1) * 600))
    }
    await cluster.killAll()
  }

  /// Seed 100000545 of the simulator's "storm": offer and refusal went on for ever, for nothing could be committed.
  @Test func whoeverOffersWhatIsCommittedHereLearnsThatItIsHere() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    for index in 0..<5 { try await cluster.server(leader).create("a-\(index)") }
    try await cluster.converged()
    // Given a server in whose place the test speaks to another
    let (mute, asked) = (NodeID(leader % 3 + 1), NodeID((leader + 1) % 3 + 1))
    let loop = await cluster.loop(mute)
    await cluster.kill(mute)
    let answers = Mutex<[SnapshotReplyStatus]>([])
    let transport = cluster.network.transport(for: mute, on: loop)
    transport.start(peers: []) { event in
      guard case .received(_, let frames) = event else { return }
      for frame in frames {
        guard case .snapshotReply(id: 7, next: _, let status)? = try? PeerMessage(decoding: frame) else { continue }
        answers.withLock { $0.append(status) }
      }
    }
    // when it offers a state that the other has had for long, then it is told so.
    let committed = await cluster.server(asked).status.commitIndex
    _ = transport.send([PeerMessage.snapshotOffer(id: 7, index: committed).encoded()], to: asked, lane: .control)
    try await eventually("an answer") { !answers.withLock { $0.isEmpty } }
    #expect(answers.withLock { $0 } == [.installed])
    transport.stop()
    await cluster.killAll()
  }

  @Test func aServerThatWasAwayTooLongReceivesASnapshot() async throws {
    let cluster = try TestCluster(3) { options in
      options.retainedLogEntries = 50
      options.cutStep = 10
      options.flushAfter = .milliseconds(5)
      options.retainedLogBytes = 64 << 10
    }
    try await cluster.start()
    let follower = try await cluster.follower()
    let leader = try await cluster.leader()
    for index in 0..<100 { try await cluster.server(leader).create("old-\(index)") }
    try await cluster.converged()
    let deliveries = Deliveries()
    let loop = await cluster.loop(follower)
    let follows = await cluster.server(follower)
    _ = follows.watch(
      resource: "pods", after: 1, on: loop, deliver: { deliveries.receive($0, $1) }, ended: { deliveries.end() })
    cluster.network.isolate(follower)
    let server = await cluster.server(leader)
    for index in 0..<50 { _ = try await server.commit(Command(mutations: [.delete(pod("old-\(index)"))])) }
    var index = 0
    // Write until the log has been cut behind the state.
    let cut = server.status.lastLogIndex
    try await withThrowingTaskGroup { group in
      for writer in 0..<8 {
        group.addTask {
          for index in 0..<100 {
            try await server.create("new-\(writer)-\(index)", String(repeating: "d", count: 2000))
          }
        }
      }
      try await group.waitForAll()
    }
    while server.status.firstLogIndex <= cut {
      index += 1
      try await server.create("more-\(index)")
      try #require(index < 20_000, "the log is never cut")
    }
    cluster.network.heal()
    try await cluster.leader()
    try await cluster.converged()
    let caughtUp = await cluster.server(follower)
    #expect(caughtUp.status.snapshotsInstalledTotal == 1)
    #expect(caughtUp.podNames.count == 50 + 800 + index)
    try await eventually("the watch to end") { deliveries.hasEnded }
    // And it is on its disk.
    await cluster.kill(follower)
    try await cluster.start([follower])
    try await cluster.leader()
    try await cluster.converged()
    #expect(await cluster.server(follower).podNames.count == 50 + 800 + index)
    await cluster.killAll()
  }

  @Test func withoutAQuorumRequestsEndInTimeAndNothingIsServedAsFresh() async throws {
    let cluster = try TestCluster(3) { $0.requestTimeout = .milliseconds(700) }
    try await cluster.start()
    let leader = try await cluster.leader()
    try await cluster.server(leader).create("a")
    for id in cluster.ids where id != leader { await cluster.kill(id) }
    await #expect(throws: StoreError.self) { try await cluster.server(leader).create("b") }
    await #expect(throws: StoreError.self) { try await cluster.server(leader).linearizableState() }
    #expect(await cluster.server(leader).podNames == ["a"], "reads that may be old go on")
    try await cluster.start()
    try await cluster.leader()
    #expect(try await cluster.server(leader).create("c"))
    await cluster.killAll()
  }

  @Test func fiveServersLoseTwoAndGoOn() async throws {
    let cluster = try TestCluster(5)
    try await cluster.start()
    let leader = try await cluster.leader()
    try await cluster.server(leader).create("a")
    await cluster.kill(leader)
    let second = try await cluster.leader()
    #expect(try await cluster.server(second).create("b"))
    await cluster.kill(second)
    let third = try await cluster.leader()
    #expect(try await cluster.server(third).create("c"))
    try await cluster.start()
    try await cluster.leader()
    try await cluster.converged()
    #expect(await cluster.server(leader).podNames == ["a", "b", "c"])
    await cluster.killAll()
  }

  @Test func aMemberThatFallsSilentIsReportedWithinASecond() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let follower = cluster.ids.first { $0 != leader }!
    let lost = Shared<[NodeID]>([])
    await cluster.server(leader).onMemberLost { id in lost.update { $0.append(id) } }
    try await cluster.server(leader).create("a")
    let start = ContinuousClock.now
    cluster.network.silence(follower)
    try await eventually("the report") { !lost.value.isEmpty }
    print("silent member reported after", ContinuousClock.now - start)
    #expect(lost.value == [follower])
    cluster.network.heal()
    let server = await cluster.server(leader)
    try await eventually("its return") {
      server.status.members.first { $0.member.id == follower }?.silentMilliseconds ?? 1000 < 100
    }
    await cluster.kill(follower)
    let killed = ContinuousClock.now
    try await eventually("the second report") { lost.value.count == 2 }
    print("killed member reported after", ContinuousClock.now - killed)
    await cluster.killAll()
  }

  @Test func anOrderlyStopHandsLeadershipOver() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let other = cluster.ids.first { $0 != leader }!
    let server = await cluster.server(other)
    try await server.create("a")
    let term = server.leadership.term
    await cluster.stop(leader)
    #expect(try await server.create("b"))
    #expect(server.leadership.term == term + 1, "one election, and it was won at once")
    await #expect(throws: (any Error).self) { try await cluster.server(other).transferLeadership(to: 99) }
    let next = try await cluster.leader()
    let target = cluster.ids.first { $0 != next && $0 != leader }!
    try await cluster.server(next).transferLeadership(to: target)
    try await eventually("the transfer") { server.leadership.leader == target }
    await cluster.killAll()
  }

  @Test func aWatchOnASurvivorSeesEverythingOnceAndInOrder() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let survivor = cluster.ids.first { $0 != leader }!
    let server = await cluster.server(survivor)
    let deliveries = Deliveries()
    let loop = await cluster.loop(survivor)
    _ = server.watch(
      resource: "pods", after: 1, on: loop, deliver: { deliveries.receive($0, $1) }, ended: { deliveries.end() })
    try await withThrowingTaskGroup { group in
      for writer in 0..<4 {
        group.addTask { for index in 0..<100 { try await server.create("pod-\(writer)-\(index)") } }
      }
      group.addTask {
        try await eventually("some writes") { server.current.revision > 100 }
        await cluster.kill(leader)
      }
      try await group.waitForAll()
    }
    try await eventually("all deliveries") { deliveries.revisions.count >= 400 }
    #expect(deliveries.revisions == Array(2...401))
    await cluster.killAll()
  }

  @Test func aReplicaWhoseDiskFailsStopsAndSaysWhy() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let failed = await cluster.server(leader)
    try await failed.create("a")
    let reason = Shared<String?>(nil)
    failed.onStopped { why in reason.update { $0 = why } }
    await cluster.log(leader).fail()
    await #expect(throws: StoreError.self) { try await failed.create("b") }
    try await eventually("the reason") { reason.value?.contains("errno 5") == true }
    #expect(failed.status.stopped?.contains("errno 5") == true)
    await #expect(throws: StoreError.self) { try await failed.linearizableState() }
    #expect(failed.podNames == ["a"], "what it has can still be read")
    await cluster.kill(leader)
    let next = try await cluster.leader()
    #expect(try await cluster.server(next).create("c"))
    try await cluster.start()
    try await cluster.leader()
    try await cluster.converged()
    await cluster.killAll()
  }

  /// Given a leader whose loop stands still for a fifth of a second again and again, when others are faster, then one of
  /// them leads, and it goes on as a member.
  @Test func aLeaderWithASlowLoopHandsOverAndStaysAMember() async throws {
    let cluster = try TestCluster(3) { $0.slowLeaderPause = .milliseconds(500) }
    try await cluster.start()
    let slow = try await cluster.leader()
    let (server, loop, burden) = (await cluster.server(slow), await cluster.loop(slow), Burden())
    loop.execute { burden.lie(on: loop) }
    // On a machine that is busy with other things the others are slow as well, for a while.
    try await eventually("another leader", within: .seconds(120)) {
      server.leadership.leader.map { $0 != slow } == true
    }
    #expect(try await server.create("after"))
    burden.end()
    try await cluster.converged()
    await cluster.killAll()
  }

  @Test func aLeaderWithASlowDiskHandsOverAndStaysAMember() async throws {
    let cluster = try TestCluster(3) { $0.slowDiskAfter = .milliseconds(300) }
    try await cluster.start()
    let slow = try await cluster.leader()
    await cluster.log(slow).slow(by: .milliseconds(800))
    let server = await cluster.server(slow)
    for index in 0..<5 { #expect(try await server.create("pod-\(index)")) }
    try await eventually("another leader") { server.leadership.leader.map { $0 != slow } == true }
    let start = ContinuousClock.now
    #expect(try await server.create("after"))
    #expect(ContinuousClock.now - start < .milliseconds(700), "a quorum without it answers")
    try await cluster.converged()
    await cluster.killAll()
  }

  /// Given a disk that takes a second for every sync, when its server cannot be missed, then writes are slow, the group
  /// keeps its leader, and the server's vote counts when that leader dies.
  @Test func aDiskWithSyncsOfASecondStaysAMember() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let (slow, other) = (leader % 3 + 1, (leader + 1) % 3 + 1)
    await cluster.log(slow).slow(by: .seconds(1))
    await cluster.kill(other)
    let server = await cluster.server(leader)
    let term = server.leadership.term
    for index in 0..<3 { #expect(try await server.create("pod-\(index)")) }
    #expect(server.leadership.isLeader && server.leadership.term == term)
    try await cluster.start([other])
    try await cluster.converged()
    await cluster.kill(leader)
    let survivor = await cluster.server(other)
    try await eventually("another leader", within: .seconds(120)) {
      survivor.leadership.leader.map { $0 != leader } == true
    }
    #expect(try await survivor.create("after"))
    try await cluster.converged()
    await cluster.killAll()
  }
}

/// A loop that others keep busy: it stands still again and again.
private final class Burden: Sendable {
  private let isOver = Atomic(false)
  func lie(on loop: EventLoop) {
    guard !isOver.load(ordering: .relaxed) else { return }
    usleep(200_000)
    loop.schedule(after: .milliseconds(1)) { self.lie(on: loop) }
  }
  func end() { isOver.store(true, ordering: .relaxed) }
}

private func ids(_ index: Int) -> NodeID { NodeID(index % 3 + 1) }
