import Glibc
import LoopSupport
import Raft
import Testing

@testable import Replica

@Suite struct HeardPromiseTests {
  private func message(_ term: Term, _ body: Message.Body) -> Message {
    Message(from: 2, to: 1, term: term, body: body)
  }

  /// Only what is on the sender's disk when it speaks counts as promised.
  @Test func votesAndAcknowledgementsArePromises() {
    var heard = HeardPromise()
    heard.note(message(9, .requestVoteReply(granted: true, preVote: true)))
    heard.note(message(9, .requestVoteReply(granted: false, preVote: false)))
    heard.note(message(9, .heartbeatReply(readRound: 1)))
    #expect(heard == HeardPromise())
    heard.note(message(3, .appendAccepted(matchIndex: 20)))
    heard.note(message(3, .appendAccepted(matchIndex: 10)))
    #expect(heard == HeardPromise(term: 3, acknowledgedTerm: 3, acknowledgedIndex: 20))
    heard.note(message(4, .requestVoteReply(granted: true, preVote: false)))
    #expect(heard == HeardPromise(term: 4, acknowledgedTerm: 3, acknowledgedIndex: 20))
  }

  /// A server that has gone on to another term may rightly have dropped what it acknowledged in an earlier one.
  @Test func onlyTheImpossibleIsHeldAgainstAServer() {
    let heard = HeardPromise(term: 4, acknowledgedTerm: 4, acknowledgedIndex: 20)
    #expect(!heard.exceeds(currentTerm: 4, lastIndex: 20))
    #expect(!heard.exceeds(currentTerm: 5, lastIndex: 12))
    #expect(heard.exceeds(currentTerm: 4, lastIndex: 19))
    #expect(heard.exceeds(currentTerm: 3, lastIndex: 30))
  }
}

@Suite(.serialized) struct SetBackDiskTests {
  /// Given a follower whose disk is set back to what it was before it acknowledged entries, as a disk that lied about its
  /// syncs leaves it after a power cut, when it starts and hears from the leader, then it stops and says why.
  @Test func aServerThatHasForgottenWhatItPromisedStops() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let victim = try await cluster.follower()
    try await cluster.server(leader).create("before")
    try await cluster.converged()
    await cluster.kill(victim)
    let names = ["raft.db", "raft.db-wal", "state.db", "state.db-wal", "promises"]
    let folder = cluster.path(of: victim)
    let kept = names.map { (name: $0, bytes: contents("\(folder)/\($0)")) }
    try await cluster.start([victim])
    for index in 0..<20 { try await cluster.server(leader).create("after-\(index)") }
    try await cluster.converged()
    await cluster.kill(victim)
    // The very same files, as they were: no copy that the disk itself would refuse.
    for (name, bytes) in kept { overwrite("\(folder)/\(name)", bytes) }
    try await cluster.start([victim])
    let server = await cluster.server(victim)
    try await eventually("it to stop") { server.status.stopped != nil }
    #expect(server.status.stopped?.contains("has forgotten what it promised server \(leader)") == true)
    #expect(server.status.stopped?.contains("join anew") == true)
    #expect(await cluster.server(leader).status.leadership.isLeader)
    await cluster.killAll()
  }

  /// Seed 400000119 of the simulator's "liars": a heartbeat came before the leader's report, and stopped the process.
  @Test func aHeartbeatBeyondTheLogStopsTheServerInOrder() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    let leader = try await cluster.leader()
    let asked = try await cluster.follower()
    await cluster.kill(leader)
    let transport = cluster.network.transport(for: leader, on: await cluster.loop(leader))
    transport.start(peers: []) { _ in }
    let message = Message(from: leader, to: asked, term: 99, body: .heartbeat(leaderCommit: 10_000, readRound: 1))
    _ = transport.send([PeerMessage.raft(message).encoded()], to: asked, lane: .control)
    let server = await cluster.server(asked)
    try await eventually("it to stop") { server.status.stopped != nil }
    #expect(server.status.stopped?.contains("has forgotten what it promised server \(leader)") == true)
    transport.stop()
    await cluster.killAll()
  }

  private func contents(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY)
    guard file >= 0 else { return [] }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 8 << 20)
    let count = read(file, &bytes, bytes.count)
    return Array(bytes.prefix(max(0, count)))
  }

  private func overwrite(_ path: String, _ bytes: [UInt8]) {
    let file = open(path, O_RDWR)
    guard file >= 0 else { return }
    defer { close(file) }
    ftruncate(file, bytes.count)
    #expect(pwrite(file, bytes, bytes.count, 0) == bytes.count)
  }
}
