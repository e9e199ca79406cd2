// authorizer.group('apps').resource('deployments').namespace('x').check('create').allowed()

/// What an expression asks an authorizer.
public struct CELAuthorizationCheck: Sendable, Hashable {
  /// Asked for that service account instead of the user of the request.
  public var serviceAccount: ServiceAccount?
  /// Of a check that is not for a resource.
  public var path: String?
  public var verb = ""
  public var group = ""
  public var resource = ""
  public var subresource = ""
  public var namespace = ""
  public var name = ""
  public var fieldSelector = ""
  public var labelSelector = ""

  public init() {}

  public struct ServiceAccount: Sendable, Hashable {
    public var namespace: String
    public var name: String
    public init(namespace: String, name: String) {
      self.namespace = namespace
      self.name = name
    }
  }
}

public struct CELAuthorizationDecision: Sendable, Hashable {
  public var isAllowed: Bool
  public var reason: String
  /// Why the authorizer could not decide; empty when it could.
  public var error: String
  public init(isAllowed: Bool, reason: String = "", error: String = "") {
    self.isAllowed = isAllowed
    self.reason = reason
    self.error = error
  }
}

/// Decides what expressions ask. An authorizer that must wait throws `CELError.suspended` after noting the check;
/// its owner finds the answer out and evaluates again.
public protocol CELAuthorizer: Sendable {
  func decide(_ check: CELAuthorizationCheck) throws(CELError) -> CELAuthorizationDecision
}

extension CELError {
  /// An answer is not known yet.
  public static let suspended = CELError("the answer of an authorizer is not known yet", kind: .suspended)
}

/// An authorizer, or a question to one that is being built.
private struct AuthorizationQuestion: CELOpaque {
  enum Kind: String {
    case authorizer = "kubernetes.authorization.Authorizer"
    case path = "kubernetes.authorization.PathCheck"
    case group = "kubernetes.authorization.GroupCheck"
    case resource = "kubernetes.authorization.ResourceCheck"
  }
  let authorizer: any CELAuthorizer
  var kind: Kind
  var check = CELAuthorizationCheck()

  var typeName: String { kind.rawValue }
  func equals(_ other: any CELOpaque) -> Bool {
    guard let other = other as? AuthorizationQuestion else { return false }
    return kind == other.kind && check == other.check
  }
}

private struct AuthorizationAnswer: CELOpaque {
  let decision: CELAuthorizationDecision
  var typeName: String { "kubernetes.authorization.Decision" }
  func equals(_ other: any CELOpaque) -> Bool { (other as? AuthorizationAnswer)?.decision == decision }
}

extension CELValue {
  /// The variable `authorizer`.
  public static func authorizer(_ authorizer: any CELAuthorizer) -> CELValue {
    .opaque(AuthorizationQuestion(authorizer: authorizer, kind: .authorizer))
  }

  /// The variable `authorizer.requestResource`: a question about the resource of the request.
  public static func authorizer(_ authorizer: any CELAuthorizer, asking check: CELAuthorizationCheck) -> CELValue {
    .opaque(AuthorizationQuestion(authorizer: authorizer, kind: .resource, check: check))
  }
}

extension CELType {
  /// The type of the variable `authorizer`.
  public static let authorizer = CELType.named("kubernetes.authorization.Authorizer")
  public static let resourceCheck = CELType.named("kubernetes.authorization.ResourceCheck")
}

enum AuthorizerFunctions {
  private static let pathCheck = CELType.named("kubernetes.authorization.PathCheck")
  private static let groupCheck = CELType.named("kubernetes.authorization.GroupCheck")
  private static let decision = CELType.named("kubernetes.authorization.Decision")

