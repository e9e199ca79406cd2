// Warning headers (RFC 7234 §5.5, spec/2 §2.10).

import Synchronization

enum Warnings {
  /// All texts together may have this many characters before they are cut.
  private static let totalMaximum = 4096
  /// The length of one text once the total is exceeded.
  private static let cutLength = 256

  /// Header values, duplicates removed: `299 - "text"`. Once all texts together are too long, each is cut, and those
  /// that still go past the total are left out: an object with a thousand doubtful ports is not answered with a thousand
  /// headers.
  static func headers(_ texts: [String]) -> [String] {
    var seen: Set<String> = []
    let unique = texts.filter { !$0.isEmpty && seen.insert($0).inserted }
    var total = 0
    guard let tooLong = unique.firstIndex(where: { (total += $0.unicodeScalars.count, total > totalMaximum).1 }) else {
      return unique.map { "299 - \(quoted($0.unicodeScalars[...]))" }
    }
    var headers: [String] = []
    var written = 0
    for (index, text) in unique.enumerated() where index <= tooLong || written < totalMaximum {
      let scalars = text.unicodeScalars.prefix(cutLength)
      written += scalars.count
      headers.append("299 - \(quoted(scalars))")
    }
    return headers
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
