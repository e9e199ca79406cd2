// Join tokens as the cluster keeps them: Secrets of the bootstrap-token kind that authenticate nobody at the API and
// are good for joining alone.
import Client
import JSON
import Schema
import TLS
import World

/// A token as it is listed; never its secret.
struct TokenDescription: Sendable {
  var id: String
  var expires: WallTime?
  /// The only server that may join with it; empty for any.
  var server: String
  var description: String

  func json(now: WallTime) -> JSONValue {
    [
      "id": .string(id), "expires": expires.map { .string($0.rfc3339) } ?? .null,
      "expired": .bool(isExpired(now)), "server": .string(server), "description": .string(description),
    ]
  }
  /// A token without an end is none of ours.
  func isExpired(_ now: WallTime) -> Bool { expires.map { now >= $0 } ?? true }
}

/// Why a token lets nobody in.
enum TokenRefusal: Error, Sendable {
  case unknown
  case expired(WallTime)
  case forAnother(server: String)

  func text(now: WallTime) -> String {
    switch self {
    case .unknown:
      "this token is not known here: it was deleted, or never made by this cluster. Make a new one: trireme token create"
    case .expired(let end):
      "this token expired at \(end.rfc3339); it is \(now.rfc3339) now. Make a new one: trireme token create"
    case .forAnother(let server):
      "this token is for the server \(server) only. Make one for this server: trireme token create"
    }
  }
}

struct TokenStore: Sendable {
  static let namespace = "kube-system"
  static let type = "bootstrap.kubernetes.io/token"
  static let usage = "usage-trireme-join"
  private static let prefix = "bootstrap-token-"

  let client: APIClient

  /// Keeps a new token; expired ones are swept out on the way.
  func create(_ token: JoinToken, expires: WallTime, server: String, description: String) async throws {
    for old in try await list() where old.isExpired(client.world.wallClock) { _ = try? await delete(old.id) }
    func encoded(_ text: String) -> JSONValue { .string(Base64.encode(text.utf8)) }
    var data: JSONValue = [
      "token-id": encoded(token.id), "token-secret": encoded(token.secret), "expiration": encoded(expires.rfc3339),
      "description": encoded(description),
    ]
    data[Self.usage] = encoded("true")
    if !server.isEmpty { data["server"] = encoded(server) }
    try await client.create(
      .secrets, namespace: Self.namespace,
      [
        "apiVersion": "v1", "kind": "Secret", "type": .string(Self.type),
        "metadata": ["name": .string("\(Self.prefix)\(token.id)"), "namespace": .string(Self.namespace)], "data": data,
      ])
  }

  func list() async throws -> [TokenDescription] {
    let options = ListOptions(fieldSelector: "type=\(Self.type)")
    return try await client.list(.secrets, namespace: Self.namespace, options).items.compactMap(Self.describe)
  }

  /// False when there is no such token.
  func delete(_ id: String) async throws -> Bool {
    do {
      guard let secret = try await client.find(.secrets, namespace: Self.namespace, name: Self.prefix + id),
        Self.describe(secret) != nil
      else { return false }
      try await client.delete(.secrets, namespace: Self.namespace, name: Self.prefix + id)
      return true
    } catch let status as APIStatus where status.code == 404 {
      return false
    }
  }

  /// Throws `TokenRefusal` unless the server may join with "id.secret".
  func check(_ credential: String, server: String) async throws {
    guard let (id, secret) = JoinToken.parse(credential: credential),
      let stored = try await client.find(.secrets, namespace: Self.namespace, name: Self.prefix + id),
      let description = Self.describe(stored),
      Crypto.isEqual(Array((Self.value("token-secret", of: stored) ?? "").utf8), Array(secret.utf8))
    else { throw TokenRefusal.unknown }
    let now = client.world.wallClock
    if let end = description.expires, description.isExpired(now) { throw TokenRefusal.expired(end) }
    guard !description.isExpired(now) else { throw TokenRefusal.unknown }
    guard description.server.isEmpty || description.server == server else {
      throw TokenRefusal.forAnother(server: description.server)
    }
  }

  private static func value(_ key: String, of secret: JSONValue) -> String? {
    secret["data"][key].string.flatMap(Crypto.decodeBase64).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Nil for Secrets that are no join tokens.
  private static func describe(_ secret: JSONValue) -> TokenDescription? {
    guard secret["type"].string == type, value(usage, of: secret) == "true", let id = value("token-id", of: secret),
      secret["metadata"]["name"].string == prefix + id, secret["metadata"]["deletionTimestamp"].isNull
    else { return nil }
    return TokenDescription(
      id: id, expires: value("expiration", of: secret).flatMap(WallTime.init(rfc3339:)),
      server: value("server", of: secret) ?? "", description: value("description", of: secret) ?? "")
  }
}
