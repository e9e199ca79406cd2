// Flow schemas and priority levels.
import JSON
import Schema

struct FlowSchemaRules: KindRules {
  private static let highestPrecedence: Int64 = 10000

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let name = object["metadata"]["name"].text
    precedence(spec["matchingPrecedence"].integer ?? 0, of: name, &checks)
    let method = spec["distinguisherMethod"]
    if !method.isNull, !["ByNamespace", "ByUser"].contains(method["type"].text) {
      checks.notSupported(
        "spec.distinguisherMethod.type",
        goValue: "flowcontrol.FlowDistinguisherMethod{Type:\(GoSyntax.quoted(method["type"].text))}",
        ["ByNamespace", "ByUser"])
    }
    let level = spec["priorityLevelConfiguration"]["name"]
    if level.isEmptyValue {
      checks.required("spec.priorityLevelConfiguration.name", "must reference a priority level")
    } else {
      checks.text(level, "spec.priorityLevelConfiguration.name") { Validate.nameIsDNSSubdomain($0) }
    }
    for (index, rule) in spec["rules"].elements.enumerated() { self.rule(rule, "spec.rules[\(index)]", &checks) }
    if ["exempt", "catch-all"].contains(name),
      let fixed = ClusterBootstrap.flowSchemas.first(where: { $0["metadata"]["name"].text == name }),
      !Self.isSame(spec, fixed["spec"])
    {
      checks.invalid("spec", spec, "spec of '\(name)' must equal the fixed value")
    }
    checks.flowConditions(object["status"])
    return checks.errors
  }

  /// Nothing and an empty list are the same.
  private static func isSame(_ left: JSONValue, _ right: JSONValue) -> Bool {
    switch (left, right) {
    case (.object(let one), .object(let other)):
      Set(one.keys).union(other.keys).allSatisfy { isSame(one[$0] ?? .null, other[$0] ?? .null) }
    case (.array(let one), .array(let other)):
      one.count == other.count && zip(one, other).allSatisfy(isSame)
    default: left == right || (left.isEmptyValue && right.isEmptyValue)
    }
  }

  private func precedence(_ value: Int64, of name: String, _ checks: inout Checks) {
    let place = "spec.matchingPrecedence"
    if value <= 0 {
      checks.invalid(place, .integer(value), "must be a positive value")
    } else if value > Self.highestPrecedence {
      checks.invalid(place, .integer(value), "must not be greater than \(Self.highestPrecedence)")
    }
    if value == 1, name != "exempt" {
      checks.invalid(place, .integer(value), "only the schema named 'exempt' may have matchingPrecedence 1")
    }
  }

  private func rule(_ rule: JSONValue, _ place: String, _ checks: inout Checks) {
    if rule["subjects"].isEmptyValue {
      checks.required("\(place).subjects", "subjects must contain at least one value")
    }
    for (index, subject) in rule["subjects"].elements.enumerated() {
      self.subject(subject, "\(place).subjects[\(index)]", &checks)
    }
    if rule["resourceRules"].isEmptyValue, rule["nonResourceRules"].isEmptyValue {
      checks.required(place, "at least one of resourceRules and nonResourceRules has to be non-empty")
    }
    for (index, entry) in rule["resourceRules"].elements.enumerated() {
      resources(entry, "\(place).resourceRules[\(index)]", &checks)
    }
    for (index, entry) in rule["nonResourceRules"].elements.enumerated() {
      paths(entry, "\(place).nonResourceRules[\(index)]", &checks)
    }
  }

  private static let subjectMembers = ["ServiceAccount": "serviceAccount", "User": "user", "Group": "group"]

  private func subject(_ subject: JSONValue, _ place: String, _ checks: inout Checks) {
    let kind = subject["kind"].text
    guard let member = Self.subjectMembers[kind] else {
      return checks.notSupported("\(place).kind", subject["kind"], ["Group", "ServiceAccount", "User"])
    }
    let body = subject[member]
    if body.isNull {
      checks.required("\(place).\(member)", "\(member) is required when subject kind is '\(kind)'")
    } else {
      if body["name"].isEmptyValue {
        checks.required("\(place).\(member).name")
      } else if kind == "ServiceAccount", body["name"] != "*" {
        checks.text(body["name"], "\(place).\(member).name") { Validate.nameIsDNSSubdomain($0) }
      }
      if kind == "ServiceAccount", body["namespace"].isEmptyValue {
        checks.required("\(place).\(member).namespace", "must specify namespace for service account")
      } else if kind == "ServiceAccount" {
        checks.text(body["namespace"], "\(place).\(member).namespace") { Validate.nameIsDNSLabel($0) }
      }
    }
    for (other, name) in [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")]
    where other != kind && !subject[name].isNull {
      checks.forbidden("\(place).\(name)", "\(name) is forbidden when subject kind is not '\(other)'")
    }
  }

  private func verbs(_ entry: JSONValue, _ place: String, _ checks: inout Checks) {
    let known = FlowControlVerbs.all
    let given = entry["verbs"].elements.map(\.text)
    if given.isEmpty {
      checks.required("\(place).verbs", "verbs must contain at least one value")
    } else if given.contains("*") {
      if given.count > 1 {
        checks.invalid("\(place).verbs", entry["verbs"], "if '*' is present, must not specify other verbs")
      }
    } else if !given.allSatisfy(known.contains) {
      checks.notSupported("\(place).verbs", goValue: GoSyntax.strings(entry["verbs"]), known)
    }
  }

  private func resources(_ entry: JSONValue, _ place: String, _ checks: inout Checks) {
    verbs(entry, place, &checks)
    for (name, one, many) in [
      ("apiGroups", "api group", "api groups"), ("resources", "resource", "resources"),
    ] {
      let given = entry[name].elements
      if given.isEmpty {
        checks.required("\(place).\(name)", "resource rules must supply at least one \(one)")
      } else if given.count > 1, given.contains("*") {
        checks.invalid("\(place).\(name)", entry[name], "if '*' is present, must not specify other \(many)")
      }
    }
    let namespaces = entry["namespaces"].elements
    if namespaces.isEmpty, entry["clusterScope"] != true {
      checks.required(
        "\(place).namespaces", "resource rules that are not cluster scoped must supply at least one namespace")
    } else if namespaces.contains("*") {
      if namespaces.count > 1 {
        checks.invalid(
          "\(place).namespaces", entry["namespaces"], "if '*' is present, must not specify other namespaces")
      }
    } else {
      for (index, namespace) in namespaces.enumerated() {
        checks.text(namespace, "\(place).namespaces[\(index)]") {
          Validate.nameIsDNSLabel($0).map { "each member of this list must be '*' or a DNS-1123 label; \($0)" }
        }
      }
    }
  }

  private func paths(_ entry: JSONValue, _ place: String, _ checks: inout Checks) {
    verbs(entry, place, &checks)
    let given = entry["nonResourceURLs"].elements
    if given.isEmpty {
      checks.required("\(place).nonResourceURLs", "nonResourceURLs must contain at least one value")
    } else if given.contains("*") {
      if given.count > 1 {
        checks.invalid(
          "\(place).nonResourceURLs", entry["nonResourceURLs"],
          "if '*' is present, must not specify other non-resource URLs")
      }
    } else {
      for (index, path) in given.enumerated() {
        checks.text(path, "\(place).nonResourceURLs[\(index)]") { Self.problem(withPath: $0).map { [$0] } ?? [] }
      }
    }
  }

  private static func problem(withPath path: String) -> String? {
    if path.isEmpty { return "must not be empty" }
    if path == "/" { return nil }
    if !path.hasPrefix("/") { return "must start with slash" }
    if path.contains(" ") { return "must not contain white-space" }
    if path.contains("//") { return "must not contain double slash" }
    let stars = path.utf8.count { $0 == UInt8(ascii: "*") }
    return stars > 1 || (stars == 1 && !path.hasSuffix("/*")) ? "wildcard can only do suffix matching" : nil
  }

  var keptByStatus: [[String]] { [["metadata"]] }
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    keepMetadata(of: old, in: &object)
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.flowConditions(object["status"])
    return checks.errors
  }
}

