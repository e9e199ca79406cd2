// Custom resources on the machinery of built-in kinds: defined, served, stored, changed, removed.
import APIServer
import HTTP
import JSON
import Kinds
import Replica
import Testing

@Suite struct CustomResourceTests {
  let cluster = TestServer()

  // MARK: - Definitions

  @Test func aDefinitionIsEstablishedAndItsKindIsServed() async throws {
    // Given nothing of that group,
    #expect(try await cluster.get(cronTabs).status == 404)
    // when a definition is created,
    let created = try await cluster.post(definitionsPath, cronTabDefinition())
    #expect(created.status == 201)
    #expect(created.json["spec"]["names"]["listKind"] == "CronTabList")
    #expect(created.json["spec"]["conversion"]["strategy"] == "None")
    #expect(created.json["status"]["storedVersions"] == ["v1"])
    // it is not served before it is established.
    #expect(try await cluster.get(cronTabs).status == 404)
    try await cluster.server.reconcileDefinitions()
    let name = "crontabs.stable.example.com"
    let accepted = try await cluster.condition("NamesAccepted", of: name)
    #expect(accepted["status"] == "True")
    #expect(accepted["reason"] == "NoConflicts")
    #expect(accepted["message"] == "no conflicts found")
    let established = try await cluster.condition("Established", of: name)
    #expect(established["status"] == "True")
    #expect(established["reason"] == "InitialNamesAccepted")
    #expect(established["message"] == "the initial names have been accepted")
    let names = try await cluster.get("\(definitionsPath)/\(name)").json["status"]["acceptedNames"]
    #expect(names["plural"] == "crontabs" && names["kind"] == "CronTab" && names["shortNames"] == ["ct"])
    // Then objects of it can be created, read, listed and deleted.
    let object = try await cluster.post(cronTabs, cronTab("a"))
    #expect(object.status == 201, "\(object.text)")
    #expect(object.json["metadata"]["generation"] == 1)
    #expect(try await cluster.get("\(cronTabs)/a").json == object.json)
    #expect(try await cluster.send("HEAD", "\(cronTabs)/a").status == 200)
    let list = try await cluster.get(cronTabs)
    #expect(list.json["kind"] == "CronTabList")
    #expect(list.names == ["a"])
    let deleted = try await cluster.delete("\(cronTabs)/a")
    #expect(deleted.json["status"] == "Success")
    #expect(deleted.json["details"]["kind"] == "crontabs")
    #expect(try await cluster.get("\(cronTabs)/a").message == "crontabs.stable.example.com \"a\" not found")
  }

