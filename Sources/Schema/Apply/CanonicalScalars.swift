// The values of an applied configuration as the server writes them: "0.5" is "500m". Nothing else of the
// configuration may change, since its manager owns exactly what it says, zeros and nulls included.
import JSON

enum CanonicalScalars {
  /// Values that are none of their type stay; decoding the result will name them.
  static func of(_ value: JSONValue, _ type: FieldType) -> JSONValue {
    switch (type, value) {
    case (.structure(let structure), .object(let object)):
      .object(
        JSONObject(
          uniqueMembers: object.map { name, member in
            (name, structure.member(name).map { of(member, $0.type) } ?? member)
          }))
    case (.map(let element), .object(let object)):
      .object(JSONObject(uniqueMembers: object.map { ($0.key, of($0.value, element)) }))
    case (.array(let element), .array(let items)): .array(items.map { of($0, element) })
    case (.quantity, .string), (.quantity, .integer), (.quantity, .double), (.time, .string), (.microTime, .string),
      (.duration, .string), (.bytes, .string), (.double, .double):
      TypedDecoder.canonicalized(value, as: type)
    default: value
    }
  }
}
