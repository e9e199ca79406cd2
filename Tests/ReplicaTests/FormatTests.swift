// The bytes of commands, of what servers say to each other, of snapshots and of backups, pinned: servers of different
// versions run beside each other during an upgrade, and a backup outlives the program that made it. What is here was
// written by version 0.1.0; whoever changes a format gives it a new version and goes on reading this.

import FileSupport
import Raft
import Storage
import TLS
import Testing
import World

@testable import Replica

@Suite struct FormatTests {
  private static let request = RequestID(origin: 2, incarnation: 3, sequence: 0x0102_0304)
  private static let member = Member(
    id: 4, name: "server-4", address: "10.0.0.4:6443", disk: 0x0102_0304_0506_0708, version: 1, isSpare: true)
  /// One of everything that a command can hold.
  private static let command = Command(
    preconditions: [
      .absent(pod("a")), .fence(pod("l"), 300), .count(resource: "pods", namespace: "default", 0),
      .exists(pod("b")), .revision(pod("b"), 2),
    ],
    mutations: [.put(pod("a"), document("x", labels: ["z": "1", "app": "a"], fence: 7)), .delete(pod("b"))])

  // MARK: Commands

  @Test func commandsAreTheBytesThatLogsHold() throws {
    let entry = CommandEntry(request: Self.request, lowWatermark: 5, command: Self.command)
    try expectGolden("command", entry.encoded())
    var pool = StringPool()
    let decoded = try DecodedCommandEntry(golden["command"], &pool)
    #expect(decoded.request == Self.request && decoded.lowWatermark == 5)
    #expect(decoded.preconditions.count == 5 && decoded.mutations.count == 2)
  }

  /// The log of a small story, as version 0.1.0 wrote it.
  private static func story() throws -> [[UInt8]] {
    func entry(_ sequence: UInt64, _ command: Command) throws -> [UInt8] {
      try CommandEntry(
        request: RequestID(origin: 1, incarnation: 1, sequence: sequence), lowWatermark: 0, command: command
      ).encoded()
    }
    return [
      try entry(1, Command(mutations: [.put(pod("b"), document("first")), .put(pod("l"), document("", fence: 300))])),
      try entry(2, Command(preconditions: [.absent(pod("b"))], mutations: [.put(pod("b"), document("never"))])),
      try entry(
        3,
        Command(
          preconditions: [.revision(pod("b"), 2), .fence(pod("l"), 300), .exists(pod("l")), .absent(pod("a"))],
          mutations: [.put(pod("a"), document("x", labels: ["app": "a"], fence: 7)), .delete(pod("b"))])),
      try entry(1, Command(mutations: [.put(pod("c"), document("a request that happened already"))])),
      try entry(
        4,
        Command(
          preconditions: [.count(resource: "pods", namespace: "default", 5)], mutations: [.delete(pod("nothing"))])),
    ]
  }

  /// Given a log of an older server, when this one applies it, then it comes to the same state, hash by hash: servers of
  /// both versions stand in one group and are compared so.
  @Test func anEntryAppliesAsItDidInTheVersionThatWroteIt() throws {
    var machine = StateMachine()
    var changes: [Change] = []
    for (number, entry) in try Self.story().enumerated() {
      expectGolden("story \(number)", entry)
      _ = try machine.apply(entry, index: machine.appliedIndex + 1, term: 2, changes: &changes)
      var writer = ByteWriter()
      writer.word(machine.stateHash)
      writer.word(machine.revision)
      expectGolden("state after story \(number)", writer.bytes)
    }
    #expect(changes.map(\.revision) == [2, 3, 4, 5])
    expectGolden("requests", machine.requests.encoded()[1] ?? [])
  }

  /// Given an entry of a version that does not exist yet, then it is refused by its number, and says what to do.
  @Test func anEntryOfANewerVersionIsRefusedByItsNumber() throws {
    var entry = golden["command"]
    entry[0] = CommandEntry.version + 1
    var pool = StringPool()
    let error = #expect(throws: CodecError.self) { try DecodedCommandEntry(entry, &pool) }
    #expect("\(error as Any)".contains("entry format 2; this server reads 1: upgrade it"))
  }

  // MARK: Between servers

