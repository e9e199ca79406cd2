// Where the servers of the group are reached: nobody's request is proxied there.
import Replica
import Synchronization

/// Known from the start, and those of members that have come since. Any thread.
final class GroupAddresses: Sendable {
  private let known: Set<String>
  private let replica = Mutex<Replica?>(nil)

  /// "10.0.0.1:6443".
  init(_ known: [String]) { self.known = Set(known) }

  func follow(_ replica: Replica) { self.replica.withLock { $0 = replica } }

  var all: Set<String> {
    guard let replica = replica.withLock({ $0 }) else { return known }
    return known.union(replica.status.members.map(\.member.address))
  }
}
