// Events, in both of their forms: core/v1 (as they are stored) and events.k8s.io/v1.
import JSON
import Schema
import World

struct EventRules: KindRules {
  private static let maximumShortText = 128
  private static let maximumNote = 1024

  /// Whether these are the rules of events.k8s.io/v1, which asks for more.
  let isNewForm: Bool

  private func name(_ coreName: String) -> String {
    isNewForm ? EventConversion.newNames[coreName] ?? coreName : coreName
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let subject = object[name("involvedObject")]
    let place = "\(name("involvedObject")).namespace"
    let namespace = object["metadata"]["namespace"].text
    // Events of cluster-wide objects stand in the namespace "default".
    let expected = subject["namespace"].isEmptyValue ? ["", "default"] : [subject["namespace"].text]
    if !expected.contains(namespace) {
      checks.invalid(place, .string(subject["namespace"].text), "does not match event.namespace")
    }
    if isNewForm { newForm(object, &checks) }
    return checks.errors
  }

  private func newForm(_ object: JSONValue, _ checks: inout Checks) {
    // Events that were written as core/v1 have no time of their own.
    guard !object["eventTime"].isNull || object["deprecatedFirstTimestamp"].isNull else { return }
    if object["eventTime"].isNull { checks.required("eventTime") }
    if !object["series"].isNull {
      if (object["series"]["count"].integer ?? 0) < 2 {
        checks.invalid("series.count", object["series"]["count"], "should be at least 2")
      }
      if object["series"]["lastObservedTime"].isNull { checks.required("series.lastObservedTime") }
    }
    checks.requiredText(object["reportingController"], "reportingController", Validate.qualifiedName)
    for name in ["reportingInstance", "action", "reason"] {
      checks.requiredText(object[name], name)
      if object[name].text.utf8.count > Self.maximumShortText {
        checks.invalid(name, "", "can have at most \(Self.maximumShortText) characters")
      }
    }
    if object["note"].text.utf8.count > Self.maximumNote {
      checks.invalid("note", "", "can have at most \(Self.maximumNote) characters")
    }
    if !["Normal", "Warning"].contains(object["type"].text) {
      checks.invalid("type", "", "has invalid value: \(object["type"].text)")
    }
    for name in ["deprecatedSource", "deprecatedFirstTimestamp", "deprecatedLastTimestamp", "deprecatedCount"]
    where !object[name].isEmptyValue {
      checks.invalid(name, object[name], "needs to be unset")
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    guard isNewForm else { return [] }
    var checks = Checks()
    for name in [
      "reportingController", "reportingInstance", "action", "reason", "note", "type", "regarding", "related",
      "eventTime",
    ] where object[name] != old[name] {
      checks.invalid(name, object[name], Checks.immutableMessage)
    }
    return checks.errors
  }
}

/// The same event in its two forms.
enum EventConversion {
  /// Names of core/v1 members in events.k8s.io/v1; all others are called alike.
  static let newNames = [
    "involvedObject": "regarding", "message": "note", "reportingComponent": "reportingController",
    "source": "deprecatedSource", "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp", "count": "deprecatedCount",
  ]
  static let coreNames = Dictionary(uniqueKeysWithValues: newNames.map { ($1, $0) })

  static func toNewForm(_ event: JSONValue) -> JSONValue { renamed(event, newNames) }
  static func toCoreForm(_ event: JSONValue) -> JSONValue { renamed(event, coreNames) }

  private static func renamed(_ event: JSONValue, _ names: [String: String]) -> JSONValue {
    guard case .object(let members) = event else { return event }
    return .object(JSONObject(uniqueMembers: members.map { (names[$0.key] ?? $0.key, $0.value) }))
  }
}
