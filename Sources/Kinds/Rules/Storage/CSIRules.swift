// Storage classes and the objects of CSI drivers.
import JSON
import Schema

struct StorageClassRules: KindRules {
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    object["allowedTopologies"].elements.enumerated().flatMap { index, term in
      NodeLabelWarnings.ofExpressions(
        term["matchLabelExpressions"], "allowedTopologies[\(index)].matchLabelExpressions")
    }
  }

  private static let maximumParameters = 512
  private static let maximumParameterBytes = 256 * 1024

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.requiredText(.string(object["provisioner"].text.lowercased()), "provisioner", Validate.qualifiedName)
    parameters(object["parameters"].object ?? [:], &checks)
    let policy = object["reclaimPolicy"]
    if !policy.isEmptyValue { checks.choice(policy, "reclaimPolicy", ["Delete", "Retain"]) }
    let mode = object["volumeBindingMode"]
    if mode.isNull {
      checks.required("volumeBindingMode")
    } else {
      checks.choice(mode, "volumeBindingMode", ["Immediate", "WaitForFirstConsumer"])
    }
    topologies(object["allowedTopologies"].elements, &checks)
    return checks.errors
  }

  private func parameters(_ parameters: JSONObject, _ checks: inout Checks) {
    if parameters.count > Self.maximumParameters {
      return checks.report(.tooLong("parameters", maximumBytes: Self.maximumParameters))
    }
    var size = 0
    for (key, value) in parameters {
      if key.isEmpty { checks.invalid("parameters", .string(key), "field can not be empty.") }
      size += key.utf8.count + value.text.utf8.count
    }
    if size > Self.maximumParameterBytes {
      checks.report(.tooLong("parameters", maximumBytes: Self.maximumParameterBytes))
    }
  }

  private func topologies(_ terms: [JSONValue], _ checks: inout Checks) {
    var seen: Set<[String: Set<String>]> = []
    for (index, term) in terms.enumerated() {
      let place = "allowedTopologies[\(index)].matchLabelExpressions"
      var keys: [String: Set<String>] = [:]
      for (number, requirement) in term["matchLabelExpressions"].elements.enumerated() {
        let key = requirement["key"]
        var values: Set<String> = []
        if requirement["values"].isEmptyValue { checks.required("\(place)[\(number)].values") }
        for (position, value) in requirement["values"].elements.enumerated()
        where !values.insert(value.text).inserted {
          checks.duplicate("\(place)[\(number)].values[\(position)]", value)
        }
        checks.text(key, "\(place)[\(number)].key", Validate.qualifiedName)
        if keys.updateValue(values, forKey: key.text) != nil { checks.duplicate("\(place)[\(number)].key", key) }
      }
      if !seen.insert(keys).inserted { checks.duplicate(place, "") }
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for name in ["parameters", "provisioner", "reclaimPolicy"] where object[name] != old[name] {
      checks.forbidden(name, "updates to \(name) are forbidden.")
    }
    checks.immutable(object["volumeBindingMode"], old["volumeBindingMode"], "volumeBindingMode")
    return checks.errors
  }
}

struct CSIDriverRules: KindRules {
  private static let shortestToken: Int64 = 600
  private static let longestToken: Int64 = 1 << 32

  func applyDefaults(to object: inout JSONValue) {
    if !object["spec"].isNull { object["spec"]["seLinuxMount"].setDefault(false) }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    // (The reference spells the first field so.)
    if spec["attachRequired"].isNull { checks.required("spec.attachedRequired") }
    for name in ["podInfoOnMount", "storageCapacity"] where spec[name].isNull { checks.required("spec.\(name)") }
    let policy = spec["fsGroupPolicy"]
    if !policy.isNull { checks.choice(policy, "spec.fsGroupPolicy", ["File", "None", "ReadWriteOnceWithFSType"]) }
    tokens(spec["tokenRequests"].elements, &checks)
    for mode in spec["volumeLifecycleModes"].elements where mode != "Persistent" && mode != "Ephemeral" {
      checks.notSupported("spec.volumeLifecycleModes", mode, ["Persistent", "Ephemeral"])
    }
    if spec["seLinuxMount"].isNull { checks.required("spec.seLinuxMount") }
    return checks.errors
  }

