// The peer network as the replica sees it: frames to servers by id, in order per lane, any of them lost at any time.

import Raft
import Storage

/// Which of a peer's two connections a frame travels on.
public enum PeerLane: UInt8, Sendable {
  /// Raft's messages: small or urgent, never behind a snapshot.
  case control = 0
  /// Snapshots.
  case bulk = 1
}

/// What a transport tells the replica, on the loop of the replica's world.
public enum PeerEvent: Sendable {
  /// A connection to the peer stands: frames have a chance to arrive.
  case connected(NodeID)
  /// A connection to or from the peer broke: it may be dead.
  case disconnected(NodeID)
  /// Frames that came together.
  case received(from: NodeID, frames: [[UInt8]])
  /// A peer belongs to the group as it was recovered by force, without this server (Recover.swift).
  case superseded(by: RecoveryPoint)
}

/// A network between servers. Calls come on the replica's loop; none blocks.
public protocol PeerTransport: AnyObject, Sendable {
  /// Begins to connect to `peers` and to deliver events, also of servers that are not among them: who they are, the
  /// transport has made sure; whether they are heard, the replica decides.
  func start(peers: [Member], onEvent: @escaping @Sendable (PeerEvent) -> Void)
  /// These are the peers from now on: connects to new ones and to those that moved, lets go of the others.
  func update(peers: [Member])
  /// Sends frames to one peer. False when they were dropped: not connected, or too much waits already.
  func send(_ frames: [[UInt8]], to peer: NodeID, lane: PeerLane) -> Bool
  /// Closes every connection; no event comes afterwards.
  func stop()
}
