import JSON
import Schema
import Testing

@Suite("Server-side apply")
struct ApplyServerSideTests {
  private let first = "2025-01-01T00:00:00Z"
  private let later = "2025-01-01T00:01:00Z"

  private func configuration(_ spec: String, metadata: String = "") -> JSONValue {
    tree(
      #"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"\#(metadata)},"spec":\#(spec)}"#)
  }
  private func apply(
    _ live: JSONValue?, _ applied: JSONValue, by manager: String = "kubectl", force: Bool = false, now: String? = nil
  ) async throws(APIStatus) -> JSONValue {
    try await ServerSideApply.apply(
      live: live, applied: applied, structure: ApplyFixture.deployment, manager: manager, force: force,
      apiVersion: "apps/v1", now: now ?? first)
  }
  private func failure(_ body: () async throws(APIStatus) -> JSONValue) async -> APIStatus {
    do throws(APIStatus) {
      Issue.record("no error: \(try await body())")
      return APIStatus(code: 0, reason: "", message: "")
    } catch { return error }
  }
  private func update(_ live: JSONValue, by manager: String, _ edit: (inout JSONValue) -> Void) -> JSONValue {
    var new = live
    edit(&new)
    ManagedFieldsUpdater.update(
      old: live, new: &new, structure: ApplyFixture.deployment, manager: manager, apiVersion: "apps/v1", now: later)
    return new
  }
  private func entry(_ object: JSONValue, _ manager: String, _ operation: String = "Apply") -> JSONValue {
    object["metadata"]["managedFields"].elements.first {
      $0["manager"].string == manager && $0["operation"].string == operation
    } ?? .null
  }
  private let web = #"{"replicas":2,"template":{"spec":{"containers":[{"name":"web","image":"a:1"}]}}}"#

  @Test("creates the object; its applier owns what it said and no more")
  func creates() async throws {
    let result = try await apply(nil, configuration(web, metadata: #","labels":{"app":"web"}"#))
    #expect(result["spec"]["replicas"] == 2)
    #expect(
      result["metadata"]["managedFields"]
        == tree(
          #"""
          [{"manager":"kubectl","operation":"Apply","apiVersion":"apps/v1","time":"2025-01-01T00:00:00Z",
          "fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:replicas":{},
          "f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:image":{},"f:name":{}}}}}}}}]
          """#))
  }

  @Test("of the same configuration again changes nothing, whoever else wrote meanwhile")
  func idempotent() async throws {
    let created = try await apply(nil, configuration(web))
    #expect(try await apply(created, configuration(web), now: later) == created)
    let defaulted = update(created, by: "server") { $0["spec"]["template"]["spec"]["restartPolicy"] = "Always" }
    #expect(try await apply(defaulted, configuration(web), now: later) == defaulted)
  }

  @Test("conflicts with another manager's value, and names it as the reference does")
  func conflict() async throws {
    let live = update(try await apply(nil, configuration(web)), by: "scaler") { $0["spec"]["replicas"] = 5 }
    let error = await failure { () async throws(APIStatus) in try await apply(live, configuration(web)) }
    #expect(error.code == 409 && error.reason == "Conflict")
    #expect(error.message == #"Apply failed with 1 conflict: conflict with "scaler" using apps/v1: .spec.replicas"#)
    #expect(
      error.causes == [
        .init(
          reason: "FieldManagerConflict", message: #"conflict with "scaler" using apps/v1"#, field: ".spec.replicas")
      ])
  }

  @Test("lists every conflict, grouped by manager")
  func conflicts() async throws {
    var live = try await apply(nil, configuration(web), by: "a")
    live = update(live, by: "updater") { $0["spec"]["paused"] = true }
    let error = await failure { () async throws(APIStatus) in
      try await apply(
        live,
        configuration(
          #"{"replicas":3,"paused":false,"template":{"spec":{"containers":[{"name":"web","image":"a:2"}]}}}"#), by: "b")
    }
    #expect(
      error.message == #"""
        Apply failed with 3 conflicts: conflicts with "a":
        - .spec.replicas
        - .spec.template.spec.containers[name="web"].image
        conflicts with "updater" using apps/v1:
        - .spec.paused
        """#)
    #expect(error.causes.count == 3)
  }

  @Test("with force takes the fields")
  func force() async throws {
    let live = update(try await apply(nil, configuration(web)), by: "scaler") { $0["spec"]["replicas"] = 5 }
    let result = try await apply(live, configuration(web), force: true)
    #expect(result["spec"]["replicas"] == 2)
    #expect(entry(result, "scaler", "Update").isNull)
    #expect(!entry(result, "kubectl")["fieldsV1"]["f:spec"]["f:replicas"].isNull)
  }

  @Test("of an equal value shares the field; then either may let go of it")
  func shared() async throws {
    let one = try await apply(nil, configuration(web), by: "a")
    let two = try await apply(one, configuration(web), by: "b")
    let nothing = tree(#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"}}"#)
    let withoutA = try await apply(two, nothing, by: "a")
    #expect(withoutA["spec"]["replicas"] == 2)
    #expect(entry(withoutA, "a").isNull)
    let withoutBoth = try await apply(withoutA, nothing, by: "b")
    #expect(withoutBoth["spec"]["replicas"].isNull)
    #expect(withoutBoth["spec"]["template"]["spec"]["containers"].elements.isEmpty)
  }

  @Test("removes what the manager no longer says, unless someone else owns it or it was never its own")
  func prunes() async throws {
    let long =
      #"{"paused":true,"replicas":2,"template":{"spec":{"containers":[{"name":"web","image":"a","env":[{"name":"A","value":"1"},{"name":"B","value":"2"}]},{"name":"old","image":"o"}]}}}"#
    let short = #"{"template":{"spec":{"containers":[{"name":"web","image":"a","env":[{"name":"A","value":"1"}]}]}}}"#
    var live = try await apply(nil, configuration(long, metadata: #","labels":{"x":"1","y":"2"}"#), by: "a")
    live = update(live, by: "injector") {
      $0["spec"]["template"]["spec"]["containers"].append(["name": "sidecar", "image": "s"])
      $0["spec"]["template"]["spec"]["containers"][0]["env"].append(["name": "C", "value": "3"])
      $0["metadata"]["labels"]["z"] = "3"
    }
    live = try await apply(live, configuration(#"{"replicas":2}"#), by: "hpa")
    let result = try await apply(live, configuration(short, metadata: #","labels":{"x":"1"}"#), by: "a", now: later)
    #expect(result["spec"]["paused"].isNull)
    #expect(result["spec"]["replicas"] == 2)
    let containers = result["spec"]["template"]["spec"]["containers"]
    #expect(containers.elements.map { $0["name"].string } == ["web", "sidecar"])
    #expect(containers[0]["env"].elements.map { $0["name"].string } == ["A", "C"])
    #expect(result["metadata"]["labels"] == tree(#"{"x":"1","z":"3"}"#))
    #expect(entry(result, "a")["time"].string == later)
  }

  @Test("removes an item with what others put into it, unless one of them owns the item")
  func removesItems() async throws {
    let both = #"{"template":{"spec":{"containers":[{"name":"web","image":"a"},{"name":"extra","image":"e"}]}}}"#
    let one = #"{"template":{"spec":{"containers":[{"name":"web","image":"a"}]}}}"#
    var live = try await apply(nil, configuration(both), by: "a")
    live = update(live, by: "limits") {
      $0["spec"]["template"]["spec"]["containers"][1]["resources"] = ["limits": ["cpu": "1"]]
    }
    let result = try await apply(live, configuration(one), by: "a")
    #expect(result["spec"]["template"]["spec"]["containers"].elements.map { $0["name"] } == ["web"])
    #expect(entry(result, "limits", "Update").isNull)

    let shared = try await apply(
      live, configuration(#"{"template":{"spec":{"containers":[{"name":"extra","args":["x"]}]}}}"#), by: "b")
    let kept = try await apply(shared, configuration(one), by: "a")["spec"]["template"]["spec"]["containers"]
    #expect(kept.elements.map { $0["name"] } == ["web", "extra"])
    #expect(kept[1]["image"].isNull)
    #expect(kept[1]["args"] == ["x"])
    #expect(kept[1]["resources"]["limits"]["cpu"] == "1")
  }

  @Test("merges keyed lists in the order of the configuration, default keys included")
  func listOrder() async throws {
    let live = ApplyFixture.stored(
      #"{"metadata":{"name":"web"},"spec":{"template":{"spec":{"containers":[{"name":"a"},{"name":"x"},{"name":"b","ports":[{"containerPort":80,"protocol":"TCP"}]}]}}}}"#
    )
    let result = try await apply(
      live,
      configuration(
        #"{"template":{"spec":{"containers":[{"name":"b","ports":[{"containerPort":80,"name":"http"},{"containerPort":80,"protocol":"UDP"}]},{"name":"a"},{"name":"new"}]}}}"#
      ), force: true)
    let containers = result["spec"]["template"]["spec"]["containers"]
    #expect(containers.elements.map { $0["name"].string } == ["x", "b", "a", "new"])
    #expect(
      containers[1]["ports"]
        == tree(
          #"[{"containerPort":80,"protocol":"TCP","name":"http"},{"containerPort":80,"protocol":"UDP"}]"#))
  }

  @Test("attributes fields of an object without ownership to before-first-apply")
  func beforeFirstApply() async throws {
    let live = ApplyFixture.stored(#"{"metadata":{"name":"web"},"spec":{"replicas":7,"paused":true}}"#)
    let error = await failure { () async throws(APIStatus) in try await apply(live, configuration(#"{"replicas":1}"#)) }
    #expect(
      error.message
        == #"Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas"#)
    let result = try await apply(live, configuration(#"{"replicas":7}"#))
    #expect(
      entry(result, "before-first-apply", "Update")["fieldsV1"] == tree(#"{"f:spec":{"f:paused":{},"f:replicas":{}}}"#))
  }

  @Test("replaces atomic lists and maps as a whole")
  func atomics() async throws {
    let live = try await apply(
      nil, configuration(#"{"template":{"spec":{"nodeSelector":{"a":"1"},"tolerations":[{"key":"a"}]}}}"#))
    let result = try await apply(
      live, configuration(#"{"template":{"spec":{"nodeSelector":{"b":"2"},"tolerations":[{"key":"b"}]}}}"#))
    #expect(result["spec"]["template"]["spec"]["nodeSelector"] == tree(#"{"b":"2"}"#))
    #expect(result["spec"]["template"]["spec"]["tolerations"] == tree(#"[{"key":"b"}]"#))
  }

  @Test("compares values in canonical form: half a CPU is 500m")
  func canonicalValues() async throws {
    let spec = #"{"template":{"spec":{"containers":[{"name":"web","resources":{"limits":{"cpu":"0.5"}}}]}}}"#
    let created = try await apply(nil, configuration(spec), by: "a")
    #expect(try await apply(created, configuration(spec), by: "a", now: later) == created)
    await #expect(throws: Never.self) { try await apply(created, configuration(spec), by: "b") }
  }

  @Test("keeps what identifies the object and ignores a client's null timestamps")
  func identity() async throws {
    var live = try await apply(nil, configuration(web))
    live["metadata"]["uid"] = "u"
    live["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z"
    let result = try await apply(live, configuration(web, metadata: #","creationTimestamp":null"#))
    #expect(result == live)
  }

  @Test("refuses managedFields, unknown fields and duplicate items")
  func refusals() async {
    let managed = await failure { () async throws(APIStatus) in
      try await apply(nil, configuration("{}", metadata: #","managedFields":[]"#))
    }
    #expect(managed.code == 400 && managed.message == "metadata.managedFields must be nil")
    let unknown = await failure { () async throws(APIStatus) in try await apply(nil, configuration(#"{"bogus":1}"#)) }
    #expect(unknown.code == 500)
    #expect(
      unknown.message
        == "failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.bogus: field not declared in schema"
    )
    let twins = await failure { () async throws(APIStatus) in
      try await apply(nil, configuration(#"{"template":{"spec":{"containers":[{"name":"a"},{"name":"a"}]}}}"#))
    }
    #expect(twins.message.hasSuffix(#".spec.template.spec.containers: duplicate entries for key [name="a"]"#))
  }

  @Test(
    "names the items of a list by what they are known by",
    arguments: [
      (#"[{"name":"a","bogus":1}]"#, #"[name="a"].bogus: field not declared in schema"#),
      (#"[{"name":"a"},{"name":"a"}]"#, #": duplicate entries for key [name="a"]"#),
      (
        #"[{"image":"i"}]"#,
        #": element 0: associative list with keys has an element that omits key field "name" (and doesn't have default "#
          + "value)"
      ),
      (#"[null]"#, ": element 0: associative list with keys may not have a null element"),
      (#"["a"]"#, ": element 0: associative list with keys may not have non-map elements"),
      (#"[{"name":"a","args":[1]}]"#, #"[name="a"].args[0]: expected string, got &value.valueUnstructured{Value:1}"#),
    ])
  func items(_ containers: String, _ problem: String) async {
    let refusal = await failure { () async throws(APIStatus) in
      try ServerSideApply.checkTypes(
        of: configuration(#"{"template":{"spec":{"containers":\#(containers)}}}"#), structure: ApplyFixture.deployment)
      return .null
    }
    let told: String = refusal.message
    #expect(told.hasSuffix("Kind=Deployment): .spec.template.spec.containers\(problem)"), "\(told)")
  }

  @Test("on a subresource keeps an entry of its own and leaves the rest alone")
  func subresource() async throws {
    let live = try await apply(nil, configuration(web), by: "c")
    let result = try await ServerSideApply.apply(
      live: live,
      applied: tree(#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"status":{"replicas":1}}"#),
      structure: ApplyFixture.deployment, manager: "c", force: false, apiVersion: "apps/v1", subresource: "status",
      resetFields: .members([["spec"]]), now: first)
    #expect(result["spec"] == live["spec"])
    let entries = result["metadata"]["managedFields"].elements
    #expect(entries.map { $0["subresource"].string ?? "" }.sorted() == ["", "status"])
  }

  @Test("by kubectl takes over from client-side apply without conflicts, and keeps its annotation current")
  func lastApplied() async throws {
    let annotation = "kubectl.kubernetes.io/last-applied-configuration"
    var live = ApplyFixture.stored(
      #"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":2,"paused":true}}"#)
    live["metadata"]["annotations"] = [annotation: .string(configuration(#"{"replicas":2}"#).description)]
    ManagedFieldsUpdater.update(
      old: nil, new: &live, structure: ApplyFixture.deployment, manager: "kubectl-client-side-apply",
      apiVersion: "apps/v1", now: first)
    let result = try await apply(live, configuration(#"{"replicas":3}"#))
    #expect(result["spec"]["replicas"] == 3)
    let text = try #require(result["metadata"]["annotations"][annotation].string)
    #expect(text.hasSuffix("\n"))
    #expect(try JSONValue(parsing: text) == configuration(#"{"replicas":3}"#))
    // A field that the last configuration did not have is a conflict all the same, and so is everything for others.
    #expect(
      await failure { () async throws(APIStatus) in try await apply(live, configuration(#"{"paused":false}"#)) }.code
        == 409)
    #expect(
      await failure { () async throws(APIStatus) in try await apply(live, configuration(#"{"replicas":3}"#), by: "x") }
        .code == 409)
  }

  @Test("twice is once, for any configuration and any history")
  func twiceIsOnce() async throws {
    var random = Seeded(seed: 23)
    func anyConfiguration() -> JSONValue {
      var object = configuration("{}")
      if random.next(2) == 0 { object["spec"]["replicas"] = .integer(Int64(random.next(3))) }
      for index in 0..<random.next(3) { object["metadata"]["labels"]["l\(index)"] = .string("\(random.next(3))") }
      for index in 0..<random.next(3) {
        var container: JSONValue = ["name": .string("c\(index)"), "image": .string("i\(random.next(3))")]
        for variable in 0..<random.next(3) {
          container["env"].append(["name": .string("E\(variable)"), "value": .string("\(random.next(2))")])
        }
        object["spec"]["template"]["spec"]["containers"].append(container)
      }
      if random.next(3) == 0 { object["metadata"]["finalizers"] = [.string("f/\(random.next(2))")] }
      return object
    }
    var live = try await apply(nil, anyConfiguration(), by: "m0")
    for _ in 0..<300 {
      let applied = anyConfiguration()
      let manager = "m\(random.next(3))"
      let once = try await apply(live, applied, by: manager, force: true)
      let twice = try await apply(once, applied, by: manager, force: false, now: later)
      #expect(twice == once)
      // What was applied is there.
      #expect(applied["spec"]["replicas"].isNull || once["spec"]["replicas"] == applied["spec"]["replicas"])
      for container in applied["spec"]["template"]["spec"]["containers"].elements {
        let found = once["spec"]["template"]["spec"]["containers"].elements.first { $0["name"] == container["name"] }
        #expect(found?["image"] == container["image"])
      }
      live = once
    }
  }
}
