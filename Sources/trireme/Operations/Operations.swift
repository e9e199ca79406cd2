// What an operator can have done to the group through any of its servers: the request is carried out by the leader, and
// whoever was asked passes it on and the answer back.
import APIServer
import Client
import EventLoop
import HTTP
import JSON
import Replica
import Schema
import Synchronization
import TLS
import World

final class Operations: Sendable {
  /// What the operations of one server work with.
  struct Parts: Sendable {
    var record: ServerRecord
    var certificates: ServerCertificates
    var replica: Replica
    /// The API in this process, as a member of system:masters.
    var client: APIClient
    var link: ServerLink
    var world: EventLoop
    /// Lets go of clients for good: the listener closes, requests under way are finished. Returns when they are.
    var drain: @Sendable () async -> Void
  }

  /// A member that does not answer is given up after this time where it is asked for something small.
  static let patience = Duration.milliseconds(1500)
  /// How long a leader is waited for before the operator is told that there is none.
  private static let leaderPatience = Duration.seconds(8)
  /// Broken connections stand again before; and load balancers wait longer before they turn elsewhere.
  static let majorityPatience = Duration.seconds(3)
  /// A change of members may wait for a member to catch up, to drain, and for elections in between.
  static let changePatience = Duration.seconds(60)

  let parts: Parts
  let membership: GroupMembership
  let tokens: TokenStore
  private let changing = Mutex(false)
  private let recovery = Mutex<(@Sendable () -> Void)?>(nil)
  private let active = Atomic<Int>(0)

  init(_ parts: Parts) {
    self.parts = parts
    membership = GroupMembership(replica: parts.replica)
    tokens = TokenStore(client: parts.client)
  }

  /// Requests of operators that are being answered: a server that lets go of its clients does not wait for them.
  var activeRequests: Int { active.load(ordering: .relaxed) }

  /// Throws `APIStatus` for what is refused.
  func respond(to request: HTTPRequest, user: RequestUser) async throws -> HTTPResponse {
    active.add(1, ordering: .relaxed)
    defer { active.subtract(1, ordering: .relaxed) }
    guard let target = RequestTarget(parsing: request.target) else {
      throw APIStatus.badRequest("the path is malformed")
    }
    let path = Array(target.segments.dropFirst())
    switch (request.method, path.first ?? "") {
    case (_, "members"): return try await members(request, target, Array(path.dropFirst()))
    case (_, "backup"): return try await backup(request, target, Array(path.dropFirst()))
    case (_, "tokens"): return try await tokens(request, Array(path.dropFirst()))
    case (_, "keys"): return try await keys(request, target, Array(path.dropFirst()), user: user)
    case ("POST", "recover"): return try await recover(target)
    case ("GET", "cluster"): return OperationsPaths.response(await ClusterSurvey(self).take())
    case ("POST", "drain"):
      guard user.groups.contains(ServerIdentity.organization) else {
        throw APIStatus(
          code: 403, reason: "Forbidden", message: "only the servers of the cluster tell each other to drain")
      }
      await parts.drain()
      return OperationsPaths.response(["drained": true])
    default: throw APIStatus.absent("there is nothing at \(target.path)")
    }
  }

  // MARK: Members

  private func members(_ request: HTTPRequest, _ target: RequestTarget, _ path: [String]) async throws -> HTTPResponse {
    switch (request.method, path.count, path.last ?? "") {
    case ("GET", 0, _):
      // The leader knows how far everybody is; without one, what is known here must do.
      if parts.replica.leadership.leader != nil, request.headers[ServerLink.forwardedHeader] == nil,
        let answer = try? await atLeader(request, patience: .zero, { self.memberList() })
      {
        return answer
      }
      return memberList()
    case ("DELETE", 1, let name):
      let isForced = target[query: "force"] == "true"
      return try await atLeader(request) { try await self.change { try await self.remove(name, isForced: isForced) } }
    case ("POST", 2, "promote"):
      return try await atLeader(request) { try await self.change { try await self.promote(path[0]) } }
    case ("POST", 2, "lead"): return try await atLeader(request) { try await self.transferLeadership(to: path[0]) }
    default:
      throw APIStatus(code: 405, reason: "MethodNotAllowed", message: "\(request.method) is not for \(target.path)")
    }
  }

