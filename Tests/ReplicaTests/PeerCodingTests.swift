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
      .readIndexReply(ReadID(incarnation: 1, number: 2), index: 12), .timeoutNow, .removed,
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

  @Test func questionsAboutMembershipArriveAsTheyWereSent() throws {
    let changes: [MembershipChange] = [
      .add(name: "server-4", address: "10.0.0.4:6443", isSpare: true), .promote(4), .demote(3), .remove(2),
      .replace(2, with: 5),
    ]
    for change in changes {
      let frame = PeerMessage.membershipRequest(id: 7, change).encoded(fromDisk: 8, toDisk: 9)
      let (message, fromDisk, toDisk) = try PeerMessage.decode(frame)
      guard case .membershipRequest(7, change) = message else {
        Issue.record("\(change) became \(message)")
        continue
      }
      #expect(fromDisk == 8 && toDisk == 9)
    }
    let member = Member(id: 4, name: "server-4", address: "10.0.0.4:6443", disk: .max, version: 3, isSpare: true)
    let results: [Result<Member, MembershipRefusal>] = [
      .success(member), .failure(MembershipRefusal(.unsafe, "1 of 2 voters would be alive")),
    ]
    for result in results {
      guard
        case .membershipReply(1, result) = try PeerMessage(
          decoding: PeerMessage.membershipReply(id: 1, result).encoded())
      else {
        Issue.record("\(result) became something else")
        continue
      }
    }
    var report = PeerReport(member: member)
    report.commitMicroseconds = 900
    (report.stamp, report.echo, report.heldNanoseconds) = (1, 2, 3)
    guard case .report(report) = try PeerMessage(decoding: PeerMessage.report(report).encoded()) else {
      Issue.record("a report became something else")
      return
    }
  }

  @Test func aServerOfANewerProtocolIsRefusedByItsNumber() throws {
    let hello = PeerHello(cluster: "c", node: 1, name: "server-1", lane: .bulk)
    #expect(try PeerHello(decoding: hello.encoded()) == hello)
    // A newer server that still speaks ours, with a field that we do not know.
    var newer = hello.encoded()
    newer[PeerHello.magic.utf8.count + 1] = 9
    #expect(try PeerHello(decoding: newer + [1, 2, 3]) == hello)
    newer[PeerHello.magic.utf8.count + 2] = 9
    #expect(throws: CodecError.self) { try PeerHello(decoding: newer) }
    var frame = PeerMessage.stateHash(index: 1, hash: 2).encoded()
    frame[0] = 9
    #expect(throws: CodecError.self) { try PeerMessage(decoding: frame) }
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
      _ = try? PeerMessage(decoding: [1, UInt8.random(in: 0...9, using: &random)] + noise)
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
