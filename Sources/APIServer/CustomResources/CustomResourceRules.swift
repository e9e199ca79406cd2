// The rules of custom resources: what their schema says, checked where built-in kinds have rules of their own.
import JSON
import Kinds
import Schema

struct CustomResourceRules: KindRules {
  let kind: GroupVersionKind
  let schema: StructuralSchema
  let layout: CustomColumns
  let hasStatus: Bool
  let scale: CustomKind.ScalePaths?
  let checker: (any RuleChecker)?

  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    // Of the metadata only the account of who owns what changes.
    let managedFields = object["metadata"]["managedFields"]
    object["metadata"] = old["metadata"]
    object["metadata"]["managedFields"] = managedFields
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var errors: [FieldError] = []
    if object["kind"].string != kind.kind { errors.append(.invalid("kind", object["kind"], "must be \(kind.kind)")) }
    if object["apiVersion"].string != kind.apiVersion {
      errors.append(.invalid("apiVersion", object["apiVersion"], "must be \(kind.apiVersion)"))
    }
    return errors
  }

  func validateCreate(_ object: JSONValue) -> [FieldError] { schemaErrors(object, old: nil) }
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] { schemaErrors(object, old: old) }
  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] { schemaErrors(object, old: old) }

  private func schemaErrors(_ object: JSONValue, old: JSONValue?) -> [FieldError] {
    let errors = schema.validate(object, old: old) + scaleErrors(object)
    guard let checker else { return errors }
    let isBlocked = errors.contains { [.required, .tooLong, .tooMany, .typeInvalid].contains($0.reason) }
    return errors + (isBlocked ? [Self.rulesNotChecked] : checker.errors(object, old: old))
  }

  private static let rulesNotChecked = FieldError(
    .invalid, field: "<nil>",
    message: "Invalid value: \"null\": some validation rules were not checked because the object was invalid; correct "
      + "the existing errors to complete validation")

  private func scaleErrors(_ object: JSONValue) -> [FieldError] {
    guard let scale else { return [] }
    var errors: [FieldError] = []
    for path in [scale.specReplicas, scale.statusReplicas] {
      guard let count = object[path: path].integer else { continue }
      let place = path.joined(separator: ".")
      if count < 0 {
        errors.append(.invalid(place, .integer(count), "should be a non-negative integer"))
      } else if count > Int64(Int32.max) {
        errors.append(.invalid(place, .integer(count), "should be less than or equal to 2147483647"))
      }
    }
    if let selector = object[path: scale.labelSelector].string, !selector.isEmpty {
      do { _ = try LabelSelector(parsing: selector) } catch {
        errors.append(
          .invalid(scale.labelSelector.joined(separator: "."), .string(selector), error.description))
      }
    }
    return errors
  }

  func tableCells(_ object: JSONValue, now: Int64) -> [JSONValue] { layout.cells(object, now: now) }

  func generationChanged(_ object: JSONValue, old: JSONValue) -> Bool {
    guard case .object(let new) = object, case .object(let before) = old else { return object != old }
    func counts(_ name: String) -> Bool {
      !["metadata", "kind", "apiVersion"].contains(name) && !(hasStatus && name == "status")
    }
    for (name, value) in new where counts(name) && before[name] != value { return true }
    return before.contains { counts($0.key) && new[$0.key] == nil }
  }
}
