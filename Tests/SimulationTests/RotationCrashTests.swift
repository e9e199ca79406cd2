// A change of the disk's key, with the power cut at each of its steps, and with syncs that fail.
import Storage
import Testing

@testable import Replica
@testable import Simulation

@Suite struct RotationCrashTests {
  /// More than a walk seals in one step.
  private static let entries = (1...140).map { index in
    LogEntry(index: UInt64(index), term: 1, kind: 0, payload: Array("entry \(index)".utf8))
  }
  private static let requests: [UInt64: [UInt8]] = [1: Array("outcome".utf8)]

  private static let rows = (0..<20).map { index in
    ObjectRow(
      resource: "secrets", namespace: "default", name: "secret-\(index)", revision: 2, uid: "u", labels: [:], fence: 0,
      revisionOffset: 0, json: Array("secret \(index)".utf8))
  }

  private func start(_ disk: SimulatedDisk) throws -> (life: Life, keyring: EncryptionKeyring) {
    var keyring: EncryptionKeyring?
    let life = try Life(
      disk,
      cipher: { files throws(StorageError) in
        let opened = try EncryptionKeyring.open(path: "/encryption-keys", files: files)
        keyring = opened
        return opened
      })
    return (life, try #require(keyring))
  }

  private func writtenDisk(seed: UInt64) throws -> SimulatedDisk {
    let disk = SimulatedDisk(seed: seed)
    let (life, _) = try start(disk)
    life.directory.log.append(LogWrite(token: 1, hardState: LogHardState(currentTerm: 1), entries: Self.entries))
    life.directory.state.write(write)
    life.pump.run()
    try #require(life.durableToken == 1 && life.durableState == 100)
    life.close()
    return disk
  }

  private var write: StateWrite {
    StateWrite(
      mark: StateMark(appliedIndex: 100, appliedTerm: 1, revision: 2, stateHash: 0, configuration: []),
      durability: .required
    ) {
      let changes = Self.rows.map {
        ObjectRowChange(resource: $0.resource, namespace: $0.namespace, name: $0.name, row: $0)
      }
      return StateRows(changes: changes, requests: Self.requests)
    }
  }

  /// The walks over log and state, and the end of the old keys. False: something failed on the way.
  private func seal(_ life: Life, _ keyring: EncryptionKeyring) -> Bool {
    final class Walks: @unchecked Sendable { var ended = 0 }
    let walks = Walks()
    life.directory.log.reseal(progress: { _ in }) { if $0 == nil { walks.ended += 1 } }
    life.directory.state.reseal(progress: { _ in }) { if $0 == nil { walks.ended += 1 } }
    life.pump.run()
    guard walks.ended == 2 else { return false }
    do { try keyring.dropOldKeys() } catch { return false }
    return true
  }

  private func expectAll(_ life: Life, _ moment: String) throws {
    try #require(life.directory.logContents.damage == nil && life.directory.stateContents.damage == nil, "\(moment)")
    try #require(life.directory.logContents.entries == Self.entries, "\(moment)")
    let rows = Dictionary(uniqueKeysWithValues: life.rows.map { ($0.name, $0.json) })
    try #require(rows == Dictionary(uniqueKeysWithValues: Self.rows.map { ($0.name, $0.json) }), "\(moment)")
    try #require(life.directory.stateContents.requests == Self.requests, "\(moment)")
  }

  /// Given everything that is stored sealed with one key, when the power is cut at any step of a change to another, then
  /// nothing is lost, the next start ends what was begun, and one key opens everything.
  @Test func aPowerCutAtAnyStepOfARotationLosesNothing() throws {
    var steps: UInt64 = 0
    var isWhole = false
    while !isWhole {
      try #require(steps < 5000, "a rotation has an end")
      let moment = "after \(steps) operations"
      let disk = try writtenDisk(seed: steps)
      do {
        let (life, keyring) = try start(disk)
        disk.cutPower(afterOperations: steps)
        if (try? keyring.addKey()) != nil { isWhole = seal(life, keyring) }
        life.pump.run()
        disk.kill()
      }
      do {
        let (life, keyring) = try start(disk)
        try expectAll(life, moment)
        let isOpen =
          keyring.hasOldKeys || life.directory.logContents.needsResealing
          || life.directory.stateContents.needsResealing
        try #require(!isOpen || seal(life, keyring), "\(moment)")
        life.close()
      }
      let (life, keyring) = try start(disk)
      try expectAll(life, moment)
      try #require(!keyring.hasOldKeys, "\(moment)")
      try #require(
        !life.directory.logContents.needsResealing && !life.directory.stateContents.needsResealing, "\(moment)")
      life.close()
      steps += 1
    }
    #expect(steps > 20, "a rotation has steps")
  }

  /// Given a sync that fails while the log or the state is sealed anew, then its store says so once and writes nothing
  /// more, for the next sync would succeed on what is lost.
  @Test(arguments: [false, true]) func afterAFailedSyncOfAWalkNothingIsWritten(_ isLog: Bool) throws {
    final class Outcome: @unchecked Sendable { var failure: StorageError? }
    let disk = try writtenDisk(seed: 1)
    let (life, keyring) = try start(disk)
    _ = try keyring.addKey()
    let outcome = Outcome()
    disk.faults.failingSyncs = 1
    if isLog {
      life.directory.log.reseal(progress: { _ in }) { outcome.failure = $0 }
    } else {
      life.directory.state.reseal(progress: { _ in }) { outcome.failure = $0 }
    }
    life.pump.run()
    #expect(outcome.failure != nil && life.failures.count == 1)
    let (operations, durableState) = (disk.operations, life.durableState)
    if isLog {
      life.directory.log.append(
        LogWrite(token: 2, entries: [LogEntry(index: 141, term: 1, kind: 0, payload: Array("lost".utf8))]))
      life.directory.log.reseal(progress: { _ in }) { outcome.failure = $0 }
    } else {
      life.directory.state.write(write)
      life.directory.state.reseal(progress: { _ in }) { outcome.failure = $0 }
    }
    life.pump.run()
    #expect(disk.operations == operations && life.durableToken == 0 && life.durableState == durableState)
    #expect(outcome.failure != nil && life.failures.count == 1)
    disk.kill()
    let (again, _) = try start(disk)
    try expectAll(again, "at the next start")
    again.close()
  }
}
