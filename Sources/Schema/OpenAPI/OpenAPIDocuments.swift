// OpenAPI v3: an index, and a document for every group version, made from the kinds (spec/1 §1.4).
import JSON

/// Where documents find what descriptors do not hold.
public struct OpenAPISources: Sendable {
  /// Bodies of subresources (Scale, Eviction, TokenRequest), Status, DeleteOptions; nil makes them any object.
  public var structure: @Sendable (GroupVersionKind) -> Structure?
  /// The whole JSON schema of a kind in place of one made from its structure: that of a CustomResourceDefinition.
  public var schema: @Sendable (GroupVersionKind) -> JSONValue?
  /// What a field (nil: the structure itself) is for, where the structure does not say; may be empty.
  public var description: @Sendable (_ structure: String, _ field: String?) -> String
  /// Uppercase hexadecimal SHA-512.
  public var hash: @Sendable ([UInt8]) -> String

  public init(
    hash: @escaping @Sendable ([UInt8]) -> String,
    structure: @escaping @Sendable (GroupVersionKind) -> Structure? = { _ in nil },
    schema: @escaping @Sendable (GroupVersionKind) -> JSONValue? = { _ in nil },
    description: @escaping @Sendable (_ structure: String, _ field: String?) -> String = { _, _ in "" }
  ) {
    self.hash = hash
    self.structure = structure
    self.schema = schema
    self.description = description
  }
}

/// Every document, as the bytes that are served. Making them costs tens of milliseconds: keep the value, and when a
/// CustomResourceDefinition changes, replace its group version only.
public struct OpenAPIDocuments: Sendable {
  public struct Document: Sendable {
    /// JSON.
    public let bytes: [UInt8]
    /// The `hash` parameter of its address; quoted, its ETag.
    public let hash: String
  }

  /// By the key that follows `/openapi/v3/`: "api/v1", "apis/apps/v1", "version".
  public private(set) var documents: [String: Document] = [:]
  /// `/openapi/v3`.
  public private(set) var index: Document
  /// What `/version` says: "v1.32.0".
  let gitVersion: String
  private var sources: OpenAPISources

  /// Documents of all kinds. `gitVersion` is what `/version` says: "v1.32.0".
  public init(_ kinds: [KindDescriptor], gitVersion: String, sources: OpenAPISources) {
    self.gitVersion = gitVersion
    self.sources = sources
    index = Document(bytes: [], hash: "")
    let groupVersions = Dictionary(grouping: kinds) { Self.key(group: $0.kind.group, version: $0.kind.version) }
    for (key, kinds) in groupVersions { setDocument(key, kinds) }
    for key in Self.smallKeys { setSmallDocument(key) }
    for group in Set(kinds.map(\.kind.group)) where !group.isEmpty { setSmallDocument("apis/\(group)") }
    makeIndex()
  }

  /// The same documents but for one group version; without kinds it goes.
  public func replacing(
    group: String, version: String, with kinds: [KindDescriptor], sources: OpenAPISources? = nil
  ) -> OpenAPIDocuments {
    replacing([(group, version, kinds)], sources: sources)
  }

  /// The same documents but for these group versions; those without kinds go.
  public func replacing(
    _ groupVersions: [(group: String, version: String, kinds: [KindDescriptor])], sources: OpenAPISources? = nil
  ) -> OpenAPIDocuments {
    var result = self
    if let sources { result.sources = sources }
    for (group, version, kinds) in groupVersions {
      let key = Self.key(group: group, version: version)
      if kinds.isEmpty {
        result.documents[key] = nil
        let prefix = "apis/\(group)/"
        if !result.documents.keys.contains(where: { $0.hasPrefix(prefix) }) { result.documents["apis/\(group)"] = nil }
      } else {
        result.setDocument(key, kinds)
        if !group.isEmpty { result.setSmallDocument("apis/\(group)") }
      }
    }
    result.makeIndex()
    return result
  }

  /// "api/v1", "apis/apps/v1".
  public static func key(group: String, version: String) -> String {
    group.isEmpty ? "api/\(version)" : "apis/\(group)/\(version)"
  }

  private mutating func setDocument(_ key: String, _ kinds: [KindDescriptor]) {
    var schemas = OpenAPISchemas(sources: sources)
    let paths = OpenAPIPaths.paths(of: kinds, under: "/" + key, schemas: &schemas)
    set(key, document(paths: paths, schemas: schemas.components))
  }

  private static let smallKeys = [
    "api", "apis", "version", ".well-known/openid-configuration", "openid/v1/jwks",
  ]

  /// A document of one path that only answers GET.
  private mutating func setSmallDocument(_ key: String) {
    let isBelow = key.hasPrefix("api") || key == "version"
    var schemas = OpenAPISchemas(sources: sources)
    let types = OpenAPIPaths.documentTypes
    let operation: JSONValue
    switch key {
    case "version":
      operation = OpenAPIPaths.document(
        "getCodeVersion", "get the version information for this server", tag: "version",
        schema: schemas.versionReference(), types: ["application/json"])
    case ".well-known/openid-configuration":
      operation = OpenAPIPaths.document(
        "getServiceAccountIssuerOpenIDConfiguration",
        "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'", tag: "WellKnown",
        schema: ["type": "string"], types: ["application/json"])
    case "openid/v1/jwks":
      operation = OpenAPIPaths.document(
        "getServiceAccountIssuerOpenIDKeyset",
        "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)", tag: "openid",
        schema: ["type": "string"], types: ["application/jwk-set+json"])
    case "api":
      operation = OpenAPIPaths.document(
        "getCoreAPIVersions", "get available API versions", tag: "core",
        schema: schemas.discoveryReference("APIVersions"), types: types)
    case "apis":
      operation = OpenAPIPaths.document(
        "getAPIVersions", "get available API versions", tag: "apis",
        schema: schemas.discoveryReference("APIGroupList"), types: types)
    default:
      operation = OpenAPIPaths.document(
        "get\(OpenAPIPaths.identifier(of: key))APIGroup", "get information of a group",
        tag: OpenAPIVersion2.tag(of: key), schema: schemas.discoveryReference("APIGroup"), types: types)
    }
    let paths = JSONObject(uniqueMembers: [(isBelow ? "/\(key)/" : "/\(key)", ["get": operation])])
    set(key, document(paths: paths, schemas: schemas.components))
  }

  private func document(paths: JSONObject, schemas: JSONObject) -> JSONValue {
    [
      "openapi": "3.0.0", "info": ["title": "Kubernetes", "version": .string(gitVersion)],
      "paths": .object(paths), "components": ["schemas": .object(schemas)],
    ]
  }

  private mutating func set(_ key: String, _ document: JSONValue) {
    let bytes = document.bytes
    documents[key] = Document(bytes: bytes, hash: sources.hash(bytes))
  }

  private mutating func makeIndex() {
    let paths: [JSONObject.Member] = documents.keys.sorted().map { key in
      (key, ["serverRelativeURL": .string("/openapi/v3/\(key)?hash=\(documents[key]!.hash)")])
    }
    let bytes = JSONValue.object(["paths": .object(JSONObject(uniqueMembers: paths))]).bytes
    index = Document(bytes: bytes, hash: sources.hash(bytes))
  }
}
