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

  init(_ tree: JSONValue) {
    bytes = tree.bytes
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
}

extension KindRegistry {
  /// The structure of any kind, those that are only bodies of subresources included.
  func structure(_ kind: GroupVersionKind) -> Structure? {
    if let found = self.kind(kind) { return found.structure }
    let package = kind.group.isEmpty ? "core" : String(kind.group.prefix { $0 != "." })
    return types["\(package).\(kind.version).\(kind.kind)"] ?? types["meta.v1.\(kind.kind)"]
  }
}