  @Test func discoveryAndOpenAPIDescribeIt() async throws {
    try await cluster.define(cronTabDefinition())
    let list = try await cluster.get("/apis/stable.example.com/v1")
    let resource = list.json["resources"].elements.first { $0["name"] == "crontabs" }
    #expect(resource?["shortNames"] == ["ct"] && resource?["categories"] == ["all"])
    #expect(list.json["resources"].elements.compactMap { $0["name"].string }.count == 3)
    let groups = try await cluster.get(
      "/apis", accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
    #expect(groups.json["items"].elements.last?["metadata"]["name"] == "stable.example.com")
    let index = try await cluster.get("/openapi/v3")
    let address = try #require(index.json["paths"]["apis/stable.example.com/v1"]["serverRelativeURL"].string)
    let schemas = try await cluster.get(address).json["components"]["schemas"]
    let schema = schemas["com.example.stable.v1.CronTab"]
    #expect(schema["properties"]["spec"]["properties"]["replicas"]["maximum"] == 10)
    #expect(!schema["properties"]["metadata"].isNull)
    #expect(schema["x-kubernetes-group-version-kind"][0]["kind"] == "CronTab")
    // What every object has is described as it is of built-in kinds, a reference standing alone.
    for member in ["apiVersion", "kind", "metadata"] {
      #expect(schema["properties"][member]["description"].string?.isEmpty == false, "\(member)")
    }
    #expect(
      schema["properties"]["metadata"]["allOf"][0]["$ref"]
        == "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
  }

  @Test func openAPIDescribesObjectsWithinObjects() async throws {
    let inner: JSONValue = [
      "type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true,
    ]
    let schema: JSONValue = ["type": "object", "properties": ["spec": ["type": "array", "items": inner]]]
    try await cluster.define(definition(versions: [version("v1", schema: schema)]))
    let anything: JSONValue = ["type": "object", "x-kubernetes-preserve-unknown-fields": true]
    try await cluster.define(definition(plural: "bags", kind: "Bag", versions: [version("v1", schema: anything)]))
    let index = try await cluster.get("/openapi/v3")
    let address = try #require(index.json["paths"]["apis/stable.example.com/v1"]["serverRelativeURL"].string)
    let schemas = try await cluster.get(address).json["components"]["schemas"]
    let items = schemas["com.example.stable.v1.CronTab"]["properties"]["spec"]["items"]
    #expect(items["required"] == ["kind", "apiVersion"])
    #expect(items["properties"].object?.keys.sorted() == ["apiVersion", "kind", "metadata"])
    // Version 2, which kubectl checks objects by, says nothing of a kind that may hold anything.
    let bag = try await cluster.get("/openapi/v2").json["definitions"]["com.example.stable.v1.Bag"]
    #expect(bag.object?.keys.sorted() == ["type", "x-kubernetes-group-version-kind"] && bag["type"] == "object")
  }

  @Test func whoeverIsRefusedIsToldOfADeprecatedVersion() async throws {
    var old = version("v1")
    old["deprecated"] = true
    try await cluster.define(definition(versions: [old]))
    let told = #"299 - "stable.example.com/v1 CronTab is deprecated""#
    #expect(try await cluster.post(cronTabs, cronTab("a")).headers.values("warning") == [told])
    let wrong = try await cluster.post(cronTabs, cronTab("b", ["cronSpec": "x", "replicas": 99]))
    #expect(wrong.status == 422 && wrong.headers.values("warning") == [told])
    #expect(try await cluster.get("\(cronTabs)/none").headers.values("warning") == [told])
  }

  @Test func namesThatAreInUseAreNotAccepted() async throws {
    try await cluster.define(cronTabDefinition())
    var other = definition(plural: "tables", kind: "Table", names: ["shortNames": ["ct"]])
    try await cluster.define(other)
    let accepted = try await cluster.condition("NamesAccepted", of: "tables.stable.example.com")
    #expect(accepted["status"] == "False" && accepted["reason"] == "ShortNamesConflict")
    #expect(accepted["message"] == "\"ct\" is already in use")
    let established = try await cluster.condition("Established", of: "tables.stable.example.com")
    #expect(established["status"] == "False" && established["reason"] == "NotAccepted")
    #expect(established["message"] == "not all names are accepted")
    #expect(try await cluster.get("/apis/stable.example.com/v1/tables").status == 404)
    // The same kind is a conflict as well, in the same group only.
    other = definition(plural: "tasks", kind: "CronTab")
    try await cluster.define(other)
    #expect(
      try await cluster.condition("NamesAccepted", of: "tasks.stable.example.com")["reason"] == "ListKindConflict")
    try await cluster.define(definition(group: "other.example.com"))
    #expect(try await cluster.condition("Established", of: "crontabs.other.example.com")["status"] == "True")
    // When the other definition goes, its names are free.
    try await cluster.delete("\(definitionsPath)/crontabs.stable.example.com")
    try await cluster.server.reconcileDefinitions()
    try await cluster.server.reconcileDefinitions()
    #expect(try await cluster.condition("Established", of: "tables.stable.example.com")["status"] == "True")
  }

  @Test func everyServerServesWhatOneCallsEstablished() async throws {
    // Given a second server over the same store, which has not heard of the definition,
    let second = TestServer(store: cluster.store)
    #expect(try await second.get(cronTabs).status == 404)
    try await cluster.define(cronTabDefinition())
    // when it is asked, then it serves what the first one established.
    #expect(try await second.post(cronTabs, cronTab("a")).status == 201)
    #expect(try await second.get("/apis/stable.example.com").status == 200)
    // And writes follow the definition as it is now, not as this server remembers it.
    var changed = try await cluster.get("\(definitionsPath)/crontabs.stable.example.com").json
    changed["spec"]["versions"] = [version("v1", schema: ["type": "object", "properties": [:]])]
    #expect(try await cluster.put("\(definitionsPath)/crontabs.stable.example.com", changed).status == 200)
    let created = try await second.post(cronTabs, cronTab("b"))
    #expect(created.json["spec"].isNull, "\(created.text)")
  }

