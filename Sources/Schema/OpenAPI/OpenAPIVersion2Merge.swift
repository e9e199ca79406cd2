// OpenAPI v2 documents of other servers in ours: of each its own group version, with the definitions that it needs.
import JSON

extension OpenAPIDocuments {
  private static let definition = "#/definitions/"

  /// What a version 2 document says of the paths at or below `root` ("/apis/metrics.k8s.io/v1beta1"), with the
  /// definitions that they lead to; null where it says nothing.
  public static func part(of document: JSONValue, under root: String) -> JSONValue {
    let paths = (document["paths"].object ?? [:]).filter { $0.key == root || $0.key.hasPrefix(root + "/") }
    guard !paths.isEmpty else { return .null }
    let all = document["definitions"].object ?? [:]
    // Members of an object are looked for one by one, and there may be as many as fit into the document.
    let byName = Dictionary(all.map { ($0.key, $0.value) }) { first, _ in first }
    var needed: Set<String> = []
    var open = paths.map(\.value)
    while let value = open.popLast() {
      switch value {
      case .array(let elements): open += elements
      case .object(let object):
        for (name, member) in object {
          if name == "$ref", let text = member.string, text.hasPrefix(definition) {
            let target = String(text.dropFirst(definition.count))
            if needed.insert(target).inserted, let schema = byName[target] { open.append(schema) }
          } else {
            open.append(member)
          }
        }
      default: break
      }
    }
    // Kinds that no path returns by themselves are known by their extension.
    let definitions = all.filter { needed.contains($0.key) }
    return [
      "paths": .object(JSONObject(uniqueMembers: paths)),
      "definitions": .object(JSONObject(uniqueMembers: definitions)),
    ]
  }

  /// Adds a part to a whole document. Definitions of the same name are ours where they are of the machinery that all
  /// servers share, or equal; any other gets a name of its own, as from the reference.
  public static func merge(_ part: JSONValue, of root: String, into document: inout JSONValue) {
    var definitions = document["definitions"].object?.members ?? []
    let known = Dictionary(definitions.map { ($0.key, $0.value) }) { first, _ in first }
    // A new name may be none that they have given to something else.
    let theirs = Set((part["definitions"].object ?? [:]).keys)
    var renamed: [String: String] = [:]
    var added: [JSONObject.Member] = []
    for (name, schema) in part["definitions"].object ?? [:] {
      guard let ours = known[name] else {
        added.append((name, schema))
        continue
      }
      if name.hasPrefix("io.k8s.apimachinery.") || ours == schema { continue }
      var number = 2
      while known["\(name)_v\(number)"] != nil || theirs.contains("\(name)_v\(number)") { number += 1 }
      renamed[name] = "\(name)_v\(number)"
      added.append(("\(name)_v\(number)", schema))
    }
    definitions += added.map { ($0.key, pointed($0.value, renamed)) }
    definitions.sort { $0.key < $1.key }
    document["definitions"] = .object(JSONObject(uniqueMembers: definitions))
    var paths = document["paths"].object?.members ?? []
    let present = Set(paths.map(\.key))
    for (path, item) in part["paths"].object ?? [:] where !present.contains(path) {
      paths.append((path, pointed(item, renamed)))
    }
    paths.sort { $0.key < $1.key }
    document["paths"] = .object(JSONObject(uniqueMembers: paths))
  }

  /// With references to the new names.
  private static func pointed(_ value: JSONValue, _ renamed: [String: String]) -> JSONValue {
    if renamed.isEmpty { return value }
    switch value {
    case .array(let elements): return .array(elements.map { pointed($0, renamed) })
    case .object(let object):
      return .object(
        JSONObject(
          uniqueMembers: object.map { name, member in
            if name == "$ref", let text = member.string, text.hasPrefix(definition),
              let target = renamed[String(text.dropFirst(definition.count))]
            {
              return (name, .string(definition + target))
            }
            return (name, pointed(member, renamed))
          }))
    default: return value
    }
  }
}
