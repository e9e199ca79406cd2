import Schema
// Regular expressions, row by row: RE2's syntax, Go's messages, linear time.
import Testing

@Suite struct RegularExpressionTableTests {
  @Test func matching() throws {
    let rows: [(pattern: String, text: String, matches: Bool)] = [
      ("abc", "xabcx", true), ("^abc$", "xabcx", false), ("^abc$", "abc", true), ("a|b", "b", true), ("a*", "", true),
      ("^a+$", "", false),
      ("^a?b$", "b", true), ("^(ab)+$", "ababab", true), ("^(ab)+$", "aba", false), ("^[a-z]+$", "abz", true),
      ("^[^a-z]+$", "ABZ", true),
      ("^[]a]+$", "]a]", true), ("^[a-]+$", "a-", true), ("^[\\d_]+$", "12_3", true), ("^\\w+\\s\\S$", "ab c", true),
      ("^\\D\\W$", "a-", true),
      (".", "\n", false), ("(?s).", "\n", true), ("(?i)^abc$", "ABC", true), ("^(?i:a)b$", "Ab", true),
      ("^(?i:a)b$", "AB", false),
      ("(?m)^b$", "a\nb\nc", true), ("^b$", "a\nb\nc", false), ("\\bfoo\\b", "a foo b", true),
      ("\\bfoo\\b", "afoob", false), ("^a{2,3}$", "aaa", true),
      ("^a{2,3}$", "aaaa", false), ("^a{2}$", "aa", true), ("^a{2,}$", "aaaaa", true), ("^a{,2}$", "a{,2}", true),
      ("^\\x41\\x{1F600}$", "A😀", true),
      ("^\\p{L}+$", "éßЖ", true), ("^\\pN+$", "12", true), ("^\\P{L}$", "1", true), ("^[\\p{Lu}\\d]+$", "A1", true),
      ("^\\p{Greek}+$", "αβγ", true),
      ("^[[:alpha:]]+$", "abZ", true), ("^[[:^alpha:]]+$", "12", true), ("^\\Qa.b\\E$", "a.b", true),
      ("^(?P<n>a)(?<m>b)$", "ab", true), ("^\\.$", ".", true),
      ("\\Aab\\z", "ab", true), ("(|a)*", "aaa", true), ("(a*)*$", "b", true), ("^é$", "é", true), ("x{0}y", "y", true),
      ("^(?:a|ab)(?:c|bcd)$", "abcd", true),
      ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "my-name-1", true), ("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "my-name-", false),
      ("[^\\x00-\\x7f]", "abc", false),
    ]
    for row in rows {
      #expect(try RegularExpression(row.pattern).matches(row.text) == row.matches, "\(row.pattern) on \(row.text)")
    }
  }

  @Test func messagesAreThoseOfGo() {
    let rows: [(String, String)] = [
      ("(", "missing closing ): `(`"), ("a)", "unexpected ): `a)`"), ("[a", "missing closing ]: `[a`"),
      ("*", "missing argument to repetition operator: `*`"),
      ("a**", "invalid nested repetition operator: `**`"), ("[z-a]", "invalid character class range: `z-a`"),
      ("a{1001}", "invalid repeat count: `{1001}`"),
      ("a{2,1}", "invalid repeat count: `{2,1}`"), ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
      ("(?<=a)", "invalid or unsupported Perl syntax: `(?<`"),
      ("\\y", "invalid escape sequence: `\\y`"), ("a\\", "trailing backslash at end of expression: ``"),
      ("\\1", "invalid escape sequence: `\\1`"),
      ("\\pX", "invalid character class range: `\\pX`"), ("(?P<n", "invalid named capture: `(?P<n`"),
    ]
    for (pattern, message) in rows {
      do {
        _ = try RegularExpression(pattern)
        Issue.record("\(pattern) is no pattern")
      } catch {
        #expect(error.description == "error parsing regexp: \(message)", "\(pattern)")
      }
    }
  }

  @Test func nothingTakesForever() throws {
    let text = String(repeating: "a", count: 20_000)
    #expect(try !RegularExpression("^(a+)+$").matches(text + "b"))
    #expect(try !RegularExpression("(a|aa)*b$").matches(text))
    #expect(throws: RegularExpression.ParseError.self) { try RegularExpression("((a{100}){100}){100}") }
    #expect(throws: RegularExpression.ParseError.self) {
      try RegularExpression(String(repeating: "(", count: 100_000))
    }
  }
}
