// Objects of kinds that are served in more than one version, from one to the other.
import JSON
import Schema

public enum KindConversion {
  private static let autoscaler = "HorizontalPodAutoscaler"

  /// The object in another version of its kind. Kinds that are served in one version only come back with the new
  /// `apiVersion` and nothing else changed.
  public static func convert(_ object: JSONValue, from: GroupVersionKind, to: GroupVersionKind) -> JSONValue {
    guard from != to else { return object }
    var result = object
    switch (from.group, from.version, to.group, to.version) {
    case ("", "v1", "events.k8s.io", "v1"): result = EventConversion.toNewForm(object)
    case ("events.k8s.io", "v1", "", "v1"): result = EventConversion.toCoreForm(object)
    case ("autoscaling", "v2", "autoscaling", "v1") where from.kind == autoscaler:
      result = AutoscalerConversion.toV1(object)
    case ("autoscaling", "v1", "autoscaling", "v2") where from.kind == autoscaler:
      result = AutoscalerConversion.toV2(object)
    default: break
    }
    result["apiVersion"] = .string(to.apiVersion)
    return result
  }

  /// Where a field of `kind` stands in stored objects.
  public static func storagePath(_ path: [String], of kind: KindDescriptor) -> [String] {
    guard kind.storage != kind.kind, kind.kind.kind == "Event", let first = path.first,
      let stored = EventConversion.coreNames[first]
    else { return path }
    return [stored] + path.dropFirst()
  }

  /// Where a field is looked for in stored objects that lack it: the source of newer events is who reports them.
  public static func fallbackPath(_ path: [String], of kind: KindDescriptor) -> [String]? {
    kind.kind.kind == "Event" && kind.custom == nil && storagePath(path, of: kind) == ["source", "component"]
      ? ["reportingComponent"] : nil
  }
}

extension KindConversion {
  /// The versions in which kinds were served before 1.32. Objects that have come a long way may have managers that
  /// spoke them.
  private static let formerVersions: [String: Set<String>] = [
    "admissionregistration.k8s.io": ["v1alpha1", "v1beta1"], "apiextensions.k8s.io": ["v1beta1"],
    "apiregistration.k8s.io": ["v1beta1"], "apps": ["v1beta1", "v1beta2"], "autoscaling": ["v2beta1", "v2beta2"],
    "batch": ["v1beta1"], "certificates.k8s.io": ["v1beta1"], "coordination.k8s.io": ["v1beta1"],
    "discovery.k8s.io": ["v1beta1"], "events.k8s.io": ["v1beta1"], "extensions": ["v1beta1"],
    "flowcontrol.apiserver.k8s.io": ["v1beta1", "v1beta2", "v1beta3"], "networking.k8s.io": ["v1beta1"],
    "node.k8s.io": ["v1beta1"], "policy": ["v1beta1"], "rbac.authorization.k8s.io": ["v1alpha1", "v1beta1"],
    "scheduling.k8s.io": ["v1beta1"], "storage.k8s.io": ["v1alpha1", "v1beta1"],
  ]
  /// The groups that took kinds over from `extensions`.
  private static let heirsOfExtensions: Set<String> = ["apps", "networking.k8s.io"]

  /// Whether that is a version, no longer served, of this kind.
  public static func wasServed(_ kind: GroupVersionKind, in former: GroupVersionKind) -> Bool {
    guard formerVersions[former.group]?.contains(former.version) == true else { return false }
    return former.group == kind.group || (former.group == "extensions" && heirsOfExtensions.contains(kind.group))
  }
}