  @Test func aDeletedDefinitionTakesItsObjectsWithIt() async throws {
    try await cluster.define(cronTabDefinition())
    try await cluster.post(cronTabs, cronTab("a"))
    var held = cronTab("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    try await cluster.post(cronTabs, held)
    let watch = try await cluster.watch("\(cronTabs)?watch=true&resourceVersion=0")
    #expect(try await watch.next(2).map(\.type) == ["ADDED", "ADDED"])
    // When the definition is deleted, it waits for its objects,
    let name = "crontabs.stable.example.com"
    let deleted = try await cluster.delete("\(definitionsPath)/\(name)")
    #expect(deleted.json["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"])
    #expect(try await cluster.condition("Terminating", of: name)["reason"] == "InstanceDeletionPending")
    let refused = try await cluster.post(cronTabs, cronTab("late"))
    #expect(refused.status == 405 && refused.reason == "MethodNotAllowed")
    #expect(refused.message == "create not allowed while custom resource definition is terminating")
    #expect(try await cluster.server.reconcileDefinitions() == false)
    #expect(try await cluster.condition("Terminating", of: name)["reason"] == "InstanceDeletionInProgress")
    #expect(try await cluster.get("\(cronTabs)/a").status == 404)
    #expect(try await !cluster.get("\(cronTabs)/held").json["metadata"]["deletionTimestamp"].isNull)
    // and is gone when the last of them is.
    try await cluster.patch("\(cronTabs)/held", ["metadata": ["finalizers": .null]])
    #expect(try await cluster.server.reconcileDefinitions())
    #expect(try await cluster.get("\(definitionsPath)/\(name)").status == 404)
    #expect(try await cluster.get(cronTabs).status == 404)
    // Whoever watched is told of every end, and then that there is nothing more to see.
    var types: [String] = []
    while let event = try await watch.next() { types.append(event.type) }
    #expect(types.filter { $0 == "DELETED" }.count == 2)
  }

  // MARK: - Objects

  @Test func objectsAreDefaultedAndPruned() async throws {
    try await cluster.define(cronTabDefinition())
    let spec: JSONValue = [
      "cronSpec": "* * * * */5", "unknown": 1, "comment": .null, "suspend": .null, "free": ["any": ["thing": 1]],
      "labels": ["a": "b"], "port": "http",
    ]
    let created = try await cluster.post(cronTabs, cronTab("a", spec))
    #expect(created.status == 201, "\(created.text)")
    #expect(created.headers.values("warning") == [#"299 - "unknown field \"spec.unknown\"""#])
    let stored = created.json["spec"]
    #expect(stored["replicas"] == 1 && stored["mode"] == "Slow" && stored.object?["unknown"] == nil)
    #expect(stored["free"]["any"]["thing"] == 1 && stored["port"] == "http")
    // A null where null is a value stays, another goes.
    #expect(stored.object?["comment"] == .some(.null) && stored.object?["suspend"] == nil)
    let strict = try await cluster.send("POST", "\(cronTabs)?fieldValidation=Strict", cronTab("b", spec))
    #expect(strict.status == 400)
    #expect(
      strict.message
        == #"CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: unknown field "spec.unknown""#
    )
  }

