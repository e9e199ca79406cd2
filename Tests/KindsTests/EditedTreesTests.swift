// What an edit has not reached is not looked at again: with that and without it, the outcome is the same.
import JSON
import Schema
import SeedSupport
import Testing

@testable import Kinds

/// Edits of the same kind that clients, admission and patches make, and worse ones, at places chosen by seed.
private struct Editor {
  private var random: SeededRandom
  private let whole: JSONValue

  init(seed: UInt64, of whole: JSONValue) {
    random = SeededRandom(seed: seed)
    self.whole = whole
  }

  private mutating func number(below bound: Int) -> Int { Int.random(in: 0..<max(1, bound), using: &random) }

  mutating func edited() -> JSONValue {
    var tree = whole
    for _ in 0...number(below: 3) { edit(&tree, depth: 1 + number(below: 7)) }
    return tree
  }

  private mutating func edit(_ value: inout JSONValue, depth: Int) {
    if depth > 0 {
      switch value {
      case .object(let object) where !object.isEmpty:
        let key = object.members[number(below: object.count)].key
        var member = object[key] ?? .null
        edit(&member, depth: depth - 1)
        return value[key] = member
      case .array(var elements) where !elements.isEmpty:
        let index = number(below: elements.count)
        edit(&elements[index], depth: depth - 1)
        return value = .array(elements)
      default: break
      }
    }
    change(&value)
  }

  private mutating func change(_ value: inout JSONValue) {
    switch number(below: 9) {
    case 0: value = .null
    case 1: value = [:]
    case 2: value = []
    case 3: value = 0
    case 4: value = ""
    case 5: value = part(of: whole, depth: number(below: 6))
    case 6:
      if case .array(var elements) = value {
        elements.append(elements.first ?? "one")
        value = .array(elements)
      } else {
        value["unknown"] = "member"
      }
    default:
      if case .object(let object) = value {
        var members = object.members
        members.shuffle(using: &random)
        value = .object(JSONObject(uniqueMembers: members))
      } else if case .array(let elements) = value {
        value = .array(elements.reversed())
      }
    }
  }

  /// Some part of the tree, to stand where it does not belong.
  private mutating func part(of value: JSONValue, depth: Int) -> JSONValue {
    guard depth > 0 else { return value }
    switch value {
    case .object(let object) where !object.isEmpty:
      return part(of: object.members[number(below: object.count)].value, depth: depth - 1)
    case .array(let elements) where !elements.isEmpty:
      return part(of: elements[number(below: elements.count)], depth: depth - 1)
    default: return value
    }
  }
}

@Suite("A tree that was edited")
struct EditedTreesTests {
  private struct Outcome: Equatable {
    var text = ""
    var strictErrors: [String] = []
    var error = ""

    init(_ decode: () throws(TypeError) -> TypedDecoder.Result) {
      do throws(TypeError) {
        let result = try decode()
        text = result.value.description
        strictErrors = result.strictErrors
      } catch {
        self.error = error.description
      }
    }
  }

  @Test("is decoded as if nothing were known of it", arguments: TypeTable.builtIn.kinds)
  func decoded(name: String) throws {
    let structure = try #require(TypeTable.builtIn[name])
    var maker = FullObject(seed: 1)
    let canonical = try TypedDecoder.decode(maker.object(structure), as: structure).value
    var editor = Editor(seed: 1, of: canonical)
    var differing = 0
    for _ in 0..<60 {
      let edited = editor.edited()
      let plain = Outcome { () throws(TypeError) in try TypedDecoder.decode(edited, as: structure) }
      let shortened = Outcome { () throws(TypeError) in
        try TypedDecoder.decode(edited, as: structure, editedSince: canonical)
      }
      #expect(plain == shortened)
      if edited.description != canonical.description { differing += 1 }
    }
    #expect(differing > 20)
  }

  @Test(
    "has the defaults that it had, and is the same memory where none was missing", arguments: TypeTable.builtIn.kinds)
  func defaulted(name: String) throws {
    let structure = try #require(TypeTable.builtIn[name])
    var maker = FullObject(seed: 2)
    var object = try TypedDecoder.decode(maker.object(structure), as: structure).value
    structure.applyDefaults(to: &object)
    let before = object
    structure.applyDefaults(to: &object)
    #expect(object.isShared(with: before))
    var editor = Editor(seed: 2, of: object)
    for _ in 0..<20 {
      var edited = TypedDecoder.canonicalized(editor.edited(), as: structure)
      structure.applyDefaults(to: &edited)
      let once = edited
      structure.applyDefaults(to: &edited)
      #expect(edited.description == once.description)
    }
  }
}
