// What may change in the spec of a pod that exists.
import JSON
import Schema

enum PodUpdate {
  static func errors(_ new: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for list in ["containers", "initContainers"] {
      guard new[list].elements.count == old[list].elements.count else {
        checks.forbidden("spec.\(list)", "pod updates may not add or remove containers")
        return checks.errors
      }
      for (index, container) in new[list].elements.enumerated() {
        if container["image"].isEmptyValue { checks.required("spec.\(list)[\(index)].image") }
        checks.imagePadding(container, "spec.\(list)[\(index)]")
      }
    }
    guard deadline(new, old, &checks) else { return checks.errors }
    addedTolerations(new["tolerations"], old["tolerations"].elements, &checks)
    for (index, gate) in new["schedulingGates"].elements.enumerated()
    where !old["schedulingGates"].elements.contains(where: { $0["name"] == gate["name"] }) {
      checks.forbidden(
        "spec.schedulingGates[\(index)].name",
        "only deletion is allowed, but found new scheduling gate '\(gate["name"].text)'")
    }
    guard new != old else { return checks.errors }
    var rest = withChangeableFields(of: old, in: new)
    if !old["schedulingGates"].isEmptyValue { gatedPlacement(&rest, old: old, &checks) }
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

  /// May be set, and lowered; not raised or taken away. Whether the rest is worth looking at.
  private static func deadline(_ new: JSONValue, _ old: JSONValue, _ checks: inout Checks) -> Bool {
    let path = "spec.activeDeadlineSeconds"
    let before = old["activeDeadlineSeconds"].integer
    guard let seconds = new["activeDeadlineSeconds"].integer else {
      if before != nil { checks.invalid(path, "null", "must not update from a positive integer to nil value") }
      return true
    }
    let found = checks.errors.count
    checks.inRange(.integer(seconds), path, 0...2_147_483_647)
    if checks.errors.count == found, let before, before < seconds {
      checks.invalid(path, .integer(seconds), "must be less than or equal to previous value")
    }
    return checks.errors.count == found
  }

  private static func addedTolerations(_ new: JSONValue, _ old: [JSONValue], _ checks: inout Checks) {
    func withoutSeconds(_ toleration: JSONValue) -> JSONValue {
      var result = toleration
      result["tolerationSeconds"] = .null
      return result
    }
    let kept = Set(new.elements.map { withoutSeconds($0) })
    guard old.allSatisfy({ kept.contains(withoutSeconds($0)) }) else {
      return checks.forbidden(
        "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")
    }
    checks.tolerations(new, "spec.tolerations")
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
    for name in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
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
        "spec.nodeSelector", goValue: GoSyntax.stringMap(rest["nodeSelector"]),
        "only additions to spec.nodeSelector are allowed (no mutations or deletions)")
    }
    rest["nodeSelector"] = old["nodeSelector"]
    let affinity = old["affinity"]["nodeAffinity"]
    guard rest["affinity"]["nodeAffinity"] != affinity else { return }
    narrowing(rest["affinity"]["nodeAffinity"], affinity, &checks)
    if old["affinity"].isNull, rest["affinity"]["podAffinity"].isNull, rest["affinity"]["podAntiAffinity"].isNull {
      rest["affinity"] = .null
    } else {
      rest["affinity"]["nodeAffinity"] = affinity
    }
  }

  /// Same terms, each with the requirements it had first.
  private static func narrowing(_ new: JSONValue, _ old: JSONValue, _ checks: inout Checks) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution"
    let path = "spec.affinity.nodeAffinity.\(required).nodeSelectorTerms"
    let before = old[required]["nodeSelectorTerms"].elements
    let after = new[required]["nodeSelectorTerms"].elements
    guard !before.isEmpty else { return }
    guard before.count == after.count else {
      return checks.invalid(
        path, new[required]["nodeSelectorTerms"],
        "no additions/deletions to non-empty NodeSelectorTerms list are allowed")
    }
    for (index, (new, old)) in zip(after, before).enumerated() {
      let lists = ["matchExpressions", "matchFields"]
      let wasEmpty = lists.allSatisfy { old[$0].isEmptyValue }
      let isNarrower = lists.allSatisfy { new[$0].elements.starts(with: old[$0].elements) }
      if !isNarrower || (wasEmpty && lists.contains { !new[$0].isEmptyValue }) {
        checks.invalid("\(path)[\(index)]", new, "only additions are allowed (no mutations or deletions)")
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
