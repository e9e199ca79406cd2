// What a schema alone can say is wrong with a canonical object: values outside an enumeration, required members absent.
import JSON

extension Structure {
  /// Values that are not among those allowed, everywhere; and, if asked, required members that say nothing.
  ///
  /// The reference checks required members kind by kind and lets many be empty (all of status, for one), so that check
  /// is off unless a kind's rules ask for it, below a path they choose.
  public func validate(
    _ value: JSONValue, path: String = "", checkingRequired: Bool = false
  ) -> [FieldError] {
    var errors: [FieldError] = []
    StructuralValidator(checksRequired: checkingRequired).structure(value, self, path, &errors)
    return errors
  }
}

private struct StructuralValidator {
  let checksRequired: Bool

  func structure(_ value: JSONValue, _ structure: Structure, _ path: String, _ errors: inout [FieldError]) {
    guard case .object(let object) = value else { return }
    if checksRequired {
      for member in structure.members where member.isRequired {
        let present = object[member.name] ?? .null
        if member.isPointer ? present.isNull : present.isZero { errors.append(.required(joined(path, member.name))) }
      }
    }
    for (key, value) in object {
      guard let member = structure.member(key), !value.isNull, member.needsVisit else { continue }
      field(value, member.type, member.enumeration, joined(path, key), &errors)
    }
  }

  private func joined(_ path: String, _ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

  private func field(
    _ value: JSONValue, _ type: FieldType, _ allowed: [String], _ path: String, _ errors: inout [FieldError]
  ) {
    switch type {
    case .structure(let structure): self.structure(value, structure, path, &errors)
    case .array(let element):
      for (index, item) in value.elements.enumerated() {
        field(item, element, allowed, "\(path)[\(index)]", &errors)
      }
    case .map(let element):
      guard case .object(let object) = value else { return }
      for (key, item) in object { field(item, element, allowed, "\(path)[\(key)]", &errors) }
    default:
      // Whether an empty text is allowed is a question of being required.
      guard !allowed.isEmpty, let text = value.string, !text.isEmpty, !allowed.contains(text) else { return }
      errors.append(.notSupported(path, value, supported: allowed.sorted()))
    }
  }
}

extension Field {
  fileprivate var needsVisit: Bool { !enumeration.isEmpty || type.mayHoldStructures }
}

extension FieldType {
  /// Has structures inside.
  var mayHoldStructures: Bool {
    switch self {
    case .structure: true
    case .array(let element), .map(let element): element.mayHoldStructures
    default: false
    }
  }
}
