import APIServer
import HTTP
import JSON
import Kinds
import Schema
import Testing

@Suite struct NegotiationTests {
  @Test(arguments: [
    ("application/json", "application/json"), ("*/*", "application/json"), ("application/*", "application/json"),
    ("application/yaml", "application/yaml"),
    ("application/vnd.kubernetes.protobuf, */*", "application/vnd.kubernetes.protobuf"),
    ("application/vnd.kubernetes.protobuf,application/json", "application/vnd.kubernetes.protobuf"),
    ("application/json,application/vnd.kubernetes.protobuf", "application/json"),
    ("text/html, application/yaml;q=0.5, application/json;q=0.9", "application/json"),
    ("application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf"),
    ("application/json;charset=utf-8", "application/json"),
  ])
  func theAnswerIsWhatTheClientAccepts(accept: String, type: String) async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let reply = try await server.get("\(configMaps)/one", accept: accept)
    #expect(reply.status == 200)
    #expect(reply.headers["content-type"] == type)
  }

  @Test(arguments: [
    "text/plain", "application/cbor", "application/json;as=Nonsense;g=meta.k8s.io;v=v1",
    "application/json;g=meta.k8s.io;v=v1",
  ])
  func whatIsNotOfferedIsNotAcceptable(accept: String) async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let reply = try await server.get("\(configMaps)/one", accept: accept)
    #expect(reply.status == 406)
    #expect(reply.reason == "NotAcceptable")
    #expect(reply.message.hasPrefix("only the following media types are accepted: application/json"))
  }

  @Test func aTableHasRowsAndTypedCells() async throws {
    let server = TestServer()
    try await server.post(pods, pod("a"))
    try await server.post(pods, pod("b"))
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    let list = try await server.get("\(pods)?limit=1", accept: accept)
    #expect(list.json["kind"] == "Table")
    #expect(list.json["apiVersion"] == "meta.k8s.io/v1")
    #expect(list.headers["content-type"] == "application/json")
    #expect(list.json["rows"].elements.count == 1)
    #expect(!list.json["metadata"]["continue"].isNull)
    #expect(list.json["metadata"]["remainingItemCount"] == 1)
    let row = list.json["rows"][0]
    #expect(row["cells"].elements.count == list.json["columnDefinitions"].elements.count)
    #expect(row["cells"][0] == "a")
    #expect(row["object"]["kind"] == "PartialObjectMetadata")
    #expect(row["object"]["spec"].isNull)

    let one = try await server.get("\(pods)/a", accept: accept)
    #expect(one.json["kind"] == "Table")
    #expect(one.json["rows"].elements.count == 1)
  }

  @Test func rowsCarryAsMuchOfTheirObjectAsAsked() async throws {
    let server = TestServer()
    try await server.post(pods, pod("a"))
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    #expect(try await server.get("\(pods)?includeObject=None", accept: accept).json["rows"][0]["object"].isNull)
    #expect(
      try await server.get("\(pods)?includeObject=Object", accept: accept).json["rows"][0]["object"]["kind"] == "Pod")
    let reply = try await server.get("\(pods)?includeObject=Most", accept: accept)
    #expect(reply.status == 400)
    #expect(
      reply.message == "Unable to convert to Table as requested: includeObject: Invalid value: \"Most\": "
        + "must be 'Metadata', 'Object', 'None', or empty")
    #expect(try await server.get("\(pods)?includeObject=Most").status == 200)
  }

  /// What a client asks for by halves, or of a list what an object has, is told apart.
  @Test(arguments: [
    (
      "\(configMaps)", "PartialObjectMetadata",
      "you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)"
    ),
    (
      "\(configMaps)/one", "PartialObjectMetadataList",
      "you requested PartialObjectMetadataList, but the requested object is not a list (*core.ConfigMap)"
    ),
  ])
  func metadataOfOneIsNotThatOfMany(path: String, shape: String, message: String) async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let reply = try await server.get(path, accept: "application/json;as=\(shape);g=meta.k8s.io;v=v1,application/json")
    #expect(reply.status == 406)
    #expect(reply.message == message)
  }

  @Test func aStreamHasNoYAMLForm() async throws {
    let reply = try await TestServer().get(
      "\(configMaps)?watch=true", accept: "application/yaml;as=Table;g=meta.k8s.io;v=v1")
    #expect(reply.status == 406)
    #expect(
      reply.message == "only the following media types are accepted: application/json;stream=watch, "
        + "application/vnd.kubernetes.protobuf;stream=watch")
  }

  @Test func errorsAreNeverTables() async throws {
    let reply = try await TestServer().get("\(pods)/a", accept: "application/json;as=Table;v=v1;g=meta.k8s.io")
    #expect(reply.status == 404)
    #expect(reply.json["kind"] == "Status")
  }

  @Test func metadataAloneIsListedFromTheStoredBytes() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let list = try await server.get(
      configMaps, accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json")
    #expect(list.json["kind"] == "PartialObjectMetadataList")
    #expect(list.json["items"][0]["kind"] == "PartialObjectMetadata")
    #expect(list.json["items"][0]["metadata"] == made.json["metadata"])
    #expect(list.json["items"][0]["data"].isNull)
    let one = try await server.get(
      "\(configMaps)/one", accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
    #expect(one.json["metadata"] == made.json["metadata"])
    #expect(one.json["data"].isNull)
  }

  @Test func prettyIsForPeople() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let plain = try await server.get("\(configMaps)/one")
    let pretty = try await server.get("\(configMaps)/one?pretty=true")
    #expect(!plain.text.contains("\n"))
    #expect(pretty.text.contains("\n  \"kind\": \"ConfigMap\""))
    #expect(pretty.json == plain.json)
    let curl = try await server.send("GET", "\(configMaps)/one", nil, ["user-agent": "curl/8.0"])
    #expect(curl.text.contains("\n"))
  }

  @Test func protobufRoundTrips() async throws {
    let server = TestServer()
    let made = try await server.post(configMaps, configMap("one"))
    let response = try await server.raw(
      "GET", "\(configMaps)/one", [], ["accept": "application/vnd.kubernetes.protobuf"])
    var bytes = try await response.body.collect()
    #expect(bytes.prefix(4) == [0x6b, 0x38, 0x73, 0x00])
    try await server.delete("\(configMaps)/one")
    // A client may send the very bytes back, but for the revision: through an update of a new object.
    let again = try await server.post(configMaps, configMap("one"))
    #expect(again.status == 201)
    bytes = ProtobufEncoder.envelope(
      ["kind": "ConfigMap", "apiVersion": "v1", "metadata": ["name": "two"], "data": ["a": "1"]],
      as: server.server.registry.kind(group: "", version: "v1", resource: "configmaps")!.structure)
    let created = try await server.send(
      "POST", configMaps, bytes: bytes, ["content-type": "application/vnd.kubernetes.protobuf"])
    #expect(created.status == 201)
    #expect(created.json["data"] == made.json["data"])
  }

  @Test func deleteOptionsMayBeProtobuf() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let structure = server.server.registry.types["meta.v1.DeleteOptions"]!
    let body = ProtobufEncoder.envelope(
      ["kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"], as: structure)
    let reply = try await server.send(
      "DELETE", "\(configMaps)/one", bytes: body, ["content-type": "application/vnd.kubernetes.protobuf"])
    #expect(reply.status == 200)
  }

  @Test func aProtobufListIsTheListTypesMessage() async throws {
    let server = TestServer()
    for name in ["one", "two"] { try await server.post(configMaps, configMap(name)) }
    let response = try await server.raw(
      "GET", "\(configMaps)?limit=1", [], ["accept": "application/vnd.kubernetes.protobuf,application/json"])
    #expect(response.headers["content-type"] == "application/vnd.kubernetes.protobuf")
    let envelope = try ProtobufEnvelope(parsing: try await response.body.collect())
    #expect(envelope.kind == "ConfigMapList")
    #expect(envelope.apiVersion == "v1")
    let types = server.server.registry.types
    let element = server.server.registry.kind(group: "", version: "v1", resource: "configmaps")!.structure
    let list = Structure(name: "ConfigMapList")
    list.seal(fields: [
      Field(name: "metadata", number: 1, type: .structure(types["meta.v1.ListMeta"]!)),
      Field(name: "items", number: 2, type: .array(.structure(element))),
    ])
    list.expandInline()
    let tree = try ProtobufDecoder.decode(envelope.message, as: list)
    let json = try await server.get("\(configMaps)?limit=1").json
    #expect(tree["metadata"]["continue"].string?.isEmpty == false)
    #expect(tree["metadata"]["remainingItemCount"] == 1)
    #expect(tree["items"].elements.count == 1)
    #expect(tree["items"][0]["metadata"]["uid"] == json["items"][0]["metadata"]["uid"])
    #expect(tree["items"][0]["data"] == json["items"][0]["data"])
  }

  @Test func metadataAloneIsToBeHadInProtobuf() async throws {
    let server = TestServer()
    try await server.post(configMaps, configMap("one"))
    let accept = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    let response = try await server.raw("GET", configMaps, [], ["accept": accept])
    let envelope = try ProtobufEnvelope(parsing: try await response.body.collect())
    #expect(envelope.kind == "PartialObjectMetadataList")
    #expect(envelope.apiVersion == "meta.k8s.io/v1")
    let one = try await server.raw(
      "GET", "\(configMaps)/one", [],
      ["accept": "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"])
    let metadata = try ProtobufDecoder.decode(
      try ProtobufEnvelope(parsing: try await one.body.collect()).message,
      as: server.server.registry.types["meta.v1.PartialObjectMetadata"]!)
    #expect(metadata["metadata"]["name"] == "one")
    // Tables have no such form: the next clause is taken, or there is none.
    let table = "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1"
    #expect(try await server.get(configMaps, accept: table).status == 406)
    #expect(try await server.get(configMaps, accept: "\(table),application/json").json["kind"] == "ConfigMapList")
  }
}
