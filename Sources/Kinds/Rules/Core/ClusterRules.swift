// Namespaces, nodes and leases.
import JSON
import Schema

struct NamespaceRules: KindRules {
  private static let nameLabel = "kubernetes.io/metadata.name"

  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    NameRule.label.check(name, isGeneratePrefix: isGeneratePrefix)
  }
  /// The label lets selectors name namespaces; nobody can take it away.
  func applyDefaults(to object: inout JSONValue) {
    let name = object["metadata"]["name"]
    if !name.isEmptyValue { object["metadata"]["labels"][Self.nameLabel] = name }
  }

  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    let name = object["metadata"]["name"]
    if !name.isEmptyValue { object["metadata"]["labels"][Self.nameLabel] = name }
    object["status"] = ["phase": "Active"]
    var finalizers = object["spec"]["finalizers"].elements
    if !finalizers.contains("kubernetes") { finalizers.append("kubernetes") }
    object["spec"]["finalizers"] = .array(finalizers)
  }

  /// Only `finalize` changes the finalizers of the spec.
  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    if context.subresource == "finalize" {
      object["status"] = old["status"]
    } else {
      object["spec"]["finalizers"] = old["spec"]["finalizers"]
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    for finalizer in object["spec"]["finalizers"].elements {
      let place = "spec.finalizers"
      checks.text(finalizer, place, Validate.qualifiedName)
      if !finalizer.text.contains("/"), !["kubernetes", "orphan", "foregroundDeletion"].contains(finalizer.text) {
        checks.invalid(
          place, finalizer,
          "name is neither a standard finalizer name nor is it fully qualified")
      }
    }
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let phase = object["status"]["phase"]
    if object["metadata"]["deletionTimestamp"].isNull {
      if phase != "Active" {
        checks.invalid(
          "status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")
      }
    } else if phase != "Terminating" {
      checks.invalid(
        "status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")
    }
    return checks.errors
  }
}

struct NodeRules: KindRules {
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    var warnings: [String] = []
    if !object["spec"]["configSource"].isNull { warnings.append("spec.configSource: the feature is removed") }
    if !object["spec"]["externalID"].isEmptyValue {
      warnings.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    }
    return warnings
  }

  func applyDefaults(to object: inout JSONValue) {
    if object["status"]["allocatable"].isEmptyValue, !object["status"]["capacity"].isEmptyValue {
      object["status"]["allocatable"] = object["status"]["capacity"]
    }
  }

  /// (The reference tells of taints as if they stood in the metadata.)
  private func taints(_ spec: JSONValue, _ checks: inout Checks) {
    var pairs: Set<String> = []
    for (index, taint) in spec["taints"].elements.enumerated() {
      let place = "metadata.taints[\(index)]"
      checks.text(taint["key"], "\(place).key", Validate.qualifiedName)
      let problems = Validate.labelValue(taint["value"].text)
      if !problems.isEmpty { checks.invalid("\(place).value", taint["value"], problems.joined(separator: ";")) }
      checks.oneOf(taint["effect"], "\(place).effect", Checks.taintEffects)
      if !pairs.insert("\(taint["key"].text)\u{0}\(taint["effect"].text)").inserted {
        let members = ["Key": "key", "Value": "value", "Effect": "effect"]
        let shown = ["Key", "Value", "Effect"].map { "\($0):\(GoSyntax.quoted(taint[members[$0] ?? ""].text))" }
        checks.report(
          FieldError(
            .duplicate, field: place,
            message: "Duplicate value: core.Taint{\(shown.joined(separator: ", ")), TimeAdded:(*v1.Time)(nil)}: "
              + "taints must be unique by key and effect pair"))
      }
    }
  }

  private func resources(_ status: JSONValue, _ checks: inout Checks) {
    for list in ["capacity", "allocatable"] {
      for (name, value) in status[list].object ?? [:] {
        checks.resourceQuantity(name, value, "status.\(list).\(name)")
      }
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    taints(spec, &checks)
    resources(object["status"], &checks)
    let blocks = spec["podCIDRs"].elements
    for (index, block) in blocks.enumerated() { checks.addressBlock(block, "spec.podCIDRs[\(index)]") }
    let sixes = blocks.count { $0.string?.contains(":") ?? false }
    if sixes > 1 || blocks.count - sixes > 1 {
      checks.invalid(
        "spec.podCIDRs", spec["podCIDRs"], "may specify no more than one CIDR for each IP family")
    }
    var seen: Set<JSONValue> = []
    for (index, block) in blocks.enumerated() where !seen.insert(block).inserted {
      checks.duplicate("spec.podCIDRs[\(index)]", block)
    }
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    resources(object["status"], &checks)
    addresses(object["status"], &checks)
    let (before, after) = (old["spec"]["podCIDRs"].elements, object["spec"]["podCIDRs"].elements)
    let changes = before.count == after.count ? zip(before, after).count { $0 != $1 } : 1
    for _ in 0..<(before.isEmpty ? 0 : changes) {
      checks.forbidden(
        "spec.podCIDRs", "node updates may not change podCIDR except from \"\" to valid")
    }
    let provider = old["spec"]["providerID"]
    if !provider.isEmptyValue, object["spec"]["providerID"] != provider {
      checks.forbidden(
        "spec.providerID", "node updates may not change providerID except from \"\" to valid")
    }
    // (Resources and taints the reference looks at in the new node and again in the changed one.)
    taints(object["spec"], &checks)
    if object["spec"]["externalID"].text != old["spec"]["externalID"].text {
      checks.forbidden("spec.externalID", "may not be updated")
    }
    return checks.errors
  }

  private func addresses(_ status: JSONValue, _ checks: inout Checks) {
    var seen: Set<JSONValue> = []
    for (index, address) in status["addresses"].elements.enumerated() where !seen.insert(address).inserted {
      checks.report(
        FieldError(
          .duplicate, field: "status.addresses[\(index)]",
          message: "Duplicate value: core.NodeAddress{Type:\(GoSyntax.quoted(address["type"].text)), "
            + "Address:\(GoSyntax.quoted(address["address"].text))}"))
    }
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    resources(object["status"], &checks)
    addresses(object["status"], &checks)
    return checks.errors
  }
}

struct LeaseRules: KindRules {
  /// Coordinated leader election is off in 1.32: its fields are dropped without a word.
  func applyDefaults(to object: inout JSONValue) {
    for name in ["strategy", "preferredHolder"] where !object["spec"][name].isNull { object["spec"][name] = .null }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    if let duration = spec["leaseDurationSeconds"].integer, duration <= 0 {
      checks.invalid("spec.leaseDurationSeconds", .integer(duration), "must be greater than 0")
    }
    if let transitions = spec["leaseTransitions"].integer, transitions < 0 {
      checks.invalid(
        "spec.leaseTransitions", .integer(transitions), "must be greater than or equal to 0")
    }
    return checks.errors
  }
}
