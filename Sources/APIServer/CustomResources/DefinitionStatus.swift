// What becomes of a definition: its names accepted or in conflict, established, and in the end removed. Pure.
import JSON
import Kinds
import Replica
import Schema
import World

/// A condition of a definition as it shall be.
struct DefinitionCondition: Sendable {
  var type: String
  var isTrue: Bool
  var reason: String
  var message: String
}

enum DefinitionStatus {
  static let finalizer = "customresourcecleanup.apiextensions.k8s.io"

  /// Names in use by definitions of one group.
  struct UsedNames: Sendable {
    var resources: Set<String> = []
    var kinds: Set<String> = []

    /// Those that the definitions have been given.
    init(_ definitions: some Sequence<JSONValue>) {
      for definition in definitions { insert(definition["status"]["acceptedNames"]) }
    }

    mutating func insert(_ names: JSONValue) {
      for name in ["plural", "singular"] { if let text = names[name].string, !text.isEmpty { resources.insert(text) } }
      for name in names["shortNames"].elements { if let text = name.string { resources.insert(text) } }
      for name in ["kind", "listKind"] { if let text = names[name].string, !text.isEmpty { kinds.insert(text) } }
    }
  }

  /// The definition with the names it gets among those that others of its group use, and whether it is established.
  static func named(_ definition: JSONValue, used: UsedNames, now: WallTime) -> JSONValue {
    let wanted = definition["spec"]["names"]
    var accepted = definition["status"]["acceptedNames"]
    var conflict: (reason: String, message: String)?
    func check(_ name: String, _ among: Set<String>, _ reason: String) {
      let text = wanted[name].string ?? ""
      if text == accepted[name].string ?? "" { return }
      guard !among.contains(text) else {
        conflict = (reason, "\"\(text)\" is already in use")
        return
      }
      accepted[name] = wanted[name]
    }
    check("plural", used.resources, "PluralConflict")
    check("singular", used.resources, "SingularConflict")
    shortNames(wanted["shortNames"], &accepted, used.resources, &conflict)
    check("kind", used.kinds, "KindConflict")
    check("listKind", used.kinds, "ListKindConflict")
    accepted["categories"] = wanted["categories"]

    var result = definition
    if result["status"]["acceptedNames"] != accepted { result["status"]["acceptedNames"] = accepted }
    let hasNames = DefinitionCondition(
      type: "NamesAccepted", isTrue: conflict == nil, reason: conflict?.reason ?? "NoConflicts",
      message: conflict?.message ?? "no conflicts found")
    set(hasNames, in: &result, now: now)
    if !DefinedKinds.isTrue("Established", in: result) {
      let (reason, message) =
        if conflict != nil {
          ("NotAccepted", "not all names are accepted")
        } else if !DefinitionAuthority.isSound(result) {
          ("InvalidCABundle", "The conversion webhook CABundle is invalid")
        } else {
          ("InitialNamesAccepted", "the initial names have been accepted")
        }
      set(
        DefinitionCondition(
          type: "Established", isTrue: reason == "InitialNamesAccepted", reason: reason, message: message),
        in: &result, now: now)
    }
    if let approval = DefinitionApproval(result) { set(Self.condition(approval), in: &result, now: now) }
    return result
  }

  private static func condition(_ approval: DefinitionApproval) -> DefinitionCondition {
    let reason =
      switch approval.state {
      case .approved: "ApprovedAnnotation"
      case .bypassed: "UnapprovedAnnotation"
      case .missing: "MissingAnnotation"
      case .invalid: "InvalidAnnotation"
      }
    return DefinitionCondition(
      type: "KubernetesAPIApprovalPolicyConformant", isTrue: approval.state == .approved, reason: reason,
      message: approval.message)
  }

  /// A definition outlives its objects.
  static func beginDeletion(_ definition: inout JSONValue, now: WallTime) {
    if !ObjectMetadata.finalizers(definition).contains(finalizer) {
      definition["metadata"]["finalizers"].append(.string(finalizer))
    }
    set(
      DefinitionCondition(
        type: "Terminating", isTrue: true, reason: "InstanceDeletionPending",
        message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"),
      in: &definition, now: now)
  }

  private static func shortNames(
    _ wanted: JSONValue, _ accepted: inout JSONValue, _ used: Set<String>,
    _ conflict: inout (reason: String, message: String)?
  ) {
    let own = Set(accepted["shortNames"].elements.compactMap(\.string))
    let taken = wanted.elements.compactMap(\.string).filter { !own.contains($0) && used.contains($0) }
    guard taken.isEmpty else {
      let messages = taken.map { "\"\($0)\" is already in use" }
      conflict = (
        "ShortNamesConflict", messages.count == 1 ? messages[0] : "[\(messages.joined(separator: ", "))]"
      )
      return
    }
    accepted["shortNames"] = wanted
  }

  /// Sets a condition; its time moves when its status does.
  static func set(_ condition: DefinitionCondition, in definition: inout JSONValue, now: WallTime) {
    let status: JSONValue = condition.isTrue ? "True" : "False"
    var conditions = definition["status"]["conditions"].elements
    let position = conditions.firstIndex { $0["type"].string == condition.type }
    var time = JSONValue.string(now.rfc3339)
    if let position {
      let former = conditions[position]
      if former["status"] == status, former["reason"].string == condition.reason,
        former["message"].string == condition.message
      {
        return
      }
      if former["status"] == status { time = former["lastTransitionTime"] }
    }
    let new: JSONValue = [
      "type": .string(condition.type), "status": status, "lastTransitionTime": time,
      "reason": .string(condition.reason), "message": .string(condition.message),
    ]
    if let position { conditions[position] = new } else { conditions.append(new) }
    definition["status"]["conditions"] = .array(conditions)
  }
}
