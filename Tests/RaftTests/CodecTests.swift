// The wire: what goes in comes out, and no bytes from outside can do harm.

import Testing

@testable import Raft

private let samples: [Message] = {
  let read = ReadID(incarnation: .max, number: 7)
  let entries = [
    Entry(term: 3, index: 6, payload: [1, 2, 3]), Entry(term: 4, index: 7, kind: .noOp, payload: []),
    Entry(term: 4, index: 8, kind: .configuration, payload: Configuration(voters: [1, 2]).encoded()),
  ]
  let bodies: [Message.Body] = [
    .requestVote(lastLogIndex: 1, lastLogTerm: 2, preVote: true, transfer: false),
    .requestVote(lastLogIndex: .max, lastLogTerm: .max, preVote: false, transfer: true),
    .requestVoteReply(granted: true, preVote: false), .requestVoteReply(granted: false, preVote: true),
    .appendEntries(prevLogIndex: 5, prevLogTerm: 3, leaderCommit: 4, entries: entries),
    .appendEntries(prevLogIndex: 0, prevLogTerm: 0, leaderCommit: 0, entries: []), .appendAccepted(matchIndex: 9),
    .appendRejected(prevLogIndex: 9, hintIndex: 8, hintTerm: 7), .heartbeat(leaderCommit: 1, readRound: 2),
    .heartbeatReply(readRound: 3), .readIndex(read), .readIndexReply(read, index: 12), .timeoutNow,
  ]
  return bodies.map { Message(from: 1, to: 2, term: 4, body: $0) }
}()

@Suite struct CodecTests {
  @Test(arguments: samples)
  func aMessageComesOutAsItWentIn(message: Message) throws {
    #expect(try Message(decoding: message.encoded()) == message)
  }

  @Test func anEntryAndAConfigurationComeOutAsTheyWentIn() throws {
    let entry = Entry(term: 9, index: 8, kind: .command, payload: [0, 255])
    #expect(try Entry(decoding: entry.encoded()) == entry)
    let configuration = Configuration(voters: [3, 1, 2], outgoingVoters: [2, 9], learners: [7])
    #expect(try Configuration(decoding: configuration.encoded()) == configuration)
    let same = Configuration(voters: [2, 3, 1], outgoingVoters: [9, 2], learners: [7])
    #expect(same.encoded() == configuration.encoded())
  }

  @Test func anotherVersionIsRefusedByItsNumber() {
    var bytes = samples[0].encoded()
    bytes[0] = 2
    #expect(throws: CodingError.unknownVersion(2)) { try Message(decoding: bytes) }
  }

  @Test(arguments: samples)
  func aMessageCutShortOrWithMoreBehindItIsRefused(message: Message) {
    let bytes = message.encoded()
    for count in 0..<bytes.count {
      #expect(throws: CodingError.truncated) { try Message(decoding: Array(bytes.prefix(count))) }
    }
    #expect(throws: CodingError.trailingBytes) { try Message(decoding: bytes + [0]) }
  }

  @Test func aCountThatTheBytesCannotHoldReservesNothing() {
    let message = Message(
      from: 1, to: 2, term: 1, body: .appendEntries(prevLogIndex: 0, prevLogTerm: 0, leaderCommit: 0, entries: []))
    let bytes = Array(message.encoded().dropLast(4)) + [255, 255, 255, 255]
    #expect(throws: CodingError.truncated) { try Message(decoding: bytes) }
  }

  @Test func anIndexPastTheEndOfNumbersIsRefused() {
    let entry = Entry(term: 1, index: 1, payload: [])
    let message = Message(
      from: 1, to: 2, term: 1,
      body: .appendEntries(prevLogIndex: .max, prevLogTerm: 1, leaderCommit: 0, entries: [entry]))
    #expect(throws: CodingError.outOfRange) { try Message(decoding: message.encoded()) }
  }

  /// Whatever decodes encodes to the same bytes: there is one way to say a thing, and nothing crashes.
  @Test func noBytesDoHarm() {
    var generator = Generator(seed: 42)
    var accepted = 0
    for round in 0..<60_000 {
      var bytes = samples[round % samples.count].encoded()
      for _ in 0..<(1 + generator.next(below: 4)) {
        switch generator.next(below: 4) {
        case 0: bytes.removeLast(min(bytes.count, generator.next(below: 4)))
        case 1: bytes.append(UInt8(truncatingIfNeeded: generator.next()))
        default:
          if !bytes.isEmpty {
            let limit = generator.next(below: 2) == 0 ? bytes.count : min(bytes.count, 48)
            bytes[generator.next(below: limit)] = UInt8(truncatingIfNeeded: generator.next())
          }
        }
      }
      if let message = try? Message(decoding: bytes) {
        accepted += 1
        #expect(message.encoded() == bytes)
      }
      _ = try? Entry(decoding: bytes)
      _ = try? Configuration(decoding: bytes)
    }
    #expect(accepted > 1_000)
  }
}
