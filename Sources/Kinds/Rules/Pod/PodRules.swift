// Pods: what the server fills in, what clients may change, and what is wrong with the rest (spec/3 §3.7).
import JSON
import Schema

struct PodRules: KindRules {
  func applyDefaults(to object: inout JSONValue) { PodDefaults.applyToPod(&object) }

  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    object["status"] = ["phase": "Pending", "qosClass": .string(PodQoS.ofPod(object))]
    if !object["spec"]["schedulingGates"].isEmptyValue {
      object["status"]["conditions"] = [
        [
          "type": "PodScheduled", "status": "False", "reason": "SchedulingGated",
          "message": "Scheduling is blocked due to non-empty scheduling gates",
        ]
      ]
    }
    if !object["spec"]["affinity"].isNull { PodDefaults.resolveLabelKeys(&object) }
    PodAppArmor.synchronize(&object)
  }

  var keptByStatus: [[String]] { [["metadata", "deletionTimestamp"], ["metadata", "ownerReferences"]] }
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    object["metadata"]["ownerReferences"] = old["metadata"]["ownerReferences"]
    if object["status"]["qosClass"].isEmptyValue { object["status"]["qosClass"] = old["status"]["qosClass"] }
  }

  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    if context.subresource == "ephemeralcontainers" {
      // Everything else is the old pod's, whatever the client sent.
      let added = object["spec"]["ephemeralContainers"]
      object["spec"] = old["spec"]
      object["spec"]["ephemeralContainers"] = added
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.podAnnotations(object, "metadata.annotations")
    checks.podSpec(spec, "spec", isTemplate: false, name: object["metadata"]["name"].text)
    if spec["serviceAccountName"].isEmptyValue {
      for (index, volume) in spec["volumes"].elements.enumerated() {
        for (number, source) in volume["projected"]["sources"].elements.enumerated()
        where !source["serviceAccountToken"].isNull {
          checks.forbidden(
            "spec.volumes[\(index)].projected.sources[\(number)].serviceAccountToken",
            "must not be specified when serviceAccountName is not set")
        }
      }
    }
    for list in ["containers", "initContainers"] {
      for (index, container) in spec[list].elements.enumerated() {
        checks.imagePadding(container, "spec.\(list)[\(index)]")
      }
    }
    return checks.errors
  }

  func validateCreate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    if !object["spec"]["ephemeralContainers"].isEmptyValue {
      checks.forbidden("spec.ephemeralContainers", "cannot be set on create")
    }
    if !object["spec"]["schedulingGates"].isEmptyValue, !object["spec"]["nodeName"].isEmptyValue {
      checks.forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared")
    }
    checks.profilesMatchAnnotations(object, "spec")
    return checks.errors
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.podAnnotationUpdates(object, old)
    return checks.errors + PodUpdate.errors(object["spec"], old: old["spec"])
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let status = object["status"]
    checks.podAnnotationUpdates(object, old)
    // (The path is the reference's.)
    for (index, condition) in status["conditions"].elements.enumerated()
    where !["PodScheduled", "Ready", "Initialized"].contains(condition["type"].text) {
      checks.text(condition["type"], "metadata.conditions[\(index)].Type", Validate.qualifiedName)
    }
    let nominated = status["nominatedNodeName"]
    if nominated != old["status"]["nominatedNodeName"], !nominated.isEmptyValue {
      checks.text(nominated, "status.nominatedNodeName") { Validate.nameIsDNSSubdomain($0) }
    }
    checks.immutable(status["qosClass"], old["status"]["qosClass"], "status.qosClass")
    let policy = old["spec"]["restartPolicy"].text
    for (list, policy) in [
      ("containerStatuses", policy), ("initContainerStatuses", policy), ("ephemeralContainerStatuses", "Never"),
    ] {
      terminalStates(
        status[list], old: old["status"][list], "status.\(list)", policy: policy,
        spec: list == "initContainerStatuses" ? old["spec"] : .null, &checks)
    }
    addresses(status["podIPs"], "status.podIPs", "core.PodIP", &checks)
    hostAddresses(status, &checks)
    return checks.errors
  }

  private func hostAddresses(_ status: JSONValue, _ checks: inout Checks) {
    guard let first = status["hostIPs"].elements.first else { return }
    if first["ip"] != status["hostIP"] {
      checks.invalid("status.hostIPs[0].ip", first["ip"], "must be equal to `hostIP`")
    }
    addresses(status["hostIPs"], "status.hostIPs", "core.HostIP", &checks)
  }

  /// At most one address of each family. `type`: what the reference calls an entry.
  private func addresses(_ list: JSONValue, _ path: String, _ type: String, _ checks: inout Checks) {
    let entries = list.elements
    for (index, entry) in entries.enumerated() { checks.address(entry["ip"], "\(path)[\(index)]") }
    guard entries.count > 1 else { return }
    func printed(_ entry: JSONValue) -> String { "\(type){IP:\(GoSyntax.quoted(entry["ip"].text))}" }
    let families = Set(entries.compactMap { IPAddress($0["ip"].text)?.family })
    var seen: Set<String> = []
    var duplicates: [FieldError] = []
    for (index, entry) in entries.enumerated() where !seen.insert(entry["ip"].text).inserted {
      duplicates.append(
        FieldError(.duplicate, field: "\(path)[\(index)]", message: "Duplicate value: \(printed(entry))"))
    }
    // (Which of the two comes first depends on whose addresses they are.)
    if type == "core.HostIP" { checks.report(duplicates) }
    if families.count < 2 || entries.count > 2 {
      checks.invalid(
        path, goValue: "[]\(type){\(entries.map(printed).joined(separator: ", "))}",
        "may specify no more than one IP for each IP family")
    }
    if type != "core.HostIP" { checks.report(duplicates) }
  }

  /// A container that ended and that nothing restarts stays ended.
  private func terminalStates(
    _ statuses: JSONValue, old: JSONValue, _ path: String, policy: String, spec: JSONValue, _ checks: inout Checks
  ) {
    guard policy != "Always" else { return }
    let sidecars = spec["initContainers"].elements.filter { $0["restartPolicy"] == "Always" }.map { $0["name"] }
    for (index, before) in old.elements.enumerated() {
      let end = before["state"]["terminated"]
      guard !end.isNull, !sidecars.contains(before["name"]) else { continue }
      if policy == "OnFailure", (end["exitCode"].integer ?? 0) != 0 { continue }
      for after in statuses.elements
      where after["name"] == before["name"] && after["state"]["terminated"].isNull {
        checks.forbidden("\(path)[\(index)].state", "may not be transitioned to non-terminated state")
      }
    }
  }

  /// Updates are many, and rarely written by somebody who reads.
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    old.isNull ? PodWarnings.ofPod(object) : []
  }
}

/// Pod templates of their own (`podtemplates`).
struct PodTemplateRules: KindRules {
  func applyDefaults(to object: inout JSONValue) { PodDefaults.applyToSpec(&object["template"]["spec"]) }
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.podTemplate(object["template"], "template")
    return checks.errors
  }
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    PodWarnings.ofTemplate(object["template"], "template")
  }
}
