// The language itself: one row for each thing a reader of the specification would try.
import JSON
import Testing

@testable import CEL

@Suite struct LanguageTests {
  @Test func literals() {
    Expressions().check([
      Row("1", "1"), Row("-1", "-1"), Row("- 1", "-1"), Row("--1", "1"), Row("0x1F", "31"), Row("-0x1F", "-31"),
      Row("7u", "7u"), Row("0xffU", "255u"), Row("9223372036854775807", "9223372036854775807"),
      Row("-9223372036854775808", "-9223372036854775808"), Row("18446744073709551615u", "18446744073709551615u"),
      Row("1.5", "1.5"), Row(".5", "0.5"), Row("1e3", "1000.0"), Row("-2.5e-1", "-0.25"),
      Row("true", "true"), Row("false", "false"), Row("null", "null"),
      Row("'abc'", "\"abc\""), Row("\"a'b\"", "\"a'b\""), Row("'a\\'b'", "\"a'b\""), Row("r'a\\nb'", "\"a\\\\nb\""),
      Row("'a\\nb'", "\"a\\nb\""), Row("'''a'b\nc'''", "\"a'b\\nc\""), Row("'\\u00e9\\U0001F600'", "\"é😀\""),
      Row("'\\x41\\101'", "\"AA\""), Row("b'ab'", "b[97, 98]"), Row("b'\\xff\\377'", "b[255, 255]"),
      Row("b'é'", "b[195, 169]"), Row("[1, 2, 3]", "[1, 2, 3]"), Row("[1, 2,]", "[1, 2]"), Row("[]", "[]"),
      Row("{}", "{}"), Row("{'a': 1, 'b': 2}", "{\"a\": 1, \"b\": 2}"), Row("{1: 'x',}", "{1: \"x\"}"),
      Row("1 // one", "1"), Row("// nothing\n1", "1"),
    ])
  }

  @Test func arithmetic() {
    Expressions().check([
      Row("1 + 2 * 3", "7"), Row("(1 + 2) * 3", "9"), Row("7 / 2", "3"), Row("-7 / 2", "-3"), Row("7 % 3", "1"),
      Row("-7 % 3", "-1"), Row("7u / 2u", "3u"), Row("1.5 + 2.0", "3.5"), Row("1.0 / 0.0", "+Inf"),
      Row("1 / 0", "error: division by zero"), Row("1 % 0", "error: modulus by zero"),
      Row("1u / 0u", "error: division by zero"), Row("9223372036854775807 + 1", "error: integer overflow"),
      Row("-9223372036854775808 - 1", "error: integer overflow"),
      Row("9223372036854775807 * 2", "error: integer overflow"),
      Row("-9223372036854775808 / -1", "error: integer overflow"),
      Row("-(-9223372036854775808)", "error: integer overflow"),
      Row("-9223372036854775808 % -1", "error: integer overflow"),
      Row("0u - 1u", "error: unsigned integer overflow"),
      Row("18446744073709551615u + 1u", "error: unsigned integer overflow"),
      Row("'a' + 'b'", "\"ab\""), Row("b'a' + b'b'", "b[97, 98]"), Row("[1] + [2]", "[1, 2]"),
      Row("10 - 2 - 3", "5"), Row("100 / 10 / 2", "5"), Row("-(1 + 2)", "-3"), Row("!true", "false"),
      Row("!!true", "true"),
    ])
  }

