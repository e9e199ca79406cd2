// Who asks a loop something, and whether they may: the cluster decides, by TokenReview and SubjectAccessReview.
import Client
import HTTP
import JSON
import Schema
import Synchronization
import World

/// Any thread. What the cluster said holds for a few seconds.
final class DelegatedAccess: Sendable {
  private static let validity = Duration.seconds(10)
  /// Answers that are kept at once; whoever makes up tokens gains nothing.
  private static let answersMaximum = 256
  private static let patience = Duration.seconds(10)

  private struct Question: Hashable {
    var user: RequestUser
    var verb: String
    var path: String
  }
  private struct Known {
    /// Only tokens that were good: others are looked at each time.
    var tokens: [String: (user: RequestUser, at: MonotonicTime)] = [:]
    var permissions: [Question: (isAllowed: Bool, at: MonotonicTime)] = [:]
  }

  private let client: APIClient
  private let known = Mutex(Known())

  init(client: APIClient) { self.client = client }

  /// By certificate, then by token; whoever shows neither is anonymous. Throws 401 for a token that is not good.
  func user(of request: HTTPRequest) async throws(APIStatus) -> RequestUser {
    if let peer = request.peer {
      return RequestUser(name: peer.commonName, groups: peer.organizations + ["system:authenticated"])
    }
    guard let header = request.headers["authorization"], header.lowercased().hasPrefix("bearer ") else {
      return RequestUser(name: "system:anonymous", groups: ["system:unauthenticated"])
    }
    let token = String(header.dropFirst("bearer ".count))
    let now = client.world.now
    if let found = known.withLock({ $0.tokens[token] }), now - found.at < Self.validity { return found.user }
    let review = await ask(
      "/apis/authentication.k8s.io/v1/tokenreviews",
      ["apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": ["token": .string(token)]])
    guard let status = review?["status"], status["authenticated"].bool == true else {
      throw APIStatus(code: 401, reason: "Unauthorized", message: "Unauthorized")
    }
    let user = RequestUser(
      name: status["user"]["username"].string ?? "", uid: status["user"]["uid"].string ?? "",
      groups: status["user"]["groups"].elements.compactMap(\.string))
    known.withLock { known in
      if known.tokens.count >= Self.answersMaximum { known.tokens.removeAll() }
      known.tokens[token] = (user, now)
    }
    return user
  }

  /// Throws 403 when the cluster does not let the user, or cannot be asked.
  func check(_ user: RequestUser, _ verb: String, _ path: String) async throws(APIStatus) {
    if user.groups.contains("system:masters") { return }
    let question = Question(user: user, verb: verb, path: path)
    let now = client.world.now
    var isAllowed = known.withLock { $0.permissions[question] }.flatMap {
      now - $0.at < Self.validity ? $0.isAllowed : nil
    }
    if isAllowed == nil {
      let review = await ask(
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        [
          "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
          "spec": [
            "user": .string(user.name), "uid": .string(user.uid), "groups": .array(user.groups.map { .string($0) }),
            "nonResourceAttributes": ["verb": .string(verb), "path": .string(path)],
          ],
        ])
      isAllowed = review?["status"]["allowed"].bool
      if let isAllowed {
        known.withLock { known in
          if known.permissions.count >= Self.answersMaximum { known.permissions.removeAll() }
          known.permissions[question] = (isAllowed, now)
        }
      }
    }
    guard isAllowed == true else {
      throw APIStatus(
        code: 403, reason: "Forbidden", message: "forbidden: User \"\(user.name)\" cannot \(verb) path \"\(path)\"")
    }
  }

  private func ask(_ path: String, _ review: JSONValue) async -> JSONValue? {
    try? await client.world.withDeadline(Self.patience) { [client] in
      try await client.json("POST", path, [], body: review)
    }
  }
}
