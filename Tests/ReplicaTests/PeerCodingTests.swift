import Raft
import Testing

@testable import Replica

@Suite struct PeerCodingTests {
  private func entry(_ index: LogIndex, _ kind: EntryKind = .command) -> Entry {
    Entry(term: 3, index: index, kind: kind, payload: [1, 2, UInt8(index % 256)])
  }

  private var messages: [Message.Body] {
    [
      .requestVote(lastLogIndex: 7, lastLogTerm: 3, preVote: true, transfer: false),
      .requestVoteReply(granted: true, preVote: false),
      .appendEntries(prevLogIndex: 300, prevLogTerm: 2, leaderCommit: 299, entries: [entry(301), entry(302, .noOp)]),
      .appendEntries(prevLogIndex: 0, prevLogTerm: 0, leaderCommit: 0, entries: []),
      .appendAccepted(matchIndex: .max), .appendRejected(prevLogIndex: 9, hintIndex: 4, hintTerm: 2),
      .heartbeat(leaderCommit: 5, readRound: 77), .heartbeatReply(readRound: 77),
      .readIndex(ReadID(incarnation: .max, number: 3)),
      .readIndexReply(ReadID(incarnation: 1, number: 2), index: 12), .timeoutNow,
    ]
  }

  @Test func everyMessageArrivesAsItWasSent() throws {
    for body in messages {
      let message = Message(from: 1, to: .max, term: 9, body: body)
      guard case .raft(let decoded) = try PeerMessage(decoding: PeerMessage.raft(message).encoded()) else {
        Issue.record("\(body) became something else")
        continue
      }
      #expect(decoded == message)
    }
  }

  @Test func noBytesFromTheNetworkTrap() {
    var random = SystemRandomNumberGenerator()
    for body in messages {
      let frame = PeerMessage.raft(Message(from: 1, to: 2, term: 9, body: body)).encoded()
      for length in 0..<frame.count { _ = try? PeerMessage(decoding: Array(frame[..<length])) }
      for _ in 0..<2000 {
        var damaged = frame
        damaged[Int.random(in: 0..<frame.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        _ = try? PeerMessage(decoding: damaged)
      }
    }
    for _ in 0..<20_000 {
      let noise = (0..<Int.random(in: 0..<60)).map { _ in UInt8.random(in: 0...255, using: &random) }
      _ = try? PeerMessage(decoding: [1, UInt8.random(in: 0...6, using: &random)] + noise)
      _ = try? PeerHello(decoding: noise)
      _ = try? Configuration(stored: noise)
    }
  }

  @Test func framesSurviveAnyCut() throws {
    let frames = [[1, 2, 3], [], [UInt8](repeating: 7, count: 100_000), [9]]
    let wire = Array(FrameParser.wire(frames).joined())
    for step in [1, 2, 5, 1000, wire.count] {
      var parser = FrameParser()
      var received: [[UInt8]] = []
      for start in stride(from: 0, to: wire.count, by: step) {
        received += try wire[start..<min(start + step, wire.count)].withUnsafeBytes { try parser.append($0) }
      }
      #expect(received == frames)
    }
    var parser = FrameParser()
    #expect(throws: CodecError.self) { try [0, 0, 0, 1 as UInt8].withUnsafeBytes { try parser.append($0) } }
  }

  @Test func aSnapshotArrivesWholeOrNotAtAll() throws {
    var log = StateMachineTests.Machine()
    for index in 0..<300 {
      let size = index == 7 ? 1_200_000 : 5000
      _ = try log.apply(
        UInt64(index), Command(mutations: [.put(pod("p\(index)"), document(String(repeating: "x", count: size)))]))
    }
    let configuration = Configuration(voters: [1, 2], learners: [3])
    func chunks() -> [SnapshotChunk] {
      var source = SnapshotSource(id: 5, cluster: "c", machine: log.machine, configuration: configuration)
      var chunks: [SnapshotChunk] = []
      while let chunk = source.nextChunk() {
        chunks.append(chunk)
        _ = source.acknowledge(below: chunk.number + 1)
      }
      return chunks
    }
    let all = chunks()
    #expect(all.count > 10 && all.allSatisfy { $0.bytes.count <= StateStreamLimits.pieceBytes })
    var sink = SnapshotSink(id: 5, cluster: "c")
    var result: (machine: StateMachine, metadata: SnapshotMetadata)?
    for chunk in all {
      result = try sink.receive(chunk)
      #expect(try sink.receive(chunk) == nil, "a chunk that comes twice is ignored")
    }
    let machine = try #require(result).machine
    #expect(machine.stateHash == log.machine.stateHash && machine.revision == log.machine.revision)
    #expect(machine.map.count == 300 && log.machine.map.differences(to: machine.map).isEmpty)
    #expect(machine.requests.origins[1]?.outcomes.count == 300)
    #expect(result?.metadata.configuration == configuration)
    // Damaged, cut short, out of order, of another cluster.
    var wrong = SnapshotSink(id: 5, cluster: "other")
    #expect(throws: CodecError.self) { try wrong.receive(all[0]) }
    var skipping = SnapshotSink(id: 5, cluster: "c")
    #expect(throws: CodecError.self) { try skipping.receive(all[1]) }
    var damaged = all[0]
    damaged.bytes[1000] ^= 1
    var careful = SnapshotSink(id: 5, cluster: "c")
    #expect(throws: CodecError.self) { try careful.receive(damaged) }
    var short = SnapshotSink(id: 5, cluster: "c")
    var last = all[0]
    last.isLast = true
    #expect(throws: CodecError.self) { try short.receive(last) }
  }
}
