// From the claims of a verified token to a user.
import CEL
import JSON
import Schema
import World

extension OIDCConfiguration {
  /// Clocks differ a little.
  private static let leeway: Int64 = 300

  /// Checks times, audience and rules and reads the user. Throws why the token is not good.
  func user(of claims: JSONValue, now: WallTime) throws(InvalidConfiguration) -> RequestUser {
    try checkTimes(claims, now)
    let given = claims["aud"].string.map { [$0] } ?? claims["aud"].elements.compactMap(\.string)
    guard given.contains(where: audiences.contains) else {
      throw InvalidConfiguration(
        "oidc: verify token: oidc: expected audience in \(audiences) got \(given)")
    }
    for rule in claimRules { try check(rule, claims) }
    var user = RequestUser(name: try name(claims))
    if let uid { user.uid = try text(uid, claims, "uid") }
    user.groups = try groupNames(claims)
    for (key, expression) in extra {
      let values = try texts(try expression.evaluate(claims: claims), "extra")
      if !values.isEmpty { user.extra[key] = values }
    }
    for (rule, message) in userRules {
      guard case .bool(true) = try rule.evaluate(user: user) else {
        throw InvalidConfiguration("oidc: error evaluating user info validation rule: \(failure(rule, message))")
      }
    }
    if !user.groups.contains("system:authenticated") { user.groups.append("system:authenticated") }
    return user
  }

  private func checkTimes(_ claims: JSONValue, _ now: WallTime) throws(InvalidConfiguration) {
    func seconds(_ claim: String) -> Int64? {
      if case .double(let number) = claims[claim] { return Int64(exactly: number.rounded(.down)) }
      return claims[claim].integer
    }
    guard let expires = seconds("exp"), now.secondsSinceEpoch < expires else {
      throw InvalidConfiguration("oidc: verify token: oidc: token is expired")
    }
    if let starts = seconds("nbf"), now.secondsSinceEpoch + Self.leeway < starts {
      throw InvalidConfiguration("oidc: verify token: oidc: current time is before the nbf (not before) time")
    }
  }

  private func check(_ rule: ClaimRule, _ claims: JSONValue) throws(InvalidConfiguration) {
    switch rule {
    case .value(let claim, let wanted):
      guard !claims[claim].isNull else {
        throw InvalidConfiguration("oidc: required claim \(claim) not present in ID token")
      }
      guard let value = claims[claim].string else {
        throw InvalidConfiguration("oidc: parse claim \(claim): it is no text")
      }
      guard value == wanted else {
        throw InvalidConfiguration(
          "oidc: required claim \(claim) value does not match. Got = \(value), want = \(wanted)")
      }
    case .expression(let expression, let message):
      guard case .bool(true) = try expression.evaluate(claims: claims) else {
        throw InvalidConfiguration(
          "oidc: error evaluating claim validation expression: \(failure(expression, message))")
      }
    }
  }

  private func failure(_ expression: ClaimExpression, _ message: String) -> String {
    message.isEmpty ? "validation expression '\(expression.program.text)' failed" : "validation failed: \(message)"
  }

  private func name(_ claims: JSONValue) throws(InvalidConfiguration) -> String {
    // An address that its owner has not proven is anybody's.
    if case .claim("email", _) = username, !claims["email_verified"].isNull, claims["email_verified"] != true {
      throw InvalidConfiguration("oidc: email not verified")
    }
    let name = try text(username, claims, "username")
    guard !name.isEmpty else { throw InvalidConfiguration("oidc: the username of the token is empty") }
    return name
  }

  private func text(_ mapping: Mapping, _ claims: JSONValue, _ what: String) throws(InvalidConfiguration) -> String {
    switch mapping {
    case .claim(let claim, let prefix):
      guard let value = claims[claim].string else {
        throw InvalidConfiguration("oidc: parse \(what) claims \"\(claim)\": claim not present or no text")
      }
      return prefix + value
    case .expression(let expression):
      guard case .string(let value) = try expression.evaluate(claims: claims) else {
        throw InvalidConfiguration("oidc: error evaluating \(what) claim expression: it must evaluate to a string")
      }
      return value
    }
  }

  private func groupNames(_ claims: JSONValue) throws(InvalidConfiguration) -> [String] {
    switch groups {
    case nil: return []
    case .claim(let claim, let prefix)?:
      // A list, or one alone; a token without the claim has none.
      if claims[claim].isNull { return [] }
      if let one = claims[claim].string { return [prefix + one] }
      let all = claims[claim].elements.compactMap(\.string)
      guard case .array(let elements) = claims[claim], all.count == elements.count else {
        throw InvalidConfiguration("oidc: parse groups claim \"\(claim)\": it is no list of texts")
      }
      return all.map { prefix + $0 }
    case .expression(let expression)?: return try texts(try expression.evaluate(claims: claims), "groups")
    }
  }

  /// The texts of a list, one text, or none; empty ones do not count.
  private func texts(_ value: CELValue, _ what: String) throws(InvalidConfiguration) -> [String] {
    if case .null = value { return [] }
    guard let texts = value.texts else {
      throw InvalidConfiguration(
        "oidc: error evaluating \(what) claim expression: it must evaluate to a string or a list of strings")
    }
    return texts.filter { !$0.isEmpty }
  }
}
