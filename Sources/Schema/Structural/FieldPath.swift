// JSONPath, as printer columns, selectable fields and scales of custom resources use it.
import JSON

/// A path into an object: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`.
public struct FieldPath: Sendable {
  public struct ParseError: Error, Sendable, CustomStringConvertible {
    public let description: String
  }

  private indirect enum Step: Sendable {
    case member(String)
    case index(Int)
    case slice(Int?, Int?)
    case all
    case anywhere(String)
    case filter(Filter)
  }

  private struct Filter: Sendable {
    var path: [Step]
    /// nil: it is enough that something is there.
    var comparison: String?
    var operand: JSONValue
  }

  public let text: String
  private let steps: [Step]

  public init(_ text: String) throws(ParseError) {
    self.text = text
    var parser = Parser(text)
    steps = try parser.path()
    guard parser.isAtEnd else { throw ParseError(description: "unexpected text in path \"\(text)\"") }
  }

  /// The names of a path of members only, which is what scales and selectors take; nil for any other.
  public var names: [String]? {
    var names: [String] = []
    for step in steps {
      guard case .member(let name) = step else { return nil }
      names.append(name)
    }
    return names
  }

  /// Everything the path leads to, in the order of the document.
  /// - Note: what a path leads to only after `looksMaximum` others is left out.
  public func values(in object: JSONValue) -> [JSONValue] {
    var looks = Self.looksMaximum
    return Self.values([object], steps, &looks)
  }

  /// Values looked at on the way, more than an object that can be stored has. `..a..a..a` finds what is nested sixty deep
  /// in tens of thousands of ways, and each further `..a` multiplies them.
  private static let looksMaximum = 1_000_000

  private static func values(_ start: [JSONValue], _ steps: [Step], _ looks: inout Int) -> [JSONValue] {
    var values = start
    for step in steps {
      var found: [JSONValue] = []
      for value in values where looks > 0 { next(step, value, &found, &looks) }
      values = found
      if values.isEmpty { break }
    }
    return values
  }

  private static func next(_ step: Step, _ value: JSONValue, _ found: inout [JSONValue], _ looks: inout Int) {
    looks -= 1
    switch step {
    case .member(let name): if let member = value.object?[name] { found.append(member) }
    case .index(let index):
      let items = value.elements
      let position = index < 0 ? items.count + index : index
      if items.indices.contains(position) { found.append(items[position]) }
    case .slice(let from, let to):
      let items = value.elements
      func bound(_ index: Int?, _ absent: Int) -> Int {
        let position = index.map { $0 < 0 ? items.count + $0 : $0 } ?? absent
        return min(max(position, 0), items.count)
      }
      let (low, high) = (bound(from, 0), bound(to, items.count))
      if low < high { found += items[low..<high] }
      looks -= max(0, high - low)
    case .all:
      let before = found.count
      if let object = value.object { found += object.map(\.value) } else { found += value.elements }
      looks -= found.count - before
    case .anywhere(let name): anywhere(name, value, &found, &looks)
    case .filter(let filter):
      for item in value.elements where looks > 0 && holds(filter, item, &looks) { found.append(item) }
    }
  }

  private static func anywhere(_ name: String, _ value: JSONValue, _ found: inout [JSONValue], _ looks: inout Int) {
    looks -= 1
    switch value {
    case .object(let object):
      for member in object where looks > 0 {
        if member.key == name { found.append(member.value) }
        anywhere(name, member.value, &found, &looks)
      }
    case .array(let items): for item in items where looks > 0 { anywhere(name, item, &found, &looks) }
    default: return
    }
  }

  private static func holds(_ filter: Filter, _ value: JSONValue, _ looks: inout Int) -> Bool {
    let found = values([value], filter.path, &looks)
    guard let comparison = filter.comparison else { return !found.isEmpty }
    guard let left = found.first else { return false }
    let order = order(left, filter.operand)
    switch comparison {
    case "==": return left == filter.operand || order == 0
    case "!=": return left != filter.operand && order != 0
    case "<": return order.map { $0 < 0 } ?? false
    case "<=": return order.map { $0 <= 0 } ?? false
    case ">": return order.map { $0 > 0 } ?? false
    default: return order.map { $0 >= 0 } ?? false
    }
  }

  private static func order(_ left: JSONValue, _ right: JSONValue) -> Int? {
    func number(_ value: JSONValue) -> Double? {
      switch value {
      case .integer(let number): Double(number)
      case .double(let number): number
      default: nil
      }
    }
    if let left = number(left), let right = number(right) { return left < right ? -1 : left > right ? 1 : 0 }
    if let left = left.string, let right = right.string { return left < right ? -1 : left > right ? 1 : 0 }
    return nil
  }

