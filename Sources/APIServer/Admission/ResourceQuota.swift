// Quotas: what a namespace may hold at most (spec/8 §8.4, spec/3 §3.7).
//
// Usage is charged by the same command that writes the object, under the condition that the quota is still the one that
// was read: two creates never share the last place, whichever servers they come through. What deletions give back is
// found when a quota seems to be exhausted: only then is everything counted, in the state that belongs to its revision.
import JSON
import Replica
import Schema

public struct ResourceQuotaAdmission: ValidatingAdmission {
  public let name = "ResourceQuota"
  private static let quotas = GroupResource(group: "", resource: "resourcequotas")
  private static let changing: Set<String> = ["services", "persistentvolumeclaims"]

  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    guard subresource.isEmpty else { return false }
    return operation == .create || (operation == .update && Self.changing.contains(resource.description))
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    guard !request.namespace.isEmpty, request.descriptor.isNamespaced else { return .allowed }
    let found = objects.stored(Self.quotas, namespace: request.namespace)
    var verdict = AdmissionVerdict()
    // A quota that this server has not seen yet counts as well.
    if request.operation == .create, !APIMutant.quotaUnguarded.isActive {
      verdict.preconditions.append(
        .count(resource: Self.quotas.description, namespace: request.namespace, UInt64(found.count)))
    }
    guard !found.isEmpty else { return verdict }
    let subject = QuotaSubject(request.object, request.resource)
    let before = request.operation == .update ? QuotaSubject(request.oldObject, request.resource) : nil
    var refusals: [String] = []
    for stored in found {
      let quota = Quota(stored.tree)
      guard quota.covers(subject) else { continue }
      if let missing = quota.missing(subject), request.operation == .create {
        throw request.forbidden("failed quota: \(quota.name): must specify \(missing)")
      }
      var delta = quota.restrict(subject.usage)
      if let before { delta -= quota.restrict(before.usage) }
      guard delta.amounts.values.contains(where: { !$0.isZero }) else { continue }
      guard let used = charge(delta, to: quota, request, objects, &refusals) else { continue }
      var tree = stored.tree
      tree["status"]["hard"] = quota.hard.json
      tree["status"]["used"] = used.json
      if !APIMutant.quotaUnguarded.isActive { verdict.preconditions.append(.revision(stored.key, stored.revision)) }
      verdict.mutations.append(.put(stored.key, UnversionedObject(tree: tree)))
    }
    guard refusals.isEmpty else { throw request.forbidden(refusals.joined(separator: "; ")) }
    return verdict
  }

  /// The usage after the write; nil when there is no room, and why.
  private func charge(
    _ delta: ResourceAmounts, to quota: Quota, _ request: AdmissionRequest, _ objects: ObjectLookup,
    _ refusals: inout [String]
  ) -> ResourceAmounts? {
    if var used = quota.usedIfKnown {
      used += delta
      if quota.exceeded(by: used, delta).isEmpty { return used }
    }
    var used = count(quota, objects, namespace: request.namespace)
    let before = used
    used += delta
    let exceeded = quota.exceeded(by: used, delta)
    guard !exceeded.isEmpty else { return used }
    func list(_ amounts: ResourceAmounts) -> String {
      exceeded.map { "\($0)=\(amounts[$0] ?? .zero)" }.joined(separator: ",")
    }
    refusals.append(
      "exceeded quota: \(quota.name), requested: \(list(delta)), used: \(list(before)), limited: \(list(quota.hard))")
    return nil
  }

  /// What the objects that are there use.
  private func count(_ quota: Quota, _ objects: ObjectLookup, namespace: String) -> ResourceAmounts {
    var used = ResourceAmounts()
    for name in quota.hard.amounts.keys { used[name] = .zero }
    for resource in quota.resources {
      for object in objects.objects(resource, namespace: namespace) {
        let subject = QuotaSubject(object, resource)
        if quota.covers(subject) { used += quota.restrict(subject.usage) }
      }
    }
    return used
  }
}

/// One ResourceQuota, read.
private struct Quota {
  let name: String
  let hard: ResourceAmounts
  private let used: JSONValue
  private let scopes: [JSONValue]