  @Test func comparisonAndEqualityAcrossNumbers() {
    Expressions(["n": 3, "d": .double(3.5)]).check([
      Row("1 < 2", "true"), Row("2 <= 2", "true"), Row("3 > 4", "false"), Row("'a' < 'b'", "true"),
      Row("b'a' < b'b'", "true"), Row("false < true", "true"), Row("1 < 1.5", "true"), Row("1u < 2", "true"),
      Row("-1 < 0u", "true"), Row("1.0 == dyn(1)", "true"), Row("dyn(1) == dyn(1u)", "true"),
      Row("dyn(1) == dyn('1')", "false"), Row("dyn(1) != dyn('1')", "true"), Row("n == 3", "true"),
      Row("n < d", "true"), Row("d > 3", "true"), Row("dyn(9007199254740993) == dyn(9007199254740992.0)", "false"),
      Row("dyn(18446744073709551615u) > dyn(9223372036854775807)", "true"),
      Row("double('NaN') == double('NaN')", "false"), Row("double('NaN') < 1.0", "false"),
      Row("[1, 2] == [1, 2]", "true"), Row("[1, 2] == [2, 1]", "false"), Row("[dyn(1)] == [dyn(1.0)]", "true"),
      Row("{'a': 1} == {'a': 1}", "true"), Row("{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "true"),
      Row("{'a': 1} == {'a': 2}", "false"), Row("null == null", "true"), Row("dyn(null) == dyn(0)", "false"),
      Row("dyn('a') < dyn(1)", "error: no such overload"), Row("type(1) == int", "true"),
      Row("type('a') == type('b')", "true"), Row("type(type(1)) == type", "true"),
      Row("type(null) == null_type", "true"),
      Row("type([]) == list && type({}) == map", "true"), Row("type(n) == int", "true"),
      Row("type(d) == double", "true"),
      Row("type(timestamp(0)) == google.protobuf.Timestamp", "true"),
    ])
  }

  @Test func logicAbsorbsErrors() {
    Expressions(["o": ["a": 1]]).check([
      Row("true && false", "false"), Row("true || false", "true"), Row("false && o.missing", "false"),
      Row("o.missing == 1 && false", "false"), Row("o.missing == 1 || true", "true"),
      Row("true || o.missing == 1", "true"),
      Row("o.missing == 1 && true", "error: no such key: missing"),
      Row("false || o.missing == 1", "error: no such key: missing"),
      Row("o.missing == 1 || o.other == 1", "error: no such key: missing"),
      Row("o.a == 1 ? 'yes' : 'no'", "\"yes\""), Row("false ? o.missing : 5", "5"),
      Row("o.missing ? 1 : 2", "error: no such key: missing"), Row("dyn(1) ? 1 : 2", "error: no such overload"),
      Row("1 > 0 ? (2 > 1 ? 'a' : 'b') : 'c'", "\"a\""), Row("dyn(1) && true", "error: no such overload"),
      Row("true && true && true && false || true", "true"),
    ])
  }

  @Test func membersAndElements() {
    let object: JSONValue = [
      "name": "x", "list": [10, 20, 30], "nested": ["deep": ["er": true]], "empty": nil, "labels": ["a/b": "c"],
    ]
    Expressions(["o": object, "i": 1]).check([
      Row("o.name", "\"x\""), Row("o['name']", "\"x\""), Row("o.nested.deep.er", "true"), Row("o.list[0]", "10"),
      Row("o.list[i]", "20"), Row("o.list[i + 1]", "30"), Row("o.list[2.0]", "30"), Row("o.list[2u]", "30"),
      Row("o.list[3]", "error: index out of bounds: 3"), Row("o.list[-1]", "error: index out of bounds: -1"),
      Row("o.list['x']", "error: unsupported index type 'string' in list"),
      Row("o.labels['a/b']", "\"c\""), Row("o.labels['z']", "error: no such key: z"),
      Row("o.missing", "error: no such key: missing"), Row("o.missing.more", "error: no such key: missing"),
      Row("o.name.first", "error: no such key: first"), Row("o.empty", "null"), Row("o.empty == null", "true"),
      Row("has(o.name)", "true"), Row("has(o.missing)", "false"), Row("has(o.empty)", "true"),
      Row("has(o.nested.deep)", "true"), Row("has(o.missing.deep)", "error: no such key: missing"),
      Row("has(o.name.first)", "false"), Row("'name' in o", "true"), Row("'zzz' in o", "false"),
      Row("20 in o.list", "true"),
      Row("dyn('x') in o.list", "false"), Row("1 in [1, 2]", "true"), Row("3 in {3: 'a'}", "true"),
      Row("size(o.list)", "3"), Row("o.list.size()", "3"), Row("size(o)", "5"), Row("size('héé')", "3"),
      Row("size(b'héé')", "5"), Row("[1, 2, 3][1]", "2"), Row("[1][5]", "error: index out of bounds: 5"),
      Row("{'a': {'b': 1}}.a.b", "1"), Row("{1: 'one'}[1]", "\"one\""), Row("{dyn(1): 'one'}[dyn(1.0)]", "\"one\""),
      Row(
        "size(1)", "ERROR: <input>:1:5: found no matching overload for 'size' applied to '(int)'\n | size(1)\n | ....^"),
      Row("size(dyn(1))", "error: no such overload: size(int)"),
      Row("{'a': 1, 'a': 2}", "error: Failed with repeated key"),
    ])
  }

  @Test func comprehensions() {
    Expressions(["l": [1, 2, 3, 4], "o": ["a": 1, "b": 2], "z": [0, 1]]).check([
      Row("l.all(x, x > 0)", "true"), Row("l.all(x, x > 1)", "false"), Row("l.exists(x, x == 3)", "true"),
      Row("l.exists(x, x == 9)", "false"), Row("l.exists_one(x, x > 3)", "true"),
      Row("l.exists_one(x, x > 2)", "false"),
      Row("l.map(x, x * 2)", "[2, 4, 6, 8]"), Row("l.map(x, x > 2, x * 10)", "[30, 40]"),
      Row("l.filter(x, x % 2 == 0)", "[2, 4]"),
      Row("o.all(k, o[k] > 0)", "true"), Row("o.map(k, k)", "[\"a\", \"b\"]"), Row("o.exists(k, k == 'b')", "true"),
      Row("o.filter(k, o[k] == 2)", "[\"b\"]"), Row("[].all(x, x > 0)", "true"), Row("[].exists(x, x > 0)", "false"),
      Row("[[1, 2], [3]].map(x, x.map(y, y + size(x)))", "[[3, 4], [4]]"), Row("z.all(x, 1 / x == 5)", "false"),
      Row("z.exists(x, 1 / x == 1)", "true"), Row("z.all(x, 1 / x == 1)", "error: division by zero"),
      Row("z.map(x, 1 / x)", "error: division by zero"), Row("z.exists_one(x, 1 / x == 1)", "error: division by zero"),
      Row("l.filter(x, x > 1).map(x, x * x).exists(x, x == 9)", "true"),
      Row("l.map(x, [x]).all(y, y.size() == 1)", "true"),
      Row("dyn(1).all(x, true)", "error: got 'int', expected iterable type"),
      Row("l.map(l, l + 1)", "[2, 3, 4, 5]"), Row("l.all(x, l.all(y, x + y > 1))", "true"),
    ])
  }

  @Test func conversions() {
    Expressions().check([
      Row("int('12')", "12"), Row("int('-12')", "-12"),
      Row("int('1x')", "error: type conversion error from 'string' to 'int'"),
      Row("int(1.9)", "1"), Row("int(-1.9)", "-1"), Row("int(1e30)", "error: integer overflow"), Row("int(7u)", "7"),
      Row("int(18446744073709551615u)", "error: integer overflow"), Row("int(timestamp('1970-01-01T00:01:00Z'))", "60"),
      Row("uint(5)", "5u"), Row("uint(-5)", "error: unsigned integer overflow"), Row("uint('5')", "5u"),
      Row("uint(1.9)", "1u"),
      Row("double(1)", "1.0"), Row("double('1.5')", "1.5"), Row("string(1)", "\"1\""), Row("string(1.5)", "\"1.5\""),
      Row("string(1e6)", "\"1e+06\""), Row("string(true)", "\"true\""), Row("string(b'ab')", "\"ab\""),
      Row("string(b'\\xff')", "error: invalid UTF-8 in bytes, cannot convert to string"),
      Row("bytes('é')", "b[195, 169]"),
      Row("bool('true')", "true"), Row("bool('x')", "error: type conversion error from 'string' to 'bool'"),
      Row("string(duration('90s'))", "\"90s\""),
      Row("string(timestamp('2020-01-02T03:04:05.5Z'))", "\"2020-01-02T03:04:05.5Z\""),
      Row("dyn(1) + 2", "3"), Row("type(dyn('a')) == string", "true"),
    ])
  }

  @Test func timestampsAndDurations() {
    let time = "timestamp('2024-02-29T13:14:15.016Z')"
    Expressions().check([
      Row("\(time).getFullYear()", "2024"), Row("\(time).getMonth()", "1"), Row("\(time).getDate()", "29"),
      Row("\(time).getDayOfMonth()", "28"), Row("\(time).getDayOfWeek()", "4"), Row("\(time).getDayOfYear()", "59"),
      Row("\(time).getHours()", "13"), Row("\(time).getMinutes()", "14"), Row("\(time).getSeconds()", "15"),
      Row("\(time).getMilliseconds()", "16"), Row("\(time).getHours('+02:00')", "15"),
      Row("\(time).getHours('-13:30')", "23"),
      Row("timestamp('2023-12-31T00:00:00Z').getDayOfYear()", "364"),
      Row("duration('1h30m').getMinutes()", "90"), Row("duration('90m').getHours()", "1"),
      Row("duration('1.5s').getMilliseconds()", "500"),
      Row("duration('1h') + duration('30m') == duration('90m')", "true"),
      Row("timestamp('2024-01-01T00:00:00Z') + duration('24h') == timestamp('2024-01-02T00:00:00Z')", "true"),
      Row("timestamp('2024-01-02T00:00:00Z') - timestamp('2024-01-01T00:00:00Z') == duration('24h')", "true"),
      Row("timestamp('2024-01-02T00:00:00Z') > timestamp('2024-01-01T00:00:00Z')", "true"),
      Row("duration('1m') < duration('1h')", "true"),
      Row("timestamp('9999-12-31T23:59:59Z') + duration('1s')", "error: timestamp overflow"),
      Row("duration('2562047h') + duration('2562047h')", "error: duration overflow"),
      Row("timestamp('x')", "ERROR: <input>:1:11: invalid timestamp argument\n | timestamp('x')\n | ..........^"),
      Row("duration('x')", "ERROR: <input>:1:10: invalid duration argument\n | duration('x')\n | .........^"),
      Row("timestamp(dyn('x'))", "error: type conversion error from 'string' to 'google.protobuf.Timestamp'"),
    ])
  }

  @Test func optionals() {
    Expressions(["o": ["a": ["b": 1], "l": [1, 2]]]).check([
      Row("o.?a", "optional({\"b\": 1})"), Row("o.?a.b", "optional(1)"), Row("o.?x.b", "none"), Row("o.?a.?x", "none"),
      Row("o.?x.orValue(5)", "5"), Row("o.?a.b.orValue(5)", "1"), Row("o.l[?0]", "optional(1)"), Row("o.l[?9]", "none"),
      Row("o[?'a'].hasValue()", "true"), Row("o.?x.hasValue()", "false"),
      Row("o.?x.value()", "error: optional.none() dereference"),
      Row("optional.of(1).value()", "1"), Row("optional.none().orValue(2)", "2"),
      Row("optional.ofNonZeroValue(0).hasValue()", "false"),
      Row("optional.ofNonZeroValue('a').value()", "\"a\""), Row("optional.none().or(optional.of(3)).value()", "3"),
      Row("o.?a.b.optMap(v, v + 1)", "optional(2)"), Row("o.?x.b.optMap(v, v + 1)", "none"),
      Row("o.?a.optFlatMap(v, v.?b)", "optional(1)"), Row("[?o.?x, ?o.?a.b, 7]", "[1, 7]"),
      Row("{?'k': o.?x, 'j': 1}", "{\"j\": 1}"),
      Row("optional.of(1) == optional.of(1)", "true"), Row("optional.none() == optional.of(1)", "false"),
      Row("has(o.?a.b)", "true"),
    ])
  }

  @Test func comprehensionsOfTwoVariablesAreForStoredExpressions() {
    Expressions(["l": [10, 20], "o": ["a": 1, "b": 2]], libraries: .storedExpressions).check([
      Row("l.all(i, v, v == (i + 1) * 10)", "true"), Row("o.all(k, v, v > 0)", "true"),
      Row("o.exists(k, v, v == 2)", "true"),
      Row("o.existsOne(k, v, v > 0)", "false"), Row("l.transformList(i, v, i + v)", "[10, 21]"),
      Row("l.transformList(i, v, i > 0, v)", "[20]"), Row("o.transformMap(k, v, v * 2)", "{\"a\": 2, \"b\": 4}"),
      Row("o.transformMapEntry(k, v, {string(v): k})", "{\"1\": \"a\", \"2\": \"b\"}"),
      Row("l.transformMapEntry(i, v, {'same': v})", "error: insert failed: key same already exists"),
    ])
    #expect(
      Expressions(["l": [1]]).outcome("l.all(i, v, v > i)").contains("undeclared reference to 'all'"))
  }
}
