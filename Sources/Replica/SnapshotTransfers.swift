// The driver's snapshots, both ways. The sender offers a version of its state; the receiver says what it holds already:
// its own state of earlier, or what a transfer that broke off had brought, from this leader or one before; then only
// what has changed since, and what never came, is sent. Chunks that are lost are sent again; a connection that breaks or a
// leader that falls costs what was under way.

import DequeModule
import Logging
import Raft
import Storage
import World

/// A snapshot on its way to a peer.
struct SnapshotTransfer {
  let id: UInt64
  /// The version that is sent, and the configuration as of it.
  let machine: StateMachine
  let configuration: Configuration
  /// The peer asked for it to repair its disk; otherwise Raft did.
  let isForRepair: Bool
  /// Nil until the peer has said what it holds.
  var source: SnapshotSource?
  var lastProgress: MonotonicTime
  var lastSent: MonotonicTime
}

/// A snapshot that comes in.
struct SnapshotArrival {
  /// The transfer under way.
  var from: NodeID?
  var sink: SnapshotSink?
  var bases: [PartialState] = []
  /// What a transfer that broke off has brought.
  var kept: PartialState?
  /// The last one that was installed: its sender may not have heard so.
  var installed: UInt64?
  /// A resumed state did not come to the right hash: the next one is taken from its beginning.
  var mistrustsBases = false

  /// Another transfer begins, or none: what has come is kept.
  mutating func breakOff() {
    if let partial = sink?.partial { kept = partial }
    sink = nil
    from = nil
    bases = []
  }
}

extension ReplicaDriver {
  // MARK: Out

  func startSnapshot(to peer: NodeID, isForRepair: Bool = false) {
    if isForRepair, sending[peer] != nil { return }
    var (machine, configuration) = (machine, raft.configuration(at: machine.appliedIndex))
    if let repair {
      // This server's log is being repaired, and its state is whole.
      guard let whole = repair.wholeState else { return }
      (machine, configuration) = whole
    }
    let transfer = SnapshotTransfer(
      id: world.randomBits(), machine: machine, configuration: configuration, isForRepair: isForRepair,
      lastProgress: world.now, lastSent: world.now)
    logger.info("sending a snapshot", metadata: ["to": "\(peer)", "index": "\(machine.appliedIndex)"])
    options.observer?.handingOut(ObservedState(machine), node: options.node)
    sending[peer] = transfer
    offer(transfer, to: peer)
  }

  private func offer(_ transfer: SnapshotTransfer, to peer: NodeID) {
    reply(.snapshotOffer(id: transfer.id, index: transfer.machine.appliedIndex), to: peer)
  }

  /// The peer holds something: goes on from the first place that history reaches back to.
  func resume(_ id: UInt64, from places: [StatePlace], _ peer: NodeID) {
    guard var transfer = sending[peer], transfer.id == id, transfer.source == nil else { return }
    var resuming: (place: StatePlace, changes: [Change])?
    // While this server is repaired it has no history.
    for place in places where repair == nil && resuming == nil && place.revision <= transfer.machine.revision {
      guard let changes = hub.changes(since: place.revision) else { continue }
      resuming = (place, changes.filter { $0.revision <= transfer.machine.revision })
    }
    if let resuming {
      logger.info(
        "the snapshot goes on from what the peer holds",
        metadata: [
          "to": "\(peer)", "revision": "\(resuming.place.revision)",
          "through": "\(resuming.place.through?.name ?? "all")",
        ])
      status.snapshotsResumedTotal += 1
    }
    transfer.source = SnapshotSource(
      id: id, cluster: identity.cluster, machine: transfer.machine, configuration: transfer.configuration,
      resuming: resuming)
    transfer.lastProgress = world.now
    sending[peer] = transfer
    pumpSnapshot(to: peer)
  }

  private func pumpSnapshot(to peer: NodeID) {
    while let chunk = sending[peer]?.source?.nextChunk() {
      sending[peer]?.lastSent = world.now
      // What the transport drops is sent again after a while, as what the network drops.
      guard send(chunk, to: peer) else { return }
    }
  }

  private func send(_ chunk: SnapshotChunk, to peer: NodeID) -> Bool {
    transport.send([frame(.snapshotChunk(chunk), to: peer)], to: peer, lane: .bulk)
  }

  /// Sends again what went unanswered; gives up what nobody takes.
  func watchTransfers(_ now: MonotonicTime) {
    guard !sending.isEmpty else { return }
    for (peer, transfer) in sending.sorted(by: { $0.key < $1.key }) {
      if !transfer.isForRepair, raft.role != .leader {
        sending[peer] = nil
      } else if now - transfer.lastProgress > SnapshotLimits.patience {
        abandonSnapshot(to: peer)
      } else if now - transfer.lastSent > SnapshotLimits.resendAfter {
        sending[peer]?.lastSent = now
        if transfer.source == nil { offer(transfer, to: peer) } else { sendAgain(to: peer) }
      }
    }
  }

  private func sendAgain(to peer: NodeID) {
    for chunk in sending[peer]?.source?.unacknowledged ?? [] { if !send(chunk, to: peer) { return } }
  }

