import APIServer
import HTTP
import JSON
import Kinds
import Schema
import Synchronization
import Testing

@Suite struct DiscoveryTests {
  static let aggregated =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"

  @Test func versionIsWhatKubectlChoosesItselfBy() async throws {
    let reply = try await TestServer().get("/version")
    #expect(reply.status == 200)
    #expect(reply.json["major"] == "1")
    #expect(reply.json["minor"] == "32")
    #expect(reply.json["gitVersion"].string?.hasPrefix("v1.32.") == true)
    for member in ["gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"] {
      #expect(reply.json[member].string != nil, "\(member)")
    }
  }

  @Test func theLegacyDocuments() async throws {
    let server = TestServer()
    let api = try await server.get("/api")
    #expect(api.json["kind"] == "APIVersions")
    #expect(api.json["versions"] == ["v1"])
    #expect(api.headers["vary"] == "Accept")
    let groups = try await server.get("/apis")
    #expect(groups.json["kind"] == "APIGroupList")
    #expect(groups.json["groups"][1]["name"] == "apps")
    #expect(try await server.get("/apis/apps").json["kind"] == "APIGroup")
    let core = try await server.get("/api/v1")
    #expect(core.json["kind"] == "APIResourceList")
    let eviction = core.json["resources"].elements.first { $0["name"] == "pods/eviction" }
    #expect(eviction?["group"] == "policy")
    #expect(eviction?["kind"] == "Eviction")
    #expect(try await server.get("/apis/apps/v1").json["groupVersion"] == "apps/v1")
    #expect(try await server.get("/apis/apps/v2").status == 404)
    #expect(try await server.get("/apis/none").status == 404)
  }

  @Test func theAggregatedDocumentSaysSoAndIsCached() async throws {
    let server = TestServer()
    for path in ["/api", "/apis"] {
      let reply = try await server.get(path, accept: Self.aggregated)
      #expect(
        reply.headers["content-type"] == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
      #expect(reply.json["kind"] == "APIGroupDiscoveryList")
      let etag = try #require(reply.headers["etag"])
      let again = try await server.send(
        "GET", path, nil, ["accept": Self.aggregated, "if-none-match": etag])
      #expect(again.status == 304)
      #expect(again.text.isEmpty)
    }
  }

  @Test func openAPIIsAnIndexAndDocumentsByHash() async throws {
    let server = TestServer()
    let index = try await server.get("/openapi/v3")
    let url = try #require(index.json["paths"]["apis/apps/v1"]["serverRelativeURL"].string)
    let document = try await server.get(url)
    #expect(document.status == 200)
    #expect(document.headers["cache-control"]?.contains("immutable") == true)
    #expect(document.headers["expires"]?.hasSuffix(" GMT") == true)
    #expect(document.json["openapi"].string?.hasPrefix("3.") == true)
    let old = try await server.get("/openapi/v3/apis/apps/v1?hash=ABC")
    #expect(old.status == 301)
    #expect(old.headers["location"] == url)
    let etag = try #require(document.headers["etag"])
    #expect(try await server.send("GET", url, nil, ["if-none-match": etag]).status == 304)
    #expect(try await server.get("/openapi/v3/apis/none/v1").status == 404)
  }

