// What may be wrong with the environment of containers and with references to fields and resources.
import JSON
import Schema

extension Checks {
  mutating func environment(_ variables: JSONValue, _ path: @autoclosure Path) {
    for (index, variable) in variables.elements.enumerated() {
      requiredText(variable["name"], "\(path())[\(index)].name", Validate.environmentVariableName)
      if !variable["valueFrom"].isNull { variableSource(variable, "\(path())[\(index)].valueFrom") }
    }
  }

  private mutating func variableSource(_ variable: JSONValue, _ place: @autoclosure Path) {
    let source = variable["valueFrom"]
    var count = 0
    if !source["fieldRef"].isNull {
      count += 1
      fieldReference(source["fieldRef"], "\(place()).fieldRef", Self.environmentFieldPaths)
    }
    if !source["resourceFieldRef"].isNull {
      count += 1
      resourceReference(source["resourceFieldRef"], "\(place()).resourceFieldRef", isVolume: false)
    }
    for name in ["configMapKeyRef", "secretKeyRef"] where !source[name].isNull {
      count += 1
      text(source[name]["name"], "\(place()).\(name).name") { Validate.nameIsDNSSubdomain($0) }
      requiredText(source[name]["key"], "\(place()).\(name).key", Validate.configMapKey)
    }
    if count == 0 {
      invalid(
        place(), "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`")
    } else if !variable["value"].isEmptyValue {
      invalid(place(), "", "may not be specified when `value` is not empty")
    } else if count > 1 {
      invalid(place(), "", "may not have more than one field specified at a time")
    }
  }

  static let environmentFieldPaths: Set<String> = [
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
  ]
  static let volumeFieldPaths: Set<String> = [
    "metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid",
  ]
  /// Everything that a field reference may name at all; `spec.host` is the old name of `spec.nodeName`.
  private static let convertibleFieldPaths = environmentFieldPaths.union(volumeFieldPaths).union([
    "spec.restartPolicy", "spec.schedulerName", "status.phase", "spec.host",
  ])

  mutating func fieldReference(_ reference: JSONValue, _ place: @autoclosure Path, _ allowed: Set<String>) {
    guard !reference["apiVersion"].isEmptyValue else { return required("\(place()).apiVersion") }
    let path = reference["fieldPath"].text
    guard !path.isEmpty else { return required("\(place()).fieldPath") }
    func unconvertible(_ why: String) {
      invalid("\(place()).fieldPath", .string(path), "error converting fieldPath: \(why)")
    }
    guard reference["apiVersion"] == "v1" else {
      return unconvertible("unsupported pod version: \(reference["apiVersion"].text)")
    }
    if let (whole, key) = Self.subscripted(path) {
      switch whole {
      case "metadata.annotations": text(.string(key.lowercased()), place(), Validate.qualifiedName)
      case "metadata.labels": text(.string(key), place(), Validate.qualifiedName)
      default: unconvertible("field label does not support subscript: \(path)")
      }
      return
    }
    guard Self.convertibleFieldPaths.contains(path) else { return unconvertible("field label not supported: \(path)") }
    let converted = path == "spec.host" ? "spec.nodeName" : path
    if !allowed.contains(converted) {
      notSupported("\(place()).fieldPath", .string(converted), allowed.sorted())
    }
  }

  /// `metadata.labels['key']` as its parts.
  private static func subscripted(_ path: String) -> (path: String, key: String)? {
    guard path.hasSuffix("']"), let open = path.firstIndex(of: "["), open != path.startIndex else { return nil }
    let inner = path[path.index(after: open)...].dropLast()
    guard inner.count >= 2, inner.hasPrefix("'") else { return nil }
    return (String(path[..<open]), String(inner.dropFirst().dropLast()))
  }

  mutating func resourceReference(_ reference: JSONValue, _ place: @autoclosure Path, isVolume: Bool) {
    let name = reference["resource"].text
    let allowed = [
      "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
      "requests.memory",
    ]
    let isHugePages = name.hasPrefix("limits.hugepages-") || name.hasPrefix("requests.hugepages-")
    if isVolume, reference["containerName"].isEmptyValue {
      required("\(place()).containerName")
    } else if name.isEmpty {
      required("\(place()).resource")
    } else if !allowed.contains(name), !isHugePages {
      notSupported("\(place()).resource", .string(name), allowed)
    }
    divisor(reference["divisor"].text, of: name, isHugePages: isHugePages, "\(place()).divisor")
  }

  private mutating func divisor(_ divisor: String, of name: String, isHugePages: Bool, _ place: @autoclosure Path) {
    guard let quantity = Quantity(divisor), !quantity.isZero else { return }
    let sizes = ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"]
    let resource: String
    switch name {
    case "limits.cpu", "requests.cpu":
      if !["1m", "1"].contains(quantity.description) {
        invalid(place(), .string(name), "only divisor's values 1m and 1 are supported with the cpu resource")
      }
      return
    case "limits.memory", "requests.memory": resource = "memory"
    case "limits.ephemeral-storage", "requests.ephemeral-storage": resource = "local ephemeral storage"
    default:
      guard isHugePages else { return }
      resource = "hugepages"
    }
    if !sizes.contains(quantity.description) {
      invalid(
        place(), .string(name),
        "only divisor's values \(sizes.joined(separator: ", ")) are supported with the \(resource) resource")
    }
  }

  mutating func environmentSources(_ sources: JSONValue, _ path: @autoclosure Path) {
    for (index, source) in sources.elements.enumerated() {
      func place() -> String { "\(path())[\(index)]" }
      if !source["prefix"].isEmptyValue {
        text(source["prefix"], "\(place()).prefix", Validate.environmentVariableName)
      }
      let given = ["configMapRef", "secretRef"].filter { !source[$0].isNull }
      for name in given {
        requiredText(source[name]["name"], "\(place()).\(name).name") {
          Validate.nameIsDNSSubdomain($0, isPrefix: true)
        }
      }
      // Of the list, not of its element: so the reference tells it.
      if given.isEmpty {
        invalid(path(), "", "must specify one of: `configMapRef` or `secretRef`")
      } else if given.count > 1 {
        invalid(path(), "", "may not have more than one field specified at a time")
      }
    }
  }
}
