import JSON
import Schema
import Testing

@Suite("A strategic merge patch")
struct PatchStrategicTests {
  private func apply(_ patch: String, to target: String) throws(APIStatus) -> JSONValue {
    try StrategicMergePatch.apply(tree(patch), to: tree(target), structure: ApplyFixture.podSpec)
  }
  private func names(_ value: JSONValue, _ list: String, by key: String = "name") -> [String] {
    value[list].elements.map { $0[key].string ?? "\($0)" }
  }
  private let web = #"{"containers":[{"name":"web","image":"a:1","args":["x"]},{"name":"log","image":"l:1"}]}"#

  @Test("merges items by their merge key and keeps what it does not name")
  func mergesByKey() throws {
    let result = try apply(#"{"containers":[{"name":"web","image":"a:2"}]}"#, to: web)
    #expect(
      result
        == tree(#"{"containers":[{"name":"web","image":"a:2","args":["x"]},{"name":"log","image":"l:1"}]}"#))
  }

  @Test("puts items that are new before those it does not name")
  func addsItems() throws {
    let result = try apply(#"{"containers":[{"name":"new","image":"n"}]}"#, to: web)
    #expect(names(result, "containers") == ["new", "web", "log"])
  }

  @Test("replaces lists without a merge strategy: taints, tolerations, args")
  func replacesAtomicLists() throws {
    let result = try apply(
      #"{"tolerations":[{"key":"b"}],"containers":[{"name":"web","args":["y","z"]}]}"#,
      to: #"{"tolerations":[{"key":"a"}],"containers":[{"name":"web","args":["x"]}]}"#)
    #expect(result == tree(#"{"tolerations":[{"key":"b"}],"containers":[{"name":"web","args":["y","z"]}]}"#))
  }

  @Test("with null removes a member, and takes nulls out of what it adds")
  func nulls() throws {
    let result = try apply(
      #"{"restartPolicy":null,"nodeSelector":{"a":null,"b":"2"},"volumes":[{"name":"v","emptyDir":{"medium":null}}]}"#,
      to: #"{"restartPolicy":"Never"}"#)
    #expect(result == tree(#"{"nodeSelector":{"b":"2"},"volumes":[{"name":"v","emptyDir":{}}]}"#))
  }

  @Test("deletes an item by $patch: delete and its key")
  func deletesItem() throws {
    let result = try apply(#"{"containers":[{"$patch":"delete","name":"web"}]}"#, to: web)
    #expect(names(result, "containers") == ["log"])
    #expect(try apply(#"{"volumes":[{"$patch":"delete","name":"v"}]}"#, to: "{}") == tree(#"{"volumes":[]}"#))
  }

  @Test("replaces a whole list by an item $patch: replace")
  func replacesList() throws {
    let result = try apply(#"{"containers":[{"$patch":"replace"},{"name":"only","image":"o"}]}"#, to: web)
    #expect(result == tree(#"{"containers":[{"name":"only","image":"o"}]}"#))
  }

  @Test("replaces or empties an object by $patch")
  func replacesObject() throws {
    let target = #"{"nodeSelector":{"a":"1"},"containers":[{"name":"web","resources":{"limits":{"cpu":"1"}}}]}"#
    #expect(
      try apply(#"{"nodeSelector":{"$patch":"replace","b":"2"}}"#, to: target)["nodeSelector"] == tree(#"{"b":"2"}"#))
    #expect(try apply(#"{"nodeSelector":{"$patch":"delete"}}"#, to: target)["nodeSelector"] == tree("{}"))
    #expect(
      try apply(#"{"nodeSelector":{"$patch":"merge","b":"2"}}"#, to: target)["nodeSelector"]
        == tree(#"{"a":"1","b":"2"}"#))
  }

  @Test("puts a list in the order of $setElementOrder, items of the server between their neighbours")
  func setElementOrder() throws {
    let target = #"{"containers":[{"name":"a"},{"name":"server"},{"name":"b"},{"name":"c"}]}"#
    let patch =
      #"{"$setElementOrder/containers":[{"name":"c"},{"name":"b"},{"name":"a"}],"containers":[{"name":"b","image":"2"}]}"#
    let result = try apply(patch, to: target)
    #expect(names(result, "containers") == ["server", "c", "b", "a"])
    #expect(result["containers"][2]["image"] == "2")
  }

  @Test("reorders even when no item changes, and fails when the order list lacks an item of the patch")
  func setElementOrderAlone() throws {
    let result = try apply(#"{"$setElementOrder/containers":[{"name":"log"},{"name":"web"}]}"#, to: web)
    #expect(names(result, "containers") == ["log", "web"])
    do throws(APIStatus) {
      _ = try apply(#"{"$setElementOrder/containers":[{"name":"web"}],"containers":[{"name":"x"}]}"#, to: web)
      Issue.record("applied")
    } catch { #expect(error.code == 400) }
  }

  @Test("is what kubectl set image sends")
  func setImage() throws {
    let patch = tree(
      #"""
      {"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"web"}],
      "containers":[{"image":"a:2","name":"web"}]}}}}
      """#)
    let target = ApplyFixture.stored(
      #"{"spec":{"replicas":2,"template":{"spec":{"containers":[{"name":"web","image":"a:1"}]}}}}"#)
    let result = try StrategicMergePatch.apply(patch, to: target, structure: ApplyFixture.deployment)
    var expected = target
    expected["spec"]["template"]["spec"]["containers"] = [["name": "web", "image": "a:2", "resources": [:]]]
    #expect(result == expected)
  }

  @Test("drops other members of a union by $retainKeys")
  func retainKeys() throws {
    let target = #"{"volumes":[{"name":"v","emptyDir":{"medium":"Memory"}}]}"#
    let result = try apply(
      #"{"volumes":[{"$retainKeys":["name","secret"],"name":"v","secret":{"secretName":"s"}}]}"#, to: target)
    #expect(result == tree(#"{"volumes":[{"name":"v","secret":{"secretName":"s"}}]}"#))
    let strategy = try StrategicMergePatch.apply(
      tree(#"{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}"#),
      to: tree(#"{"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}}}"#), structure: ApplyFixture.spec)
    #expect(strategy == tree(#"{"strategy":{"type":"Recreate"}}"#))
    do throws(APIStatus) {
      _ = try apply(#"{"volumes":[{"$retainKeys":["name"],"name":"v","secret":{}}]}"#, to: target)
      Issue.record("applied")
    } catch { #expect(error.code == 400) }
  }

  @Test("unites lists of primitives and deletes from them")
  func primitiveLists() throws {
    func apply(_ patch: String) throws(APIStatus) -> JSONValue {
      try StrategicMergePatch.apply(
        tree(patch), to: tree(#"{"finalizers":["a","b"]}"#), structure: ApplyFixture.objectMeta)["finalizers"]
    }
    #expect(try apply(#"{"finalizers":["b","c"]}"#) == ["a", "b", "c"])
    #expect(try apply(#"{"$deleteFromPrimitiveList/finalizers":["a"]}"#) == ["b"])
    #expect(
      try apply(
        #"{"$setElementOrder/finalizers":["c","b"],"$deleteFromPrimitiveList/finalizers":["a"],"finalizers":["c"]}"#)
        == ["c", "b"])
  }

  @Test("replaces whole objects whose strategy says so")
  func replaceStrategy() throws {
    let result = try StrategicMergePatch.apply(
      tree(#"{"selector":{"matchLabels":{"b":"2"}}}"#), to: tree(#"{"selector":{"matchLabels":{"a":"1"}}}"#),
      structure: ApplyFixture.spec)
    #expect(result == tree(#"{"selector":{"matchLabels":{"b":"2"}}}"#))
  }

  @Test("merges what the schema does not know like any JSON, and leaves no directive behind")
  func unknownMembers() throws {
    let result = try apply(
      #"{"extra":{"a":{"x":null,"y":2},"list":[{"$patch":"delete","name":"gone"},{"$retainKeys":["name"],"name":"n"}]}}"#,
      to: #"{"extra":{"a":{"x":1}}}"#)
    #expect(result == tree(#"{"extra":{"a":{"y":2},"list":[{"name":"n"}]}}"#))
  }

  @Test(
    "with a malformed directive is a bad request",
    arguments: [
      #"{"nodeSelector":{"$patch":"explode"}}"#, #"{"containers":[{"$patch":"delete"}]}"#,
      #"{"containers":[{"image":"nameless"}]}"#, #"{"$setElementOrder/containers":{"name":"a"}}"#,
      #"{"$deleteFromPrimitiveList/args":"a"}"#, #"{"$retainKeys":"name"}"#,
    ])
  func malformed(patch: String) {
    do throws(APIStatus) {
      _ = try apply(patch, to: #"{"nodeSelector":{"a":"1"},"containers":[{"name":"web"}]}"#)
      Issue.record("applied \(patch)")
    } catch { #expect(error.code == 400) }
  }

  @Test("as kubectl computes it between two objects turns one into the other")
  func computedDifference() throws {
    var random = Seeded(seed: 17)
    func containers() -> [String: JSONValue] {
      var result: [String: JSONValue] = [:]
      for index in 0..<5 where random.next(2) == 0 {
        result["c\(index)"] = ["name": .string("c\(index)"), "image": .string("i\(random.next(3))")]
      }
      return result
    }
    func shuffled(_ items: [String: JSONValue]) -> [JSONValue] {
      var left = items.keys.sorted()
      return items.indices.map { _ in items[left.remove(at: random.next(left.count))]! }
    }
    for _ in 0..<200 {
      let (old, new) = (containers(), containers())
      let wanted = shuffled(new)
      var items = wanted.filter { $0 != old[$0["name"].string ?? ""] }
      for name in old.keys where new[name] == nil { items.append(["$patch": "delete", "name": .string(name)]) }
      let patch: JSONValue = [
        "$setElementOrder/containers": .array(wanted.map { ["name": $0["name"]] }), "containers": .array(items),
      ]
      let result = try StrategicMergePatch.apply(
        patch, to: ["containers": .array(shuffled(old))], structure: ApplyFixture.podSpec)
      #expect(result["containers"].elements == wanted)
      // What was patched already stays as it is.
      #expect(try StrategicMergePatch.apply(patch, to: result, structure: ApplyFixture.podSpec) == result)
    }
  }

  @Test("that is empty changes nothing")
  func empty() throws { #expect(try apply("{}", to: web) == tree(web)) }
}
