// What may be wrong with where a pod may run: affinity, tolerations, spreading, gates.
import JSON
import Schema

extension Checks {
  mutating func affinity(_ affinity: JSONValue, _ place: @autoclosure Path) {
    let node = affinity["nodeAffinity"]
    let required = "requiredDuringSchedulingIgnoredDuringExecution"
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    if !node[required].isNull { nodeSelector(node[required], "\(place()).nodeAffinity.\(required)") }
    for (index, term) in node[preferred].elements.enumerated() {
      func own() -> String { "\(place()).nodeAffinity.\(preferred)[\(index)]" }
      weight(term, own())
      nodeSelectorTerm(term["preference"], "\(own()).preference", checksValues: false)
    }
    for name in ["podAffinity", "podAntiAffinity"] {
      for (index, term) in affinity[name][required].elements.enumerated() {
        podAffinityTerm(term, "\(place()).\(name).\(required)[\(index)]")
      }
      for (index, term) in affinity[name][preferred].elements.enumerated() {
        func own() -> String { "\(place()).\(name).\(preferred)[\(index)]" }
        weight(term, own())
        podAffinityTerm(term["podAffinityTerm"], "\(own()).podAffinityTerm")
      }
    }
  }

  private mutating func weight(_ term: JSONValue, _ place: @autoclosure Path) {
    let weight = term["weight"].integer ?? 0
    if !(1...100).contains(weight) { invalid("\(place()).weight", .integer(weight), "must be in the range 1-100") }
  }

  private mutating func podAffinityTerm(_ term: JSONValue, _ place: @autoclosure Path) {
    for name in ["labelSelector", "namespaceSelector"] where !term[name].isNull {
      labelSelector(term[name], "\(place()).\(name)")
    }
    for namespace in term["namespaces"].elements {
      text(namespace, "\(place()).namespace", Validate.dns1123Label)
    }
    labelKeys(term, place())
    if term["topologyKey"].isEmptyValue { required("\(place()).topologyKey", "can not be empty") }
    text(term["topologyKey"], "\(place()).topologyKey", Validate.qualifiedName)
  }

  /// matchLabelKeys and mismatchLabelKeys of an affinity term.
  private mutating func labelKeys(_ term: JSONValue, _ place: @autoclosure Path) {
    for name in ["matchLabelKeys", "mismatchLabelKeys"] where !term[name].isEmptyValue {
      guard !term["labelSelector"].isNull else {
        forbidden("\(place()).\(name)", "must not be specified when labelSelector is not set")
        continue
      }
      for (index, key) in term[name].elements.enumerated() {
        text(key, "\(place()).\(name)[\(index)]", Validate.qualifiedName)
      }
    }
    // What the server added for a key stands once; a second requirement on it is the client's.
    let keys = term["matchLabelKeys"].elements
    var seen = Set(term["labelSelector"]["matchLabels"].object?.keys.map { $0 } ?? [])
    for expression in term["labelSelector"]["matchExpressions"].elements {
      let key = expression["key"]
      if seen.contains(key.text), let index = keys.firstIndex(of: key) {
        invalid("\(place())[\(index)]", key, "exists in both matchLabelKeys and labelSelector")
      }
      seen.insert(key.text)
    }
    for (index, key) in keys.enumerated() where term["mismatchLabelKeys"].elements.contains(key) {
      invalid(
        "\(place()).matchLabelKeys[\(index)]", key, "exists in both matchLabelKeys and mismatchLabelKeys")
    }
  }

  /// A `core/v1 NodeSelector`.
  mutating func nodeSelector(_ selector: JSONValue, _ place: @autoclosure Path) {
    let terms = selector["nodeSelectorTerms"].elements
    if terms.isEmpty { return required("\(place()).nodeSelectorTerms", "must have at least one node selector term") }
    for (index, term) in terms.enumerated() { nodeSelectorTerm(term, "\(place()).nodeSelectorTerms[\(index)]") }
  }

