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

  /// The rule cut into the smallest rules: one verb, group, resource and name each. What escalation is checked by. One
  /// at a time, until somebody has seen enough: four lists of a thousand words make more of them than memory holds.
  /// - Returns: whether all were seen.
  private func forEachAtom(_ goesOn: (PolicyRule) -> Bool) -> Bool {
    for group in apiGroups {
      for resource in resources {
        for verb in verbs {
          var atom = PolicyRule(verbs: [verb], apiGroups: [group], resources: [resource])
          guard !resourceNames.isEmpty else {
            guard goesOn(atom) else { return false }
            continue
          }
          for name in resourceNames {
            atom.resourceNames = [name]
            guard goesOn(atom) else { return false }
          }
        }
      }
    }
    for path in nonResourceURLs {
      for verb in verbs { guard goesOn(PolicyRule(verbs: [verb], nonResourceURLs: [path])) else { return false } }
    }
    return true
  }

  /// What some rules allow and others do not.
  struct Excess {
    /// The smallest rules that are not covered, as many as may be told.
    var missing: [PolicyRule] = []
    /// There was more to compare than may be done while others wait: what was not looked at may be missing, too.
    var isCutShort = false
  }

  /// Comparisons of words by which one check may hold up a server's loop: about half a second. A role of a few thousand
  /// rules against as many takes a part of it.
  private static let comparisonsMaximum = 20_000_000
  private static let missingMaximum = 2000

  /// What of `wanted` is not covered by `own`.
  static func excess(of wanted: [PolicyRule], over own: [PolicyRule]) -> Excess {
    var excess = Excess()
    var room = comparisonsMaximum
    /// Nil: there is no room to find out.
    func isCovered(_ rule: PolicyRule) -> Bool? {
      for candidate in own {
        room -= candidate.comparisons(with: rule)
        guard room >= 0 else { return nil }
        if candidate.covers(rule) { return true }
      }
      return false
    }
    var seen: Set<PolicyRule> = []
    for rule in wanted where seen.insert(rule).inserted {
      // Most rules are covered as they are. (One of both sorts is none; its parts are looked at.)
      if rule.nonResourceURLs.isEmpty || rule.resources.isEmpty, isCovered(rule) == true { continue }
      let sawAll = rule.forEachAtom { atom in
        guard let isKnown = isCovered(atom), excess.missing.count < missingMaximum else { return false }
        if !isKnown { excess.missing.append(atom) }
        return true
      }
      guard sawAll else {
        excess.isCutShort = true
        break
      }
    }
    return excess
  }

  private func comparisons(with other: PolicyRule) -> Int {
    1 + verbs.count * other.verbs.count + apiGroups.count * other.apiGroups.count
      + resources.count * other.resources.count + resourceNames.count * other.resourceNames.count
      + nonResourceURLs.count * other.nonResourceURLs.count
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