  private func memberList() -> HTTPResponse {
    let status = parts.replica.status
    return OperationsPaths.response([
      "cluster": .string(status.cluster),
      "members": .array(
        membership.members.map { member in
          var value = member.member.json
          value["role"] = .string(
            member.member.id == status.leadership.leader ? "leader" : member.isVoter ? "voter" : "learner")
          value["answers"] = .bool(member.isSelf || member.isConnected)
          if let lag = member.lag { value["lag"] = .integer(Int64(lag)) }
          return value
        }),
      "tolerableLosses": .integer(Int64(GroupHealth(status).tolerableLosses)),
    ])
  }

  func member(named name: String) throws -> MemberStatus {
    guard let member = membership.members.first(where: { $0.member.name == name }) else {
      let names = membership.members.map(\.member.name).joined(separator: ", ")
      throw APIStatus.absent("there is no member \(name); there are: \(names)")
    }
    return member
  }

  private func remove(_ name: String, isForced: Bool) async throws -> HTTPResponse {
    let member = try member(named: name)
    let health = GroupHealth(parts.replica.status)
    if health.isLastVoter(name) {
      throw APIStatus.refused(
        "\(name) is not removed: it is the last voter, and without it there is no cluster. To end the cluster, stop it")
    }
    if !isForced, let refusal = health.refusal(toRemove: name) {
      throw APIStatus.refused(
        "\(name) is not removed: \(refusal). (--force tries it all the same: for servers that have just come back)")
    }
    if member.isSelf {
      // A leader that leaves lets another one finish it.
      try await handOver(to: nil)
      throw NotLeader()
    }
    // First without a vote, then without clients, then gone: whatever fails in between leaves a group that works.
    if member.isVoter { try await membership.demote(member.member.id) }
    if member.isConnected {
      _ = try? await parts.link.send("POST", "/trireme/drain", to: member.member.address, within: .seconds(12))
    }
    try await membership.remove(member.member.id)
    var answer: JSONValue = ["removed": member.member.json]
    if let warning = health.warning(beforeRemoving: name) { answer["note"] = .string(warning) }
    return OperationsPaths.response(answer)
  }

  private func promote(_ name: String) async throws -> HTTPResponse {
    let member = try member(named: name)
    if !member.isVoter { try await membership.promote(member.member.id) }
    return OperationsPaths.response(["voter": member.member.json])
  }

  private func transferLeadership(to name: String) async throws -> HTTPResponse {
    let member = try member(named: name)
    guard member.isVoter else { throw APIStatus.refused("\(name) cannot lead: it is no voter yet") }
    guard member.isSelf || member.isConnected else {
      throw APIStatus.refused("\(name) cannot lead: it does not answer")
    }
    if !member.isSelf { try await handOver(to: member.member.id) }
    return OperationsPaths.response(["leader": member.member.json])
  }

  /// Returns when another server leads.
  private func handOver(to target: UInt64?) async throws {
    let replica = parts.replica
    do { try await replica.transferLeadership(to: target) } catch {
      throw APIStatus.refused("leadership cannot be handed over: \(error)")
    }
    let start = parts.world.now
    while true {
      if let leader = replica.leadership.leader, leader != replica.status.node {
        guard let target, leader != target else { return }
        throw APIStatus.refused("another server was faster: server \(leader) leads now")
      }
      guard parts.world.now - start < Self.leaderPatience else {
        throw APIStatus.refused("leadership was not taken over within \(Self.leaderPatience); nothing was changed")
      }
      try await parts.world.sleep(for: .milliseconds(20))
    }
  }

  // MARK: Recovery

  /// Called once, when this server is to be made the only voter of its group: it must stop, and start again.
  func onRecover(_ body: @escaping @Sendable () -> Void) { recovery.withLock { $0 = body } }

  private func recover(_ target: RequestTarget) async throws -> HTTPResponse {
    // The others are asked now: what is known of them may be of a moment ago, when they still lived.
    if target[query: "force"] != "true", let refusal = await ClusterSurvey(self).health().refusalToRecover {
      throw APIStatus.refused(refusal)
    }
    guard let begin = recovery.withLock({ $0.take() }) else { throw APIStatus.refused("it is under way already") }
    // The answer leaves first.
    parts.world.schedule(after: .milliseconds(50)) { begin() }
    return OperationsPaths.response(["recovering": .string(parts.record.name)], status: 202)
  }

  // MARK: Tokens

