// The driver's peers: messages, forwarded commands, snapshots both ways, who has gone silent.

import DequeModule
import Logging
import Raft
import Storage
import World

/// What is known of another server. On the driver's loop alone.
final class Peer {
  /// How long a server that is no member is answered after it was heard.
  static let contactTime = Duration.seconds(10)
  /// Most servers that are no members and are answered.
  static let maxContacts = 16

  /// As the directory has it; of a server that is no member, as it has introduced itself.
  var member: Member
  var isMember = true
  var contactUntil: MonotonicTime?
  /// It speaks under the member's id and has another disk.
  var isForeign = false
  /// What it has promised this server, since that was started.
  var promised = HeardPromise()
  var report: PeerReport?
  var reportedAt: MonotonicTime?
  /// It is to be told of this server with the next message.
  var isReportDue = false
  var trips = RoundTrips()
  var roundTrip: Duration? { trips.latest }
  var isConnected = false
  var disconnectedAt: MonotonicTime?
  var lastHeard: MonotonicTime? { trips.lastHeard }
  /// Its absence has been reported.
  var isLost = false

  init(member: Member) { self.member = member }
}

extension ReplicaDriver {
  // MARK: Out

  func send(_ messages: [Message]) {
    guard !messages.isEmpty else { return }
    var addressed: [(peer: NodeID, frames: [[UInt8]])] = []
    for message in messages {
      let frame = frame(.raft(message), to: message.to)
      if let place = addressed.firstIndex(where: { $0.peer == message.to }) {
        addressed[place].frames.append(frame)
      } else {
        addressed.append((message.to, [frame]))
      }
    }
    addressed.sort { $0.peer < $1.peer }
    for place in addressed.indices where peers[addressed[place].peer]?.isReportDue == true {
      addressed[place].frames.append(reportFrame(to: addressed[place].peer))
    }
    for (peer, frames) in addressed where !transport.send(frames, to: peer, lane: .control) {
      raft.peerUnreachable(peer)
    }
  }

  func reply(_ message: PeerMessage, to peer: NodeID) {
    _ = transport.send([frame(message, to: peer)], to: peer, lane: .control)
  }

  func frame(_ message: PeerMessage, to peer: NodeID) -> [UInt8] {
    message.encoded(fromDisk: disk, toDisk: peers[peer]?.member.disk ?? 0)
  }

  /// Tells everyone what the state hash is here, for them to compare.
  func claimHash() {
    let claim = PeerMessage.stateHash(index: machine.appliedIndex, hash: machine.stateHash)
    for peer in peers.keys.sorted() { reply(claim, to: peer) }
  }

  // MARK: In

  func handle(_ event: PeerEvent) {
    countTicks()
    guard !isStopped else { return }
    switch event {
    case .connected(let peer):
      peers[peer]?.isConnected = true
      peers[peer]?.disconnectedAt = nil
      sendReport(to: peer)
      publishStatus()
    case .disconnected(let peer):
      guard let known = peers[peer] else { return }
      peers[peer]?.isConnected = false
      if known.disconnectedAt == nil { peers[peer]?.disconnectedAt = world.now }
      if raft.leader == peer {
        proposals.placeAgain(before: world.now)
        reads.askAgain(before: world.now)
      }
      raft.peerDisconnected(peer)
      // Whoever asks in the next moment whether there is a majority must not hear of the moment before.
      publishStatus()
    case .received(let peer, let frames):
      noteContact(peer)
      guard peers[peer] != nil else { return }
      for frame in frames where !isStopped { receive(frame, from: peer) }
    case .superseded(let recovery): leftBehind(by: recovery)
    }
    scheduleTurn()
  }

  private func heard(_ peer: NodeID) {
    guard let peer = peers[peer] else { return }
    peer.trips.heard(world.now)
    peer.isConnected = true
    peer.disconnectedAt = nil
    peer.isLost = false
  }

