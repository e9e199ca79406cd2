// The tables of what extends and tunes the server (spec/3 §3.3).
import JSON
import Schema

extension TableLayout {
  static let webhooks = TableLayout("Name, Webhooks#, Age") { object, now in
    [Cells.name(object), .integer(Int64(object["webhooks"].elements.count)), Cells.age(object, now)]
  }

  static let admissionPolicy = TableLayout("Name, Validations#, ParamKind, Age") { object, now in
    let kind = object["spec"]["paramKind"]
    return [
      Cells.name(object), .integer(Int64(object["spec"]["validations"].elements.count)),
      kind.isNull ? Cells.unset : .string("\(kind["apiVersion"].text)/\(kind["kind"].text)"), Cells.age(object, now),
    ]
  }

  static let admissionPolicyBinding = TableLayout("Name, PolicyName, ParamRef, Age") { object, now in
    let reference = object["spec"]["paramRef"]
    var text = Cells.unset
    if !reference["name"].isEmptyValue {
      let namespace = reference["namespace"].isEmptyValue ? "*" : reference["namespace"].text
      text = .string("\(namespace)/\(reference["name"].text)")
    } else if !reference["selector"].isNull {
      text = .string(goText(ofSelector: reference["selector"]))
    }
    return [Cells.name(object), object["spec"]["policyName"], text, Cells.age(object, now)]
  }

  /// A LabelSelector as Go prints its value.
  private static func goText(ofSelector selector: JSONValue) -> String {
    let labels = (selector["matchLabels"].object ?? [:]).sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let requirements = selector["matchExpressions"].elements.map {
      let values = $0["values"].elements.map(\.text).joined(separator: " ")
      return "LabelSelectorRequirement{Key:\($0["key"].text),Operator:\($0["operator"].text),Values:[\(values)],},"
    }
    return "&LabelSelector{MatchLabels:map[string]string{"
      + labels.map { "\($0.key): \($0.value.text)," }.joined() + "},MatchExpressions:[]LabelSelectorRequirement{"
      + requirements.joined() + "},}"
  }

  static let apiService = TableLayout("Name, Service, Available, Age") { object, now in
    let service = object["spec"]["service"]
    let available = object["status"]["conditions"].elements.first { $0["type"] == "Available" }
    var text: JSONValue = "Unknown"
    if let available {
      let status = available["status"].text
      text = status == "True" ? "True" : .string("\(status) (\(available["reason"].text))")
    }
    return [
      Cells.name(object),
      service.isNull ? "Local" : .string("\(service["namespace"].text)/\(service["name"].text)"), text,
      Cells.age(object, now),
    ]
  }

  static let runtimeClass = TableLayout("Name, Handler, Age") { object, now in
    [Cells.name(object), object["handler"], Cells.age(object, now)]
  }

  static let flowSchema = TableLayout(
    "Name, PriorityLevel, MatchingPrecedence, DistinguisherMethod, Age, MissingPL",
    rank: { Cells.number($0["spec"]["matchingPrecedence"]) }
  ) { object, now in
    let spec = object["spec"]
    let dangling = object["status"]["conditions"].elements.first { $0["type"] == "Dangling" }
    var missing: JSONValue = "?"
    if let status = dangling?["status"].string { missing = .string(status) }
    return [
      Cells.name(object), spec["priorityLevelConfiguration"]["name"], Cells.count(spec["matchingPrecedence"]),
      Cells.textOr(spec["distinguisherMethod"]["type"], Cells.none), Cells.age(object, now), missing,
    ]
  }

  static let priorityLevel = TableLayout(
    "Name, Type, NominalConcurrencyShares, Queues, HandSize, QueueLengthLimit, Age"
  ) { object, now in
    let spec = object["spec"]
    let queuing = spec["limited"]["limitResponse"]["queuing"]
    func number(_ value: JSONValue) -> JSONValue { value.integer.map { .integer($0) } ?? Cells.none }
    return [
      Cells.name(object), spec["type"], number(spec["limited"]["nominalConcurrencyShares"]), number(queuing["queues"]),
      number(queuing["handSize"]),
      number(queuing["queueLengthLimit"]), Cells.age(object, now),
    ]
  }
}