  init(_ tree: JSONValue) {
    name = tree["metadata"]["name"].string ?? ""
    hard = ResourceAmounts(tree["spec"]["hard"])
    used = tree["status"]["used"]
    scopes =
      tree["spec"]["scopes"].elements.map { ["scopeName": $0, "operator": "Exists"] }
      + tree["spec"]["scopeSelector"]["matchExpressions"].elements
  }

  /// The usage on the books; nil when something that is limited now was not counted yet.
  var usedIfKnown: ResourceAmounts? {
    let known = restrict(ResourceAmounts(used))
    return hard.amounts.keys.allSatisfy { known[$0] != nil } ? known : nil
  }

  func restrict(_ usage: ResourceAmounts) -> ResourceAmounts {
    var result = ResourceAmounts()
    for (name, value) in usage.amounts where hard[name] != nil { result[name] = value }
    return result
  }

  /// The resources that would be over their limit and of which more is asked for, in order.
  func exceeded(by used: ResourceAmounts, _ delta: ResourceAmounts) -> [String] {
    hard.amounts.filter { name, limit in
      (delta[name] ?? .zero) > .zero && (used[name] ?? .zero) > limit
    }.keys.sorted()
  }

  /// Whether the quota speaks of such an object: it limits something of it and its scopes fit.
  func covers(_ subject: QuotaSubject) -> Bool {
    guard subject.usage.amounts.keys.contains(where: { hard[$0] != nil }) || !requiredNames(subject).isEmpty else {
      return false
    }
    return scopes.allSatisfy { subject.matches(scope: $0) }
  }

  private func requiredNames(_ subject: QuotaSubject) -> [String] {
    subject.isPod ? hard.amounts.keys.filter { QuotaSubject.mustBeSpecified.contains($0) } : []
  }

  /// What containers must say because it is limited; nil when all say all.
  func missing(_ subject: QuotaSubject) -> String? {
    let lines = requiredNames(subject).sorted().compactMap { name -> String? in
      let silent = subject.containersWithout(name)
      return silent.isEmpty ? nil : "\(name) for: \(silent.joined(separator: ","))"
    }
    return lines.isEmpty ? nil : lines.joined(separator: "; ")
  }

  /// The kinds whose objects must be counted.
  var resources: [GroupResource] {
    var found: Set<GroupResource> = []
    for name in hard.amounts.keys { found.insert(QuotaSubject.resource(limitedBy: name)) }
    return found.sorted { $0.description < $1.description }
  }
}

/// An object as quotas see it.
private struct QuotaSubject {
  let resource: GroupResource
  let usage: ResourceAmounts
  private let object: JSONValue

  var isPod: Bool { resource.description == "pods" }

  /// A quota on one of these obliges every container to say how much it wants.
  static let mustBeSpecified: Set<String> = [
    "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
  ]
  private static let legacyCounts: Set<String> = [
    "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
  ]

  init(_ object: JSONValue, _ resource: GroupResource) {
    self.object = object
    self.resource = resource
    var usage = ResourceAmounts()
    usage["count/\(resource)"] = Quantity(1)
    let isFinished = ["Succeeded", "Failed"].contains(object["status"]["phase"].string)
    if Self.legacyCounts.contains(resource.description), !(resource.description == "pods" && isFinished) {
      usage[resource.description] = Quantity(1)
    }
    switch resource.description {
    case "pods" where !isFinished: usage += Self.podUsage(object)
    case "services": usage += Self.serviceUsage(object)
    case "persistentvolumeclaims": usage += Self.claimUsage(object)
    default: break
    }
    self.usage = usage
  }

  private static func podUsage(_ pod: JSONValue) -> ResourceAmounts {
    var usage = ResourceAmounts()
    let plain: Set<String> = ["cpu", "memory", "ephemeral-storage"]
    for (name, value) in PodResources(pod).amounts("requests").amounts {
      usage["requests.\(name)"] = value
      if plain.contains(name) || name.hasPrefix("hugepages-") { usage[name] = value }
    }
    for (name, value) in PodResources(pod).amounts("limits").amounts where plain.contains(name) {
      usage["limits.\(name)"] = value
    }
    return usage
  }

