// Regular expressions inside expressions.
import Schema

/// A pattern that was compiled with its expression, standing where its text stood.
struct CompiledPattern: CELOpaque {
  let expression: RegularExpression

  var typeName: String { "string" }
  var costSize: UInt64 { UInt64(expression.pattern.unicodeScalars.count) }
  func equals(_ other: any CELOpaque) -> Bool {
    (other as? CompiledPattern)?.expression.pattern == expression.pattern
  }

  /// The functions whose second argument is a pattern.
  static let functions: Set<String> = ["matches", "find", "findAll"]

  /// The expression an argument holds, compiled now or before.
  static func expression(_ argument: CELValue) throws(CELError) -> RegularExpression? {
    switch argument {
    case .opaque(let value): return (value as? CompiledPattern)?.expression
    case .string(let pattern):
      do throws(RegularExpression.ParseError) { return try RegularExpression(pattern) } catch {
        throw CELError(error.description)
      }
    default: return nil
    }
  }
}

extension RegularExpression {
  /// All matches from left to right that do not overlap, `limit` at most where it is not negative. An empty match next
  /// to the match before it is none.
  func allMatches(in text: String, limit: Int = -1) -> [String] {
    let scalars = Array(text.unicodeScalars)
    var found: [String] = []
    var place = 0
    var previousEnd = -1
    while limit < 0 || found.count < limit, place <= scalars.count, let range = firstMatch(in: scalars, from: place) {
      if !(range.isEmpty && range.lowerBound == previousEnd) {
        found.append(TextFunctions.string(scalars[range]))
        previousEnd = range.upperBound
      }
      place = range.isEmpty ? range.upperBound + 1 : range.upperBound
    }
    return found
  }
}
