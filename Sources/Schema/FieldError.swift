import JSON

/// One thing wrong with one field, in the words of Kubernetes (spec/1 §1.6, "Field-error cause reasons").
public struct FieldError: Error, Sendable, Hashable {
  public enum Reason: String, Sendable {
    case required = "FieldValueRequired"
    case invalid = "FieldValueInvalid"
    case notSupported = "FieldValueNotSupported"
    case forbidden = "FieldValueForbidden"
    case duplicate = "FieldValueDuplicate"
    case tooLong = "FieldValueTooLong"
    case tooMany = "FieldValueTooMany"
    case notFound = "FieldValueNotFound"
    case typeInvalid = "FieldValueTypeInvalid"
    case internalError = "InternalError"
  }
  public var reason: Reason
  /// JSON path: `spec.template.spec.containers[0].image`, `metadata.labels[key]`.
  public var field: String
  /// Without the field: `Invalid value: "x": must be …`.
  public var message: String

  public init(_ reason: Reason, field: String, message: String) {
    self.reason = reason
    self.field = field
    self.message = message
  }

  public static func required(_ field: String, _ detail: String = "") -> Self {
    Self(.required, field: field, message: joined("Required value", detail))
  }
  /// `value` as the reference prints it: text quoted, numbers bare, lists of text as Go writes them, objects as JSON.
  public static func invalid(_ field: String, _ value: JSONValue, _ detail: String) -> Self {
    Self(.invalid, field: field, message: joined("Invalid value: \(printed(value))", detail))
  }
  public static func notSupported(_ field: String, _ value: JSONValue, supported: [String]) -> Self {
    let list = supported.map { "\"\($0)\"" }.joined(separator: ", ")
    return Self(
      .notSupported, field: field,
      message: "Unsupported value: \(printed(value))" + (supported.isEmpty ? "" : ": supported values: \(list)"))
  }
  public static func forbidden(_ field: String, _ detail: String) -> Self {
    Self(.forbidden, field: field, message: joined("Forbidden", detail))
  }
  public static func duplicate(_ field: String, _ value: JSONValue) -> Self {
    Self(.duplicate, field: field, message: "Duplicate value: \(printed(value))")
  }
  public static func tooLong(_ field: String, maximumBytes: Int) -> Self {
    Self(.tooLong, field: field, message: "Too long: may not be more than \(maximumBytes) bytes")
  }
  public static func tooMany(_ field: String, actual: Int, maximum: Int) -> Self {
    Self(.tooMany, field: field, message: "Too many: \(actual): must have at most \(maximum) items")
  }
  public static func notFound(_ field: String, _ value: JSONValue) -> Self {
    Self(.notFound, field: field, message: "Not found: \(printed(value))")
  }
  public static func typeInvalid(_ field: String, _ value: JSONValue, _ detail: String) -> Self {
    Self(.typeInvalid, field: field, message: joined("Invalid value: \(printed(value))", detail))
  }

  private static func joined(_ head: String, _ detail: String) -> String {
    detail.isEmpty ? head : "\(head): \(detail)"
  }
  private static func printed(_ value: JSONValue) -> String {
    if case .array(let items) = value, items.allSatisfy({ $0.string != nil }) {
      return "[]string{\(items.map(\.description).joined(separator: ", "))}"
    }
    // What is absent is called so, in quotes.
    return value.isNull ? "\"null\"" : value.description
  }
}
