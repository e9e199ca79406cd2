// The fast kind of disk: what the stores' protocols promise, kept in memory. What was not durable is lost with the
// process or with the power; a write under way at that moment has happened or not, as chance has it. Its stores:
// MemoryStores.swift.
import Glibc
import Replica
import Storage
import World

public final class MemoryDisk: ServerDisk {
  public var pace = DiskPace()
  private let simulator: Simulator
  /// All that is on it, but for what is in `undurable`.
  private var contents = Contents()
  /// Written, and lost with the power.
  private var undurable: [(write: StateWrite, rows: StateRows)] = []
  /// While syncs lie: what the platter really holds.
  private var platter: Contents?
  private(set) var isFull = false
  var failsNextSync = false
  private var openLog: MemoryLogStore?
  private var openState: MemoryStateStorage?

  fileprivate struct Contents {
    var incarnation: UInt64 = 0
    var identity: StorageIdentity?
    var diskID: UInt64 = 0
    var log = LogContents()
    /// Entries of `log` that cannot be read any more.
    var lostEntries: Set<UInt64> = []
    var rows: [ObjectRowKey: ObjectRow] = [:]
    var lostRows: Set<ObjectRowKey> = []
    var mark: StateMark?
    var requests: [UInt64: [UInt8]] = [:]
    /// These files are other ones than those that the server has promised by.
    var isCopied = false
  }
  private final class Copy: DiskCopy {
    let contents: Contents
    init(_ contents: Contents) { self.contents = contents }
  }

  public init(simulator: Simulator) { self.simulator = simulator }

  public func open(on world: VirtualWorld, identity: StorageIdentity) throws -> ReplicaDisk {
    if let mine = contents.identity, mine != identity { throw StorageError.foreign("the disk belongs to \(mine)") }
    if contents.isCopied { throw StorageError.foreign("the disk is a copy: remove the server, and let it join anew") }
    if contents.identity == nil { contents.diskID = simulator.random.next() | 1 }
    contents.identity = identity
    contents.incarnation += 1
    makeDurable()
    let log = MemoryLogStore(self, world)
    let state = MemoryStateStorage(self, world)
    (openLog, openState) = (log, state)
    let directory = StorageDirectory(
      identity: identity, incarnation: contents.incarnation, diskID: contents.diskID, log: log, state: state,
      logContents: contents.readLog(), stateContents: contents.readState())
    return ReplicaDisk(
      directory: directory, rows: contents.rows.values.filter { !contents.lostRows.contains(ObjectRowKey($0)) })
  }

  public func crash(powerLost: Bool) {
    openLog?.crash(chance: simulator.random.chance(0.5))
    openState?.crash(chance: simulator.random.chance(0.5))
    (openLog, openState) = (nil, nil)
    if !powerLost { return makeDurable() }
    undurable = []
    contents = platter ?? contents
    platter = nil
  }

  public func cutPower(afterOperations count: UInt64, onCut: @escaping @Sendable () -> Void) -> Bool { false }
  public func keepPower() {}
  public func failNextSync() { failsNextSync = true }

  public func wipe() {
    contents = Contents()
    undurable = []
    platter = nil
  }

  // MARK: What befalls it

  public func fill() { isFull = true }
  public func makeRoom() { isFull = false }
  public func lie(_ lies: Bool) { platter = lies ? contents : nil }
  public func misdirectWrite() -> Bool { false }
  public func failReads() -> Bool { false }
  public func copy() -> (any DiskCopy)? { Copy(contents) }

  public func restore(_ copy: any DiskCopy, asFiles: Bool) {
    wipe()
    if let copy = copy as? Copy { contents = copy.contents }
    contents.isCopied = asFiles
  }

  public func rot() -> String? {
    var struck: [String] = []
    for _ in 0..<(1 + simulator.random.next(below: 4)) {
      if simulator.random.chance(0.6) {
        // The youngest are the ones that matter most.
        let count = contents.log.entries.count
        let place = count - 1 - simulator.random.next(below: simulator.random.chance(0.5) ? 8 : max(1, count))
        guard place >= 0, place < count else { continue }
        contents.lostEntries.insert(contents.log.entries[place].index)
        struck.append("entry \(contents.log.entries[place].index)")
      } else {
        let keys = contents.rows.keys.sorted(by: ObjectRowKey.areInOrder)
        guard let key = simulator.random.pick(keys) else { continue }
        contents.lostRows.insert(key)
        struck.append("\(key.resource)/\(key.namespace)/\(key.name)")
      }
    }
    return struck.isEmpty ? nil : struck.joined(separator: ", ")
  }

