import Client
import HTTP
import JSON
import Schema
import Synchronization
import World

/// A resource as discovery lists it.
struct DiscoveredResource: Sendable, Hashable {
  var reference: ResourceReference
  var verbs: Set<String>
}

/// What the servers serve, asked anew when older than 30 s (spec/5: discovery resync of the garbage collector).
final class ResourceDiscovery: Sendable {
  private static let lifetime = Duration.seconds(30)
  private static let accept =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

  private let client: APIClient
  private struct Findings {
    var resources: [DiscoveredResource] = []
    /// Group versions whose server does not answer now.
    var stale: [String] = []
  }
  private let cache = Mutex<(findings: Findings, at: MonotonicTime)?>(nil)

  init(client: APIClient) { self.client = client }

  /// Every resource of every group in its preferred version.
  func all() async throws -> [DiscoveredResource] { try await findings().resources }

  /// Group versions of aggregated servers that do not answer now: what they say they serve may be out of date.
  func stale() async throws -> [String] { try await findings().stale }

  private func findings() async throws -> Findings {
    let now = client.world.now
    if let cached = cache.withLock({ $0 }), now - cached.at < Self.lifetime { return cached.findings }
    var findings = Findings()
    for path in ["/api", "/apis"] {
      let document = try JSONValue(parsing: try await client.raw(path, accept: Self.accept))
      for group in document["items"].elements {
        guard let version = group["versions"].elements.first else { continue }
        let name = group["metadata"]["name"].string ?? ""
        findings.stale += group["versions"].elements.filter { $0["freshness"] == "Stale" }
          .map { "\(name)/\($0["version"].string ?? "")" }
        for resource in version["resources"].elements {
          findings.resources.append(
            DiscoveredResource(
              reference: ResourceReference(
                name, version["version"].string ?? "", resource["resource"].string ?? "",
                resource["responseKind"]["kind"].string ?? "", namespaced: resource["scope"].string == "Namespaced"),
              verbs: Set(resource["verbs"].elements.compactMap(\.string))))
        }
      }
    }
    let found = findings
    cache.withLock { $0 = (found, now) }
    return found
  }

  /// What a namespace must be emptied of. Events of both groups are one store: core v1 serves.
  func deletableNamespaced() async throws -> [DiscoveredResource] {
    try await deletable().filter { $0.reference.isNamespaced }
  }

  func deletable() async throws -> [DiscoveredResource] {
    try await all().filter { resource in
      resource.verbs.isSuperset(of: ["delete", "list", "watch"])
        && resource.reference.groupResource != GroupResource(group: "events.k8s.io", resource: "events")
    }
  }

  /// The resource of a kind, as an owner reference names it.
  func resource(apiVersion: String, kind: String) async throws -> ResourceReference? {
    let group = apiVersion.split(separator: "/").count == 2 ? String(apiVersion.prefix { $0 != "/" }) : ""
    return try await all().first { $0.reference.kind == kind && $0.reference.group == group }?.reference
  }
}
