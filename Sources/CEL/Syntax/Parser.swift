// Tokens to a syntax tree, by recursive descent along the grammar of the CEL specification.

/// Parsing stopped: what is wrong stands among the parser's issues.
struct ParseFailure: Error {}

struct Parser {
  let source: SourceText
  private let tokens: [Token]
  private var position = 0
  private var depth = 0
  private var offsets: [Int] = [0]
  private var issues: [(offset: Int?, message: String)] = []
  let macros: MacroSet

  /// The tree of an expression.
  static func parse(_ text: String, macros: MacroSet) throws(CELIssues) -> ParsedExpression {
    let source = SourceText(text)
    guard source.scalars.count <= CELLimits.expressionCodePointsMaximum else {
      let message =
        "expression code point size exceeds limit: size: \(source.scalars.count), limit "
        + "\(CELLimits.expressionCodePointsMaximum)"
      throw CELIssues([CELIssue(line: -1, column: -1, message: message)], in: source)
    }
    var lexer = Lexer(source)
    var parser = Parser(source: source, tokens: lexer.tokens(), macros: macros)
    parser.issues = lexer.issues.map { ($0.offset, $0.message) }
    var root: Expression?
    do throws(ParseFailure) {
      root = try parser.expression()
      try parser.expect(.end, canBeMissing: false)
    } catch {}
    guard parser.issues.isEmpty, let root else { throw parser.sortedIssues() }
    return ParsedExpression(root: root, offsets: parser.offsets, source: source)
  }

  private init(source: SourceText, tokens: [Token], macros: MacroSet) {
    self.source = source
    self.tokens = tokens
    self.macros = macros
  }

  private func sortedIssues() -> CELIssues {
    let sorted = issues.enumerated().sorted { left, right in
      (left.element.offset ?? -1, left.offset) < (right.element.offset ?? -1, right.offset)
    }
    return CELIssues(
      sorted.map { entry in
        guard let offset = entry.element.offset else {
          return CELIssue(line: -1, column: -1, message: entry.element.message)
        }
        let place = source.position(of: offset)
        return CELIssue(line: place.line, column: place.column, message: entry.element.message)
      }, in: source)
  }

  // MARK: Nodes and issues

  mutating func node(at offset: Int, _ kind: Expression.Kind) -> Expression {
    offsets.append(offset)
    return Expression(id: offsets.count - 1, kind)
  }

  /// A node in the place of another, as macros need.
  mutating func node(like other: Expression, _ kind: Expression.Kind) -> Expression {
    node(at: offsets[other.id], kind)
  }

  mutating func report(_ message: String, at expression: Expression) {
    issues.append((offsets[expression.id], message))
  }

  private mutating func report(_ message: String, at token: Token) {
    issues.append((token.start, message))
  }

  // MARK: Tokens

  private var token: Token { tokens[position] }
  private var following: Token { tokens[min(position + 1, tokens.count - 1)] }

  private func isSymbol(_ text: String) -> Bool { token.kind == .symbol(text) }

  private mutating func accept(_ text: String) -> Token? {
    guard isSymbol(text) else { return nil }
    defer { position += 1 }
    return token
  }

  private func shown(_ token: Token) -> String {
    guard token.kind != .end else { return "<EOF>" }
    return string(token).replacing("\n", with: "\\n").replacing("\r", with: "\\r").replacing("\t", with: "\\t")
  }

