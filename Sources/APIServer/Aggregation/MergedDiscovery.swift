// Discovery and the index of OpenAPI with the group versions of other servers among our own, in the order of their
// priorities. Pure.
import JSON
import Kinds
import Replica
import Schema
import TLS

struct MergedDiscovery: Sendable {
  struct Key: Hashable, Sendable {
    struct Service: Hashable, Sendable {
      var name: String
      var revision: Revision
    }
    var services: [Service]
    var generation: UInt64
  }
  private struct Version {
    var name: String
    var priority: Int64
    /// Of the aggregated document.
    var discovery: JSONValue
  }
  private struct Group {
    var name: String
    var priority: Int64
    var versions: [Version]
  }

  /// `/apis`.
  let groupList: JSONValue
  /// `/apis` in the aggregated form.
  let aggregatedGroups: Document
  private let groups: [String: JSONValue]

  /// `/apis/GROUP`.
  func group(_ name: String) -> JSONValue? { groups[name] }
  var groupNames: [String] { groups.keys.sorted() }

  init(_ local: ServerDocuments, _ apis: [AggregatedAPI], _ documents: [String: AggregatedDocuments]) {
    var groups = Self.local(local)
    for api in apis {
      let version = Version(
        name: api.version, priority: api.versionPriority,
        discovery: Self.discovery(of: api, documents[api.name] ?? AggregatedDocuments()))
      if let index = groups.firstIndex(where: { $0.name == api.group }) {
        guard !groups[index].versions.contains(where: { $0.name == api.version }) else { continue }
        groups[index].versions.append(version)
        groups[index].priority = max(groups[index].priority, api.groupPriority)
      } else {
        groups.append(Group(name: api.group, priority: api.groupPriority, versions: [version]))
      }
    }
    for index in groups.indices {
      groups[index].versions.sort { left, right in
        left.priority != right.priority
          ? left.priority > right.priority : VersionOrder.precedes(left.name, right.name)
      }
    }
    groups.sort { $0.priority != $1.priority ? $0.priority > $1.priority : $0.name < $1.name }

    let bodies = groups.map { Self.body(of: $0) }
    groupList = [
      "kind": "APIGroupList", "apiVersion": "v1", "groups": .array(bodies.map { .object($0) }),
    ]
    var byName: [String: JSONValue] = [:]
    for (group, body) in zip(groups, bodies) {
      byName[group.name] = .object(
        JSONObject(uniqueMembers: [("kind", "APIGroup"), ("apiVersion", "v1")] + body.members))
    }
    self.groups = byName
    let items: [JSONValue] = groups.map { group in
      ["metadata": Discovery.metadata(group.name), "versions": .array(group.versions.map(\.discovery))]
    }
    aggregatedGroups = Document([
      "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": [:], "items": .array(items),
    ])
  }

  private static func local(_ documents: ServerDocuments) -> [Group] {
    let items = documents.discovery.aggregatedGroups["items"].elements
    return items.map { item in
      let name = item["metadata"]["name"].string ?? ""
      let versions = item["versions"].elements.map { version in
        let text = version["version"].string ?? ""
        let priority = APIServicePriority.builtIn(group: name, version: text) ?? .custom
        return Version(name: text, priority: priority.version, discovery: version)
      }
      return Group(name: name, priority: APIServicePriority.local(group: name), versions: versions)
    }
  }

  private static func body(of group: Group) -> JSONObject {
    let versions: [JSONValue] = group.versions.map { version in
      ["groupVersion": .string("\(group.name)/\(version.name)"), "version": .string(version.name)]
    }
    return ["name": .string(group.name), "versions": .array(versions), "preferredVersion": versions[0]]
  }

  // MARK: - From one form to the other

  /// A version in the aggregated document, made of what its server says in the old form.
  private static func discovery(of api: AggregatedAPI, _ documents: AggregatedDocuments) -> JSONValue {
    var version: JSONValue = ["version": .string(api.version)]
    if let list = documents.resources { version["resources"] = .array(resources(list["resources"].elements, api)) }
    version["freshness"] = documents.isFresh && api.isAvailable ? "Current" : "Stale"
    return version
  }

  private static func resources(_ list: [JSONValue], _ api: AggregatedAPI) -> [JSONValue] {
    var resources: [JSONValue] = []
    var positions: [String: Int] = [:]
    for entry in list {
      let name = entry["name"].string ?? ""
      guard !name.contains("/") else { continue }
      var resource: JSONValue = [
        "resource": .string(name), "responseKind": responseKind(entry, api),
        "scope": entry["namespaced"] == true ? "Namespaced" : "Cluster",
        "singularResource": .string(entry["singularName"].string ?? ""), "verbs": entry["verbs"],
      ]
      for member in ["shortNames", "categories"] where !entry[member].isNull { resource[member] = entry[member] }
      positions[name] = resources.count
      resources.append(resource)
    }
    for entry in list {
      let parts = (entry["name"].string ?? "").split(separator: "/", maxSplits: 1).map { String($0) }
      guard parts.count == 2 else { continue }
      if positions[parts[0]] == nil {
        positions[parts[0]] = resources.count
        // A subresource of nothing: the resource itself cannot be asked for.
        resources.append([
          "resource": .string(parts[0]), "scope": entry["namespaced"] == true ? "Namespaced" : "Cluster",
          "singularResource": "", "verbs": [],
        ])
      }
      guard let position = positions[parts[0]] else { continue }
      resources[position]["subresources"].append([
        "subresource": .string(parts[1]), "responseKind": responseKind(entry, api), "verbs": entry["verbs"],
      ])
    }
    return resources
  }

  private static func responseKind(_ entry: JSONValue, _ api: AggregatedAPI) -> JSONValue {
    let version = entry["version"].string ?? ""
    return [
      "group": .string(version.isEmpty ? api.group : entry["group"].string ?? ""),
      "version": .string(version.isEmpty ? api.version : version), "kind": .string(entry["kind"].string ?? ""),
    ]
  }
}