  /// What every reader of these documents (kubectl, client generators) takes for granted.
  @Test func everyOpenAPIDocumentIsWholeInItself() async throws {
    let server = TestServer()
    let index = try await server.get("/openapi/v3").json["paths"].object ?? [:]
    #expect(index.count > 40)
    for (name, entry) in index.map({ ($0.key, $0.value) }) {
      let reply = try await server.get(entry["serverRelativeURL"].string ?? "")
      let hash = entry["serverRelativeURL"].string?.split(separator: "=").last ?? ""
      #expect(reply.status == 200 && reply.headers["etag"]?.contains(hash) == true, "\(name)")
      let schemas = Set((reply.json["components"]["schemas"].object ?? [:]).map(\.key))
      for reference in references(reply.json) { #expect(schemas.contains(reference), "\(name): \(reference)") }
      var operations: Set<String> = []
      for path in reply.json["paths"].object ?? [:] {
        let shared = path.value["parameters"].elements
        for operation in path.value.object ?? [:] where operation.key != "parameters" {
          let what = "\(name): \(operation.key) \(path.key)"
          let id = operation.value["operationId"].string ?? ""
          #expect(!id.isEmpty && operations.insert(id).inserted, "\(what): \(id)")
          let parameters = shared + operation.value["parameters"].elements
          let places = parameters.map { "\($0["in"].string ?? "")/\($0["name"].string ?? "")" }
          #expect(Set(places).count == places.count, "\(what)")
          let named = path.key.split(separator: "{").dropFirst().map { "path/\($0.prefix { $0 != "}" })" }
          #expect(Set(places.filter { $0.hasPrefix("path/") }) == Set(named), "\(what)")
          for parameter in parameters {
            #expect(!parameter["schema"].isNull && (parameter["in"] != "path" || parameter["required"] == true))
          }
          #expect(!operation.value["responses"].isNull && !operation.value["tags"].isNull, "\(what)")
          // What is done to which kind; documents of groups and of the API itself have neither.
          guard name == "api/v1" || name.split(separator: "/").count == 3, path.key != "/\(name)/" else { continue }
          guard name.hasPrefix("api") else { continue }
          let kind = operation.value["x-kubernetes-group-version-kind"]
          #expect(!(kind["kind"].string ?? "").isEmpty && !(kind["version"].string ?? "").isEmpty, "\(what)")
          #expect(!(operation.value["x-kubernetes-action"].string ?? "").isEmpty, "\(what)")
        }
      }
    }
  }

  /// The schemas that a document refers to. A property may be called "$ref" too: then it is no text.
  private func references(_ value: JSONValue) -> Set<String> {
    var found: Set<String> = []
    switch value {
    case .object(let members):
      for member in members {
        if member.key == "$ref", let text = member.value.string {
          found.insert(String(text.dropFirst("#/components/schemas/".count)))
        } else {
          found.formUnion(references(member.value))
        }
      }
    case .array(let items): for item in items { found.formUnion(references(item)) }
    default: break
    }
    return found
  }

  /// Work that waits until it is told to begin.
  private final class HeldWork: BackgroundWork {
    let waiting = Mutex<[@Sendable () -> Void]>([])
    func perform(_ body: @escaping @Sendable () -> Void) { waiting.withLock { $0.append(body) } }
    func runAll() -> Int {
      let bodies = waiting.withLock { waiting in
        defer { waiting = [] }
        return waiting
      }
      for body in bodies { body() }
      return bodies.count
    }
  }

  /// Documents of hundreds of definitions take long: nobody's requests wait for them but those that ask for them, and
  /// they are made once for all who do.
  @Test func documentsAreMadeInTheBackground() async throws {
    let work = HeldWork()
    let cluster = TestServer { $0.background = work }
    try await withThrowingTaskGroup(of: Int.self) { group in
      for path in ["/openapi/v2", "/openapi/v2", "/openapi/v3", "/openapi/v3/apis/apps/v1", "/openapi/v3"] {
        group.addTask { try await cluster.get(path).status }
      }
      while work.waiting.withLock({ $0.isEmpty }) { await Task.yield() }
      #expect(try await cluster.get("/api/v1/namespaces").status == 200)
      let feeding = Task {
        var count = 0
        while !Task.isCancelled {
          count += work.runAll()
          await Task.yield()
        }
        return count
      }
      for try await status in group { #expect(status == 200) }
      feeding.cancel()
      // Version 3, and version 2 made of it.
      #expect(await feeding.value == 2)
    }
  }

  @Test func theRootListsPaths() async throws {
    let paths = try await TestServer().get("/").json["paths"].elements.compactMap(\.string)
    #expect(paths.contains("/api/v1"))
    #expect(paths.contains("/apis/apps/v1"))
    #expect(paths.contains("/version"))
  }

  @Test func everyKindThatCanBeListedIsListed() async throws {
    let server = TestServer()
    for kind in server.server.registry.kinds where kind.verbs.contains(.list) {
      let prefix = kind.kind.group.isEmpty ? "/api" : "/apis/\(kind.kind.group)"
      for accept in ["application/json", "application/json;as=Table;v=v1;g=meta.k8s.io"] {
        let reply = try await server.get("\(prefix)/\(kind.kind.version)/\(kind.resource)", accept: accept)
        #expect(reply.status == 200, "\(kind.kind)")
      }
    }
  }

  @Test func metricsCountRequests() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let reply = try await server.get("/metrics")
    #expect(reply.headers["content-type"]?.hasPrefix("text/plain") == true)
    let place = #"group="",version="v1",resource="configmaps",subresource="",scope="resource",component="apiserver""#
    #expect(reply.text.contains(#"apiserver_request_total{verb="POST",dry_run="",\#(place),code="201"} 1"#))
    for line in [
      "# TYPE apiserver_request_duration_seconds histogram",
      #"apiserver_request_sli_duration_seconds_bucket{verb="POST",\#(place),le="1"} 1"#,
      #"apiserver_storage_objects{resource="configmaps"} 1"#,
      #"kubernetes_build_info{major="1",minor="32",git_version="v1.32"#,
      #"etcd_request_duration_seconds_count{operation="create",type="configmaps"} 1"#,
    ] {
      #expect(reply.text.contains(line), "\(line)")
    }
  }

