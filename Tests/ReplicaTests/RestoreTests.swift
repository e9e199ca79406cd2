import LoopSupport
import Raft
import Storage
import Testing

@testable import Replica

/// What a server makes of its disk at a start.
@Suite(.serialized) struct RestoreTests {
  /// Given a crash after a snapshot's state became durable and before the log was told, when the server starts, then the
  /// log begins anew behind the state, and is written on from there.
  @Test func aLogThatIsOlderThanTheStateBeginsAnewBehindIt() async throws {
    let cluster = try TestCluster(1)
    try await cluster.start()
    try await cluster.leader()
    for index in 0..<50 { try await cluster.server(1).create("pod-\(index)") }
    let revision = try await cluster.converged()
    await cluster.stop(1)
    let disk = try ReplicaDisk.open(path: cluster.path(of: 1), identity: nil)
    let stored = disk.directory.logContents
    // What comes after the last pod, what a member says of itself, may not be committed yet.
    #expect((disk.directory.stateContents.mark?.appliedIndex ?? 0) > 50)
    let done = Deliveries()
    disk.directory.log.start { _ in }
    disk.directory.log.append(
      LogWrite(
        token: 1, hardState: LogHardState(currentTerm: stored.hardState.currentTerm, votedFor: 1, commitIndex: 20),
        truncateFrom: 21))
    disk.directory.log.close { disk.directory.state.close { done.end() } }
    try await eventually("the disk to be closed") { done.hasEnded }
    for round in 0..<3 {
      try await cluster.start()
      try await cluster.leader()
      let server = await cluster.server(1)
      // What the log holds is applied once the new leader has committed an entry of its own term.
      _ = try await server.linearizableState()
      #expect(server.podNames.count == 50 + round)
      #expect(try await server.put("after-\(round)", "x") == revision + UInt64(round) + 1)
      await cluster.kill(1)
    }
  }

  /// Given a log that lost entries known to be committed, when the server starts alone, then it stops and says
  /// why: nobody can give them back.
  @Test func aLogThatLostCommittedEntriesIsNotServed() async throws {
    let cluster = try TestCluster(1) { $0.flushAfter = .seconds(100) }
    try await cluster.start()
    try await cluster.leader()
    for index in 0..<50 { try await cluster.server(1).create("pod-\(index)") }
    await cluster.kill(1)
    let disk = try ReplicaDisk.open(path: cluster.path(of: 1), identity: nil)
    let done = Deliveries()
    disk.directory.log.start { _ in }
    disk.directory.log.append(LogWrite(token: 1, truncateFrom: 10))
    disk.directory.log.close { disk.directory.state.close { done.end() } }
    try await eventually("the disk to be closed") { done.hasEnded }
    try await cluster.start()
    let server = await cluster.server(1)
    try await eventually("it to stop") { server.status.stopped?.contains("damaged") == true }
    #expect(server.podNames.isEmpty)
    await cluster.killAll()
  }
}
