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
  /// What quotas may be set for.
  static func isStandardQuota(_ name: String) -> Bool { name != "storage" && isStandard(name) }
  /// What quotas with a scope of pods count, beside the pods themselves.
  static func isCompute(_ name: String) -> Bool {
    [
      "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.ephemeral-storage",
      "limits.cpu", "limits.memory", "limits.ephemeral-storage",
    ].contains(name)
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
  /// `resources` of a container. `claims`: names of the resource claims of its pod.
  mutating func resources(_ resources: JSONValue, _ place: @autoclosure Path, claims: Set<String>) {
    guard !resources.isEmptyValue else { return }
    let limits = resources["limits"].object ?? [:]
    let requests = resources["requests"].object ?? [:]
    for (name, value) in limits {
      containerResource(name, value, "\(place()).limits[\(name)]")
      hugePages(name, value, "\(place()).limits[\(name)]")
    }
    for (name, value) in requests {
      containerResource(name, value, "\(place()).requests[\(name)]")
      guard let request = Quantity(value.text) else { continue }
      if let limitText = limits[name]?.string, let limit = Quantity(limitText) {
        if request != limit, !ResourceName.allowsOvercommit(name) {
          invalid("\(place()).requests", .string(request.description), "must be equal to \(name) limit of \(limit)")
        } else if request > limit {
          invalid(
            "\(place()).requests", .string(request.description),
            "must be less than or equal to \(name) limit of \(limit)"
          )
        }
      } else if !ResourceName.allowsOvercommit(name) {
        required("\(place()).limits", "Limit must be set for non overcommitable resources")
      }
      hugePages(name, value, "\(place()).requests[\(name)]")
    }
    let names = Set(limits.keys).union(requests.keys)
    if names.contains(where: ResourceName.isHugePages), !names.contains("cpu"), !names.contains("memory") {
      forbidden(place(), "HugePages require cpu or memory")
    }
    resourceClaims(resources["claims"], "\(place()).claims", claims)
  }

  private mutating func resourceClaims(_ list: JSONValue, _ path: @autoclosure Path, _ known: Set<String>) {
    var names: Set<String> = []
    for (index, claim) in list.elements.enumerated() {
      let name = claim["name"].text
      if name.isEmpty {
        required("\(path())[\(index)]")
        continue
      }
      if !names.insert("\(name)/\(claim["request"].text)").inserted {
        duplicate("\(path())[\(index)]", .string(name))
      }
      guard !known.contains(name) else { continue }
      let detail = known.isEmpty ? " which is empty" : ": \(known.sorted().joined(separator: ", "))"
      report(
        FieldError(
          .notFound, field: "\(path())[\(index)]",
          message: "Not found: \"\(name)\": must be one of the names in pod.spec.resourceClaims\(detail)"))
    }
  }

  /// Pages are used whole.
  private mutating func hugePages(_ name: String, _ value: JSONValue, _ place: @autoclosure Path) {
    guard ResourceName.isHugePages(name), let quantity = Quantity(value.text) else { return }
    let size = Quantity(String(name.dropFirst("hugepages-".count)))?.value ?? 0
    if size <= 0 || quantity.value % size != 0 {
      invalid(
        place(), .string(quantity.description), "\(quantity) is not positive integer multiple of \(name)")
    }
  }

  private mutating func containerResource(_ name: String, _ value: JSONValue, _ place: @autoclosure Path) {
    containerResourceName(name, place())
    resourceQuantity(name, value, place())
  }

  mutating func containerResourceName(_ name: String, _ place: @autoclosure Path) {
    resourceName(name, place())
    if !name.contains("/") {
      if !ResourceName.isContainerResource(name) {
        invalid(place(), .string(name), "must be a standard resource for containers")
      }
    } else if !ResourceName.isNative(name), !ResourceName.isExtended(name) {
      invalid(place(), .string(name), "doesn't follow extended resource name standard")
    }
  }

  mutating func resourceName(_ name: String, _ place: @autoclosure Path) {
    let errors = Validate.qualifiedName(name)
    for message in errors { invalid(place(), .string(name), message) }
    if errors.isEmpty, !name.contains("/"), !ResourceName.isStandard(name) {
      invalid(place(), .string(name), "must be a standard resource type or fully qualified")
    }
  }

  /// Not negative, and whole where the resource is counted. Text that is no quantity is the schema's to refuse.
  mutating func resourceQuantity(_ name: String, _ value: JSONValue, _ place: @autoclosure Path) {
    guard let quantity = Quantity(value.text) else { return }
    if quantity.isNegative { invalid(place(), .string(quantity.description), Self.negativeMessage) }
    if ResourceName.isCounted(name), quantity.milliValue % 1000 != 0 {
      invalid(place(), goValue: GoSyntax.quantity(value.text), "must be an integer")
    }
  }
}
