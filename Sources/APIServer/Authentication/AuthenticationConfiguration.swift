// The file of --authentication-config: AuthenticationConfiguration of apiserver.config.k8s.io (spec/8 §8.1).
import CEL
import JSON
import Schema

/// Issuers of tokens, read from a file (YAML or JSON).
public struct AuthenticationConfiguration: Sendable {
  public let issuers: [OIDCConfiguration]

  /// What an invalid file is told by: the field, then what is wrong with it.
  private static func problem(_ field: String, _ text: String) -> InvalidConfiguration {
    InvalidConfiguration("\(field): \(text)")
  }

  public init(parsing bytes: [UInt8]) throws(InvalidConfiguration) {
    let tree: JSONValue
    do { tree = try YAML.parse(bytes) } catch { throw InvalidConfiguration("it is not YAML: \(error)") }
    let versions = ["v1", "v1beta1", "v1alpha1"].map { "apiserver.config.k8s.io/\($0)" }
    guard tree["kind"] == "AuthenticationConfiguration", versions.contains(tree["apiVersion"].string ?? "") else {
      throw InvalidConfiguration(
        "it must be of kind AuthenticationConfiguration and apiVersion apiserver.config.k8s.io/v1beta1")
    }
    // Nobody is anonymous but on the paths that load balancers ask; a file that asks for more must not be half obeyed.
    let anonymous = tree["anonymous"]
    if anonymous["enabled"] == true {
      let paths = anonymous["conditions"].elements.compactMap { $0["path"].string }
      guard !paths.isEmpty, paths.allSatisfy({ HealthAuthorizer.paths.contains($0) }) else {
        throw Self.problem(
          "anonymous", "anonymous requests reach health paths only here: name those under conditions, or leave it out")
      }
    }
    var issuers: [OIDCConfiguration] = []
    var urls: Set<String> = []
    for (index, jwt) in tree["jwt"].elements.enumerated() {
      let issuer = try Self.issuer(jwt, "jwt[\(index)]")
      guard urls.insert(issuer.discoveryURL ?? issuer.issuer).inserted else {
        throw Self.problem("jwt[\(index)].issuer.url", "Duplicate value: \"\(issuer.issuer)\"")
      }
      issuers.append(issuer)
    }
    self.issuers = issuers
  }

