// The group versions that the reference's programs know, served or not: its documents list the bodies that are the same
// in all of them once for each.
import JSON

enum OpenAPIScheme {
  private static let versions: [(group: String, versions: [String])] = [
    ("", ["v1"]), ("admission.k8s.io", ["v1", "v1beta1"]),
    ("admissionregistration.k8s.io", ["v1", "v1alpha1", "v1beta1"]), ("apiextensions.k8s.io", ["v1", "v1beta1"]),
    ("apiregistration.k8s.io", ["v1", "v1beta1"]), ("apps", ["v1", "v1beta1", "v1beta2"]),
    ("authentication.k8s.io", ["v1", "v1alpha1", "v1beta1"]), ("authorization.k8s.io", ["v1", "v1beta1"]),
    ("autoscaling", ["v1", "v2", "v2beta1", "v2beta2"]), ("batch", ["v1", "v1beta1"]),
    ("certificates.k8s.io", ["v1", "v1alpha1", "v1beta1"]), ("coordination.k8s.io", ["v1", "v1alpha2", "v1beta1"]),
    ("discovery.k8s.io", ["v1", "v1beta1"]), ("events.k8s.io", ["v1", "v1beta1"]), ("extensions", ["v1beta1"]),
    ("flowcontrol.apiserver.k8s.io", ["v1", "v1beta1", "v1beta2", "v1beta3"]), ("imagepolicy.k8s.io", ["v1alpha1"]),
    ("internal.apiserver.k8s.io", ["v1alpha1"]), ("networking.k8s.io", ["v1", "v1alpha1", "v1beta1"]),
    ("node.k8s.io", ["v1", "v1alpha1", "v1beta1"]), ("policy", ["v1", "v1beta1"]),
    ("rbac.authorization.k8s.io", ["v1", "v1alpha1", "v1beta1"]), ("resource.k8s.io", ["v1alpha3", "v1beta1"]),
    ("scheduling.k8s.io", ["v1", "v1alpha1", "v1beta1"]), ("storage.k8s.io", ["v1", "v1alpha1", "v1beta1"]),
    ("storagemigration.k8s.io", ["v1alpha1"]),
  ]

  /// `kind` in each of them, as schemas list what they are of.
  static func kinds(_ kind: String) -> JSONValue {
    .array(
      versions.flatMap { entry in
        entry.versions.map {
          ["group": .string(entry.group), "kind": .string(kind), "version": .string($0)] as JSONValue
        }
      })
  }
}