/// The verbs that flow schemas know, in order.
private enum FlowControlVerbs {
  static let all = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"]
}

extension Checks {
  /// Conditions of flow schemas and priority levels.
  fileprivate mutating func flowConditions(_ status: JSONValue) {
    var types: Set<String> = []
    for (index, condition) in status["conditions"].elements.enumerated() {
      let place = "status.conditions[\(index)].type"
      if !types.insert(condition["type"].text).inserted { duplicate(place, condition["type"]) }
      if condition["type"].isEmptyValue { required(place) }
    }
  }
}

struct PriorityLevelRules: KindRules {
  private static let maximumQueues: Int64 = 10_000_000
  /// What a hash of flows has.
  private static let hashBits = 60

  func applyDefaults(to object: inout JSONValue) {
    if object["spec"]["type"] == "Exempt" {
      object["spec"]["exempt"]["nominalConcurrencyShares"].setDefault(0)
      object["spec"]["exempt"]["lendablePercent"].setDefault(0)
    }
    guard object["spec"]["limited"]["limitResponse"]["type"] == "Queue" else { return }
    object["spec"]["limited"]["limitResponse"]["queuing"]["queues"].setDefault(64)
    object["spec"]["limited"]["limitResponse"]["queuing"]["handSize"].setDefault(8)
    object["spec"]["limited"]["limitResponse"]["queuing"]["queueLengthLimit"].setDefault(50)
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let limited = spec["limited"]
    let name = object["metadata"]["name"].text
    if (name == "exempt") != (spec["type"] == "Exempt") {
      checks.invalid("spec.type", .string(spec["type"].text), "must be 'Exempt' if and only if `name` is 'exempt'")
    }
    switch spec["type"].text {
    case "Exempt":
      if !limited.isNull { checks.forbidden("spec.limited", "must be nil if the type is not Limited") }
      shares(spec["exempt"], "spec.exempt", &checks)
      percent(spec["exempt"], "spec.exempt", &checks)
    case "Limited":
      if !spec["exempt"].isNull { checks.forbidden("spec.exempt", "must be nil if the type is Limited") }
      if limited.isNull {
        checks.required("spec.limited", "must not be empty when type is Limited")
      } else {
        self.limited(limited, "spec.limited", &checks)
      }
    case "": checks.required("spec.type")
    default: checks.notSupported("spec.type", spec["type"], ["Exempt", "Limited"])
    }
    fixed(spec, name, &checks)
    checks.flowConditions(object["status"])
    return checks.errors
  }

