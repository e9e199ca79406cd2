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
    var merged: Merged<MergedDiscovery>?
    var mergedVersion2: Merged<ServerDocuments.Version2>?
  }
  /// What was made of these services and our own documents.
  private struct Merged<Value: Sendable>: Sendable {
    var key: MergedDiscovery.Key
    var local: ServerDocuments
    let value = MadeOnce<Value>()
    func isOf(_ key: MergedDiscovery.Key, _ local: ServerDocuments) -> Bool { self.key == key && self.local === local }
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

  /// OpenAPI v2, with theirs in ours.
  func version2(
    _ local: ServerDocuments, _ current: any StateView, by work: any BackgroundWork
  ) async -> ServerDocuments.Version2 {
    let ours = await local.openAPI2(by: work)
    let apis = apis(current)
    typealias Part = (api: AggregatedAPI, tree: JSONValue)
    let (merged, parts) = state.withLock { state -> (Merged<ServerDocuments.Version2>?, [Part]) in
      let parts = apis.compactMap { api in
        state.documents[api.name].flatMap { $0.version2.isNull ? nil : Part(api, $0.version2) }
      }
      guard !parts.isEmpty else { return (nil, []) }
      let key = Self.key(apis, state.generation)
      if let known = state.mergedVersion2, known.isOf(key, local) { return (known, parts) }
      let new = Merged<ServerDocuments.Version2>(key: key, local: local)
      state.mergedVersion2 = new
      return (new, parts)
    }
    guard let merged else { return ours }
    return await merged.value.value(by: work) {
      guard var whole = try? JSONValue(parsing: ours.json.bytes) else { return ours }
      for (api, tree) in parts { OpenAPIDocuments.merge(tree, of: "/\(api.path)", into: &whole) }
      return ServerDocuments.Version2(whole)
    }
  }

  /// Discovery with theirs among ours; nil when there is nothing but ours.
  func merged(
    _ local: ServerDocuments, _ current: any StateView, by work: any BackgroundWork
  ) async -> MergedDiscovery? {
    let apis = apis(current)
    guard !apis.isEmpty else { return nil }
    let (merged, documents) = state.withLock { state in
      let key = Self.key(apis, state.generation)
      if let known = state.merged, known.isOf(key, local) { return (known, state.documents) }
      let new = Merged<MergedDiscovery>(key: key, local: local)
      state.merged = new
      return (new, state.documents)
    }
    return await merged.value.value(by: work) { MergedDiscovery(local, apis, documents) }
  }
}