  private func receive(_ frame: [UInt8], from peer: NodeID) {
    let message: PeerMessage
    do throws(CodecError) {
      let (content, fromDisk, toDisk) = try PeerMessage.decode(frame)
      guard admits(peer, fromDisk: fromDisk, toDisk: toDisk) else { return }
      message = content
    } catch {
      logger.warning("a peer's message cannot be read", metadata: ["peer": "\(peer)", "error": "\(error)"])
      return
    }
    heard(peer)
    if isRepairing, !message.concernsRepair { return }
    switch message {
    case .raft(let message):
      // A peer speaks for itself only.
      if message.from == peer, message.to == options.node {
        if let promised = hasForgotten(message) { return stopForgetting(promised, to: peer) }
        peers[peer]?.promised.note(message)
        raft.step(message)
      }
    case .forward(let entries):
      let readable = entries.filter { $0.count > 33 && $0[0] == CommandEntry.version && refusal(ofVersion: $0) == nil }
      // Refused ones are sent again by their origin, here or elsewhere.
      if raft.role == .leader, !readable.isEmpty { _ = try? raft.propose(readable) }
    case .repair(let message):
      if message.isAnswer { repairReceived(message, from: peer) } else { answerRepair(message, from: peer) }
    case .snapshotOffer(let id, let index): receiveOffer(id, index: index, from: peer)
    case .snapshotAnswer(let id, let places): resume(id, from: places, peer)
    case .snapshotChunk(let chunk): receive(chunk, from: peer)
    case .snapshotReply(let id, let next, let status): progressed(peer, id, next, status)
    case .room(let hasRoom): fullDisks.note(peer, hasRoom: hasRoom, now: world.now)
    case .stateHash(let index, let hash): receiveHash(hash, at: index, from: peer)
    case .report(let report): receive(report, from: peer)
    case .membershipRequest(let id, let change): receive(change, id: id, from: peer)
    case .membershipReply(let id, let result): receive(result, id: id, from: peer)
    }
  }

  // MARK: Silence

  /// While leading: reports members that have stopped answering.
  func watchPeers(_ now: MonotonicTime) {
    watchTransfers(now)
    guard raft.role == .leader else { return }
    let lost = peers.filter { id, peer in
      guard peer.isMember, !peer.isLost else { return false }
      // Nobody but the leader hears from everyone: before this server led, silence meant nothing, but for the silence of
      // the leader before, for which it leads. Nor did it while this server stood still itself.
      let began = id == formerLeader ? min(peer.lastHeard ?? leadershipBegan, leadershipBegan) : leadershipBegan
      let listensSince = max(began, pace.paused?.until ?? began)
      let heard = max(peer.lastHeard ?? listensSince, listensSince)
      let isGone =
        peer.disconnectedAt.map { now - max($0, listensSince) > options.disconnectedMemberLostAfter } ?? false
      return isGone || now - heard > options.memberLostAfter
    }
    guard !lost.isEmpty else { return }
    for (id, peer) in lost.sorted(by: { $0.key < $1.key }) {
      peer.isLost = true
      logger.warning("a member has stopped answering", metadata: ["member": "\(peer.member.name)"])
      for observer in memberLostObservers { observer(id) }
    }
  }

  func memberStatus() -> [MemberStatus] {
    let now = world.now
    let configuration = raft.configuration
    let isLeader = raft.role == .leader
    return directory.map { listed in
      let isSelf = listed.id == options.node
      let peer = peers[listed.id]
      let member = isSelf && listed.address.isEmpty ? ownMember : peer?.member ?? listed
      var status = MemberStatus(
        member: member, isVoter: configuration.isVoter(member.id), isSelf: isSelf,
        isConnected: isSelf || (peer?.isConnected == true && peer?.isForeign == false),
        silentMilliseconds: isSelf ? 0 : peer?.lastHeard.map { (now - $0).wholeNanoseconds / 1_000_000 })
      status.role = configuration.role(of: member.id)
      status.isForeign = peer?.isForeign == true
      status.commitSeconds =
        isSelf ? pace.typicalCommit.inSeconds : peer?.report.map { Double($0.commitMicroseconds) / 1e6 }
      status.roundTripSeconds = peer?.roundTrip?.inSeconds
      if isLeader {
        let match = isSelf ? raft.durableIndex : raft.progress(of: member.id)?.matchIndex
        status.matchIndex = match
        status.lag = match.map { raft.lastIndex - min($0, raft.lastIndex) }
        status.isReceivingSnapshot = sending[member.id] != nil
      }
      return status
    }
  }
}
