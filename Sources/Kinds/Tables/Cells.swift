// What the cells of many tables have in common: ages, selectors, images, lists cut short.
import JSON
import Schema
import World

enum Cells {
  static let none: JSONValue = "<none>"
  static let unknown: JSONValue = "<unknown>"
  static let unset: JSONValue = "<unset>"

  static func name(_ object: JSONValue) -> JSONValue { object["metadata"]["name"] }
  static func age(_ object: JSONValue, _ now: Int64) -> JSONValue {
    since(object["metadata"]["creationTimestamp"], now)
  }
  /// Time since a timestamp, for people; `<unknown>` when there is none.
  static func since(_ timestamp: JSONValue, _ now: Int64) -> JSONValue {
    guard let time = seconds(timestamp) else { return unknown }
    return .string(HumanDuration.text(now - time))
  }
  static func seconds(_ timestamp: JSONValue) -> Int64? {
    timestamp.string.flatMap { WallTime(rfc3339: $0) }?.secondsSinceEpoch
  }
  static func count(_ value: JSONValue) -> JSONValue { .integer(value.integer ?? 0) }
  static func textOr(_ value: JSONValue, _ fallback: JSONValue) -> JSONValue { value.isEmptyValue ? fallback : value }
  static func number(_ value: JSONValue) -> Int64 { value.integer ?? 0 }

  /// `k=v,k2=v2`, sorted.
  static func labels(_ labels: JSONValue) -> JSONValue {
    let members = (labels.object ?? [:]).sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    return members.isEmpty ? none : .string(members.map { "\($0.key)=\($0.value.text)" }.joined(separator: ","))
  }
  /// A LabelSelector as a query.
  static func selector(_ selector: JSONValue) -> JSONValue {
    if selector.isNull { return none }
    guard let parsed = try? LabelSelector(selector) else { return "<error>" }
    return parsed.isEverything ? none : .string(parsed.description)
  }

  static func containers(_ podSpec: JSONValue) -> JSONValue { joined(podSpec["containers"], "name") }
  static func images(_ podSpec: JSONValue) -> JSONValue { joined(podSpec["containers"], "image") }
  private static func joined(_ list: JSONValue, _ member: String) -> JSONValue {
    .string(list.elements.map { $0[member].text }.joined(separator: ","))
  }

  /// The first few of a list, and how many more there are.
  static func shortened(_ texts: [String], limit: Int, separator: String = ",", ifEmpty: JSONValue = none) -> JSONValue
  {
    if texts.isEmpty { return ifEmpty }
    let head = texts.prefix(limit).joined(separator: separator)
    return .string(texts.count > limit ? "\(head) + \(texts.count - limit) more..." : head)
  }

  static func accessModes(_ modes: JSONValue) -> String {
    let short = [
      "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP",
    ]
    let given = Set(modes.elements.map(\.text))
    return ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"].filter(given.contains)
      .compactMap { short[$0] }.joined(separator: ",")
  }
}