  private static let longestLife: Int64 = 30 * 86_400

  private func tokens(_ request: HTTPRequest, _ path: [String]) async throws -> HTTPResponse {
    let now = parts.world.wallClock
    switch (request.method, path.count) {
    case ("GET", 0):
      return OperationsPaths.response(["tokens": .array(try await tokens.list().map { $0.json(now: now) })])
    case ("POST", 0):
      let body = try JSONValue(parsing: try await request.body.collect(upTo: 1 << 16))
      let seconds = body["seconds"].integer ?? 3600
      guard (1...Self.longestLife).contains(seconds) else {
        throw APIStatus.badRequest("a token lives between a second and \(Self.longestLife / 86_400) days")
      }
      let token = JoinToken.generate(authority: parts.certificates.authority.certificate)
      try await requireMajority("no token was made")
      let end = now + .seconds(seconds)
      do {
        try await tokens.create(
          token, expires: end, server: body["server"].string ?? "", description: body["description"].string ?? "")
      } catch let status as APIStatus where status.reason == "Timeout" {
        // The majority went while this waited for it. Nobody learns the token, should it be kept after all.
        try await requireMajority("no token was made")
        throw status
      }
      return OperationsPaths.response(
        [
          "token": .string(token.text), "id": .string(token.id), "expires": .string(end.rfc3339),
          "endpoint": .string(parts.record.endpoint),
          "servers": .array(membership.members.map { .string($0.member.address) }),
        ], status: 201)
    case ("DELETE", 1):
      guard try await tokens.delete(path[0]) else { throw APIStatus.absent("there is no token \(path[0])") }
      return OperationsPaths.response(["deleted": .string(path[0])])
    default: throw APIStatus(code: 405, reason: "MethodNotAllowed", message: "\(request.method) is not for tokens")
    }
  }

  /// What is to be written would only wait, and fail without saying why: waits a little for a majority that has a leader,
  /// then says what is missing. One that is lost a moment later is noticed by the write itself.
  func requireMajority(_ outcome: String) async throws {
    let start = parts.world.now
    while true {
      let health = GroupHealth(parts.replica.status)
      if health.hasMajority, health.leader != nil { return }
      guard parts.world.now - start < Self.majorityPatience else {
        throw APIStatus.serviceUnavailable("\(outcome). \(health.problems.joined(separator: " "))")
      }
      try await parts.world.sleep(for: .milliseconds(100))
    }
  }

  // MARK: At the leader

  /// Thrown where a leader was needed and this server is none (any more).
  struct NotLeader: Error {
    static let status = 421
  }

  /// Carries `body` out here if this server leads, or passes the request on to the leader.
  func atLeader(
    _ request: HTTPRequest, patience: Duration = leaderPatience, _ body: () async throws -> HTTPResponse
  ) async throws -> HTTPResponse {
    let bytes = try await request.body.collect(upTo: 1 << 20)
    let isForwarded = request.headers[ServerLink.forwardedHeader] != nil
    let start = parts.world.now
    while true {
      let status = parts.replica.status
      if status.leadership.isLeader {
        do { return try await body() } catch is NotLeader {
          if isForwarded { return Self.notLeader }
        }
      } else if isForwarded {
        return Self.notLeader
      } else if let leader = status.members.first(where: { $0.member.id == status.leadership.leader && !$0.isSelf }) {
        let answer = try? await parts.link.send(
          request.method, request.target, body: bytes, to: leader.member.address, within: Self.changePatience)
        if let answer, answer.status != NotLeader.status { return answer }
      }
      guard parts.world.now - start < patience else {
        let problems = GroupHealth(parts.replica.status).problems
        throw APIStatus.serviceUnavailable(
          "no leader can be reached from \(parts.record.name); nothing was changed. "
            + problems.joined(separator: " "))
      }
      try await parts.world.sleep(for: .milliseconds(100))
    }
  }

  private static let notLeader = HTTPResponse(status: NotLeader.status, body: .empty)

  /// One change of members at a time.
  func change(_ body: () async throws -> HTTPResponse) async throws -> HTTPResponse {
    let isFree = changing.withLock { changing in
      defer { changing = true }
      return !changing
    }
    guard isFree else { throw APIStatus.refused("another change of members is under way; try again when it is done") }
    defer { changing.withLock { $0 = false } }
    return try await body()
  }
}
