// The kinds a server serves and every document that describes them, made once for a set of kinds.
import JSON
import Kinds
import Schema
import Synchronization
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
  private let openAPIDocuments = Mutex<OpenAPIDocuments?>(nil)
  private let openAPIVersion2 = Mutex<(json: Document, protobuf: Document)?>(nil)

  init(registry: KindRegistry, configuration: APIServer.Configuration) {
    self.registry = registry
    gitVersion = configuration.gitVersion
    discovery = Discovery(registry.kinds)
    aggregatedCore = Document(discovery.aggregatedCore)
    aggregatedGroups = Document(discovery.aggregatedGroups)
    apiVersions = discovery.apiVersions(serverAddress: configuration.advertisedAddress)
  }

  var openAPI: OpenAPIDocuments {
    openAPIDocuments.withLock { documents in
      if let documents { return documents }
      let registry = self.registry
      let made = OpenAPIDocuments(
        registry.kinds, gitVersion: gitVersion,
        sources: OpenAPISources(
          hash: { Crypto.hexadecimal(Crypto.sha512($0)).uppercased() },
          structure: { registry.structure($0) }))
      documents = made
      return made
    }
  }

  /// `/openapi/v2` in both encodings; made when first asked for.
  var openAPI2: (json: Document, protobuf: Document) {
    let documents = openAPI
    return openAPIVersion2.withLock { made in
      if let made { return made }
      let tree = documents.version2()
      let both = (json: Document(tree), protobuf: Document(bytes: OpenAPIDocuments.version2Protobuf(tree)))
      made = both
      return both
    }
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
