// A disk in memory that misbehaves as disks do, under the production stores (SQLite included).
//
// The fault model. At a power cut a file keeps what was synced; of what was written since, any subset of 512-byte
// sectors survives, and any subset of the names made, moved or deleted since the directory was synced. A sync may fail
// once (what it should have written is gone, the next one succeeds: Linux), lie, or take long. Writes find the disk
// full until there is room again, or land elsewhere; bits flip at rest; reads fail. What a process wrote survives the
// process (`kill`), not the power (`crash`). The rest is honest: a write changes no byte outside its range.

import Replica
import Storage
import World

/// One server's disk. It outlives the server; used on the simulation's thread alone.
public final class SimulatedDisk: @unchecked Sendable {
  /// Faults that last until they are switched off, or until they have struck so many times.
  public struct Faults: Sendable {
    /// How many bytes the disk takes; nil: as many as come.
    public var capacityBytes: Int?
    /// Syncs report success and do nothing.
    public var syncsLie = false
    /// So many syncs to come fail.
    public var failingSyncs = 0
    /// So many reads to come fail.
    public var failingReads = 0
    /// So many writes to come land elsewhere in their file.
    public var misdirectedWrites = 0
    /// How long a worker's job takes: a commit with its sync, a checkpoint.
    public var latency: ClosedRange<Duration> = .microseconds(80)...(.microseconds(1500))

    public init() {}
  }

  /// What a simulated server keeps back for when its disk is full: small, for time is what simulation is about.
  public static let ballastBytes = 128 << 10

  public var faults = Faults()
  /// Writes, syncs and changes of names so far: the moments at which power can fail.
  public private(set) var operations: UInt64 = 0
  /// Where in the simulated file system the server's directory is.
  public let path = "/disk"

  private enum NameChange {
    case put(String, DiskFile)
    case delete(String)
    case rename(String, String)
  }
  private let world: (any World)?
  private var random: DiskRandom
  private var names: [String: DiskFile] = [:]
  private var durableNames: [String: DiskFile] = [:]
  private var unsyncedNames: [NameChange] = []
  private var locks: Set<String> = []
  private var usedBytes = 0
  private var madeFiles: UInt64 = 0
  private var mount: SimulatedMount?
  /// False from a power cut until a process starts.
  private var hasPower = true
  private var powerCut: (operation: UInt64, onCut: @Sendable () -> Void)?

  /// `world`: whose timers the workers of `open` run on; none for tests that bring their own workers.
  public init(seed: UInt64, world: (any World)? = nil) {
    random = DiskRandom(seed: seed)
    self.world = world
  }

  // MARK: Life

  /// Starts a server's storage on this disk: the production stores, their work done on the world's timers. The server
  /// before must have closed its disk, or been ended by `kill` or `crash`.
  public func open(identity: StorageIdentity?) throws(StorageError) -> ReplicaDisk {
    guard let world else { preconditionFailure("a disk without a world opens no servers") }
    let mount = attach()
    let clock = SimulatedClock(world: world)
    return try ReplicaDisk.open(
      path: path, identity: identity, files: mount, ballastBytes: SimulatedDisk.ballastBytes,
      makeWorker: { _ in SimulatedWorker(world: world, mount: mount, clock: clock) },
      clock: { clock.now })
  }

  /// The disk as the file system of a process that starts now. Handles of earlier ones stay good until `kill` or `crash`.
  public func attach() -> SimulatedMount {
    let mount = SimulatedMount(self)
    self.mount = mount
    hasPower = true
    return mount
  }

  /// The process dies: nothing of it reaches the disk any more; what it wrote stays.
  public func kill() {
    mount?.isAlive = false
    mount = nil
    locks = []
    powerCut = nil
  }

  /// The power is cut: the process dies, and what was not synced survives in part. Where there is no power, nothing more
  /// is lost.
  public func crash() {
    kill()
    guard hasPower else { return }
    hasPower = false
    for change in unsyncedNames where random.chance(50) { Self.apply(change, to: &durableNames) }
    unsyncedNames = []
    for file in files(names).merging(files(durableNames)) { file.crash(&random) }
    names = durableNames
    usedBytes = names.values.reduce(0) { $0 + $1.size }
  }

