// What the servers serve, as loops ask for it: they meet kinds that come and go with custom resources.
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

/// What the servers served at one moment.
struct ServedResources: Sendable {
  /// Every resource of every group, in the version that its group prefers of those that have it.
  var all: [DiscoveredResource] = []
  /// Group versions of aggregated servers that do not answer now: what they say they serve may be out of date.
  var stale: [String] = []

  /// Everything that can be listed, followed and deleted. Events of both groups are one store: core v1 serves.
  var deletable: [DiscoveredResource] {
    all.filter { resource in
      resource.verbs.isSuperset(of: ["delete", "list", "watch"])
        && resource.reference.groupResource != GroupResource(group: "events.k8s.io", resource: "events")
    }
  }

  /// - Parameter documents: of the groups, as aggregated discovery gives them.
  init(documents: [JSONValue]) {
    for group in documents.flatMap({ $0["items"].elements }) {
      let name = group["metadata"]["name"].string ?? ""
      var known: Set<String> = []
      for version in group["versions"].elements {
        let versionName = version["version"].string ?? ""
        if version["freshness"] == "Stale" { stale.append("\(name)/\(versionName)") }
        for resource in version["resources"].elements {
          let plural = resource["resource"].string ?? ""
          // A resource that the preferred version does not have is served all the same.
          guard known.insert(plural).inserted else { continue }
          all.append(
            DiscoveredResource(
              reference: ResourceReference(
                name, versionName, plural, resource["responseKind"]["kind"].string ?? "",
                namespaced: resource["scope"].string == "Namespaced"),
              verbs: Set(resource["verbs"].elements.compactMap(\.string))))
        }
      }
    }
  }
}

/// Asks the servers what they serve, and remembers it for a while. Any thread.
final class ResourceDiscovery: Sendable {
  /// The resync of the garbage collector (spec/5 §5.1).
  static let lifetime = Duration.seconds(30)
  /// What was not among the findings may be new; but it is not asked for more often than this.
  private static let lifetimeOfMiss = Duration.seconds(1)
  private static let accept =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"

  private let client: APIClient
  private let cache = Mutex<(served: ServedResources, at: MonotonicTime)?>(nil)

  init(client: APIClient) { self.client = client }

  /// What is served, as it was found at most so long ago; zero asks now.
  func served(notOlderThan age: Duration = lifetime) async throws -> ServedResources {
    let now = client.world.now
    if let cached = cache.withLock({ $0 }), now - cached.at < age { return cached.served }
    var documents: [JSONValue] = []
    for path in ["/api", "/apis"] {
      documents.append(try JSONValue(parsing: try await client.raw(path, accept: Self.accept)))
    }
    let served = ServedResources(documents: documents)
    cache.withLock { $0 = (served, now) }
    return served
  }

  /// The first resource that is so; nil when none is, as far as a second ago.
  func first(where matches: (DiscoveredResource) -> Bool) async throws -> ResourceReference? {
    if let found = try await served().all.first(where: matches) { return found.reference }
    return try await served(notOlderThan: Self.lifetimeOfMiss).all.first(where: matches)?.reference
  }

  /// The resource of a kind, as owner references and scale targets name it.
  func resource(apiVersion: String, kind: String) async throws -> ResourceReference? {
    let group = ResourceReference.group(ofAPIVersion: apiVersion)
    return try await first { $0.reference.kind == kind && $0.reference.group == group }
  }
}
