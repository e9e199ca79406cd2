// What fields are for, one line each: what `kubectl explain` shows where the type tables say nothing. Read when the
// OpenAPI documents are made, never on the way of a request.

/// Descriptions by name: of fields whatever structure they stand in, of one structure's field ("Probe.exec"), and of
/// structures.
public struct FieldDescriptions: Sendable {
  private var byName: [Substring: Substring] = [:]

  public static let all = FieldDescriptions([common, pods, workloads, volumes, cluster, extending])

  /// A line each: `name: text` for a field of any structure, `Structure.field: text`, `Structure: text`.
  init(_ tables: [String]) {
    for table in tables {
      for line in table.split(separator: "\n") {
        guard let colon = line.firstIndex(of: ":") else { preconditionFailure("no description: \(line)") }
        let text = line[line.index(colon, offsetBy: 2)...]
        precondition(byName.updateValue(text, forKey: line[..<colon]) == nil, "described twice: \(line)")
      }
    }
  }

  /// Of a field of the structure "core.v1.Probe"; empty where nothing is known.
  public func field(_ field: String, of structure: String) -> String {
    let name = Self.bareName(structure)
    return String(byName["\(name).\(field)"] ?? byName[Substring(field)] ?? "")
  }

  /// Of the structure "core.v1.Probe" itself; empty where nothing is known.
  public func structure(_ structure: String) -> String {
    let name = Self.bareName(structure)
    if let text = byName[name] { return String(text) }
    if name.hasSuffix("Condition") { return "One aspect of the object's state, and since when it holds." }
    return ""
  }

  private static func bareName(_ structure: String) -> Substring {
    structure.lastIndex(of: ".").map { structure[structure.index(after: $0)...] } ?? structure[...]
  }
}
