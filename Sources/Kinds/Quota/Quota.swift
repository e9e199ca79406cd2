// A ResourceQuota as admission and the quota controller read it: what it limits, and of which objects (spec/3 §3.7).
import JSON
import Schema

/// One ResourceQuota, read.
public struct Quota: Sendable {
  public let name: String
  public let hard: ResourceAmounts
  /// What status says is limited; another than `hard` when the limits have changed since it was written.
  public let hardInStatus: ResourceAmounts
  /// What status says: nil where it says nothing.
  private let used: JSONValue
  private let scopes: [JSONValue]
  /// What is limited, by the kind it is counted of. Thousands of names are asked for one by one.
  private let namesByResource: [GroupResource: [String]]

  public init(_ tree: JSONValue) {
    name = tree["metadata"]["name"].string ?? ""
    hard = ResourceAmounts(tree["spec"]["hard"])
    hardInStatus = ResourceAmounts(tree["status"]["hard"])
    used = tree["status"]["used"]
    namesByResource = Dictionary(grouping: hard.amounts.keys, by: QuotaSubject.resource(limitedBy:))
    scopes =
      tree["spec"]["scopes"].elements.map { ["scopeName": $0, "operator": "Exists"] }
      + tree["spec"]["scopeSelector"]["matchExpressions"].elements
  }

  /// The usage on the books, whatever it speaks of.
  public var usedInStatus: ResourceAmounts { ResourceAmounts(used) }

  /// The usage on the books; nil when something that is limited now was not counted yet.
  public var usedIfKnown: ResourceAmounts? {
    let known = restrict(ResourceAmounts(used))
    return hard.amounts.keys.allSatisfy { known[$0] != nil } ? known : nil
  }

  /// Nothing of everything that is limited.
  public var nothing: ResourceAmounts {
    var amounts = ResourceAmounts()
    for name in hard.amounts.keys { amounts[name] = .zero }
    return amounts
  }

  /// What an object that is there costs.
  public func charge(for subject: QuotaSubject) -> ResourceAmounts {
    covers(subject) ? restrict(subject.usage) : ResourceAmounts()
  }

  /// The part of a usage that is limited.
  public func restrict(_ usage: ResourceAmounts) -> ResourceAmounts {
    var result = ResourceAmounts()
    for (name, value) in usage.amounts where hard[name] != nil { result[name] = value }
    return result
  }

  /// The resources that would be over their limit and of which more is asked for, in order.
  public func exceeded(by used: ResourceAmounts, _ delta: ResourceAmounts) -> [String] {
    hard.amounts.filter { name, limit in
      (delta[name] ?? .zero) > .zero && (used[name] ?? .zero) > limit
    }.keys.sorted()
  }

  /// Whether the quota speaks of such an object: it limits something of it and its scopes fit.
  public func covers(_ subject: QuotaSubject) -> Bool {
    guard subject.usage.amounts.keys.contains(where: { hard[$0] != nil }) || !requiredNames(subject).isEmpty else {
      return false
    }
    return scopes.allSatisfy { subject.matches(scope: $0) }
  }

  private func requiredNames(_ subject: QuotaSubject) -> [String] {
    subject.isPod ? hard.amounts.keys.filter { QuotaSubject.mustBeSpecified.contains($0) } : []
  }

  /// What containers must say because it is limited; nil when all say all.
  public func missing(_ subject: QuotaSubject) -> String? {
    let lines = requiredNames(subject).sorted().compactMap { name -> String? in
      let silent = subject.containersWithout(name)
      return silent.isEmpty ? nil : "\(name) for: \(silent.joined(separator: ","))"
    }
    return lines.isEmpty ? nil : lines.joined(separator: "; ")
  }

  /// The kinds whose objects must be counted.
  public var resources: [GroupResource] {
    namesByResource.keys.map { (text: $0.description, resource: $0) }.sorted { $0.text < $1.text }.map(\.resource)
  }

  /// Whether objects of a kind must be counted.
  public func counts(_ resource: GroupResource) -> Bool { namesByResource[resource] != nil }

  /// The limits that a kind's objects count for.
  public func names(of resource: GroupResource) -> [String] { namesByResource[resource] ?? [] }

  /// Whether a kind's objects all cost the same, so that it is enough to know how many there are.
  public func countsOnly(_ resource: GroupResource) -> Bool {
    scopes.isEmpty && names(of: resource).allSatisfy { QuotaSubject.isCount($0, of: resource) }
  }
}
