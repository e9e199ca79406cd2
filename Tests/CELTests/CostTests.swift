// What expressions cost: the figures decide which rules a custom resource may have.
import JSON
import Testing

@testable import CEL

@Suite struct CostTests {
  private func estimate(_ expression: String, schema: JSONValue) throws -> CELCostRange {
    let declared = try #require(CELSchema.openAPI(schema))
    return try CELEnvironment(variables: [CELVariable("self", declared)]).compile(expression).estimatedCost
  }

  private func object(_ properties: JSONValue) -> JSONValue { ["type": "object", "properties": properties] }

  @Test func worstCasesFollowTheSizesOfSchemas() throws {
    let text = object(["s": ["type": "string", "maxLength": 10]])
    let rows: [(String, JSONValue, UInt64)] = [
      ("true", text, 0), ("has(self.s)", text, 1), ("self.s == 'abc'", text, 3), ("self.s.startsWith('abc')", text, 3),
      ("self.s.size() > 3", text, 4), ("self.s.contains('abc')", text, 6), ("self.s.matches('a+b')", text, 7),
      ("self.a + self.b > 3", object(["a": ["type": "integer"], "b": ["type": "integer"]]), 6),
      ("self.a.all(x, x > 1)", object(["a": ["type": "array", "maxItems": 5, "items": ["type": "integer"]]]), 28),
      (
        "self.a.all(x, x == 'a')",
        object(["a": ["type": "array", "maxItems": 2, "items": ["type": "string", "maxLength": 5]]]), 13
      ),
      ("[1, 2].exists(x, x == 1)", text, 23), ("self.a ? 1 == 1 : 2 == 2", object(["a": ["type": "boolean"]]), 3),
    ]
    for (expression, schema, expected) in rows {
      #expect(try estimate(expression, schema: schema).maximum == expected, "\(expression)")
    }
  }

  @Test func whatNothingBoundsIsBoundedByTheLargestRequest() throws {
    let lists = object(["a": ["type": "array", "items": ["type": "string"]]])
    // 3 MiB less two brackets, three bytes an element; each turn of the loop compares at most "a".
    #expect(try estimate("self.a.all(x, x == 'a')", schema: lists).maximum > 1_000_000)
    #expect(try estimate("self.a.all(x, self.a.all(y, x == y))", schema: lists).maximum > 1_000_000_000_000)
  }

  @Test func evaluationEndsAtItsLimit() throws {
    let list = JSONValue.array((0..<2000).map { .integer(Int64($0)) })
    let expressions = Expressions(["l": list])
    let program = try expressions.environment.compile("l.all(x, l.all(y, x + y >= 0))")
    let evaluation = program.evaluate(expressions.bindings)
    guard case .failure(let error) = evaluation.result else {
      Issue.record("it should cost too much")
      return
    }
    #expect(error.message == "operation cancelled: actual cost limit exceeded")
    #expect(error.isCostExceeded)
    #expect(evaluation.cost > CELLimits.costPerCall)
    // No logic hides it.
    #expect(
      expressions.outcome("l.all(x, l.all(y, x + y >= 0)) || true")
        == "error: operation cancelled: actual cost limit exceeded")
  }

  @Test func actualCostsAreThoseOfTheReference() throws {
    let expressions = Expressions(["o": ["a": 1, "s": "aaaaaaaaaa", "l": [1, 2, 3]]])
    let rows: [(String, UInt64)] = [
      ("true", 0), ("o.a", 2), ("o.a == 1", 3), ("o.s == o.s", 5), ("has(o.a)", 1), ("o.s.startsWith('aa')", 3),
      ("o.s.contains('aa')", 3), ("o.l[0]", 3), ("size(o.l)", 3), ("true ? o.a : 2", 1),
    ]
    for (expression, expected) in rows {
      let program = try expressions.environment.compile(expression)
      #expect(program.evaluate(expressions.bindings).cost == expected, "\(expression)")
    }
  }

  @Test func textsAndListsThatDoubleEndBeforeMemoryDoes() {
    let expressions = Expressions(["s": .string(String(repeating: "a", count: 100_000))])
    let outcome = expressions.outcome("s.replace('a', s)")
    #expect(outcome == "error: operation cancelled: actual cost limit exceeded")
  }
}
