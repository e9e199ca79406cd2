// Letting a server in: what is open to everybody (the cluster's authority, to be compared with a token's hash), and what
// is open to who holds a token (everything a server needs).
import APIServer
import EventLoop
import HTTP
import JSON
import Raft
import Replica
import Schema
import TLS
import World

/// What the joiner says of itself.
struct JoinRequest: Sendable {
  var credential: String
  var name: String
  var address: String
  var version: String
  /// The joiner's clock.
  var time: WallTime
  /// The public key of its server certificate, as a certificate request.
  var certificateRequestPEM: String
  /// The number it has on its disk already: an earlier attempt was cut short.
  var node: NodeID?
  /// Takes the place of a member of this name whose disk is lost.
  var replaces: Bool

  init(
    credential: String, name: String, address: String, version: String, time: WallTime, certificateRequestPEM: String,
    node: NodeID?, replaces: Bool
  ) {
    self.credential = credential
    self.name = name
    self.address = address
    self.version = version
    self.time = time
    self.certificateRequestPEM = certificateRequestPEM
    self.node = node
    self.replaces = replaces
  }

  init?(json: JSONValue) {
    guard let credential = json["credential"].string, let name = json["name"].string,
      let address = json["address"].string, let version = json["version"].string,
      let time = json["time"].string.flatMap(WallTime.init(rfc3339:)),
      let request = json["certificateRequest"].string
    else { return nil }
    self.init(
      credential: credential, name: name, address: address, version: version, time: time,
      certificateRequestPEM: request, node: json["node"].integer.flatMap { NodeID(exactly: $0) },
      replaces: json["replace"].bool ?? false)
  }

  var json: JSONValue {
    [
      "credential": .string(credential), "name": .string(name), "address": .string(address),
      "version": .string(version), "time": .string(time.rfc3339), "certificateRequest": .string(certificateRequestPEM),
      "node": node.map { .integer(Int64($0)) } ?? .null, "replace": .bool(replaces),
    ]
  }
}

/// Stands before the API server: answers what needs no user, and passes everything else on.
struct PublicPaths: HTTPHandler {
  let api: any HTTPHandler
  let operations: Operations

  func respond(to request: HTTPRequest) async -> HTTPResponse {
    // One comparison for all that is meant for the API.
    guard request.target.hasPrefix("/trireme/") else { return await api.respond(to: request) }
    switch (request.method, request.target) {
    case ("GET", "/trireme/authority"): return OperationsPaths.response(operations.introduction)
    case ("POST", "/trireme/join"):
      do {
        return try await operations.atLeader(request) { try await operations.join(request) }
      } catch let status as APIStatus {
        return OperationsPaths.response(status)
      } catch {
        return OperationsPaths.response(APIStatus.internalError("\(error)"))
      }
    default: return await api.respond(to: request)
    }
  }
}

extension Operations {
  /// Certificates are good from five minutes before they are made; a clock that is further off would refuse them.
  static let clockTolerance = Duration.seconds(60)
  private static let certificateLifetime = Duration.seconds(365 * 86_400)

  /// What anybody may know: the authority's certificate, and what would make joining fail later.
  var introduction: JSONValue {
    [
      "authority": .string(parts.certificates.authority.certificate.pem), "cluster": .string(parts.record.cluster),
      "version": .string(Version.trireme), "time": .string(parts.world.wallClock.rfc3339),
    ]
  }

  /// At the leader: checks everything, then adds the server as a member without a vote, and gives it what it needs.
  /// Repeated after a crash in between it leads to the same end.
  func join(_ http: HTTPRequest) async throws -> HTTPResponse {
    guard let body = try? JSONValue(parsing: try await http.body.collect(upTo: 1 << 16)),
      let request = JoinRequest(json: body)
    else { throw APIStatus.badRequest("this is no request to join of a version that is understood here") }
    do {
      try await tokens.check(request.credential, server: request.name)
    } catch let refusal as TokenRefusal {
      throw APIStatus(code: 401, reason: "Unauthorized", message: refusal.text(now: parts.world.wallClock))
    }
    try check(request)
    let certificateRequest: CertificateRequest
    do { certificateRequest = try CertificateRequest(pem: request.certificateRequestPEM) } catch {
      throw APIStatus.badRequest("the certificate request cannot be read: \(error)")
    }
    return try await change {
      let member = try await admit(request)
      let certificate = try parts.certificates.authority.certificate(
        for: certificateRequest.publicKey,
        ServerIdentity.template(
          name: member.name,
          hosts: [ServerAddress.host(of: member.address), ServerAddress.host(of: parts.record.endpoint)],
          lifetime: Self.certificateLifetime), now: parts.world.wallClock)
      return OperationsPaths.response(try welcome(member, certificate))
    }
  }

