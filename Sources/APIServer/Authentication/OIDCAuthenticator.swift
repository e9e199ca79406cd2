// Tokens of an OpenID Connect issuer: its keys are fetched when they are first needed and when a token names one that
// is not known.
import HTTP
import JSON
import Schema
import Synchronization
import TLS
import World

public final class OIDCAuthenticator: TokenAuthenticator {
  private struct State {
    var keys: JSONWebKeys?
    /// When keys were fetched, or could not be.
    var triedAt: MonotonicTime?
    var problem = ""
    var isFetching = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }
  /// A token with a key that is not known makes us ask the issuer, but not more often: tokens are made up easily.
  private static let retryInterval = Duration.seconds(10)
  /// Keys that the issuer took back are not believed for longer.
  private static let keysLifetime = Duration.seconds(600)
  private static let fetchDeadline = Duration.seconds(10)
  private static let documentBytesMaximum = 1 << 20

  private let configuration: OIDCConfiguration
  private let transport: any WebhookTransport
  private let world: any World
  private let state = Mutex(State())

  /// `world`: the clock by which keys grow old.
  public init(_ configuration: OIDCConfiguration, transport: any WebhookTransport, world: any World) {
    self.configuration = configuration
    self.transport = transport
    self.world = world
  }

  public func verdict(on token: String, audiences: [String], now: WallTime) async -> TokenVerdict {
    guard let parsed = JSONWebToken(token), parsed.claims["iss"].string == configuration.issuer else { return .foreign }
    guard configuration.algorithms.contains(parsed.algorithm) else {
      return .refused(
        "oidc: verify token: oidc: id token signed with unsupported algorithm, expected "
          + "\(configuration.algorithms.sorted()) got \"\(parsed.algorithm)\"")
    }
    guard await isSigned(parsed) else {
      let problem = state.withLock(\.problem)
      return .refused("oidc: verify token: failed to verify signature\(problem.isEmpty ? "" : ": \(problem)")")
    }
    do throws(InvalidConfiguration) {
      return .user(try configuration.user(of: parsed.claims, now: now), audiences: nil)
    } catch {
      return .refused(error.description)
    }
  }

  private func isSigned(_ token: JSONWebToken) async -> Bool {
    let known = state.withLock { state in
      state.triedAt.map { world.now - $0 < Self.keysLifetime } ?? false ? state.keys : nil
    }
    if known?.haveSigned(token) == true { return true }
    await refresh()
    return state.withLock(\.keys)?.haveSigned(token) == true
  }

  // MARK: Keys

  /// Fetches the keys unless that was tried a moment ago; whoever comes meanwhile waits for the same answer.
  private func refresh() async {
    enum Turn { case mine, wait, done }
    let now = world.now
    let turn: Turn = state.withLock { state in
      if state.isFetching { return .wait }
      if let triedAt = state.triedAt, now - triedAt < Self.retryInterval { return .done }
      state.isFetching = true
      return .mine
    }
    switch turn {
    case .done: return
    case .wait:
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if state.isFetching { state.waiting.append(continuation) }
          return !state.isFetching
        }
        if isOver { continuation.resume() }
      }
      // Done now, or given up because the request that fetched was: then it is somebody else's turn.
      await refresh()
    case .mine:
      let fetched = await fetch()
      let isGivenUp = Task.isCancelled
      let waiting = state.withLock { state in
        switch fetched {
        case .success(let keys):
          state.keys = keys
          state.problem = ""
        case .failure(let problem): state.problem = problem.description
        }
        if !isGivenUp { state.triedAt = world.now }
        state.isFetching = false
        defer { state.waiting = [] }
        return state.waiting
      }
      for continuation in waiting { continuation.resume() }
    }
  }

  private func fetch() async -> Result<JSONWebKeys, InvalidConfiguration> {
    do throws(InvalidConfiguration) {
      let issuer = configuration.issuer
      let base = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
      let document = try await get(configuration.discoveryURL ?? "\(base)/.well-known/openid-configuration")
      guard document["issuer"].string == issuer else {
        throw InvalidConfiguration(
          "oidc: issuer did not match the issuer returned by provider, expected \"\(issuer)\" got "
            + "\"\(document["issuer"].string ?? "")\"")
      }
      guard let place = document["jwks_uri"].string else {
        throw InvalidConfiguration("oidc: the provider says no jwks_uri")
      }
      return .success(JSONWebKeys(try await get(place)))
    } catch {
      return .failure(error)
    }
  }

  private func get(_ text: String) async throws(InvalidConfiguration) -> JSONValue {
    guard let url = HTTPSURL(text) else { throw InvalidConfiguration("oidc: \(text) is no https:// URL") }
    let request = HTTPRequest(
      method: "GET", target: url.path.isEmpty ? "/" : url.path,
      headers: ["accept": "application/json", "host": url.authority, "user-agent": "trireme"])
    do {
      let response = try await transport.send(
        request, to: url.target(authorityPEM: configuration.authorityPEM), within: Self.fetchDeadline)
      let bytes = try await response.body.collect(upTo: Self.documentBytesMaximum)
      guard response.status == 200 else { throw InvalidConfiguration("\(response.status)") }
      return try JSONValue(parsing: bytes)
    } catch {
      throw InvalidConfiguration("oidc: Get \"\(text)\": \(error)")
    }
  }
}
