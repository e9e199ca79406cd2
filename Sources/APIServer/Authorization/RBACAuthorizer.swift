import Replica
import Schema
import Synchronization
import World

/// Role-based access control over the roles and bindings in the store.
///
/// The compiled policy is kept until one of its objects changes here; a change made through another server counts as
/// soon as it has been applied on this one. What was written through this server counts at once: nobody is refused by
/// a policy older than the state that this server answers from.
public final class RBACAuthorizer: Authorizer {
  private struct State {
    var policy: RBACPolicy?
    var fingerprint = Fingerprint()
    /// The policy that `fingerprint` tells of, also when it has been voided.
    var compiled: RBACPolicy?
    var subscriptions: [any WatchSubscription] = []
    var watchesAll = false
    /// Counts what voids the policy, so that one compiled meanwhile is not taken for a new one.
    var voids: UInt64 = 0
    var compiledAt = MonotonicTime(nanoseconds: 0)
  }
  /// What tells two sets of roles and bindings apart: every change raises the newest revision or lowers the count.
  private struct Fingerprint: Equatable {
    var newest: Revision = 0
    var count = -1
  }
  /// Looked at anew at least this often, whatever the watches said: compiled anew when the fingerprint is another.
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
    let decision = policy.decide(attributes)
    if decision.isAllowed { return decision }
    // The change that would allow it may be applied and not noted yet.
    return currentPolicy.decide(attributes)
  }

  /// A policy that is at most one turn of the noting loop old.
  private var policy: RBACPolicy {
    let now = world.now
    if let known = state.withLock({ state in
      now - state.compiledAt < Self.lifetime ? state.policy : nil
    }) {
      return known
    }
    return compile(now)
  }

  /// The policy of the state applied here.
  var currentPolicy: RBACPolicy {
    let newest = Self.fingerprint(store.current)
    if let known = state.withLock({ $0.fingerprint == newest ? $0.policy : nil }) { return known }
    return compile(world.now)
  }

  private func compile(_ now: MonotonicTime) -> RBACPolicy {
    subscribe(now)
    let voids = state.withLock(\.voids)
    let view = store.current
    let fingerprint = Self.fingerprint(view)
    let known = state.withLock { $0.fingerprint == fingerprint ? $0.compiled : nil }
    let compiled = known ?? RBACPolicy(view)
    state.withLock { state in
      guard state.watchesAll, state.voids == voids else { return }
      state.policy = compiled
      state.compiled = compiled
      state.fingerprint = fingerprint
      state.compiledAt = now
    }
    return compiled
  }

  private static func fingerprint(_ view: any StateView) -> Fingerprint {
    var result = Fingerprint(newest: 0, count: 0)
    for resource in RBACPolicy.resources {
      for object in view.objects(resource: resource, namespace: "", after: nil, limit: 0).objects {
        result.newest = max(result.newest, object.revision)
        result.count += 1
      }
    }
    return result
  }

  /// Watches begin before the first policy is compiled, and begin again when they ended or grew old.
  private func subscribe(_ now: MonotonicTime) {
    let old: [any WatchSubscription]? = state.withLock { state in
      guard !state.watchesAll || now - state.compiledAt >= Self.lifetime else { return nil }
      defer { state.subscriptions = [] }
      state.policy = nil
      state.watchesAll = false
      return state.subscriptions
    }
    guard let old else { return }
    for subscription in old { subscription.cancel() }
    var subscriptions: [any WatchSubscription] = []
    let revision = store.current.revision
    for resource in RBACPolicy.resources {
      let start = store.watch(resource: resource, after: revision, on: world) { [weak self] changes, _ in
        if !changes.isEmpty { self?.void(endsWatching: false) }
      } ended: { [weak self] in
        self?.void(endsWatching: true)
      }
      if case .started(let subscription) = start { subscriptions.append(subscription) }
    }
    let started = subscriptions
    let surplus: [any WatchSubscription] = state.withLock { state in
      // Two requests may have come here at the same time: one set of watches is enough.
      guard !state.watchesAll else { return started }
      let replaced = state.subscriptions
      state.subscriptions = started
      state.watchesAll = started.count == RBACPolicy.resources.count
      return replaced
    }
    for subscription in surplus { subscription.cancel() }
  }

  private func void(endsWatching: Bool) {
    state.withLock { state in
      state.voids += 1
      state.policy = nil
      if endsWatching { state.watchesAll = false }
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
    return .noOpinion(reason: reasons.joined(separator: "\n"))
  }
}

/// system:masters may do everything; no role can take that away.
public struct MastersAuthorizer: Authorizer {
  public init() {}
  public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
    attributes.user.groups.contains("system:masters") ? .allow() : .noOpinion()
  }
}
