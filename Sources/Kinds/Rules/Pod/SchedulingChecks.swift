// What may be wrong with where a pod may run: affinity, tolerations, spreading, gates.
import JSON
import Schema

extension Checks {
  mutating func affinity(_ affinity: JSONValue, _ place: String) {
    let node = affinity["nodeAffinity"]
    let required = "requiredDuringSchedulingIgnoredDuringExecution"
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    if !node[required].isNull { nodeSelector(node[required], "\(place).nodeAffinity.\(required)") }
    for (index, term) in node[preferred].elements.enumerated() {
      let place = "\(place).nodeAffinity.\(preferred)[\(index)]"
      weight(term, place)
      nodeSelectorTerm(term["preference"], "\(place).preference")
    }
    for name in ["podAffinity", "podAntiAffinity"] {
      for (index, term) in affinity[name][required].elements.enumerated() {
        podAffinityTerm(term, "\(place).\(name).\(required)[\(index)]")
      }
      for (index, term) in affinity[name][preferred].elements.enumerated() {
        let place = "\(place).\(name).\(preferred)[\(index)]"
        weight(term, place)
        podAffinityTerm(term["podAffinityTerm"], "\(place).podAffinityTerm")
      }
    }
  }

  private mutating func weight(_ term: JSONValue, _ place: String) {
    let weight = term["weight"].integer ?? 0
    if !(1...100).contains(weight) { invalid("\(place).weight", .integer(weight), "must be in the range 1-100") }
  }

  private mutating func podAffinityTerm(_ term: JSONValue, _ place: String) {
    for name in ["labelSelector", "namespaceSelector"] where !term[name].isNull {
      labelSelector(term[name], "\(place).\(name)")
    }
    for (index, namespace) in term["namespaces"].elements.enumerated() {
      text(namespace, "\(place).namespaces[\(index)]", Validate.dns1123Label)
    }
    topologyKey(term["topologyKey"], "\(place).topologyKey")
  }

  private mutating func topologyKey(_ key: JSONValue, _ place: String) {
    if key.isEmptyValue { return required(place, "can not be empty") }
    text(key, place, Validate.qualifiedName)
  }

  /// A `core/v1 NodeSelector`.
  mutating func nodeSelector(_ selector: JSONValue, _ place: String) {
    let terms = selector["nodeSelectorTerms"].elements
    if terms.isEmpty { required("\(place).nodeSelectorTerms", "must have at least one node selector term") }
    for (index, term) in terms.enumerated() { nodeSelectorTerm(term, "\(place).nodeSelectorTerms[\(index)]") }
  }

  private mutating func nodeSelectorTerm(_ term: JSONValue, _ place: String) {
    for (index, requirement) in term["matchExpressions"].elements.enumerated() {
      let place = "\(place).matchExpressions[\(index)]"
      let values = requirement["values"].elements
      switch requirement["operator"].text {
      case "In", "NotIn":
        if values.isEmpty {
          required("\(place).values", "must be specified when `operator` is 'In' or 'NotIn'")
        }
      case "Exists", "DoesNotExist":
        if !values.isEmpty {
          forbidden("\(place).values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        }
      case "Gt", "Lt":
        if values.count != 1 {
          required("\(place).values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
        }
      default:
        invalid("\(place).operator", .string(requirement["operator"].text), "not a valid selector operator")
      }
      text(requirement["key"], "\(place).key", Validate.qualifiedName)
    }
    for (index, requirement) in term["matchFields"].elements.enumerated() {
      let place = "\(place).matchFields[\(index)]"
      if !["In", "NotIn"].contains(requirement["operator"].text) {
        invalid("\(place).operator", .string(requirement["operator"].text), "not a valid selector operator")
      } else if requirement["values"].elements.count != 1 {
        required(
          "\(place).values", "must be only one value when `operator` is 'In' or 'NotIn' for node field selector")
      }
      if requirement["key"] != "metadata.name" {
        invalid("\(place).key", .string(requirement["key"].text), "not a valid field selector key")
      }
    }
  }

  static let taintEffects = ["NoSchedule", "PreferNoSchedule", "NoExecute"]

  mutating func tolerations(_ tolerations: JSONValue, _ path: String) {
    for (index, toleration) in tolerations.elements.enumerated() {
      let place = "\(path)[\(index)]"
      let name = toleration["operator"].text
      if toleration["key"].isEmptyValue {
        if name != "Exists" {
          invalid(
            "\(place).operator", .string(name),
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"")
        }
      } else {
        text(toleration["key"], "\(place).key", Validate.qualifiedName)
      }
      if !toleration["tolerationSeconds"].isNull, toleration["effect"] != "NoExecute" {
        invalid(
          "\(place).effect", .string(toleration["effect"].text),
          "effect must be 'NoExecute' when `tolerationSeconds` is set")
      }
      switch name {
      case "Equal", "":
        let errors = Validate.labelValue(toleration["value"].text)
        if !errors.isEmpty {
          invalid("\(place).operator", toleration["value"], errors.joined(separator: ";"))
        }
      case "Exists":
        if !toleration["value"].isEmptyValue {
          invalid("\(place).operator", toleration, "value must be empty when `operator` is 'Exists'")
        }
      default: notSupported("\(place).operator", toleration["operator"], ["Equal", "Exists"])
      }
      oneOf(toleration["effect"], "\(place).effect", Self.taintEffects, orAbsent: true)
    }
  }

  mutating func topologySpread(_ constraints: JSONValue, _ path: String) {
    var pairs: Set<String> = []
    for (index, constraint) in constraints.elements.enumerated() {
      let place = "\(path)[\(index)]"
      if (constraint["maxSkew"].integer ?? 0) <= 0 {
        invalid("\(place).maxSkew", .integer(constraint["maxSkew"].integer ?? 0), "must be greater than zero")
      }
      topologyKey(constraint["topologyKey"], "\(place).topologyKey")
      let action = constraint["whenUnsatisfiable"]
      if !["DoNotSchedule", "ScheduleAnyway"].contains(action.text) {
        notSupported("\(place).whenUnsatisfiable", action, ["DoNotSchedule", "ScheduleAnyway"])
      }
      let pair = "{\(constraint["topologyKey"].text), \(action.text)}"
      if !pairs.insert(pair).inserted {
        duplicate("\(place).{topologyKey, whenUnsatisfiable}", .string(pair))
      }
      if let domains = constraint["minDomains"].integer {
        if domains <= 0 { invalid("\(place).minDomains", .integer(domains), "must be greater than zero") }
        if action != "DoNotSchedule" {
          invalid(
            "\(place).minDomains", .integer(domains),
            "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not \(action.text)")
        }
      }
      for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
        oneOf(constraint[name], "\(place).\(name)", ["Honor", "Ignore"], orAbsent: true)
      }
      if !constraint["labelSelector"].isNull {
        labelSelector(constraint["labelSelector"], "\(place).labelSelector")
      }
    }
  }

  mutating func schedulingGates(_ gates: JSONValue, _ path: String) {
    var names: Set<String> = []
    for (index, gate) in gates.elements.enumerated() {
      text(gate["name"], "\(path)[\(index)]", Validate.qualifiedName)
      if !names.insert(gate["name"].text).inserted { duplicate("\(path)[\(index)]", gate["name"]) }
    }
  }
}
