// Regular expressions of the API: the syntax of RE2, in linear time.
import Schema
import Testing

@Suite struct RegularExpressionTests {
  @Test(arguments: [
    ("^[a-z]+$", "abc", true), ("^[a-z]+$", "abC", false), ("b", "abc", true), ("^$", "", true),
    ("^(\\d+|(\\d+-\\d+))$", "10-20", true), ("^a{2,3}$", "aaaa", false), ("^a{2,3}$", "aaa", true),
    ("a{,2}", "a{,2}", true), ("^[^/]+$", "a/b", false), ("^[\\w.-]+@[a-z]+\\.[a-z]{2,}$", "me.x@example.org", true),
    ("(?i)^HELLO$", "hello", true), ("^(?:a|b)*c$", "ababc", true), ("^[[:alpha:]]+$", "abC", true),
    ("^\\p{Lu}", "Äb", true), ("\\bfoo\\b", "a foo b", true), ("\\bfoo\\b", "afoo", false), ("^.$", "\n", false),
    ("(?s)^.$", "\n", true), ("^[]a]+$", "]a", true), ("^[a-]+$", "a-", true), ("\\Qa.b\\E", "a.b", true),
    ("\\Qa.b\\E", "axb", false), ("^\\x41\\x{42}$", "AB", true), ("(?m)^b$", "a\nb\nc", true),
  ])
  func aPatternMatches(_ pattern: String, _ text: String, _ expected: Bool) throws {
    #expect(try RegularExpression(pattern).matches(text) == expected)
  }

  @Test(arguments: [
    ("(", "missing closing ): `(`"), (")", "unexpected ): `)`"), ("*", "missing argument to repetition operator: `*`"),
    ("[a", "missing closing ]: `[a`"), ("[z-a]", "invalid character class range: `z-a`"),
    ("\\y", "invalid escape sequence: `\\y`"), ("a{1001}", "invalid repeat count: `{1001}`"),
    ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"), ("a**", "invalid nested repetition operator: `**`"),
    ("a\\", "trailing backslash at end of expression: ``"), ("(a)\\1", "invalid escape sequence: `\\1`"),
  ])
  func aWrongPatternSaysWhy(_ pattern: String, _ message: String) {
    #expect { try RegularExpression(pattern) } throws: { error in
      "\(error)" == "error parsing regexp: \(message)"
    }
  }

  @Test func theLeftmostMatchIsFoundAndThePreferredOfThose() throws {
    let scalars = Array("xxaaab".unicodeScalars)
    #expect(try RegularExpression("a+").firstMatch(in: scalars) == 2..<5)
    #expect(try RegularExpression("a+?").firstMatch(in: scalars) == 2..<3)
    #expect(try RegularExpression("a|aa").firstMatch(in: scalars) == 2..<3)
    #expect(try RegularExpression("b").firstMatch(in: scalars, from: 3) == 5..<6)
    #expect(try RegularExpression("c").firstMatch(in: scalars) == nil)
  }

  @Test func aPatternThatBacktrackersChokeOnCostsLittle() throws {
    let text = String(repeating: "a", count: 5_000)
    #expect(try RegularExpression("^(a+)+$").matches(text + "b") == false)
    #expect(throws: RegularExpression.ParseError.self) {
      try RegularExpression("((a{1000}){1000}){1000}")
    }
    #expect(throws: RegularExpression.ParseError.self) {
      try RegularExpression(String(repeating: "(", count: 10_000))
    }
  }
}