  private static let messages: [(name: String, message: PeerMessage)] = [
    ("raft", .raft(Message(from: 1, to: 2, term: 3, body: .heartbeat(leaderCommit: 300, readRound: 2)))),
    ("forward", .forward([[1, 2, 3], []])),
    ("snapshotChunk", .snapshotChunk(SnapshotChunk(id: 5, number: 300, isLast: true, checksum: 6, bytes: [7, 8]))),
    ("snapshotOffer", .snapshotOffer(id: 5, index: 300)),
    (
      "snapshotAnswer",
      .snapshotAnswer(
        id: 5, places: [StatePlace(revision: 9, through: nil), StatePlace(revision: 8, through: pod("a"))])
    ),
    ("snapshotReply", .snapshotReply(id: 5, next: 300, status: .rejected)),
    ("stateHash", .stateHash(index: 300, hash: 0xFFEE_DDCC_BBAA_9988)),
    ("room", .room(hasRoom: true)),
    (
      "report",
      .report(PeerReport(member: member, commitMicroseconds: 900, stamp: 1, echo: 2, heldNanoseconds: 3))
    ),
    ("add", .membershipRequest(id: 7, .add(name: "server-4", address: "10.0.0.4:6443", isSpare: true))),
    ("promote", .membershipRequest(id: 7, .promote(4))), ("demote", .membershipRequest(id: 7, .demote(4))),
    ("remove", .membershipRequest(id: 7, .remove(4))), ("replace", .membershipRequest(id: 7, .replace(2, with: 5))),
    ("changed", .membershipReply(id: 7, .success(member))),
    ("refused", .membershipReply(id: 7, .failure(MembershipRefusal(.unsafe, "1 of 2 voters would be alive")))),
    (
      "repair entries",
      .repair(
        .entries(EntriesRequest(first: 5, previousTerm: 2, check: LogPosition(index: 9, term: 3), term: 4)))
    ),
    (
      "repair entries answer",
      .repair(
        .entriesAnswer(
          EntriesAnswer(
            first: 5, authority: .leader, lastIndex: 9, entries: [Entry(term: 3, index: 5, payload: [1])])))
    ),
    ("repair rows", .repair(.rows(revision: 9, keys: [pod("a")]))),
    (
      "repair rows answer",
      .repair(
        .rowsAnswer(
          revision: 9,
          objects: [
            nil,
            StoredObject(
              key: pod("a"), revision: 2, uid: "u", bytes: Array(#"{"metadata":{"resourceVersion":"2"}}"#.utf8),
              revisionOffset: 33, labels: ["app": "a"], fence: 7),
          ]))
    ),
    ("repair state", .repair(.state)),
  ]

  @Test func framesAreTheBytesThatOtherVersionsKnow() throws {
    for (name, message) in Self.messages {
      expectGolden("frame \(name)", message.encoded(fromDisk: 8, toDisk: 9))
      let read = try? PeerMessage.decode(golden["frame \(name)"])
      #expect(read?.message.encoded(fromDisk: 8, toDisk: 9) == golden["frame \(name)"])
      #expect(read?.fromDisk == 8 && read?.toDisk == 9)
    }
    // As a server sends it that does not tell yet what it was promised.
    let older = try? PeerMessage.decode(golden["frame report without promises"])
    #expect(older?.message.encoded(fromDisk: 8, toDisk: 9) == golden["frame report"])
    let hello = PeerHello(cluster: "c", node: 1, name: "server-1", lane: .bulk)
    expectGolden("hello", hello.encoded())
    #expect((try? PeerHello(decoding: golden["hello"])) == hello)
    expectGolden("member", Self.member.context)
    #expect(try Member(id: 4, context: golden["member"]) == Self.member)
  }

  // MARK: Snapshots and backups

  private static func machine() throws -> StateMachine {
    var machine = StateMachine()
    var changes: [Change] = []
    for entry in try story() {
      _ = try machine.apply(entry, index: machine.appliedIndex + 1, term: 2, changes: &changes)
    }
    return machine
  }

  @Test func aSnapshotIsTheBytesThatOtherVersionsKnow() throws {
    let machine = try Self.machine()
    let configuration = Configuration(founders: [Self.member])
    var encoder = StateEncoder(cluster: "c", machine: machine, configuration: configuration)
    var bytes: [UInt8] = []
    while let piece = encoder.nextPiece() { bytes += piece }
    expectGolden("snapshot", bytes)
    var decoder = StateDecoder(cluster: "c")
    try decoder.take(golden["snapshot"])
    let (state, header) = try decoder.finish()
    #expect(state.stateHash == machine.stateHash && state.revision == machine.revision)
    #expect(header.metadata.configuration == configuration)
  }

  /// Given the backups that version 0.1.0 made, in the clear and sealed, when this one reads them, then they hold what
  /// was put in.
  @Test func aBackupIsTheBytesThatLaterVersionsMustRead() throws {
    let machine = try Self.machine()
    expectGolden("backup", BackupTests.backup(machine, key: nil))
    let key = try #require(BackupKey(text: "trireme-backup-key-1:\(String(repeating: "0123456789abcdef", count: 4))"))
    for (name, key) in [("backup", nil), ("sealed backup", key)] as [(String, BackupKey?)] {
      let backup = try BackupTests.read(golden[name], key: key)
      #expect(backup.machine.stateHash == machine.stateHash && backup.machine.revision == machine.revision)
      #expect(backup.machine.requests.encoded() == machine.requests.encoded())
      #expect(backup.header.cluster == "old" && backup.header.keyID == key?.id)
    }
  }

  /// Given what was sealed for a disk by version 0.1.0, and its file of keys, then this version opens it.
  @Test func whatIsSealedOnDisksIsOpened() throws {
    let folder = TemporaryFolder("format")
    defer { withExtendedLifetime(folder) {} }
    let digits = String(repeating: "00112233445566778899aabbccddeeff", count: 2)
    try DataFolder.write(
      Array("trireme encryption keys 1\n1 \(digits)\n3 \(String(digits.reversed()))\n".utf8), to: "encryption-keys",
      in: folder.path, files: OperatingSystemFiles())
    let keyring = try #require(try EncryptionKeyring.existing(path: "\(folder.path)/encryption-keys"))
    #expect(keyring.currentKey == 3 && keyring.hasOldKeys)
    #expect(keyring.open(golden["sealed row"], key: 1, place: [1, 2, 3]) == Array("tempest".utf8))
    #expect(keyring.open(golden["sealed row"], key: 3, place: [1, 2, 3]) == nil)
  }
}
