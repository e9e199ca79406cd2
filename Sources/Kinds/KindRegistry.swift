// Every kind that is served, found by path and by kind, in the order in which discovery lists them.
import JSON
import Schema

/// The kinds of a server. A value: adding the kinds of a CustomResourceDefinition makes another registry, and requests
/// that run keep the one they started with.
public struct KindRegistry: Sendable {
  /// The kinds of one group version.
  public struct Version: Sendable {
    public let version: String
    /// In the order of registration.
    public internal(set) var kinds: [KindDescriptor]
  }
  /// A group with its versions, the preferred one first.
  public struct Group: Sendable {
    /// "" for core.
    public let name: String
    public internal(set) var versions: [Version]
    public var preferredVersion: String { versions.first?.version ?? "" }
    /// Built-in groups keep their places before all others (spec/3 §3.1).
    public let isBuiltIn: Bool
  }

  private struct ResourceKey: Hashable {
    var group: String
    var version: String
    var resource: String
  }
  private struct Place {
    var group: Int
    var version: Int
    var kind: Int
  }

  /// In the order of discovery: built-in groups by priority, then the others by name.
  public private(set) var groups: [Group] = []
  /// The structures that kinds refer to; bodies of subresources are looked up here.
  public let types: TypeTable
  private var placesByResource: [ResourceKey: Place] = [:]
  private var placesByKind: [GroupVersionKind: Place] = [:]

  /// The kinds of every server, in order (spec/3 §3.2).
  public static let builtIn = KindRegistry(types: .builtIn, builtIn: Catalog.groups(types: .builtIn))

  /// A registry of these kinds; groups and versions are in order of first appearance.
  public init(types: TypeTable, builtIn kinds: [KindDescriptor]) {
    self.types = types
    for descriptor in kinds { insert(descriptor, isBuiltIn: true) }
    index()
  }

  // MARK: Looking up

  /// The kind behind `/apis/GROUP/VERSION/…/RESOURCE`.
  public func kind(group: String, version: String, resource: String) -> KindDescriptor? {
    placesByResource[ResourceKey(group: group, version: version, resource: resource)].map(descriptor)
  }
  public func kind(_ kind: GroupVersionKind) -> KindDescriptor? { placesByKind[kind].map(descriptor) }
  /// By what objects say of themselves.
  public func kind(apiVersion: String, kind name: String) -> KindDescriptor? {
    let parts = apiVersion.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    return kind(
      GroupVersionKind(
        group: parts.count == 2 ? String(parts[0]) : "", version: String(parts.last ?? ""), kind: name))
  }
  /// The kind of that resource in the group's preferred version, or in the first version that has it.
  public func preferredKind(_ resource: GroupResource) -> KindDescriptor? {
    for version in group(resource.group)?.versions ?? [] {
      if let found = kind(group: resource.group, version: version.version, resource: resource.resource) {
        return found
      }
    }
    return nil
  }
  public func group(_ name: String) -> Group? { groups.first { $0.name == name } }
  public func version(group name: String, _ version: String) -> Version? {
    group(name)?.versions.first { $0.version == version }
  }
  /// Every kind of every version, in order.
  public var kinds: [KindDescriptor] { groups.flatMap { $0.versions.flatMap(\.kinds) } }
  /// The kinds in which objects are stored: one per kind, whatever versions it is served in.
  public var storedKinds: [KindDescriptor] { kinds.filter { $0.storage == $0.kind } }

  private func descriptor(_ place: Place) -> KindDescriptor {
    groups[place.group].versions[place.version].kinds[place.kind]
  }

  // MARK: Other registries

  /// This registry with these kinds as well; a kind with the same group, version and resource is replaced.
  public func adding(_ descriptors: [KindDescriptor]) -> KindRegistry {
    var result = self
    for descriptor in descriptors {
      result.drop { $0.groupResource == descriptor.groupResource && $0.kind.version == descriptor.kind.version }
      result.insert(descriptor, isBuiltIn: false)
    }
    result.order()
    result.index()
    return result
  }

  /// This registry without any version of that resource.
  public func removing(_ resource: GroupResource) -> KindRegistry {
    var result = self
    result.drop { $0.groupResource == resource }
    result.order()
    result.index()
    return result
  }

  private mutating func insert(_ descriptor: KindDescriptor, isBuiltIn: Bool) {
    let group: Int
    if let found = groups.firstIndex(where: { $0.name == descriptor.kind.group }) {
      group = found
    } else {
      groups.append(Group(name: descriptor.kind.group, versions: [], isBuiltIn: isBuiltIn))
      group = groups.count - 1
    }
    if let version = groups[group].versions.firstIndex(where: { $0.version == descriptor.kind.version }) {
      groups[group].versions[version].kinds.append(descriptor)
    } else {
      groups[group].versions.append(Version(version: descriptor.kind.version, kinds: [descriptor]))
    }
  }

  private mutating func drop(_ isUnwanted: (KindDescriptor) -> Bool) {
    for group in groups.indices {
      for version in groups[group].versions.indices {
        groups[group].versions[version].kinds.removeAll(where: isUnwanted)
      }
    }
  }

  /// Drops what is empty and sorts what is not built in.
  private mutating func order() {
    for group in groups.indices {
      groups[group].versions.removeAll { $0.kinds.isEmpty }
      guard !groups[group].isBuiltIn else { continue }
      groups[group].versions.sort { APIVersionOrder.precedes($0.version, $1.version) }
    }
    groups.removeAll { $0.versions.isEmpty }
    groups = groups.filter(\.isBuiltIn) + groups.filter { !$0.isBuiltIn }.sorted { $0.name < $1.name }
  }

  private mutating func index() {
    placesByResource = [:]
    placesByKind = [:]
    for (groupIndex, group) in groups.enumerated() {
      for (versionIndex, version) in group.versions.enumerated() {
        for (kindIndex, descriptor) in version.kinds.enumerated() {
          let place = Place(group: groupIndex, version: versionIndex, kind: kindIndex)
          let key = ResourceKey(
            group: group.name, version: version.version, resource: descriptor.resource)
          placesByResource[key] = place
          placesByKind[descriptor.kind] = place
        }
      }
    }
  }
}

/// The order of versions of a group (spec/3 §3.1): GA, beta, alpha; higher numbers first; anything else by text.
public enum APIVersionOrder {
  /// Whether `left` comes before `right`.
  public static func precedes(_ left: String, _ right: String) -> Bool {
    switch (rank(left), rank(right)) {
    case (let left?, let right?): left > right
    case (.some, nil): true
    case (nil, .some): false
    case (nil, nil): left < right
    }
  }

  /// (stability, major, minor) of "v2beta1"; nil for anything that is no Kubernetes version.
  private static func rank(_ text: String) -> (Int, Int, Int)? {
    guard text.hasPrefix("v") else { return nil }
    let digits = text.dropFirst().prefix { $0.isASCII && $0.isNumber }
    guard let major = Int(digits) else { return nil }
    let rest = text[digits.endIndex...]
    if rest.isEmpty { return (2, major, 0) }
    for (name, stability) in [("beta", 1), ("alpha", 0)] where rest.hasPrefix(name) {
      return Int(rest.dropFirst(name.count)).map { (stability, major, $0) }
    }
    return nil
  }
}
