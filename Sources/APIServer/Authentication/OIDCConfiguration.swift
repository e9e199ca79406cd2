// Whom an issuer's tokens stand for: what the flags --oidc-… or an AuthenticationConfiguration say (spec/8 §8.1).
import CEL
import JSON
import Schema
import TLS

/// One issuer of tokens.
public struct OIDCConfiguration: Sendable {
  /// A claim as it stands, or an expression over all claims.
  public enum Mapping: Sendable {
    case claim(String, prefix: String)
    case expression(ClaimExpression)
  }
  /// What must hold of the claims.
  public enum ClaimRule: Sendable {
    case value(claim: String, String)
    case expression(ClaimExpression, message: String)
  }

  /// Exactly as tokens name it: an https URL.
  public var issuer: String
  /// Where the issuer describes itself, where that is not below its own URL.
  public var discoveryURL: String?
  /// PEM; empty: the operating system's authorities.
  public var authorityPEM = ""
  /// A token must be for one of these.
  public var audiences: [String]
  public var algorithms: Set<String> = ["RS256"]
  public var username: Mapping
  public var groups: Mapping?
  public var uid: Mapping?
  public var extra: [(key: String, ClaimExpression)] = []
  public var claimRules: [ClaimRule] = []
  public var userRules: [(ClaimExpression, message: String)] = []

  /// What signs tokens: RFC 7518's algorithms of public keys.
  public static let knownAlgorithms = Set(SignatureAlgorithm.allCases.map(\.rawValue))

  /// As kube-apiserver's flags say it. `usernamePrefix` nil: the issuer's URL and "#" for every claim but email; "-":
  /// none. Throws what is wrong with them.
  public init(
    issuer: String, clientID: String, usernameClaim: String = "sub", usernamePrefix: String? = nil,
    groupsClaim: String? = nil, groupsPrefix: String = "", requiredClaims: [(claim: String, value: String)] = [],
    algorithms: Set<String> = ["RS256"], authorityPEM: String = ""
  ) throws(InvalidConfiguration) {
    guard HTTPSURL(issuer) != nil else {
      throw InvalidConfiguration("--oidc-issuer-url \"\(issuer)\" must be an https:// URL")
    }
    guard !clientID.isEmpty else { throw InvalidConfiguration("--oidc-issuer-url needs --oidc-client-id") }
    let unknown = algorithms.subtracting(Self.knownAlgorithms).sorted()
    guard unknown.isEmpty, !algorithms.isEmpty else {
      throw InvalidConfiguration(
        "--oidc-signing-algs \(unknown.joined(separator: ",")): tokens are verified by "
          + Self.knownAlgorithms.sorted().joined(separator: ", "))
    }
    self.issuer = issuer
    audiences = [clientID]
    self.algorithms = algorithms
    self.authorityPEM = authorityPEM
    let prefix =
      switch usernamePrefix {
      case "-"?: ""
      case let given?: given
      case nil: usernameClaim == "email" ? "" : "\(issuer)#"
      }
    username = .claim(usernameClaim, prefix: prefix)
    groups = groupsClaim.map { .claim($0, prefix: groupsPrefix) }
    claimRules = requiredClaims.map { .value(claim: $0.claim, $0.value) }
  }

  init(issuer: String, audiences: [String], username: Mapping) {
    self.issuer = issuer
    self.audiences = audiences
    self.username = username
    algorithms = Self.knownAlgorithms
  }
}

/// What is wrong with a file or a flag, in words for its author.
public struct InvalidConfiguration: Error, Sendable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

/// An expression over `claims`, or over `user`.
public struct ClaimExpression: Sendable {
  let program: CELProgram

  private static let overClaims = CELEnvironment(
    variables: [CELVariable("claims", CELSchema(.map, element: .any))], libraries: .storedExpressions)
  private static let overUser: CELEnvironment = {
    let texts = CELSchema(.list, element: CELSchema(.string))
    let members: [(String, CELSchema)] = [
      ("username", CELSchema(.string)), ("uid", CELSchema(.string)), ("groups", texts),
      ("extra", CELSchema(.map, element: texts)),
    ]
    let named = Dictionary(
      uniqueKeysWithValues: members.map { ($0.0, CELSchema.Member(name: $0.0, schema: $0.1)) })
    let user = CELSchema(.object, typeName: "kubernetes.UserInfo", members: named)
    return CELEnvironment(variables: [CELVariable("user", user)], libraries: .storedExpressions)
  }()

  /// Throws why the expression is none.
  init(_ text: String, overUser: Bool = false) throws(InvalidConfiguration) {
    do throws(CELIssues) {
      program = try (overUser ? Self.overUser : Self.overClaims).compile(text)
    } catch {
      throw InvalidConfiguration("compilation failed: \(error.description)")
    }
  }

  /// Throws why it cannot be evaluated.
  func evaluate(claims: JSONValue) throws(InvalidConfiguration) -> CELValue {
    try evaluate(CELBindings(["claims": CELValue(claims)]))
  }
  func evaluate(user: RequestUser) throws(InvalidConfiguration) -> CELValue {
    try evaluate(CELBindings(["user": CELValue(user.json)]))
  }

  private func evaluate(_ bindings: CELBindings) throws(InvalidConfiguration) -> CELValue {
    switch program.evaluate(bindings).result {
    case .success(let value): return value
    case .failure(let error):
      throw InvalidConfiguration("expression '\(program.text)' resulted in error: \(error.message)")
    }
  }
}