  @Test func metricsNameRequestsAsTheirMethodsAndScopes() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    _ = try await server.get(configMaps)
    _ = try await server.get("/api/v1/configmaps")
    _ = try await server.patch(
      "\(configMaps)/one?fieldManager=m&dryRun=All", configMap("one"), "apply-patch+yaml")
    try await server.delete("\(configMaps)/one")
    let text = try await server.get("/metrics").text
    func counts(_ verb: String, _ scope: String, dryRun: String = "", code: Int = 200) -> Bool {
      text.contains(
        #"apiserver_request_total{verb="\#(verb)",dry_run="\#(dryRun)",group="",version="v1",resource="configmaps","#
          + #"subresource="",scope="\#(scope)",component="apiserver",code="\#(code)"} 1"#)
    }
    #expect(counts("LIST", "namespace") && counts("LIST", "cluster") && counts("DELETE", "resource"))
    #expect(counts("APPLY", "resource", dryRun: "All"))
  }

  @Test func theOldDocumentHoldsEveryKind() async throws {
    let server = TestServer()
    let reply = try await server.get("/openapi/v2")
    #expect(reply.json["swagger"] == "2.0")
    // Every type and every field says what it is for.
    for (name, definition) in reply.json["definitions"].object ?? [:] {
      #expect(!(definition["description"].string ?? "").isEmpty, "\(name)")
      for (field, schema) in definition["properties"].object ?? [:] {
        #expect(!(schema["description"].string ?? "").isEmpty, "\(name).\(field)")
      }
    }
    let pod = reply.json["definitions"]["io.k8s.api.core.v1.Pod"]
    #expect(pod["properties"]["spec"]["$ref"] == "#/definitions/io.k8s.api.core.v1.PodSpec")
    #expect(pod["x-kubernetes-group-version-kind"] == [["group": "", "kind": "Pod", "version": "v1"]])
    let read = reply.json["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]
    #expect(read["get"]["operationId"] == "readAppsV1NamespacedDeployment")
    #expect(read["get"]["responses"]["200"]["schema"]["$ref"] == "#/definitions/io.k8s.api.apps.v1.Deployment")
    #expect(read["get"]["tags"] == ["apps_v1"])
    #expect(read["put"]["parameters"][0]["in"] == "body")
    #expect(read["parameters"].elements.contains { $0["name"] == "namespace" && $0["type"] == "string" })
    let quantity = reply.json["definitions"]["io.k8s.apimachinery.pkg.api.resource.Quantity"]
    #expect(quantity["type"] == "string")
    #expect(quantity["oneOf"].isNull)
    // Several groups share one DeleteOptions.
    let options = reply.json["definitions"]["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"]
    let kinds = options["x-kubernetes-group-version-kind"].elements
    #expect(kinds.count == 61 && kinds[0] == ["group": "", "kind": "DeleteOptions", "version": "v1"])
    let event = reply.json["definitions"]["io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent"]
    #expect(event["x-kubernetes-group-version-kind"].elements.count == 61)
    #expect(!reply.text.contains("#/components/schemas/"))
    let etag = try #require(reply.headers["etag"])
    #expect(try await server.send("GET", "/openapi/v2", nil, ["if-none-match": etag]).status == 304)

    let accept = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
    let binary = try await server.raw("GET", "/openapi/v2", [], ["accept": accept])
    #expect(binary.headers["content-type"] == "application/com.github.proto-openapi.spec.v2.v1.0+protobuf")
    let bytes = try await binary.body.collect()
    #expect(bytes.prefix(5) == [0x0a, 3, 0x32, 0x2e, 0x30], "1: swagger 2.0")
    #expect(bytes.count > 500_000)
  }
}