  private func abandonSnapshot(to peer: NodeID) {
    guard let transfer = sending.removeValue(forKey: peer), !transfer.isForRepair else { return }
    raft.snapshotEnded(to: peer, through: nil)
  }

  func progressed(_ peer: NodeID, _ id: UInt64, _ next: UInt64, _ status: SnapshotReplyStatus) {
    guard let transfer = sending[peer], transfer.id == id else { return }
    switch status {
    case .receiving:
      if sending[peer]?.source?.acknowledge(below: next) == true {
        sending[peer]?.lastProgress = world.now
      } else if world.now - transfer.lastSent > SnapshotLimits.repeatAfter {
        // Later chunks arrive and this one does not: it was lost.
        sending[peer]?.lastSent = world.now
        sendAgain(to: peer)
      }
      pumpSnapshot(to: peer)
    case .installed:
      sending[peer] = nil
      self.status.snapshotsSentTotal += 1
      if !transfer.isForRepair { raft.snapshotEnded(to: peer, through: transfer.machine.appliedIndex) }
    case .rejected: abandonSnapshot(to: peer)
    }
  }

  // MARK: In

  func receiveOffer(_ id: UInt64, index: LogIndex, from peer: NodeID) {
    // A leader that does not know what is here may offer what has long been committed here: it must learn so, for the
    // next commit may wait for this server.
    let isHere = arrival.installed == id || (repair == nil && index <= raft.commitIndex)
    guard !isHere else { return reply(.snapshotReply(id: id, next: 0, status: .installed), to: peer) }
    guard wantsState(asOf: index) else { return reply(.snapshotReply(id: id, next: 0, status: .rejected), to: peer) }
    if arrival.sink?.id != id {
      arrival.breakOff()
      var bases: [PartialState] = []
      if !arrival.mistrustsBases {
        if repair == nil, machine.appliedIndex > 0 {
          bases.append(
            PartialState(map: machine.map, place: StatePlace(revision: machine.revision, through: nil)))
        }
        if let kept = arrival.kept { bases.append(kept) }
      }
      arrival.from = peer
      arrival.bases = bases
      arrival.sink = SnapshotSink(id: id, cluster: identity.cluster, bases: bases)
    }
    reply(.snapshotAnswer(id: id, places: arrival.bases.map(\.place)), to: peer)
  }

  private func wantsState(asOf index: LogIndex) -> Bool { repair?.wantsState(asOf: index) ?? true }

  func receive(_ chunk: SnapshotChunk, from peer: NodeID) {
    guard arrival.from == peer, let sink = arrival.sink, sink.id == chunk.id else {
      if arrival.installed == chunk.id { reply(.snapshotReply(id: chunk.id, next: 0, status: .installed), to: peer) }
      return
    }
    guard sink.next == chunk.number else {
      return reply(.snapshotReply(id: chunk.id, next: sink.next, status: .receiving), to: peer)
    }
    repair?.stateIsArriving(world.now)
    do throws(CodecError) {
      let complete = try arrival.sink?.receive(chunk) ?? nil
      guard let complete else {
        return reply(.snapshotReply(id: chunk.id, next: chunk.number + 1, status: .receiving), to: peer)
      }
      arrival = SnapshotArrival()
      arrival.installed = chunk.id
      if repair != nil {
        repairReceived(complete.machine, complete.metadata)
      } else {
        install(complete.machine, complete.metadata)
      }
      reply(.snapshotReply(id: chunk.id, next: chunk.number + 1, status: .installed), to: peer)
    } catch {
      logger.warning("a snapshot is refused", metadata: ["from": "\(peer)", "error": "\(error)"])
      arrival = SnapshotArrival()
      arrival.mistrustsBases = true
      reply(.snapshotReply(id: chunk.id, next: 0, status: .rejected), to: peer)
    }
  }

  /// Replaces the state by a snapshot's, all at once; the log follows when its state is durable.
  private func install(_ installed: StateMachine, _ metadata: SnapshotMetadata) {
    // One at a time: the log waits for the state of the last.
    guard stateWriter.installing == nil, raft.snapshotInstalled(metadata) else { return }
    logger.info("a snapshot replaces the state", metadata: ["index": "\(metadata.index)"])
    status.snapshotsInstalledTotal += 1
    stateWriter.add(machine.map.differences(to: installed.map), now: world.now)
    stateWriter.installing = metadata.index
    machine = installed
    options.observer?.installed(ObservedState(machine), node: options.node)
    hashes = HashHistory(after: metadata.index)
    retained = []
    retainedBytes = 0
    cutTarget = metadata.index
    hub.reset(to: machine.version)
    // Entries that answered our clients are among those never seen here.
    for sequence in proposals.waitingSequences {
      let request = RequestID(origin: options.node, incarnation: incarnation, sequence: sequence)
      guard let outcome = machine.requests.outcome(of: request), let answer = proposals.answered(sequence) else {
        continue
      }
      answer.resume(returning: .success(outcome))
    }
  }
}
