// The driver's part in repairs: its own, before it takes part in anything, and those of its peers.

import Logging
import Raft
import Storage
import Synchronization
import World

/// How far the writing of a repaired disk has come.
enum RepairWriting {
  case state(RepairedDisk)
  case log(RepairedDisk)
  /// A term that is entered for another's repair, while this one goes on.
  case term(Term)
}

extension ReplicaDisk {
  /// Stands in for Raft until the log is whole: a server that knows its group, belongs to no quorum, asks nobody for votes
  /// and is asked nothing, at the place that the disk has promised.
  func standIn(configuration first: Configuration, options: RaftOptions) -> Raft {
    let log = directory.logContents
    let base = log.base.map { LogPosition(index: $0.index, term: $0.term) } ?? LogPosition(index: 0, term: 0)
    let end =
      log.damage?.lastAcknowledged ?? log.entries.last.map { LogPosition(index: $0.index, term: $0.term) } ?? base
    let index = max(end.index, log.hardState.commitIndex, directory.stateContents.mark?.appliedIndex ?? 0)
    var configuration = lastReadableConfiguration ?? first
    configuration.learners = Set(configuration.members + [identity.node])
    configuration.voters = []
    configuration.outgoingVoters = []
    return Raft(
      id: identity.node, options: options,
      hardState: HardState(
        currentTerm: max(log.hardState.currentTerm, end.term),
        votedFor: log.hardState.votedFor == 0 ? nil : log.hardState.votedFor, commitIndex: index),
      snapshot: SnapshotMetadata(index: index, term: end.term, configuration: configuration), entries: [],
      applied: index)
  }

  private var lastReadableConfiguration: Configuration? {
    let log = directory.logContents
    let entries = log.entries + (log.damage?.entriesBeyond ?? [])
    let mark = directory.stateContents.mark
    // The latest of them: what is left of the log may end long before the state.
    let stored = [
      log.base.map { ($0.index, $0.configuration) },
      mark.map { ($0.appliedIndex, $0.configuration) },
      entries.last { $0.kind == EntryKind.configuration.rawValue }.map { ($0.index, $0.payload) },
    ]
    return stored.compactMap { $0 }.max { $0.0 < $1.0 }.flatMap { try? Configuration(stored: $0.1) }
  }
}

extension ReplicaDriver {
  // MARK: This server's own

  func beginRepair() {
    guard let repair else { return }
    let status = repair.status
    logger.error(
      "the disk is damaged: it is repaired from the other servers before this one takes part again",
      metadata: [
        "missingEntries": "\(status.missingEntries.map { "\($0)" } ?? "not known")",
        "lostObjects": "\(status.lostObjects)", "wholeState": "\(status.needsWholeState)",
      ])
    if peers.isEmpty {
      fail("the disk is damaged and there is no other server to repair it from: restore a backup")
    }
  }

  /// Asks what is to be asked; goes on when all is whole.
  func stepRepair() {
    guard isRepairing, repairWriting == nil, !isStopped else { return }
    repair?.peers = peers.keys.sorted()
    status.repair = repair?.status
    if let result = repair?.result() {
      guard let changes = result.stateChanges else { return writeRepairedLog(result) }
      repairWriting = .state(result)
      let requests = result.machine.requests
      storage.write(
        StateWrite(mark: result.mark, durability: .required, completes: true) {
          StateRows(changes: changes, requests: requests.encoded())
        })
    } else if let (peer, question) = repair?.ask(world.now) {
      reply(.repair(question), to: peer)
    }
  }

  private func writeRepairedLog(_ result: RepairedDisk) {
    repairWriting = .log(result)
    log.append(result.logWrite)
  }

  func repairReceived(_ message: RepairMessage, from peer: NodeID) {
    repair?.take(message, from: peer)
    stepRepair()
  }

  /// A whole state has arrived for the repair.
  func repairReceived(_ machine: StateMachine, _ metadata: SnapshotMetadata) {
    logger.info("a peer's state replaces what was lost", metadata: ["index": "\(metadata.index)"])
    repair?.take(machine, metadata)
    stepRepair()
  }

  /// What was repaired is on the disk.
  func repairIsDurable(log isLog: Bool) {
    switch repairWriting {
    case .state(let result) where !isLog: writeRepairedLog(result)
    case .log(let result) where isLog: finishRepair(result)
    case .term(let term) where isLog:
      repairWriting = nil
      repair?.enter(term)
      stepRepair()
    default: return
    }
  }

