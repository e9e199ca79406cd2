// The keys that the servers' disks are encrypted with: each server has its own, and any server tells of all and passes
// on the order to change them.
import APIServer
import HTTP
import JSON
import Replica
import Schema
import World

extension Operations {
  /// `GET keys`: every server's, or (asked by another server) this one's. `POST keys/NAME/rotate`: begins; how far it has
  /// come shows in the list.
  func keys(
    _ request: HTTPRequest, _ target: RequestTarget, _ path: [String], user: RequestUser
  ) async throws -> HTTPResponse {
    let isForwarded = request.headers[ServerLink.forwardedHeader] != nil
    switch (request.method, path.count, path.last ?? "") {
    case ("GET", 0, _):
      return OperationsPaths.response(isForwarded ? ownKeys : ["servers": .array(await allKeys())])
    case ("POST", 2, "rotate"):
      let server = try member(named: path[0])
      if server.isSelf { return OperationsPaths.response(try rotateOwnKey(for: user.name), status: 202) }
      guard !isForwarded else { throw APIStatus.absent("this is not \(path[0])") }
      do {
        return try await parts.link.send(
          "POST", target.path, to: server.member.address, within: Self.rotationPatience)
      } catch {
        throw APIStatus.serviceUnavailable(
          "\(path[0]) at \(server.member.address) does not answer (\(error)): its key stays as it is")
      }
    default:
      throw APIStatus(code: 405, reason: "MethodNotAllowed", message: "\(request.method) is not for \(target.path)")
    }
  }

  /// The file with the keys is written before a rotation is answered.
  private static let rotationPatience = Duration.seconds(10)

  private func rotateOwnKey(for who: String) throws -> JSONValue {
    do throws(RotationError) {
      return ["name": .string(parts.record.name), "key": .integer(Int64(try parts.replica.beginKeyRotation(for: who)))]
    } catch {
      throw APIStatus.refused("\(parts.record.name): \(error)")
    }
  }

  private var ownKeys: JSONValue {
    var value: JSONValue = ["name": .string(parts.record.name)]
    guard let status = parts.replica.encryption else {
      value["encrypted"] = false
      return value
    }
    value["encrypted"] = true
    value["key"] = .integer(Int64(status.currentKey))
    value["oldKeys"] = .array(status.oldKeys.map { .integer(Int64($0)) })
    value["resources"] = .array(status.resources.map { .string($0) })
    value["rotating"] = .bool(status.isRotating)
    value["logPercent"] = .integer(Int64(status.logShare * 100))
    value["statePercent"] = .integer(Int64(status.stateShare * 100))
    if let failure = status.failure { value["failure"] = .string(failure) }
    return value
  }

  private func allKeys() async -> [JSONValue] {
    await askMembers("/trireme/keys", knowing: ownKeys)
      .map { member, answer in
        var value: JSONValue
        switch answer {
        case .success(let body): value = body
        case .failure(let silence): value = ["error": .string(silence.why)]
        }
        value["name"] = .string(member.member.name)
        return value
      }
  }

  /// Why a member gave no answer.
  struct Silence: Error, Sendable {
    var why: String
  }

  /// Asks every member the same at once, in the order of their names; `own`: this server's answer, where that is known.
  func askMembers(
    _ target: String, knowing own: JSONValue? = Optional.none
  ) async -> [(member: MemberStatus, answer: Result<JSONValue, Silence>)] {
    let link = parts.link
    let members = membership.members.sorted { left, right in
      let (one, other) = (left.member.name, right.member.name)
      return (one.count, one) < (other.count, other)
    }
    let answers = await withTaskGroup(of: (Int, Result<JSONValue, Silence>).self) { group in
      for (index, member) in members.enumerated() {
        if let own, member.isSelf {
          group.addTask { (index, .success(own)) }
          continue
        }
        group.addTask {
          do {
            let answer = try await link.json("GET", target, to: member.member.address, within: Operations.patience)
            return (
              index, answer.status == 200 ? .success(answer.body) : .failure(Silence(why: "answers \(answer.status)"))
            )
          } catch {
            return (index, .failure(Silence(why: "\(error)")))
          }
        }
      }
      return await group.reduce(into: [Int: Result<JSONValue, Silence>]()) { $0[$1.0] = $1.1 }
    }
    return members.enumerated().map { ($1, answers[$0] ?? .failure(Silence(why: "was not asked"))) }
  }
}
