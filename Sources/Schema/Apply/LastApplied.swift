// The annotation in which client-side `kubectl apply` keeps its last configuration. `kubectl apply --server-side` takes
// over from it: fields the annotation explains are no conflict, and the annotation is kept current, so that going
// back works (spec/2 §2.12).
import JSON

enum LastApplied {
  /// The one manager for which this holds; whoever does not want it names another.
  static let manager = "kubectl"
  static let annotation = "kubectl.kubernetes.io/last-applied-configuration"
  /// All annotations of an object together, keys and values.
  static let maximumAnnotationBytes = 256 * 1024

  /// The fields of the last configuration that the live object still has as they were applied.
  static func ownedFields(of live: JSONValue?, structure: Structure) -> FieldSet {
    guard let live, let text = live["metadata"]["annotations"][annotation].string,
      let configuration = try? JSONValue(parsing: text)
    else { return FieldSet() }
    let comparison = FieldComparison(old: configuration, new: live, structure: structure)
    return AppliedFields(of: configuration, structure: structure).set
      .subtracting(comparison.changed).subtracting(comparison.removed)
  }

  /// Writes the applied configuration into the annotation of an object that has it.
  static func refresh(in object: inout JSONValue, from applied: JSONValue) {
    guard !object["metadata"]["annotations"][annotation].isNull else { return }
    var configuration = applied
    if !configuration["metadata"]["annotations"].isNull {
      configuration["metadata"]["annotations"][annotation] = .null
    }
    let text = configuration.withSortedKeys.description + "\n"
    let others = object["metadata"]["annotations"].stringMap.reduce(0) { size, entry in
      entry.key == annotation ? size : size + entry.key.utf8.count + entry.value.utf8.count
    }
    let isTooLong = others + annotation.utf8.count + text.utf8.count > maximumAnnotationBytes
    object["metadata"]["annotations"][annotation] = .string(isTooLong ? "" : text)
  }
}

extension JSONValue {
  /// The same value with the members of every object in order of their keys.
  var withSortedKeys: JSONValue {
    switch self {
    case .array(let values): return .array(values.map(\.withSortedKeys))
    case .object(let object):
      var sorted = JSONObject(uniqueMembers: object.map { ($0.key, $0.value.withSortedKeys) })
      sorted.sortKeys()
      return .object(sorted)
    default: return self
    }
  }
}
