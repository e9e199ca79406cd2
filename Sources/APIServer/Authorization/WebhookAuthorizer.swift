// A service of somebody else's that says who may do what: it is sent a SubjectAccessReview (spec/8 §8.3).
import CEL
import JSON
import Schema
import Synchronization
import TLS
import World

public final class WebhookAuthorizer: Authorizer {
  public struct Options: Sendable {
    /// Of authorization.k8s.io: what the service speaks.
    public var version = "v1beta1"
    /// How long answers hold.
    public var allowedLifetime = Duration.seconds(300)
    public var refusedLifetime = Duration.seconds(30)
    /// For each try.
    public var timeout = Duration.seconds(30)
    /// Whether no answer means no, rather than that the next authorizer decides.
    public var failsClosed = false
    /// It is asked only about what all of these hold of.
    public var conditions: [AccessCondition] = []
    public init() {}
  }
  /// A request with longer parts is nobody's; it is asked anew every time.
  private static let keyBytesMaximum = 10_000

  private let reviews: RemoteReviews
  private let options: Options
  private let world: any World
  private let cache = Mutex(TimedCache<[UInt8], AuthorizationDecision>())

  /// `world`: the clock by which answers grow old.
  public init(_ reviews: RemoteReviews, options: Options = Options(), world: any World) {
    self.reviews = reviews
    self.options = options
    self.world = world
  }

  public func authorize(_ attributes: AuthorizationAttributes) async -> AuthorizationDecision {
    let spec = Self.spec(attributes)
    do throws(InvalidConfiguration) {
      for condition in options.conditions where try !condition.holds(spec) { return .noOpinion() }
    } catch {
      return failure(error.description)
    }
    let bytes = spec.bytes
    let key = bytes.count <= Self.keyBytesMaximum ? Crypto.sha256(bytes) : nil
    if let key, let known = cache.withLock({ $0.value(of: key, now: world.now) }) { return known }
    let review: JSONValue = [
      "kind": "SubjectAccessReview", "apiVersion": .string("authorization.k8s.io/\(options.version)"),
      "metadata": ["creationTimestamp": .null], "spec": options.version == "v1beta1" ? Self.beta(spec) : spec,
      "status": ["allowed": false],
    ]
    let status: JSONValue
    do throws(InvalidConfiguration) {
      status = try await reviews.ask(review, within: options.timeout)["status"]
    } catch {
      return failure(error.description)
    }
    let reason = status["reason"].string ?? ""
    let isAllowed = status["allowed"] == true
    if isAllowed, status["denied"] == true {
      return failure("webhook subject access review returned both allow and deny response")
    }
    let decision: AuthorizationDecision =
      isAllowed ? .allow(reason: reason) : status["denied"] == true ? .deny(reason: reason) : .noOpinion(reason: reason)
    if let key {
      let since = world.now
      let lifetime = isAllowed ? options.allowedLifetime : options.refusedLifetime
      cache.withLock { $0.keep(decision, of: key, until: since + lifetime, now: since) }
    }
    return decision
  }

  private func failure(_ why: String) -> AuthorizationDecision {
    options.failsClosed ? .deny(reason: why) : .noOpinion(reason: why)
  }

  // MARK: The review

  /// `spec` of authorization.k8s.io/v1.
  private static func spec(_ attributes: AuthorizationAttributes) -> JSONValue {
    func document(_ members: [(String, String)]) -> JSONValue {
      .object(JSONObject(uniqueMembers: members.filter { !$0.1.isEmpty }.map { ($0.0, .string($0.1)) }))
    }
    var spec: JSONValue = [:]
    if attributes.isResourceRequest {
      var resource = document([
        ("namespace", attributes.namespace), ("verb", attributes.verb), ("group", attributes.apiGroup),
        ("version", attributes.apiVersion), ("resource", attributes.resource),
        ("subresource", attributes.subresource), ("name", attributes.name),
      ])
      for (member, text) in [
        ("fieldSelector", attributes.fieldSelector), ("labelSelector", attributes.labelSelector),
      ] where !text.isEmpty {
        let requirements = member == "fieldSelector" ? fields(text) : labels(text)
        resource[member] = requirements.map { ["requirements": .array($0)] } ?? ["rawSelector": .string(text)]
      }
      spec["resourceAttributes"] = resource
    } else {
      spec["nonResourceAttributes"] = document([("path", attributes.path), ("verb", attributes.verb)])
    }
    let user = attributes.user
    spec["user"] = .string(user.name)
    if !user.groups.isEmpty { spec["groups"] = .array(user.groups.map { .string($0) }) }
    if !user.extra.isEmpty { spec["extra"] = user.json["extra"] }
    if !user.uid.isEmpty { spec["uid"] = .string(user.uid) }
    return spec
  }

