// RFC 7386: members replace members, null removes, everything but objects is replaced whole.
import JSON

public enum MergePatch {
  /// `target` with the members of `patch` merged into it.
  public static func apply(_ patch: JSONValue, to target: JSONValue) -> JSONValue {
    var result = target
    merge(patch, into: &result)
    return result
  }

  /// Merges in place.
  public static func merge(_ patch: JSONValue, into target: inout JSONValue) {
    guard case .object(let changes) = patch else { return target = patch }
    var object = JSONObjectEditor(target.object ?? JSONObject())
    target = .null
    for (key, value) in changes {
      if value.isNull {
        object[key] = nil
      } else if case .object = value {
        var member = object.take(key) ?? .null
        merge(value, into: &member)
        object[key] = member
      } else {
        object[key] = value
      }
    }
    target = .object(object.object)
  }

  /// The merge patch that turns `old` into `new`. Null members of `new` cannot be expressed and count as absent.
  public static func difference(from old: JSONValue, to new: JSONValue) -> JSONValue {
    guard case .object(let before) = old, case .object(let after) = new else { return new }
    var patch = JSONObject()
    for (key, value) in after where !value.isNull {
      guard let previous = before[key] else {
        patch[key] = value
        continue
      }
      guard previous != value else { continue }
      if case .object = previous, case .object = value {
        patch[key] = difference(from: previous, to: value)
      } else {
        patch[key] = value
      }
    }
    for (key, value) in before where !value.isNull && (after[key]?.isNull ?? true) { patch[key] = .null }
    return .object(patch)
  }
}