  func string(_ token: Token) -> String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: source.scalars[token.start..<token.end])
    return String(view)
  }

  /// The token of that kind. One token too many is reported and passed over, one missing is reported and taken for
  /// given, as the reference's parser recovers.
  @discardableResult
  private mutating func expect(_ kind: TokenKind, canBeMissing: Bool = true) throws(ParseFailure) -> Token {
    if token.kind == kind {
      defer { if kind != .end { position += 1 } }
      return token
    }
    if following.kind == kind, token.kind != .end {
      report("Syntax error: extraneous input '\(shown(token))' expecting \(kind.name)", at: token)
      position += 1
      return try expect(kind, canBeMissing: canBeMissing)
    }
    if canBeMissing, canFollowOperand(token.kind), kind != .identifier {
      report("Syntax error: missing \(kind.name) at '\(shown(token))'", at: token)
      throw ParseFailure()
    }
    report("Syntax error: mismatched input '\(shown(token))' expecting \(kind.name)", at: token)
    throw ParseFailure()
  }

  /// Whether an operand may be followed by it.
  private func canFollowOperand(_ kind: TokenKind) -> Bool {
    switch kind {
    case .end, .in: true
    case .symbol(let text): !["!", "{", "("].contains(text)
    default: false
    }
  }

  private static let operandStarts: [(TokenKind, String)] = [
    (.symbol("["), "'['"), (.symbol("]"), "']'"), (.symbol("{"), "'{'"), (.symbol("}"), "'}'"), (.symbol("("), "'('"),
    (.symbol(")"), "')'"), (.symbol("."), "'.'"), (.symbol(","), "','"), (.symbol("-"), "'-'"), (.symbol("!"), "'!'"),
    (.symbol("?"), "'?'"), (.true, "'true'"), (.false, "'false'"), (.null, "'null'"), (.float, "NUM_FLOAT"),
    (.int, "NUM_INT"), (.uint, "NUM_UINT"), (.string, "STRING"), (.bytes, "BYTES"), (.identifier, "IDENTIFIER"),
  ]
  private static let optionalStarts: Set<TokenKind> = [
    .symbol("]"), .symbol("}"), .symbol(")"), .symbol(","), .symbol("?"),
  ]

  private func startsOperand(_ kind: TokenKind) -> Bool {
    Self.operandStarts.contains { $0.0 == kind && !Self.optionalStarts.contains(kind) }
  }

  /// Makes sure that an operand stands here; `also` may stand here too and appears among what is expected.
  private mutating func expectOperand(or also: Set<TokenKind> = []) throws(ParseFailure) {
    if startsOperand(token.kind) || also.contains(token.kind) { return }
    let names = Self.operandStarts.filter { !Self.optionalStarts.contains($0.0) || also.contains($0.0) }.map(\.1)
    let expected = "{\(names.joined(separator: ", "))}"
    if token.kind != .end, startsOperand(following.kind) || also.contains(following.kind) {
      report("Syntax error: extraneous input '\(shown(token))' expecting \(expected)", at: token)
      position += 1
      return
    }
    report("Syntax error: mismatched input '\(shown(token))' expecting \(expected)", at: token)
    throw ParseFailure()
  }

  private mutating func tooDeep() -> ParseFailure {
    issues.append((nil, "expression recursion limit exceeded: \(CELLimits.expressionDepthMaximum)"))
    return ParseFailure()
  }

  // MARK: Operators

  mutating func expression() throws(ParseFailure) -> Expression {
    depth += 1
    defer { depth -= 1 }
    guard depth <= CELLimits.expressionDepthMaximum else { throw tooDeep() }
    let condition = try disjunction()
    guard let question = accept("?") else { return condition }
    let whenTrue = try disjunction()
    try expect(.symbol(":"))
    let whenFalse = try expression()
    return node(
      at: question.start,
      .call(target: nil, function: Operator.conditional, arguments: [condition, whenTrue, whenFalse]))
  }

  private mutating func disjunction() throws(ParseFailure) -> Expression {
    var terms = [try conjunction()]
    var operators: [Token] = []
    while let symbol = accept("||") {
      operators.append(symbol)
      terms.append(try conjunction())
    }
    return balanced(Operator.or, terms[...], operators[...])
  }

  private mutating func conjunction() throws(ParseFailure) -> Expression {
    var terms = [try relation()]
    var operators: [Token] = []
    while let symbol = accept("&&") {
      operators.append(symbol)
      terms.append(try relation())
    }
    return balanced(Operator.and, terms[...], operators[...])
  }

  /// A tree of logarithmic depth of a long chain: the order of evaluation stays.
  private mutating func balanced(
    _ function: String, _ terms: ArraySlice<Expression>, _ operators: ArraySlice<Token>
  ) -> Expression {
    guard terms.count > 1 else { return terms[terms.startIndex] }
    let middle = (terms.count - 1) / 2
    let split = terms.startIndex + middle + 1
    let place = operators.startIndex + middle
    let left = balanced(function, terms[..<split], operators[..<place])
    let right = balanced(function, terms[split...], operators[(place + 1)...])
    return node(at: operators[place].start, .call(target: nil, function: function, arguments: [left, right]))
  }

  private static let relations: [TokenKind: String] = [
    .symbol("=="): Operator.equals, .symbol("!="): Operator.notEquals, .symbol("<"): Operator.less,
    .symbol("<="): Operator.lessOrEqual, .symbol(">"): Operator.greater, .symbol(">="): Operator.greaterOrEqual,
    .in: Operator.contains,
  ]
  private static let sums: [TokenKind: String] = [.symbol("+"): Operator.add, .symbol("-"): Operator.subtract]
  private static let products: [TokenKind: String] = [
    .symbol("*"): Operator.multiply, .symbol("/"): Operator.divide, .symbol("%"): Operator.modulo,
  ]

  private mutating func relation() throws(ParseFailure) -> Expression {
    var left = try sum()
    var length = 0
    while let function = Self.relations[token.kind] {
      let symbol = token
      position += 1
      length += 1
      guard depth + length <= CELLimits.expressionDepthMaximum else { throw tooDeep() }
      left = node(at: symbol.start, .call(target: nil, function: function, arguments: [left, try sum()]))
    }
    return left
  }

  private mutating func sum() throws(ParseFailure) -> Expression {
    var left = try product()
    var length = 0
    while let function = Self.sums[token.kind] {
      let symbol = token
      position += 1
      length += 1
      guard depth + length <= CELLimits.expressionDepthMaximum else { throw tooDeep() }
      left = node(at: symbol.start, .call(target: nil, function: function, arguments: [left, try product()]))
    }
    return left
  }

  private mutating func product() throws(ParseFailure) -> Expression {
    var left = try unary()
    var length = 0
    while let function = Self.products[token.kind] {
      let symbol = token
      position += 1
      length += 1
      guard depth + length <= CELLimits.expressionDepthMaximum else { throw tooDeep() }
      left = node(at: symbol.start, .call(target: nil, function: function, arguments: [left, try unary()]))
    }
    return left
  }

  private mutating func unary() throws(ParseFailure) -> Expression {
    try expectOperand()
    guard isSymbol("!") || isSymbol("-") && !negativeLiteralFollows else { return try member() }
    let first = token
    var count = 0
    while token.kind == first.kind {
      position += 1
      count += 1
    }
    let operand = try member()
    guard count % 2 == 1 else { return operand }
    let function = first.kind == .symbol("!") ? Operator.not : Operator.negate
    return node(at: first.start, .call(target: nil, function: function, arguments: [operand]))
  }

  /// A minus sign that is part of a number.
  private var negativeLiteralFollows: Bool { following.kind == .int || following.kind == .float }

  // MARK: Members and primaries

  private mutating func member() throws(ParseFailure) -> Expression {
    var operand = try primary()
    var length = 0
    while true {
      if let dot = accept(".") {
        operand = try selection(from: operand, dot)
      } else if let bracket = accept("[") {
        let isOptional = accept("?") != nil
        let index = try expression()
        try expect(.symbol("]"))
        operand = node(
          at: bracket.start,
          .call(
            target: nil, function: isOptional ? Operator.optionalIndex : Operator.index, arguments: [operand, index]))
      } else {
        return operand
      }
      length += 1
      guard depth + length <= CELLimits.expressionDepthMaximum else { throw tooDeep() }
    }
  }

  private mutating func selection(from operand: Expression, _ dot: Token) throws(ParseFailure) -> Expression {
    let isOptional = accept("?") != nil
    guard token.kind == .identifier else {
      if isOptional { try expect(.identifier) }
      let input = "." + (token.kind == .end ? "" : shown(token))
      report("Syntax error: no viable alternative at input '\(input)'", at: token)
      throw ParseFailure()
    }
    let name = string(try expect(.identifier))
    if isOptional {
      let field = node(at: dot.start, .literal(.string(name)))
      return node(
        at: dot.start, .call(target: nil, function: Operator.optionalSelect, arguments: [operand, field]))
    }
    if let open = accept("(") {
      let arguments = try self.arguments()
      return call(name, target: operand, arguments, at: open)
    }
    return node(at: dot.start, .select(operand: operand, field: name, testOnly: false))
  }

  /// What stands between parentheses, the closing one included.
  private mutating func arguments() throws(ParseFailure) -> [Expression] {
    try expectOperand(or: [.symbol(")")])
    var arguments: [Expression] = []
    if accept(")") != nil { return arguments }
    repeat { arguments.append(try expression()) } while accept(",") != nil
    try expect(.symbol(")"))
    return arguments
  }

  private mutating func call(
    _ function: String, target: Expression?, _ arguments: [Expression], at open: Token
  ) -> Expression {
    let call = node(at: open.start, .call(target: target, function: function, arguments: arguments))
    guard
      let expanded = macros.expand(
        MacroCall(function: function, target: target, arguments: arguments, place: call), in: &self)
    else { return call }
    return expanded
  }

  private static let reserved: Set<String> = [
    "as", "break", "const", "continue", "else", "false", "for", "function", "if", "import", "in", "let", "loop",
    "package", "namespace", "null", "return", "true", "var", "void", "while",
  ]

  private mutating func primary() throws(ParseFailure) -> Expression {
    try expectOperand()
    let start = token
    switch start.kind {
    case .symbol("("):
      position += 1
      let inner = try expression()
      try expect(.symbol(")"))
      return inner
    case .symbol("["): return try list()
    case .symbol("{"): return try map()
    case .symbol("."), .identifier: return try identifier()
    case .symbol("-"):
      if negativeLiteralFollows { return try literal() }
      // A second sign where only one kind may repeat.
      return try unary()
    case .symbol("!"): return try unary()
    default: return try literal()
    }
  }

  private mutating func identifier() throws(ParseFailure) -> Expression {
    let start = token
    var name = accept(".") == nil ? "" : "."
    name += string(try expect(.identifier))
    if isStructureLiteral { return try structure(start) }
    if Self.reserved.contains(name) { report("reserved identifier: \(name)", at: start) }
    if let open = accept("(") { return call(name, target: nil, try arguments(), at: open) }
    return node(at: start.start, .identifier(name))
  }

  /// Whether names joined by dots and then an opening brace follow.
  private var isStructureLiteral: Bool {
    var ahead = position
    while tokens[ahead].kind == .symbol("."), ahead + 1 < tokens.count, tokens[ahead + 1].kind == .identifier {
      ahead += 2
    }
    return tokens[ahead].kind == .symbol("{")
  }

  private mutating func structure(_ start: Token) throws(ParseFailure) -> Expression {
    while accept(".") != nil { try expect(.identifier) }
    let name = string(Token(kind: .identifier, start: start.start, end: tokens[position - 1].end))
    let brace = try expect(.symbol("{"))
    if accept("}") == nil {
      repeat {
        if isSymbol("}") { break }
        _ = accept("?")
        try expect(.identifier)
        try expect(.symbol(":"))
        _ = try expression()
      } while accept(",") != nil
      try expect(.symbol("}"))
    }
    return node(at: brace.start, .structure(name: name))
  }

  private mutating func list() throws(ParseFailure) -> Expression {
    let bracket = try expect(.symbol("["))
    try expectOperand(or: [.symbol("]"), .symbol(","), .symbol("?")])
    var elements: [Expression] = []
    var optional: Set<Int> = []
    if isSymbol(","), following.kind == .symbol("]") { position += 1 }
    while !isSymbol("]") {
      if accept("?") != nil { optional.insert(elements.count) }
      elements.append(try expression())
      if accept(",") == nil { break }
    }
    try expect(.symbol("]"))
    return node(at: bracket.start, .list(elements, optional: optional))
  }

  private mutating func map() throws(ParseFailure) -> Expression {
    let brace = try expect(.symbol("{"))
    try expectOperand(or: [.symbol("}"), .symbol(","), .symbol("?")])
    var entries: [Expression.MapEntry] = []
    if isSymbol(","), following.kind == .symbol("}") { position += 1 }
    while !isSymbol("}") {
      let isOptional = accept("?") != nil
      let key = try expression()
      try expect(.symbol(":"))
      entries.append(Expression.MapEntry(key: key, value: try expression(), isOptional: isOptional))
      if accept(",") == nil { break }
    }
    try expect(.symbol("}"))
    return node(at: brace.start, .map(entries))
  }

  private mutating func literal() throws(ParseFailure) -> Expression {
    let start = token
    let isNegative = accept("-") != nil
    let literal = token
    position += 1
    guard let value = value(of: literal, isNegative: isNegative, at: start) else {
      return node(at: start.start, .literal(.null))
    }
    return node(at: start.start, .literal(value))
  }

  private mutating func value(of token: Token, isNegative: Bool, at start: Token) -> CELValue? {
    let text = string(token)
    switch token.kind {
    case .true: return .bool(true)
    case .false: return .bool(false)
    case .null: return .null
    case .int:
      if let value = Literals.integer(text, isNegative: isNegative) { return .int(value) }
      report("invalid int literal", at: start)
    case .uint:
      if let value = Literals.unsigned(text) { return .uint(value) }
      report("invalid uint literal", at: start)
    case .float:
      if let value = Double(text), value.isFinite { return .double(isNegative ? -value : value) }
      report("invalid double literal", at: start)
    case .string:
      switch Literals.text(source.scalars[token.start..<token.end]) {
      case .success(let value): return .string(value)
      case .failure(let error): report(error.message, at: start)
      }
    case .bytes:
      switch Literals.bytes(source.scalars[token.start..<token.end]) {
      case .success(let value): return .bytes(value)
      case .failure(let error): report(error.message, at: start)
      }
    default: report("Syntax error: unexpected '\(shown(token))'", at: token)
    }
    return nil
  }
}
