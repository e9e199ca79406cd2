// Disks that are full, in a group: who leads, what is refused and how, and that all goes on by itself.

import LoopSupport
import Raft
import Testing
import World

@testable import Replica

@Suite(.serialized) struct FullDiskTests {
  private func isNoRoom(_ error: any Error) -> Bool {
    if case StoreError.noRoom = error { true } else { false }
  }

  /// Given a leader whose disk runs full, when it is written to, then another leads and no write is refused; when there is
  /// room again the server says so and catches up.
  @Test func aLeaderWithAFullDiskHandsOver() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    try await cluster.server(leader).create("before")
    try await cluster.converged()
    await cluster.log(leader).fill()
    let first = await cluster.server(leader)
    try await first.create("while-full")
    try await eventually("another to lead") { first.leadership.leader.map { $0 != leader } == true }
    #expect(first.status.isDiskFull)
    let next = try #require(first.leadership.leader)
    for index in 0..<10 { try await cluster.server(next).create("more-\(index)") }
    // Through the server with the full disk as well: it does not lead, and only forwards.
    try await first.create("through-it")
    await cluster.log(leader).makeRoom()
    try await eventually("the room to be found") { !first.status.isDiskFull }
    try await cluster.converged()
    #expect(first.podNames.count == 13)
    await cluster.killAll()
  }

  /// Given a quorum of full disks, then writes are refused at once with words that name the servers, while reads go on;
  /// when one has room again, writes go on by themselves.
  @Test func aQuorumOfFullDisksRefusesWritesAndResumesByItself() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    try await cluster.server(leader).create("before")
    try await cluster.converged()
    for id in cluster.ids { await cluster.log(id).fill() }
    let server = await cluster.server(leader)
    // The first write finds it out, and is done when there is room.
    let first = Task { try await server.create("found-out") }
    var refusal: (any Error)?
    try await eventually("all to know") { [servers = await cluster.servers] in
      servers.allSatisfy { $0.status.isDiskFull }
    }
    let deadline = ContinuousClock.now + .seconds(30)
    while refusal == nil {
      try #require(ContinuousClock.now < deadline, "writes are not refused")
      do { try await server.create("refused") } catch { refusal = error }
    }
    #expect(isNoRoom(try #require(refusal)))
    #expect("\(try #require(refusal))".contains("is full"))
    #expect(try await server.linearizableState().object(pod("before")) != nil, "reads go on")
    for id in cluster.ids.dropFirst() { await cluster.log(id).makeRoom() }
    try await eventually("writes to go on", within: .seconds(60)) { [servers = await cluster.servers] in
      servers.dropFirst().allSatisfy { !$0.status.isDiskFull }
    }
    // It may have been given up meanwhile, as any request after half a minute.
    _ = await first.result
    try await server.create("after")
    await cluster.log(1).makeRoom()
    try await cluster.converged()
    #expect(server.current.object(pod("after")) != nil)
    await cluster.killAll()
  }
}

@Suite(.serialized) struct KeyRotationTests {
  /// Given a group whose disks are encrypted, in use, when the keys of one disk are changed, then nobody notices, and the
  /// server starts with the new key alone.
  @Test func keysAreChangedWhileAGroupIsWrittenTo() async throws {
    let cluster = try TestCluster(3, isEncrypted: true) { $0.flushAfter = .milliseconds(5) }
    try await cluster.start()
    let leader = try await cluster.leader()
    let server = await cluster.server(leader)
    for index in 0..<40 { try await server.create("before-\(index)") }
    let writer = Task {
      var count = 0
      while !Task.isCancelled {
        try await server.create("during-\(count)")
        count += 1
      }
      return count
    }
    let numbers = [try await server.rotateEncryptionKey(), try await server.rotateEncryptionKey()]
    #expect(numbers == [2, 3])
    writer.cancel()
    let written = try await writer.value
    try await cluster.converged()
    await cluster.stop(leader)
    try await cluster.start([leader])
    try await cluster.converged()
    let again = await cluster.server(leader)
    #expect(again.podNames.count == 40 + written)
    #expect(again.status.repairsTotal == 0)
    #expect(again.keyring?.currentKey == 3 && again.keyring?.hasOldKeys == false)
    await cluster.killAll()
  }

  /// Given a rotation whose walk over the log is done and whose walk over the state is not, when another is asked for, then
  /// it is refused: the end of the first would forget the key that the log is sealed with, and the disk with it.
  @Test func aSecondRotationDuringTheFirstLosesNothing() async throws {
    let cluster = try TestCluster(1, isEncrypted: true)
    try await cluster.start()
    try await cluster.leader()
    let server = await cluster.server(1)
    let log = await cluster.log(1)
    for index in 0..<40 { try await server.create("pod-\(index)") }
    log.holdReseals()
    #expect(try server.beginKeyRotation(for: "a test") == 2)
    try await eventually("the log to be sealed") { log.holdsReseal }
    #expect(server.encryption?.isRotating == true)
    let refusal = #expect(throws: RotationError.self) { try server.beginKeyRotation(for: "a test") }
    #expect(refusal.map { "\($0)" } == "the key of this server's disk is being changed already")
    log.releaseReseals()
    try await eventually("the rotation to end") { server.encryption?.isRotating == false }
    #expect(server.encryption?.failure == nil)
    try await server.create("after")
    await cluster.kill(1)
    try await cluster.start()
    try await cluster.leader()
    let again = await cluster.server(1)
    #expect(
      try await again.linearizableState().objects(resource: "pods", namespace: "", after: nil, limit: 0).objects.count
        == 41)
    #expect(again.keyring?.currentKey == 2 && again.keyring?.hasOldKeys == false)
    await cluster.killAll()
  }

  @Test func aDiskInTheClearHasNoKeysToChange() async throws {
    let cluster = try TestCluster(1)
    try await cluster.start()
    try await cluster.leader()
    let server = await cluster.server(1)
    await #expect(throws: RotationError.self) { try await server.rotateEncryptionKey() }
    await cluster.killAll()
  }
}
