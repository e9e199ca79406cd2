import HTTP
import JSON
// Paths that are no resources: discovery, OpenAPI, version, metrics, and whatever was registered beside them.
import Kinds
import Replica
import Schema
import World

extension APIServer {
  func answerPath(
    _ request: HTTPRequest, _ path: RequestPath, _ info: RequestInfo, _ user: RequestUser, _ world: any World
  ) async throws(APIStatus) -> HTTPResponse {
    if let handler = pathHandler(path) {
      let context = RequestContext(user: user, now: world.wallClock, world: world)
      return await handler.respond(to: request, context: context)
    }
    if let dump = FlowDumps.Table(path.segments) {
      return FlowDumps.text(of: dump, flowControl.contents, path.query, now: world.now, wallClock: world.wallClock)
    }
    guard request.method == "GET" || request.method == "HEAD" else {
      throw Self.isKnownPath(path.segments) ? .methodNotAllowed : notFound(path.segments)
    }
    let segments = path.segments
    if request.method == "HEAD", answersGetAlone(segments) { throw .methodNotAllowed }
    if ["api", "apis", "openapi", nil].contains(segments.first) {
      await refreshDiscovery()
      if let api = try await aggregatedAPI(segments) { return await proxy(request, to: api, path, info, user, world) }
    }
    switch segments.first {
    case nil: return try document(["paths": .array(allPaths.map { .string($0) })], request, path)
    case "version" where segments.count == 1: return try document(version, request, path)
    case "metrics" where segments.count == 1: return metricsResponse()
    case "api", "apis": return try await discovery(request, path)
    case "openapi": return try await openAPI(request, path, info, user, world)
    default: throw notFound(segments)
    }
  }

  /// The 404 of a path: a Status where it begins like one that is there, as in the reference, whose router knows the
  /// built-in groups alone; else text.
  func notFound(_ segments: [String]) -> APIStatus {
    switch segments.first {
    case "api", "version": .unknownResource
    case "apis" where segments.count > 1 && registry.group(segments[1])?.isBuiltIn == true: .unknownResource
    default: .unknownPath
    }
  }

  /// Paths of the reference's router of methods; those beside it take every method.
  private func answersGetAlone(_ segments: [String]) -> Bool {
    switch segments.first {
    case "api", "version": Self.isKnownPath(segments)
    case "apis": segments.count == 3 && registry.group(segments[1])?.isBuiltIn == true
    default: false
    }
  }

  private static func isKnownPath(_ segments: [String]) -> Bool {
    switch segments.first {
    case nil, "version", "metrics": segments.count < 2
    case "api": segments.count <= 2
    case "apis": segments.count <= 3
    default: false
    }
  }

  private func pathHandler(_ path: RequestPath) -> (any PathHandler)? {
    guard !dependencies.paths.isEmpty else { return nil }
    var text = "/" + path.segments.joined(separator: "/")
    if let handler = dependencies.paths[text] { return handler }
    // "/livez/etcd" belongs to "/livez/".
    while let slash = text.lastIndex(of: "/") {
      if let handler = dependencies.paths[String(text[...slash])] { return handler }
      text = String(text[..<slash])
    }
    return nil
  }

  /// What GET / lists.
  private var allPaths: [String] {
    var paths: Set<String> = ["/api", "/apis", "/metrics", "/openapi/v3", "/openapi/v3/", "/version"]
    for group in registry.groups {
      if !group.name.isEmpty { paths.insert("/apis/\(group.name)") }
      for version in group.versions {
        paths.insert(group.name.isEmpty ? "/api/\(version.version)" : "/apis/\(group.name)/\(version.version)")
      }
    }
    for api in aggregation.apis(store.current) { paths.formUnion(["/apis/\(api.group)", "/\(api.path)"]) }
    for path in dependencies.paths.keys where !path.hasSuffix("/") { paths.insert(path) }
    return paths.sorted()
  }

