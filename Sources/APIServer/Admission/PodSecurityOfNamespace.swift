// What a namespace's labels say of the pods in it: whether they say anything, and which pods would not be let in now.
import JSON
import Replica
import Schema

/// A level and the version of the standards that it is of, for one of the modes.
struct PodSecurityBound: Equatable, CustomStringConvertible {
  static let prefix = "pod-security.kubernetes.io/"
  static let modes = ["enforce", "audit", "warn"]
  var level: PodSecurityLevel = .privileged
  var version = "latest"

  /// A level that nobody knows is enforced as the strictest; nobody is warned of it, and nothing told.
  init(_ labels: [String: String], _ mode: String) {
    if let text = labels[Self.prefix + mode] {
      level = PodSecurityLevel(rawValue: text) ?? (mode == "enforce" ? .restricted : .privileged)
    }
    if let text = labels["\(Self.prefix)\(mode)-version"], Self.isVersion(text) { version = text }
  }

  var description: String { "\(level.rawValue):\(version)" }

  /// What is wrong with a namespace's labels.
  static func errors(_ labels: [String: String]) -> [FieldError] {
    var errors: [FieldError] = []
    func check(_ label: String, _ isRight: (String) -> Bool, _ detail: String) {
      guard let text = labels[label], !isRight(text) else { return }
      errors.append(.invalid("metadata.labels[\(label)]", .string(text), detail))
    }
    for mode in modes {
      check(
        prefix + mode, { PodSecurityLevel(rawValue: $0) != nil }, "must be one of privileged, baseline, restricted")
      check("\(prefix)\(mode)-version", isVersion, "must be \"latest\" or \"v1.x\"")
    }
    return errors
  }

  /// "latest", or "v1." and a number without needless zeros.
  private static func isVersion(_ text: String) -> Bool {
    if text == "latest" { return true }
    let minor = text.dropFirst(3)
    guard text.hasPrefix("v1."), !minor.isEmpty, minor.utf8.allSatisfy({ (48...57).contains($0) }) else { return false }
    return minor == "0" || minor.first != "0"
  }
}

enum PodSecurityOfNamespace {
  private static let pods = GroupResource(group: "", resource: "pods")
  /// More pods than these are not looked at.
  private static let maximum = 3000

  static func verdict(_ request: AdmissionRequest, _ objects: ObjectLookup) throws(APIStatus) -> AdmissionVerdict {
    let (labels, old) = (labels(request.object), labels(request.oldObject))
    let errors = PodSecurityBound.errors(labels)
    // Labels that were wrong before are not held against an update of something else.
    let areOldErrors =
      request.operation == .update && errors.map(\.message) == PodSecurityBound.errors(old).map(\.message)
    guard errors.isEmpty || areOldErrors else {
      throw .invalid(request.kind, request.object["metadata"]["name"].string ?? "", errors)
    }
    guard request.operation == .update else { return .allowed }
    let (bound, before) = (PodSecurityBound(labels, "enforce"), PodSecurityBound(old, "enforce"))
    let isStricter = bound.level.strictness > before.level.strictness || bound.version != before.version
    guard bound != before, bound.level != .privileged, isStricter else { return .allowed }
    return AdmissionVerdict(warnings: warnings(of: objects.objects(pods, namespace: request.name), request.name, bound))
  }

  private static func labels(_ object: JSONValue) -> [String: String] {
    var labels: [String: String] = [:]
    for (key, value) in object["metadata"]["labels"].object ?? JSONObject() { labels[key] = value.string ?? "" }
    return labels
  }

  /// Pods that are there and would not be let in any more, those alike told together.
  private static func warnings(of pods: [JSONValue], _ namespace: String, _ bound: PodSecurityBound) -> [String] {
    var names: [String: [String]] = [:]
    for pod in pods.prefix(maximum) {
      let findings = PodSecurityStandard(spec: pod["spec"]).findings(at: bound.level)
      guard !findings.isEmpty else { continue }
      names[findings.map(\.what).joined(separator: ", "), default: []].append(pod["metadata"]["name"].string ?? "")
    }
    var warnings: [String] = []
    if pods.count > maximum {
      warnings.append(
        "new PodSecurity enforce level only checked against the first \(maximum) of \(pods.count) existing pods")
    }
    if !names.isEmpty {
      warnings.append(
        "existing pods in namespace \"\(namespace)\" violate the new PodSecurity enforce level \"\(bound)\"")
    }
    return warnings
      + names.map { problem, names in
        let others = names.count - 1
        let more = others == 0 ? "" : " (and \(others) other pod\(others == 1 ? "" : "s"))"
        return "\(names.min() ?? "")\(more): \(problem)"
      }.sorted()
  }
}

extension PodSecurityLevel {
  fileprivate var strictness: Int {
    switch self {
    case .privileged: 0
    case .baseline: 1
    case .restricted: 2
    }
  }
}
