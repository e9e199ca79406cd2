// One step of a path in its written form, see FieldSet.
import JSON

enum PathElement {
  static func field(_ name: String) -> String { "f:" + name }
  static func index(_ index: Int) -> String { "i:\(index)" }
  static func value(_ value: JSONValue) -> String { "v:" + value.description }

  /// `k:{"containerPort":80,"protocol":"TCP"}`: the keys in order of their names, as `keys` must be.
  static func keys(_ keys: [(name: String, value: JSONValue)]) -> String {
    var out: [UInt8] = Array("k:{".utf8)
    for (index, key) in keys.enumerated() {
      if index > 0 { out.append(UInt8(ascii: ",")) }
      JSONValue.write(key.name, to: &out)
      out.append(UInt8(ascii: ":"))
      key.value.write(to: &out)
    }
    out.append(UInt8(ascii: "}"))
    return String(decoding: out, as: UTF8.self)
  }

  /// The kinds of elements in their order: fields, keys, values, indexes.
  private static func rank(_ element: String) -> Int? {
    guard element.utf8.count >= 2, element.utf8.dropFirst().first == UInt8(ascii: ":") else { return nil }
    switch element.utf8.first {
    case UInt8(ascii: "f"): return 0
    case UInt8(ascii: "k"): return 1
    case UInt8(ascii: "v"): return 2
    case UInt8(ascii: "i"): return 3
    default: return nil
    }
  }

  static func isValid(_ element: String) -> Bool { rank(element) != nil }

  /// The element with the keys of an item in order: clients may write them in any.
  static func canonical(_ element: String) -> String {
    guard rank(element) == 1, element.utf8.contains(UInt8(ascii: ",")),
      let value = try? JSONValue(parsing: String(element.dropFirst(2))), case .object(var object) = value
    else { return element }
    object.sortKeys()
    return keys(object.map { ($0.key, $0.value) })
  }

  /// The order in which FieldsV1 lists elements. Numbers in keys and values are compared as numbers.
  static func precedes(_ left: String, _ right: String) -> Bool {
    let (leftKind, rightKind) = (left.utf8.first, right.utf8.first)
    if leftKind == rightKind {
      return leftKind == UInt8(ascii: "f") ? left < right : precedesNumerically(left.utf8, right.utf8)
    }
    return rank(left) ?? 4 < rank(right) ?? 4
  }

  private static func precedesNumerically(_ left: String.UTF8View, _ right: String.UTF8View) -> Bool {
    var (leftIndex, rightIndex) = (left.startIndex, right.startIndex)
    var tokenStart = (leftIndex, rightIndex)
    while leftIndex < left.endIndex, rightIndex < right.endIndex, left[leftIndex] == right[rightIndex] {
      if left[leftIndex] == UInt8(ascii: ":") {
        tokenStart = (left.index(after: leftIndex), right.index(after: rightIndex))
      }
      left.formIndex(after: &leftIndex)
      right.formIndex(after: &rightIndex)
    }
    if let leftNumber = number(left[tokenStart.0...]), let rightNumber = number(right[tokenStart.1...]) {
      return leftNumber < rightNumber
    }
    if leftIndex == left.endIndex || rightIndex == right.endIndex { return rightIndex != right.endIndex }
    return left[leftIndex] < right[rightIndex]
  }

  /// The integer at the beginning of a token.
  private static func number(_ token: String.UTF8View.SubSequence) -> Int? {
    let digits = token.prefix { (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") }
    return digits.isEmpty ? nil : Int(String(Substring(digits)))
  }

  /// The element as error messages write it: `.image`, `[name="c"]`, `[="x"]`, `[0]`.
  static func text(_ element: String) -> String {
    let rest = element.dropFirst(2)
    switch rank(element) {
    case 0: return ".\(rest)"
    case 1:
      guard let value = try? JSONValue(parsing: String(rest)), case .object(let object) = value else {
        return "[\(rest)]"
      }
      return "[" + object.map { "\($0.key)=\($0.value)" }.joined(separator: ",") + "]"
    case 2: return "[=\(rest)]"
    default: return "[\(rest)]"
    }
  }
}
