import JSON

/// One rule of a role, ready to be asked (spec/8 §8.3).
struct PolicyRule: Hashable, Sendable {
  var verbs: Set<String>
  var apiGroups: Set<String>
  var resources: Set<String>
  var resourceNames: Set<String>
  var nonResourceURLs: [String]

  init(json: JSONValue) {
    func strings(_ key: String) -> [String] { json[key].elements.compactMap(\.string) }
    verbs = Set(strings("verbs"))
    apiGroups = Set(strings("apiGroups"))
    resources = Set(strings("resources"))
    resourceNames = Set(strings("resourceNames"))
    nonResourceURLs = strings("nonResourceURLs")
  }

  init(
    verbs: Set<String>, apiGroups: Set<String> = [], resources: Set<String> = [], resourceNames: Set<String> = [],
    nonResourceURLs: [String] = []
  ) {
    self.verbs = verbs
    self.apiGroups = apiGroups
    self.resources = resources
    self.resourceNames = resourceNames
    self.nonResourceURLs = nonResourceURLs
  }

  func allows(_ request: AuthorizationAttributes) -> Bool {
    guard verbs.contains("*") || verbs.contains(request.verb) else { return false }
    guard request.isResourceRequest else { return nonResourceURLs.contains { Self.matches($0, request.path) } }
    guard apiGroups.contains("*") || apiGroups.contains(request.apiGroup) else { return false }
    guard matchesResource(request.resource, request.subresource) else { return false }
    // Names cannot limit what has no name yet.
    return resourceNames.isEmpty || (!request.name.isEmpty && resourceNames.contains(request.name))
  }

  private func matchesResource(_ resource: String, _ subresource: String) -> Bool {
    if resources.contains("*") { return true }
    if subresource.isEmpty { return resources.contains(resource) }
    return resources.contains("\(resource)/\(subresource)") || resources.contains("*/\(subresource)")
  }

  private static func matches(_ pattern: String, _ path: String) -> Bool {
    pattern == "*" || pattern == path || (pattern.hasSuffix("*") && path.hasPrefix(pattern.dropLast()))
  }

  /// Whether everything the other rule allows is allowed by this one alone.
  func covers(_ other: PolicyRule) -> Bool {
    func contains(_ own: Set<String>, _ theirs: Set<String>) -> Bool { own.contains("*") || theirs.isSubset(of: own) }
    guard contains(verbs, other.verbs) else { return false }
    if !other.nonResourceURLs.isEmpty {
      return other.nonResourceURLs.allSatisfy { path in nonResourceURLs.contains { Self.matches($0, path) } }
    }
    let resourcesCovered = other.resources.allSatisfy { resource in
      if resources.contains("*") || resources.contains(resource) { return true }
      guard let slash = resource.firstIndex(of: "/") else { return false }
      return resources.contains("*" + resource[slash...])
    }
    let namesCovered =
      resourceNames.isEmpty || (!other.resourceNames.isEmpty && other.resourceNames.isSubset(of: resourceNames))
    return contains(apiGroups, other.apiGroups) && resourcesCovered && namesCovered
  }

  /// The rule cut into the smallest rules: one verb, group, resource and name each. What escalation is checked by.
  var atoms: [PolicyRule] {
    var atoms: [PolicyRule] = []
    for verb in verbs.sorted() {
      for path in nonResourceURLs { atoms.append(PolicyRule(verbs: [verb], nonResourceURLs: [path])) }
      for group in apiGroups.sorted() {
        for resource in resources.sorted() {
          if resourceNames.isEmpty {
            atoms.append(PolicyRule(verbs: [verb], apiGroups: [group], resources: [resource]))
          }
          for name in resourceNames.sorted() {
            atoms.append(
              PolicyRule(verbs: [verb], apiGroups: [group], resources: [resource], resourceNames: [name]))
          }
        }
      }
    }
    return atoms
  }

  /// `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`: as an escalation is told.
  var text: String {
    func list(_ name: String, _ values: [String]) -> String? {
      values.isEmpty ? nil : "\(name):[\(values.map { "\"\($0)\"" }.joined(separator: " "))]"
    }
    let parts = [
      list("APIGroups", apiGroups.sorted()), list("Resources", resources.sorted()),
      list("ResourceNames", resourceNames.sorted()), list("NonResourceURLs", nonResourceURLs),
      list("Verbs", verbs.sorted()),
    ]
    return "{\(parts.compactMap { $0 }.joined(separator: ", "))}"
  }

  var json: JSONValue {
    func list(_ values: [String]) -> JSONValue { .array(values.map { .string($0) }) }
    var value: JSONValue = ["verbs": list(verbs.sorted())]
    if !apiGroups.isEmpty { value["apiGroups"] = list(apiGroups.sorted()) }
    if !resources.isEmpty { value["resources"] = list(resources.sorted()) }
    if !resourceNames.isEmpty { value["resourceNames"] = list(resourceNames.sorted()) }
    if !nonResourceURLs.isEmpty { value["nonResourceURLs"] = list(nonResourceURLs) }
    return value
  }
}
