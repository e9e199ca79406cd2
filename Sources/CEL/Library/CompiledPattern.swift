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
      do throws(RegularExpression.SyntaxError) { return try RegularExpression(pattern) } catch {
        throw CELError(error.description)
      }
    default: return nil
    }
  }
}
