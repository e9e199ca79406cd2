import JSON
import Schema
import Testing

@Suite("Ownership after updates")
struct ApplyUpdateTests {
  private let text = #"""
    {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default","labels":{"app":"web"}},
    "spec":{"replicas":1,"selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
    "spec":{"containers":[{"name":"nginx","image":"nginx","ports":[{"containerPort":80,"protocol":"TCP"}]}],
    "restartPolicy":"Always"}},"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%"}}}}
    """#

  private func created(by manager: String = "kubectl-create", now: String = "2025-01-01T00:00:00Z") -> JSONValue {
    var object = ApplyFixture.stored(text)
    update(nil, &object, by: manager, now: now)
    return object
  }
  private func update(
    _ old: JSONValue?, _ new: inout JSONValue, by manager: String, subresource: String = "",
    now: String = "2025-01-01T00:00:01Z"
  ) {
    ManagedFieldsUpdater.update(
      old: old, new: &new, structure: ApplyFixture.deployment, manager: manager, apiVersion: "apps/v1",
      subresource: subresource, now: now)
  }
  private func entries(_ object: JSONValue) -> [JSONValue] { object["metadata"]["managedFields"].elements }
  private func fields(_ object: JSONValue, of manager: String) -> JSONValue {
    entries(object).first { $0["manager"].string == manager }?["fieldsV1"] ?? .null
  }

  @Test("a creator owns what it wrote, as the reference records it")
  func creation() {
    let expected = #"""
      [{"manager":"kubectl-create","operation":"Update","apiVersion":"apps/v1","time":"2025-01-01T00:00:00Z",
      "fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},
      "f:spec":{"f:replicas":{},"f:selector":{},
      "f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{}},"f:type":{}},
      "f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},
      "f:spec":{"f:containers":{"k:{\"name\":\"nginx\"}":{".":{},"f:image":{},"f:name":{},
      "f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},
      "f:resources":{}}},"f:restartPolicy":{}}}}}}]
      """#
    #expect(created()["metadata"]["managedFields"].description == tree(expected).description)
  }

  @Test("who changes a value takes it from its owner")
  func changing() {
    let old = created()
    var new = old
    new["spec"]["replicas"] = 3
    update(old, &new, by: "kubectl-scale")
    #expect(fields(new, of: "kubectl-scale") == tree(#"{"f:spec":{"f:replicas":{}}}"#))
    #expect(fields(new, of: "kubectl-create")["f:spec"]["f:replicas"].isNull)
    #expect(!fields(new, of: "kubectl-create")["f:spec"]["f:selector"].isNull)
  }

  @Test("an entry in a version that is not served goes, wherever it stands among the others")
  func vanishedVersion() {
    var old = created()
    let ghost: JSONValue = [
      "manager": "ghost", "operation": "Update", "apiVersion": "apps/v9", "time": "2020-01-01T00:00:00Z",
      "fieldsType": "FieldsV1", "fieldsV1": ["f:spec": ["f:replicas": [:]]],
    ]
    old["metadata"]["managedFields"] = .array([ghost] + entries(old))
    var new = old
    new["spec"]["replicas"] = 3
    update(old, &new, by: "kubectl-create")
    #expect(entries(new).map { $0["manager"] } == ["kubectl-create"])
    #expect(!fields(new, of: "kubectl-create")["f:spec"]["f:replicas"].isNull)
  }

  @Test("who removes a value takes it from every set, and an entry without fields goes")
  func removing() {
    let old = created()
    var scaled = old
    scaled["spec"]["paused"] = true
    update(old, &scaled, by: "pauser")
    var resumed = scaled
    resumed["spec"]["paused"] = .null
    update(scaled, &resumed, by: "someone", now: "2025-01-01T00:00:02Z")
    #expect(entries(resumed).count == 1)
    #expect(resumed["metadata"]["managedFields"] == old["metadata"]["managedFields"])
  }

  @Test("an item added to a keyed list is owned with its key, its neighbours keep their owners")
  func listItems() {
    let old = created()
    var new = old
    new["spec"]["template"]["spec"]["containers"].append(["name": "sidecar", "image": "s", "resources": [:]])
    update(old, &new, by: "injector")
    #expect(
      fields(new, of: "injector")
        == tree(
          #"{"f:spec":{"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"sidecar\"}":{".":{},"f:image":{},"f:name":{},"f:resources":{}}}}}}}"#
        ))
    #expect(fields(new, of: "kubectl-create") == fields(old, of: "kubectl-create"))
  }

  @Test("moving items of a keyed list changes nobody's fields")
  func reordering() {
    var old = ApplyFixture.stored(text)
    old["spec"]["template"]["spec"]["containers"].append(["name": "b", "image": "b", "resources": [:]])
    update(nil, &old, by: "a")
    var new = old
    new["spec"]["template"]["spec"]["containers"] = .array(
      old["spec"]["template"]["spec"]["containers"].elements.reversed())
    update(old, &new, by: "b")
    #expect(new["metadata"]["managedFields"] == old["metadata"]["managedFields"])
  }

  @Test("sets are owned by value, atomic lists and maps as a whole")
  func otherLists() {
    let old = created()
    var new = old
    new["metadata"]["finalizers"] = ["example.com/a", "example.com/b"]
    new["spec"]["template"]["spec"]["nodeSelector"] = ["disk": "ssd"]
    new["spec"]["template"]["spec"]["tolerations"] = [["key": "k"]]
    update(old, &new, by: "m")
    #expect(
      fields(new, of: "m")
        == tree(
          #"""
          {"f:metadata":{"f:finalizers":{".":{},"v:\"example.com/a\"":{},"v:\"example.com/b\"":{}}},
          "f:spec":{"f:template":{"f:spec":{"f:nodeSelector":{},"f:tolerations":{}}}}}
          """#))
  }

  @Test("an update that changes nothing touches no entry, not even its time")
  func noChange() {
    let old = created()
    var new = old
    new["metadata"]["resourceVersion"] = "9"
    new["metadata"]["generation"] = 4
    update(old, &new, by: "kubectl-create")
    #expect(new["metadata"]["managedFields"] == old["metadata"]["managedFields"])
  }

  @Test("the same manager changing its own field again keeps its entry and time")
  func sameSet() {
    let old = created()
    var new = old
    new["spec"]["replicas"] = 5
    update(old, &new, by: "kubectl-create")
    #expect(new["metadata"]["managedFields"] == old["metadata"]["managedFields"])
    var labelled = new
    labelled["metadata"]["labels"]["tier"] = "front"
    update(new, &labelled, by: "kubectl-create", now: "2025-01-01T00:00:09Z")
    #expect(entries(labelled)[0]["time"] == "2025-01-01T00:00:09Z")
    #expect(entries(labelled).count == 1)
  }

  @Test("a client that leaves managedFields out does not delete them; an empty list or entry does")
  func leavingOut() {
    let old = created()
    var new = old
    new["metadata"]["managedFields"] = .null
    update(old, &new, by: "x")
    #expect(new["metadata"]["managedFields"] == old["metadata"]["managedFields"])
    for reset: JSONValue in [[], [[:]]] {
      var cleared = old
      cleared["metadata"]["managedFields"] = reset
      cleared["spec"]["replicas"] = 7
      update(old, &cleared, by: "x")
      #expect(cleared["metadata"]["managedFields"].isNull)
      // And nothing is tracked from then on.
      var later = cleared
      later["spec"]["replicas"] = 8
      update(cleared, &later, by: "y")
      #expect(later["metadata"]["managedFields"].isNull)
    }
  }

  @Test("malformed managedFields of a client are ignored")
  func malformed() {
    let old = created()
    for bad: JSONValue in [
      [["manager": "x"]], ["text"], [["operation": "Update", "apiVersion": "v1", "fieldsType": "?"]],
    ] {
      var new = old
      new["metadata"]["managedFields"] = bad
      update(old, &new, by: "x")
      #expect(new["metadata"]["managedFields"] == old["metadata"]["managedFields"])
    }
  }

  @Test("a subresource has entries of its own")
  func subresource() {
    let old = created()
    var new = old
    new["status"]["replicas"] = 1
    new["status"]["conditions"] = [["type": "Available", "status": "True"]]
    update(old, &new, by: "kubectl-create", subresource: "status")
    let status = entries(new).first { $0["subresource"] == "status" }
    #expect(
      status?["fieldsV1"]
        == tree(
          #"""
          {"f:status":{"f:conditions":{".":{},"k:{\"type\":\"Available\"}":{".":{},"f:status":{},"f:type":{}}},
          "f:replicas":{}}}
          """#))
    #expect(entries(new).count == 2)
  }

  @Test("fields an endpoint does not write are never its own")
  func resetFields() {
    var object = ApplyFixture.stored(text)
    object["status"]["replicas"] = 4
    ManagedFieldsUpdater.update(
      old: nil, new: &object, structure: ApplyFixture.deployment, manager: "m", apiVersion: "apps/v1",
      resetFields: .members([["status"]]), now: "2025-01-01T00:00:00Z")
    #expect(fields(object, of: "m")["f:status"].isNull)
    #expect(!fields(object, of: "m")["f:spec"].isNull)
  }

  @Test("entries of more than ten updaters merge, oldest first, into ancient-changes")
  func cap() {
    var object = created()
    for index in 0..<14 {
      let old = object
      object["metadata"]["labels"]["l\(index)"] = "v"
      update(old, &object, by: "manager-\(index)", now: "2025-01-01T00:01:\(index + 10)Z")
    }
    let updaters = entries(object).filter { $0["operation"] == "Update" }
    #expect(updaters.count == 10)
    let ancient = fields(object, of: "ancient-changes")
    #expect(!ancient["f:spec"]["f:replicas"].isNull)
    #expect(!ancient["f:metadata"]["f:labels"]["f:l0"].isNull)
    #expect(fields(object, of: "manager-0").isNull)
    #expect(!fields(object, of: "manager-13").isNull)
  }

  @Test("whatever changes, every field of the object that was ever written by these updates has exactly one updater")
  func oneOwner() {
    var random = Seeded(seed: 3)
    var object = ApplyFixture.stored(#"{"metadata":{"name":"x"}}"#)
    object["metadata"]["labels"] = ["k0": "0"]
    update(nil, &object, by: "m0")
    for step in 0..<200 {
      let old = object
      let key = "k\(random.next(5))"
      if random.next(3) == 0 {
        object["metadata"]["labels"][key] = .null
      } else {
        object["metadata"]["labels"][key] = .string("\(step)")
      }
      update(old, &object, by: "m\(random.next(4))")
      let owned = entries(object).map {
        Set($0["fieldsV1"]["f:metadata"]["f:labels"].object?.keys.filter { $0 != "." } ?? [])
      }
      let all = owned.flatMap { $0 }
      #expect(Set(all).count == all.count)
      #expect(Set(all) == Set(object["metadata"]["labels"].stringMap.keys.map { "f:" + $0 }))
    }
  }
}

@Suite("The name of a field manager")
struct ApplyManagerNameTests {
  @Test("is the parameter, else the User-Agent up to its first slash")
  func name() {
    #expect(FieldManagerName.of(parameter: "me", userAgent: "kubectl/v1.32") == "me")
    #expect(FieldManagerName.of(parameter: nil, userAgent: "kubectl/v1.32.4 (linux/amd64)") == "kubectl")
    #expect(FieldManagerName.of(parameter: "", userAgent: nil) == "")
    #expect(FieldManagerName.of(parameter: nil, userAgent: String(repeating: "x", count: 300)).utf8.count == 128)
    #expect(FieldManagerName.of(parameter: nil, userAgent: "no version") == "no version")
    #expect(FieldManagerName.of(parameter: nil, userAgent: "k\u{7}übe/1") == "kübe")
  }
  @Test("is checked")
  func check() {
    #expect(FieldManagerName.check(nil, isRequired: false) == nil)
    #expect(FieldManagerName.check("", isRequired: true)?.message == "Required value: is required for apply patch")
    #expect(FieldManagerName.check(String(repeating: "x", count: 129), isRequired: false)?.reason == .tooLong)
    #expect(FieldManagerName.check("a\u{7}", isRequired: false)?.reason == .invalid)
    #expect(FieldManagerName.check("my manager", isRequired: true) == nil)
  }
}
