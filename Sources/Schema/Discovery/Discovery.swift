// What the server serves, as clients ask for it: the legacy documents, and the aggregated one that replaces them
// (spec/1 §1.2). Documents are made once for a set of kinds; the caller keeps their bytes.
import JSON

public struct Discovery: Sendable {
  struct Version: Sendable {
    var name: String
    var kinds: [KindDescriptor]
  }
  struct Group: Sendable {
    var name: String
    /// The preferred one first.
    var versions: [Version]
  }

  /// Core first where it is served, the others in order of priority.
  let groups: [Group]
  private let hash: @Sendable ([UInt8]) -> [UInt8]

  /// Kinds may come in any order. `hash`: SHA-256.
  public init(_ kinds: [KindDescriptor], hash: @escaping @Sendable ([UInt8]) -> [UInt8]) {
    self.hash = hash
    var groups: [Group] = []
    for kind in kinds {
      let group: Int
      if let known = groups.firstIndex(where: { $0.name == kind.kind.group }) {
        group = known
      } else {
        group = groups.count
        groups.append(Group(name: kind.kind.group, versions: []))
      }
      if let version = groups[group].versions.firstIndex(where: { $0.name == kind.kind.version }) {
        groups[group].versions[version].kinds.append(kind)
      } else {
        groups[group].versions.append(Version(name: kind.kind.version, kinds: [kind]))
      }
    }
    for index in groups.indices {
      groups[index].versions.sort { VersionOrder.precedes($0.name, $1.name) }
      for version in groups[index].versions.indices {
        groups[index].versions[version].kinds.sort { $0.resource < $1.resource }
      }
    }
    self.groups = groups.sorted { GroupOrder.precedes($0.name, $1.name) }
  }

  private var namedGroups: some Sequence<Group> { groups.lazy.filter { !$0.name.isEmpty } }

  // MARK: - Legacy documents

  /// `/api`. `serverAddress` is where this server is reached: "host:port".
  public func apiVersions(serverAddress: String) -> JSONValue {
    let core = groups.first { $0.name.isEmpty }
    return [
      "kind": "APIVersions", "versions": .array((core?.versions ?? []).map { .string($0.name) }),
      "serverAddressByClientCIDRs": [["clientCIDR": "0.0.0.0/0", "serverAddress": .string(serverAddress)]],
    ]
  }

  /// `/apis`.
  public var groupList: JSONValue {
    ["kind": "APIGroupList", "apiVersion": "v1", "groups": .array(namedGroups.map { .object(Self.body(of: $0)) })]
  }

  /// `/apis/GROUP`; nil when it is not served.
  public func group(_ name: String) -> JSONValue? {
    guard let group = namedGroups.first(where: { $0.name == name }) else { return nil }
    return .object(
      JSONObject(uniqueMembers: [("kind", "APIGroup"), ("apiVersion", "v1")] + Self.body(of: group).members))
  }

  private static func body(of group: Group) -> JSONObject {
    let versions: [JSONValue] = group.versions.map { version in
      ["groupVersion": .string("\(group.name)/\(version.name)"), "version": .string(version.name)]
    }
    return ["name": .string(group.name), "versions": .array(versions), "preferredVersion": versions[0]]
  }

  /// `/api/v1` and `/apis/GROUP/VERSION`; nil when it is not served.
  public func resourceList(group name: String, version versionName: String) -> JSONValue? {
    guard let group = groups.first(where: { $0.name == name }),
      let version = group.versions.first(where: { $0.name == versionName })
    else { return nil }
    var resources: [JSONValue] = []
    for kind in version.kinds {
      resources.append(resource(kind))
      for subresource in Self.subresources(kind) {
        resources.append(Self.resource(subresource, of: kind))
      }
    }
    var list: JSONValue = ["kind": "APIResourceList"]
    if !name.isEmpty { list["apiVersion"] = "v1" }
    list["groupVersion"] = .string(name.isEmpty ? versionName : "\(name)/\(versionName)")
    list["resources"] = .array(resources)
    return list
  }

  /// Tells clients whether objects are still stored as the version that they knew: of what is stored at all, and of a
  /// custom resource whose stored version is served.
  private func storageVersionHash(of kind: KindDescriptor) -> String? {
    guard kind.verbs.contains(.get), kind.verbs.contains(.create) else { return nil }
    let storage = kind.storage
    if kind.custom != nil, storage != kind.kind {
      let versions = groups.first { $0.name == storage.group }?.versions ?? []
      let stored = versions.first { $0.name == storage.version }
      guard stored?.kinds.contains(where: { $0.resource == kind.resource }) == true else { return nil }
    }
    return Base64.encode(Array(hash(Array("\(storage.group)/\(storage.version)/\(storage.kind)".utf8)).prefix(8)))
  }

  private func resource(_ kind: KindDescriptor) -> JSONValue {
    var resource: JSONValue = [
      "name": .string(kind.resource), "singularName": .string(kind.singular), "namespaced": .bool(kind.isNamespaced),
      "kind": .string(kind.kind.kind), "verbs": Self.verbs(kind),
    ]
    if !kind.shortNames.isEmpty { resource["shortNames"] = Self.strings(kind.shortNames) }
    if !kind.categories.isEmpty { resource["categories"] = Self.strings(kind.categories) }
    if let hash = storageVersionHash(of: kind) { resource["storageVersionHash"] = .string(hash) }
    return resource
  }