  private static func fields(_ text: String) -> [JSONValue]? {
    guard let selector = try? FieldSelector(parsing: text) else { return nil }
    return selector.requirements.map { requirement in
      [
        "key": .string(requirement.field), "operator": requirement.isNegated ? "NotIn" : "In",
        "values": [.string(requirement.value)],
      ]
    }
  }

  private static func labels(_ text: String) -> [JSONValue]? {
    guard let selector = try? LabelSelector(parsing: text) else { return nil }
    var requirements: [JSONValue] = []
    for requirement in selector.requirements {
      guard let document = requirement.reviewed else { return nil }
      requirements.append(document)
    }
    return requirements
  }

  /// authorization.k8s.io/v1beta1 calls the groups `group`.
  private static func beta(_ spec: JSONValue) -> JSONValue {
    var spec = spec
    spec["group"] = spec["groups"]
    spec["groups"] = .null
    return spec
  }
}

/// An expression over `request`, the spec of a SubjectAccessReview.
public struct AccessCondition: Sendable {
  private let program: CELProgram

  private static let environment: CELEnvironment = {
    let text = CELSchema(.string)
    let texts = CELSchema(.list, element: text)
    func object(_ name: String, _ members: [(String, CELSchema)]) -> CELSchema {
      let named = Dictionary(uniqueKeysWithValues: members.map { ($0.0, CELSchema.Member(name: $0.0, schema: $0.1)) })
      return CELSchema(.object, typeName: name, members: named)
    }
    let requirement = object(
      "kubernetes.SelectorRequirement", [("key", text), ("operator", text), ("values", texts)])
    let selector = object(
      "kubernetes.SelectorAttributes",
      [("rawSelector", text), ("requirements", CELSchema(.list, element: requirement))])
    let resource = object(
      "kubernetes.ResourceAttributes",
      [
        ("namespace", text), ("verb", text), ("group", text), ("version", text), ("resource", text),
        ("subresource", text), ("name", text), ("fieldSelector", selector), ("labelSelector", selector),
      ])
    let path = object("kubernetes.NonResourceAttributes", [("path", text), ("verb", text)])
    let spec = object(
      "kubernetes.SubjectAccessReviewSpec",
      [
        ("resourceAttributes", resource), ("nonResourceAttributes", path), ("user", text), ("groups", texts),
        ("extra", CELSchema(.map, element: texts)), ("uid", text),
      ])
    return CELEnvironment(variables: [CELVariable("request", spec)], libraries: .storedExpressions)
  }()

  /// Throws why the expression is none.
  public init(_ text: String) throws(InvalidConfiguration) {
    let program: CELProgram
    do throws(CELIssues) { program = try Self.environment.compile(text) } catch {
      throw InvalidConfiguration("compilation failed: \(error.description)")
    }
    guard program.resultType == .bool else { throw InvalidConfiguration("must evaluate to bool") }
    self.program = program
  }

  func holds(_ spec: JSONValue) throws(InvalidConfiguration) -> Bool {
    switch program.evaluate(CELBindings(["request": CELValue(spec)])).result {
    case .success(.bool(let holds)): return holds
    case .success: return false
    case .failure(let error):
      throw InvalidConfiguration("expression '\(program.text)' resulted in error: \(error.message)")
    }
  }
}

extension LabelSelector.Requirement {
  /// As reviews carry it; nil for comparisons of numbers, which they do not know.
  fileprivate var reviewed: JSONValue? {
    func document(_ name: JSONValue) -> JSONValue {
      var document: JSONValue = ["key": .string(key), "operator": name]
      if !values.isEmpty { document["values"] = .array(values.map { .string($0) }) }
      return document
    }
    switch `operator` {
    case .in, .equals, .doubleEquals: return document("In")
    case .notIn, .notEquals: return document("NotIn")
    case .exists: return document("Exists")
    case .doesNotExist: return document("DoesNotExist")
    case .greaterThan, .lessThan: return nil
    }
  }
}
