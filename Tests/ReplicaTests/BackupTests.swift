import Glibc
import Raft
import SeedSupport
import Storage
import TLS
import Testing
import World

@testable import Replica

@Suite struct BackupTests {
  /// A state with some history: `count` writes over fewer names, drawn by `seed`.
  static func machine(_ count: Int, seed: UInt64 = 1) throws -> StateMachine {
    var machine = StateMachine()
    var changes: [Change] = []
    var random = SeededRandom(seed: seed)
    for sequence in 1...max(1, count) {
      let name = "pod-\(random.next(below: count / 2 + 1))"
      let data = String(repeating: "d", count: random.next(below: 2000))
      let mutation: Mutation =
        random.next(below: 5) == 0
        ? .delete(pod(name)) : .put(pod(name), document(data, uid: name, labels: ["app": name], fence: 3))
      let entry = try CommandEntry(
        request: RequestID(origin: 1 + random.next(below: 3), incarnation: 1, sequence: UInt64(sequence)),
        lowWatermark: sequence > 50 ? UInt64(sequence) - 50 : 0, command: Command(mutations: [mutation])
      ).encoded()
      _ = try machine.apply(entry, index: machine.appliedIndex + 1, term: 2, changes: &changes)
    }
    return machine
  }

  static func backup(_ machine: StateMachine, key: BackupKey?, cluster: String = "old") -> [UInt8] {
    var backup = Backup(
      machine: machine, configuration: Configuration(voters: [1, 2, 3]), cluster: cluster, node: 2,
      created: WallTime(secondsSinceEpoch: 1_700_000_000), key: key)
    var bytes: [UInt8] = []
    while let block = backup.next() { bytes += block }
    return bytes
  }

  static func read(_ bytes: [UInt8], key: BackupKey?, step: Int = 1 << 16) throws(BackupError) -> VerifiedBackup {
    var reader = BackupReader(key: key)
    for start in stride(from: 0, to: bytes.count, by: step) {
      try reader.take(Array(bytes[start..<min(start + step, bytes.count)]))
    }
    return try reader.finish()
  }