  @Test(
    arguments: [
      (
        ["cronSpec": "x"], "FieldValueInvalid", "spec.cronSpec",
        #"Invalid value: "x": spec.cronSpec in body should match"#
      ),
      (
        ["image": ""], "FieldValueInvalid", "spec.image",
        #"Invalid value: "": spec.image in body should be at least 1 chars long"#
      ),
      (["image": "12345678901"], "FieldValueTooLong", "spec.image", "Too long: may not be more than 10 bytes"),
      (
        ["replicas": "two"], "FieldValueTypeInvalid", "spec.replicas",
        #"Invalid value: "string": spec.replicas in body must be of type integer: "string""#
      ),
      (
        ["replicas": 0], "FieldValueInvalid", "spec.replicas",
        "Invalid value: 0: spec.replicas in body should be greater than or equal to 1"
      ),
      (
        ["replicas": 11], "FieldValueInvalid", "spec.replicas",
        "Invalid value: 11: spec.replicas in body should be less than or equal to 10"
      ),
      (
        ["mode": "Odd"], "FieldValueNotSupported", "spec.mode",
        #"Unsupported value: "Odd": supported values: "Fast", "Slow""#
      ),
      (
        ["port": true], "FieldValueTypeInvalid", "spec.port",
        #"Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean""#
      ),
      (
        ["weight": .double(0.3)], "FieldValueInvalid", "spec.weight",
        "Invalid value: 0.3: spec.weight in body should be a multiple of 0.5"
      ),
      (
        ["labels": ["a": 1]], "FieldValueTypeInvalid", "spec.labels.a",
        #"Invalid value: "integer": spec.labels.a in body must be of type string: "integer""#
      ),
      (
        ["labels": ["a": "", "b": "", "c": ""]], "FieldValueTooMany", "spec.labels",
        "Too many: 3: must have at most 2 items"
      ),
      (["hosts": ["a", "b", "a"]], "FieldValueDuplicate", "spec.hosts[2]", #"Duplicate value: "a""#),
      (
        ["hosts": ["-"]], "FieldValueTypeInvalid", "spec.hosts[0]",
        #"Invalid value: "-": spec.hosts[0] in body must be of type hostname: "-""#
      ),
      (
        ["ports": [["name": "a"], ["name": "a"]]], "FieldValueDuplicate", "spec.ports[1]",
        #"Duplicate value: map[string]interface {}{"name":"a"}"#
      ),
      (["ports": [["number": 1]]], "FieldValueRequired", "spec.ports[0].name", "Required value"),
    ] as [(JSONValue, String, String, String)])
  func whatIsWrongIsSaidAsKubernetesSaysIt(
    _ change: JSONValue, _ reason: String, _ field: String, _ message: String
  ) async throws {
    try await cluster.define(cronTabDefinition())
    var spec: JSONValue = ["cronSpec": "* * * * */5"]
    for (name, value) in change.object ?? [:] { spec[name] = value }
    let reply = try await cluster.post(cronTabs, cronTab("a", spec))
    #expect(reply.status == 422 && reply.reason == "Invalid")
    #expect(reply.message.hasPrefix("CronTab.stable.example.com \"a\" is invalid: "), "\(reply.message)")
    let cause = reply.json["details"]["causes"].elements.first ?? .null
    #expect(cause["reason"].string == reason && cause["field"].string == field, "\(reply.text)")
    #expect(cause["message"].string?.hasPrefix(message) == true, "\(cause)")
  }

  @Test func aMissingFieldAndAWrongKindAreRefused() async throws {
    try await cluster.define(cronTabDefinition())
    let missing = try await cluster.post(cronTabs, cronTab("a", [:]))
    #expect(missing.message == "CronTab.stable.example.com \"a\" is invalid: spec.cronSpec: Required value")
    var wrong = cronTab("a")
    wrong["kind"] = "CronTable"
    #expect(
      try await cluster.post(cronTabs, wrong).json["details"]["causes"][0]["message"]
        == "Invalid value: \"CronTable\": must be CronTab")
    wrong["kind"] = .null
    #expect(try await cluster.post(cronTabs, wrong).message.hasPrefix("Object 'Kind' is missing in '{"))
    wrong = cronTab("a", version: "v2")
    #expect(
      try await cluster.post(cronTabs, wrong).message
        == "the API version in the data (stable.example.com/v2) does not match the expected API version "
        + "(stable.example.com/v1)")
    let protobuf = try await cluster.send(
      "POST", cronTabs, cronTab("a"), ["content-type": "application/vnd.kubernetes.protobuf"])
    #expect(protobuf.status == 415)
    try await cluster.post(cronTabs, cronTab("a"))
    for path in [cronTabs, "\(cronTabs)/a"] {
      let read = try await cluster.send("GET", path, nil, ["accept": "application/vnd.kubernetes.protobuf"])
      #expect(read.status == 406, "\(read.text)")
    }
  }

  @Test func patchesWorkButForStrategicOnes() async throws {
    try await cluster.define(cronTabDefinition())
    try await cluster.post(cronTabs, cronTab("a"))
    let merged = try await cluster.patch("\(cronTabs)/a", ["spec": ["replicas": 3]])
    #expect(merged.json["spec"]["replicas"] == 3 && merged.json["metadata"]["generation"] == 2)
    let replaced = try await cluster.patch(
      "\(cronTabs)/a", [["op": "replace", "path": "/spec/replicas", "value": 4]], "json-patch+json")
    #expect(replaced.json["spec"]["replicas"] == 4)
    let strategic = try await cluster.patch("\(cronTabs)/a", ["spec": ["replicas": 3]], "strategic-merge-patch+json")
    #expect(strategic.status == 415 && strategic.reason == "UnsupportedMediaType")
    #expect(
      strategic.message
        == "the body of the request was in an unknown format - accepted media types include: "
        + "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml")
    var unversioned = cronTab("a")
    unversioned["spec"]["replicas"] = 5
    let put = try await cluster.put("\(cronTabs)/a", unversioned)
    #expect(put.status == 422)
    #expect(
      put.message
        == "CronTab.stable.example.com \"a\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be "
        + "specified for an update")
  }

  @Test func appliedConfigurationsMergeByTheListsOfTheSchema() async throws {
    try await cluster.define(cronTabDefinition())
    func apply(_ manager: String, _ spec: JSONValue) async throws -> Reply {
      try await cluster.patch("\(cronTabs)/a?fieldManager=\(manager)", cronTab("a", spec), "apply-patch+yaml")
    }
    let first = try await apply("one", ["cronSpec": "* * * * */5", "ports": [["name": "a", "number": 1]]])
    #expect(first.status == 201, "\(first.text)")
    let second = try await apply("two", ["ports": [["name": "b", "number": 2]]])
    #expect(second.status == 200, "\(second.text)")
    #expect(second.json["spec"]["ports"].elements.compactMap { $0["name"].string } == ["a", "b"])
    let conflict = try await apply("two", ["ports": [["name": "a", "number": 9]]])
    #expect(conflict.status == 409)
    #expect(
      conflict.message
        == #"Apply failed with 1 conflict: conflict with "one": .spec.ports[name="a"].number"#)
    let unknown = try await apply("two", ["nothing": 1])
    #expect(unknown.message.contains(".spec.nothing: field not declared in schema"), "\(unknown.text)")
  }

  /// What was stored before there was a scale was never checked as one.
  @Test func aScaleShows32BitsOfWhateverIsStored() async throws {
    let open: JSONValue = ["type": "object", "x-kubernetes-preserve-unknown-fields": true]
    try await cluster.define(definition(plural: "plains", kind: "Plain", versions: [version("v1", schema: open)]))
    let plains = "/apis/stable.example.com/v1/namespaces/default/plains"
    for (name, number) in [("a", Int64.max), ("b", .min), ("c", 1 << 31), ("d", 5)] {
      let made = try await cluster.post(
        plains,
        [
          "kind": "Plain", "apiVersion": "stable.example.com/v1", "metadata": ["name": .string(name)],
          "spec": ["replicas": .integer(number)], "status": ["replicas": .integer(number)],
        ])
      try #require(made.status == 201, "\(made.text)")
    }
    var scaled = version("v1", schema: open)
    scaled["subresources"] = [
      "scale": ["specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"]
    ]
    let patched = try await cluster.patch(
      "\(definitionsPath)/plains.stable.example.com", ["spec": ["versions": [scaled]]])
    try #require(patched.status == 200, "\(patched.text)")
    for (name, number) in [("a", -1), ("b", 0), ("c", Int64(Int32.min)), ("d", 5)] {
      let scale = try await cluster.get("\(plains)/\(name)/scale").json
      #expect(scale["status"]["replicas"].integer == number && scale["spec"]["replicas"].integer ?? 0 == number)
    }
  }

  @Test func statusAndScaleAreEndpointsOfTheirOwn() async throws {
    try await cluster.define(cronTabDefinition())
    var object = cronTab("a", ["cronSpec": "* * * * */5", "replicas": 2])
    object["status"] = ["phase": "Done"]
    let created = try await cluster.post(cronTabs, object)
    #expect(created.json["status"].isNull)
    let status = try await cluster.patch(
      "\(cronTabs)/a/status",
      ["status": ["phase": "Running", "replicas": 1, "labelSelector": "app=a"], "spec": ["replicas": 9]])
    #expect(status.json["status"]["phase"] == "Running" && status.json["spec"]["replicas"] == 2)
    #expect(status.json["metadata"]["generation"] == 1)
    let scale = try await cluster.get("\(cronTabs)/a/scale")
    #expect(scale.json["kind"] == "Scale" && scale.json["spec"]["replicas"] == 2)
    #expect(scale.json["status"] == ["replicas": 1, "selector": "app=a"])
    let scaled = try await cluster.patch("\(cronTabs)/a/scale", ["spec": ["replicas": 5]])
    #expect(scaled.json["spec"]["replicas"] == 5)
    #expect(try await cluster.get("\(cronTabs)/a").json["spec"]["replicas"] == 5)
    // What the schema forbids, the scale cannot set.
    #expect(try await cluster.patch("\(cronTabs)/a/scale", ["spec": ["replicas": 50]]).status == 422)
    // A kind without them has neither.
    try await cluster.define(definition(plural: "plains", kind: "Plain"))
    let none = try await cluster.get("/apis/stable.example.com/v1/namespaces/default/plains/a/status")
    #expect(none.status == 404 && none.message == #"plains.stable.example.com "a" not found"#)
  }

  @Test func tablesHaveTheColumnsOfTheDefinition() async throws {
    try await cluster.define(cronTabDefinition())
    try await cluster.post(cronTabs, cronTab("a"))
    let table = try await cluster.get(cronTabs, accept: "application/json;as=Table;v=v1;g=meta.k8s.io")
    let columns = table.json["columnDefinitions"].elements
    #expect(columns.compactMap { $0["name"].string } == ["Name", "Spec", "Replicas", "Age"])
    #expect(columns[1]["description"] == "When it runs.")
    #expect(columns[2]["description"] == "Custom resource definition column (in JSONPath format): .spec.replicas")
    #expect(columns[3]["priority"] == 1 && columns[3]["type"] == "date")
    let cells = table.json["rows"][0]["cells"].elements
    #expect(cells[0] == "a" && cells[1] == "* * * * */5" && cells[2] == 1)
    #expect(cells[3].string?.hasSuffix("s") == true)
  }

  @Test func selectableFieldsSelect() async throws {
    try await cluster.define(cronTabDefinition())
    try await cluster.post(cronTabs, cronTab("slow"))
    try await cluster.post(cronTabs, cronTab("fast", ["cronSpec": "* * * * */5", "mode": "Fast"]))
    #expect(try await cluster.get("\(cronTabs)?fieldSelector=spec.mode%3DFast").names == ["fast"])
    let wrong = try await cluster.get("\(cronTabs)?fieldSelector=spec.replicas%3D1")
    #expect(wrong.status == 400 && wrong.message == "field label not supported: spec.replicas")
  }

  // MARK: - Versions

  @Test func objectsAreReadInEveryServedVersion() async throws {
    // Given two versions, the newer of which has a default that the older lacks,
    let older: JSONValue = [
      "type": "object", "properties": ["spec": ["type": "object", "properties": ["a": ["type": "string"]]]],
    ]
    let newer: JSONValue = [
      "type": "object",
      "properties": [
        "spec": [
          "type": "object", "properties": ["a": ["type": "string"], "b": ["type": "string", "default": "x"]],
        ]
      ],
    ]
    let name = "crontabs.stable.example.com"
    try await cluster.define(definition(versions: [version("v1", schema: older)]))
    try await cluster.post(cronTabs, cronTab("old", ["a": "1"]))
    var changed = try await cluster.get("\(definitionsPath)/\(name)").json
    changed["spec"]["versions"] = [version("v1", storage: false, schema: older), version("v2", schema: newer)]
    let updated = try await cluster.put("\(definitionsPath)/\(name)", changed)
    #expect(updated.json["status"]["storedVersions"] == ["v1", "v2"])
    #expect(updated.json["metadata"]["generation"] == 2)
    // when objects are written and read through both,
    let second = "/apis/stable.example.com/v2/namespaces/default/crontabs"
    let created = try await cluster.post(second, cronTab("new", ["a": "2"], version: "v2"))
    #expect(created.json["spec"] == ["a": "2", "b": "x"])
    #expect(created.json["apiVersion"] == "stable.example.com/v2")
    // then each version shows what it knows.
    let list = try await cluster.get(cronTabs)
    #expect(list.json["items"].elements.allSatisfy { $0["apiVersion"] == "stable.example.com/v1" })
    #expect(try await cluster.get("\(cronTabs)/new").json["spec"] == ["a": "2"])
    #expect(try await cluster.get("\(second)/old").json["spec"] == ["a": "1"])
    #expect(try await cluster.get("\(second)/new").json["spec"] == ["a": "2", "b": "x"])
    // The preferred version is the newer one.
    #expect(try await cluster.get("/apis/stable.example.com").json["preferredVersion"]["version"] == "v2")
    // A version that was stored in cannot go while it may still be needed.
    changed = try await cluster.get("\(definitionsPath)/\(name)").json
    changed["spec"]["versions"] = [version("v2", schema: newer)]
    #expect(try await cluster.put("\(definitionsPath)/\(name)", changed).status == 422)
  }

  @Test func whatIsStoredIsReadByTheSchemaOfToday() async throws {
    let before: JSONValue = [
      "type": "object",
      "properties": ["spec": ["type": "object", "properties": ["a": ["type": "string"], "gone": ["type": "string"]]]],
    ]
    let name = "crontabs.stable.example.com"
    try await cluster.define(definition(versions: [version("v1", schema: before)]))
    try await cluster.post(cronTabs, cronTab("a", ["a": "1", "gone": "2"]))
    var changed = try await cluster.get("\(definitionsPath)/\(name)").json
    changed["spec"]["versions"] = [
      version(
        "v1",
        schema: [
          "type": "object",
          "properties": [
            "spec": [
              "type": "object", "properties": ["a": ["type": "string"], "b": ["type": "integer", "default": 7]],
            ]
          ],
        ])
    ]
    #expect(try await cluster.put("\(definitionsPath)/\(name)", changed).status == 200)
    #expect(try await cluster.get("\(cronTabs)/a").json["spec"] == ["a": "1", "b": 7])
    #expect(try await cluster.get(cronTabs).json["items"][0]["spec"] == ["a": "1", "b": 7])
    let watch = try await cluster.watch("\(cronTabs)?watch=true&resourceVersion=0")
    #expect(try await watch.next()?.object["spec"] == ["a": "1", "b": 7])
    watch.cancel()
  }

  @Test func whatWasInvalidBeforeMayStayAsItIs() async throws {
    let name = "crontabs.stable.example.com"
    try await cluster.define(cronTabDefinition())
    try await cluster.post(cronTabs, cronTab("a", ["cronSpec": "* * * * */5", "replicas": 8]))
    var changed = try await cluster.get("\(definitionsPath)/\(name)").json
    changed["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["replicas"][
      "maximum"] = 5
    #expect(try await cluster.put("\(definitionsPath)/\(name)", changed).status == 200)
    // A change elsewhere is accepted, a change of the field is not.
    #expect(try await cluster.patch("\(cronTabs)/a", ["spec": ["image": "i"]]).status == 200)
    #expect(try await cluster.patch("\(cronTabs)/a", ["spec": ["replicas": 9]]).status == 422)
  }
}
