// Path and query of a request target, as routing reads them.
import HTTP

/// A request target taken apart. Names in the query may repeat; order is kept.
struct RequestPath: Sendable {
  /// Percent-encoded, without the query: what refusals show.
  let path: String
  /// Decoded segments; empty ones are dropped ("/api//v1/" equals "/api/v1").
  let segments: [String]
  let query: Query
  /// The query as it came, without "?".
  let rawQuery: String

  /// nil when the target is no path or an escape is malformed.
  init?(_ target: String) {
    guard let parsed = RequestTarget(parsing: target) else { return nil }
    let question = target.utf8.firstIndex(of: UInt8(ascii: "?"))
    path = question.map { String(target[..<$0]) } ?? target
    rawQuery = question.map { String(target[target.utf8.index(after: $0)...]) } ?? ""
    segments =
      parsed.segments.contains(where: \.isEmpty) ? parsed.segments.filter { !$0.isEmpty } : parsed.segments
    query = Query(items: parsed.query)
  }
}

struct Query: Sendable {
  var items: [(name: String, value: String)] = []

  /// The first value of that name.
  subscript(name: String) -> String? { items.first { $0.name == name }?.value }

  func values(_ name: String) -> [String] { items.compactMap { $0.name == name ? $0.value : nil } }

  /// A boolean as the reference reads it: present and neither "false" nor "0" is true; nil when absent.
  func flag(_ name: String) -> Bool? {
    guard let value = self[name] else { return nil }
    return value != "0" && value.lowercased() != "false"
  }
}