  private func tokens(_ requests: [JSONValue], _ checks: inout Checks) {
    var audiences: Set<String> = []
    for (index, request) in requests.enumerated() {
      let place = "spec.tokenRequests[\(index)]"
      guard audiences.insert(request["audience"].text).inserted else {
        checks.duplicate("\(place).audience", .string(request["audience"].text))
        continue
      }
      guard let seconds = request["expirationSeconds"].integer else { continue }
      if seconds < Self.shortestToken {
        checks.invalid(
          "\(place).expirationSeconds", .integer(seconds), "may not specify a duration less than 10 minutes")
      }
      if seconds > Self.longestToken {
        checks.invalid(
          "\(place).expirationSeconds", .integer(seconds), "may not specify a duration larger than 2^32 seconds")
      }
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutable(object["spec"]["attachRequired"], old["spec"]["attachRequired"], "spec.attachedRequired")
    let modes = object["spec"]["volumeLifecycleModes"]
    if modes != old["spec"]["volumeLifecycleModes"] {
      checks.invalid(
        "spec.volumeLifecycleModes", goValue: GoSyntax.strings(modes, of: "storage.VolumeLifecycleMode"),
        Checks.immutableMessage)
    }
    return checks.errors
  }

  /// What drivers are told anew.
  func generationChanged(_ object: JSONValue, old: JSONValue) -> Bool {
    ["tokenRequests", "requiresRepublish", "seLinuxMount"].contains { object["spec"][$0] != old["spec"][$0] }
  }
}

struct CSINodeRules: KindRules {
  private static let maximumNodeIDLength = 256

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    var names: Set<String> = []
    for (index, driver) in object["spec"]["drivers"].elements.enumerated() {
      let place = "spec.drivers[\(index)]"
      checks.driverName(driver["name"], "\(place).name")
      if driver["nodeID"].isEmptyValue { checks.required("\(place).nodeID") }
      if driver["nodeID"].text.utf8.count > Self.maximumNodeIDLength {
        checks.invalid("\(place).nodeID", driver["nodeID"], "must be \(Self.maximumNodeIDLength) characters or less")
      }
      checks.nonNegative(driver["allocatable"]["count"], "\(place).allocatable.count")
      if !names.insert(driver["name"].text).inserted {
        checks.duplicate("\(place).name", .string(driver["name"].text))
      }
      var keys: Set<String> = []
      for key in driver["topologyKeys"].elements {
        if key.isEmptyValue { checks.required(place) }
        if !keys.insert(key.text).inserted { checks.duplicate(place, key) }
        checks.text(key, place, Validate.qualifiedName)
      }
    }
    return checks.errors
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for before in old["spec"]["drivers"].elements {
      for driver in object["spec"]["drivers"].elements where driver["name"] == before["name"] && driver != before {
        let names = ["Name", "NodeID"].map { "\($0):\(GoSyntax.quoted(driver[$0 == "Name" ? "name" : "nodeID"].text))" }
        let limits = GoSyntax.pointer(driver["allocatable"], "storage.VolumeNodeResources")
        checks.invalid(
          "CSINodeDriver",
          goValue: "storage.CSINodeDriver{\(names.joined(separator: ", ")), "
            + "TopologyKeys:\(GoSyntax.strings(driver["topologyKeys"])), Allocatable:\(limits)}",
          Checks.immutableMessage)
      }
    }
    return checks.errors
  }
}

