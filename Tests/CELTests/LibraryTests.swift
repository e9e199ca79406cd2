// The libraries Kubernetes adds.
import JSON
import Testing

@testable import CEL

@Suite struct LibraryTests {
  @Test func texts() {
    Expressions().check([
      Row("'tacocat'.charAt(3)", "\"o\""), Row("'tacocat'.charAt(7)", "\"\""),
      Row("'tacocat'.charAt(30)", "error: index out of range: 30"),
      Row("'tacocat'.indexOf('c')", "2"), Row("'tacocat'.indexOf('none')", "-1"), Row("'tacocat'.indexOf('a', 3)", "5"),
      Row("'tacocat'.lastIndexOf('at')", "5"), Row("'tacocat'.lastIndexOf('a', 3)", "1"),
      Row("'tacocat'.indexOf('')", "0"),
      Row("['a', 'b'].join()", "\"ab\""), Row("['a', 'b'].join('-')", "\"a-b\""),
      Row("'TacoCÆt'.lowerAscii()", "\"tacocÆt\""),
      Row("'TacoCæt'.upperAscii()", "\"TACOCæT\""), Row("'hello hello'.replace('he', 'we')", "\"wello wello\""),
      Row("'hello hello'.replace('he', 'we', 1)", "\"wello hello\""),
      Row("'hello'.replace('he', 'we', 0)", "\"hello\""),
      Row("'ab'.replace('', '_')", "\"_a_b_\""),
      Row("'hello hello hello'.split(' ')", "[\"hello\", \"hello\", \"hello\"]"),
      Row("'a b c'.split(' ', 2)", "[\"a\", \"b c\"]"), Row("'a b'.split(' ', 0)", "[]"),
      Row("'abc'.split('')", "[\"a\", \"b\", \"c\"]"),
      Row("'tacocat'.substring(4)", "\"cat\""), Row("'tacocat'.substring(0, 4)", "\"taco\""),
      Row("'tacocat'.substring(2, 1)", "error: invalid substring range. start: 2, end: 1"),
      Row("'tacocat'.substring(40)", "error: index out of range: 40"), Row("'  trim\\n'.trim()", "\"trim\""),
      Row("strings.quote('a\"b\\n')", "\"\\\"a\\\\\\\"b\\\\n\\\"\""), Row("'a'.contains('')", "true"),
      Row("'abc'.endsWith('bc')", "true"),
      Row("'abc'.startsWith('ab')", "true"), Row("'abc'.contains('zz')", "false"), Row("'ä'.size()", "1"),
    ])
  }

  @Test func format() {
    Expressions().check([
      Row("'%s is %d years'.format([dyn('x'), 7])", "\"x is 7 years\""), Row("'%%'.format([])", "\"%\""),
      Row("'%.2f'.format([3.14159])", "\"3.14\""), Row("'%f'.format([1.5])", "\"1.500000\""),
      Row("'%.0f'.format([2.5])", "\"2\""),
      Row("'%.3e'.format([1234.5])", "\"1.234e+03\""), Row("'%b'.format([5])", "\"101\""),
      Row("'%x'.format([255])", "\"ff\""),
      Row("'%X'.format(['hi'])", "\"6869\""), Row("'%o'.format([8])", "\"10\""),
      Row("'%s'.format([[1, 2]])", "\"[1, 2]\""),
      Row("'%s'.format([{'b': 1, 'a': 2}])", "\"{a: 2, b: 1}\""), Row("'%s'.format([true])", "\"true\""),
      Row("'%d'.format([1, 2])", "\"1\""), Row("'%d %d'.format([1])", "error: index 1 out of range"),
      Row(
        "'%d'.format(['a'])",
        "error: error during formatting: decimal clause can only be used on integers, was given string"),
      Row("'%s'.format([1.5])", "\"1.5\""), Row("'%.1f'.format([0.05])", "\"0.1\""),
      Row("'%.2f'.format([-0.001])", "\"-0.00\""),
    ])
  }

  @Test func lists() {
    Expressions().check([
      Row("[1, 2, 3].sum()", "6"), Row("[1.5, 2.0].sum()", "3.5"), Row("[3, 1, 2].min()", "1"),
      Row("[3, 1, 2].max()", "3"),
      Row("['b', 'a'].max()", "\"b\""), Row("[1, 2, 2].isSorted()", "true"), Row("[2, 1].isSorted()", "false"),
      Row("[1, 2, 1].indexOf(1)", "0"), Row("[1, 2, 1].lastIndexOf(1)", "2"), Row("[1].indexOf(5)", "-1"),
      Row("dyn([]).max()", "error: max called on empty list"),
      Row("[9223372036854775807, 1].sum()", "error: integer overflow"),
      Row("[duration('1s'), duration('2s')].sum() == duration('3s')", "true"),
      Row(
        "['a'].sum()",
        "ERROR: <input>:1:10: found no matching overload for 'sum' applied to 'list(string).()'\n | ['a'].sum()\n | .........^"
      ),
    ])
  }

  @Test func setsAndPatterns() {
    Expressions().check([
      Row("sets.contains([1, 2, 3], [2, 3])", "true"), Row("sets.contains([1], [2])", "false"),
      Row("sets.contains([], [])", "true"),
      Row("sets.equivalent([1, 2, 2], [2, 1])", "true"), Row("sets.intersects([1, 2], [2, 3])", "true"),
      Row("sets.intersects([1], [])", "false"),
      Row("'abc 123'.find('[0-9]+')", "\"123\""), Row("'abc'.find('[0-9]+')", "\"\""),
      Row("'1 a 2 b'.findAll('[0-9]')", "[\"1\", \"2\"]"),
      Row("'123'.findAll('[0-9]', 2)", "[\"1\", \"2\"]"), Row("'foobar'.matches('^foo.*')", "true"),
      Row("matches('foo', 'o{2}$')", "true"),
      Row("'a'.matches(dyn('('))", "error: error parsing regexp: missing closing ): `(`"),
    ])
  }
}
