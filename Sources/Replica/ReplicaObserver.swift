// What a replica does, told as it does it: the seam at which the simulator checks its invariants after every step.

import Raft
import Storage

/// Sees every turn of a replica, on its loop, before anything of the turn leaves the server. Nil in production. It must
/// not block and must not call back.
package protocol ReplicaObserver: AnyObject, Sendable {
  /// A replica was made of what its disk held; nothing has run yet.
  func restored(_ raft: Raft, _ state: ObservedState, node: NodeID)
  /// What its disk held is not whole: it is repaired from its peers before it is made a replica of.
  func foundDamaged(_ what: String, node: NodeID)
  /// Raft has taken its turn and wants this done: the state is the one after the turn.
  func performing(_ output: RaftOutput, _ turn: ObservedTurn, node: NodeID)
  /// The log's disk says that this write and all before it are durable.
  func logIsDurable(through token: PersistToken, node: NodeID)
  /// There is no room for these writes; term and vote, as the last of them has them, are durable.
  func promisesAreDurable(through token: PersistToken, node: NodeID)
  /// One entry was applied: what it changed, and what the state came to.
  func applied(
    _ entry: Entry, changes: ArraySlice<Change>, revision: Revision, stateHash: UInt64, node: NodeID)
  /// A snapshot replaced the state.
  func installed(_ state: ObservedState, node: NodeID)
  /// The state goes to the server's own disk, or to a peer as a snapshot.
  func handingOut(_ state: ObservedState, node: NodeID)
}

/// What Raft has come to after a turn. Not all of Raft: to copy that costs more than to look at it.
package struct ObservedTurn: Sendable {
  package let role: Role
  package let term: Term
  package let commitIndex: LogIndex
  package let durableIndex: LogIndex
  package let configuration: Configuration
}

/// The leases that a command requires to stand at a fence.
package func requiredFences(of entry: Entry) -> [(lease: ObjectKey, fence: UInt64)] {
  var pool = StringPool()
  guard let command = try? DecodedCommandEntry(entry.payload, &pool) else { return [] }
  return command.preconditions.compactMap { precondition in
    if case .fence(let key, let fence) = precondition { (key, fence) } else { nil }
  }
}

/// A whole state, for comparison.
package struct ObservedState: Sendable {
  package let appliedIndex: LogIndex
  package let appliedTerm: Term
  package let revision: Revision
  package let stateHash: UInt64
  private let map: ObjectMap
  private let requests: RequestTable

  init(_ machine: StateMachine) {
    appliedIndex = machine.appliedIndex
    appliedTerm = machine.appliedTerm
    revision = machine.revision
    stateHash = machine.stateHash
    map = machine.map
    requests = machine.requests
  }

  /// Every object, in key order.
  package var objects: [StoredObject] { map.objects(at: 0..<map.count) }

  /// The remembered requests as one number: sequence numbers by origin, in any order.
  package var requestsDigest: UInt64 {
    requests.origins.reduce(0) { sum, origin in
      origin.value.outcomes.keys.reduce(sum) { sum, sequence in
        var words = (origin.key.littleEndian, origin.value.incarnation.littleEndian, sequence.littleEndian)
        return sum &+ withUnsafeBytes(of: &words) { xxh64($0) }
      }
    }
  }
}
