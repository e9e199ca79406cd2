// What the compiler says, in the words of the reference.
import JSON
import Testing

@testable import CEL

@Suite struct MessageTests {
  private let operands =
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}"

  @Test func syntax() {
    Expressions(["a": 1, "b": 2]).check([
      Row(
        "a ==", "ERROR: <input>:1:5: Syntax error: mismatched input '<EOF>' expecting \(operands)\n | a ==\n | ....^"),
      Row("", "ERROR: <input>:1:1: Syntax error: mismatched input '<EOF>' expecting \(operands)\n | \n | ^"),
      Row("a b", "ERROR: <input>:1:3: Syntax error: extraneous input 'b' expecting <EOF>\n | a b\n | ..^"),
      Row("a b c", "ERROR: <input>:1:3: Syntax error: mismatched input 'b' expecting <EOF>\n | a b c\n | ..^"),
      Row("(a", "ERROR: <input>:1:3: Syntax error: missing ')' at '<EOF>'\n | (a\n | ..^"),
      Row("a.", "ERROR: <input>:1:3: Syntax error: no viable alternative at input '.'\n | a.\n | ..^"),
      Row(
        "*@a | b",
        """
        ERROR: <input>:1:1: Syntax error: extraneous input '*' expecting \(operands)
         | *@a | b
         | ^
        ERROR: <input>:1:2: Syntax error: token recognition error at: '@'
         | *@a | b
         | .^
        ERROR: <input>:1:5: Syntax error: token recognition error at: '| '
         | *@a | b
         | ....^
        ERROR: <input>:1:7: Syntax error: extraneous input 'b' expecting <EOF>
         | *@a | b
         | ......^
        """),
      Row(
        "1 + $",
        """
        ERROR: <input>:1:5: Syntax error: token recognition error at: '$'
         | 1 + $
         | ....^
        ERROR: <input>:1:6: Syntax error: mismatched input '<EOF>' expecting \(operands)
         | 1 + $
         | .....^
        """),
      Row("if", "ERROR: <input>:1:1: reserved identifier: if\n | if\n | ^"),
      Row("99999999999999999999", "ERROR: <input>:1:1: invalid int literal\n | 99999999999999999999\n | ^"),
      Row("99999999999999999999u", "ERROR: <input>:1:1: invalid uint literal\n | 99999999999999999999u\n | ^"),
      Row("has(a)", "ERROR: <input>:1:5: invalid argument to has() macro\n | has(a)\n | ....^"),
      Row("[a].all(1, true)", "ERROR: <input>:1:9: argument must be a simple name\n | [a].all(1, true)\n | ........^"),
      Row(
        "a\n  + ", "ERROR: <input>:2:5: Syntax error: mismatched input '<EOF>' expecting \(operands)\n |   + \n | ....^"
      ),
    ])
  }

  @Test func types() {
    Expressions(["a": 1]).check([
      Row(
        "1 + 'a'",
        "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | 1 + 'a'\n | ..^"),
      Row("x", "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x\n | ^"),
      Row("x.y.z", "ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x.y.z\n | ^"),
      Row("f(1)", "ERROR: <input>:1:2: undeclared reference to 'f' (in container '')\n | f(1)\n | .^"),
      Row("a.f()", "ERROR: <input>:1:4: undeclared reference to 'f' (in container '')\n | a.f()\n | ...^"),
      Row(
        "'a'.startsWith(1)",
        "ERROR: <input>:1:15: found no matching overload for 'startsWith' applied to 'string.(int)'\n | 'a'.startsWith(1)\n | ..............^"
      ),
      Row(
        "1 && true",
        "ERROR: <input>:1:3: found no matching overload for '_&&_' applied to '(int, bool)'\n | 1 && true\n | ..^"),
      Row("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^"),
      Row(
        "{'a': 1, 'b': 'c'}",
        "ERROR: <input>:1:15: expected type 'int' but found 'string'\n | {'a': 1, 'b': 'c'}\n | ..............^"),
      Row("'a'.b", "ERROR: <input>:1:4: type 'string' does not support field selection\n | 'a'.b\n | ...^"),
      Row(
        "1.all(x, true)",
        "ERROR: <input>:1:1: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)\n | 1.all(x, true)\n | ^"
      ),
      Row(
        "true ? 1 : 'a'",
        "ERROR: <input>:1:6: found no matching overload for '_?_:_' applied to '(bool, int, string)'\n | true ? 1 : 'a'\n | .....^"
      ),
      Row(
        "[1].all(x, x)",
        "ERROR: <input>:1:8: found no matching overload for '_&&_' applied to '(bool, int)'\n | [1].all(x, x)\n | .......^"
      ),
      Row("[1][0].x", "ERROR: <input>:1:7: type 'int' does not support field selection\n | [1][0].x\n | ......^"),
      Row(
        "Pod{name: 'x'}",
        "ERROR: <input>:1:4: undeclared reference to 'Pod' (in container '')\n | Pod{name: 'x'}\n | ...^"),
      Row("'a'.matches('(')", "ERROR: <input>:1:13: invalid matches argument\n | 'a'.matches('(')\n | ............^"),
      Row(
        "'é' + 1",
        "ERROR: <input>:1:5: found no matching overload for '_+_' applied to '(string, int)'\n | 'é' + 1\n | .．..^"),
      Row(
        "'a' + 1 + x",
        "ERROR: <input>:1:5: found no matching overload for '_+_' applied to '(string, int)'\n | 'a' + 1 + x\n | ....^\nERROR: <input>:1:11: undeclared reference to 'x' (in container '')\n | 'a' + 1 + x\n | ..........^"
      ),
    ])
  }

  @Test func limits() {
    let deep = String(repeating: "(", count: 300) + "1" + String(repeating: ")", count: 300)
    #expect(Expressions().outcome(deep) == "ERROR: <input>:-1:0: expression recursion limit exceeded: 250")
    let chain = "1" + String(repeating: " + 1", count: 300)
    #expect(Expressions().outcome(chain) == "ERROR: <input>:-1:0: expression recursion limit exceeded: 250")
    let wide = Array(repeating: "true", count: 5000).joined(separator: " && ")
    #expect(Expressions().outcome(wide) == "true")
    let long = "'" + String(repeating: "a", count: 100_001) + "'"
    #expect(
      Expressions().outcome(long)
        == "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100003, limit 100000")
  }
}
