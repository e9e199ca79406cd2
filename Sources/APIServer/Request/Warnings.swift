// Warning headers (RFC 7234 §5.5, spec/2 §2.10).

import Synchronization

enum Warnings {
  /// All texts together may have this many characters before they are cut.
  private static let totalMaximum = 4096
  /// The length of one text once the total is exceeded.
  private static let cutLength = 256

  /// Header values, duplicates removed: `299 - "text"`.
  static func headers(_ texts: [String]) -> [String] {
    var seen: Set<String> = []
    let unique = texts.filter { !$0.isEmpty && seen.insert($0).inserted }
    let isTooLong = unique.reduce(0) { $0 + $1.unicodeScalars.count } > totalMaximum
    return unique.map { text in
      let scalars = isTooLong ? text.unicodeScalars.prefix(cutLength) : text.unicodeScalars[...]
      return "299 - \(quoted(scalars))"
    }
  }

  private static func quoted(_ scalars: Substring.UnicodeScalarView) -> String {
    var out = "\""
    for scalar in scalars {
      switch scalar {
      case "\"", "\\":
        out.unicodeScalars.append("\\")
        out.unicodeScalars.append(scalar)
      // A header is one line.
      case "\0"..<" ", "\u{7f}": out.unicodeScalars.append(" ")
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}

/// Warnings that arise where a value cannot be returned. Used by one request; the lock is never contended.
final class WarningCollector: Sendable {
  private let texts = Mutex<[String]>([])

  var all: [String] { texts.withLock { $0 } }
  func add(_ more: [String]) { texts.withLock { $0 += more } }
  /// Replaces what an earlier attempt said.
  func set(_ new: [String]) { texts.withLock { $0 = new } }
}
