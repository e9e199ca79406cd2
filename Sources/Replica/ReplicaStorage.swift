// The driver's disk: log writes in order, state written behind them, the log cut behind the state.

import DequeModule
import Logging
import Raft
import Storage
import World

/// Log writes that are not durable yet, and those held back until a snapshot's state is.
struct LogWriteQueue {
  /// Tokens under way with the time they were handed over.
  var underWay: [(token: PersistToken, since: MonotonicTime)] = []
  /// Waiting for the state of a snapshot to be durable: the log must not begin behind a state that can still vanish.
  var heldBack: [Persist] = []
  var lastHandOver = MonotonicTime(nanoseconds: 0)
  /// Of the last write that was handed over.
  var lastToken: UInt64 = 0
}

/// Changes on their way to the state's disk.
struct StateWriter {
  var pending: [Change] = []
  var pendingSince: MonotonicTime?
  var isWriting = false
  /// What the last write handed over includes.
  var writtenIndex: LogIndex = 0
  /// What no power cut takes back.
  var durableIndex: LogIndex = 0
  /// A snapshot whose state must become durable before the log goes on.
  var installing: LogIndex?
  var lastWrite = MonotonicTime(nanoseconds: 0)
  /// Objects whose rows have rotted, and are written again with the next write.
  var repairs: Set<ObjectKey> = []
  /// More log is kept than should be, because the state before it is not durable yet.
  var holdsUpCut = false

  mutating func add(_ changes: [Change], now: MonotonicTime) {
    guard !changes.isEmpty else { return }
    pending += changes
    pendingSince = pendingSince ?? now
  }
}

extension ReplicaDriver {
  // MARK: Log

  func write(_ persist: Persist) {
    let mustWait = stateWriter.installing != nil && !ReplicaMutant.logBeforeSnapshotState.isActive
    if persist.snapshot != nil || !logWrites.heldBack.isEmpty, mustWait {
      logWrites.heldBack.append(persist)
      return
    }
    logWrites.underWay.append((persist.token, world.now))
    logWrites.lastToken = persist.token.number
    log.append(
      LogWrite(
        token: persist.token.number,
        hardState: persist.hardState.map {
          LogHardState(currentTerm: $0.currentTerm, votedFor: $0.votedFor ?? 0, commitIndex: $0.commitIndex)
        },
        base: persist.snapshot.map {
          LogBase(index: $0.index, term: $0.term, configuration: $0.configuration.encoded())
        },
        truncateFrom: persist.truncateFrom,
        entries: persist.entries.map {
          LogEntry(index: $0.index, term: $0.term, kind: $0.kind.rawValue, payload: $0.payload)
        }))
  }

  func handle(_ event: LogStoreEvent) {
    countTicks()
    guard !isStopped else { return }
    switch event {
    case .durable where isRepairing: repairIsDurable(log: true)
    case .durable(let token, let nanoseconds):
      guard token > 0 else { return }
      let seconds = Double(nanoseconds) / 1e9
      status.fsync.observe(seconds)
      status.lastFsyncSeconds = seconds
      observeCommit(.nanoseconds(Int64(nanoseconds)))
      options.observer?.logIsDurable(through: PersistToken(number: token), node: options.node)
      persisted(through: PersistToken(number: token))
    case .promised(let token):
      options.observer?.promisesAreDurable(through: PersistToken(number: token), node: options.node)
      persisted(through: PersistToken(number: token))
    case .full(let error): ranOutOfRoom(\.isLogFull, error)
    case .hasRoom: foundRoom(\.isLogFull)
    case .scrubbed(let found): scrubbed(found)
    case .failed(let error): fail("the log cannot be written: \(error)")
    }
  }

  private func persisted(through token: PersistToken) {
    logWrites.underWay.removeAll { $0.token <= token }
    raft.persisted(token)
    scheduleTurn()
  }

  /// A leader whose disk holds everyone up lets another lead.
  func watchDisk(_ now: MonotonicTime) {
    guard raft.role == .leader, let oldest = logWrites.underWay.first else { return }
    // While this server stood still itself, nothing was the disk's fault.
    let since = max(oldest.since, pace.paused?.until ?? oldest.since)
    guard now - since > options.slowDiskAfter, now - logWrites.lastHandOver > .seconds(10) else { return }
    logWrites.lastHandOver = now
    if let target = raft.resign() {
      logger.warning("the log's disk is slow: leadership is handed over", metadata: ["to": "\(target)"])
    }
  }