  /// Takes part again, as after a start with a disk that was never damaged.
  private func finishRepair(_ result: RepairedDisk) {
    do throws(CodecError) {
      let (restored, rebased) = try ReplicaDisk.raft(
        options.node, on: result.log, result.machine, mark: result.mark,
        configuration: Configuration(voters: []), options: options.raftOptions(seed: world.randomBits()))
      precondition(rebased == nil, "a repaired log begins where it says")
      raft = restored
      forgetConfiguration()
    } catch { return fail("what was repaired cannot be read: \(error)") }
    machine = result.machine
    hashes = HashHistory(after: machine.appliedIndex)
    stateWriter.writtenIndex = machine.appliedIndex
    noteRetained(result.log.entries)
    repair = nil
    repairWriting = nil
    arrival = SnapshotArrival()
    status.repair = nil
    status.repairsTotal += 1
    hub.reset(to: machine.version)
    shared.isBeingRepaired.store(false, ordering: .relaxed)
    options.observer?.restored(raft, ObservedState(machine), node: options.node)
    logger.notice(
      "the disk is whole again",
      metadata: [
        "applied": "\(machine.appliedIndex)", "lastIndex": "\(raft.lastIndex)", "revision": "\(machine.revision)",
      ])
    publishStatus()
    scheduleTurn()
  }

  // MARK: Others'

  /// A peer's disk is damaged: tells what is known here.
  func answerRepair(_ message: RepairMessage, from peer: NodeID) {
    if let repair {
      if let promise = repair.promise(for: message) { return enter(promise) }
      if let answer = repair.answer(message) { reply(.repair(answer), to: peer) }
      if case .state = message { startSnapshot(to: peer, isForRepair: true) }
      return
    }
    switch message {
    case .entries(let request):
      // A term counts whoever tells it (§5.1). A leader of an earlier one cannot speak for what the asker has acknowledged
      // since, and while that is repaired it sends nothing else that would say so.
      raft.step(
        Message(from: peer, to: options.node, term: request.term, body: .heartbeatReply(readRound: 0)))
      reply(.repair(.entriesAnswer(answer(request))), to: peer)
      scheduleTurn()
    case .rows(let revision, let keys):
      let version = hub.version(at: revision)
      guard version != nil || revision <= machine.revision else { return }
      // What has not changed since is as it was then.
      let objects = keys.map { key in version.map { $0.map[key] } ?? machine.map[key] }
      guard objects.allSatisfy({ $0?.revision ?? 0 <= revision }) else {
        return startSnapshot(to: peer, isForRepair: true)
      }
      reply(.repair(.rowsAnswer(revision: revision, objects: objects)), to: peer)
    case .state: startSnapshot(to: peer, isForRepair: true)
    case .entriesAnswer, .rowsAnswer: return
    }
  }

  /// Makes a term durable; whoever asked for it asks again.
  private func enter(_ promise: LogHardState) {
    guard repairWriting == nil else { return }
    repairWriting = .term(promise.currentTerm)
    log.append(LogWrite(token: 0, hardState: promise))
  }

  private func answer(_ request: EntriesRequest) -> EntriesAnswer {
    var answer = EntriesAnswer(first: request.first, authority: .none, lastIndex: raft.lastIndex, entries: [])
    // Let go of here, which only the committed is: whatever is known of the rest, the state includes it.
    guard request.first > raft.baseIndex else {
      answer.authority = .compacted
      return answer
    }
    if let last = request.commonEnd(lastIndex: raft.lastIndex, term: raft.term(at:)) {
      answer.authority = .sameLog
      answer.lastIndex = last
    } else if raft.role == .leader, raft.currentTerm >= request.term {
      guard raft.term(at: request.first - 1) == request.previousTerm else {
        answer.authority = .diverged
        return answer
      }
      answer.authority = .leader
    } else {
      let isAbsent = request.isAbsent(lastIndex: raft.lastIndex, term: raft.term(at:))
      if isAbsent, raft.leader == nil, raft.durableTerm >= request.term { answer.authority = .absent }
      return answer
    }
    var bytes = 0
    var index = request.first
    while index <= answer.lastIndex, bytes < RepairMessage.entriesBytes, let entry = raft.entry(at: index) {
      answer.entries.append(entry)
      bytes += entry.payload.count
      index += 1
    }
    return answer
  }
}
