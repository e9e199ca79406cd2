// Literals that can never be right: durations, timestamps and patterns are tried while compiling.
import Schema

enum LiteralValidation {
  static func validate(_ checked: CheckedExpression) throws(CELIssues) {
    var issues: [CELIssue] = []
    visit(checked.parsed.root) { expression in
      guard case .call(let target, let function, let arguments) = expression.kind,
        let argument = arguments.last, case .literal(.string(let text)) = argument.kind,
        isWrong(text, function, target, arguments)
      else { return }
      let place = checked.parsed.source.position(of: checked.parsed.offsets[argument.id])
      issues.append(CELIssue(line: place.line, column: place.column, message: "invalid \(function) argument"))
    }
    guard issues.isEmpty else { throw CELIssues(issues, in: checked.parsed.source) }
  }

  private static func isWrong(
    _ text: String, _ function: String, _ target: Expression?, _ arguments: [Expression]
  ) -> Bool {
    switch function {
    case "duration" where target == nil: DurationText.nanoseconds(text) == nil
    case "timestamp" where target == nil: (try? CELValue.string(text).toTimestamp()) == nil
    case "matches" where arguments.count == (target == nil ? 2 : 1): (try? RegularExpression(text)) == nil
    default: false
    }
  }

  private static func visit(_ expression: Expression, _ body: (Expression) -> Void) {
    body(expression)
    switch expression.kind {
    case .literal, .identifier, .structure: break
    case .select(let operand, _, _): visit(operand, body)
    case .call(let target, _, let arguments):
      if let target { visit(target, body) }
      for argument in arguments { visit(argument, body) }
    case .list(let elements, _): for element in elements { visit(element, body) }
    case .map(let entries):
      for entry in entries {
        visit(entry.key, body)
        visit(entry.value, body)
      }
    case .comprehension(let loop):
      for part in [loop.range, loop.initial, loop.condition, loop.step, loop.result] { visit(part, body) }
    }
  }
}
