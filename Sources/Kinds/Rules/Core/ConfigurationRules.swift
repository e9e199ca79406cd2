// Config maps, secrets and service accounts.
import JSON
import Schema

/// Keys and values of one ConfigMap or Secret, in bytes.
private let maximumDataSize = 1_048_576

struct ConfigMapRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    var total = 0
    for (key, value) in object["data"].object ?? [:] {
      checks.text(.string(key), "data[\(key)]", Validate.configMapKey)
      if object["binaryData"].object?.index(of: key) != nil {
        checks.invalid("data[\(key)]", .string(key), "duplicate of key present in binaryData")
      }
      total += value.text.utf8.count
    }
    for (key, value) in object["binaryData"].object ?? [:] {
      checks.text(.string(key), "binaryData[\(key)]", Validate.configMapKey)
      total += decodedSize(value)
    }
    if total > maximumDataSize { checks.report(.tooLong("[]", maximumBytes: maximumDataSize)) }
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    frozenData(object, old, ["data", "binaryData"]) + validate(object)
  }
  /// (The reference looks at what changed first.)
  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { [] }
}

struct SecretRules: KindRules {
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    guard object["type"] == "kubernetes.io/tls" else { return [] }
    func bytes(_ name: String) -> [UInt8] { (try? Base64.decode(object["data"][name].text)) ?? [] }
    return PEMText.problem(ofCertificate: bytes("tls.crt"), key: bytes("tls.key")).map { [$0] } ?? []
  }

  /// stringData is for writing only: it ends in data.
  func applyDefaults(to object: inout JSONValue) {
    object["type"].setDefaultText("Opaque")
    guard case .object(let texts) = object["stringData"] else { return }
    for (key, value) in texts { object["data"][key] = .string(Base64.encode(Array(value.text.utf8))) }
    object["stringData"] = .null
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    // Clients that do not know the type leave it out.
    if object["type"].isEmptyValue { object["type"] = old["type"] }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let data = object["data"].object ?? [:]
    var total = 0
    for (key, value) in data {
      checks.text(.string(key), "data[\(key)]", Validate.configMapKey)
      total += decodedSize(value)
    }
    if total > maximumDataSize { checks.report(.tooLong("data", maximumBytes: maximumDataSize)) }
    typeRules(object, data, &checks)
    return checks.errors
  }

  private func typeRules(_ object: JSONValue, _ data: JSONObject, _ checks: inout Checks) {
    func isMissing(_ key: String) -> Bool { data[key] == nil }
    switch object["type"].text {
    case "kubernetes.io/service-account-token":
      let name = "kubernetes.io/service-account.name"
      if object["metadata"]["annotations"][name].isEmptyValue {
        checks.required("metadata.annotations[\(name)]")
      }
    case "kubernetes.io/dockercfg": dockerConfiguration(".dockercfg", data, &checks)
    case "kubernetes.io/dockerconfigjson": dockerConfiguration(".dockerconfigjson", data, &checks)
    case "kubernetes.io/basic-auth":
      if isMissing("username"), isMissing("password") {
        checks.required("data[username]")
        checks.required("data[password]")
      }
    case "kubernetes.io/ssh-auth":
      if data["ssh-privatekey"]?.isEmptyValue ?? true { checks.required("data[ssh-privatekey]") }
    case "kubernetes.io/tls":
      for key in ["tls.crt", "tls.key"] where isMissing(key) { checks.required("data[\(key)]") }
    default: break
    }
  }

  private func dockerConfiguration(_ key: String, _ data: JSONObject, _ checks: inout Checks) {
    guard let value = data[key] else { return checks.required("data[\(key)]") }
    let text = (try? Base64.decode(value.text)) ?? []
    if let problem = Self.problem(with: text) {
      checks.invalid("data[\(key)]", "<secret contents redacted>", problem)
    }
  }

  /// What Go says of a text that is to be a JSON object.
  private static func problem(with text: [UInt8]) -> String? {
    let body = text.drop { " \n\r\t".utf8.contains($0) }
    guard let first = body.first else { return "unexpected end of JSON input" }
    guard let value = try? JSONValue(parsing: Array(body)) else {
      if "{[\"-tfn0123456789".utf8.contains(first) { return "unexpected end of JSON input" }
      return "invalid character '\(Character(Unicode.Scalar(first)))' looking for beginning of value"
    }
    let shape: String
    switch value {
    case .object, .null: return nil
    case .array: shape = "array"
    case .string: shape = "string"
    case .bool: shape = "bool"
    case .integer, .double: shape = "number"
    }
    return "json: cannot unmarshal \(shape) into Go value of type map[string]interface {}"
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutable(object["type"], old["type"], "type")
    checks.report(frozenData(object, old, ["data"]))
    return checks.errors + validate(object)
  }
  /// (The reference looks at what changed first.)
  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { [] }
}

/// What an object marked immutable may not change.
private func frozenData(_ object: JSONValue, _ old: JSONValue, _ names: [String]) -> [FieldError] {
  guard old["immutable"] == true else { return [] }
  var checks = Checks()
  let message = "field is immutable when `immutable` is set"
  if object["immutable"] != true { checks.forbidden("immutable", message) }
  for name in names where (object[name].object ?? [:]) != (old[name].object ?? [:]) {
    checks.forbidden(name, message)
  }
  return checks.errors
}

/// Bytes that a base64 text stands for.
private func decodedSize(_ value: JSONValue) -> Int {
  let text = value.text.utf8
  return text.count / 4 * 3 - text.suffix(2).count { $0 == UInt8(ascii: "=") }
}

struct ServiceAccountRules: KindRules {
  private static let mountableSecrets = "kubernetes.io/enforce-mountable-secrets"

  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    guard !object["metadata"]["annotations"][Self.mountableSecrets].isNull,
      old["metadata"]["annotations"][Self.mountableSecrets].isNull
    else { return [] }
    return [
      "metadata.annotations[\(Self.mountableSecrets)]: deprecated in v1.32+; prefer separate namespaces to isolate "
        + "access to mounted secrets"
    ]
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    if object["secrets"].isEmptyValue, !old["secrets"].isEmptyValue, context.subresource == "token" {
      object["secrets"] = old["secrets"]
    }
  }
}
