// What this server knows of the servers behind it: which group versions are theirs, and what they said they serve.
import JSON
import Replica
import Schema
import Synchronization

/// What an aggregated server said of one group version when it was last asked.
struct AggregatedDocuments: Sendable {
  /// Its `APIResourceList`; nil: it never answered.
  var resources: JSONValue?
  /// Addresses of its OpenAPI v3 documents, by their key ("apis/metrics.k8s.io/v1beta1").
  var openAPI: [String: String] = [:]
  /// What its OpenAPI v2 document says of this group version; null: it has none.
  var version2 = JSONValue.null
  /// Whether it answered when it was last asked.
  var isFresh = false
}

/// Any thread.
final class Aggregation: Sendable {
  private struct State {
    var parsed: [String: (revision: Revision, api: AggregatedAPI?)] = [:]
    var documents: [String: AggregatedDocuments] = [:]
    /// Raised by every change of `documents`.
    var generation: UInt64 = 0
    var merged: (key: MergedDiscovery.Key, local: ServerDocuments, discovery: MergedDiscovery)?
    var mergedVersion2: (key: MergedDiscovery.Key, local: ServerDocuments, documents: ServerDocuments.Version2)?
  }
  private let state = Mutex(State())

  /// The API of an APIService; nil when there is none, or this server answers for it.
  func api(_ object: StoredObject?) -> AggregatedAPI? {
    guard let object else { return nil }
    if let known = state.withLock({ $0.parsed[object.key.name] }), known.revision == object.revision {
      return known.api
    }
    let api = AggregatedAPI(object)
    state.withLock { $0.parsed[object.key.name] = (object.revision, api) }
    return api
  }

  /// All that other servers answer for, by name.
  func apis(_ current: any StateView) -> [AggregatedAPI] {
    current.objects(resource: AggregatedAPI.resource.description, namespace: "", after: nil, limit: 0).objects
      .compactMap { api($0) }
  }

  func documents(of api: AggregatedAPI) -> AggregatedDocuments {
    state.withLock { $0.documents[api.name] } ?? AggregatedDocuments()
  }

  /// Takes what the servers said; what others said is forgotten.
  func learn(_ documents: [String: AggregatedDocuments]) {
    state.withLock { state in
      var new: [String: AggregatedDocuments] = [:]
      for (name, document) in documents {
        var document = document
        let former = state.documents[name]
        // Who does not answer now still serves what it said it did, as far as anybody knows.
        if document.resources == nil { document.resources = former?.resources }
        if !document.isFresh {
          document.openAPI = former?.openAPI ?? [:]
          document.version2 = former?.version2 ?? .null
        }
        new[name] = document
        if former?.resources != document.resources || former?.isFresh != document.isFresh
          || former?.openAPI != document.openAPI || former?.version2 != document.version2
        {
          state.generation += 1
        }
      }
      if new.count != state.documents.count { state.generation += 1 }
      state.documents = new
    }
  }

  private static func key(_ apis: [AggregatedAPI], _ generation: UInt64) -> MergedDiscovery.Key {
    MergedDiscovery.Key(
      services: apis.map { MergedDiscovery.Key.Service(name: $0.name, revision: $0.revision) }, generation: generation)
  }

  /// OpenAPI v2 with theirs in ours; nil when there is nothing but ours.
  func mergedVersion2(_ local: ServerDocuments, _ current: any StateView) -> ServerDocuments.Version2? {
    let apis = apis(current)
    let (generation, documents, known) = state.withLock { ($0.generation, $0.documents, $0.mergedVersion2) }
    let parts = apis.filter { documents[$0.name].map { !$0.version2.isNull } ?? false }
    guard !parts.isEmpty else { return nil }
    let key = Self.key(apis, generation)
    if let known, known.key == key, known.local === local { return known.documents }
    guard var tree = try? JSONValue(parsing: local.openAPI2.json.bytes) else { return nil }
    for api in parts {
      OpenAPIDocuments.merge(documents[api.name]?.version2 ?? .null, of: "/\(api.path)", into: &tree)
    }
    let made = ServerDocuments.Version2(tree)
    state.withLock { $0.mergedVersion2 = (key, local, made) }
    return made
  }

  /// Discovery with theirs among ours; nil when there is nothing but ours.
  func merged(_ local: ServerDocuments, _ current: any StateView) -> MergedDiscovery? {
    let apis = apis(current)
    guard !apis.isEmpty else { return nil }
    let (generation, documents, known) = state.withLock { ($0.generation, $0.documents, $0.merged) }
    let key = Self.key(apis, generation)
    if let known, known.key == key, known.local === local { return known.discovery }
    let discovery = MergedDiscovery(local, apis, documents)
    state.withLock { $0.merged = (key, local, discovery) }
    return discovery
  }
}
