// Servers whose states differ after the same entry: which of them is wrong, and what becomes of it.
//
// The leader tells its hash once a second; who differs tells everyone its own, and so does everyone who hears of a hash
// that is not its own. A server that differs from the majority of the voters stops, having noted on its disk that its
// state is lost: at the next start it gets a whole one from the others. While no hash is a majority's (two servers that
// differ and a third that is away) nobody stops: the right one must not go with the wrong one, and the third can only
// decide if the group goes on so that it can catch up. Each says so with every comparison.

import Logging
import Raft
import Storage
import World

extension ReplicaDriver {
  func receiveHash(_ hash: UInt64, at index: LogIndex, from peer: NodeID) {
    let isSame = hashes.compare(hash, at: index, of: peer)
    // What was said before may be decided by this word, though it is the same as our own.
    if !isSame || hashes.verdict(at: index, by: options.node, voters: raft.configuration.voters) != .agreement {
      // With every word of the leader's again: whoever was away when all was said must hear it, to decide.
      dispute(at: index, again: !isSame && peer == raft.leader)
    }
  }

  /// Somebody's state after this entry is not this server's.
  func dispute(at index: LogIndex, again: Bool = false) {
    guard let own = hashes.hash(at: index), !isStopped, repair == nil else { return }
    if hashes.beginDispute(at: index) || again {
      for peer in peers.keys.sorted() { reply(.stateHash(index: index, hash: own), to: peer) }
    }
    switch hashes.verdict(at: index, by: options.node, voters: raft.configuration.voters) {
    case .agreement: return
    case .undecided:
      logger.error(
        "servers' states differ, and there is no majority to say which is wrong: this one goes on",
        metadata: ["index": "\(index)", "hash": "\(own)"])
    case .othersAreWrong(let others):
      logger.error(
        "a server's state is not that of the majority: it will stop, and get the state from the others",
        metadata: ["index": "\(index)", "servers": "\(others)"])
    case .isWrong: distrustOwnState(at: index)
    }
  }

  private func distrustOwnState(at index: LogIndex) {
    guard !isDistrusted else { return }
    isDistrusted = true
    let reason =
      "the state differs from the majority's after entry \(index): this server's memory or disk is damaged; the next "
      + "start gets a whole state from the other servers"
    logger.critical("this server's state is wrong", metadata: ["index": "\(index)"])
    storage.distrust { [world] in world.execute { self.fail(reason) } }
  }
}