  /// Of the level for what may not wait only its shares change; of the level for the rest nothing.
  private func fixed(_ spec: JSONValue, _ name: String, _ checks: inout Checks) {
    guard ["exempt", "catch-all"].contains(name),
      let level = ClusterBootstrap.priorityLevels.first(where: { $0["metadata"]["name"].text == name })
    else { return }
    if name == "exempt" {
      if spec["type"] != "Exempt" || !spec["limited"].isNull {
        checks.invalid("spec", spec, "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value")
      }
      return
    }
    var wanted = level["spec"]
    wanted["limited"]["lendablePercent"].setDefault(0)
    var given = spec
    given["limited"]["lendablePercent"].setDefault(0)
    if given != wanted { checks.invalid("spec", spec, "spec of '\(name)' must equal the fixed value") }
  }

  private func shares(_ level: JSONValue, _ place: String, _ checks: inout Checks) {
    if let shares = level["nominalConcurrencyShares"].integer, shares < 0 {
      checks.invalid("\(place).nominalConcurrencyShares", .integer(shares), "must be a non-negative integer")
    }
  }
  private func percent(_ level: JSONValue, _ place: String, _ checks: inout Checks) {
    checks.inRange(level["lendablePercent"], "\(place).lendablePercent", 0...100)
  }

  private func limited(_ limited: JSONValue, _ place: String, _ checks: inout Checks) {
    shares(limited, place, &checks)
    let response = limited["limitResponse"]
    let answer = "\(place).limitResponse"
    switch response["type"].text {
    case "Reject":
      if !response["queuing"].isNull {
        checks.forbidden("\(answer).queuing", "must be nil if limited.limitResponse.type is not Limited")
      }
    case "Queue":
      if response["queuing"].isNull {
        checks.required("\(answer).queuing", "must not be empty if limited.limitResponse.type is Limited")
      } else {
        queuing(response["queuing"], "\(answer).queuing", &checks)
      }
    case "": checks.required("\(answer).type")
    default: checks.notSupported("\(answer).type", response["type"], ["Queue", "Reject"])
    }
    percent(limited, place, &checks)
    if let limit = limited["borrowingLimitPercent"].integer, limit < 0 {
      checks.invalid(
        "\(place).borrowingLimitPercent", .integer(limit), "if specified, must be a non-negative integer")
    }
  }

  private func queuing(_ queuing: JSONValue, _ place: String, _ checks: inout Checks) {
    let queues = queuing["queues"].integer ?? 0
    let handSize = queuing["handSize"].integer ?? 0
    let length = queuing["queueLengthLimit"].integer ?? 0
    if length <= 0 { checks.invalid("\(place).queueLengthLimit", .integer(length), "must be positive") }
    if queues <= 0 {
      checks.invalid("\(place).queues", .integer(queues), "must be positive")
    } else if queues > Self.maximumQueues {
      checks.invalid("\(place).queues", .integer(queues), "must not be greater than \(Self.maximumQueues)")
    }
    if handSize <= 0 {
      checks.invalid("\(place).handSize", .integer(handSize), "must be positive")
    } else if handSize > queues {
      checks.invalid("\(place).handSize", .integer(handSize), "should not be greater than queues (\(queues))")
    } else if !Self.fitsHash(queues: queues, handSize: handSize) {
      checks.invalid(
        "\(place).handSize", .integer(handSize),
        "required entropy bits of deckSize \(queues) and handSize \(handSize) should not be greater than "
          + "\(Self.hashBits)")
    }
  }

  /// Whether a hand of queues can be drawn with the bits of one hash.
  private static func fitsHash(queues: Int64, handSize: Int64) -> Bool {
    var hands: UInt64 = 1
    for _ in 0..<handSize where queues > 1 {
      let (product, overflow) = hands.multipliedReportingOverflow(by: UInt64(queues))
      guard !overflow, product <= 1 << UInt64(hashBits) else { return false }
      hands = product
    }
    return true
  }

  var keptByStatus: [[String]] { [["metadata"]] }
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    keepMetadata(of: old, in: &object)
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.flowConditions(object["status"])
    return checks.errors
  }
}
