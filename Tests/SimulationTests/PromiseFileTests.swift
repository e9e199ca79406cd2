// The file of promises on the simulated disk: what it says after the end of a process, and after a power cut.

import Testing

@testable import Simulation
@testable import Storage

@Suite struct PromiseFileTests {
  private func extent(_ index: UInt64) -> LogExtent {
    LogExtent(truncations: 1, truncatedFrom: 1, last: LogPosition(index: index, term: 1))
  }

  private func open(_ disk: SimulatedDisk) throws -> PromiseFile {
    let files = disk.attach()
    let file = try PromiseFile(path: disk.path, files: files)
    try files.syncDirectory(disk.path)
    _ = try file.settle(mayMove: true)
    return file
  }

  /// Seed 2036592298 of "storm": a slow disk was still making the note before durable when its process was killed, and
  /// what was noted meanwhile went with the process.
  @Test func whatIsNotedDuringASyncOutlivesTheProcess() throws {
    let disk = SimulatedDisk(seed: 1)
    let file = try open(disk)
    try file.note(extent(539))
    #expect(file.beginSync())
    for index in 540...545 as ClosedRange<UInt64> { try file.note(extent(index)) }
    #expect(!file.beginSync(), "one sync at a time")
    disk.kill()
    #expect(try open(disk).extent == extent(545))
  }

  /// Given notes, promises and syncs in any order, when the process ends, then the last note is there; when the power
  /// goes, then one that is no older than the last that was made durable; the promise always.
  @Test(arguments: 0..<300 as Range<UInt64>) func nothingDurableIsTakenBack(_ seed: UInt64) throws {
    var random = DiskRandom(seed: seed)
    let disk = SimulatedDisk(seed: seed)
    var file = try open(disk)
    var (noted, durable, term) = (UInt64(0), UInt64(0), UInt64(0))
    /// What the sync that runs makes durable.
    var syncing: UInt64?
    for _ in 0..<60 {
      switch Int.random(in: 0..<12, using: &random) {
      case 0..<6:
        noted += 1
        try file.note(extent(noted))
      case 6..<8: if syncing == nil, file.beginSync() { syncing = noted }
      case 8, 9:
        guard let through = syncing else { continue }
        try file.syncExtent()
        file.endSync()
        (durable, syncing) = (max(durable, through), nil)
      case 10:
        term += 1
        try file.make(Promise(currentTerm: term, votedFor: 2, incarnation: 3))
        // All of the file is durable with it.
        durable = noted
      default:
        let powerLost = random.chance(50)
        if powerLost { disk.crash() } else { disk.kill() }
        file = try open(disk)
        let found = file.extent?.last.index ?? 0
        #expect(powerLost ? (durable...noted).contains(found) : found == noted, "\(durable)…\(noted), found \(found)")
        #expect(file.promise?.currentTerm ?? 0 == term)
        // As every start does.
        try file.make(Promise(currentTerm: term, votedFor: 2, incarnation: 3))
        (noted, durable, syncing) = (found, found, nil)
      }
    }
  }
}
