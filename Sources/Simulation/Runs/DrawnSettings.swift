// Limits so small that what production meets once a month happens in every run: logs that are cut, snapshots, history
// that is gone.
import Raft
import Replica

/// Limits that a run may want small in every seed.
public enum TightLimit: String, Sendable, CaseIterable {
  /// One entry a message, few messages under way: logs differ by much when something breaks.
  case messages
  /// Little log is kept: whoever was away needs a snapshot.
  case log
  /// Little history is kept: whoever watches must list anew.
  case history
}

/// Settings of a run's replicas, drawn by its seed. Every other run has production's.
struct DrawnSettings: Sendable {
  private var retainedLogEntries: UInt64?
  private var cutStep: UInt64?
  private var flushChanges: Int?
  private var flushAfter: Duration?
  private var historyChanges: Int?
  private var historySegment: Int?
  private var messageBytes: Int?
  private var inflightMessages: Int?
  private var outputBytes: Int?

  init(_ random: inout SeededRandom) {
    guard random.chance(0.6) else { return }
    retainedLogEntries = random.pick([4, 16, 64, 512])
    cutStep = random.pick([1, 8, 64])
    flushChanges = random.pick([4, 64, 4096])
    flushAfter = random.pick([.milliseconds(20), .milliseconds(250)])
    if random.chance(0.5) {
      messageBytes = random.pick([1, 2000, 20_000])
      inflightMessages = random.pick([1, 4, 256])
      outputBytes = random.pick([1, 10_000])
    }
    guard random.chance(0.6) else { return }
    historyChanges = random.pick([16, 64, 512])
    historySegment = random.pick([2, 8, 64])
  }

  mutating func tighten(_ limits: Set<TightLimit>, _ random: inout SeededRandom) {
    if limits.contains(.messages) {
      messageBytes = 1
      inflightMessages = random.pick([1, 2, 4])
      outputBytes = random.pick([1, 10_000])
    }
    if limits.contains(.log) {
      retainedLogEntries = random.pick([4, 16])
      cutStep = 1
      flushChanges = random.pick([4, 64])
      flushAfter = .milliseconds(20)
    }
    if limits.contains(.history) {
      historyChanges = random.pick([8, 32])
      historySegment = random.pick([2, 4])
    }
  }

  func apply(to options: inout ReplicaOptions) {
    options.retainedLogEntries = retainedLogEntries ?? options.retainedLogEntries
    options.cutStep = cutStep ?? options.cutStep
    options.flushChanges = flushChanges ?? options.flushChanges
    options.flushAfter = flushAfter ?? options.flushAfter
    let (messageBytes, inflightMessages, outputBytes) = (messageBytes, inflightMessages, outputBytes)
    options.changeRaft = { raft in
      raft.maxEntriesBytesPerMessage = messageBytes ?? raft.maxEntriesBytesPerMessage
      raft.maxInflightMessages = inflightMessages ?? raft.maxInflightMessages
      raft.maxCommittedBytesPerOutput = outputBytes ?? raft.maxCommittedBytesPerOutput
    }
    options.history.changes = historyChanges ?? options.history.changes
    options.history.segment = historySegment ?? options.history.segment
  }
}
