import JSON
import Schema
import Testing

@Suite("Selectors")
struct SelectorTests {
  @Test(
    "label selectors are read and printed canonically",
    arguments: [
      ("", ""), ("a=b", "a=b"), ("a==b", "a==b"), ("b!=c,a", "a,b!=c"), ("x in (c,a,b)", "x in (a,b,c)"),
      ("x notin (a)", "x notin (a)"), ("!x", "!x"), ("a=", "a="), ("a in ()", "a in ()"), ("a in (,b)", "a in (,b)"),
      ("in in (in,notin)", "in in (in,notin)"), ("n>5", "n>5"), ("n<5", "n<5"), (" a  =  b , c ", "a=b,c"),
      ("example.com/a.b=c_d", "example.com/a.b=c_d"),
    ])
  func labels(text: String, canonical: String) throws {
    #expect(try LabelSelector(parsing: text).description == canonical)
  }

  @Test(
    "label selectors that are none are refused in the reference's words",
    arguments: [
      ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
      ("a,", "found '', expected: identifier after ','"),
      ("=b", "found '=', expected: !, identifier, or 'end of string'"),
      ("a in b", "unable to parse requirement: found 'b' expected: '('"),
      ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
      ("!!a", "unable to parse requirement: found '!', expected: identifier"),
      ("a=b c", "found 'c', expected: ',' or 'end of string'"),
      (
        "a=b$",
        "unable to parse requirement: values[0][a]: Invalid value: \"b$\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
      ),
      (
        "n>x",
        "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"
      ),
    ])
  func labelErrors(text: String, message: String) {
    #expect(throws: LabelSelectorError.self) { try LabelSelector(parsing: text) }
    do { _ = try LabelSelector(parsing: text) } catch { #expect(error.description == message) }
  }

  @Test("label selectors match")
  func matching() throws {
    let labels = ["app": "web", "tier": "7"]
    for text in ["", "app=web", "app!=db", "x!=y", "app in (db,web)", "app", "!x", "tier>6", "tier<8", "x notin (a)"] {
      #expect(try LabelSelector(parsing: text).matches(labels), "\(text)")
    }
    for text in ["app=db", "app!=web", "x", "!app", "tier>7", "x in (a)", "app>1", "app notin (web)"] {
      #expect(try !LabelSelector(parsing: text).matches(labels), "\(text)")
    }
    #expect(try LabelSelector(parsing: "app=web").matches(["app": "web"] as JSONValue))
  }

  @Test("the object form selects; absent selects nothing, empty everything")
  func objects() throws {
    #expect(try !LabelSelector(.null).matches([String: String]()))
    #expect(try LabelSelector([:] as JSONValue).matches([String: String]()))
    let selector = try LabelSelector([
      "matchLabels": ["a": "b"],
      "matchExpressions": [
        ["key": "c", "operator": "NotIn", "values": ["d"]], ["key": "e", "operator": "Exists"],
      ],
    ])
    #expect(selector.description == "a=b,c notin (d),e")
    #expect(selector.matches(["a": "b", "e": ""]))
    #expect(throws: LabelSelectorError.self) {
      try LabelSelector(["matchExpressions": [["key": "c", "operator": "Like"]]] as JSONValue)
    }
  }

  @Test("field selectors are read with their escapes, matched and printed")
  func fields() throws {
    let selector = try FieldSelector(parsing: #"metadata.name=a\,b\=c\\,status.phase!=Running"#)
    #expect(selector.requiredValue(of: "metadata.name") == #"a,b=c\"#)
    #expect(selector.description == #"metadata.name=a\,b\=c\\,status.phase!=Running"#)
    #expect(selector.matches { $0 == "metadata.name" ? #"a,b=c\"# : "Pending" })
    #expect(selector.firstUnsupported(among: ["metadata.name"]) == "status.phase")
    #expect(throws: FieldSelector.ParseError.self) { try FieldSelector(parsing: "abc") }
    #expect(throws: FieldSelector.ParseError.self) { try FieldSelector(parsing: "a=b=c") }
    #expect(throws: FieldSelector.ParseError.self) { try FieldSelector(parsing: #"a=\x"#) }
    #expect(try FieldSelector(parsing: "").isEverything)
    #expect(try FieldSelector(parsing: "spec.nodeName==").requiredValue(of: "spec.nodeName") == "")
  }
}
