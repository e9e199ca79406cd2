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
}
