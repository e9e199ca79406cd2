// What may be wrong with annotations of pods and templates that mean something to the server: most of them were there
// before the fields that say the same.
import JSON
import Schema

extension Checks {
  private static let mirror = "kubernetes.io/config.mirror"
  private static let deletionCost = "controller.kubernetes.io/pod-deletion-cost"
  private static let podSeccomp = "seccomp.security.alpha.kubernetes.io/pod"
  private static let containerSeccomp = "container.seccomp.security.alpha.kubernetes.io/"

  /// Of a pod or of a template.
  mutating func podAnnotations(_ pod: JSONValue, _ path: @autoclosure Path) {
    let annotations = pod["metadata"]["annotations"]
    guard let all = annotations.object, !all.isEmpty else { return }
    if !annotations[Self.mirror].isNull, pod["spec"]["nodeName"].isEmptyValue {
      invalid(
        "\(path())[\(Self.mirror)]", annotations[Self.mirror], "must set spec.nodeName if mirror pod annotation is set")
    }
    if let text = annotations[Self.deletionCost].string,
      Int32(text) == nil || text.hasPrefix("+") || Self.hasLeadingZero(text)
    {
      invalid("\(path())[\(Self.deletionCost)]", annotations[Self.deletionCost], "must be a 32bit integer")
    }
    if let profile = annotations[Self.podSeccomp].string { seccompAnnotation(profile, "\(path()).\(Self.podSeccomp)") }
    for (name, profile) in all where name.hasPrefix(Self.containerSeccomp) {
      seccompAnnotation(profile.text, "\(path()).\(name)")
    }
    appArmorAnnotations(all, pod["spec"], path())
  }

  private static func hasLeadingZero(_ text: String) -> Bool {
    let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
    return digits.count > 1 && digits.hasPrefix("0")
  }

  private mutating func seccompAnnotation(_ profile: String, _ place: @autoclosure Path) {
    if ["runtime/default", "docker/default", "unconfined"].contains(profile) { return }
    let prefix = "localhost/"
    guard profile.hasPrefix(prefix) else {
      return invalid(place(), .string(profile), "must be a valid seccomp profile")
    }
    descendingPath(.string(String(profile.dropFirst(prefix.count))), place())
  }

  private mutating func appArmorAnnotations(_ annotations: JSONObject, _ spec: JSONValue, _ path: @autoclosure Path) {
    for (name, value) in annotations where name.hasPrefix(PodAppArmor.annotationPrefix) {
      let container = String(name.dropFirst(PodAppArmor.annotationPrefix.count))
      if !Self.allContainers(of: spec).contains(where: { $0.container["name"].text == container }) {
        invalid("\(path())[\(name)]", .string(container), "container not found")
      }
      let profile = value.text
      if !["", "runtime/default", "unconfined"].contains(profile), !profile.hasPrefix("localhost/") {
        invalid("\(path())[\(name)]", value, "invalid AppArmor profile name: \(GoSyntax.quoted(profile))")
      }
    }
  }

  /// What became of the annotations of a pod that nobody may add or change.
  mutating func podAnnotationUpdates(_ pod: JSONValue, _ old: JSONValue) {
    func path() -> String { "metadata.annotations" }
    let (new, before) = (pod["metadata"]["annotations"], old["metadata"]["annotations"])
    func isFixed(_ name: String) -> Bool { name == Self.mirror || name.hasPrefix(PodAppArmor.annotationPrefix) }
    func called(_ name: String) -> String {
      name == Self.mirror ? "mirror pod annotation" : "AppArmor annotations"
    }
    for (name, value) in before.object ?? [:] where isFixed(name) && new[name] != value {
      forbidden("\(path())[\(name)]", "may not remove or update \(called(name))")
    }
    for (name, _) in new.object ?? [:] where isFixed(name) && before[name].isNull {
      forbidden("\(path())[\(name)]", "may not add \(called(name))")
    }
    podAnnotations(pod, path())
  }

  /// Profiles said twice, in a field and in an annotation, say the same.
  mutating func profilesMatchAnnotations(_ pod: JSONValue, _ path: @autoclosure Path) {
    guard let annotations = pod["metadata"]["annotations"].object, !annotations.isEmpty else { return }
    let spec = pod["spec"]
    let own = spec["securityContext"]
    if let text = annotations[Self.podSeccomp]?.string {
      profileMatches(own["seccompProfile"], text, "\(path()).securityContext.seccompProfile", "seccomp")
    }
    for (container, place) in Self.allContainers(of: spec) {
      guard let text = annotations[Self.containerSeccomp + container["name"].text]?.string else { continue }
      profileMatches(
        container["securityContext"]["seccompProfile"], text, "\(path()).\(place).securityContext.seccompProfile",
        "seccomp")
    }
    guard spec["os"]["name"] != "windows" else { return }
    for (container, place) in Self.allContainers(of: spec) {
      guard let text = annotations[PodAppArmor.annotationPrefix + container["name"].text]?.string else { continue }
      let profile = container["securityContext"]["appArmorProfile"]
      profileMatches(
        profile.isNull ? own["appArmorProfile"] : profile, text,
        "\(path()).\(place).securityContext.appArmorProfile", "apparmor")
    }
  }

  private mutating func profileMatches(
    _ profile: JSONValue, _ annotation: String, _ place: @autoclosure Path, _ kind: String
  ) {
    let prefix = "localhost/"
    let isSame: Bool
    switch profile["type"].text {
    case "Unconfined": isSame = annotation == "unconfined"
    case "RuntimeDefault":
      isSame = annotation == "runtime/default" || (kind == "seccomp" && annotation == "docker/default")
    case "Localhost":
      isSame = annotation.hasPrefix(prefix)
      if isSame, profile["localhostProfile"].string != String(annotation.dropFirst(prefix.count)) {
        forbidden("\(place()).localhostProfile", "\(kind) profile in annotation and field must match")
      }
    default: return
    }
    if !isSame { forbidden("\(place()).type", "\(kind) type in annotation and field must match") }
  }

  /// In the order in which the reference visits them, each with its place in the spec.
  static func allContainers(of spec: JSONValue) -> [(container: JSONValue, place: String)] {
    ["initContainers", "containers", "ephemeralContainers"].flatMap { list in
      spec[list].elements.enumerated().map { ($0.element, "\(list)[\($0.offset)]") }
    }
  }
}
