// What an object costs of a quota, by kind: one evaluator for admission, which charges, and the controller, which recounts.
import JSON
import Schema
import World

/// An object as quotas see it.
public struct QuotaSubject: Sendable {
  public let resource: GroupResource
  public let usage: ResourceAmounts
  private let object: JSONValue

  public var isPod: Bool { resource.description == "pods" }

  /// A quota on one of these obliges every container to say how much it wants.
  static let mustBeSpecified: Set<String> = [
    "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
  ]
  private static let legacyCounts: Set<String> = [
    "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
  ]

  public init(_ object: JSONValue, _ resource: GroupResource, now: WallTime) {
    self.object = object
    self.resource = resource
    var usage = ResourceAmounts()
    usage["count/\(resource)"] = Quantity(1)
    let isOver = resource.description == "pods" && Self.isOver(object, now)
    if Self.legacyCounts.contains(resource.description), !isOver { usage[resource.description] = Quantity(1) }
    switch resource.description {
    case "pods" where !isOver: usage += Self.podUsage(object)
    case "services": usage += Self.serviceUsage(object)
    case "persistentvolumeclaims": usage += Self.claimUsage(object)
    default: break
    }
    self.usage = usage
  }

  /// A pod that has ended takes nothing any more, nor does one whose node does not say so in time.
  private static func isOver(_ pod: JSONValue, _ now: WallTime) -> Bool {
    if ["Succeeded", "Failed"].contains(pod["status"]["phase"].string) { return true }
    let metadata = pod["metadata"]
    guard let deletion = metadata["deletionTimestamp"].string.flatMap({ WallTime(rfc3339: $0) }),
      let grace = metadata["deletionGracePeriodSeconds"].integer
    else { return false }
    return now > deletion + .seconds(grace)
  }

  /// Whether a limit is the number of a kind's objects. Pods are more than a number: those that have ended do not count.
  static func isCount(_ name: String, of resource: GroupResource) -> Bool {
    name == "count/\(resource)" || (name == resource.description && name != "pods")
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
    var storage = ResourceAmounts(claim["spec"]["resources"]["requests"])["storage"]
    // An expansion that was asked for and taken back holds what was allocated meanwhile.
    if let allocated = ResourceAmounts(claim["status"]["allocatedResources"])["storage"] {
      storage = storage.map { max($0, allocated) } ?? allocated
    }
    if let storage { usage["requests.storage"] = storage }
    let annotated = claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"].string
    if let storageClass = annotated ?? claim["spec"]["storageClassName"].string, !storageClass.isEmpty {
      let prefix = "\(storageClass).storageclass.storage.k8s.io"
      usage["\(prefix)/persistentvolumeclaims"] = Quantity(1)
      if let storage { usage["\(prefix)/requests.storage"] = storage }
    }
    return usage
  }

  /// The kind that a limit speaks of.
  public static func resource(limitedBy name: String) -> GroupResource {
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
