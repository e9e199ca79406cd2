// The members of the group as operations change them.
import Raft
import Replica
import Schema

struct GroupMembership: Sendable {
  let replica: Replica
  var members: [MemberStatus] { replica.status.members }

  func addLearner(name: String, address: String) async throws -> Member { throw Self.fixed }
  func promote(_ id: NodeID) async throws { throw Self.fixed }
  func demote(_ id: NodeID) async throws { throw Self.fixed }
  func remove(_ id: NodeID) async throws { throw Self.fixed }

  private static let fixed = APIStatus.refused("the members of a running cluster cannot be changed by this version")
}