struct CSIStorageCapacityRules: KindRules {
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    NodeLabelWarnings.ofSelector(object["nodeTopology"], "nodeTopology")
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    if !object["nodeTopology"].isNull { checks.labelSelector(object["nodeTopology"], "nodeTopology") }
    checks.text(object["storageClassName"], "storageClassName") { Validate.nameIsDNSSubdomain($0) }
    if !object["capacity"].isNull { checks.resourceQuantity("storage", object["capacity"], "capacity") }
    return checks.errors
  }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let topology = object["nodeTopology"]
    if topology != old["nodeTopology"] {
      checks.invalid(
        "nodeTopology", goValue: topology.isNull ? GoSyntax.quoted("null") : GoSyntax.labelSelector(topology),
        Checks.immutableMessage)
    }
    checks.immutable(
      .string(object["storageClassName"].text), .string(old["storageClassName"].text), "storageClassName")
    return checks.errors
  }
}

struct VolumeAttachmentRules: KindRules {
  private static let maximumMetadataBytes = 256 * 1024
  private static let maximumMessageBytes = 1024

  var keptByStatus: [[String]] { [["metadata"]] }
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    keepMetadata(of: old, in: &object)
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    if spec["attacher"].isEmptyValue { checks.required("spec.attacher") }
    source(spec["source"], &checks)
    checks.text(spec["nodeName"], "spec.nodeName") { Validate.nameIsDNSSubdomain($0) }
    status(object["status"], &checks)
    return checks.errors
  }

  private func source(_ source: JSONValue, _ checks: inout Checks) {
    let place = "spec.source"
    let oneOfBoth = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
    switch (source["persistentVolumeName"].isNull, source["inlineVolumeSpec"].isNull) {
    case (true, true): checks.required(place, oneOfBoth)
    case (false, false): checks.forbidden(place, oneOfBoth)
    case (false, true):
      if source["persistentVolumeName"].isEmptyValue {
        checks.required("\(place).persistentVolumeName", "must specify non empty persistentVolumeName")
      }
    case (true, false):
      checks.persistentVolume(source["inlineVolumeSpec"], "\(place).inlineVolumeSpec", name: "", isInline: true)
    }
  }

  /// New attachments name things that can be there.
  func validateCreate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.driverName(object["spec"]["attacher"], "spec.attacher")
    if let name = object["spec"]["source"]["persistentVolumeName"].string {
      checks.text(.string(name), "spec.source.persistentVolumeName") { Validate.nameIsDNSSubdomain($0) }
    }
    return checks.errors
  }

  private func status(_ status: JSONValue, _ checks: inout Checks) {
    let size = (status["attachmentMetadata"].object ?? [:]).reduce(0) { total, member in
      total + member.key.utf8.count + member.value.text.utf8.count
    }
    if size > Self.maximumMetadataBytes {
      checks.report(.tooLong("status.attachmentMetadata", maximumBytes: Self.maximumMetadataBytes))
    }
    for name in ["attachError", "detachError"]
    where status[name]["message"].text.utf8.count > Self.maximumMessageBytes {
      // (The reference names the bound of the metadata here.)
      checks.report(.tooLong("status.\(name).message", maximumBytes: Self.maximumMetadataBytes))
    }
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validatedTwice(object) }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    let spec = object["spec"]
    guard spec != old["spec"] else { return [] }
    let source = [
      "PersistentVolumeName:\(GoSyntax.pointer(spec["source"]["persistentVolumeName"], "string"))",
      "InlineVolumeSpec:\(GoSyntax.pointer(spec["source"]["inlineVolumeSpec"], "core.PersistentVolumeSpec"))",
    ]
    var checks = Checks()
    checks.invalid(
      "spec",
      goValue: "storage.VolumeAttachmentSpec{Attacher:\(GoSyntax.quoted(spec["attacher"].text)), "
        + "Source:storage.VolumeAttachmentSource{\(source.joined(separator: ", "))}, "
        + "NodeName:\(GoSyntax.quoted(spec["nodeName"].text))}", Checks.immutableMessage)
    return checks.errors
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] { validatedTwice(object) }
}