  static let all: [CELFunction] = [
    CELFunction("path", [.member("authorizer_path", [.authorizer, .string], pathCheck)]) { arguments throws(CELError) in
      guard let path = arguments[1].text, !path.isEmpty else { throw CELError("path must not be empty") }
      return try changed(arguments, "path", from: .authorizer, to: .path) { $0.path = path }
    },
    step("group", "authorizer_group", .authorizer, groupCheck, from: .authorizer, to: .group) { $0.group = $1 },
    step("resource", "groupcheck_resource", groupCheck, .resourceCheck, from: .group, to: .resource) {
      $0.resource = $1
    },
    step("subresource", "resourcecheck_subresource") { $0.subresource = $1 },
    step("namespace", "resourcecheck_namespace") { $0.namespace = $1 },
    step("name", "resourcecheck_name") { $0.name = $1 },
    step("fieldSelector", "authorizer_fieldselector") { $0.fieldSelector = $1 },
    step("labelSelector", "authorizer_labelselector") { $0.labelSelector = $1 },
    CELFunction(
      "serviceAccount",
      [.member("authorizer_serviceaccount", [.authorizer, .string, .string], .authorizer)]
    ) { arguments throws(CELError) in
      guard let namespace = arguments[1].text, let name = arguments[2].text else {
        throw .noSuchOverload("serviceAccount", arguments)
      }
      return try changed(arguments, "serviceAccount", from: .authorizer, to: .authorizer) {
        $0.serviceAccount = CELAuthorizationCheck.ServiceAccount(namespace: namespace, name: name)
      }
    },
    CELFunction(
      "check",
      [
        .member("pathcheck_check", [pathCheck, .string], decision),
        .member("resourcecheck_check", [.resourceCheck, .string], decision),
      ]
    ) { arguments throws(CELError) in
      guard case .opaque(let value) = arguments[0], var question = value as? AuthorizationQuestion,
        let verb = arguments[1].text, question.kind == .path || question.kind == .resource
      else { throw .noSuchOverload("check", arguments) }
      question.check.verb = verb
      return .opaque(AuthorizationAnswer(decision: try question.authorizer.decide(question.check)))
    },
    answer("allowed", "decision_allowed", .bool) { .bool($0.isAllowed) },
    answer("reason", "decision_reason", .string) { .string($0.reason) },
    answer("errored", "decision_errored", .bool) { .bool(!$0.error.isEmpty) },
    answer("error", "decision_error", .string) { .string($0.error) },
  ]

  private static func changed(
    _ arguments: [CELValue], _ name: String, from kind: AuthorizationQuestion.Kind, to next: AuthorizationQuestion.Kind,
    _ change: (inout CELAuthorizationCheck) -> Void
  ) throws(CELError) -> CELValue {
    guard case .opaque(let value) = arguments[0], var question = value as? AuthorizationQuestion, question.kind == kind
    else { throw .noSuchOverload(name, arguments) }
    question.kind = next
    change(&question.check)
    return .opaque(question)
  }

  private static func step(
    _ name: String, _ id: String, _ target: CELType = .resourceCheck, _ result: CELType = .resourceCheck,
    from kind: AuthorizationQuestion.Kind = .resource, to next: AuthorizationQuestion.Kind = .resource,
    _ change: @escaping @Sendable (inout CELAuthorizationCheck, String) -> Void
  ) -> CELFunction {
    CELFunction(name, [.member(id, [target, .string], result)]) { arguments throws(CELError) in
      guard let text = arguments[1].text else { throw .noSuchOverload(name, arguments) }
      return try changed(arguments, name, from: kind, to: next) { change(&$0, text) }
    }
  }

  private static func answer(
    _ name: String, _ id: String, _ type: CELType,
    _ value: @escaping @Sendable (CELAuthorizationDecision) -> CELValue
  ) -> CELFunction {
    CELFunction(name, [.member(id, [decision], type)]) { arguments throws(CELError) in
      guard case .opaque(let opaque) = arguments[0], let answer = opaque as? AuthorizationAnswer else {
        throw .noSuchOverload(name, arguments)
      }
      return value(answer.decision)
    }
  }
}