  /// Counts the entries kept in memory and on disk.
  func noteRetained(_ entries: [Entry]) {
    guard let last = entries.last else { return }
    let bytes = entries.reduce(0) { $0 + $1.payload.count }
    retained.append((last.index, bytes))
    retainedBytes += bytes
  }
  func noteRetained(_ entries: [LogEntry]) {
    // What was stored and is still to be applied is counted again then: too much, for a while, not too little.
    for entry in entries where entry.index <= machine.appliedIndex {
      retained.append((entry.index, entry.payload.count))
      retainedBytes += entry.payload.count
    }
  }

  /// Lets go of log that is durable as state, but for what servers that were away may need.
  func cutLog() {
    let applied = machine.appliedIndex
    if stateWriter.holdsUpCut { stateWriter.holdsUpCut = false }
    // Within its limits, as after almost every turn.
    guard retainedBytes > options.retainedLogBytes || applied - raft.baseIndex > options.retainedLogEntries else {
      return
    }
    var target: LogIndex = raft.baseIndex
    while let first = retained.first,
      retainedBytes > options.retainedLogBytes || applied - first.index > options.retainedLogEntries,
      first.index <= raft.durableIndex
    {
      guard first.index <= stateWriter.durableIndex || ReplicaMutant.logCutBeforeState.isActive else {
        stateWriter.holdsUpCut = true
        break
      }
      // A snapshot on its way needs the entries behind it; if that takes forever, it needs a new snapshot.
      if retainedBytes < options.retainedLogBytes * 4,
        sending.values.contains(where: { $0.machine.appliedIndex < first.index })
      {
        break
      }
      target = first.index
      retainedBytes -= first.bytes
      retained.removeFirst()
    }
    cutTarget = max(cutTarget, target)
    guard cutTarget >= raft.baseIndex + options.cutStep, let term = raft.term(at: cutTarget) else { return }
    let base = LogBase(
      index: cutTarget, term: term, configuration: raft.configuration(at: cutTarget).encoded())
    raft.compact(through: cutTarget)
    log.cut(to: base)
  }

  // MARK: State

  /// Hands pending changes to the state's disk when it is free and it is time.
  func flushState(isFinal: Bool) {
    let applied = machine.appliedIndex
    let now = world.now
    if !isFinal {
      guard !stateWriter.isWriting, applied > stateWriter.writtenIndex || !stateWriter.repairs.isEmpty else { return }
      let isDue =
        !stateWriter.repairs.isEmpty || stateWriter.installing != nil
        || stateWriter.pending.count >= options.flushChanges
        || stateWriter.pendingSince.map { now - $0 >= options.flushAfter }
          ?? (now - stateWriter.lastWrite > .seconds(5))
      guard isDue else { return }
    }
    // Rows should not run ahead of this server's own log (but for a snapshot, which is not in it): a crash in between
    // costs the log its beginning. Under a load that never pauses they may: what is applied is committed.
    let isOverdue = stateWriter.pendingSince.map { now - $0 >= options.flushAfter * 4 } ?? false
    guard stateWriter.installing != nil || isOverdue || isFinal || applied <= raft.durableIndex,
      applied > stateWriter.writtenIndex || !stateWriter.repairs.isEmpty
    else { return }
    let mark = StateMark(
      appliedIndex: applied, appliedTerm: machine.appliedTerm, revision: machine.revision,
      stateHash: machine.stateHash, configuration: raft.configuration(at: applied).encoded())
    let changes = stateWriter.pending
    let requests = machine.requests
    let repairs = repairedRows()
    stateWriter.pending = []
    stateWriter.pendingSince = nil
    stateWriter.isWriting = true
    stateWriter.writtenIndex = applied
    stateWriter.lastWrite = now
    options.observer?.handingOut(ObservedState(machine), node: options.node)
    storage.write(
      StateWrite(
        mark: mark,
        durability: stateWriter.installing != nil ? .required : stateWriter.holdsUpCut ? .soon : .inTime
      ) {
        let rows = coalesced(changes)
        return StateRows(changes: rows + missing(from: rows, of: repairs), requests: requests.encoded())
      })
  }

  func handle(_ event: StateStorageEvent) {
    guard !isStopped else { return }
    switch event {
    case .written where isRepairing: repairIsDurable(log: false)
    case .written(_, let durableIndex):
      foundRoom(\.isStateFull)
      stateWriter.isWriting = false
      stateWriter.durableIndex = durableIndex
      if let installing = stateWriter.installing, durableIndex >= installing {
        stateWriter.installing = nil
        let heldBack = logWrites.heldBack
        logWrites.heldBack = []
        for persist in heldBack { write(persist) }
      }
      scheduleTurn()
    case .full(let error): ranOutOfRoom(\.isStateFull, error)
    case .scrubbed(let found): scrubbed(found)
    case .failed(let error): fail("the state cannot be written: \(error)")
    }
  }
}