  /// Cuts the power in the middle of things: during the write, sync or change of a name that comes after so many
  /// others. `onCut` is called from within; the server's storage is dead by then.
  public func cutPower(afterOperations count: UInt64, onCut: @escaping @Sendable () -> Void = {}) {
    powerCut = (operations + count, onCut)
  }

  /// The power is not cut, if it was about to be.
  public func keepPower() { powerCut = nil }

  /// Every file as a process reads it now.
  final class Copy: DiskCopy {
    fileprivate let files: [(path: String, file: DiskFile)]
    fileprivate init(_ files: [(path: String, file: DiskFile)]) { self.files = files }
  }

  func copy() -> Copy {
    Copy(names.sorted { $0.key < $1.key }.map { ($0.key, $0.value.copy(number: $0.value.number)) })
  }

  /// The server is dead, and its files are those of the copy: other files of the same names and content, as `cp` makes
  /// them (`asFiles`), or the very same ones, as a volume that is set back has them.
  func restore(_ copy: Copy, asFiles: Bool) {
    wipe()
    for (path, file) in copy.files {
      let restored = file.copy(number: file.number)
      names[path] = asFiles ? newFile(restored) : restored
    }
    durableNames = names
    usedBytes = names.values.reduce(0) { $0 + $1.size }
  }

  /// Everything written is on the platter, whatever was said before.
  func settle() {
    for file in files(names) { file.sync() }
    for change in unsyncedNames { Self.apply(change, to: &durableNames) }
    unsyncedNames = []
  }

  private func newFile(_ file: DiskFile) -> DiskFile {
    madeFiles += 1
    file.number = madeFiles
    return file
  }

  /// The disk is replaced by an empty one.
  public func wipe() {
    kill()
    names = [:]
    durableNames = [:]
    unsyncedNames = []
    usedBytes = 0
  }

  // MARK: Faults

  /// Flips so many bits at random places of files whose path ends as given (nil: of any file). Returns where.
  @discardableResult
  public func flipBits(_ count: Int, inFilesEndingWith suffix: String? = nil) -> [(path: String, offset: Int)] {
    var flipped: [(path: String, offset: Int)] = []
    let candidates = names.keys.filter { suffix.map($0.hasSuffix) ?? true }.sorted()
    for _ in 0..<count {
      // By size: every bit of the disk is as likely as every other.
      let total = candidates.reduce(0) { $0 + (names[$1]?.size ?? 0) }
      guard total > 0 else { break }
      var place = Int.random(in: 0..<total, using: &random)
      for path in candidates {
        guard let file = names[path] else { continue }
        if place < file.size {
          file.flipBit(at: place, bit: UInt8.random(in: 0..<8, using: &random))
          flipped.append((path, place))
          break
        }
        place -= file.size
      }
    }
    return flipped
  }

  /// No file can grow any more, until `makeRoom`.
  public func fill() { faults.capacityBytes = usedBytes }
  public func makeRoom() { faults.capacityBytes = nil }

  /// The files by path, and how large they are.
  public var fileSizes: [String: Int] { names.mapValues(\.size) }

  // MARK: For the mount

  func file(_ path: String, create: Bool) throws(FileError) -> (file: DiskFile, isNew: Bool) {
    if let file = names[path] { return (file, false) }
    guard create else { throw FileError(code: DiskErrno.noEntry) }
    try step()
    let file = newFile(DiskFile())
    change(.put(path, file))
    return (file, true)
  }

  func exists(_ path: String) -> Bool { names[path] != nil }

  func delete(_ path: String) throws(FileError) {
    guard let file = names[path] else { throw FileError(code: DiskErrno.noEntry) }
    try step()
    usedBytes -= file.size
    change(.delete(path))
  }

