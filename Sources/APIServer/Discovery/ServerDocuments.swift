// The kinds a server serves and every document that describes them, made once for a set of kinds.
import JSON
import Kinds
import Schema
import TLS

/// A body that does not change as long as the kinds do not, with the hash clients ask by.
struct Document: Sendable {
  let bytes: [UInt8]
  /// Quoted.
  let etag: String

  init(_ tree: JSONValue) { self.init(bytes: tree.bytes) }

  init(bytes: [UInt8]) {
    self.bytes = bytes
    etag = "\"\(Crypto.hexadecimal(Crypto.sha512(bytes)).uppercased())\""
  }
}

final class ServerDocuments: Sendable {
  let registry: KindRegistry
  let discovery: Discovery
  let aggregatedCore: Document
  let aggregatedGroups: Document
  let apiVersions: JSONValue
  private let gitVersion: String
  /// Made when first asked for: it costs tens of milliseconds, and a server has better things to do while it starts.
  private let openAPIDocuments = MadeOnce<OpenAPIDocuments>()
  private let openAPIVersion2 = MadeOnce<Version2>()
  /// Those of kinds before, where anybody had asked for them: most of them are still right.
  private let former: (documents: OpenAPIDocuments, registry: KindRegistry)?

  /// `previous`: documents of group versions whose kinds are still the same are taken from there.
  init(registry: KindRegistry, configuration: APIServer.Configuration, previous: ServerDocuments? = nil) {
    self.registry = registry
    former = previous.flatMap { previous in
      previous.openAPIDocuments.known.map { ($0, previous.registry) } ?? previous.former
    }
    gitVersion = configuration.gitVersion
    discovery = Discovery(registry.kinds, hash: { Crypto.sha256($0) })
    aggregatedCore = Document(discovery.aggregatedCore)
    aggregatedGroups = Document(discovery.aggregatedGroups)
    apiVersions = discovery.apiVersions(serverAddress: configuration.advertisedAddress)
  }

  /// `/openapi/v3` and all that it leads to.
  func openAPI(by work: any BackgroundWork) async -> OpenAPIDocuments {
    await openAPIDocuments.value(by: work) { [self] in
      let registry = registry
      let sources = OpenAPISources(
        hash: { Crypto.hexadecimal(Crypto.sha512($0)).uppercased() },
        structure: { registry.structure($0) },
        schema: { registry.kind($0)?.custom?.schema.source },
        description: { structure, field in
          let texts = FieldDescriptions.all
          return field.map { texts.field($0, of: structure) } ?? texts.structure(structure)
        })
      return former.map { Self.updated($0.documents, from: $0.registry, to: registry, sources) }
        ?? OpenAPIDocuments(registry.kinds, gitVersion: gitVersion, sources: sources)
    }
  }

  /// `/openapi/v2` in both encodings.
  struct Version2: Sendable {
    let json: Document
    let protobuf: Document
    init(_ tree: JSONValue) {
      json = Document(tree)
      protobuf = Document(bytes: OpenAPIDocuments.version2Protobuf(tree))
    }
  }

  /// `/openapi/v2` in both encodings; made when first asked for.
  func openAPI2(by work: any BackgroundWork) async -> Version2 {
    if let known = openAPIVersion2.known { return known }
    let documents = await openAPI(by: work)
    return await openAPIVersion2.value(by: work) { Version2(documents.version2()) }
  }

  /// The documents of `old` with those group versions replaced whose kinds differ.
  private static func updated(
    _ documents: OpenAPIDocuments, from old: KindRegistry, to new: KindRegistry, _ sources: OpenAPISources
  ) -> OpenAPIDocuments {
    struct Place: Hashable {
      var group: String
      var version: String
    }
    func places(_ registry: KindRegistry) -> [Place] {
      registry.groups.flatMap { group in group.versions.map { Place(group: group.name, version: $0.version) } }
    }
    func signature(_ registry: KindRegistry, _ place: Place) -> [String] {
      registry.version(group: place.group, place.version)?.kinds.map { "\($0.kind) \($0.custom?.revision ?? 0)" } ?? []
    }
    let changed = Set(places(old) + places(new)).filter { signature(old, $0) != signature(new, $0) }
    return documents.replacing(
      changed.map { ($0.group, $0.version, new.version(group: $0.group, $0.version)?.kinds ?? []) }, sources: sources)
  }
}

extension KindRegistry {
  /// The structure of any kind, those that are only bodies of subresources included.
  func structure(_ kind: GroupVersionKind) -> Structure? {
    if let found = self.kind(kind) { return found.structure }
    let package = kind.group.isEmpty ? "core" : String(kind.group.prefix { $0 != "." })
    return types["\(package).\(kind.version).\(kind.kind)"] ?? types["meta.v1.\(kind.kind)"]
  }
}