  /// Preferences may ask for values that no label can have: they are just never met.
  private mutating func nodeSelectorTerm(_ term: JSONValue, _ place: @autoclosure Path, checksValues: Bool = true) {
    for (index, requirement) in term["matchExpressions"].elements.enumerated() {
      func own() -> String { "\(place()).matchExpressions[\(index)]" }
      let values = requirement["values"].elements
      switch requirement["operator"].text {
      case "In", "NotIn":
        if values.isEmpty {
          required("\(own()).values", "must be specified when `operator` is 'In' or 'NotIn'")
        }
      case "Exists", "DoesNotExist":
        if !values.isEmpty {
          forbidden("\(own()).values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        }
      case "Gt", "Lt":
        if values.count != 1 {
          required("\(own()).values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        }
      default:
        invalid("\(own()).operator", .string(requirement["operator"].text), "not a valid selector operator")
      }
      text(requirement["key"], "\(own()).key", Validate.qualifiedName)
      for (number, value) in values.enumerated() where checksValues {
        text(value, "\(own()).values[\(number)]", Validate.labelValue)
      }
    }
    for (index, requirement) in term["matchFields"].elements.enumerated() {
      func own() -> String { "\(place()).matchFields[\(index)]" }
      if !["In", "NotIn"].contains(requirement["operator"].text) {
        invalid("\(own()).operator", .string(requirement["operator"].text), "not a valid selector operator")
      } else if requirement["values"].elements.count != 1 {
        required(
          "\(own()).values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
      }
      if requirement["key"] != "metadata.name" {
        invalid("\(own()).key", .string(requirement["key"].text), "not a valid field selector key")
        continue
      }
      for (number, value) in requirement["values"].elements.enumerated() {
        text(value, "\(own()).values[\(number)]") { Validate.nameIsDNSSubdomain($0) }
      }
    }
  }

  static let taintEffects = ["NoSchedule", "PreferNoSchedule", "NoExecute"]

  mutating func tolerations(_ tolerations: JSONValue, _ path: @autoclosure Path) {
    for (index, toleration) in tolerations.elements.enumerated() {
      func place() -> String { "\(path())[\(index)]" }
      let name = toleration["operator"].text
      if !toleration["key"].isEmptyValue {
        text(toleration["key"], "\(place()).key", Validate.qualifiedName)
      } else if name != "Exists" {
        invalid(
          "\(place()).operator", .string(name),
          "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
      }
      if !toleration["tolerationSeconds"].isNull, toleration["effect"] != "NoExecute" {
        invalid(
          "\(place()).effect", .string(toleration["effect"].text),
          "effect must be 'NoExecute' when `tolerationSeconds` is set")
      }
      switch name {
      case "Equal", "":
        let errors = Validate.labelValue(toleration["value"].text)
        if !errors.isEmpty {
          invalid("\(place()).operator", toleration["value"], errors.joined(separator: ";"))
        }
      case "Exists":
        if !toleration["value"].isEmptyValue {
          invalid(
            "\(place()).operator", goValue: GoSyntax.toleration(toleration),
            "value must be empty when `operator` is 'Exists'")
        }
      default: notSupported("\(place()).operator", toleration["operator"], ["Equal", "Exists"])
      }
      oneOf(toleration["effect"], "\(place()).effect", Self.taintEffects, orAbsent: true)
    }
  }

  mutating func topologySpread(_ constraints: JSONValue, _ path: @autoclosure Path) {
    let all = constraints.elements
    func identity(_ constraint: JSONValue) -> [JSONValue] {
      [constraint["topologyKey"], constraint["whenUnsatisfiable"]]
    }
    var following = Dictionary(grouping: all, by: identity).mapValues(\.count)
    for (index, constraint) in all.enumerated() {
      func place() -> String { "\(path())[\(index)]" }
      following[identity(constraint), default: 0] -= 1
      if (constraint["maxSkew"].integer ?? 0) <= 0 {
        invalid("\(place()).maxSkew", .integer(constraint["maxSkew"].integer ?? 0), "must be greater than zero")
      }
      if constraint["topologyKey"].isEmptyValue { required("\(place()).topologyKey", "can not be empty") }
      let action = constraint["whenUnsatisfiable"]
      if !["DoNotSchedule", "ScheduleAnyway"].contains(action.text) {
        notSupported("\(place()).whenUnsatisfiable", action, ["DoNotSchedule", "ScheduleAnyway"])
      }
      if following[identity(constraint)] != 0 {
        duplicate(
          "\(place()).{topologyKey, whenUnsatisfiable}",
          .string("{\(constraint["topologyKey"].text), \(action.text)}"))
      }
      if let domains = constraint["minDomains"].integer {
        if domains <= 0 { invalid("\(place()).minDomains", .integer(domains), "must be greater than zero") }
        if action != "DoNotSchedule" {
          invalid(
            "\(place()).minDomains", .integer(domains),
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not \(action.text)")
        }
      }
      for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        if !constraint[name].isNull { choice(constraint[name], "\(place()).\(name)", ["Honor", "Ignore"]) }
      }
      spreadingKeys(constraint, "\(place()).matchLabelKeys")
      if !constraint["labelSelector"].isNull {
        labelSelector(constraint["labelSelector"], "\(place()).labelSelector")
      }
    }
  }

  private mutating func spreadingKeys(_ constraint: JSONValue, _ path: @autoclosure Path) {
    let keys = constraint["matchLabelKeys"].elements
    guard !keys.isEmpty else { return }
    let selector = constraint["labelSelector"]
    if selector.isNull { forbidden(path(), "must not be specified when labelSelector is not set") }
    let selected = Set(selector["matchLabels"].object?.keys.map { $0 } ?? [])
      .union(selector["matchExpressions"].elements.map { $0["key"].text })
    for (index, key) in keys.enumerated() {
      text(key, "\(path())[\(index)]", Validate.qualifiedName)
      if selected.contains(key.text) {
        invalid("\(path())[\(index)]", key, "exists in both matchLabelKeys and labelSelector")
      }
    }
  }

  mutating func schedulingGates(_ gates: JSONValue, _ path: @autoclosure Path) {
    var names: Set<String> = []
    for (index, gate) in gates.elements.enumerated() {
      text(gate["name"], "\(path())[\(index)]", Validate.qualifiedName)
      if !names.insert(gate["name"].text).inserted { duplicate("\(path())[\(index)]", gate["name"]) }
    }
  }
}
