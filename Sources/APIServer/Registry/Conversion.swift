// Between the version an object is stored in and another that it is served in. Two kinds have two: Event (stored as
// core/v1) and HorizontalPodAutoscaler (stored as autoscaling/v2); see spec/3 §3.1.
import JSON
import Kinds
import Schema

enum Conversion {
  static func fromStorage(_ object: JSONValue, to kind: KindDescriptor) -> JSONValue {
    if let custom = kind.custom {
      return CustomConversion.renamed(CustomConversion.refreshed(object, custom), to: kind.kind, custom)
    }
    guard kind.storage != kind.kind else { return object }
    let result = KindConversion.convert(object, from: kind.storage, to: kind.kind)
    return TypedDecoder.canonicalized(result, as: kind.structure)
  }

  static func toStorage(_ object: JSONValue, from kind: KindDescriptor, _ registry: KindRegistry) -> JSONValue {
    if let custom = kind.custom { return CustomConversion.renamed(object, to: kind.storage, custom) }
    guard kind.storage != kind.kind else { return object }
    guard let structure = registry.structure(kind.storage) else {
      preconditionFailure("\(kind.kind) is stored as \(kind.storage), which has no type")
    }
    return TypedDecoder.canonicalized(
      KindConversion.convert(object, from: kind.kind, to: kind.storage), as: structure)
  }
}