  @Test(arguments: [false, true], [0, 1, 2000]) func aBackupReadsBackAsWhatItWasTakenFrom(
    _ isSealed: Bool, _ count: Int
  ) throws {
    let key = isSealed ? BackupKey(secret: Crypto.random(32)) : nil
    let machine = try Self.machine(count, seed: UInt64(count))
    for step in [7, 4096, 1 << 20] where step > 7 || count < 2000 {
      let read = try Self.read(Self.backup(machine, key: key), key: key, step: step)
      #expect(read.machine.stateHash == machine.stateHash)
      #expect(
        read.machine.map.objects(at: 0..<read.machine.map.count).map(\.bytes)
          == machine.map.objects(at: 0..<machine.map.count).map(\.bytes))
      #expect(read.machine.requests.encoded() == machine.requests.encoded())
      #expect(read.header.revision == machine.revision && read.header.appliedIndex == machine.appliedIndex)
      #expect(read.header.cluster == "old" && read.header.keyID == key?.id)
    }
  }

  @Test func aBackupIsTakenOfOneMomentWhileWritingGoesOn() async throws {
    let cluster = try TestCluster(3)
    try await cluster.start()
    try await cluster.leader()
    let server = await cluster.server(2)
    for index in 0..<300 { try await server.create("pod-\(index)", String(repeating: "d", count: 5000)) }
    let key = BackupKey(secret: Crypto.random(32))
    var backup = try await server.backup(sealedWith: key)
    var bytes: [UInt8] = []
    var blocks = 0
    while let block = backup.next() {
      bytes += block
      blocks += 1
      _ = try await server.put("pod-\(blocks)", "later")
      _ = try await server.commit(Command(mutations: [.delete(pod("pod-\(299 - blocks)"))]))
    }
    #expect(blocks > 5)
    let read = try Self.read(bytes, key: key)
    #expect(read.header.revision == 301 && read.header.objects == 300)
    #expect(read.objectsByResource.map(\.objects) == [300])
    await cluster.killAll()
  }

  /// Given a backup whose file ends early, wherever it ends, then that is what the error says.
  @Test(arguments: [false, true]) func aBackupThatWasCutShortIsFound(_ isSealed: Bool) throws {
    let key = isSealed ? BackupKey(secret: Crypto.random(32)) : nil
    let bytes = Self.backup(try Self.machine(20), key: key)
    for length in 0..<bytes.count {
      #expect(throws: BackupError.cutShort(afterBytes: UInt64(length))) {
        try Self.read(Array(bytes[..<length]), key: key, step: 1 << 20)
      }
    }
  }

  /// Given a backup with a bit flipped, whichever, then it is refused.
  @Test(arguments: [false, true]) func damageIsFound(_ isSealed: Bool) throws {
    let key = isSealed ? BackupKey(secret: Crypto.random(32)) : nil
    let bytes = Self.backup(try Self.machine(20), key: key)
    var random = SeededRandom(seed: 7)
    for position in 0..<bytes.count {
      var damaged = bytes
      damaged[position] ^= 1 << UInt8(random.next(below: 8))
      #expect(throws: BackupError.self) { try Self.read(damaged, key: key, step: 1 << 20) }
    }
    for behind in [[0], bytes] as [[UInt8]] {
      for step in [7, 1 << 20] {
        #expect(throws: BackupError.damaged("\(behind.count) bytes that do not belong to it follow its end")) {
          try Self.read(bytes + behind, key: key, step: step)
        }
      }
    }
    #expect(throws: BackupError.notABackup) { try Self.read(Array("#!/bin/sh, and so on\n".utf8), key: key) }
    #expect(throws: BackupError.newer("format 2")) { try Self.read(Array("TRIREME BACKUP 2\nx".utf8), key: key) }
  }

  @Test func aSealedBackupShowsNothingAndNeedsItsKey() throws {
    let key = BackupKey(secret: Crypto.random(32))
    let bytes = Self.backup(try Self.machine(20), key: key)
    #expect(!String(decoding: bytes, as: Unicode.ASCII.self).contains("ddddd"))
    #expect(throws: BackupError.sealed(keyID: key.id)) { try Self.read(bytes, key: nil) }
    let other = BackupKey(secret: Crypto.random(32))
    #expect(throws: BackupError.otherKey(sealedWith: key.id, given: other.id)) { try Self.read(bytes, key: other) }
    #expect(BackupKey(text: key.text)?.id == key.id)
    #expect(BackupKey(text: "nonsense") == nil && BackupKey(text: String(key.text.dropLast(3))) == nil)
    // A frame of the same key and place, but of another backup, does not fit.
    let again = Self.backup(try Self.machine(20), key: key, cluster: "new")
    #expect(bytes.count == again.count)
    #expect(throws: BackupError.self) { try Self.read(Array(bytes[..<200]) + again[200...], key: key) }
  }

  /// Given a backup, when it is restored as a new cluster, then that serves every object as it was, at a revision that
  /// the old cluster cannot have reached, and takes writes at once.
  @Test func aRestoredClusterGoesOnFarAheadOfTheOldOne() async throws {
    let machine = try Self.machine(3000)
    let backup = try Self.read(Self.backup(machine, key: nil), key: nil)
    let cluster = try TestCluster(1)
    let freed = try #require(machine.map.objects(at: 0..<1).first).key
    var options = RestoreOptions()
    options.freedLeases = [freed, pod("never-was")]
    let report = try backup.restore(
      into: cluster.path(of: 1), as: StorageIdentity(cluster: "test", node: 1), options: options)
    #expect(report.revision == machine.revision + 1_000_000_000 && report.freedLeases == [freed])
    for round in 0..<2 {
      try await cluster.start()
      try await cluster.leader()
      let server = await cluster.server(1)
      let state = try await server.linearizableState()
      #expect(state.revision == report.revision + UInt64(round))
      #expect(state.count(resource: "pods", namespace: "") == machine.map.count - 1 + round)
      for object in machine.map.objects(at: 1..<machine.map.count) {
        let restored = state.object(object.key)
        #expect(restored?.bytes == object.bytes && restored?.uid == object.uid && restored?.labels == object.labels)
      }
      // A watch of the old cluster is told to list again.
      guard
        case .tooOld = server.watch(
          resource: "pods", after: machine.revision, on: ManualWorld(), deliver: { _, _ in })
      else {
        Issue.record("a watch of the old cluster went on in the new one")
        return
      }
      #expect(try await server.put("new-\(round)", "x") == report.revision + UInt64(round) + 1)
      await cluster.kill(1)
    }
  }

  @Test func aRestoreThatCannotBeRightChangesNothing() async throws {
    let backup = try Self.read(Self.backup(try Self.machine(10), key: nil), key: nil)
    let cluster = try TestCluster(1)
    let path = cluster.path(of: 1)
    #expect(throws: RestoreError.self) {
      try backup.restore(into: path, as: StorageIdentity(cluster: "old", node: 1))
    }
    #expect(try !DataFolder.isOccupied(path))
    try await cluster.start()
    try await cluster.leader()
    try await cluster.server(1).create("here")
    await cluster.stop(1)
    #expect(throws: RestoreError.self) {
      try backup.restore(into: path, as: StorageIdentity(cluster: "new", node: 1))
    }
    try await cluster.start()
    try await cluster.leader()
    #expect(try await cluster.server(1).linearizableState().object(pod("here")) != nil)
    await cluster.killAll()
    // No parent folder: the error says where.
    #expect(throws: RestoreError.self) {
      try backup.restore(into: "/nonexistent/folder", as: StorageIdentity(cluster: "new", node: 1))
    }
  }

  /// Given what an interrupted restore left beside the folder, when it is tried again, then that is no hindrance.
  @Test func anInterruptedRestoreIsSimplyRepeated() async throws {
    let backup = try Self.read(Self.backup(try Self.machine(10), key: nil), key: nil)
    let cluster = try TestCluster(1)
    let path = cluster.path(of: 1)
    let identity = StorageIdentity(cluster: "test", node: 1)
    _ = try backup.restore(into: "\(path).restoring", as: StorageIdentity(cluster: "test", node: 9))
    _ = try backup.restore(into: path, as: identity)
    #expect(try !DataFolder.isOccupied("\(path).restoring"))
    try await cluster.start()
    try await cluster.leader()
    await cluster.killAll()
  }
}
