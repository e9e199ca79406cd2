// What the members of a group come to: is there a majority, what may still be lost, and what to do where it hurts.
import JSON
import Replica

/// A judgement of one server's view; a value, so that it needs no server to be tested.
struct GroupHealth: Sendable {
  struct Server: Sendable {
    var name: String
    var address: String
    var isVoter: Bool
    var answers: Bool
    /// Somebody with another disk speaks under its number: its own was wiped.
    var isWiped = false
  }
  var servers: [Server]
  /// Nil when none is known.
  var leader: String?

  init(servers: [Server], leader: String?) {
    self.servers = servers
    self.leader = leader
  }

  init(_ status: ReplicaStatus) {
    servers = status.members.map { member in
      Server(
        name: member.member.name, address: member.member.address, isVoter: member.isVoter,
        answers: member.isSelf || member.isConnected, isWiped: member.isForeign)
    }
    leader = status.leadership.leader.flatMap { id in
      status.members.first { $0.member.id == id }?.member.name ?? "\(id)"
    }
  }

  var voters: [Server] { servers.filter(\.isVoter) }
  var answering: Int { voters.filter(\.answers).count }
  /// Voters that must agree to everything.
  var majority: Int { voters.count / 2 + 1 }
  var hasMajority: Bool { answering >= majority }
  /// Voters that may still be lost before writes stop.
  var tolerableLosses: Int { max(0, answering - majority) }

  private static func list(_ servers: [Server]) -> String {
    servers.map { "\($0.name) (\($0.address))" }.joined(separator: ", ")
  }

  /// What is wrong and what to do, worst first; empty when all is well.
  var problems: [String] {
    var problems: [String] = []
    let silent = voters.filter { !$0.answers && !$0.isWiped }
    for server in servers where server.isWiped {
      problems.append(
        "The disk of \(server.name) was wiped or replaced: it is not listened to, for it cannot know what it promised. On its "
          + "machine, let it take its own place: trireme server --join … --replace")
    }
    if !voters.isEmpty, !hasMajority {
      problems.append(
        "No majority: \(answering) of \(voters.count) voters answer\(answering == 1 ? "s" : ""), \(majority) are needed. "
          + "Writes wait; nothing is lost. Start \(silent.count == 1 ? "" : "at least \(majority - answering) of ")"
          + "\(Self.list(silent)). If their disks are lost for good, run on the machine of a server that is left: "
          + "trireme recover --home FOLDER")
    } else if leader == nil {
      problems.append("No leader is known: an election is under way. If this lasts, see the servers' logs.")
    }
    if hasMajority, !silent.isEmpty {
      problems.append(
        "\(Self.list(silent)) do\(silent.count == 1 ? "es" : "") not answer. Start "
          + "\(silent.count == 1 ? "it" : "them"), or replace: trireme member remove \(silent[0].name)")
    }
    for learner in servers where !learner.isVoter && !learner.answers {
      problems.append(
        "\(Self.list([learner])) is being added and does not answer. Start it, or give it up: "
          + "trireme member remove \(learner.name)")
    }
    return problems
  }

  /// Why there is nothing to recover by force; nil where a majority does not answer.
  var refusalToRecover: String? {
    guard hasMajority else { return nil }
    let names = voters.filter(\.answers).map(\.name).joined(separator: ", ")
    return "there is nothing to recover: \(answering) of \(voters.count) voters answer (\(names)), and \(majority) "
      + "\(majority == 1 ? "is" : "are") enough"
  }

  func isLastVoter(_ name: String) -> Bool { voters.count == 1 && voters[0].name == name }

  /// Why a server must not be taken away as things are; nil when it may.
  func refusal(toRemove name: String) -> String? {
    guard voters.contains(where: { $0.name == name }) else { return nil }
    let rest = voters.filter { $0.name != name }
    let needed = rest.count / 2 + 1
    let alive = rest.filter(\.answers).count
    guard alive < needed else { return nil }
    let silent = rest.filter { !$0.answers }
    return "without it \(needed) of \(rest.count) voters would be needed, and only \(alive) "
      + "answer\(alive == 1 ? "s" : ""): writes would stop. Bring back or remove first what does not answer: "
      + Self.list(silent)
  }

  /// What removing a server costs in safety, where it is allowed but costs something.
  func warning(beforeRemoving name: String) -> String? {
    guard let server = servers.first(where: { $0.name == name }), server.isVoter else { return nil }
    let rest = voters.filter { $0.name != name }
    let losses = max(0, rest.filter(\.answers).count - (rest.count / 2 + 1))
    guard losses < tolerableLosses else { return nil }
    return "with \(rest.count) voter\(rest.count == 1 ? "" : "s") the cluster survives the loss of "
      + "\(losses == 0 ? "none" : "\(losses)"); before, of \(tolerableLosses)"
  }
}
