import JSON

/// One rule of a role, ready to be asked (spec/8 §8.3).
struct PolicyRule: Hashable, Sendable {
  // Lists of a few words: scanning them is cheaper than hashing, and they are shown in the order they were written.
  var verbs: [String]
  var apiGroups: [String]
  var resources: [String]
  var resourceNames: [String]
  var nonResourceURLs: [String]

  init(json: JSONValue) {
    func strings(_ key: String) -> [String] { json[key].elements.compactMap(\.string) }
    verbs = strings("verbs")
    apiGroups = strings("apiGroups")
    resources = strings("resources")
    resourceNames = strings("resourceNames")
    nonResourceURLs = strings("nonResourceURLs")
  }

  init(
    verbs: [String], apiGroups: [String] = [], resources: [String] = [], resourceNames: [String] = [],
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
    return resources.contains { rule in
      guard let slash = rule.utf8.firstIndex(of: UInt8(ascii: "/")), rule[rule.index(after: slash)...] == subresource
      else { return false }
      return rule[..<slash] == "*" || rule[..<slash] == resource
    }
  }

  private static func matches(_ pattern: String, _ path: String) -> Bool {
    pattern == "*" || pattern == path || (pattern.hasSuffix("*") && path.hasPrefix(pattern.dropLast()))
  }

  /// Whether everything the other rule allows is allowed by this one alone.
  func covers(_ other: PolicyRule) -> Bool {
    func contains(_ own: [String], _ theirs: [String]) -> Bool {
      own.contains("*") || theirs.allSatisfy { own.contains($0) }
    }
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
      resourceNames.isEmpty
      || (!other.resourceNames.isEmpty && other.resourceNames.allSatisfy { resourceNames.contains($0) })
    return contains(apiGroups, other.apiGroups) && resourcesCovered && namesCovered
  }

  /// The rule cut into the smallest rules: one verb, group, resource and name each. What escalation is checked by.
  var atoms: [PolicyRule] {
    var atoms: [PolicyRule] = []
    for group in apiGroups {
      for resource in resources {
        for verb in verbs {
          if resourceNames.isEmpty {
            atoms.append(PolicyRule(verbs: [verb], apiGroups: [group], resources: [resource]))
          }
          for name in resourceNames {
            atoms.append(
              PolicyRule(verbs: [verb], apiGroups: [group], resources: [resource], resourceNames: [name]))
          }
        }
      }
    }
    for path in nonResourceURLs {
      for verb in verbs { atoms.append(PolicyRule(verbs: [verb], nonResourceURLs: [path])) }
    }
    return atoms
  }

  /// Atoms that differ in their verbs alone as one rule each, as the reference tells them.
  static func compacted(_ atoms: [PolicyRule]) -> [PolicyRule] {
    var rules: [PolicyRule] = []
    for atom in atoms {
      let known = rules.firstIndex { rule in
        rule.nonResourceURLs.isEmpty && atom.nonResourceURLs.isEmpty && rule.apiGroups == atom.apiGroups
          && rule.resources == atom.resources && rule.resourceNames == atom.resourceNames
      }
      if let known { rules[known].verbs += atom.verbs } else { rules.append(atom) }
    }
    return rules
  }

  /// `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`: as an escalation is told.
  var text: String {
    func list(_ name: String, _ values: [String]) -> String? {
      values.isEmpty ? nil : "\(name):[\(values.map { "\"\($0)\"" }.joined(separator: " "))]"
    }
    let parts = [
      list("APIGroups", apiGroups), list("Resources", resources), list("NonResourceURLs", nonResourceURLs),
      list("ResourceNames", resourceNames), list("Verbs", verbs),
    ]
    return "{\(parts.compactMap { $0 }.joined(separator: ", "))}"
  }
}
