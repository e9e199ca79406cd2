// The grammar of label selectors in query strings, token for token as the reference reads it, since clients show its
// error messages.
import JSON

struct LabelSelectorParser {
  private enum Token {
    case error, endOfString, closedParenthesis, comma, doesNotExist, doubleEquals, equals, greaterThan, identifier, `in`
    case lessThan, notEquals, notIn, openParenthesis
  }
  private typealias Item = (token: Token, literal: String)

  private static let symbols: [String: Token] = [
    ")": .closedParenthesis, ",": .comma, "!": .doesNotExist, "==": .doubleEquals, "=": .equals, ">": .greaterThan,
    "<": .lessThan, "!=": .notEquals, "(": .openParenthesis,
  ]

  private var items: [Item] = []
  private var position = 0

  init(_ text: String) {
    let bytes = Array(text.utf8)
    var at = 0
    repeat {
      items.append(Self.nextItem(bytes, &at))
    } while items.last?.token != .endOfString
      && items.last?.token != .error
  }

  // MARK: Tokens

  private static func isSymbol(_ byte: UInt8) -> Bool { "=!(),><".utf8.contains(byte) }
  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d }

  private static func nextItem(_ bytes: [UInt8], _ at: inout Int) -> Item {
    while at < bytes.count, isSpace(bytes[at]) { at += 1 }
    guard at < bytes.count else { return (.endOfString, "") }
    let start = at
    if isSymbol(bytes[at]) { return symbol(bytes, &at) }
    while at < bytes.count, !isSymbol(bytes[at]), !isSpace(bytes[at]) { at += 1 }
    let word = String(decoding: bytes[start..<at], as: UTF8.self)
    return switch word {
    case "in": (.in, word)
    case "notin": (.notIn, word)
    default: (.identifier, word)
    }
  }

  /// The longest symbol that begins here.
  private static func symbol(_ bytes: [UInt8], _ at: inout Int) -> Item {
    if at + 2 <= bytes.count {
      let two = String(decoding: bytes[at..<at + 2], as: UTF8.self)
      if let token = symbols[two] {
        at += 2
        return (token, two)
      }
    }
    let one = String(decoding: bytes[at..<at + 1], as: UTF8.self)
    at += 1
    return symbols[one].map { ($0, one) } ?? (.error, "error expected: keyword found '\(one)'")
  }

  /// `in` and `notin` are words like others except where an operator is expected.
  private func lookAhead(forOperator: Bool = false) -> Item {
    guard position < items.count else { return (.endOfString, "") }
    let item = items[position]
    if !forOperator, item.token == .in || item.token == .notIn { return (.identifier, item.literal) }
    return item
  }

  private mutating func consume(forOperator: Bool = false) -> Item {
    let item = lookAhead(forOperator: forOperator)
    position += 1
    return item
  }

  // MARK: Grammar

  mutating func parse() throws(LabelSelectorError) -> [LabelSelector.Requirement] {
    var requirements: [LabelSelector.Requirement] = []
    while true {
      let next = lookAhead()
      switch next.token {
      case .identifier, .doesNotExist:
        do throws(LabelSelectorError) {
          requirements.append(try requirement())
        } catch {
          throw LabelSelectorError("unable to parse requirement: \(error)")
        }
        let separator = consume()
        switch separator.token {
        case .endOfString: return requirements
        case .comma:
          let after = lookAhead()
          guard after.token == .identifier || after.token == .doesNotExist else {
            throw LabelSelectorError("found '\(after.literal)', expected: identifier after ','")
          }
        default: throw LabelSelectorError("found '\(separator.literal)', expected: ',' or 'end of string'")
        }
      case .endOfString: return requirements
      default: throw LabelSelectorError("found '\(next.literal)', expected: !, identifier, or 'end of string'")
      }
    }
  }

  private mutating func requirement() throws(LabelSelectorError) -> LabelSelector.Requirement {
    var item = consume()
    let isNegated = item.token == .doesNotExist
    if isNegated { item = consume() }
    guard item.token == .identifier else {
      throw LabelSelectorError("found '\(item.literal)', expected: identifier")
    }
    let key = item.literal
    let keyErrors = Validate.qualifiedName(key)
    guard keyErrors.isEmpty else {
      // The reference's path is nil here and prints so.
      throw LabelSelectorError(FieldErrorText.invalid("<nil>", .string(key), keyErrors.joined(separator: "; ")))
    }
    if isNegated { return try .init(key: key, operator: .doesNotExist, values: []) }
    let next = lookAhead()
    if next.token == .endOfString || next.token == .comma {
      return try .init(key: key, operator: .exists, values: [])
    }
    let found = consume(forOperator: true)
    let parsed: LabelSelector.Operator =
      switch found.token {
      case .in: .in
      case .notIn: .notIn
      case .equals: .equals
      case .doubleEquals: .doubleEquals
      case .notEquals: .notEquals
      case .greaterThan: .greaterThan
      case .lessThan: .lessThan
      default: throw LabelSelectorError("found '\(found.literal)', expected: in, notin, =, ==, !=, gt, lt")
      }
    let values = parsed == .in || parsed == .notIn ? try valueList() : [try exactValue()]
    return try .init(key: key, operator: parsed, values: values)
  }

  private mutating func exactValue() throws(LabelSelectorError) -> String {
    let next = lookAhead()
    if next.token == .endOfString || next.token == .comma { return "" }
    let item = consume()
    guard item.token == .identifier else {
      throw LabelSelectorError("found '\(item.literal)', expected: identifier")
    }
    return item.literal
  }

  private mutating func valueList() throws(LabelSelectorError) -> [String] {
    let open = consume()
    guard open.token == .openParenthesis else { throw LabelSelectorError("found '\(open.literal)' expected: '('") }
    let next = lookAhead()
    switch next.token {
    case .identifier, .comma:
      let values = try identifiers()
      guard consume().token == .closedParenthesis else {
        throw LabelSelectorError("found '\(next.literal)', expected: ')'")
      }
      return values
    case .closedParenthesis:
      _ = consume()
      return [""]
    default: throw LabelSelectorError("found '\(next.literal)', expected: ',', ')' or identifier")
    }
  }

  private mutating func identifiers() throws(LabelSelectorError) -> [String] {
    var values: [String] = []
    while true {
      let item = consume()
      switch item.token {
      case .identifier:
        values.append(item.literal)
        let next = lookAhead()
        switch next.token {
        case .comma: continue
        case .closedParenthesis: return values
        default: throw LabelSelectorError("found '\(next.literal)', expected: ',' or ')'")
        }
      case .comma:
        // "(," and ",)" and ",," each hold an empty value.
        if values.isEmpty { values.append("") }
        let next = lookAhead()
        if next.token == .closedParenthesis { return values + [""] }
        if next.token == .comma {
          _ = consume()
          values.append("")
        }
      default: throw LabelSelectorError("found '\(item.literal)', expected: ',', or identifier")
      }
    }
  }
}