  private var version: JSONValue {
    let digits = configuration.gitVersion.dropFirst().split(separator: ".")
    return [
      "major": .string(digits.first.map(String.init) ?? "1"),
      "minor": .string(digits.count > 1 ? String(digits[1]) : "32"),
      "gitVersion": .string(configuration.gitVersion), "gitCommit": .string(configuration.gitCommit),
      "gitTreeState": "clean", "buildDate": .string(configuration.buildDate), "goVersion": "swift6",
      "compiler": "swiftc", "platform": "linux/amd64",
    ]
  }

  private func metricsResponse() -> HTTPResponse {
    let current = inFlight.current
    metrics.inFlight.set(Double(current.reads), ["readOnly"])
    metrics.inFlight.set(Double(current.writes), ["mutating"])
    flowControl.measure()
    metrics.watches.set(Double(watches.count), ["WATCH"])
    let state = store.current
    for kind in registry.storedKinds {
      let resource = kind.groupResource.description
      metrics.storedObjects.set(Double(state.count(resource: resource, namespace: "")), [resource])
    }
    let version = version
    metrics.build.set(
      1,
      [
        "major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform",
      ].map { version[$0].string ?? "" })
    return HTTPResponse(
      status: 200, headers: ["content-type": "text/plain; version=0.0.4; charset=utf-8"],
      body: .bytes(
        Array((metrics.render() + dependencies.webhooks.metrics.render() + dependencies.processMetrics()).utf8)))
  }

  // MARK: - Discovery

  private func discovery(_ request: HTTPRequest, _ path: RequestPath) async throws(APIStatus) -> HTTPResponse {
    let documents = currentDocuments
    let merged = await aggregation.merged(documents, store.current, by: dependencies.background)
    let segments = path.segments
    if segments.count == 1 {
      let isCore = segments[0] == "api"
      if Self.acceptsAggregated(request.headers["accept"]) {
        return Self.cached(
          isCore ? documents.aggregatedCore : merged?.aggregatedGroups ?? documents.aggregatedGroups,
          Discovery.aggregatedContentType, request, isPublic: true)
      }
      let groups = merged?.groupList ?? documents.discovery.groupList
      var response = try document(isCore ? documents.apiVersions : groups, request, path)
      response.headers["vary"] = "Accept"
      return response
    }
    let found: JSONValue? =
      switch (segments[0], segments.count) {
      case ("api", 2): documents.discovery.resourceList(group: "", version: segments[1])
      case ("apis", 2): merged?.group(segments[1]) ?? documents.discovery.group(segments[1])
      case ("apis", 3): documents.discovery.resourceList(group: segments[1], version: segments[2])
      default: nil
      }
    guard let found else { throw notFound(segments) }
    return try document(found, request, path)
  }

  /// Whether the first acceptable clause asks for the aggregated form in a version that is served.
  private static func acceptsAggregated(_ accept: String?) -> Bool {
    for clause in AcceptClause.clauses(accept ?? "") {
      guard clause.name == MediaType.json.rawValue || clause.name == "*/*" || clause.name == "application/*" else {
        continue
      }
      guard let name = clause.parameters["as"] else { return false }
      if name == "APIGroupDiscoveryList", clause.parameters["g"] == "apidiscovery.k8s.io",
        clause.parameters["v"] == "v2"
      {
        return true
      }
    }
    return false
  }

  /// `isPublic`: caches on the way may keep it, as only aggregated discovery says.
  private static func cached(
    _ document: Document, _ contentType: String, _ request: HTTPRequest, isPublic: Bool = false
  ) -> HTTPResponse {
    var headers: HTTPHeaders = ["content-type": contentType, "etag": document.etag, "vary": "Accept"]
    if request.headers["if-none-match"] == document.etag { return HTTPResponse(status: 304, headers: headers) }
    if isPublic { headers["cache-control"] = "public" }
    return HTTPResponse(status: 200, headers: headers, body: .bytes(document.bytes))
  }

