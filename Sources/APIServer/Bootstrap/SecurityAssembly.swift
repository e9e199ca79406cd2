// Authentication, authorization and admission put together: what a server and the stories of the tests both start with.
import Replica
import Schema
import TLS
import World

/// Who is believed and asked beside the cluster itself.
public struct SecurityOptions: Sendable {
  /// Asked for tokens that are not the cluster's own, in their order.
  public var tokens: [any TokenAuthenticator] = []
  /// Asked after health paths and system:masters, in their order; the end of the list denies.
  public var authorizers: [AuthorizerChoice] = [.node, .rbac]
  public init() {}
}

/// The parts that decide who may do what, over one store.
public struct SecurityParts: Sendable {
  public let tokens: ServiceAccountTokens
  public let rbac: RBACAuthorizer
  /// Every authorizer in its order.
  public let authorizer: any Authorizer
  private let store: any ObjectStore
  private let world: any World
  private let webhooks: WebhookCaller
  private let options: SecurityOptions
  /// Those of `optionalPlugins` that run, by name.
  public var enabledPlugins: Set<String> = []

  /// The checks that /livez counts. Others fail for reasons that starting the process again would not cure.
  public static let livenessChecks: Set<String> = ["ping", "log", "etcd"]

  /// `tokenKey` signs service account tokens, the same on every server; `world` is the loop on which changes of roles
  /// are noted, and the clock by which tokens expire.
  /// `webhooks`: the way to admission webhooks.
  public init(
    store: any ObjectStore, tokenKey: PrivateKey, world: any World, options: SecurityOptions = SecurityOptions(),
    webhooks transport: any WebhookTransport = UnreachableWebhooks()
  ) {
    self.options = options
    self.store = store
    self.world = world
    tokens = ServiceAccountTokens(key: tokenKey)
    let rbac = RBACAuthorizer(store: store, world: world)
    self.rbac = rbac
    let chosen: [any Authorizer] = options.authorizers.map { choice in
      switch choice {
      case .node: NodeAuthorizer(store: store)
      case .rbac: rbac
      case .webhook(let webhook): webhook
      }
    }
    authorizer = AuthorizerChain([HealthAuthorizer(), MastersAuthorizer()] + chosen)
    webhooks = WebhookCaller(transport: transport, authorizer: authorizer, clock: { world.now }) { world.randomBits() }
  }

  /// What an API server takes: `checks` are those of /readyz and /healthz, by name.
  public static func dependencies(
    store: any ObjectStore, tokenKey: PrivateKey, world: any World, checks: @escaping HealthChecks
  ) -> APIServer.Dependencies {
    SecurityParts(store: store, tokenKey: tokenKey, world: world).dependencies(checks: checks)
  }

  public func dependencies(checks: @escaping HealthChecks) -> APIServer.Dependencies {
    var dependencies = APIServer.Dependencies()
    let world = world
    dependencies.authenticator = RequestAuthenticator(
      store: store, tokens: tokens, others: options.tokens, authorizer: authorizer, wallClock: { world.wallClock })
    dependencies.authorizer = authorizer
    dependencies.admission = admission
    dependencies.computed = computed
    dependencies.webhooks = webhooks
    let metrics = HealthMetrics()
    dependencies.paths["/metrics/slis"] = metrics
    let health: [(String, Set<String>?)] = [("livez", Self.livenessChecks), ("readyz", nil), ("healthz", nil)]
    for (name, included) in health {
      let handler = HealthPath(name: name, including: included, metrics: metrics, checks: checks)
      dependencies.paths["/\(name)"] = handler
      dependencies.paths["/\(name)/"] = handler
    }
    dependencies.paths["/.well-known/openid-configuration"] = IssuerDocument.configuration(of: tokens)
    dependencies.paths["/openid/v1/jwks"] = IssuerDocument.keys(of: tokens)
    return dependencies
  }

  /// Plugins that run only where a server is told so (`enabledPlugins`).
  public static let optionalPlugins: [any ValidatingAdmission] = [DenyServiceExternalIPs()]

  /// In the reference's order (spec/8 §8.4): those that change, then those that refuse.
  public var admission: Admission {
    let world = world
    var validating: [any ValidatingAdmission] = [
      NamespaceLifecycle(), LimitRangeBounds(), MountableSecrets(), NodeRestriction(), PodSecurityAdmission(),
      ClaimResize(), CertificateAdmission(authorizer: authorizer),
      EscalationCheck(rbac: rbac, authorizer: authorizer),
    ]
    validating += Self.optionalPlugins.filter { enabledPlugins.contains($0.name) }
    validating += [
      ExpressionValidation(), ParameterAccess(authorizer: authorizer),
      ValidatingAdmissionPolicies(authorizer: authorizer, webhooks: webhooks), ValidatingWebhooks(webhooks),
      ResourceQuotaAdmission(),
    ]
    return Admission(
      mutating: [
        LimitRangeDefaults(), ServiceAccountAdmission { world.randomBits() }, TaintNewNodes(), PriorityAdmission(),
        DefaultTolerations(), DefaultStorageClass(), StorageObjectInUseProtection(), RuntimeClassAdmission(),
        DefaultIngressClass(),
      ], validating: validating, webhooks: MutatingWebhooks(webhooks))
  }

  private var rulesReview: RulesReviewResource {
    var (usesRoles, hasNodes, hasWebhooks) = (false, false, false)
    for choice in options.authorizers {
      switch choice {
      case .rbac: usesRoles = true
      case .node: hasNodes = true
      case .webhook: hasWebhooks = true
      }
    }
    return RulesReviewResource(rbac: usesRoles ? rbac : nil, hasNodes: hasNodes, hasWebhooks: hasWebhooks)
  }

  private var computed: [String: any ComputedResource] {
    [
      "tokenreviews.authentication.k8s.io": TokenReviewResource(tokens: tokens, others: options.tokens),
      "selfsubjectreviews.authentication.k8s.io": SelfSubjectReviewResource(),
      "subjectaccessreviews.authorization.k8s.io": AccessReviewResource(.subject, authorizer: authorizer),
      "localsubjectaccessreviews.authorization.k8s.io": AccessReviewResource(.local, authorizer: authorizer),
      "selfsubjectaccessreviews.authorization.k8s.io": AccessReviewResource(.own, authorizer: authorizer),
      "selfsubjectrulesreviews.authorization.k8s.io": rulesReview,
      "serviceaccounts/token": TokenRequestResource(tokens: tokens),
    ]
  }
}
