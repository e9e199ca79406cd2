// The seam for bearer tokens that others made: OIDC issuers, webhooks (spec/8 §8.1).
import Schema
import World

/// What an authenticator says of a token.
public enum TokenVerdict: Sendable, Hashable {
  /// The user with every group, system:authenticated included. `audiences`: those of the asked that the token is for;
  /// nil where the token knows no audiences and is for the API server itself.
  case user(RequestUser, audiences: [String]?)
  /// Not one of its tokens: the next is asked.
  case foreign
  /// One of its tokens, and not good, or not to be judged now; in words for the log.
  case refused(String)
}

/// Knows whose some bearer tokens are. Any thread.
public protocol TokenAuthenticator: Sendable {
  /// `audiences`: whom the token must be for, one of them.
  func verdict(on token: String, audiences: [String], now: WallTime) async -> TokenVerdict
}

/// Authenticators in their order: the first that knows the token's user decides.
struct TokenAuthenticators: Sendable {
  let all: [any TokenAuthenticator]

  /// The user; or why every authenticator that had something to say refused.
  func verdict(on token: String, audiences: [String], now: WallTime) async -> TokenVerdict {
    var reasons: [String] = []
    for authenticator in all {
      switch await authenticator.verdict(on: token, audiences: audiences, now: now) {
      case .user(let user, let audiences): return .user(user, audiences: audiences)
      case .foreign: continue
      case .refused(let reason): reasons.append(reason)
      }
    }
    return reasons.isEmpty ? .foreign : .refused(reasons.joined(separator: ", "))
  }
}
