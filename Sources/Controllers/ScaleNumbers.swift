// The numbers of a Scale: 32 bits in its type, and whatever their writers like in the custom resources and aggregated servers
// that they come from.
import JSON

extension JSONValue {
  /// `replicas` of a Scale's spec or status; beyond its type, the end of the range that it is beyond.
  var scaleReplicas: Int64 { Int64(Int32(clamping: self["replicas"].integer ?? 0)) }
}
