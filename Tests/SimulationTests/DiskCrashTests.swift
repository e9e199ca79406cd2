// The production stores on the simulated disk: power cuts at every kind of moment, over many seeds. What was
// acknowledged is there, what was promised (term, vote) never goes back, and a state is whole.

import Storage
import Testing

@testable import Simulation

/// Runs the stores' work when told to, in the order it came in.
final class Pump: @unchecked Sendable {
  private var queue: [@Sendable () -> Void] = []
  func worker() -> any BlockingWorker { Worker(self) }
  func run() {
    while !queue.isEmpty { queue.removeFirst()() }
  }

  private final class Worker: BlockingWorker, @unchecked Sendable {
    private let pump: Pump
    init(_ pump: Pump) { self.pump = pump }
    func perform(_ body: @escaping @Sendable () -> Void) { pump.queue.append(body) }
    func finish() {}
  }
}

/// A server's storage in one life, with what it reported.
final class Life: @unchecked Sendable {
  let pump = Pump()
  let directory: StorageDirectory
  let rows: [ObjectRow]
  private(set) var durableToken: UInt64 = 0
  private(set) var promisedToken: UInt64 = 0
  private(set) var durableState: UInt64 = 0
  private(set) var failures: [StorageError] = []
  private(set) var isFull = false

  init(
    _ disk: SimulatedDisk, now: @escaping @Sendable () -> UInt64 = { 0 },
    cipher: (any FileSystem) throws(StorageError) -> any StorageCipher = { _ in NoCipher() }
  ) throws {
    var rows: [ObjectRow] = []
    let files = disk.attach()
    directory = try StorageDirectory.open(
      path: disk.path, identity: StorageIdentity(cluster: "c", node: 1), files: files,
      cipher: try cipher(files), ballastBytes: SimulatedDisk.ballastBytes,
      makeWorker: { [pump] _ in pump.worker() }, clock: now
    ) { rows.append($0) }
    self.rows = rows
    directory.log.start { [unowned self] event in
      switch event {
      case .durable(let token, _): durableToken = max(durableToken, token)
      case .promised(let token): promisedToken = max(promisedToken, token)
      case .full: isFull = true
      case .hasRoom: isFull = false
      case .scrubbed: break
      case .failed(let error): failures.append(error)
      }
    }
    directory.state.start { [unowned self] event in
      switch event {
      case .written(_, let index): durableState = max(durableState, index)
      case .scrubbed: break
      case .full: isFull = true
      case .failed(let error): failures.append(error)
      }
    }
  }

  func close() {
    directory.log.close {}
    directory.state.close {}
    pump.run()
  }
}

/// Writes at random, as Raft would, remembers what every write led to, and judges what a disk came back with.
struct LogModel {
  struct Version {
    var hardState = LogHardState()
    var entries: [LogEntry] = []
  }
  /// After the write of that token; zero: the beginning.
  private(set) var versions: [UInt64: Version] = [0: Version()]
  private(set) var lastToken: UInt64 = 0
  private(set) var cuts: [LogBase] = []
  /// What is applied is never truncated.
  var applied: UInt64 = 0
  var random: DiskRandom

  init(seed: UInt64) { random = DiskRandom(seed: seed) }

  var last: Version { versions[lastToken]! }

  mutating func nextWrite() -> LogWrite {
    var version = last
    var write = LogWrite(token: lastToken + 1)
    if random.chance(20) {
      version.hardState.currentTerm += 1
      version.hardState.votedFor = UInt64.random(in: 0...3, using: &random)
      write.hardState = version.hardState
    }
    let firstFree = max(applied, cuts.last?.index ?? 0) + 1
    if random.chance(10), let last = version.entries.last, last.index > firstFree {
      let from = UInt64.random(
        in: max(firstFree, last.index - min(5, last.index - firstFree))...last.index, using: &random)
      write.truncateFrom = from
      version.entries.removeAll { $0.index >= from }
    }
    for _ in 0..<Int.random(in: 0...4, using: &random) {
      let index = (version.entries.last?.index ?? cuts.last?.index ?? 0) + 1
      let entry = LogEntry(
        index: index, term: version.hardState.currentTerm, kind: 0,
        payload: [UInt8](
          repeating: UInt8(truncatingIfNeeded: lastToken), count: Int.random(in: 1...3000, using: &random)))
      version.entries.append(entry)
      write.entries.append(entry)
    }
    lastToken += 1
    versions[lastToken] = version
    return write
  }

