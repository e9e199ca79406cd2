// What may be wrong with compute resources: names, quantities, requests against limits.
import JSON
import Schema

/// What the names of resources say about them.
enum ResourceName {
  private static let containerNames: Set<String> = ["cpu", "memory", "ephemeral-storage"]
  private static let standardNames: Set<String> = [
    "cpu", "memory", "ephemeral-storage", "storage", "pods", "services", "replicationcontrollers", "resourcequotas",
    "secrets", "persistentvolumeclaims", "configmaps", "services.nodeports", "services.loadbalancers",
    "requests.cpu", "requests.memory", "requests.storage", "requests.ephemeral-storage", "limits.cpu",
    "limits.memory", "limits.ephemeral-storage",
  ]
  static func isHugePages(_ name: String) -> Bool { name.hasPrefix("hugepages-") }
  static func isStandard(_ name: String) -> Bool {
    standardNames.contains(name) || isHugePages(name) || name.hasPrefix("requests.hugepages-")
  }
  static func isContainerResource(_ name: String) -> Bool { containerNames.contains(name) || isHugePages(name) }
  static func isNative(_ name: String) -> Bool { !name.contains("/") || name.contains("kubernetes.io/") }
  static func isExtended(_ name: String) -> Bool {
    !isNative(name) && !name.hasPrefix("requests.") && Validate.qualifiedName("requests.\(name)").isEmpty
  }
  /// Whether more may be requested in sum than there is of it.
  static func allowsOvercommit(_ name: String) -> Bool { isNative(name) && !isHugePages(name) }
  static func isCounted(_ name: String) -> Bool {
    isExtended(name)
      || [
        "pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps",
        "persistentvolumeclaims", "services.nodeports", "services.loadbalancers",
      ].contains(name) || name.hasPrefix("count/")
  }
}

extension Checks {
  /// `resources` of a container.
  mutating func resources(_ resources: JSONValue, _ place: String) {
    guard !resources.isEmptyValue else { return }
    let limits = resources["limits"].object ?? [:]
    let requests = resources["requests"].object ?? [:]
    for (name, value) in limits {
      containerResource(name, value, "\(place).limits[\(name)]")
    }
    for (name, value) in requests {
      containerResource(name, value, "\(place).requests[\(name)]")
      guard let request = Quantity(value.text) else { continue }
      if let limitText = limits[name]?.string, let limit = Quantity(limitText) {
        if request != limit, !ResourceName.allowsOvercommit(name) {
          invalid("\(place).requests", .string(request.description), "must be equal to \(name) limit of \(limit)")
        } else if request > limit {
          invalid(
            "\(place).requests", .string(request.description), "must be less than or equal to \(name) limit of \(limit)"
          )
        }
      } else if !ResourceName.allowsOvercommit(name) {
        required("\(place).limits", "Limit must be set for non overcommitable resources")
      }
    }
    let names = Set(limits.keys).union(requests.keys)
    if names.contains(where: ResourceName.isHugePages), !names.contains("cpu"), !names.contains("memory") {
      forbidden(place, "HugePages require cpu or memory")
    }
  }

  private mutating func containerResource(_ name: String, _ value: JSONValue, _ place: String) {
    resourceName(name, place)
    if !name.contains("/") {
      if !ResourceName.isContainerResource(name) {
        invalid(place, .string(name), "must be a standard resource for containers")
      }
    } else if !ResourceName.isNative(name), !ResourceName.isExtended(name) {
      invalid(place, .string(name), "doesn't follow extended resource name standard")
    }
    resourceQuantity(name, value, place)
  }

  mutating func resourceName(_ name: String, _ place: String) {
    let errors = Validate.qualifiedName(name)
    for message in errors { invalid(place, .string(name), message) }
    if errors.isEmpty, !name.contains("/"), !ResourceName.isStandard(name) {
      invalid(place, .string(name), "must be a standard resource type or fully qualified")
    }
  }

  /// Not negative, and whole where the resource is counted. Text that is no quantity is the schema's to refuse.
  mutating func resourceQuantity(_ name: String, _ value: JSONValue, _ place: String) {
    guard let quantity = Quantity(value.text) else { return }
    if quantity.isNegative { invalid(place, .string(quantity.description), Self.negativeMessage) }
    if ResourceName.isCounted(name), quantity.milliValue % 1000 != 0 {
      invalid(place, .string(quantity.description), "must be an integer")
    }
  }
}
