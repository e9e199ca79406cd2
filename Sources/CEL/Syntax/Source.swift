// The text of an expression, places in it, and what is wrong with it.

/// An expression as code points, which is how places in it are counted.
struct SourceText: Sendable {
  let scalars: [Unicode.Scalar]
  /// Offset of the first code point of every line.
  private let lineStarts: [Int]

  init(_ text: String) {
    scalars = Array(text.unicodeScalars)
    var starts = [0]
    for (offset, scalar) in scalars.enumerated() where scalar == "\n" { starts.append(offset + 1) }
    lineStarts = starts
  }

  /// Line from 1, column from 0.
  func position(of offset: Int) -> (line: Int, column: Int) {
    var low = 0
    var high = lineStarts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if lineStarts[middle] <= offset { low = middle } else { high = middle }
    }
    return (low + 1, offset - lineStarts[low])
  }

  /// The line's text without its end.
  func line(_ number: Int) -> ArraySlice<Unicode.Scalar> {
    guard number >= 1, number <= lineStarts.count else { return [] }
    let end = number < lineStarts.count ? lineStarts[number] - 1 : scalars.count
    return scalars[lineStarts[number - 1]..<end]
  }
}

/// One thing wrong with an expression, and where.
public struct CELIssue: Sendable, Hashable {
  /// From 1; -1 for what concerns the whole.
  public let line: Int
  /// From 0, in code points.
  public let column: Int
  public let message: String
}

/// Why an expression does not compile; `description` is what the reference prints.
public struct CELIssues: Error, Sendable, Hashable, CustomStringConvertible {
  public let issues: [CELIssue]
  public let description: String

  init(_ issues: [CELIssue], in source: SourceText) {
    self.issues = issues
    var lines = issues.prefix(CELLimits.issuesMaximum).map { Self.shown($0, in: source) }
    if issues.count > CELLimits.issuesMaximum {
      lines.append("\(issues.count - CELLimits.issuesMaximum) more errors were truncated")
    }
    description = lines.joined(separator: "\n")
  }

  /// The message, its line, and a caret below the place; wide dots below characters that are wider than one byte.
  private static func shown(_ issue: CELIssue, in source: SourceText) -> String {
    let head = "ERROR: <input>:\(issue.line):\(issue.column + 1): \(issue.message)"
    guard issue.line >= 1 else { return head }
    let snippet = source.line(issue.line)
    var text = String.UnicodeScalarView()
    text.append(contentsOf: snippet.lazy.map { $0 == "\t" ? " " : $0 })
    var marks = ""
    var rest = snippet[...]
    for _ in 0..<max(issue.column, 0) where !rest.isEmpty {
      marks += rest.removeFirst().isASCII ? "." : "\u{FF0E}"
    }
    marks += rest.first.map { $0.isASCII } ?? true ? "^" : "\u{FF3E}"
    return "\(head)\n | \(String(text))\n | \(marks)"
  }
}
