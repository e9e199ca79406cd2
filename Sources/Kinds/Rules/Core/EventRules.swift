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
    // Both forms are told of with the names of core/v1, which is what the reference keeps.
    func member(_ coreName: String) -> JSONValue { object[name(coreName)] }
    let namespace = object["metadata"]["namespace"].text
    let subject = member("involvedObject")["namespace"].text
    let isOld = object["eventTime"].isNull
    let allowed = subject.isEmpty ? ["", "default"] + (isOld ? [] : ["kube-system"]) : [isOld ? subject : namespace]
    if !allowed.contains(namespace) {
      checks.invalid("involvedObject.namespace", .string(subject), "does not match event.namespace")
    }
    guard !isOld else { return checks.errors }
    let controller = member("reportingComponent")
    if controller.isEmptyValue { checks.required("reportingController") }
    checks.text(controller, "reportingController", Validate.qualifiedName)
    for name in ["reportingInstance", "action", "reason"] {
      if object[name].isEmptyValue { checks.required(name) }
      if object[name].text.utf8.count > Self.maximumShortText {
        checks.invalid(name, "", "can have at most \(Self.maximumShortText) characters")
      }
    }
    if member("message").text.utf8.count > Self.maximumNote {
      checks.invalid("message", "", "can have at most \(Self.maximumNote) characters")
    }
    return checks.errors
  }

  func validateCreate(_ object: JSONValue) -> [FieldError] {
    guard isNewForm else { return [] }
    var checks = Checks()
    series(object["series"], &checks)
    if object["eventTime"].isNull { checks.required("eventTime") }
    if !["Normal", "Warning"].contains(object["type"].text) {
      checks.invalid("type", "", "has invalid value: \(object["type"].text)")
    }
    for coreName in ["firstTimestamp", "lastTimestamp", "count", "source"] where !object[name(coreName)].isEmptyValue {
      checks.invalid(coreName, "", "needs to be unset")
    }
    return checks.errors
  }

  /// What is no text and no number, as Go prints it.
  private static func printed(_ coreName: String, _ value: JSONValue) -> String? {
    switch coreName {
    case "involvedObject": GoSyntax.objectReference(value)
    case "related": value.isNull ? nil : GoSyntax.objectReference(value)
    case "source": GoSyntax.texts("core.EventSource", value, [("Component", "component"), ("Host", "host")])
    case "firstTimestamp", "lastTimestamp", "eventTime":
      value.isNull ? "0001-01-01 00:00:00 +0000 UTC" : GoSyntax.time(value)
    default: nil
    }
  }

  private func series(_ series: JSONValue, _ checks: inout Checks) {
    guard !series.isNull else { return }
    if (series["count"].integer ?? 0) < 2 { checks.invalid("series.count", "", "should be at least 2") }
    if series["lastObservedTime"].isNull { checks.required("series.lastObservedTime") }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    guard isNewForm else { return [] }
    var checks = Checks()
    if object["series"] != old["series"] { series(object["series"], &checks) }
    for coreName in [
      "involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason", "type",
      "eventTime", "action", "related", "reportingComponent", "reportingInstance",
    ] {
      let field = coreName == "reportingComponent" ? "reportingController" : coreName
      let (new, before) = (object[name(coreName)], old[name(coreName)])
      guard new != before else { continue }
      if let shown = Self.printed(coreName, new) {
        checks.invalid(field, goValue: shown, Checks.immutableMessage)
      } else {
        let empty: JSONValue = coreName == "count" ? 0 : coreName == "related" ? .null : ""
        checks.invalid(field, new.isNull ? empty : new, Checks.immutableMessage)
      }
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
