// Full disks: whose are, what is refused because of it, and how it goes on when there is room.

import Logging
import Raft
import Storage
import World

/// Which servers' disks are full.
struct FullDisks {
  /// How long a peer's word counts: while it has no room it says so again.
  static let patience = Duration.seconds(5)

  var isLogFull = false
  var isStateFull = false
  private var peers: [NodeID: MonotonicTime] = [:]

  /// This server's own.
  var isFull: Bool { isLogFull || isStateFull }

  mutating func note(_ peer: NodeID, hasRoom: Bool, now: MonotonicTime) { peers[peer] = hasRoom ? nil : now }

  func isFull(_ peer: NodeID, now: MonotonicTime) -> Bool { peers[peer].map { now - $0 < Self.patience } ?? false }
}

extension ReplicaDriver {
  private func isFull(_ member: NodeID) -> Bool {
    member == options.node ? fullDisks.isFull : fullDisks.isFull(member, now: world.now)
  }

  /// Why no write can be taken now; nil: it can. A quorum must have room (of both sets, while the voters change).
  func refusal() -> String? {
    let configuration = raft.configuration
    let isHeldUp = [configuration.voters, configuration.outgoingVoters].contains { voters in
      !voters.isEmpty && voters.count - voters.filter(isFull).count < voters.count / 2 + 1
    }
    guard isHeldUp else { return nil }
    let full = configuration.members.filter { configuration.isVoter($0) && isFull($0) }
    let names = full.map { id in
      (id == options.node ? options.members.first { $0.id == id }?.name : peers[id]?.member.name) ?? "server \(id)"
    }
    return "the disk of \(names.joined(separator: ", ")) is full: free space in the data folder's file system or make "
      + "it larger; reads go on, and writes will by themselves when there is room"
  }

  func ranOutOfRoom(_ which: WritableKeyPath<FullDisks, Bool>, _ error: StorageError) {
    guard !fullDisks[keyPath: which] else { return }
    let wasFull = fullDisks.isFull
    fullDisks[keyPath: which] = true
    guard !wasFull else { return }
    logger.error("the disk is full: free space, or make it larger", metadata: ["error": "\(error)"])
    status.isDiskFull = true
    tellRoom()
    // Whoever leads must write; others with room can do without this server.
    guard raft.role == .leader else { return }
    let configuration = raft.configuration
    let best = configuration.voters.sorted().filter { peers[$0]?.isConnected == true && !isFull($0) }.max {
      (raft.progress(of: $0)?.matchIndex ?? 0) < (raft.progress(of: $1)?.matchIndex ?? 0)
    }
    if let best, (try? raft.transferLeadership(to: best)) != nil {
      logger.warning("leadership is handed over to a server whose disk has room", metadata: ["to": "\(best)"])
    }
    scheduleTurn()
  }

  func foundRoom(_ which: WritableKeyPath<FullDisks, Bool>) {
    guard fullDisks[keyPath: which] else { return }
    fullDisks[keyPath: which] = false
    guard !fullDisks.isFull else { return }
    logger.notice("the disk has room again")
    status.isDiskFull = false
    tellRoom()
  }

  /// About once a second.
  func maintainDisk() {
    log.maintain()
    storage.maintain()
    if fullDisks.isFull { tellRoom() }
  }

  private func tellRoom() {
    for peer in peers.keys.sorted() { reply(.room(hasRoom: !fullDisks.isFull), to: peer) }
  }
}
