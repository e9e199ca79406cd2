// Patches of every type, right and wrong.
import JSON
import Schema

struct PatchMaker {
  let sample: JSONValue
  let mutation: TreeMutation

  func make(_ random: inout FuzzRandom) -> (contentType: String, body: JSONValue, told: String) {
    switch random.below(10) {
    case 0, 1, 2: return ("application/json-patch+json", operations(&random), "JSON patch")
    case 3, 4: return ("application/merge-patch+json", partial(&random), "merge patch")
    case 5, 6, 7:
      var body = partial(&random)
      for _ in 0...random.below(3) { direct(&body, &random, depth: 0) }
      return ("application/strategic-merge-patch+json", body, "strategic patch")
    default:
      var body = sample
      let told = random.percent(70) ? mutation.mutate(&body, &random).joined(separator: ", ") : "as it is"
      return ("application/apply-patch+yaml", body, "apply: \(told)")
    }
  }

  // MARK: JSON patch

  private func operations(_ random: inout FuzzRandom) -> JSONValue {
    if random.percent(3) {
      let operation: JSONValue = random.pick([
        ["op": "copy", "from": "/metadata", "path": "/metadata/annotations"], ["op": "test", "path": "", "value": nil],
        ["op": "add", "path": "/metadata/finalizers/0", "value": "a/b"], ["op": "copy", "from": "", "path": "/spec"],
        ["op": "move", "from": "/metadata/labels", "path": "/metadata/annotations"],
      ])
      return .array([JSONValue](repeating: operation, count: random.pick([50, 9999, 10_001])))
    }
    return .array((0..<(1 + random.below(4))).map { _ in operation(&random) })
  }

  private func operation(_ random: inout FuzzRandom) -> JSONValue {
    var operation: JSONValue = [
      "op": .string(random.pick(["add", "add", "replace", "replace", "remove", "move", "copy", "test", "spam", ""])),
      "path": .string(pointer(&random)),
    ]
    if random.percent(85) {
      operation["value"] = random.percent(40) ? .string("a") : FuzzValues.junk(&random)
    }
    if random.percent(40) { operation["from"] = .string(pointer(&random)) }
    if random.percent(4) { operation["path"] = FuzzValues.junk(&random) }
    return operation
  }

  private func pointer(_ random: inout FuzzRandom) -> String {
    if random.percent(8) { return FuzzValues.text(&random) }
    var text = ""
    var value = sample
    while true {
      switch value {
      case .object(let object) where !object.isEmpty:
        let member = object.members[random.below(object.count)]
        text += "/" + member.key.split(separator: "/", omittingEmptySubsequences: false).joined(separator: "~1")
        value = member.value
      case .array(let array) where !array.isEmpty:
        text += "/" + random.pick(["0", "-", "1", "00", "-1", "99999999999999999999"])
        value = array[0]
      default: return text
      }
      if random.percent(25) { return text + random.pick(["", "", "/new", "/", "/~2"]) }
    }
  }

  // MARK: Merge patches

  /// Some of the sample's members, changed.
  private func partial(_ random: inout FuzzRandom) -> JSONValue {
    guard case .object(let object) = sample else { return sample }
    var body: JSONValue = [:]
    for (key, value) in object where random.percent(50) { body[key] = value }
    if random.percent(80) { _ = mutation.mutate(&body, &random) }
    if random.percent(20), case .object(var members) = body {
      members[random.pick(["spec", "metadata", "status", "data"])] = .null
      body = .object(members)
    }
    return body
  }

  /// Puts a directive somewhere.
  private func direct(_ value: inout JSONValue, _ random: inout FuzzRandom, depth: Int) {
    switch value {
    case .array(var list) where !list.isEmpty:
      let index = random.below(list.count)
      direct(&list[index], &random, depth: depth + 1)
      value = .array(list)
    case .object(let object) where !object.isEmpty && random.percent(80) && depth < 8:
      let key = object.members[random.below(object.count)].key
      var member = object[key] ?? .null
      direct(&member, &random, depth: depth + 1)
      if !member.isNull { value[key] = member }
    default: break
    }
    guard case .object(let object) = value, random.percent(40) else { return }
    let name = object.isEmpty ? "a" : object.members[random.below(object.count)].key
    let list: JSONValue =
      random.percent(20)
      ? FuzzValues.junk(&random) : [.string("a"), ["name": "main"], ["containerPort": 80], .integer(1)]
    switch random.below(6) {
    case 0, 1:
      value["$patch"] =
        random.percent(85) ? .string(random.pick(["replace", "delete", "merge"])) : FuzzValues.junk(&random)
    case 2: value["$retainKeys"] = random.percent(50) ? [.string(name)] : list
    case 3: value["$setElementOrder/\(name)"] = list
    case 4: value["$deleteFromPrimitiveList/\(name)"] = list
    default: value["$\(FuzzValues.text(&random).prefix(20))"] = FuzzValues.junk(&random)
    }
  }
}
