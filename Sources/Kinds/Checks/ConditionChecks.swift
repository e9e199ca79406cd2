// Conditions of `meta/v1`, wherever a status has them, and what a status may not change beside itself.
import JSON
import Schema

extension Checks {
  private static let maximumReasonLength = 1024
  private static let maximumMessageLength = 32 * 1024

  mutating func conditions(_ conditions: JSONValue, _ path: String) {
    var types: Set<String> = []
    for (index, condition) in conditions.elements.enumerated() {
      let place = "\(path)[\(index)]"
      if !types.insert(condition["type"].text).inserted { duplicate("\(place).type", condition["type"]) }
      text(condition["type"], "\(place).type", Validate.qualifiedName)
      choice(condition["status"], "\(place).status", ["False", "True", "Unknown"])
      if let generation = condition["observedGeneration"].integer, generation < 0 {
        invalid("\(place).observedGeneration", .integer(generation), "must be greater than or equal to zero")
      }
      if condition["lastTransitionTime"].isEmptyValue { required("\(place).lastTransitionTime", "must be set") }
      if condition["reason"].isEmptyValue {
        required("\(place).reason", "must be set")
      } else {
        text(condition["reason"], "\(place).reason", Validate.conditionReason)
        if condition["reason"].text.utf8.count > Self.maximumReasonLength {
          report(.tooLong("\(place).reason", maximumBytes: Self.maximumReasonLength))
        }
      }
      if condition["message"].text.utf8.count > Self.maximumMessageLength {
        report(.tooLong("\(place).message", maximumBytes: Self.maximumMessageLength))
      }
    }
  }
}

extension KindRules {
  /// Of kinds whose status is written without their metadata.
  func keepMetadata(of old: JSONValue, in object: inout JSONValue) {
    for name in ["labels", "annotations", "finalizers", "ownerReferences"]
    where object["metadata"][name] != old["metadata"][name] { object["metadata"][name] = old["metadata"][name] }
  }
}