  /// A document of one shape, in the encoding the client prefers.
  private func document(
    _ tree: JSONValue, _ request: HTTPRequest, _ path: RequestPath
  ) throws(APIStatus) -> HTTPResponse {
    let format = try OutputFormat.negotiate(
      accept: request.headers["accept"], query: path.query, userAgent: request.headers["user-agent"], shapes: false,
      isList: false, allowsProtobuf: Codec(registry: registry).encodesProtobuf(tree))
    return HTTPResponse(
      status: 200, headers: ["content-type": format.encoding.rawValue],
      body: .bytes(try Codec(registry: registry).encode(tree, format)))
  }

  // MARK: - OpenAPI

  private static let year = "public, immutable, max-age=31536000"

  private func openAPI(
    _ request: HTTPRequest, _ path: RequestPath, _ info: RequestInfo, _ user: RequestUser, _ world: any World
  ) async throws(APIStatus) -> HTTPResponse {
    let segments = path.segments
    if segments.count == 5, segments[1] == "v3", let api = try await aggregatedAPI(Array(segments.dropFirst(2))) {
      return await proxy(request, to: api, path, info, user, world)
    }
    if segments == ["openapi", "v2"] { return await openAPIVersion2(request) }
    guard segments.count >= 2, segments[1] == "v3" else { throw .unknownPath }
    let documents = await currentDocuments.openAPI(by: dependencies.background)
    let key = segments.dropFirst(2).joined(separator: "/")
    if key.isEmpty, let merged = mergedOpenAPIIndex(documents.index) {
      return Self.cached(merged, MediaType.json.rawValue, request)
    }
    guard let found = key.isEmpty ? documents.index : documents.documents[key] else { throw .unknownPath }
    let etag = "\"\(found.hash)\""
    var headers: HTTPHeaders = [
      "content-type": MediaType.json.rawValue, "etag": etag, "vary": "Accept",
    ]
    if let hash = path.query["hash"], !key.isEmpty {
      guard hash == found.hash else {
        return HTTPResponse(
          status: 301, headers: ["location": "/openapi/v3/\(key)?hash=\(found.hash)"], body: .empty)
      }
      headers["cache-control"] = Self.year
      headers["expires"] = Self.httpDate(currentTime + .seconds(365 * 86_400))
    }
    if request.headers["if-none-match"] == etag { return HTTPResponse(status: 304, headers: headers) }
    return HTTPResponse(status: 200, headers: headers, body: .bytes(found.bytes))
  }

  /// Our index with the documents of aggregated servers; nil when there are none.
  private func mergedOpenAPIIndex(_ index: OpenAPIDocuments.Document) -> Document? {
    let apis = aggregation.apis(store.current)
    guard !apis.isEmpty, var tree = try? JSONValue(parsing: index.bytes) else { return nil }
    for api in apis {
      for (key, address) in aggregation.documents(of: api).openAPI where tree["paths"][key].isNull {
        tree["paths"][key] = ["serverRelativeURL": .string(address)]
      }
    }
    return Document(tree)
  }

  private static let version2Protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"

  /// As a Content-Type: "@" is no part of a media type, and clients parse it.
  private static let version2ContentType = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

  /// kubectl before 1.29 reads this document, in protobuf, before it applies anything.
  private func openAPIVersion2(_ request: HTTPRequest) async -> HTTPResponse {
    let local = currentDocuments
    let documents = await aggregation.version2(local, store.current, by: dependencies.background)
    let isProtobuf = request.headers["accept"]?.contains(Self.version2Protobuf) == true
    return Self.cached(
      isProtobuf ? documents.protobuf : documents.json,
      isProtobuf ? Self.version2ContentType : MediaType.json.rawValue, request)
  }

  /// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7).
  static func httpDate(_ time: WallTime) -> String {
    let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let parts = time.civil
    func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let day = days[Int(((time.secondsSinceEpoch / 86_400) % 7 + 7) % 7)]
    return "\(day), \(two(parts.day)) \(months[Int(parts.month) - 1]) \(parts.year) "
      + "\(two(parts.hour)):\(two(parts.minute)):\(two(parts.second)) GMT"
  }
}
