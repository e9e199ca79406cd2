// Paths and verbs that custom resources have and lack, and the order in which discovery names them.
import APIServer
import HTTP
import JSON
import Testing

@Suite struct CustomResourcePathTests {
  private let cluster = TestServer()

  /// The reference asks the definition before it routes: what does not fit its scope is no path at all.
  @Test func whatDoesNotFitTheScopeIsNoPath() async throws {
    try await cluster.define(cronTabDefinition())
    try await cluster.define(definition(plural: "tables", kind: "Table", scope: "Cluster"))
    let all = "/apis/stable.example.com/v1/crontabs"
    for (method, path) in [
      ("POST", all), ("DELETE", all), ("GET", "\(all)/a"),
      ("GET", "/apis/stable.example.com/v1/namespaces/default/tables"),
    ] {
      let reply = try await cluster.send(method, path, method == "POST" ? cronTab("a") : nil)
      #expect(reply.status == 404 && reply.text == "404 page not found\n", "\(method) \(path): \(reply.text)")
    }
    #expect(try await cluster.get(all).status == 200)
  }

  @Test func aVerbThatASubresourceLacksIsNotSupported() async throws {
    try await cluster.define(cronTabDefinition())
    let reply = try await cluster.post("\(cronTabs)/a/status", cronTab("a"))
    #expect(reply.status == 405 && reply.reason == "MethodNotAllowed")
    #expect(reply.message == #"create is not supported on resources of kind "crontabs.stable.example.com""#)
    #expect(reply.json["details"] == ["group": "stable.example.com", "kind": "crontabs"])
  }

  @Test func discoveryNamesThemInTheReferencesOrder() async throws {
    var first = cronTabDefinition()
    first["spec"]["versions"] = .array([first["spec"]["versions"][0], version("v1beta1", storage: false)])
    try await cluster.define(first)
    let list = try await cluster.get("/apis/stable.example.com/v1").json["resources"].elements
    #expect(list.compactMap { $0["name"].string } == ["crontabs", "crontabs/status", "crontabs/scale"])
    let verbs = list[0]["verbs"].elements.compactMap(\.string)
    #expect(verbs == ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"])
    // How objects are stored is the same whatever version they are read in.
    let other = try await cluster.get("/apis/stable.example.com/v1beta1").json["resources"][0]
    #expect(other["storageVersionHash"] == list[0]["storageVersionHash"] && !other["storageVersionHash"].isNull)
  }

  /// A new object is stored without a status; what the schema says of it holds for all who read.
  @Test func aStatusByDefaultIsThatOfNewObjectsToo() async throws {
    var made = version("v1")
    made["subresources"] = ["status": [:]]
    made["schema"]["openAPIV3Schema"]["properties"]["status"] = [
      "type": "object", "default": ["phase": "Pending"], "properties": ["phase": ["type": "string"]],
    ]
    try await cluster.define(definition(versions: [made]))
    let created = try await cluster.post(cronTabs, cronTab("a"))
    #expect(created.status == 201 && created.json["status"] == ["phase": "Pending"])
    let read = try await cluster.get("\(cronTabs)/a").json
    #expect(read == created.json)
    #expect(try await cluster.get(cronTabs).json["items"][0]["status"] == ["phase": "Pending"])
    // Nobody has written it.
    #expect(read["metadata"]["managedFields"].elements.allSatisfy { $0["fieldsV1"]["f:status"].isNull })
    let replaced = try await cluster.put("\(cronTabs)/a/status", read)
    #expect(replaced.status == 200 && replaced.json["status"] == ["phase": "Pending"])
  }

  /// Authorities that nobody can read keep a definition from being served; those of one that is served stay readable.
  @Test func aDefinitionWaitsForAuthoritiesThatCanBeRead() async throws {
    var wanted = definition()
    wanted["spec"]["conversion"] = [
      "strategy": "Webhook",
      "webhook": [
        "conversionReviewVersions": ["v1"],
        "clientConfig": ["caBundle": "Cg==", "service": ["namespace": "default", "name": "example"]],
      ],
    ]
    let created = try await cluster.post(definitionsPath, wanted)
    #expect(created.status == 201, "\(created.text)")
    try await cluster.server.reconcileDefinitions()
    let name = "crontabs.stable.example.com"
    let waiting = try await cluster.condition("Established", of: name)
    #expect(waiting["status"] == "False" && waiting["reason"] == "InvalidCABundle")
    #expect(waiting["message"] == "The conversion webhook CABundle is invalid")
    let bundle: (JSONValue) -> JSONValue = { ["spec": ["conversion": ["webhook": ["clientConfig": ["caBundle": $0]]]]] }
    #expect(try await cluster.patch("\(definitionsPath)/\(name)", bundle("Cg==")).status == 200)
    #expect(try await cluster.patch("\(definitionsPath)/\(name)", bundle(.null)).status == 200)
    try await cluster.server.reconcileDefinitions()
    #expect(try await cluster.condition("Established", of: name)["status"] == "True")
    let refused = try await cluster.patch("\(definitionsPath)/\(name)", bundle("Cg=="))
    #expect(refused.status == 422 && refused.message.contains("unable to load root certificates"))
  }
}
