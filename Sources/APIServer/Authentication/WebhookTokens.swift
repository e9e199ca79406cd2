// Tokens that a service of somebody else's knows: it is sent a TokenReview (spec/8 §8.1).
import JSON
import Schema
import Synchronization
import TLS
import World

public final class WebhookTokens: TokenAuthenticator {
  public struct Options: Sendable {
    /// Of authentication.k8s.io: what the service speaks.
    public var version = "v1beta1"
    /// How long an answer holds, either way.
    public var cacheLifetime = Duration.seconds(120)
    public init() {}
  }

  private let reviews: RemoteReviews
  private let options: Options
  private let world: any World
  private let cache = Mutex(TimedCache<[UInt8], TokenVerdict>())

  /// `world`: the clock by which answers grow old.
  public init(_ reviews: RemoteReviews, options: Options = Options(), world: any World) {
    self.reviews = reviews
    self.options = options
    self.world = world
  }

  public func verdict(on token: String, audiences: [String], now: WallTime) async -> TokenVerdict {
    // Tokens themselves are not kept: what is read out of memory must not be of use to anybody.
    let key = Crypto.sha256(Array((audiences + [token]).joined(separator: "\0").utf8))
    if let known = cache.withLock({ $0.value(of: key, now: world.now) }) { return known }
    let review: JSONValue = [
      "kind": "TokenReview", "apiVersion": .string("authentication.k8s.io/\(options.version)"),
      "metadata": ["creationTimestamp": .null],
      "spec": ["token": .string(token), "audiences": .array(audiences.map { .string($0) })], "status": ["user": [:]],
    ]
    let status: JSONValue
    do throws(InvalidConfiguration) {
      status = try await reviews.ask(review)["status"]
    } catch {
      // No answer is kept: the next request asks again.
      return .refused(error.description)
    }
    let verdict = verdict(of: status, audiences)
    let since = world.now
    cache.withLock { $0.keep(verdict, of: key, until: since + options.cacheLifetime, now: since) }
    return verdict
  }

  private func verdict(of status: JSONValue, _ asked: [String]) -> TokenVerdict {
    guard status["authenticated"] == true else {
      let why = status["error"].string ?? ""
      return why.isEmpty ? .foreign : .refused(why)
    }
    let given = status["audiences"].elements.compactMap(\.string)
    // A service that knows nothing of audiences vouches for the API server alone.
    let common = given.isEmpty ? nil : asked.filter(given.contains)
    if let common, common.isEmpty { return .refused("the token is for others: \(given)") }
    let user = status["user"]
    let name = user["username"].string ?? ""
    guard !name.isEmpty else { return .refused("the token review names no user") }
    var groups = user["groups"].elements.compactMap(\.string)
    if !groups.contains("system:authenticated") { groups.append("system:authenticated") }
    var extra: [String: [String]] = [:]
    for (key, values) in user["extra"].object ?? [:] { extra[key] = values.elements.compactMap(\.string) }
    return .user(
      RequestUser(name: name, uid: user["uid"].string ?? "", groups: groups, extra: extra), audiences: common)
  }
}
