// Replication controllers.
import JSON
import Schema

struct ReplicationControllerRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {
    PodDefaults.applyToSpec(&object["spec"]["template"]["spec"])
    let labels = object["spec"]["template"]["metadata"]["labels"]
    guard !labels.isEmptyValue else { return }
    if object["spec"]["selector"].isEmptyValue { object["spec"]["selector"] = labels }
    if object["metadata"]["labels"].isEmptyValue { object["metadata"]["labels"] = labels }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.nonNegative(spec["minReadySeconds"], "spec.minReadySeconds")
    if spec["selector"].isEmptyValue { checks.required("spec.selector") }
    checks.nonNegative(spec["replicas"], "spec.replicas")
    if spec["template"].isNull {
      checks.required("spec.template")
    } else {
      checks.workloadTemplate(
        spec["template"], "spec.template", selector: LabelSelector(matchLabels: spec["selector"].stringMap),
        deadlineMessage: "activeDeadlineSeconds in ReplicationController is not Supported")
    }
    return checks.errors
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    // (The reference leaves `spec` out of this path.)
    templateWarnings(object, old, "template")
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.replicaStatus(object["status"])
    return checks.errors
  }
}
