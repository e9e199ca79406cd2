// The members of the group as operations change them.
import Raft
import Replica
import Schema

struct GroupMembership: Sendable {
  let replica: Replica
  var members: [MemberStatus] { replica.status.members }

  /// The new member; it becomes a voter by itself when it has caught up.
  func addLearner(name: String, address: String) async throws -> Member {
    try await change(.add(name: name, address: address, isSpare: false))
  }
  func promote(_ id: NodeID) async throws { _ = try await change(.promote(id)) }
  func demote(_ id: NodeID) async throws { _ = try await change(.demote(id)) }
  func remove(_ id: NodeID) async throws { _ = try await change(.remove(id)) }

  private func change(_ change: MembershipChange) async throws -> Member {
    do throws(MembershipRefusal) {
      return try await replica.changeMembership(change, timeout: Operations.changePatience)
    } catch {
      throw APIStatus.refused(error.description)
    }
  }
}
