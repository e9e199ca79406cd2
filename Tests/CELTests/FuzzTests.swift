// Whatever is written, nothing crashes and nothing runs for long.
import JSON
import Testing

@testable import CEL

@Suite struct FuzzTests {
  /// xorshift64: the same run for the same seed.
  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state
    }
  }

  private static let seeds = [
    "o.spec.replicas > 3 && has(o.spec.name)", "o.list.all(x, x.matches('^[a-z]+$'))",
    "[1, 2].map(x, x * 2).exists(y, y == 4)",
    "'%s-%d'.format(['a', 1])", "o.?a.?b.orValue(1) == 1 ? 'x' : \"y\"", "{'a': 1u, b'b': -2.5e3}['a']",
    "duration('1h') + timestamp('2020-01-01T00:00:00Z')",
    "r'\\d' + '''x''' + b\"\\x00\" in [null]", "sets.contains([1], [2]) || size('abc') % 2 == 1",
    "o.m.filter(k, k.startsWith('a')).join(',')",
    "type(o) == map && !(-1 < 0)", "quantity('1Gi').isGreaterThan(quantity('1'))",
    "ip('10.0.0.1').family() == 4 && cidr('10.0.0.0/8').containsIP('10.1.1.1')",
    "optional.of(1).optMap(x, x + 1).value()", "google.protobuf.Timestamp{seconds: 1}",
    "'a'.replace('', 'bb').split('b', 2)",
    "url('https://a:80/b?c=d').getQuery()", "((((((1))))))", "[[[[[[]]]]]]", "a.b.c.d.e.f.g", "!!!!!!true", "-----1",
  ]
  private static let pieces = [
    "(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "!",
    " in ",
    "o", "o.list", "x", "1", "-1", "1u", "2.5", "'a'", "\"", "'", "\\", "b'", "r'", "'''", "null", "true", ".all(x, ",
    ".map(x, ",
    ".exists_one(x, ", ".optMap(x, ", "has(", "size(", "dyn(", ".?", "[?", "\u{e9}", "\n", "\0", "//", "9999999999",
    "e9", "0x",
  ]

  @Test(arguments: [1, 2, 3, 4] as [UInt64])
  func mutatedExpressionsNeverCrash(seed: UInt64) {
    var generator = Generator(state: seed &* 0x9E37_79B9_7F4A_7C15)
    let expressions = Expressions([
      "o": ["spec": ["replicas": 3, "name": "n"], "list": ["a", "b"], "a": ["b": 1], "m": ["a": 1]], "x": 1,
    ])
    for _ in 0..<2500 {
      var text = Array(Self.seeds.randomElement(using: &generator)!.unicodeScalars)
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let place = Int.random(in: 0...text.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: text.insert(contentsOf: Self.pieces.randomElement(using: &generator)!.unicodeScalars, at: place)
        case 1 where place < text.count: text.remove(at: place)
        case 2:
          let other = Array(Self.seeds.randomElement(using: &generator)!.unicodeScalars)
          text.replaceSubrange(
            min(place, text.count)..., with: other.suffix(Int.random(in: 0...other.count, using: &generator)))
        default:
          let end = Int.random(in: place...text.count, using: &generator)
          text.insert(contentsOf: text[place..<end], at: place)
        }
      }
      var view = String.UnicodeScalarView()
      view.append(contentsOf: text)
      #expect(!expressions.outcome(String(view)).isEmpty)
    }
  }

  @Test func nestingOfEveryKindIsBounded() {
    let openings = ["(", "[", "{1:", "!", "-", "size(", "[1].map(x, ", "true ? ", "1 + (", "o.?", "o[", "'' in ["]
    for opening in openings {
      for count in [10, 100, 249, 251, 1000, 8000] {
        let outcome = Expressions(["o": ["a": 1]]).outcome(String(repeating: opening, count: count))
        #expect(outcome.hasPrefix("ERROR: "), "\(opening)")
      }
    }
    for link in [".a", "[0]", " + 1", " == 1", " * 2", ".map(x, x)"] {
      let outcome = Expressions(["o": ["a": 1]]).outcome("o" + String(repeating: link, count: 9000))
      #expect(outcome == "ERROR: <input>:-1:0: expression recursion limit exceeded: 250", "\(link)")
    }
  }
}
