import JSON
import Testing

@Suite("A tree becomes a document")
struct WriterTests {
  @Test("strings are escaped where they must be and nowhere else")
  func strings() {
    #expect(JSONValue.string("plain é 😀").description == "\"plain é 😀\"")
    #expect(JSONValue.string("a\"b\\c/d").description == #""a\"b\\c/d""#)
    #expect(
      JSONValue.string("\u{0}\u{1f}\u{8}\t\n\u{c}\r\u{7f}").description == "\"\\u0000\\u001f\\b\\t\\n\\f\\r\u{7f}\"")
    #expect(JSONValue.string("0123456789\n0123456789").description == #""0123456789\n0123456789""#)
    #expect(JSONValue.string("").description == "\"\"")
  }

  @Test(
    "numbers are written as Go writes them",
    arguments: [
      (1.0, "1"), (1.5, "1.5"), (0.1, "0.1"), (-2.25, "-2.25"), (100_000, "100000"), (1e20, "100000000000000000000"),
      (1e21, "1e+21"), (1.5e22, "1.5e+22"), (0.000001, "0.000001"), (0.0000001, "1e-7"), (1.25e-9, "1.25e-9"),
      (123456.789, "123456.789"), (0, "0"), (Double.leastNonzeroMagnitude, "5e-324"),
      (1.7976931348623157e308, "1.7976931348623157e+308"),
      (0.05, "0.05"), (12345678901234567168, "12345678901234567000"),
    ] as [(Double, String)])
  func doubles(value: Double, text: String) throws {
    #expect(JSONValue.double(value).description == text)
    #expect(Double(text) == value)
  }

  @Test("integers are written whole")
  func integers() {
    for value in [0, -1, 10, .max, .min] as [Int64] {
      #expect(JSONValue.integer(value).description == String(value))
    }
  }

  @Test("indented documents")
  func pretty() {
    let value: JSONValue = ["a": [1, ["b": nil]], "c": [:], "d": []]
    let expected = """
      {
        "a": [
          1,
          {
            "b": null
          }
        ],
        "c": {},
        "d": []
      }

      """
    #expect(String(decoding: value.prettyBytes(), as: UTF8.self) == expected)
  }
}