  private func check(_ request: JoinRequest) throws {
    if let problem = ServerName.problem(request.name) { throw APIStatus.badRequest(problem) }
    guard !ServerAddress.isWildcard(request.address), Addresses.isUsable(request.address) else {
      throw APIStatus.badRequest(
        "\(request.address) is no address under which other servers can reach one: --advertise")
    }
    if let problem = ServerVersion.problem(joiner: request.version, cluster: Version.trireme) {
      throw APIStatus.refused(problem)
    }
    if let problem = ClockCheck.problem(own: request.time, cluster: parts.world.wallClock) {
      throw APIStatus.refused(problem)
    }
  }

  /// The member that the joiner becomes, or is already.
  private func admit(_ request: JoinRequest) async throws -> Member {
    if let known = membership.members.first(where: { $0.member.name == request.name }) {
      if known.member.id == request.node, known.member.address == request.address { return known.member }
      try await makeRoom(for: request, known)
    } else if let node = request.node, let owner = membership.members.first(where: { $0.member.id == node }) {
      throw APIStatus.refused(
        "the disk of \(request.name) belongs to server \(node), which is the member \(owner.member.name) at "
          + "\(owner.member.address): one disk is one server. Wipe this data folder, then join anew")
    } else if let node = request.node {
      throw APIStatus.refused(
        "the disk of \(request.name) belongs to server \(node), which is no member any more. Wipe its data folder, then join anew"
      )
    }
    if let other = membership.members.first(where: {
      $0.member.address == request.address && $0.member.name != request.name
    }) {
      throw APIStatus.refused("the address \(request.address) is that of the member \(other.member.name)")
    }
    return try await membership.addLearner(name: request.name, address: request.address)
  }

  /// A member of that name is there, but it is not this server.
  private func makeRoom(for request: JoinRequest, _ known: MemberStatus) async throws {
    let name = request.name
    if known.isSelf || known.isConnected {
      throw APIStatus.refused(
        "there is a member \(name) at \(known.member.address) already, and it answers. Choose another --name"
          + (known.member.address == request.address ? "" : ", or remove it first: trireme member remove \(name)"))
    }
    // One that never got a vote was an attempt to join that ended before the joiner knew its number.
    guard !known.isVoter || request.replaces else {
      throw APIStatus.refused(
        "\(name) is a member (server \(known.member.id) at \(known.member.address)), and what asks to join does not have its "
          + "disk. If that disk is lost, take its place: add --replace to this command, or first trireme member remove \(name)"
      )
    }
    try await requireRemovable(name)
    try await membership.remove(known.member.id)
  }

  /// Waits a little: who has just come back, or lost a connection, seems silent for a moment.
  private func requireRemovable(_ name: String) async throws {
    let start = parts.world.now
    while let refusal = GroupHealth(parts.replica.status).refusal(toRemove: name) {
      guard parts.world.now - start < Self.majorityPatience else {
        throw APIStatus.refused("\(name) cannot be replaced now: \(refusal)")
      }
      try await parts.world.sleep(for: .milliseconds(100))
    }
  }

  private func welcome(_ member: Member, _ certificate: Certificate) throws -> JSONValue {
    [
      "cluster": .string(parts.record.cluster), "node": .integer(Int64(member.id)),
      "members": .array(
        membership.members.map(\.member).filter { $0.id != member.id && $0.name != member.name }.map(\.json) + [
          member.json
        ]),
      "endpoint": .string(parts.record.endpoint), "serviceNetwork": .string(parts.record.serviceNetwork),
      "certificate": .string(certificate.pem),
      "authority": .string(parts.certificates.authority.certificate.pem),
      "authorityKey": .string(parts.certificates.authority.privateKey.pem),
      "tokenKey": .string(parts.certificates.tokenKey.pem), "backupKey": .string(parts.certificates.backupKey.text),
    ]
  }
}
