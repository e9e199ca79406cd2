// What the server does to metadata (spec/2 §2.7).
import JSON
import Schema
import World

enum ObjectMetadata {
  static let generatedSuffixLength = 5
  /// A generated name's base is cut so that the whole fits a label.
  static let generatedBaseMaximum = 63 - generatedSuffixLength
  private static let suffixAlphabet = Array("bcdfghjklmnpqrstvwxz2456789".utf8)

  /// The namespace of the URL, checked against what the object says; what has none loses it.
  static func place(_ object: inout JSONValue, _ request: ResourceRequest) throws(APIStatus) {
    let given = object["metadata"]["namespace"].string ?? ""
    guard request.kind.isNamespaced else {
      if !given.isEmpty { object["metadata"]["namespace"] = .null }
      return
    }
    if !given.isEmpty, given != request.namespace {
      throw .badRequest("the namespace of the provided object does not match the namespace sent on the request")
    }
    object["metadata"]["namespace"] = .string(request.namespace)
  }

  /// The object's name must be the URL's.
  static func checkName(_ object: JSONValue, _ name: String) throws(APIStatus) {
    let given = object["metadata"]["name"].string ?? ""
    if given.isEmpty {
      throw .badRequest("the name of the object (\(name) based on URL) was undeterminable: name must be provided")
    }
    guard given == name else {
      throw .badRequest("the name of the object (\(given)) does not match the name on the URL (\(name))")
    }
  }

  /// What a client may not set, beside what is carried over without a word.
  static func immutableErrors(_ wanted: JSONValue, old: JSONValue) -> [FieldError] {
    var errors: [FieldError] = []
    if let uid = wanted["metadata"]["uid"].string, !uid.isEmpty, uid != old["metadata"]["uid"].string {
      errors.append(.invalid("metadata.uid", .string(uid), "field is immutable"))
    }
    guard !isBeingDeleted(old), let time = wanted["metadata"]["deletionTimestamp"].string else { return errors }
    let text = time.replacing("T", with: " ").replacing("Z", with: " +0000 UTC")
    return errors + [
      FieldError(
        .invalid, field: "metadata.deletionTimestamp", message: "Invalid value: \(text): field is immutable")
    ]
  }

  /// Keeps owners that are told twice once, and tells of it. `isAdmitted`: whether plugins had their say before.
  static func removeRepeatedOwners(_ object: inout JSONValue, isAdmitted: Bool) -> [String] {
    let owners = object["metadata"]["ownerReferences"].elements
    guard owners.count > 1 else { return [] }
    var seen: Set<JSONValue> = []
    var kept: [JSONValue] = []
    var repeated: [String] = []
    for owner in owners {
      if seen.insert(owner).inserted { kept.append(owner) } else { repeated.append(owner["uid"].string ?? "") }
    }
    guard !repeated.isEmpty else { return [] }
    object["metadata"]["ownerReferences"] = .array(kept)
    return [
      ".metadata.ownerReferences contains duplicate entries\(isAdmitted ? " after mutating admission happens" : ""); "
        + "API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your "
        + "requests; duplicate UID(s) observed: \(repeated.joined(separator: ", "))"
    ]
  }

  /// `base` and five characters.
  static func generateName(_ base: String, _ world: any World) -> String {
    var name = String(decoding: Array(base.utf8.prefix(generatedBaseMaximum)), as: UTF8.self)
    var bits = world.randomBits()
    for _ in 0..<generatedSuffixLength {
      let (rest, index) = bits.quotientAndRemainder(dividingBy: UInt64(suffixAlphabet.count))
      name.unicodeScalars.append(Unicode.Scalar(suffixAlphabet[Int(index)]))
      bits = rest
    }
    return name
  }

  /// Sets what the server owns in the metadata of a new object.
  static func prepareForCreate(_ object: inout JSONValue, kind: KindDescriptor, now: WallTime, world: any World) {
    for member in [
      "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation",
    ] { object["metadata"][member] = .null }
    object["metadata"]["uid"] = .string(world.uuid())
    object["metadata"]["creationTimestamp"] = .string(now.rfc3339)
    if kind.traits.tracksGeneration { object["metadata"]["generation"] = 1 }
  }

  /// Carries over what clients may not change.
  static func prepareForUpdate(_ object: inout JSONValue, old: JSONValue) {
    let before = old["metadata"]
    for member in [
      "name", "namespace", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
      "resourceVersion", "uid",
    ] where object["metadata"][member] != before[member] { object["metadata"][member] = before[member] }
    object["metadata"]["selfLink"] = .null
  }

  /// Marks an object as being deleted.
  static func markDeleted(_ object: inout JSONValue, at time: WallTime, gracePeriodSeconds: Int64) {
    if object["metadata"]["deletionTimestamp"].isNull, let generation = object["metadata"]["generation"].integer,
      generation > 0
    {
      object["metadata"]["generation"] = .integer(generation + 1)
    }
    object["metadata"]["deletionTimestamp"] = .string(time.rfc3339)
    object["metadata"]["deletionGracePeriodSeconds"] = .integer(gracePeriodSeconds)
  }

  static func isBeingDeleted(_ object: JSONValue) -> Bool { !object["metadata"]["deletionTimestamp"].isNull }

  static func finalizers(_ object: JSONValue) -> [String] {
    object["metadata"]["finalizers"].elements.compactMap(\.string)
  }

  /// Nothing holds a deleted object any more: the write that made it so removes it.
  static func deletionIsComplete(_ object: JSONValue, kind: KindDescriptor) -> Bool {
    guard isBeingDeleted(object), finalizers(object).isEmpty,
      object["metadata"]["deletionGracePeriodSeconds"].integer ?? 0 == 0
    else { return false }
    let isNamespace = kind.kind.group.isEmpty && kind.kind.kind == "Namespace"
    return !isNamespace || object["spec"]["finalizers"].elements.isEmpty
  }
}
