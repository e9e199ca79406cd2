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

  /// `resource.Quantity{…}`, as it stands after parsing a text of the usual size.
  static func quantity(_ text: String) -> String {
    let suffixes: [(String, Int, Int)] = [
      ("Ki", 10, 0), ("Mi", 20, 0), ("Gi", 30, 0), ("Ti", 40, 0), ("Pi", 50, 0), ("Ei", 60, 0), ("n", 0, -9),
      ("u", 0, -6), ("m", 0, -3), ("k", 0, 3), ("M", 0, 6), ("G", 0, 9), ("T", 0, 12), ("P", 0, 15), ("E", 0, 18),
    ]
    let (suffix, shift, exponent) = suffixes.first { text.hasSuffix($0.0) } ?? ("", 0, 0)
    let parts = text.dropLast(suffix.count).split(separator: ".", omittingEmptySubsequences: false)
    let fraction = parts.count > 1 ? parts[1] : ""
    let digits = Int64(String(parts.first ?? "") + String(fraction)) ?? 0
    let format = shift > 0 ? "BinarySI" : "DecimalSI"
    return "resource.Quantity{i:resource.int64Amount{value:\(digits << Int64(shift)), "
      + "scale:\(exponent - fraction.count)}, d:resource.infDecAmount{Dec:(*inf.Dec)(nil)}, "
      + "s:\(quoted(text)), Format:\(quoted(format))}"
  }

  /// `intstr.IntOrString{…}`.
  static func intOrString(_ value: JSONValue) -> String {
    if let text = value.string { return "intstr.IntOrString{Type:1, IntVal:0, StrVal:\(quoted(text))}" }
    return "intstr.IntOrString{Type:0, IntVal:\(value.integer ?? 0), StrVal:\"\"}"
  }

  /// `core.ResourceList{…}`, names sorted.
  static func resourceList(_ value: JSONValue) -> String {
    guard case .object(let object) = value else { return "core.ResourceList(nil)" }
    let members = object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    return "core.ResourceList{" + members.map { "\(quoted($0.key)):\(quantity($0.value.text))" }.joined(separator: ", ")
      + "}"
  }

  /// `apps.DeploymentStrategy{…}` and its like: a type and what belongs to one of the types.
  static func strategy(_ value: JSONValue, _ type: String, _ rollingUpdate: String) -> String {
    // (Of what is there the reference prints an address, which says nothing.)
    let update = pointer(value["rollingUpdate"], rollingUpdate)
    return "\(type){Type:\(quoted(value["type"].text)), RollingUpdate:\(update)}"
  }

  /// `[]int32{1, 2}`.
  static func integers(_ value: JSONValue) -> String {
    guard case .array(let items) = value else { return "[]int32(nil)" }
    return "[]int32{" + items.map { String($0.integer ?? 0) }.joined(separator: ", ") + "}"
  }

  /// `[]byte{0x2d, 0x2d}`.
  static func bytes(_ bytes: [UInt8]) -> String {
    guard !bytes.isEmpty else { return "[]byte(nil)" }
    return "[]byte{" + bytes.map { "0x" + String($0, radix: 16) }.joined(separator: ", ") + "}"
  }

  /// A time as Go's `String` shows one of UTC.
  static func time(_ value: JSONValue) -> String {
    value.text.replacing("T", with: " ").replacing("Z", with: " +0000 UTC")
  }

  /// `(*type)(nil)`, or an address, which differs from run to run.
  static func pointer(_ value: JSONValue, _ type: String) -> String {
    "(*\(type))(\(value.isNull ? "nil" : "0xc000000000"))"
  }

  /// `core.Name{…}`: texts by the names that Go gives them.
  static func texts(_ type: String, _ value: JSONValue, _ members: [(String, String)]) -> String {
    "\(type){" + members.map { "\($0.0):\(quoted(value[$0.1].text))" }.joined(separator: ", ") + "}"
  }

  /// `core.Toleration{…}`.
  static func toleration(_ value: JSONValue) -> String {
    let texts = texts(
      "core.Toleration", value,
      [("Key", "key"), ("Operator", "operator"), ("Value", "value"), ("Effect", "effect")])
    return "\(texts.dropLast()), TolerationSeconds:\(pointer(value["tolerationSeconds"], "int64"))}"
  }

  /// `core.ScopeSelector{…}`.
  static func scopeSelector(_ value: JSONValue) -> String {
    let terms = value["matchExpressions"].elements.map {
      "core.ScopedResourceSelectorRequirement{ScopeName:\(quoted($0["scopeName"].text)), "
        + "Operator:\(quoted($0["operator"].text)), Values:\(strings($0["values"]))}"
    }
    return "core.ScopeSelector{MatchExpressions:[]core.ScopedResourceSelectorRequirement{"
      + terms.joined(separator: ", ") + "}}"
  }

  /// `core.ObjectReference{…}`.
  static func objectReference(_ value: JSONValue) -> String {
    texts(
      "core.ObjectReference", value,
      [
        ("Kind", "kind"), ("Namespace", "namespace"), ("Name", "name"), ("UID", "uid"), ("APIVersion", "apiVersion"),
        ("ResourceVersion", "resourceVersion"), ("FieldPath", "fieldPath"),
      ])
  }

  /// `["a" "b"]`: texts as %q prints them.
  static func quotedList(_ texts: [String]) -> String { "[\(texts.map(quoted).joined(separator: " "))]" }

  static func quoted(_ text: String) -> String { JSONValue.string(text).description }
}
