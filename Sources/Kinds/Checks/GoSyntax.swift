// Values as Go's %#v prints them. The reference puts them in its messages, and people search for those messages.
import JSON

enum GoSyntax {
  /// `map[string]string{"app":"web"}`, keys sorted.
  static func stringMap(_ value: JSONValue) -> String {
    guard case .object(let object) = value else { return "map[string]string(nil)" }
    let members = object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    return "map[string]string{" + members.map { "\(quoted($0.key)):\(quoted($0.value.text))" }.joined(separator: ", ")
      + "}"
  }

  /// `[]string{"a", "b"}`.
  static func strings(_ value: JSONValue, of type: String = "string") -> String {
    guard case .array(let items) = value else { return "[]\(type)(nil)" }
    return "[]\(type){" + items.map { quoted($0.text) }.joined(separator: ", ") + "}"
  }

  /// `v1.LabelSelector{…}`.
  static func labelSelector(_ value: JSONValue) -> String {
    var expressions = "[]v1.LabelSelectorRequirement(nil)"
    if case .array(let items) = value["matchExpressions"] {
      let texts = items.map {
        "v1.LabelSelectorRequirement{Key:\(quoted($0["key"].text)), Operator:\(quoted($0["operator"].text)), "
          + "Values:\(strings($0["values"]))}"
      }
      expressions = "[]v1.LabelSelectorRequirement{" + texts.joined(separator: ", ") + "}"
    }
    return "v1.LabelSelector{MatchLabels:\(stringMap(value["matchLabels"])), MatchExpressions:\(expressions)}"
  }

  /// `rbac.RoleRef{…}`.
  static func roleReference(_ value: JSONValue) -> String {
    "rbac.RoleRef{APIGroup:\(quoted(value["apiGroup"].text)), Kind:\(quoted(value["kind"].text)), "
      + "Name:\(quoted(value["name"].text))}"
  }

  static func quoted(_ text: String) -> String { JSONValue.string(text).description }
}