  /// A place to cut the log at, if there is one in what is durable as state.
  mutating func nextCut(durableState: UInt64) -> LogBase? {
    guard let entry = last.entries.last(where: { $0.index <= durableState }),
      entry.index > cuts.last?.index ?? 0
    else { return nil }
    let base = LogBase(index: entry.index, term: entry.term, configuration: [1])
    cuts.append(base)
    return base
  }

  /// The token of the write that the disk came back with; nil if it is none of those that it may be.
  func match(_ contents: LogContents, atLeast token: UInt64) -> UInt64? {
    let base = contents.base?.index ?? 0
    guard contents.base.map({ cuts.contains($0) }) ?? true else { return nil }
    // Term and vote may be those of a later write: they are promised before the rest is written.
    return (token...lastToken).first { token in
      guard let version = versions[token], version.entries.filter({ $0.index > base }) == contents.entries else {
        return false
      }
      return (token...lastToken).contains { versions[$0]?.hardState == contents.hardState }
    }
  }

  /// Goes on from what the disk came back with.
  mutating func restart(from token: UInt64, _ contents: LogContents) {
    let version = Version(hardState: contents.hardState, entries: versions[token]!.entries)
    versions = [0: version]
    lastToken = 0
    cuts = cuts.filter { $0.index <= contents.base?.index ?? 0 }
  }
}

@Suite struct DiskCrashTests {
  /// How many seeds a run of the tests tries; TRIREME_DISK_SEEDS sets another number.
  static let seeds = 0..<(processEnvironment("TRIREME_DISK_SEEDS").flatMap { UInt64($0) } ?? 300)

  /// Seed 500 found the write-ahead log that came back from before a sync that failed.
  @Test func everyAcknowledgedWriteOutlivesAPowerCut() throws {
    for seed in Array(Self.seeds) + [500] {
      let disk = SimulatedDisk(seed: seed)
      var model = LogModel(seed: seed ^ 0xD15C)
      var acknowledged: UInt64 = 0
      var durableState: UInt64 = 0
      var marks: [UInt64: UInt64] = [0: 0]  // Applied index to the row's revision.
      for _ in 0..<6 {
        disk.faults.failingSyncs = 0
        let life = try Life(disk)
        let contents = life.directory.logContents
        let token = try #require(
          model.match(contents, atLeast: acknowledged),
          "seed \(seed): the log is none that was written; \(acknowledged) was acknowledged, \(contents.hardState)")
        let applied = life.directory.stateContents.mark?.appliedIndex ?? 0
        try #require(applied >= durableState, "seed \(seed): the state went back to \(applied) from \(durableState)")
        try #require(
          life.rows.first?.revision ?? 0 == marks[applied],
          "seed \(seed): rows and applied index do not belong together")
        model.restart(from: token, contents)
        durableState = applied
        model.applied = applied
        disk.cutPower(afterOperations: UInt64.random(in: 0..<200, using: &model.random))
        // What a failed sync took is lost although it can still be read: until the power is cut.
        if model.random.chance(25) { disk.faults.failingSyncs = 1 }
        for _ in 0..<60 where life.failures.isEmpty {
          life.directory.log.append(model.nextWrite())
          if model.random.chance(40) { life.pump.run() }
          if model.random.chance(10) { life.directory.log.maintain() }
          if model.random.chance(15), let last = model.last.entries.last, last.index > model.applied {
            model.applied = last.index
            marks[last.index] = UInt64.random(in: 1..<1_000_000, using: &model.random)
            life.directory.state.write(stateWrite(last.index, marks[last.index]!, model.random.chance(30)))
          }
          if model.random.chance(5), let base = model.nextCut(durableState: life.durableState) {
            life.directory.log.cut(to: base)
          }
        }
        life.pump.run()
        acknowledged = life.durableToken
        durableState = max(durableState, life.durableState)
        if model.random.chance(30) {
          disk.crash()
        } else if model.random.chance(50) {
          disk.kill()
        } else {
          life.close()
        }
        disk.kill()
      }
    }
  }

  private func stateWrite(_ index: UInt64, _ revision: UInt64, _ isRequired: Bool) -> StateWrite {
    StateWrite(
      mark: StateMark(appliedIndex: index, appliedTerm: 1, revision: revision, stateHash: 0, configuration: []),
      durability: isRequired ? .required : .inTime
    ) {
      let row = ObjectRow(
        resource: "pods", namespace: "default", name: "a", revision: revision, uid: "u", labels: [:], fence: 0,
        revisionOffset: 0, json: [UInt8](repeating: 7, count: 5000))
      return StateRows(
        changes: [ObjectRowChange(resource: "pods", namespace: "default", name: "a", row: row)],
        requests: [1: [UInt8(truncatingIfNeeded: revision)]])
    }
  }
}
