// Roles and bindings.
import JSON
import Schema

private let rbacGroup = "rbac.authorization.k8s.io"

/// Roles; cluster roles also rule over paths and gather the rules of others.
struct RoleRules: KindRules {
  let isClusterRole: Bool

  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    NameRule.pathSegment.check(name, isGeneratePrefix: isGeneratePrefix)
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    for (index, rule) in object["rules"].elements.enumerated() { self.rule(rule, "rules[\(index)]", &checks) }
    let selectors = object["aggregationRule"]["clusterRoleSelectors"].elements
    if isClusterRole, !object["aggregationRule"].isNull {
      if selectors.isEmpty {
        checks.required(
          "aggregationRule.clusterRoleSelectors",
          "at least one clusterRoleSelector required if aggregationRule is non-nil")
      }
      for (index, selector) in selectors.enumerated() {
        let place = "aggregationRule.clusterRoleSelectors[\(index)]"
        checks.labelSelector(selector, place)
        if (try? LabelSelector(selector)) == nil { checks.invalid(place, .null, "invalid label selector.") }
      }
    }
    return checks.errors
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

  private func rule(_ rule: JSONValue, _ place: String, _ checks: inout Checks) {
    if rule["verbs"].isEmptyValue {
      checks.required("\(place).verbs", "verbs must contain at least one value")
    }
    let hasResources = ["apiGroups", "resources", "resourceNames"].contains { !rule[$0].isEmptyValue }
    if !rule["nonResourceURLs"].isEmptyValue {
      if !isClusterRole {
        checks.invalid(
          "\(place).nonResourceURLs", goValue: GoSyntax.strings(rule["nonResourceURLs"]),
          "namespaced rules cannot apply to non-resource URLs")
      }
      if hasResources {
        checks.invalid(
          "\(place).nonResourceURLs", goValue: GoSyntax.strings(rule["nonResourceURLs"]),
          "rules cannot apply to both regular resources and non-resource URLs")
      }
      return
    }
    if rule["apiGroups"].isEmptyValue {
      checks.required("\(place).apiGroups", "resource rules must supply at least one api group")
    }
    if rule["resources"].isEmptyValue {
      checks.required("\(place).resources", "resource rules must supply at least one resource")
    }
  }
}

struct RoleBindingRules: KindRules {
  let isClusterBinding: Bool

  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    NameRule.pathSegment.check(name, isGeneratePrefix: isGeneratePrefix)
  }

  func applyDefaults(to object: inout JSONValue) {
    object["roleRef"]["apiGroup"].setDefaultText(rbacGroup)
    object["subjects"].mutateElements { subject in
      guard subject["kind"] == "User" || subject["kind"] == "Group" else { return }
      subject["apiGroup"].setDefaultText(rbacGroup)
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let role = object["roleRef"]
    let kinds = isClusterBinding ? ["ClusterRole"] : ["Role", "ClusterRole"]
    checks.choice(role["apiGroup"], "roleRef.apiGroup", [rbacGroup])
    checks.choice(role["kind"], "roleRef.kind", kinds)
    checks.requiredText(role["name"], "roleRef.name") { Validate.pathSegmentName($0) }
    for (index, subject) in object["subjects"].elements.enumerated() {
      self.subject(subject, "subjects[\(index)]", &checks)
    }
    return checks.errors
  }

  private func subject(_ subject: JSONValue, _ place: String, _ checks: inout Checks) {
    if subject["name"].isEmptyValue { checks.required("\(place).name") }
    let group = subject["apiGroup"]
    switch subject["kind"].text {
    case "ServiceAccount":
      if !subject["name"].isEmptyValue {
        checks.text(subject["name"], "\(place).name") { Validate.nameIsDNSSubdomain($0) }
      }
      if !group.isEmptyValue { checks.notSupported("\(place).apiGroup", group, [""]) }
      if isClusterBinding, subject["namespace"].isEmptyValue { checks.required("\(place).namespace") }
    case "User", "Group":
      if group.text != rbacGroup { checks.notSupported("\(place).apiGroup", group, [rbacGroup]) }
    default: checks.notSupported("\(place).kind", subject["kind"], ["ServiceAccount", "User", "Group"])
    }
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    guard object["roleRef"] != old["roleRef"] else { return [] }
    var checks = Checks()
    checks.invalid("roleRef", goValue: GoSyntax.roleReference(object["roleRef"]), "cannot change roleRef")
    return checks.errors
  }
}
