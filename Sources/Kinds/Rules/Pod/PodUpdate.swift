// What may change in the spec of a pod that exists.
import JSON
import Schema

enum PodUpdate {
  static func errors(_ new: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for list in ["containers", "initContainers"] {
      if new[list].elements.count != old[list].elements.count {
        checks.forbidden("spec.\(list)", "pod updates may not add or remove containers")
        return checks.errors
      }
    }
    deadline(new, old, &checks)
    addedTolerations(new["tolerations"].elements, old["tolerations"].elements, &checks)
    let isGated = !old["schedulingGates"].isEmptyValue
    for (index, gate) in new["schedulingGates"].elements.enumerated()
    where !old["schedulingGates"].elements.contains(gate) {
      checks.forbidden(
        "spec.schedulingGates[\(index)]",
        "only deletion is allowed, but found new scheduling gate '\(gate["name"].text)'")
    }
    ephemeralContainers(new, old, &checks)
    var rest = withChangeableFields(of: old, in: new)
    if isGated { gatedPlacement(&rest, old: old, &checks) }
    if rest != old {
      checks.forbidden(
        "spec", "pod updates may not change fields other than \(changeable)\n\(differences(old, rest, "spec"))")
    }
    return checks.errors
  }

  private static let changeable = [
    "`spec.containers[*].image`", "`spec.initContainers[*].image`", "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
  ].joined(separator: ",")

  /// May be set, and lowered; not raised or taken away.
  private static func deadline(_ new: JSONValue, _ old: JSONValue, _ checks: inout Checks) {
    let path = "spec.activeDeadlineSeconds"
    let before = old["activeDeadlineSeconds"].integer
    if let seconds = new["activeDeadlineSeconds"].integer {
      checks.inRange(.integer(seconds), path, 0...2_147_483_647)
      if let before, before < seconds {
        checks.invalid(path, .integer(seconds), "must be less than or equal to previous value")
      }
    } else if before != nil {
      checks.invalid(path, .null, "must not update from a positive integer to nil value")
    }
  }

  private static func addedTolerations(_ new: [JSONValue], _ old: [JSONValue], _ checks: inout Checks) {
    func withoutSeconds(_ toleration: JSONValue) -> JSONValue {
      var result = toleration
      result["tolerationSeconds"] = .null
      return result
    }
    let kept = Set(new.map { withoutSeconds($0).description })
    if !old.allSatisfy({ kept.contains(withoutSeconds($0).description) }) {
      checks.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    }
  }

  private static func ephemeralContainers(_ new: JSONValue, _ old: JSONValue, _ checks: inout Checks) {
    let after = new["ephemeralContainers"].elements
    for container in old["ephemeralContainers"].elements {
      guard let same = after.first(where: { $0["name"] == container["name"] }) else {
        checks.forbidden(
          "spec.ephemeralContainers",
          "existing ephemeral containers \"\(container["name"].text)\" may not be removed\n")
        continue
      }
      if same != container {
        checks.forbidden(
          "spec.ephemeralContainers",
          "existing ephemeral containers \"\(container["name"].text)\" may not be changed\n")
      }
    }
  }

  /// The new spec with the old values of everything that may change.
  private static func withChangeableFields(of old: JSONValue, in new: JSONValue) -> JSONValue {
    var result = new
    for list in ["containers", "initContainers"] {
      let images = old[list].elements.map { $0["image"] }
      var index = 0
      result[list].mutateElements { container in
        if index < images.count { container["image"] = images[index] }
        index += 1
      }
    }
    for name in ["activeDeadlineSeconds", "tolerations", "schedulingGates", "ephemeralContainers"] {
      result[name] = old[name]
    }
    if let before = old["terminationGracePeriodSeconds"].integer, before < 0,
      new["terminationGracePeriodSeconds"] == 1
    {
      result["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    }
    return result
  }

  /// A pod that is still gated may be narrowed to fewer nodes.
  private static func gatedPlacement(_ rest: inout JSONValue, old: JSONValue, _ checks: inout Checks) {
    let before = old["nodeSelector"].object ?? [:]
    let after = rest["nodeSelector"].object ?? [:]
    if before.contains(where: { after[$0.key] != $0.value }) {
      checks.invalid(
        "spec.nodeSelector", rest["nodeSelector"], "only additions are allowed to spec.nodeSelector")
    }
    rest["nodeSelector"] = old["nodeSelector"]
    let required = ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"]
    if old[path: required].isNull {
      rest["affinity"] = old["affinity"]
    } else if narrows(rest[path: required], old[path: required]) {
      rest[path: required] = old[path: required]
    }
  }

  /// Same terms, each with at least the requirements it had.
  private static func narrows(_ new: JSONValue, _ old: JSONValue) -> Bool {
    let after = new["nodeSelectorTerms"].elements
    let before = old["nodeSelectorTerms"].elements
    guard after.count == before.count else { return false }
    return zip(after, before).allSatisfy { new, old in
      ["matchExpressions", "matchFields"].allSatisfy { list in
        old[list].elements.allSatisfy { new[list].elements.contains($0) }
      }
    }
  }

  /// The members that differ, as paths with both values: enough to see what was wrong.
  static func differences(_ old: JSONValue, _ new: JSONValue, _ path: String) -> String {
    var lines: [String] = []
    collect(old, new, path, &lines)
    return lines.joined(separator: "\n")
  }

  private static func collect(_ old: JSONValue, _ new: JSONValue, _ path: String, _ lines: inout [String]) {
    guard old != new else { return }
    switch (old, new) {
    case (.object(let before), .object(let after)):
      for (key, value) in before { collect(value, after[key] ?? .null, "\(path).\(key)", &lines) }
      for (key, value) in after where before[key] == nil { collect(.null, value, "\(path).\(key)", &lines) }
    case (.array(let before), .array(let after)) where before.count == after.count:
      for (index, pair) in zip(before, after).enumerated() {
        collect(pair.0, pair.1, "\(path)[\(index)]", &lines)
      }
    default:
      lines.append("- \(path): \(old)")
      lines.append("+ \(path): \(new)")
    }
  }
}
