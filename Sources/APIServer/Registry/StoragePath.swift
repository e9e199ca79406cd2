// Where the reference keeps an object, which some of its messages say.
import Replica
import Schema

enum StoragePath {
  /// Resources that are kept under another name than their own.
  private static let others = [
    "endpoints": "services/endpoints", "ingresses.networking.k8s.io": "ingress", "nodes": "minions",
    "replicationcontrollers": "controllers", "services": "services/specs",
  ]
  /// Groups of servers of their own, which keep theirs as those of custom resources are kept.
  private static let extensions: Set<String> = ["apiextensions.k8s.io", "apiregistration.k8s.io"]

  /// `/registry/configmaps/default/settings`, `/registry/example.com/widgets/default/one`.
  static func of(_ kind: KindDescriptor, _ key: ObjectKey) -> String {
    let resource = kind.groupResource
    let folder =
      kind.custom != nil || extensions.contains(resource.group)
      ? "\(resource.group)/\(resource.resource)" : others[resource.description] ?? resource.resource
    return "/registry/\(folder)/" + (key.namespace.isEmpty ? "" : "\(key.namespace)/") + key.name
  }

  /// What is said of an object that is not the one that was meant.
  static func invalidObject(at path: String, _ why: String) -> String {
    "StorageError: invalid object, Code: 4, Key: \(path), ResourceVersion: 0, AdditionalErrorMsg: \(why)"
  }
}
