// Servers of different versions in one group: a command is placed in the log only when every member understands it, for
// every member must apply it, and to the same effect.
//
// Every server says which version of commands it understands; the group's configuration holds the version that all of
// them have in common, and the leader raises it when the last of them was upgraded. A server whose version is below it
// stays a learner.

import Raft

extension ReplicaDriver {
  /// Why an entry must not be placed in the log: somebody could not read it. Nil: everybody can.
  func refusal(ofVersion entry: [UInt8]) -> String? {
    let version = UInt64(entry.first ?? 0)
    let configuration = raft.configuration
    // A server that waits to be added knows no group yet; what it forwards is judged by the leader.
    guard version > configuration.version, !configuration.voters.isEmpty else { return nil }
    let behind = configuration.directory.filter { $0.version < version }.map { "\($0.name) (\($0.version))" }
    return "this is a command of version \(version), and the group is at version \(configuration.version)"
      + (behind.isEmpty ? ": the leader is about to raise it" : ": upgrade \(behind.joined(separator: ", ")) first")
  }
}
