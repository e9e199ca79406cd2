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
        if !document.isFresh { document.openAPI = former?.openAPI ?? [:] }
        new[name] = document
        if former?.resources != document.resources || former?.isFresh != document.isFresh
          || former?.openAPI != document.openAPI
        {
          state.generation += 1
        }
      }
      if new.count != state.documents.count { state.generation += 1 }
      state.documents = new
    }
  }

  /// Discovery with theirs among ours; nil when there is nothing but ours.
  func merged(_ local: ServerDocuments, _ current: any StateView) -> MergedDiscovery? {
    let apis = apis(current)
    guard !apis.isEmpty else { return nil }
    let (generation, documents, known) = state.withLock { ($0.generation, $0.documents, $0.merged) }
    let key = MergedDiscovery.Key(
      services: apis.map { MergedDiscovery.Key.Service(name: $0.name, revision: $0.revision) }, generation: generation)
    if let known, known.key == key, known.local === local { return known.discovery }
    let discovery = MergedDiscovery(local, apis, documents)
    state.withLock { $0.merged = (key, local, discovery) }
    return discovery
  }
}
