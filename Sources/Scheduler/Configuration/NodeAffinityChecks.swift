// What can be wrong with the node affinity that a configuration adds to every pod's own.
import JSON
import Schema

enum NodeAffinityChecks {
  private static let operators = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
  private static let fieldOperators = ["In", "NotIn"]

  /// `affinity`: `NodeAffinity`, or nothing.
  static func check(_ affinity: JSONValue, _ path: String, _ checks: inout ConfigurationChecks) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution"
    for (index, term) in affinity[required]["nodeSelectorTerms"].elements.enumerated() {
      checkTerm(term, "\(path).\(required).nodeSelectorTerms[\(index)]", &checks)
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    // A term that weighs nothing is not looked at.
    for (index, term) in affinity[preferred].elements.enumerated() where term["weight"].integer ?? 0 != 0 {
      checkTerm(term["preference"], "\(path).\(preferred)[\(index)]", &checks)
    }
  }

  private static func checkTerm(_ term: JSONValue, _ path: String, _ checks: inout ConfigurationChecks) {
    for (index, requirement) in term["matchExpressions"].elements.enumerated() {
      checkLabel(requirement, "\(path).matchExpressions[\(index)]", &checks)
    }
    for (index, requirement) in term["matchFields"].elements.enumerated() {
      let path = "\(path).matchFields[\(index)]"
      if !fieldOperators.contains(requirement["operator"].string ?? "") {
        checks.add(.notSupported("\(path).operator", requirement["operator"], supported: fieldOperators))
      } else if requirement["values"].elements.count != 1 {
        checks.invalid("\(path).values", requirement["values"], "must have one element")
      }
    }
  }

  private static func checkLabel(_ requirement: JSONValue, _ path: String, _ checks: inout ConfigurationChecks) {
    let values = requirement["values"].elements
    let operation = requirement["operator"].string ?? ""
    guard operators.contains(operation) else {
      return checks.add(.notSupported("\(path).operator", requirement["operator"], supported: operators))
    }
    let key = requirement["key"].string ?? ""
    for problem in Validate.qualifiedName(key) { checks.invalid("\(path).key", .string(key), problem) }
    switch operation {
    case "In", "NotIn":
      if values.isEmpty {
        checks.invalid("\(path).values", .array(values), "for 'in', 'notin' operators, values set can't be empty")
      }
    case "Exists", "DoesNotExist":
      if !values.isEmpty {
        checks.invalid("\(path).values", .array(values), "values set must be empty for exists and does not exist")
      }
    default:
      if values.count != 1 {
        checks.invalid("\(path).values", .array(values), "for 'Gt', 'Lt' operators, exactly one value is required")
      }
      for (index, value) in values.enumerated() where Int64(value.string ?? "") == nil {
        checks.invalid("\(path).values[\(index)]", value, "for 'Gt', 'Lt' operators, the value must be an integer")
      }
    }
    for (index, value) in values.enumerated() {
      for problem in Validate.labelValue(value.string ?? "") {
        checks.invalid("\(path).values[\(index)][\(key)]", value, problem)
      }
    }
  }
}
