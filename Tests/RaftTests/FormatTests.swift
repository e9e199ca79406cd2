// The bytes of the wire and of the log, pinned: a server reads what older and newer ones write, so they must not change
// without a new version. What is here was written by version 0.1.0 and must be read for ever.

import FileSupport
import Testing

@testable import Raft

@Suite struct FormatTests {
  private static let read = ReadID(incarnation: 0x0102_0304_0506_0708, number: 9)
  private static let configuration = Configuration(
    voters: [1, 2, 3], outgoingVoters: [1, 2, 4], learners: [5], contexts: [1: [0xAA, 0xBB], 5: []], lastID: 7,
    version: 3)
  private static let entries = [
    Entry(term: 3, index: 6, payload: [1, 2, 3]), Entry(term: 4, index: 7, kind: .noOp, payload: []),
    Entry(term: 4, index: 8, kind: .configuration, payload: configuration.encoded()),
  ]
  static let messages: [(name: String, body: Message.Body)] = [
    ("requestVote", .requestVote(lastLogIndex: 258, lastLogTerm: 2, preVote: true, transfer: false)),
    ("requestVote transfer", .requestVote(lastLogIndex: 1, lastLogTerm: 2, preVote: false, transfer: true)),
    ("requestVoteReply", .requestVoteReply(granted: true, preVote: false)),
    ("appendEntries", .appendEntries(prevLogIndex: 5, prevLogTerm: 3, leaderCommit: 4, entries: entries)),
    ("appendAccepted", .appendAccepted(matchIndex: 9)),
    ("appendRejected", .appendRejected(prevLogIndex: 9, hintIndex: 8, hintTerm: 7)),
    ("heartbeat", .heartbeat(leaderCommit: 1, readRound: 2)), ("heartbeatReply", .heartbeatReply(readRound: 3)),
    ("readIndex", .readIndex(read)), ("readIndexReply", .readIndexReply(read, index: 12)),
    ("timeoutNow", .timeoutNow), ("removed", .removed),
  ]

  /// Given a message of every kind, when it is encoded, then it is these bytes, and these bytes are that message.
  @Test func messagesAreTheBytesThatOtherVersionsKnow() {
    for (name, body) in Self.messages {
      let message = Message(from: 1, to: 0xFF00_0000_0000_0002, term: 4, body: body)
      expectGolden(name, message.encoded())
      #expect((try? Message(decoding: golden[name])) == message)
    }
    #expect(Self.messages.count >= 12, "a message of every kind")
  }

  @Test func entriesAreTheBytesThatLogsHold() {
    for entry in Self.entries {
      let name = "entry \(entry.kind)"
      expectGolden(name, entry.encoded())
      #expect((try? Entry(decoding: golden[name])) == entry)
    }
    #expect(EntryKind.command.rawValue == 0 && EntryKind.noOp.rawValue == 1 && EntryKind.configuration.rawValue == 2)
  }

  @Test func configurationsAreTheBytesThatLogsHold() throws {
    expectGolden("configuration", Self.configuration.encoded())
    #expect(try Configuration(decoding: golden["configuration"]) == Self.configuration)
  }

  /// Given a configuration as the version before wrote it, then it means the same to this one.
  @Test func aConfigurationOfTheFormatBeforeIsRead() throws {
    let expected = Configuration(voters: [1, 2], outgoingVoters: [1, 3], learners: [4])
    #expect(try Configuration(decoding: golden["configuration of format 1"]) == expected)
    #expect(expected.lastID == 4 && expected.version == 1 && expected.contexts.isEmpty)
  }
}