  private static func serviceUsage(_ service: JSONValue) -> ResourceAmounts {
    var usage = ResourceAmounts()
    let type = service["spec"]["type"].string
    let ports = service["spec"]["ports"].elements
    var nodePorts = 0
    if type == "NodePort" || (type == "LoadBalancer" && service["spec"]["allocateLoadBalancerNodePorts"] != false) {
      nodePorts = ports.count
    } else if type == "LoadBalancer" {
      nodePorts = ports.count { ($0["nodePort"].integer ?? 0) != 0 }
    }
    usage["services.nodeports"] = Quantity(Int64(nodePorts))
    usage["services.loadbalancers"] = Quantity(type == "LoadBalancer" ? 1 : 0)
    return usage
  }

  private static func claimUsage(_ claim: JSONValue) -> ResourceAmounts {
    var usage = ResourceAmounts()
    let storage = ResourceAmounts(claim["spec"]["resources"]["requests"])["storage"]
    if let storage { usage["requests.storage"] = storage }
    if let storageClass = claim["spec"]["storageClassName"].string, !storageClass.isEmpty {
      let prefix = "\(storageClass).storageclass.storage.k8s.io"
      usage["\(prefix)/persistentvolumeclaims"] = Quantity(1)
      if let storage { usage["\(prefix)/requests.storage"] = storage }
    }
    return usage
  }

  /// The kind that a limit speaks of.
  static func resource(limitedBy name: String) -> GroupResource {
    func core(_ resource: String) -> GroupResource { GroupResource(group: "", resource: resource) }
    if name.hasPrefix("count/") {
      let parts = name.dropFirst(6).split(separator: ".", maxSplits: 1)
      return GroupResource(group: parts.count > 1 ? String(parts[1]) : "", resource: String(parts.first ?? ""))
    }
    if name.hasPrefix("services.") { return core("services") }
    if name == "requests.storage" || name.contains(".storageclass.storage.k8s.io/") {
      return core("persistentvolumeclaims")
    }
    return core(legacyCounts.contains(name) ? name : "pods")
  }

  func containersWithout(_ name: String) -> [String] {
    let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
    let (kind, resource) = parts.count == 2 ? (parts[0], parts[1]) : ("requests", name)
    return ["initContainers", "containers"].flatMap { object["spec"][$0].elements }
      .filter { $0["resources"][kind][resource].isNull }
      .compactMap { $0["name"].string }.sorted()
  }

  // MARK: Scopes

  func matches(scope: JSONValue) -> Bool {
    guard isPod else { return false }
    let values = scope["values"].elements.compactMap(\.string)
    switch scope["scopeName"].string {
    case "BestEffort": return isBestEffort
    case "NotBestEffort": return !isBestEffort
    case "Terminating": return !object["spec"]["activeDeadlineSeconds"].isNull
    case "NotTerminating": return object["spec"]["activeDeadlineSeconds"].isNull
    case "PriorityClass": return matchesPriority(scope["operator"].string ?? "", values)
    case "CrossNamespacePodAffinity": return hasCrossNamespaceAffinity
    default: return false
    }
  }

  private var isBestEffort: Bool {
    ["initContainers", "containers"].flatMap { object["spec"][$0].elements }.allSatisfy { container in
      ["requests", "limits"].allSatisfy { kind in
        let amounts = ResourceAmounts(container["resources"][kind])
        return ["cpu", "memory"].allSatisfy { amounts[$0]?.isZero ?? true }
      }
    }
  }

  private func matchesPriority(_ condition: String, _ values: [String]) -> Bool {
    let own = object["spec"]["priorityClassName"].string ?? ""
    switch condition {
    case "In": return values.contains(own)
    case "NotIn": return !values.contains(own)
    case "Exists": return !own.isEmpty
    case "DoesNotExist": return own.isEmpty
    default: return false
    }
  }

  private var hasCrossNamespaceAffinity: Bool {
    let affinity = object["spec"]["affinity"]
    return ["podAffinity", "podAntiAffinity"].contains { kind in
      let required = affinity[kind]["requiredDuringSchedulingIgnoredDuringExecution"].elements
      let preferred = affinity[kind]["preferredDuringSchedulingIgnoredDuringExecution"].elements
        .map { $0["podAffinityTerm"] }
      return (required + preferred).contains {
        !$0["namespaces"].elements.isEmpty || !$0["namespaceSelector"].isNull
      }
    }
  }
}
