import Replica
import Schema
import Synchronization
import World

/// Role-based access control over the roles and bindings in the store.
///
/// The compiled policy is kept until one of its objects changes here; a change made through another server counts as
/// soon as it has been applied on this one.
public final class RBACAuthorizer: Authorizer {
  private struct State {
    var policy: RBACPolicy?
    var subscriptions: [any WatchSubscription] = []
    var watchesAll = false
    var compiledAt = MonotonicTime(nanoseconds: 0)
  }
  /// Compiled anew at least this often, whatever the watches said: a snapshot that replaces the state may end them.
  private static let lifetime = Duration.seconds(30)

  private let store: any ObjectStore
  private let world: any World
  private let state = Mutex(State())

  /// `world`: the loop on which changes are noted.
  public init(store: any ObjectStore, world: any World) {
    self.store = store
    self.world = world
  }

  deinit { for subscription in state.withLock({ $0.subscriptions }) { subscription.cancel() } }

  public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
    policy.decide(attributes)
  }

  /// The policy of the state applied here.
  var policy: RBACPolicy {
    let now = world.now
    if let known = state.withLock({ state in
      now - state.compiledAt < Self.lifetime ? state.policy : nil
    }) {
      return known
    }
    subscribe()
    let compiled = RBACPolicy(store.current)
    state.withLock { state in
      state.policy = state.watchesAll ? compiled : nil
      state.compiledAt = now
    }
    return compiled
  }

  /// Changes after this moment void what is compiled next; so the watches begin before the compiling.
  private func subscribe() {
    let old = state.withLock { state in
      defer { state.subscriptions = [] }
      state.policy = nil
      return state.subscriptions
    }
    for subscription in old { subscription.cancel() }
    var subscriptions: [any WatchSubscription] = []
    let revision = store.current.revision
    for resource in RBACPolicy.resources {
      let start = store.watch(resource: resource, after: revision, on: world) { [weak self] changes, _ in
        if !changes.isEmpty { self?.state.withLock { $0.policy = nil } }
      }
      if case .started(let subscription) = start { subscriptions.append(subscription) }
    }
    let started = subscriptions
    state.withLock { state in
      state.subscriptions = started
      state.watchesAll = started.count == RBACPolicy.resources.count
    }
  }
}

/// Authorizers in their order: the first that allows or denies decides, and the end of the list denies.
public struct AuthorizerChain: Authorizer {
  private let authorizers: [any Authorizer]
  public init(_ authorizers: [any Authorizer]) { self.authorizers = authorizers }

  public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
    var reasons: [String] = []
    for authorizer in authorizers {
      let decision = await authorizer.authorize(attributes)
      if case .noOpinion(let reason) = decision {
        if !reason.isEmpty { reasons.append(reason) }
        continue
      }
      return decision
    }
    return .noOpinion(reason: reasons.joined(separator: "; "))
  }
}

/// system:masters may do everything; no role can take that away.
public struct MastersAuthorizer: Authorizer {
  public init() {}
  public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
    attributes.user.groups.contains("system:masters") ? .allow() : .noOpinion()
  }
}
