// Texts that many cells share (spec/3 §3.3).
import JSON

public enum TableText {
  public static let none = "<none>"

  /// A map of strings: "app=web,tier=front" in order of keys, `<none>` when empty.
  public static func labels(_ map: JSONValue) -> String {
    let entries = map.stringMap
    guard !entries.isEmpty else { return none }
    return entries.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
  }

  /// A LabelSelector object in the syntax of selectors, `<none>` when it selects by nothing.
  public static func selector(_ selector: JSONValue) -> String {
    guard let parsed = try? LabelSelector(selector) else { return "<error>" }
    let text = parsed.description
    return text.isEmpty ? none : text
  }

  /// The first three, then how many more.
  public static func firstThree(_ texts: [String], whenEmpty: String = none) -> String {
    if texts.isEmpty { return whenEmpty }
    let shown = texts.prefix(3).joined(separator: ",")
    return texts.count > 3 ? "\(shown) + \(texts.count - 3) more..." : shown
  }
}