  private static func resource(_ subresource: Subresource, of kind: KindDescriptor) -> JSONValue {
    var resource: JSONValue = [
      "name": .string("\(kind.resource)/\(subresource.name)"), "singularName": "",
      "namespaced": .bool(kind.isNamespaced),
    ]
    if subresource.kind.apiVersion != kind.kind.apiVersion {
      if !subresource.kind.group.isEmpty { resource["group"] = .string(subresource.kind.group) }
      resource["version"] = .string(subresource.kind.version)
    }
    resource["kind"] = .string(subresource.kind.kind)
    resource["verbs"] = verbs(subresource.verbs)
    return resource
  }

  // MARK: - Aggregated documents

  /// The media type parameters by which clients know an aggregated document: the Content-Type of the answer.
  public static let aggregatedContentType =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

  /// `/api` aggregated: the core group.
  public var aggregatedCore: JSONValue { Self.aggregated(groups.filter { $0.name.isEmpty }) }

  /// `/apis` aggregated: all other groups.
  public var aggregatedGroups: JSONValue { Self.aggregated(Array(namedGroups)) }

  private static func aggregated(_ groups: [Group]) -> JSONValue {
    let items: [JSONValue] = groups.map { group in
      let versions: [JSONValue] = group.versions.map { version in
        [
          "version": .string(version.name), "resources": .array(version.kinds.map(aggregatedResource)),
          "freshness": "Current",
        ]
      }
      return ["metadata": metadata(group.name), "versions": .array(versions)]
    }
    return [
      "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": [:], "items": .array(items),
    ]
  }

  /// Of a group in an aggregated document. It was never made: a time that is always written is null.
  public static func metadata(_ name: String) -> JSONValue {
    let created: JSONObject.Member = ("creationTimestamp", .null)
    return .object(JSONObject(uniqueMembers: name.isEmpty ? [created] : [("name", .string(name)), created]))
  }

  private static func aggregatedResource(_ kind: KindDescriptor) -> JSONValue {
    var resource: JSONValue = [
      "resource": .string(kind.resource), "responseKind": responseKind(kind.kind, in: kind),
      "scope": kind.isNamespaced ? "Namespaced" : "Cluster", "singularResource": .string(kind.singular),
      "verbs": verbs(kind),
    ]
    if !kind.shortNames.isEmpty { resource["shortNames"] = strings(kind.shortNames) }
    if !kind.categories.isEmpty { resource["categories"] = strings(kind.categories) }
    if !kind.subresources.isEmpty {
      resource["subresources"] = .array(
        subresources(kind).map { subresource in
          [
            "subresource": .string(subresource.name), "responseKind": responseKind(subresource.kind, in: kind),
            "verbs": verbs(subresource.verbs),
          ]
        })
    }
    return resource
  }

  /// Group and version are told only where they are not those that the resource is listed under.
  private static func responseKind(_ kind: GroupVersionKind, in parent: KindDescriptor) -> JSONValue {
    let isOther = kind.apiVersion != parent.kind.apiVersion
    return [
      "group": .string(isOther ? kind.group : ""), "version": .string(isOther ? kind.version : ""),
      "kind": .string(kind.kind),
    ]
  }

  /// By name; those of a custom resource as its definition lists them.
  private static func subresources(_ kind: KindDescriptor) -> [Subresource] {
    kind.custom == nil ? kind.subresources.sorted { $0.name < $1.name } : kind.subresources
  }

  /// By name; those of custom resources in the reference's own order.
  private static func verbs(_ kind: KindDescriptor) -> JSONValue {
    guard kind.custom != nil else { return verbs(kind.discoveredVerbs) }
    let verbs = kind.discoveredVerbs
    return strings(customVerbs.filter(verbs.contains).map(\.rawValue))
  }
  private static let customVerbs: [Verb] = [
    .delete, .deletecollection, .get, .list, .patch, .create, .update, .watch,
  ]
  private static func verbs(_ verbs: [Verb]) -> JSONValue { strings(verbs.map(\.rawValue).sorted()) }
  private static func strings(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
}

/// The order of groups in discovery, which decides what an ambiguous resource name means (spec/3 §3.1).
enum GroupOrder {
  private static let builtIn = [
    "", "apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io",
    "autoscaling", "batch", "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
    "storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io",
    "coordination.k8s.io", "node.k8s.io", "discovery.k8s.io", "flowcontrol.apiserver.k8s.io",
  ]

  static func precedes(_ left: String, _ right: String) -> Bool {
    let (leftRank, rightRank) = (rank(left), rank(right))
    return leftRank == rightRank ? left < right : leftRank < rightRank
  }
  private static func rank(_ group: String) -> Int { builtIn.firstIndex(of: group) ?? builtIn.count }
}

/// Versions in order of preference: stable before beta before alpha, higher numbers first, anything else last by name.
public enum VersionOrder {
  public static func precedes(_ left: String, _ right: String) -> Bool {
    switch (parsed(left), parsed(right)) {
    case (let left?, let right?):
      (left.stage, left.major, left.minor) > (right.stage, right.major, right.minor)
    case (_?, nil): true
    case (nil, _?): false
    case (nil, nil): left < right
    }
  }

  /// "v1beta2" is (1, 1, 2); stage 2 is stable, 1 beta, 0 alpha.
  private static func parsed(_ version: String) -> (stage: Int, major: Int, minor: Int)? {
    guard version.utf8.first == UInt8(ascii: "v") else { return nil }
    let rest = version.dropFirst()
    let digits = rest.prefix { $0.isASCII && $0.isNumber }
    guard let major = Int(digits), major > 0 else { return nil }
    let suffix = rest[digits.endIndex...]
    if suffix.isEmpty { return (2, major, 0) }
    for (stage, name) in [(1, "beta"), (0, "alpha")] where suffix.hasPrefix(name) {
      guard let minor = Int(suffix.dropFirst(name.count)), minor > 0 else { return nil }
      return (stage, major, minor)
    }
    return nil
  }
}