  // MARK: - Parsing

  private struct Parser {
    /// Filters within filters; deeper paths are refused, not recursed into.
    private static let depthMaximum = 8
    private let text: String
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var depth = 0

    init(_ text: String) {
      self.text = text
      scalars = Array(text.unicodeScalars)
    }

    var isAtEnd: Bool { position == scalars.count }
    private var next: Unicode.Scalar? { isAtEnd ? nil : scalars[position] }
    private func failure(_ why: String) -> ParseError { ParseError(description: "\(why) in path \"\(text)\"") }
    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
      guard next == scalar else { return false }
      position += 1
      return true
    }
    private mutating func skipBlanks() { while next == " " { position += 1 } }

    mutating func path() throws(ParseError) -> [Step] {
      var steps: [Step] = []
      _ = take("$")
      while let scalar = next {
        switch scalar {
        case ".":
          position += 1
          if take(".") {
            steps.append(.anywhere(try name()))
          } else if take("*") {
            steps.append(.all)
          } else if next != nil, next != "[", next != ")" {
            steps.append(.member(try name()))
          }
        case "[": steps.append(try bracket())
        default:
          guard steps.isEmpty, depth == 0 else { return steps }
          steps.append(.member(try name()))
        }
      }
      return steps
    }

    private mutating func name() throws(ParseError) -> String {
      var name = String.UnicodeScalarView()
      while let scalar = next, !".[]()=!<> ,{}".unicodeScalars.contains(scalar) {
        position += 1
        if scalar == "\\", let escaped = next {
          name.append(escaped)
          position += 1
        } else {
          name.append(scalar)
        }
      }
      guard !name.isEmpty else { throw failure("a name is missing") }
      return String(name)
    }

    private mutating func quoted(_ quote: Unicode.Scalar) throws(ParseError) -> String {
      var value = String.UnicodeScalarView()
      while let scalar = next, scalar != quote {
        position += 1
        if scalar == "\\", let escaped = next {
          value.append(escaped)
          position += 1
        } else {
          value.append(scalar)
        }
      }
      guard take(quote) else { throw failure("a quote is not closed") }
      return String(value)
    }

    private mutating func integer() -> Int? {
      let start = position
      _ = take("-")
      while let scalar = next, ("0"..."9").contains(scalar) {
        _ = scalar
        position += 1
      }
      let digits = scalars[start..<position].map(String.init).joined()
      guard let value = Int(digits) else {
        position = start
        return nil
      }
      return value
    }

    private mutating func bracket() throws(ParseError) -> Step {
      position += 1
      let step: Step
      if take("*") {
        step = .all
      } else if take("'") {
        step = .member(try quoted("'"))
      } else if take("\"") {
        step = .member(try quoted("\""))
      } else if take("?") {
        guard take("(") else { throw failure("( is missing") }
        step = .filter(try filter())
        guard take(")") else { throw failure(") is missing") }
      } else {
        let first = integer()
        if take(":") {
          step = .slice(first, integer())
        } else if let first {
          step = .index(first)
        } else {
          throw failure("invalid array index")
        }
      }
      guard take("]") else { throw failure("unterminated array") }
      return step
    }

    private mutating func filter() throws(ParseError) -> Filter {
      depth += 1
      defer { depth -= 1 }
      guard depth <= Self.depthMaximum else { throw failure("filters nest too deeply") }
      skipBlanks()
      guard take("@") else { throw failure("@ is missing") }
      var filter = Filter(path: try path(), comparison: nil, operand: .null)
      skipBlanks()
      for comparison in ["==", "!=", "<=", ">=", "<", ">"]
      where scalars[position...].starts(with: comparison.unicodeScalars) {
        position += comparison.unicodeScalars.count
        filter.comparison = comparison
        break
      }
      guard filter.comparison != nil else { return filter }
      skipBlanks()
      filter.operand = try operand()
      skipBlanks()
      return filter
    }

    private mutating func operand() throws(ParseError) -> JSONValue {
      if take("\"") { return .string(try quoted("\"")) }
      if take("'") { return .string(try quoted("'")) }
      let start = position
      while let scalar = next, scalar != ")", scalar != " " {
        _ = scalar
        position += 1
      }
      let word = scalars[start..<position].map(String.init).joined()
      guard let value = try? JSONValue(parsing: word) else { throw failure("\(word) is no value") }
      return value
    }
  }
}
