// The APIServices of what this server itself answers for: one for every group version that is built in, one for every
// version of a definition, with the reference's priorities.
import JSON
import Kinds
import Schema

/// Where a group stands among groups, and a version in its group: the higher, the earlier.
struct APIServicePriority: Sendable {
  var group: Int64
  var version: Int64

  /// Custom resources come after what is built in; their versions are ordered by name.
  static let custom = APIServicePriority(group: 1000, version: 100)

  private static let groups: [String: Int64] = [
    "": 18000, "apps": 17800, "events.k8s.io": 17750, "authentication.k8s.io": 17700, "authorization.k8s.io": 17600,
    "autoscaling": 17500, "batch": 17400, "certificates.k8s.io": 17300, "networking.k8s.io": 17200, "policy": 17100,
    "rbac.authorization.k8s.io": 17000, "storage.k8s.io": 16800, "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700, "scheduling.k8s.io": 16600, "coordination.k8s.io": 16500,
    "node.k8s.io": 16300, "discovery.k8s.io": 16200, "flowcontrol.apiserver.k8s.io": 16100,
  ]
  private static let versions: [String: Int64] = [
    "v1.": 1, "v2.autoscaling": 30, "v1.flowcontrol.apiserver.k8s.io": 21,
  ]

  /// nil: nothing is registered for it (the group of APIServices itself).
  static func builtIn(group: String, version: String) -> APIServicePriority? {
    groups[group].map { APIServicePriority(group: $0, version: versions["\(version).\(group)"] ?? 15) }
  }

  /// Of a group that this server answers for. The group of APIServices comes right behind the core.
  static func local(group: String) -> Int64 {
    group == AggregatedAPI.resource.group ? 17999 : groups[group] ?? custom.group
  }
}

enum LocalAPIService {
  /// Who takes care of an APIService: "onstart" what is built in, "true" what definitions make.
  static let label = "kube-aggregator.kubernetes.io/automanaged"

  static func object(group: String, version: String, _ priority: APIServicePriority, isBuiltIn: Bool) -> JSONValue {
    var spec: JSONValue = [:]
    if !group.isEmpty { spec["group"] = .string(group) }
    spec["version"] = .string(version)
    spec["groupPriorityMinimum"] = .integer(priority.group)
    spec["versionPriority"] = .integer(priority.version)
    return [
      "kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1",
      "metadata": [
        "name": .string("\(version).\(group)"), "labels": [label: isBuiltIn ? "onstart" : "true"],
      ],
      "spec": spec,
    ]
  }

  /// Those of the group versions that are built in.
  static func builtIn(_ registry: KindRegistry) -> [JSONValue] {
    registry.groups.flatMap { group in
      group.versions.compactMap { version in
        APIServicePriority.builtIn(group: group.name, version: version.version).map {
          object(group: group.name, version: version.version, $0, isBuiltIn: true)
        }
      }
    }
  }

  /// Brings one of ours back to its specification; one without the label is somebody else's.
  static func mend(_ stored: inout JSONValue, _ expected: JSONValue) -> Bool {
    guard !stored["metadata"]["labels"][label].isNull, stored["spec"] != expected["spec"] else { return false }
    stored["spec"] = expected["spec"]
    return true
  }
}