  func rename(_ path: String, to other: String) throws(FileError) {
    guard names[path] != nil else { throw FileError(code: DiskErrno.noEntry) }
    try step()
    usedBytes -= names[other]?.size ?? 0
    change(.rename(path, other))
  }

  func syncNames() throws(FileError) {
    try step()
    guard !faults.syncsLie else { return }
    for change in unsyncedNames { Self.apply(change, to: &durableNames) }
    unsyncedNames = []
  }

  func read(_ file: DiskFile, into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileError) -> Int {
    if faults.failingReads > 0 {
      faults.failingReads -= 1
      throw FileError(code: DiskErrno.inputOutput)
    }
    return file.read(into: buffer, at: offset)
  }

  func write(_ file: DiskFile, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    var (bytes, offset) = (bytes, offset)
    let isCut = isPowerCutDue()
    if faults.misdirectedWrites > 0, file.size >= DiskFile.sectorBytes {
      faults.misdirectedWrites -= 1
      offset = Int.random(in: 0..<(file.size / DiskFile.sectorBytes), using: &random) * DiskFile.sectorBytes
    }
    var isFull = false
    if let capacity = faults.capacityBytes {
      let room = max(file.size, file.size + capacity - usedBytes)
      if offset + bytes.count > room {
        isFull = true
        bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(max(0, room - offset)))
      }
    }
    let before = file.size
    file.write(bytes, at: offset)
    usedBytes += file.size - before
    if isCut { try cut() }
    if isFull { throw FileError(code: DiskErrno.noSpace) }
  }

  func truncate(_ file: DiskFile, to size: Int) throws(FileError) {
    try step()
    usedBytes += size - file.size
    file.truncate(to: size)
  }

  func sync(_ file: DiskFile) throws(FileError) {
    let isCut = isPowerCutDue()
    // Power fails before the sync has done its work, or after it and before anyone knows.
    if isCut, random.chance(50) { try cut() }
    if faults.failingSyncs > 0 {
      faults.failingSyncs -= 1
      file.dropUnsynced(&random)
      throw FileError(code: DiskErrno.inputOutput)
    }
    if !faults.syncsLie { file.sync() }
    if isCut { try cut() }
  }

  func lock(_ path: String) throws(FileError) {
    guard locks.insert(path).inserted else { throw FileError(code: DiskErrno.wouldBlock) }
  }
  func unlock(_ path: String) { locks.remove(path) }

  func latency() -> Duration {
    let (low, high) = (faults.latency.lowerBound.wholeNanoseconds, faults.latency.upperBound.wholeNanoseconds)
    return .nanoseconds(Int64.random(in: low...high, using: &random))
  }

  // MARK: Inside

  private func step() throws(FileError) { if isPowerCutDue() { try cut() } }

  private func isPowerCutDue() -> Bool {
    operations += 1
    return powerCut.map { operations > $0.operation } ?? false
  }

  private func cut() throws(FileError) {
    let onCut = powerCut?.onCut
    crash()
    onCut?()
    throw FileError(code: DiskErrno.inputOutput)
  }

  private func change(_ change: NameChange) {
    unsyncedNames.append(change)
    Self.apply(change, to: &names)
  }

  private static func apply(_ change: NameChange, to names: inout [String: DiskFile]) {
    switch change {
    case .put(let path, let file): names[path] = file
    case .delete(let path): names[path] = nil
    case .rename(let path, let other):
      guard let file = names.removeValue(forKey: path) else { return }
      names[other] = file
    }
  }

  /// In the order of their paths: chance must fall on the same file in every run.
  private func files(_ names: [String: DiskFile]) -> [DiskFile] { names.sorted { $0.key < $1.key }.map(\.value) }
}

extension [DiskFile] {
  /// Both, each file once.
  fileprivate func merging(_ others: [DiskFile]) -> [DiskFile] {
    let known = Set(map(ObjectIdentifier.init))
    return self + others.filter { !known.contains(ObjectIdentifier($0)) }
  }
}
