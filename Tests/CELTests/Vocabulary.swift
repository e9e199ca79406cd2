// How the stories about expressions are told: text in, text out.
import JSON
import Testing

@testable import CEL

/// An expression and what it comes to: a value as it is written, or "error: …", or the compiler's messages.
struct Row: CustomStringConvertible, Sendable {
  let expression: String
  let expected: String
  init(_ expression: String, _ expected: String) {
    self.expression = expression
    self.expected = expected
  }
  var description: String { "\(expression) → \(expected)" }
}

/// Variables as documents; expressions see them as they are.
struct Expressions {
  var environment: CELEnvironment
  var bindings = CELBindings()

  init(_ documents: [String: JSONValue] = [:], libraries: CELEnvironment.Libraries = .newExpressions) {
    environment = CELEnvironment(variables: documents.keys.map { CELVariable($0) }, libraries: libraries)
    for (name, document) in documents { bindings[name] = CELValue(document) }
  }

  /// A variable seen through its OpenAPI schema.
  init(_ name: String, _ document: JSONValue, schema: JSONValue, isResourceRoot: Bool = false) throws {
    let declared = try #require(CELSchema.openAPI(schema, isResourceRoot: isResourceRoot))
    environment = CELEnvironment(variables: [CELVariable(name, declared)])
    bindings[name] = try CELValue(document, as: declared)
  }

  func outcome(_ expression: String) -> String {
    do throws(CELIssues) {
      let program = try environment.compile(expression)
      switch program.evaluate(bindings).result {
      case .success(let value): return value.written
      case .failure(let error): return "error: \(error.message)"
      }
    } catch {
      return error.description
    }
  }

  func check(_ rows: [Row], sourceLocation: SourceLocation = #_sourceLocation) {
    for row in rows {
      let outcome = outcome(row.expression)
      #expect(outcome == row.expected, "\(row.expression)", sourceLocation: sourceLocation)
    }
  }
}

extension CELValue {
  /// The value as a literal would be written.
  var written: String {
    switch self {
    case .null: "null"
    case .string(let text): TextFunctions.quoted(text)
    case .uint(let number): "\(number)u"
    case .bytes(let bytes): "b\(bytes)"
    case .list(let list): "[\(((try? list.values()) ?? []).map(\.written).joined(separator: ", "))]"
    case .map(let map):
      "{"
        + map.keys().map { key in
          let value = CELKey(key).flatMap { try? map.value($0) }
          return "\(key.written): \(value?.written ?? "?")"
        }.joined(separator: ", ") + "}"
    case .optional(let content): content.map { "optional(\($0.written))" } ?? "none"
    case .double(let number): GoNumber.text(number) + (number == number.rounded() && number.magnitude < 1e6 ? ".0" : "")
    default: shown
    }
  }
}
