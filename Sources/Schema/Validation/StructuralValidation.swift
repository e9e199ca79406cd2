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
    // Custom resources are validated by their rules, which know what was there before.
    if custom != nil { return [] }
    var validator = DeclaredValidator(checksRequired: checkingRequired)
    if !path.isEmpty { validator.path = [.member(path)] }
    validator.structure(value, self)
    return validator.errors
  }
}

private struct DeclaredValidator {
  enum Step {
    case member(String)
    case key(String)
    case element(Int)
  }

  let checksRequired: Bool
  /// Becomes a text only when something is wrong.
  var path: [Step] = []
  var errors: [FieldError] = []

  private var fullPath: String {
    var text = ""
    for step in path {
      switch step {
      case .member(let name): text += text.isEmpty ? name : ".\(name)"
      case .key(let key): text += "[\(key)]"
      case .element(let index): text += "[\(index)]"
      }
    }
    return text
  }

  mutating func structure(_ value: JSONValue, _ structure: Structure) {
    guard case .object(let object) = value else { return }
    if checksRequired { checkRequired(object, structure) }
    for (key, value) in object {
      guard let position = structure.memberPosition(key), !value.isNull, structure.members[position].needsVisit else {
        continue
      }
      path.append(.member(key))
      field(value, structure.members[position].type, structure.members[position].enumeration)
      path.removeLast()
    }
  }

  private mutating func checkRequired(_ object: JSONObject, _ structure: Structure) {
    for member in structure.members where member.isRequired {
      let present = object[member.name] ?? .null
      guard member.isPointer ? present.isNull : present.isZero else { continue }
      path.append(.member(member.name))
      errors.append(.required(fullPath))
      path.removeLast()
    }
  }

  private mutating func field(_ value: JSONValue, _ type: FieldType, _ allowed: [String]) {
    switch type {
    case .structure(let structure): self.structure(value, structure)
    case .array(let element):
      guard case .array(let elements) = value else { return }
      for (index, item) in elements.enumerated() {
        path.append(.element(index))
        field(item, element, allowed)
        path.removeLast()
      }
    case .map(let element):
      guard case .object(let object) = value else { return }
      for (key, item) in object {
        path.append(.key(key))
        field(item, element, allowed)
        path.removeLast()
      }
    default:
      // Whether an empty text is allowed is a question of being required.
      guard !allowed.isEmpty, let text = value.string, !text.isEmpty, !allowed.contains(text) else { return }
      errors.append(.notSupported(fullPath, value, supported: allowed.sorted()))
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
