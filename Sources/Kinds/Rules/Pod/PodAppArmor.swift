// AppArmor profiles were annotations before they were fields: until nodes that know only those are gone, a new pod has
// both.
import JSON
import Schema

enum PodAppArmor {
  static let annotationPrefix = "container.apparmor.security.beta.kubernetes.io/"
  private static let containerLists = ["initContainers", "containers", "ephemeralContainers"]
  private static let longestLocalProfile = 4095

  /// Says in each of the two ways what was said in the other.
  static func synchronize(_ pod: inout JSONValue) {
    guard pod["spec"]["os"]["name"] != "windows" else { return }
    let podProfile = pod["spec"]["securityContext"]["appArmorProfile"]
    var annotations = pod["metadata"]["annotations"]
    let before = annotations
    for list in containerLists {
      guard concerns(pod["spec"][list], podProfile, annotations) else { continue }
      pod["spec"][list].mutateElements { container in
        let key = annotationPrefix + container["name"].text
        let own = container["securityContext"]["appArmorProfile"]
        if annotations[key].isNull {
          if let text = annotation(own.isNull ? podProfile : own) { annotations[key] = .string(text) }
        } else if own.isNull, let profile = profile(annotations[key].text), profile != podProfile {
          container["securityContext"]["appArmorProfile"] = profile
        }
      }
    }
    if annotations != before { pod["metadata"]["annotations"] = annotations }
  }

  private static func concerns(_ containers: JSONValue, _ podProfile: JSONValue, _ annotations: JSONValue) -> Bool {
    containers.elements.contains { container in
      !podProfile.isNull || !container["securityContext"]["appArmorProfile"].isNull
        || !annotations[annotationPrefix + container["name"].text].isNull
    }
  }

  /// Of a pod as its author wrote it: annotations where there should be fields.
  static func warnings(_ pod: JSONValue) -> [String] {
    guard pod["spec"]["os"]["name"] != "windows", !pod["metadata"]["annotations"].isNull else { return [] }
    let podProfile = pod["spec"]["securityContext"]["appArmorProfile"]
    return containerLists.flatMap { pod["spec"][$0].elements }.compactMap { container in
      let key = annotationPrefix + container["name"].text
      let annotation = pod["metadata"]["annotations"][key]
      guard !annotation.isNull, container["securityContext"]["appArmorProfile"].isNull else { return nil }
      if let profile = profile(annotation.text), profile == podProfile { return nil }
      return "metadata.annotations[\(key)]: deprecated since v1.30; use the \"appArmorProfile\" field instead"
    }
  }

  private static func annotation(_ profile: JSONValue) -> String? {
    switch profile["type"] {
    case "Unconfined": "unconfined"
    case "RuntimeDefault": "runtime/default"
    case "Localhost": profile["localhostProfile"].isEmptyValue ? nil : "localhost/\(profile["localhostProfile"].text)"
    default: nil
    }
  }

  /// Nil for a text that stands for no profile.
  private static func profile(_ annotation: String) -> JSONValue? {
    switch annotation {
    case "unconfined": return ["type": "Unconfined"]
    case "runtime/default": return ["type": "RuntimeDefault"]
    default:
      let prefix = "localhost/"
      guard annotation.hasPrefix(prefix) else { return nil }
      let name = annotation.dropFirst(prefix.count)
      guard !name.isEmpty, !name.first!.isWhitespace, !name.last!.isWhitespace, name.utf8.count <= longestLocalProfile
      else { return nil }
      return ["type": "Localhost", "localhostProfile": .string(String(name))]
    }
  }
}
