// Small changes of a valid object: each is something that a client once sent.
import JSON
import Schema

struct TreeMutation {
  /// The kind's schema, where the kind is built in.
  var structure: Structure?

  /// One to five changes. What was done is told in words.
  func mutate(_ object: inout JSONValue, _ random: inout FuzzRandom) -> [String] {
    let count = random.pick([1, 1, 1, 2, 2, 3, 5])
    return (0..<count).map { _ in mutateOnce(&object, &random) }
  }

  private func mutateOnce(_ object: inout JSONValue, _ random: inout FuzzRandom) -> String {
    switch random.below(24) {
    case 0, 1: return edit(&object, &random, "dropped") { value, _ in value = .null }
    case 2, 3, 4, 5: return edit(&object, &random, "retyped") { value, random in value = FuzzValues.junk(&random) }
    case 6, 7: return edit(&object, &random, "text changed") { value, random in Self.changeText(&value, &random) }
    case 8: return edit(&object, &random, "number changed") { value, random in Self.changeNumber(&value, &random) }
    case 9: return edit(&object, &random, "list changed") { value, random in Self.changeList(&value, &random) }
    case 10:
      return edit(&object, &random, "unknown member") { value, random in
        value[random.pick(["unknown", "x.y", "", "$patch"])] = FuzzValues.junk(&random)
      }
    case 11, 12, 13, 14: return enrich(&object, &random)
    case 15: return changeMetadata(&object, &random)
    case 16: return changeMetadata(&object, &random)
    case 17:
      object[random.pick(["kind", "apiVersion"])] = FuzzValues.junk(&random)
      return "another kind"
    case 18: return grow(&object, &random)
    case 19:
      let taken = value(in: object, at: Self.place(in: object, &random))
      return edit(&object, &random, "value of elsewhere") { value, _ in value = taken }
    case 20: return edit(&object, &random, "case of a member") { value, random in Self.changeCase(&value, &random) }
    case 21:
      object["status"] =
        structure?.member("status").map { FuzzValues.value(of: $0.type, named: "status", &random) }
        ?? FuzzValues.junk(&random)
      return "status"
    case 22:
      if let structure {
        object["spec"] = structure.member("spec").map { FuzzValues.value(of: $0.type, named: "spec", &random) } ?? .null
      }
      return "another spec"
    default: return edit(&object, &random, "retyped") { value, random in value = FuzzValues.junk(&random) }
    }
  }

  // MARK: Places

  private enum Step {
    case member(String)
    case element(Int)
  }

  /// A path to some value, the root excepted where there is anything below it.
  private static func place(in value: JSONValue, _ random: inout FuzzRandom) -> [Step] {
    var path: [Step] = []
    var value = value
    while true {
      switch value {
      case .object(let object) where !object.isEmpty:
        let member = object.members[random.below(object.count)]
        path.append(.member(member.key))
        value = member.value
      case .array(let array) where !array.isEmpty:
        let index = random.below(array.count)
        path.append(.element(index))
        value = array[index]
      default: return path
      }
      if path.count > 1, random.percent(25) { return path }
    }
  }

  private func value(in object: JSONValue, at path: [Step]) -> JSONValue {
    path.reduce(object) { value, step in
      switch step {
      case .member(let name): value[name]
      case .element(let index): value[index]
      }
    }
  }

  private func edit(
    _ object: inout JSONValue, _ random: inout FuzzRandom, _ what: String,
    _ body: (inout JSONValue, inout FuzzRandom) -> Void
  ) -> String {
    let path = Self.place(in: object, &random)
    Self.edit(&object, path[...], &random, body)
    return "\(what) at \(Self.text(path))"
  }

  private static func edit(
    _ value: inout JSONValue, _ path: ArraySlice<Step>, _ random: inout FuzzRandom,
    _ body: (inout JSONValue, inout FuzzRandom) -> Void
  ) {
    switch path.first {
    case nil: body(&value, &random)
    case .member(let name): edit(&value[name], path.dropFirst(), &random, body)
    case .element(let index):
      var element = value[index]
      edit(&element, path.dropFirst(), &random, body)
      value[index] = element
    }
  }

  private static func text(_ path: [Step]) -> String {
    path.map { step in
      switch step {
      case .member(let name): ".\(name.prefix(40))"
      case .element(let index): "[\(index)]"
      }
    }.joined()
  }

  // MARK: Changes

  private static func changeText(_ value: inout JSONValue, _ random: inout FuzzRandom) {
    guard case .string(let text) = value, !text.isEmpty else { return value = .string(FuzzValues.text(&random)) }
    let other = FuzzValues.text(&random)
    switch random.below(5) {
    case 0: value = .string(text + other)
    case 1: value = .string(other + text)
    case 2: value = .string(text.uppercased())
    case 3: value = .string(String(text.dropLast()))
    default: value = .string(other)
    }
  }

  private static func changeNumber(_ value: inout JSONValue, _ random: inout FuzzRandom) {
    guard case .integer(let number) = value, random.percent(50) else { return value = random.pick(FuzzValues.numbers) }
    value = .integer(random.pick([number &+ 1, number &- 1, 0 &- number, number &* 1000]))
  }

