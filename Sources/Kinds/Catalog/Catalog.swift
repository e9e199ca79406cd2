// The words in which the catalogue of kinds is written, and its order.
import JSON
import Schema

/// Every resource of spec/3 §3.2, declared; one file per area.
enum Catalog {
  /// In the order of spec/3 §3.1.
  static func groups(types: TypeTable) -> [KindDescriptor] {
    func group(_ group: String, _ version: String, _ package: String) -> CatalogGroup {
      CatalogGroup(types: types, group: group, version: version, package: package)
    }
    var kinds = core(group("", "v1", "core.v1"))
    kinds += apiRegistration(group("apiregistration.k8s.io", "v1", "apiregistration.v1"))
    kinds += apps(group("apps", "v1", "apps.v1"))
    kinds += events(group("events.k8s.io", "v1", "events.v1"))
    kinds += authentication(group("authentication.k8s.io", "v1", "authentication.v1"))
    kinds += authorization(group("authorization.k8s.io", "v1", "authorization.v1"))
    kinds += autoscaling(group("autoscaling", "v2", "autoscaling.v2"))
    kinds += autoscaling(group("autoscaling", "v1", "autoscaling.v1"))
    kinds += batch(group("batch", "v1", "batch.v1"))
    kinds += certificates(group("certificates.k8s.io", "v1", "certificates.v1"))
    kinds += networking(group("networking.k8s.io", "v1", "networking.v1"))
    kinds += policy(group("policy", "v1", "policy.v1"))
    kinds += rbac(group("rbac.authorization.k8s.io", "v1", "rbac.v1"))
    kinds += storage(group("storage.k8s.io", "v1", "storage.v1"))
    kinds += admissionRegistration(group("admissionregistration.k8s.io", "v1", "admissionregistration.v1"))
    kinds += apiExtensions(group("apiextensions.k8s.io", "v1", "apiextensions.v1"))
    kinds += scheduling(group("scheduling.k8s.io", "v1", "scheduling.v1"))
    kinds += coordination(group("coordination.k8s.io", "v1", "coordination.v1"))
    kinds += node(group("node.k8s.io", "v1", "node.v1"))
    kinds += discovery(group("discovery.k8s.io", "v1", "discovery.v1"))
    kinds += flowControl(group("flowcontrol.apiserver.k8s.io", "v1", "flowcontrol.v1"))
    return kinds
  }
}

/// A subresource before its kind is known.
struct SubresourceEntry: Sendable {
  let name: String
  /// nil: the parent's own kind.
  let kindName: String?
  /// nil: the parent's group version.
  let groupVersion: (group: String, version: String)?
  let verbs: [Verb]

  init(_ name: String, _ kindName: String? = nil, in groupVersion: (String, String)? = nil, verbs: [Verb]) {
    self.name = name
    self.kindName = kindName
    self.groupVersion = groupVersion
    self.verbs = verbs
  }

  static let status = Self("status", verbs: [.get, .patch, .update])
  static let scale = Self("scale", "Scale", in: ("autoscaling", "v1"), verbs: [.get, .patch, .update])
  static func proxy(_ kindName: String) -> Self {
    Self("proxy", kindName, verbs: [.create, .delete, .get, .patch, .update])
  }
}

/// Declares the kinds of one group version.
struct CatalogGroup {
  let types: TypeTable
  let group: String
  let version: String
  let package: String

  /// One resource; namespaced and with all verbs unless said otherwise. `traits` are those that differ from the usual;
  /// `selectors` are dotted paths that are their own labels, unless written "label=path".
  func kind(
    _ kind: String, _ resource: String, shortNames: [String] = [], categories: [String] = [],
    isNamespaced: Bool = true, verbs: [Verb] = Verb.allCases, subresources: [SubresourceEntry] = [],
    traits: [WritableKeyPath<KindTraits, Bool>] = [], rules: any KindRules = PlainRules(),
    table: TableLayout = .plain, selectors: [String] = [], storage: GroupVersionKind? = nil
  ) -> KindDescriptor {
    guard let structure = types["\(package).\(kind)"] else { preconditionFailure("no type \(package).\(kind)") }
    var kindTraits = KindTraits()
    for trait in traits { kindTraits[keyPath: trait].toggle() }
    kindTraits.hasStatus = subresources.contains { $0.name == "status" }
    let ownKind = GroupVersionKind(group: group, version: version, kind: kind)
    return KindDescriptor(
      kind: ownKind, resource: resource, singular: kind.lowercased(), shortNames: shortNames, categories: categories,
      isNamespaced: isNamespaced, verbs: verbs,
      subresources: subresources.map { entry in
        let place = entry.groupVersion ?? (group, version)
        return Subresource(
          name: entry.name,
          kind: GroupVersionKind(group: place.group, version: place.version, kind: entry.kindName ?? kind),
          verbs: entry.verbs)
      },
      structure: structure, traits: kindTraits, rules: TabledRules(rules: rules, layout: table),
      columns: table.columns, selectableFields: selectors.map(Self.selector), storage: storage)
  }

  private static func selector(_ text: String) -> (label: String, path: [String]) {
    let parts = text.split(separator: "=").map(String.init)
    return (parts[0], (parts.last ?? "").split(separator: ".").map(String.init))
  }
}
