// Defaults of pods and pod templates that depend on other fields (spec/3 §3.7); constant ones stand in the type table.
import JSON
import Schema

enum PodDefaults {
  /// What pods and templates have in common.
  static func applyToSpec(_ spec: inout JSONValue) {
    guard !spec.isNull else { return }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
      spec[list].mutateElements { container in
        let image = container["image"].text
        container["imagePullPolicy"].setDefaultText(pullPolicy(image: image))
      }
    }
    spec["volumes"].mutateElements { volume in
      let hasSource = volume.object?.contains { $0.key != "name" } ?? true
      if !hasSource { volume["emptyDir"] = [:] }
    }
    // The old name of the field mirrors the new one, whichever was given.
    if spec["serviceAccountName"].isEmptyValue { spec["serviceAccountName"] = spec["serviceAccount"] }
    if !spec["serviceAccountName"].isEmptyValue { spec["serviceAccount"] = spec["serviceAccountName"] }
  }

  /// What pods have beyond that.
  static func applyToPod(_ pod: inout JSONValue) {
    applyToSpec(&pod["spec"])
    pod["spec"]["enableServiceLinks"].setDefault(true)
    let usesHostNetwork = pod["spec"]["hostNetwork"].bool ?? false
    for list in ["containers", "initContainers"] {
      pod["spec"][list].mutateElements { container in
        requestLimits(&container)
        guard usesHostNetwork else { return }
        container["ports"].mutateElements { port in
          if port["hostPort"].isEmptyValue { port["hostPort"] = port["containerPort"] }
        }
      }
    }
  }

  /// A resource that is limited but not requested is requested up to its limit.
  private static func requestLimits(_ container: inout JSONValue) {
    for (name, limit) in container["resources"]["limits"].object ?? [:] {
      container["resources"]["requests"][name].setDefault(limit)
    }
  }

  /// Always for the tag "latest" or none, since what it names may change.
  static func pullPolicy(image: String) -> String {
    let (at, colon, slash) = (UInt8(ascii: "@"), UInt8(ascii: ":"), UInt8(ascii: "/"))
    let named = image.utf8.prefix { $0 != at }
    let hasDigest = named.endIndex != image.utf8.endIndex
    let last = named.lastIndex(of: slash).map { named[named.index(after: $0)...] } ?? named
    let name = last.prefix { $0 != colon }
    // Only what can be read as the name of an image has a tag.
    guard !last.isEmpty, !name.contains(where: { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }) else {
      return "IfNotPresent"
    }
    guard name.endIndex != last.endIndex else { return hasDigest ? "IfNotPresent" : "Always" }
    return last[last.index(after: name.endIndex)...].elementsEqual("latest".utf8) ? "Always" : "IfNotPresent"
  }

  /// matchLabelKeys of affinity terms become requirements on the values that the pod itself has.
  static func resolveLabelKeys(_ pod: inout JSONValue) {
    let labels = pod["metadata"]["labels"]
    func resolve(_ term: inout JSONValue) {
      guard !term["labelSelector"].isNull else { return }
      for (keys, verb) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        var expressions = term["labelSelector"]["matchExpressions"].elements
        for key in term[keys].elements where !labels[key.text].isNull {
          expressions.append(["key": key, "operator": .string(verb), "values": [labels[key.text]]])
        }
        if !expressions.isEmpty { term["labelSelector"]["matchExpressions"] = .array(expressions) }
      }
    }
    for name in ["podAffinity", "podAntiAffinity"] where !pod["spec"]["affinity"][name].isNull {
      pod["spec"]["affinity"][name]["requiredDuringSchedulingIgnoredDuringExecution"].mutateElements(resolve)
      pod["spec"]["affinity"][name]["preferredDuringSchedulingIgnoredDuringExecution"].mutateElements {
        resolve(&$0["podAffinityTerm"])
      }
    }
  }
}

/// Fields that 1.32 knows but whose features are off unless asked for: they are dropped without a word.
enum DisabledPodFields {
  /// Of a pod, or of what makes pods.
  static func drop(from object: inout JSONValue) {
    switch object["kind"].text {
    case "Pod":
      // What a node may not say of its own pods is refused later, not forgotten.
      let isMirror = !object["metadata"]["annotations"]["kubernetes.io/config.mirror"].isNull
      let claims = object["spec"]["resourceClaims"]
      drop(fromSpec: &object["spec"])
      if isMirror, !claims.isNull { object["spec"]["resourceClaims"] = claims }
    case "PodTemplate": drop(fromSpec: &object["template"]["spec"])
    case "CronJob": drop(fromSpec: &object["spec"]["jobTemplate"]["spec"]["template"]["spec"])
    case "Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job":
      drop(fromSpec: &object["spec"]["template"]["spec"])
    default: return
    }
  }

  private static func drop(fromSpec spec: inout JSONValue) {
    guard !spec.isNull else { return }
    for name in ["resources", "resourceClaims", "hostUsers"] where !spec[name].isNull { spec[name] = .null }
    for name in ["supplementalGroupsPolicy", "seLinuxChangePolicy"] where !spec["securityContext"][name].isNull {
      spec["securityContext"][name] = .null
    }
    let images = Set(spec["volumes"].elements.filter { !$0["image"].isNull }.map { $0["name"] })
    if !images.isEmpty {
      let rest = spec["volumes"].elements.filter { !images.contains($0["name"]) }
      spec["volumes"] = rest.isEmpty ? .null : .array(rest)
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
      spec[list].mutateElements { drop(fromContainer: &$0, images) }
    }
    spec["volumes"].mutateElements { volume in
      guard !volume["projected"]["sources"].isEmptyValue else { return }
      volume["projected"]["sources"].mutateElements { source in
        if !source["clusterTrustBundle"].isNull { source["clusterTrustBundle"] = .null }
      }
    }
  }

  private static func drop(fromContainer container: inout JSONValue, _ images: Set<JSONValue>) {
    if !container["resizePolicy"].isNull { container["resizePolicy"] = .null }
    if !container["resources"]["claims"].isNull { container["resources"]["claims"] = .null }
    let mask = container["securityContext"]["procMount"]
    if !mask.isNull, mask != "Default" { container["securityContext"]["procMount"] = "Default" }
    guard !images.isEmpty, container["volumeMounts"].elements.contains(where: { images.contains($0["name"]) }) else {
      return
    }
    let mounts = container["volumeMounts"].elements.filter { !images.contains($0["name"]) }
    container["volumeMounts"] = mounts.isEmpty ? .null : .array(mounts)
  }
}
