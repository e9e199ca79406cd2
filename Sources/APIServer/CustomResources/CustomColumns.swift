// The columns of a custom resource in tables: its name, then what the definition asks for.
import JSON
import Schema

struct CustomColumns: Sendable {
  let columns: [TableColumn]
  private let paths: [FieldPath?]

  /// From `additionalPrinterColumns`; without any, a column with the age.
  init(_ definitions: JSONValue) {
    var columns = [
      TableColumn(
        "Name", format: "name",
        description: "Unique within the namespace (or cluster) for the resource; immutable.")
    ]
    var paths: [FieldPath?] = []
    let age: JSONValue = [
      "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp",
      "description": "Time since the object was created.",
    ]
    for column in definitions.elements.isEmpty ? [age] : definitions.elements {
      let path = column["jsonPath"].string ?? ""
      let description = column["description"].string ?? ""
      columns.append(
        TableColumn(
          column["name"].string ?? "", type: column["type"].string ?? "string",
          format: column["format"].string ?? "",
          description: description.isEmpty
            ? "Custom resource definition column (in JSONPath format): \(path)" : description,
          priority: Int(column["priority"].integer ?? 0)))
      paths.append(try? FieldPath(path))
    }
    self.columns = columns
    self.paths = paths
  }

  /// `now` in Unix seconds, for ages.
  func cells(_ object: JSONValue, now: Int64) -> [JSONValue] {
    var cells = [object["metadata"]["name"]]
    for (column, path) in zip(columns.dropFirst(), paths) {
      let value = path?.values(in: object).first ?? .null
      cells.append(Self.cell(value, column.type, now: now))
    }
    return cells
  }

  private static func cell(_ value: JSONValue, _ type: String, now: Int64) -> JSONValue {
    if value.isNull { return .null }
    switch type {
    case "string": return .string(value.string ?? value.description)
    case "integer":
      switch value {
      case .integer: return value
      case .double(let number): return Int64(exactly: number.rounded(.towardZero)).map { .integer($0) } ?? .null
      default: return .null
      }
    case "number":
      switch value {
      case .integer, .double: return value
      default: return .null
      }
    case "boolean": return value.bool.map { .bool($0) } ?? .null
    case "date":
      guard let text = value.string else { return .null }
      guard let time = Timestamp(rfc3339: text) else { return "<invalid>" }
      return .string(HumanDuration.text(now - time.seconds))
    default: return .null
    }
  }
}