  private static func issuer(_ jwt: JSONValue, _ place: String) throws(InvalidConfiguration) -> OIDCConfiguration {
    let issuer = jwt["issuer"]
    let url = issuer["url"].string ?? ""
    if url.isEmpty { throw problem("\(place).issuer.url", "Required value: URL is required") }
    guard HTTPSURL(url) != nil, !url.contains("?"), !url.contains("#") else {
      throw problem("\(place).issuer.url", "Invalid value: \"\(url)\": URL scheme must be https")
    }
    let audiences = issuer["audiences"].elements.compactMap(\.string).filter { !$0.isEmpty }
    if audiences.isEmpty {
      throw problem("\(place).issuer.audiences", "Required value: at least one \(place).issuer.audiences is required")
    }
    if audiences.count > 1, issuer["audienceMatchPolicy"] != "MatchAny" {
      throw problem(
        "\(place).issuer.audienceMatchPolicy",
        "Invalid value: \(issuer["audienceMatchPolicy"].string ?? "\"\""): audienceMatchPolicy must be MatchAny for "
          + "multiple audiences")
    }
    let mappings = jwt["claimMappings"]
    guard let username = try mapping(mappings["username"], "\(place).claimMappings.username", needsPrefix: true) else {
      throw problem("\(place).claimMappings.username", "Required value: claim or expression is required")
    }
    var made = OIDCConfiguration(issuer: url, audiences: audiences, username: username)
    made.authorityPEM = issuer["certificateAuthority"].string ?? ""
    if let discovery = issuer["discoveryURL"].string, !discovery.isEmpty {
      guard HTTPSURL(discovery) != nil else {
        throw problem("\(place).issuer.discoveryURL", "Invalid value: \"\(discovery)\": URL scheme must be https")
      }
      made.discoveryURL = discovery
    }
    made.groups = try mapping(mappings["groups"], "\(place).claimMappings.groups", needsPrefix: true)
    made.uid = try mapping(mappings["uid"], "\(place).claimMappings.uid", needsPrefix: false)
    made.extra = try extra(mappings["extra"], "\(place).claimMappings.extra")
    try readRules(jwt, place, into: &made)
    return made
  }

  private static func mapping(
    _ mapping: JSONValue, _ place: String, needsPrefix: Bool
  ) throws(InvalidConfiguration) -> OIDCConfiguration.Mapping? {
    let claim = mapping["claim"].string ?? ""
    let text = mapping["expression"].string ?? ""
    switch (claim.isEmpty, text.isEmpty) {
    case (true, true): return nil
    case (false, false):
      throw problem(place, "Invalid value: \"\": claim and expression can't both be set")
    case (false, true):
      guard !needsPrefix || mapping["prefix"].string != nil else {
        throw problem(
          "\(place).prefix", "Required value: prefix is required when claim is set. It can be set to an empty string")
      }
      return .claim(claim, prefix: needsPrefix ? mapping["prefix"].string ?? "" : "")
    case (true, false):
      guard mapping["prefix"].isNull else {
        throw problem("\(place).prefix", "Invalid value: prefix can't be set when expression is set")
      }
      return .expression(try expression(text, "\(place).expression"))
    }
  }

  private static func extra(
    _ list: JSONValue, _ place: String
  ) throws(InvalidConfiguration) -> [(key: String, ClaimExpression)] {
    var extra: [(key: String, ClaimExpression)] = []
    for (index, item) in list.elements.enumerated() {
      let key = item["key"].string ?? ""
      // "domain/path", in lower case: such keys travel as header names.
      guard key.contains("/"), !key.hasPrefix("/"), key == key.lowercased() else {
        throw problem("\(place)[\(index)].key", "Invalid value: \"\(key)\": must be a lower-case domain-prefixed path")
      }
      guard !extra.contains(where: { $0.key == key }) else {
        throw problem("\(place)[\(index)].key", "Duplicate value: \"\(key)\"")
      }
      extra.append(
        (key, try expression(item["valueExpression"].string ?? "", "\(place)[\(index)].valueExpression")))
    }
    return extra
  }

  private static func readRules(
    _ jwt: JSONValue, _ place: String, into made: inout OIDCConfiguration
  ) throws(InvalidConfiguration) {
    for (index, rule) in jwt["claimValidationRules"].elements.enumerated() {
      let field = "\(place).claimValidationRules[\(index)]"
      let claim = rule["claim"].string ?? ""
      let text = rule["expression"].string ?? ""
      guard claim.isEmpty != text.isEmpty else {
        throw problem(field, "Required value: exactly one of claim and expression is required")
      }
      if claim.isEmpty {
        made.claimRules.append(
          .expression(
            try expression(text, "\(field).expression", isRule: true), message: rule["message"].string ?? ""))
      } else {
        made.claimRules.append(.value(claim: claim, rule["requiredValue"].string ?? ""))
      }
    }
    for (index, rule) in jwt["userValidationRules"].elements.enumerated() {
      let field = "\(place).userValidationRules[\(index)].expression"
      made.userRules.append(
        (
          try expression(rule["expression"].string ?? "", field, isRule: true, overUser: true),
          message: rule["message"].string ?? ""
        ))
    }
  }

  private static func expression(
    _ text: String, _ place: String, isRule: Bool = false, overUser: Bool = false
  ) throws(InvalidConfiguration) -> ClaimExpression {
    if text.trimmed.isEmpty { throw problem(place, "Required value: expression is required") }
    let made: ClaimExpression
    do throws(InvalidConfiguration) { made = try ClaimExpression(text, overUser: overUser) } catch {
      throw problem(place, "Invalid value: \"\(text)\": \(error)")
    }
    if isRule, made.program.resultType != .bool {
      throw problem(place, "Invalid value: \"\(text)\": must evaluate to bool")
    }
    return made
  }
}