  public func loseEntries(_ share: RotShare) -> String? {
    let mine = contents.log.entries.map(\.index).filter { share.takes($0) && simulator.random.chance(0.3) }
    contents.lostEntries.formUnion(mine)
    return mine.isEmpty ? nil : "entries \(mine)"
  }

  // MARK: For its stores

  /// What was written is beyond the reach of a power cut.
  func makeDurable() {
    for (write, rows) in undurable { contents.apply(write, rows) }
    undurable = []
  }

  func write(_ write: StateWrite) { undurable.append((write, write.rows())) }

  var durableIndex: UInt64 { contents.mark?.appliedIndex ?? 0 }

  func commitTime() -> Duration { pace.draw(&simulator.random) }

  func apply(_ writes: [LogWrite], cut: LogBase?) {
    for write in writes { contents.apply(write) }
    if let cut, cut.index > contents.log.base?.index ?? 0 { contents.rebase(cut) }
  }
}

extension MemoryDisk.Contents {
  /// The log as a server finds it.
  func readLog() -> LogContents {
    guard let firstLost = lostEntries.min(), let last = log.entries.last else { return log }
    var read = log
    read.entries = log.entries.filter { $0.index < firstLost }
    var damage = LogDamage(
      missing: [], entriesBeyond: log.entries.filter { $0.index > firstLost && !lostEntries.contains($0.index) },
      lastAcknowledged: LogPosition(index: last.index, term: last.term))
    for index in lostEntries.sorted() {
      if let range = damage.missing.last, range.upperBound + 1 == index {
        damage.missing[damage.missing.count - 1] = range.lowerBound...index
      } else {
        damage.missing.append(index...index)
      }
    }
    read.damage = damage
    return read
  }

  func readState() -> StateContents {
    var read = StateContents()
    read.mark = mark
    read.requests = requests
    if !lostRows.isEmpty { read.damage = StateDamage(objects: lostRows.sorted(by: ObjectRowKey.areInOrder)) }
    return read
  }

  mutating func apply(_ write: StateWrite, _ changed: StateRows) {
    for row in changed.changes {
      let key = ObjectRowKey(resource: row.resource, namespace: row.namespace, name: row.name)
      rows[key] = row.row
      lostRows.remove(key)
    }
    requests = changed.requests
    mark = write.mark
    if write.completes { lostRows = [] }
  }

  mutating func apply(_ write: LogWrite) {
    if let hardState = write.hardState { log.hardState = hardState }
    if let base = write.base { rebase(base) }
    if let from = write.truncateFrom, let first = log.entries.first?.index, from <= first + UInt64(log.entries.count) {
      log.entries.removeSubrange(Int(max(from, first) - first)...)
      lostEntries = lostEntries.filter { $0 < from }
    }
    for entry in write.entries {
      let next = (log.entries.last?.index ?? log.base?.index ?? 0) + 1
      if entry.index < next, lostEntries.remove(entry.index) != nil, let first = log.entries.first?.index {
        log.entries[Int(entry.index - first)] = entry
        continue
      }
      precondition(entry.index == next, "a log write leaves a hole before entry \(entry.index)")
      log.entries.append(entry)
    }
  }

  mutating func rebase(_ base: LogBase) {
    if let first = log.entries.first?.index, base.index >= first {
      log.entries.removeFirst(min(log.entries.count, Int(base.index - first) + 1))
    }
    log.base = base
    lostEntries = lostEntries.filter { $0 > base.index }
  }
}

extension ObjectRowKey {
  init(_ row: ObjectRow) { self.init(resource: row.resource, namespace: row.namespace, name: row.name) }
  /// For chance, which must fall on the same row in every run.
  static func areInOrder(_ one: ObjectRowKey, _ other: ObjectRowKey) -> Bool {
    (one.resource, one.namespace, one.name) < (other.resource, other.namespace, other.name)
  }
}
