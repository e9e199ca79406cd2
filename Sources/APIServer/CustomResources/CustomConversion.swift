// Custom resources between the form they are stored in and the version of a request.
import JSON
import Replica
import Schema

enum CustomConversion {
  /// A stored object as its version's schema has it today: pruned and defaulted. What was stored before the definition
  /// changed may be neither.
  static func refreshed(_ object: JSONValue, _ custom: CustomKind) -> JSONValue {
    let version = GroupVersionKind(apiVersion: object["apiVersion"].string ?? "", kind: "").version
    guard let structure = custom.schemas[version] else { return object }
    var result = TypedDecoder.canonicalized(object, as: structure)
    structure.applyDefaults(to: &result)
    return result
  }

  /// Into another version, where only apiVersion differs (or a webhook has done the rest).
  static func renamed(_ object: JSONValue, to kind: GroupVersionKind, _ custom: CustomKind) -> JSONValue {
    if object["apiVersion"].string == kind.apiVersion { return object }
    var result = object
    result["apiVersion"] = .string(kind.apiVersion)
    guard let structure = custom.schemas[kind.version] else { return result }
    return TypedDecoder.canonicalized(result, as: structure)
  }
}

extension CustomKind {
  /// The stored object is not as its version's schema has it today, or may not be.
  func needsRefresh(_ object: StoredObject) -> Bool { object.revision < revision || defaultsStatus }
}

extension KindDescriptor {
  /// The stored bytes are not what this kind's clients read: another version, or an older schema. What a webhook
  /// converts has been before it comes here.
  func needsConversion(_ object: StoredObject) -> Bool {
    guard !isConvertedByWebhook else { return false }
    return storage != kind || (custom.map { $0.needsRefresh(object) } ?? false)
  }
}
