import FileSupport
import Glibc
import Storage
import Synchronization
import Testing

@testable import Replica

/// What a server's disk shows to someone who steals it.
@Suite struct EncryptionTests {
  private final class Folder {
    private let folder = TemporaryFolder("encryption")
    var data: String { "\(folder.path)/data" }
    var keys: String { EncryptionKeyring.path(besides: data) }

    /// Whether any of the databases' files contains the text.
    func shows(_ text: String) throws -> Bool {
      let files = OperatingSystemFiles()
      return try ["raft.db", "raft.db-wal", "state.db", "state.db-wal"].contains { name in
        guard try files.exists("\(data)/\(name)") else { return false }
        let bytes = try files.open("\(data)/\(name)", create: false).file.contents()
        let pattern = Array(text.utf8)
        return bytes.indices.dropLast(pattern.count).contains { bytes[$0...].starts(with: pattern) }
      }
    }
  }

  private func object(_ resource: String, _ name: String, _ text: String) -> ObjectRowChange {
    ObjectRowChange(
      resource: resource, namespace: "default", name: name,
      row: ObjectRow(
        resource: resource, namespace: "default", name: name, revision: 2, uid: "u", labels: ["hidden": "label"],
        fence: 0, revisionOffset: 0, json: Array(text.utf8)))
  }

  private func open(_ folder: Folder, _ cipher: (any StorageCipher)?) throws -> ReplicaDisk {
    try ReplicaDisk.open(
      path: folder.data, identity: StorageIdentity(cluster: "c", node: 1), cipher: cipher, ballastBytes: 0)
  }

  private func close(_ disk: ReplicaDisk) async {
    await withCheckedContinuation { done in
      disk.directory.log.close { disk.directory.state.close { done.resume() } }
    }
  }

  private func write(_ disk: ReplicaDisk) {
    disk.directory.log.start { _ in }
    disk.directory.state.start { _ in }
    let payload = Array("log: tempest".utf8)
    disk.directory.log.append(
      LogWrite(
        token: 1, hardState: LogHardState(currentTerm: 1),
        entries: (1...300).map { LogEntry(index: $0, term: 1, kind: 0, payload: payload) }))
    let changes = [
      object("secrets", "s", "secret: tempest"), object("configmaps", "c", "in the clear: sunshine"),
    ]
    disk.directory.state.write(
      StateWrite(
        mark: StateMark(appliedIndex: 1, appliedTerm: 1, revision: 2, stateHash: 0, configuration: []),
        durability: .required
      ) { StateRows(changes: changes, requests: [1: Array("outcome: tempest".utf8)]) })
  }

  private func check(_ disk: ReplicaDisk) {
    #expect(disk.directory.logContents.entries.count == 300 && disk.directory.logContents.damage == nil)
    #expect(disk.directory.logContents.entries.allSatisfy { $0.payload == Array("log: tempest".utf8) })
    #expect(disk.directory.stateContents.requests == [1: Array("outcome: tempest".utf8)])
    #expect(disk.directory.stateContents.damage == nil, "the mark's digest is of the outcomes, however they are sealed")
    let secret = disk.map.objects(at: 0..<disk.map.count).first { $0.key.resource == "secrets" }
    #expect(secret?.bytes == Array("secret: tempest".utf8))
    #expect(secret?.labels == ["hidden": "label"])
  }

  /// Given an encrypted disk, when its files are read, then no secret is in them; with the keys beside it any tool opens
  /// it, without them it says what is missing.
  @Test func secretsAreOnTheDiskForItsServerOnly() async throws {
    let folder = Folder()
    var disk = try open(folder, try EncryptionKeyring.open(path: folder.keys))
    write(disk)
    await close(disk)
    #expect(try !folder.shows("tempest") && !folder.shows("hidden=label,"))
    #expect(try folder.shows("sunshine"), "what is not secret can be read by an operator")
    disk = try open(folder, nil)
    check(disk)
    await close(disk)
    rename(folder.keys, "\(folder.keys).away")
    let failure = #expect(throws: StorageError.self) { try open(folder, nil) }
    #expect("\(failure as Any)".contains("encryption keys"))
    rename("\(folder.keys).away", folder.keys)
    disk = try open(folder, nil)
    check(disk)
    await close(disk)
  }

  /// Given a disk in the clear, when its server has keys from now on, then a walk seals what is there; when the key is
  /// changed, everything is sealed with the new one and the old one is not needed any more.
  @Test func keysAreChangedWithTheDiskInUse() async throws {
    let folder = Folder()
    var disk = try open(folder, NoCipher())
    write(disk)
    await close(disk)
    #expect(try folder.shows("tempest"))
    for round in 1...3 as ClosedRange<UInt64> {
      let keyring = try EncryptionKeyring.open(path: folder.keys)
      disk = try open(folder, keyring)
      #expect(
        (disk.directory.logContents.needsResealing && disk.directory.stateContents.needsResealing) == (round == 1))
      if round > 1 { #expect(try keyring.addKey() == round) }
      disk.directory.log.start { _ in }
      disk.directory.state.start { _ in }
      let log = await withCheckedContinuation { done in
        disk.directory.log.reseal(progress: { _ in }) { done.resume(returning: $0) }
      }
      let state = await withCheckedContinuation { done in
        disk.directory.state.reseal(progress: { _ in }) { done.resume(returning: $0) }
      }
      #expect(log == nil && state == nil)
      try keyring.dropOldKeys()
      #expect(keyring.currentKey == round && !keyring.hasOldKeys)
      await close(disk)
      disk = try open(folder, nil)
      check(disk)
      #expect(!disk.directory.logContents.needsResealing && !disk.directory.stateContents.needsResealing)
      await close(disk)
    }
  }

  /// Given a rotation under way, when another is asked for, then it is refused: its end would forget the key that the
  /// first still seals with.
  @Test func oneRotationAtATime() {
    let desk = RotationDesk()
    #expect(desk.begin())
    #expect(!desk.begin())
    #expect(!desk.walkEnded(nil))
    #expect(!desk.begin())
    #expect(desk.walkEnded(.stopped("the disk is full")))
    desk.end("the disk is full")
    #expect(desk.state.withLock { $0.failure } == "the disk is full")
    #expect(desk.begin())
    #expect(desk.state.withLock { $0.failure } == nil)
  }

  @Test func whatIsSealedOpensInItsPlaceOnly() throws {
    let folder = Folder()
    let keyring = try EncryptionKeyring.open(path: folder.keys)
    let sealed = keyring.seal([1, 2, 3], key: 1, place: [7])
    #expect(keyring.open(sealed, key: 1, place: [7]) == [1, 2, 3])
    #expect(keyring.open(sealed, key: 1, place: [8]) == nil)
    #expect(keyring.open(sealed, key: 2, place: [7]) == nil)
    #expect(keyring.seal([1, 2, 3], key: 1, place: [7]) != sealed)
    #expect(try keyring.addKey() == 2)
    #expect(keyring.open(sealed, key: 1, place: [7]) == [1, 2, 3])
    let newer = keyring.seal([4], key: 2, place: [])
    #expect(keyring.open(keyring.seal([5], key: 1, place: []), key: 1, place: []) == [5], "while the last commit ends")
    #expect(keyring.open(newer, key: 2, place: []) == [4])
  }
}
