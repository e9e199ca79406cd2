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
    if image.isEmpty || image.contains("@") { return "IfNotPresent" }
    let name = image.split(separator: "/").last ?? ""
    guard let colon = name.lastIndex(of: ":") else { return "Always" }
    return name[name.index(after: colon)...] == "latest" ? "Always" : "IfNotPresent"
  }
}