  private static func changeList(_ value: inout JSONValue, _ random: inout FuzzRandom) {
    guard case .array(var list) = value, !list.isEmpty else { return value = .array([value]) }
    switch random.below(4) {
    case 0: list.append(random.pick(list))
    case 1: list.reverse()
    case 2: list.removeLast()
    default: list.append(FuzzValues.junk(&random))
    }
    value = .array(list)
  }

  private static func changeCase(_ value: inout JSONValue, _ random: inout FuzzRandom) {
    guard case .object(let object) = value, !object.isEmpty else { return }
    let member = object.members[random.below(object.count)]
    value[member.key] = .null
    value[member.key.uppercased()] = member.value
  }

  /// Adds members that the schema has, with values that it allows.
  private func enrich(_ object: inout JSONValue, _ random: inout FuzzRandom) -> String {
    guard let structure else {
      return edit(&object, &random, "retyped") { value, random in value = FuzzValues.junk(&random) }
    }
    var told = "enriched"
    func descend(_ value: inout JSONValue, _ structure: Structure, _ levels: Int) {
      guard !structure.members.isEmpty else { return }
      let member = random.pick(structure.members)
      told += ".\(member.name)"
      let inner: (structure: Structure, isList: Bool)? =
        switch member.type {
        case .structure(let inner): (inner, false)
        case .array(.structure(let inner)): (inner, true)
        default: nil
        }
      guard let inner, levels > 0, random.percent(75) else {
        value[member.name] = FuzzValues.value(of: member.type, named: member.name, &random)
        return
      }
      if inner.isList {
        if value[member.name].elements.isEmpty {
          value[member.name] = [FuzzValues.object(of: inner.structure, &random, depth: 2)]
        }
        let index = random.below(value[member.name].elements.count)
        var element = value[member.name][index]
        descend(&element, inner.structure, levels - 1)
        value[member.name][index] = element
      } else {
        descend(&value[member.name], inner.structure, levels - 1)
      }
    }
    let top = structure.member(random.pick(["spec", "spec", "spec", "metadata", "status", "webhooks"]))
    if case .structure(let inner)? = top?.type, let top {
      told += ".\(top.name)"
      descend(&object[top.name], inner, 6)
    } else {
      descend(&object, structure, 6)
    }
    return told
  }

  private func changeMetadata(_ object: inout JSONValue, _ random: inout FuzzRandom) -> String {
    let name = random.pick([
      "name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
      "deletionTimestamp",
      "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers", "managedFields",
      "selfLink",
    ])
    var value: JSONValue
    switch name {
    case "labels", "annotations": value = [FuzzValues.text(&random): .string(FuzzValues.text(&random))].json
    case "finalizers": value = [.string(random.pick(["example.com/f", "orphan", "kubernetes", "a", ""]))]
    case "ownerReferences":
      value = [
        [
          "apiVersion": "v1", "kind": .string(random.pick(["ConfigMap", "Event", ""])), "name": "fuzz-0", "uid": "u-1",
          "controller": .bool(random.percent(50)),
        ]
      ]
    case "managedFields":
      value = [
        [
          "manager": "m", "operation": .string(random.pick(["Update", "Apply", "x"])), "apiVersion": "v1",
          "fieldsType": "FieldsV1",
          "time": "2026-01-01T00:00:00Z",
          "fieldsV1": ["f:metadata": ["f:labels": [".": [:], "k:{\"a\"": ["v:": [:]]]]],
        ]
      ]
    case "deletionTimestamp", "creationTimestamp": value = "2020-01-01T00:00:00Z"
    case "generation", "deletionGracePeriodSeconds": value = random.pick(FuzzValues.numbers)
    default: value = .string(FuzzValues.text(&random))
    }
    if random.percent(20) { value = FuzzValues.junk(&random) }
    object["metadata"][name] = value
    return "metadata.\(name)"
  }

  /// Makes something large: a text, a list, a map, or nesting.
  private func grow(_ object: inout JSONValue, _ random: inout FuzzRandom) -> String {
    let size = random.pick([1000, 5000, 20_000])
    let what = random.below(5)
    let grown: JSONValue
    switch what {
    case 0: grown = .string(String(repeating: "x", count: random.pick([70_000, 300_000, 1_200_000])))
    case 1: grown = .array((0..<size).map { .integer(Int64($0)) })
    case 2: grown = .array([JSONValue](repeating: ["name": "x"], count: size))
    case 3: grown = .object(JSONObject(uniqueMembers: (0..<size).map { ("k\($0)", .string("\($0)")) }))
    default: grown = (0..<random.pick([50, 400, 505])).reduce(JSONValue.array([])) { value, _ in .array([value]) }
    }
    let names = random.pick([
      ["metadata", "annotations"], ["metadata", "labels"], ["data"], ["spec"], ["metadata", "finalizers"],
    ])
    if names.count == 1 || random.percent(60) {
      object[path: names] = grown
    } else {
      let place = Self.place(in: object, &random)
      Self.edit(&object, place[...], &random) { value, _ in value = grown }
    }
    return "grown (\(what), \(size)) at \(names.joined(separator: "."))"
  }
}

extension [String: JSONValue] {
  fileprivate var json: JSONValue {
    .object(JSONObject(uniqueMembers: sorted { $0.key < $1.key }.map { ($0.key, $0.value) }))
  }
}
