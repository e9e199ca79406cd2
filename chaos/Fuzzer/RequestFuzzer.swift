// Requests that a server must bear: valid ones of every kind, changed a little or a lot. The seed decides everything.
import HTTP
import JSON
import Kinds
import Schema

public struct RequestFuzzer: Sendable {
  public let seed: UInt64
  private let registry: KindRegistry
  private let targets: [Target]

  /// A kind with where it is served.
  struct Target: Sendable {
    var sample: FuzzSample
    var resource: String
    var isNamespaced: Bool
    var subresources: [String]
    var descriptor: KindDescriptor?
    var mutation: TreeMutation { TreeMutation(structure: descriptor?.structure) }

    var root: String { sample.group.isEmpty ? "/api/v1" : "/apis/\(sample.group)/\(sample.version)" }
    var apiVersion: String { sample.group.isEmpty ? sample.version : "\(sample.group)/\(sample.version)" }
    func collection(_ namespace: String) -> String {
      isNamespaced ? "\(root)/namespaces/\(namespace)/\(resource)" : "\(root)/\(resource)"
    }
  }

  public static let namespaces = ["fuzz-a", "fuzz-b"]
  /// Objects of a kind: few, so that requests meet.
  private static let names = (0..<6).map { "fuzz-\($0)" }

  public init(seed: UInt64, registry: KindRegistry = .builtIn) {
    self.seed = seed
    self.registry = registry
    targets = FuzzSample.all.map { sample in
      guard let kind = registry.kind(GroupVersionKind(group: sample.group, version: sample.version, kind: sample.kind))
      else {
        return Target(
          sample: sample, resource: "widgets", isNamespaced: true, subresources: ["status", "scale"], descriptor: nil)
      }
      return Target(
        sample: sample, resource: kind.resource, isNamespaced: kind.isNamespaced,
        subresources: kind.subresources.map(\.name), descriptor: kind)
    }
  }

  /// Served kinds that have no sample: none should be left out.
  public var kindsWithoutSample: [String] {
    let sampled = Set(targets.compactMap { $0.descriptor?.kind })
    return registry.kinds.map(\.kind).filter { !sampled.contains($0) && $0.kind != "ComponentStatus" }.map(
      \.description)
  }

