// Disruption budgets.
import JSON
import Schema

struct DisruptionBudgetRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    if !spec["minAvailable"].isNull, !spec["maxUnavailable"].isNull {
      let types = [
        ("MinAvailable", "minAvailable", "intstr.IntOrString"), ("Selector", "selector", "v1.LabelSelector"),
        ("MaxUnavailable", "maxUnavailable", "intstr.IntOrString"),
        ("UnhealthyPodEvictionPolicy", "unhealthyPodEvictionPolicy", "policy.UnhealthyPodEvictionPolicyType"),
      ]
      let members = types.map { "\($0.0):\(GoSyntax.pointer(spec[$0.1], $0.2))" }
      checks.invalid(
        "spec", goValue: "policy.PodDisruptionBudgetSpec{\(members.joined(separator: ", "))}",
        "minAvailable and maxUnavailable cannot be both set")
    }
    for name in ["minAvailable", "maxUnavailable"] where !spec[name].isNull {
      checks.nonNegativeIntOrPercent(spec[name], "spec.\(name)")
      checks.noMoreThanAll(spec[name], "spec.\(name)")
    }
    if !spec["selector"].isNull { checks.labelSelector(spec["selector"], "spec.selector") }
    let policy = spec["unhealthyPodEvictionPolicy"]
    if !policy.isNull {
      checks.choice(policy, "spec.unhealthyPodEvictionPolicy", ["AlwaysAllow", "IfHealthyBudget"])
    }
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.conditions(object["status"]["conditions"], "status.conditions")
    for name in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
      checks.nonNegative(object["status"][name], "status.\(name)")
    }
    return checks.errors
  }
}
