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
    return Self.bySuffix(String(name))
  }

  /// What structures of that name are for, whatever they belong to.
  private static func bySuffix(_ name: String) -> String {
    func rest(_ suffix: String) -> String? {
      name.hasSuffix(suffix) && name.count > suffix.count ? words(String(name.dropLast(suffix.count))) : nil
    }
    if name.hasSuffix("Condition") { return "One aspect of the object's state, and since when it holds." }
    if let owner = rest("PersistentVolumeSource") { return "A persistent volume of the kind \(owner)." }
    if let owner = rest("VolumeSource") { return "A volume of the kind \(owner)." }
    if let owner = rest("MetricSource") { return "What is aimed at: a metric of \(owner)." }
    if let owner = rest("MetricStatus") { return "What was measured last: a metric of \(owner)." }
    if let owner = rest("Projection") { return "Files from \(owner) in a volume of several sources." }
    if let owner = rest("Options") { return "What may be asked for with \(owner)." }
    if let owner = rest("Spec") { return "What is wanted of \(owner)." }
    if let owner = rest("Status") { return "What was last seen of \(owner)." }
    if let owner = rest("Reference") { return "Names \(owner)." }
    if let owner = rest("Strategy") { return "How \(owner) is done." }
    if let owner = rest("Rule") { return "One rule of \(owner)." }
    if let owner = rest("Term") { return "One term of \(owner)." }
    if let owner = rest("Requirement") { return "One condition of \(owner)." }
    if let owner = rest("Attributes") { return "What is asked about \(owner)." }
    if let owner = rest("Subject") { return "Who is meant: \(owner)." }
    return "The part of an object that is called \(words(name))."
  }

  /// "PodDisruptionBudget" as "pod disruption budget"; abbreviations stay.
  private static func words(_ name: String) -> String {
    var text = ""
    let characters = Array(name)
    for (index, character) in characters.enumerated() {
      let isFirstOfWord =
        character.isUppercase
        && (index + 1 < characters.count
          ? characters[index + 1].isLowercase : index == 0 || characters[index - 1].isLowercase)
      let beginsWord = isFirstOfWord || (character.isUppercase && index > 0 && characters[index - 1].isLowercase)
      if beginsWord, index > 0 { text += " " }
      text += isFirstOfWord ? character.lowercased() : String(character)
    }
    return text
  }

  private static func bareName(_ structure: String) -> Substring {
    structure.lastIndex(of: ".").map { structure[structure.index(after: $0)...] } ?? structure[...]
  }
}
