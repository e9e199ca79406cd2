// Regular expressions in the syntax of RE2, which the schemas and expressions of the API are written in. Matching takes
// time linear in the text, whatever the pattern: patterns come from users, and a server must not hang on one.

/// A compiled pattern. Matching is by Unicode scalars.
public struct RegularExpression: Sendable {
  /// Why a pattern is none, in the words of Go's parser.
  public struct ParseError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String
    init(_ what: String, _ part: some StringProtocol) { description = "error parsing regexp: \(what): `\(part)`" }
  }

  public let pattern: String
  private let program: [RegularExpressionInstruction]

  public init(_ pattern: String) throws(ParseError) {
    self.pattern = pattern
    var parser = RegularExpressionParser(pattern)
    let node = try parser.parse()
    var compiler = RegularExpressionCompiler()
    program = try compiler.compile(node, pattern: pattern)
  }

  /// Whether the pattern matches anywhere in the text.
  public func matches(_ text: String) -> Bool {
    let scalars = Array(text.unicodeScalars)
    var machine = Machine(program: program, scalars: scalars)
    return machine.run(from: 0, stopsAtFirst: true) != nil
  }

  /// The leftmost match at or after a position, both counted in scalars; of several that begin there the one that a
  /// backtracking matcher would find first.
  public func firstMatch(in scalars: [Unicode.Scalar], from start: Int = 0) -> Range<Int>? {
    var machine = Machine(program: program, scalars: scalars)
    return machine.run(from: start, stopsAtFirst: false)
  }

  // MARK: - Matching

  /// Runs all alternatives side by side, those that are preferred first.
  private struct Machine {
    struct Threads {
      var list: [(instruction: Int, start: Int)] = []
      /// By instruction: the step at which it was added last.
      var added: [Int]
    }
    let program: [RegularExpressionInstruction]
    let scalars: [Unicode.Scalar]

    mutating func run(from begin: Int, stopsAtFirst: Bool) -> Range<Int>? {
      guard begin <= scalars.count else { return nil }
      var current = Threads(added: Array(repeating: -1, count: program.count))
      var next = current
      var found: Range<Int>?
      var position = begin
      while true {
        if found == nil { add(0, start: position, at: position, to: &current) }
        if current.list.isEmpty, found != nil { return found }
        let scalar = position < scalars.count ? scalars[position] : nil
        next.list.removeAll(keepingCapacity: true)
        threads: for thread in current.list {
          switch program[thread.instruction] {
          case .set(let set):
            if let scalar, set.contains(scalar) {
              add(thread.instruction + 1, start: thread.start, at: position + 1, to: &next)
            }
          case .match:
            found = thread.start..<position
            if stopsAtFirst { return found }
            // Threads of lower preference are of no interest any more.
            break threads
          case .split, .jump, .assert: preconditionFailure("only instructions that wait are in the list")
          }
        }
        if scalar == nil { return found }
        swap(&current, &next)
        position += 1
      }
    }

    private func add(_ first: Int, start: Int, at position: Int, to threads: inout Threads) {
      var pending = [first]
      while let instruction = pending.popLast() {
        guard threads.added[instruction] != position else { continue }
        threads.added[instruction] = position
        switch program[instruction] {
        case .jump(let target): pending.append(target)
        case .split(let preferred, let other):
          pending.append(other)
          pending.append(preferred)
        case .assert(let assertion):
          if holds(assertion, at: position) { pending.append(instruction + 1) }
        case .set, .match: threads.list.append((instruction, start))
        }
      }
    }

    private func holds(_ assertion: RegularExpressionAssertion, at position: Int) -> Bool {
      let before = position > 0 ? scalars[position - 1] : nil
      let after = position < scalars.count ? scalars[position] : nil
      switch assertion {
      case .textBegin: return before == nil
      case .textEnd: return after == nil
      case .lineBegin: return before == nil || before == "\n"
      case .lineEnd: return after == nil || after == "\n"
      case .wordBoundary: return Self.isWord(before) != Self.isWord(after)
      case .noWordBoundary: return Self.isWord(before) == Self.isWord(after)
      }
    }

    private static func isWord(_ scalar: Unicode.Scalar?) -> Bool {
      guard let scalar else { return false }
      return ScalarSet.word.contains(scalar)
    }
  }
}

enum RegularExpressionAssertion: Sendable {
  case textBegin, textEnd, lineBegin, lineEnd, wordBoundary, noWordBoundary
}

enum RegularExpressionInstruction: Sendable {
  case set(ScalarSet)
  /// The first is preferred.
  case split(Int, Int)
  case jump(Int)
  case assert(RegularExpressionAssertion)
  case match
}

/// A pattern as a tree.
indirect enum RegularExpressionNode: Sendable {
  case empty
  case set(ScalarSet)
  case assertion(RegularExpressionAssertion)
  case sequence([RegularExpressionNode])
  case alternatives([RegularExpressionNode])
  /// `maximum` nil: no limit.
  case repetition(RegularExpressionNode, minimum: Int, maximum: Int?, isLazy: Bool)
}

/// From tree to instructions.
struct RegularExpressionCompiler {
  /// Counted repetitions are written out: this bounds what one pattern may cost.
  private static let instructionsMaximum = 20_000
  private var program: [RegularExpressionInstruction] = []

  mutating func compile(
    _ node: RegularExpressionNode, pattern: String
  ) throws(RegularExpression.ParseError) -> [RegularExpressionInstruction] {
    emit(node)
    program.append(.match)
    guard program.count <= Self.instructionsMaximum else {
      throw RegularExpression.ParseError("expression too large", pattern)
    }
    return program
  }

  private mutating func emit(_ node: RegularExpressionNode) {
    guard program.count <= Self.instructionsMaximum else { return }
    switch node {
    case .empty: break
    case .set(let set): program.append(.set(set))
    case .assertion(let assertion): program.append(.assert(assertion))
    case .sequence(let parts): for part in parts { emit(part) }
    case .alternatives(let parts):
      var ends: [Int] = []
      for (index, part) in parts.enumerated() {
        guard index < parts.count - 1 else {
          emit(part)
          break
        }
        let split = reserve()
        emit(part)
        ends.append(reserve())
        program[split] = .split(split + 1, program.count)
      }
      for end in ends { program[end] = .jump(program.count) }
    case .repetition(let part, let minimum, let maximum, let isLazy):
      for _ in 0..<minimum { emit(part) }
      guard let maximum else {
        let split = reserve()
        emit(part)
        program.append(.jump(split))
        program[split] = Self.choice(split + 1, program.count, isLazy)
        return
      }
      var splits: [Int] = []
      for _ in 0..<max(0, maximum - minimum) {
        splits.append(reserve())
        emit(part)
      }
      for split in splits { program[split] = Self.choice(split + 1, program.count, isLazy) }
    }
  }

  private static func choice(_ more: Int, _ enough: Int, _ isLazy: Bool) -> RegularExpressionInstruction {
    isLazy ? .split(enough, more) : .split(more, enough)
  }

  /// A place for an instruction whose target is not known yet.
  private mutating func reserve() -> Int {
    program.append(.match)
    return program.count - 1
  }
}
