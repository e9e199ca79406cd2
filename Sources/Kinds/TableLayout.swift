// The columns of a kind and the cells of a row, said in one place (spec/3 §3.3).
import JSON
import Schema

/// How a kind is printed: columns, and the cells of an object for them.
struct TableLayout: Sendable {
  let columns: [TableColumn]
  /// One cell per column; the second parameter is Unix time in seconds, for ages.
  let cells: @Sendable (JSONValue, Int64) -> [JSONValue]
  /// What the rows of a list are ordered by, before their names.
  let rank: (@Sendable (JSONValue) -> Int64)?

  /// Columns as text: names joined by ", "; those that begin with "+", or stand after " | ", only with -o wide. A name
  /// may end in its type: "#" integer, "?" boolean, "@" date; text otherwise.
  init(
    _ text: String, rank: (@Sendable (JSONValue) -> Int64)? = nil,
    cells: @escaping @Sendable (JSONValue, Int64) -> [JSONValue]
  ) {
    self.init(columns: Self.columns(text), rank: rank, cells: cells)
  }

  init(
    columns: [TableColumn], rank: (@Sendable (JSONValue) -> Int64)? = nil,
    cells: @escaping @Sendable (JSONValue, Int64) -> [JSONValue]
  ) {
    self.columns = columns
    self.rank = rank
    self.cells = cells
  }

  /// The columns without the format that marks names.
  static func columnsWithoutFormat(_ text: String) -> [TableColumn] {
    columns(text).map {
      TableColumn($0.name, type: $0.type, description: $0.description, priority: $0.priority)
    }
  }

  static func columns(_ text: String) -> [TableColumn] {
    var result: [TableColumn] = []
    var priority = 0
    for part in text.split(separator: " ").split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false) {
      for name in part.joined(separator: " ").split(separator: ",") where !name.allSatisfy({ $0 == " " }) {
        let name = name.drop { $0 == " " }
        let isWide = name.hasPrefix("+")
        result.append(column(isWide ? name.dropFirst() : name, priority: isWide ? 1 : priority))
      }
      priority += 1
    }
    return result
  }

  private static func column(_ text: Substring, priority: Int) -> TableColumn {
    let types: [Character: String] = ["#": "integer", "?": "boolean", "@": "date"]
    let type = text.last.flatMap { types[$0] }
    let name = String(type == nil ? text : text.dropLast())
    return TableColumn(
      name, type: type ?? "string", format: ["Name", "Attacher"].contains(name) ? "name" : "",
      description: descriptions[name] ?? "", priority: priority)
  }

  private static let descriptions = [
    "Name": "Unique within the namespace (or cluster) for the resource; immutable.",
    "Age": "Time since the object was created.",
    "Created At": "When the object was created.",
    "Containers": "Names of each container in the template.",
    "Images": "Images referenced by each container in the template.",
    "Selector": "Labels of the pods that belong to it.",
  ]

  /// Name and creation time.
  static let plain = TableLayout("Name, Created At@") { object, _ in
    [object["metadata"]["name"], object["metadata"]["creationTimestamp"]]
  }
}

/// Rules of a kind with its table: every question but that of the cells goes to the rules.
struct TabledRules: KindRules {
  let rules: any KindRules
  let layout: TableLayout

  func applyDefaults(to object: inout JSONValue) { rules.applyDefaults(to: &object) }
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    DisabledPodFields.drop(from: &object)
    rules.prepareForCreate(&object, context: context)
  }
  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    DisabledPodFields.drop(from: &object)
    rules.prepareForUpdate(&object, old: old, context: context)
  }
  var keptByStatus: [[String]] { rules.keptByStatus }
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    rules.prepareForStatusUpdate(&object, old: old, context: context)
  }
  func validate(_ object: JSONValue) -> [FieldError] { rules.validate(object) }
  func validateCreate(_ object: JSONValue) -> [FieldError] { rules.validateCreate(object) }
  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] {
    rules.validate(object, replacing: old)
  }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] { rules.validateUpdate(object, old: old) }
  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    rules.validateStatusUpdate(object, old: old)
  }
  func validateApproval(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    rules.validateApproval(object, old: old)
  }
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    rules.warnings(for: object, replacing: old)
  }
  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    rules.validateName(name, isGeneratePrefix: isGeneratePrefix)
  }
  func tableCells(_ object: JSONValue, now: Int64) -> [JSONValue] {
    // What is not set is empty, not null.
    layout.cells(object, now).map { $0.isNull ? "" : $0 }
  }
  func tableRank(_ object: JSONValue) -> Int64? { layout.rank?(object) }
  func generationChanged(_ object: JSONValue, old: JSONValue) -> Bool { rules.generationChanged(object, old: old) }
}