  /// What has to be there before a run: namespaces, their service accounts, a custom resource.
  public var preparation: [FuzzRequest] {
    var requests: [FuzzRequest] = []
    func post(_ path: String, _ object: JSONValue) {
      requests.append(FuzzRequest("POST", path, ["content-type": "application/json"], object.bytes))
    }
    for namespace in Self.namespaces {
      post("/api/v1/namespaces", ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(namespace)]])
      post(
        "/api/v1/namespaces/\(namespace)/serviceaccounts",
        ["apiVersion": "v1", "kind": "ServiceAccount", "metadata": ["name": "default"]])
    }
    requests += bounds
    var definition = FuzzSample.widgetDefinition.object
    definition["apiVersion"] = "apiextensions.k8s.io/v1"
    definition["kind"] = "CustomResourceDefinition"
    post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)
    return requests
  }

  /// Limits of the namespaces, as an operator sets them for tenants that he does not trust: a ReplicaSet may well ask for
  /// two thousand million pods, and memory would grow as it was asked to. Requests of the run may delete them: they are made
  /// again and again.
  public var bounds: [FuzzRequest] {
    let hard: JSONValue = [
      "count/pods": "500", "count/replicasets.apps": "200", "count/controllerrevisions.apps": "200",
      "count/jobs.batch": "200", "count/persistentvolumeclaims": "200",
    ]
    let quota: JSONValue = [
      "apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "bounds"], "spec": ["hard": hard],
    ]
    return Self.namespaces.map { namespace in
      FuzzRequest(
        "POST", "/api/v1/namespaces/\(namespace)/resourcequotas", ["content-type": "application/json"], quota.bytes)
    }
  }

  /// Every kind created once as it is: a run that cannot do that tests nothing.
  public func plainCreates() -> [FuzzRequest] {
    // A Binding needs its pod.
    targets.filter { $0.sample.kind != "Binding" }.map { target in
      var headers: HTTPHeaders = ["content-type": "application/json"]
      headers["accept"] = "application/json"
      let name = target.sample.kind == "CustomResourceDefinition" ? "others.other.trireme.dev" : Self.plainName(target)
      let object = self.object(of: target, name: name)
      return FuzzRequest("POST", target.collection(Self.namespaces[0]) + "?dryRun=All", headers, object.bytes)
    }
  }

  private static func plainName(_ target: Target) -> String {
    target.sample.kind == "APIService" ? "v1.fuzz.example.com" : "plain"
  }

  // MARK: Cases

  public func make(_ number: Int) -> FuzzCase {
    var random = FuzzRandom(seed: seed, case: number)
    let target = random.pick(targets)
    switch random.below(100) {
    case 0..<30: return create(number, target, &random)
    case 30..<42: return replace(number, target, &random)
    case 42..<62: return patch(number, target, &random)
    case 62..<74: return edit(number, target, &random)
    case 74..<86: return read(number, target, &random)
    case 86..<92: return delete(number, target, &random)
    case 92..<96: return stray(number, target, &random)
    default: return bomb(number, &random)
    }
  }

  /// Changes the object that was read, for the second request of an edit.
  public func changed(_ object: [UInt8], number: Int, request: FuzzRequest) -> FuzzRequest? {
    guard var tree = try? JSONValue(parsing: object), tree.object != nil else { return nil }
    var random = FuzzRandom(seed: seed ^ 0x5bd1_e995, case: number)
    let kind = registry.kind(apiVersion: tree["apiVersion"].string ?? "", kind: tree["kind"].string ?? "")
    if random.percent(85) { _ = TreeMutation(structure: kind?.structure).mutate(&tree, &random) }
    var request = request
    let body = self.body(tree, kind?.structure, &random)
    request.body = body.bytes
    request.headers["content-type"] = body.contentType
    return request
  }

  private func name(_ target: Target, _ random: inout FuzzRandom) -> String {
    switch target.sample.kind {
    case "CustomResourceDefinition" where random.percent(90): return "others.other.trireme.dev"
    case "APIService" where random.percent(90): return "v1.fuzz.example.com"
    default: return random.percent(95) ? random.pick(Self.names) : FuzzValues.text(&random)
    }
  }

  private func object(of target: Target, name: String) -> JSONValue {
    var object = target.sample.object
    object["apiVersion"] = .string(target.apiVersion)
    object["kind"] = .string(target.sample.kind)
    if target.sample.isNamed { object["metadata"]["name"] = .string(name) }
    return object
  }

  private func create(_ number: Int, _ target: Target, _ random: inout FuzzRandom) -> FuzzCase {
    let namespace = random.pick(Self.namespaces)
    let name = name(target, &random)
    var object = object(of: target, name: name)
    var told = ["create \(target.sample.kind)"]
    if random.percent(75) { told += target.mutation.mutate(&object, &random) }
    if random.percent(5) {
      object["metadata"]["name"] = .null
      object["metadata"]["generateName"] = .string("gen-")
    }
    let body = body(object, target.descriptor?.structure, &random)
    told += body.told
    var path = target.collection(namespace)
    if !target.subresources.isEmpty, random.percent(8) {
      path += "/\(escaped(name))/\(random.pick(target.subresources + ["token", "eviction", "binding"]))"
    }
    return finish(number, target, "POST", path, body, told, objectPath: "\(path)/\(escaped(name))", &random)
  }

  private func replace(_ number: Int, _ target: Target, _ random: inout FuzzRandom) -> FuzzCase {
    let path = itemPath(target, &random)
    let name = String(path.split(separator: "/").last ?? "")
    var object = object(of: target, name: name)
    var told = ["replace \(target.sample.kind)"]
    if random.percent(75) { told += target.mutation.mutate(&object, &random) }
    let body = body(object, target.descriptor?.structure, &random)
    told += body.told
    let place = path + subresource(target, &random)
    return finish(number, target, "PUT", place, body, told, objectPath: place, &random)
  }

  private func patch(_ number: Int, _ target: Target, _ random: inout FuzzRandom) -> FuzzCase {
    let path = itemPath(target, &random)
    let sample = object(of: target, name: String(path.split(separator: "/").last ?? ""))
    let made = PatchMaker(sample: sample, mutation: target.mutation).make(&random)
    var body = Body(bytes: made.body.bytes, contentType: made.contentType, told: [made.told])
    if made.contentType == "application/apply-patch+yaml", random.percent(40) { body.bytes = YAML.bytes(made.body) }
    if random.percent(15) { body.told.append(ByteMutation.mutate(&body.bytes, &random)) }
    if random.percent(4) { body.contentType = random.pick(Self.contentTypes) }
    let place = path + subresource(target, &random)
    var query = ""
    if made.contentType == "application/apply-patch+yaml", random.percent(95) {
      query = "fieldManager=\(random.pick(["fuzz", "other", "x"]))\(random.percent(60) ? "&force=true" : "")"
    }
    return finish(
      number, target, "PATCH", place, body, ["patch \(target.sample.kind)"] + body.told, objectPath: place,
      query: query,
      &random)
  }

  private func edit(_ number: Int, _ target: Target, _ random: inout FuzzRandom) -> FuzzCase {
    let place = itemPath(target, &random) + subresource(target, &random)
    var query = parameters(&random)
    if !target.sample.isStored { query.append("dryRun=All") }
    let read = FuzzRequest("GET", place, ["accept": "application/json"])
    let write = FuzzRequest("PUT", joined(place, query), ["accept": "application/json"])
    return FuzzCase(
      number: number, flow: .edit(read: read, write: write), told: "edit \(target.sample.kind)",
      objectPath: target.sample.isStored ? place : "")
  }

  private func read(_ number: Int, _ target: Target, _ random: inout FuzzRandom) -> FuzzCase {
    var query = parameters(&random)
    var path: String
    switch random.below(10) {
    case 0, 1, 2: path = itemPath(target, &random) + subresource(target, &random)
    case 3: path = "\(target.root)/\(target.resource)"
    case 4:
      path = target.collection(random.pick(Self.namespaces))
      query += ["watch=true", "timeoutSeconds=1"]
    case 5: path = "\(target.root)/watch/\(target.resource)"
    case 6: path = nonResourcePath(&random)
    default: path = target.collection(random.pick(Self.namespaces))
    }
    if path.contains("/watch/") { query.append("timeoutSeconds=1") }
    // A watch that lasts is no fault: those that a parameter makes end by themselves.
    if query.contains(where: { $0.hasPrefix("watch=") || $0.hasPrefix("follow") }) {
      query.removeAll { $0.hasPrefix("timeoutSeconds") }
      query.append("timeoutSeconds=1")
    }
    let request = FuzzRequest(random.percent(6) ? "HEAD" : "GET", joined(path, query), headers(&random))
    return FuzzCase(number: number, flow: .single(request), told: "read \(target.sample.kind)")
  }

  private func delete(_ number: Int, _ target: Target, _ random: inout FuzzRandom) -> FuzzCase {
    var options: JSONValue = [
      "apiVersion": .string(random.pick(["v1", "meta.k8s.io/v1", target.apiVersion])), "kind": "DeleteOptions",
      "gracePeriodSeconds": 0,
    ]
    if random.percent(40) {
      options["propagationPolicy"] = .string(random.pick(["Background", "Orphan", "Foreground", "x"]))
    }
    if random.percent(15) { options["preconditions"] = ["uid": "u"] }
    var told = "delete \(target.sample.kind)"
    if random.percent(30) { told += TreeMutation(structure: nil).mutate(&options, &random).joined() }
    var body = Body(bytes: random.percent(70) ? options.bytes : [], contentType: "application/json", told: [told])
    if random.percent(10) { body.told.append(ByteMutation.mutate(&body.bytes, &random)) }
    let isCollection = random.percent(15) && target.isNamespaced
    let path = isCollection ? target.collection(random.pick(Self.namespaces)) : itemPath(target, &random)
    return finish(number, target, "DELETE", path, body, body.told, objectPath: "", &random)
  }

  /// Requests that fit nothing.
  private func stray(_ number: Int, _ target: Target, _ random: inout FuzzRandom) -> FuzzCase {
    let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "CONNECT"]
    var path = random.pick([
      itemPath(target, &random), target.collection("fuzz-a"), nonResourcePath(&random),
      "\(target.root)/namespaces/fuzz-a/\(target.resource)/a/b/c/d", "\(target.root)/\(target.resource)/fuzz-0",
      "/apis/\(target.sample.group)/v9/\(target.resource)", "/api/v1/namespaces/\(target.resource)",
    ])
    switch random.below(6) {
    case 0: path += "/.."
    case 1: path += "/%2e%2e%2f%2e%2e"
    case 2: path = "/" + path
    case 3: path += "%00"
    case 4: path += "/" + String(repeating: "a", count: random.pick([300, 5000, 20_000]))
    default: path += "/"
    }
    let object = object(of: target, name: "fuzz-0")
    let request = FuzzRequest(
      random.pick(methods), joined(path, parameters(&random) + ["dryRun=All"]), headers(&random),
      random.percent(50) ? object.bytes : [])
    return FuzzCase(number: number, flow: .single(request), told: "stray")
  }

  private func bomb(_ number: Int, _ random: inout FuzzRandom) -> FuzzCase {
    let bomb = ByteMutation.bomb(&random)
    var headers: HTTPHeaders = ["content-type": bomb.contentType, "accept": "application/json"]
    if random.percent(10) { headers["content-encoding"] = "gzip" }
    var request = FuzzRequest("POST", "/api/v1/namespaces/fuzz-a/configmaps", headers, bomb.body)
    if random.percent(40) {
      request.method = random.pick(["PUT", "PATCH"])
      request.target += "/fuzz-0"
      if request.method == "PATCH" {
        request.headers["content-type"] = random.pick(PatchTypes.all)
        request.target += "?fieldManager=fuzz"
      }
    }
    return FuzzCase(number: number, flow: .single(request), told: "bomb: \(bomb.name)")
  }

  // MARK: Parts

  struct Body {
    var bytes: [UInt8]
    var contentType: String
    var told: [String]
  }

  private enum PatchTypes {
    static let all = [
      "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
      "application/apply-patch+yaml",
    ]
  }

  private static let contentTypes =
    PatchTypes.all + [
      "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "application/cbor", "text/plain",
      "application/json; charset=utf-8", "application/json;;;", "/", "*/*", "application/x-www-form-urlencoded", "json",
      "application/apply-patch+cbor",
    ]

  /// An object in one of the encodings, its bytes changed now and then.
  private func body(_ object: JSONValue, _ structure: Structure?, _ random: inout FuzzRandom) -> Body {
    var body: Body
    switch random.below(10) {
    case 0, 1: body = Body(bytes: YAML.bytes(object), contentType: "application/yaml", told: ["YAML"])
    case 2, 3, 4:
      guard let structure else { fallthrough }
      let bytes = ProtobufEncoder.envelope(object, as: structure)
      body = Body(bytes: bytes, contentType: "application/vnd.kubernetes.protobuf", told: ["protobuf"])
    default: body = Body(bytes: object.bytes, contentType: "application/json", told: [])
    }
    if random.percent(20) { body.told.append(ByteMutation.mutate(&body.bytes, &random)) }
    if random.percent(3) {
      body.contentType = random.pick(Self.contentTypes)
      body.told.append("as \(body.contentType)")
    }
    return body
  }

  private func finish(
    _ number: Int, _ target: Target, _ method: String, _ path: String, _ body: Body, _ told: [String],
    objectPath: String, query: String = "", _ random: inout FuzzRandom
  ) -> FuzzCase {
    var parameters = parameters(&random)
    if !query.isEmpty { parameters.append(query) }
    if !target.sample.isStored {
      parameters.removeAll { $0.hasPrefix("dryRun") }
      parameters.append("dryRun=All")
    }
    var headers = headers(&random)
    if random.percent(98) { headers["content-type"] = body.contentType }
    let isDryRun = parameters.contains { $0.hasPrefix("dryRun") }
    return FuzzCase(
      number: number, flow: .single(FuzzRequest(method, joined(path, parameters), headers, body.bytes)),
      told: told.joined(separator: "; "), objectPath: isDryRun ? "" : objectPath)
  }

  private func itemPath(_ target: Target, _ random: inout FuzzRandom) -> String {
    "\(target.collection(random.pick(Self.namespaces)))/\(escaped(name(target, &random)))"
  }

  private func subresource(_ target: Target, _ random: inout FuzzRandom) -> String {
    guard random.percent(20) else { return "" }
    let unsafe: Set<String> = ["exec", "attach", "portforward", "proxy"]
    let all = target.subresources.filter { !unsafe.contains($0) } + ["status", "scale"]
    return "/" + random.pick(all)
  }

  private func nonResourcePath(_ random: inout FuzzRandom) -> String {
    random.pick([
      "/", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1", "/version", "/version/", "/openapi/v2",
      "/openapi/v3",
      "/openapi/v3/apis/apps/v1", "/metrics", "/livez", "/readyz?verbose", "/livez/ping", "/readyz?exclude=ping",
      "/.well-known/openid-configuration", "/openid/v1/jwks", "/logs", "/debug/pprof", "/trireme/status", "/apis/x",
      "/api/v2",
    ])
  }

  private func headers(_ random: inout FuzzRandom) -> HTTPHeaders {
    var headers: HTTPHeaders = [:]
    headers["accept"] =
      random.percent(60)
      ? "application/json"
      : random.pick([
        "application/yaml", "application/vnd.kubernetes.protobuf",
        "application/vnd.kubernetes.protobuf,application/json",
        "application/json;as=Table;v=v1;g=meta.k8s.io", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json", "*/*",
        "text/html",
        "application/json;as=Table;v=v9;g=x", "application/json;stream=watch", ";;;,,,", "application/cbor",
        "application/json;q=0",
      ])
    if random.percent(10) {
      headers["user-agent"] = random.pick(["", "kubectl/v1.32.4 (linux/amd64)", "Mozilla/5.0", "é/1"])
    }
    if random.percent(5) { headers["accept-encoding"] = random.pick(["gzip", "gzip;q=0", "br, gzip", "identity"]) }
    if random.percent(3) { headers["content-encoding"] = "gzip" }
    if random.percent(3) { headers["audit-id"] = String(repeating: "a", count: 300) }
    if random.percent(3) { headers["impersonate-user"] = random.pick(["", "u", "system:anonymous", "system:node:n"]) }
    if random.percent(2) { headers["impersonate-group"] = random.pick(["system:masters", ""]) }
    if random.percent(1) { headers["impersonate-extra-%%"] = "x" }
    if random.percent(2) { headers["x-remote-user"] = "root" }
    return headers
  }

  private func parameters(_ random: inout FuzzRandom) -> [String] {
    guard random.percent(45) else { return [] }
    return (0...random.below(3)).map { _ in
      let name = random.pick([
        "limit", "continue", "resourceVersion", "resourceVersionMatch", "labelSelector", "fieldSelector",
        "fieldManager",
        "fieldValidation", "fieldValidation", "dryRun", "pretty", "timeoutSeconds", "timeout", "watch",
        "sendInitialEvents",
        "allowWatchBookmarks", "gracePeriodSeconds", "propagationPolicy", "orphanDependents", "force", "includeObject",
        "container", "follow", "tailLines", "%zz",
      ])
      return "\(name)=\(escaped(parameter(name, &random)))"
    }
  }

  private func parameter(_ name: String, _ random: inout FuzzRandom) -> String {
    if random.percent(15) { return FuzzValues.text(&random) }
    switch name {
    case "limit", "timeoutSeconds", "gracePeriodSeconds", "tailLines":
      return random.pick(["0", "1", "2", "500", "-1", "9223372036854775807", "9223372036854775808", "1.5", ""])
    case "resourceVersion":
      return random.pick(["0", "1", "5", "-1", "", "00", "18446744073709551615", "99999999999999999999"])
    case "resourceVersionMatch": return random.pick(["Exact", "NotOlderThan", "exact"])
    case "continue":
      return random.pick([
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiJhIn0", "eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ", "!!!", "e30",
        "W10",
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6LTEsInN0YXJ0IjoiLi4vLi4vIn0",
      ])
    case "labelSelector":
      return random.pick([
        "app=a", "app in (a,b)", "app notin (a", "!app", "app==a,,b", "a>1", "a=é", "x in ()", "=", "app,app!=b",
        String(repeating: "a=b,", count: 2000) + "a=b",
      ])
    case "fieldSelector":
      return random.pick([
        "metadata.name=fuzz-0", "metadata.namespace!=fuzz-a", "spec.nodeName=", "status.phase=Running", "a.b=c",
        "metadata.name",
        "type=Opaque,type!=x", "\\", "metadata.name=a\\,b", "spec.colour=red",
      ])
    case "fieldValidation": return random.pick(["Strict", "Warn", "Ignore", "strict"])
    case "dryRun": return random.pick(["All", "All", "all", ""])
    case "propagationPolicy": return random.pick(["Background", "Foreground", "Orphan", "None"])
    case "timeout": return random.pick(["1s", "0", "-1s", "1ns", "9999h", "x"])
    default: return random.pick(["true", "false", "1", "0", "", "yes", "None", "Metadata", "Object"])
    }
  }

  private func joined(_ path: String, _ query: [String]) -> String {
    query.isEmpty ? path : path + (path.contains("?") ? "&" : "?") + query.joined(separator: "&")
  }

  /// One segment or value, percent-encoded.
  private func escaped(_ text: String) -> String {
    let encoded = RequestTarget(segments: [text]).encoded.dropFirst()
    return encoded.contains("?") || encoded.contains("&") ? "x" : String(encoded)
  }
}
