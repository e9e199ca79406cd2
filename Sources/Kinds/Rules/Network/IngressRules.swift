// Ingresses, their classes, network policies.
import JSON
import Schema

struct IngressRules: KindRules {
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] {
    guard old.isNull, !object["metadata"]["annotations"][Self.classAnnotation].isNull,
      object["spec"]["ingressClassName"].isNull
    else { return [] }
    return ["annotation \"\(Self.classAnnotation)\" is deprecated, please use 'spec.ingressClassName' instead"]
  }

  private static let classAnnotation = "kubernetes.io/ingress.class"

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    if spec["rules"].isEmptyValue, spec["defaultBackend"].isNull {
      checks.invalid(
        "spec", goValue: "[]networking.IngressRule(nil)", "either `defaultBackend` or `rules` must be specified")
    }
    if !spec["defaultBackend"].isNull { backend(spec["defaultBackend"], "spec.defaultBackend", &checks) }
    for (index, rule) in spec["rules"].elements.enumerated() {
      host(rule["host"], "spec.rules[\(index)].host", &checks)
      guard !rule["http"].isNull else { continue }
      let place = "spec.rules[\(index)].http.paths"
      if rule["http"]["paths"].isEmptyValue { checks.required(place) }
      for (number, path) in rule["http"]["paths"].elements.enumerated() {
        self.path(path, "\(place)[\(number)]", &checks)
      }
    }
    for (index, entry) in spec["tls"].elements.enumerated() {
      for (number, name) in entry["hosts"].elements.enumerated() {
        hostName(name, "spec.tls[\(index)].hosts[\(number)]", &checks)
      }
      if !entry["secretName"].isEmptyValue {
        checks.text(entry["secretName"], "spec.tls[\(index)].secretName") { Validate.nameIsDNSSubdomain($0) }
      }
    }
    if let name = spec["ingressClassName"].string {
      checks.text(.string(name), "spec.ingressClassName") { Validate.nameIsDNSSubdomain($0) }
    }
    return checks.errors
  }

  func validateCreate(_ object: JSONValue) -> [FieldError] {
    let annotation = object["metadata"]["annotations"][Self.classAnnotation]
    let name = object["spec"]["ingressClassName"]
    guard !annotation.isNull, !name.isNull, annotation != name else { return [] }
    return [
      .invalid(
        "annotations.\(Self.classAnnotation)", object["metadata"]["annotations"][Self.classAnnotation],
        "must match `ingressClassName` when both are specified")
    ]
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    for (index, ingress) in object["status"]["loadBalancer"]["ingress"].elements.enumerated() {
      let place = "status.loadBalancer.ingress[\(index)]"
      if !ingress["ip"].isEmptyValue { checks.address(ingress["ip"], "\(place).ip") }
      guard !ingress["hostname"].isEmptyValue else { continue }
      checks.text(ingress["hostname"], "\(place).hostname", Validate.dns1123Subdomain)
      if IPAddress(ingress["hostname"].text) != nil {
        checks.invalid("\(place).hostname", ingress["hostname"], "must be a DNS name, not an IP address")
      }
    }
    return checks.errors
  }

  private func host(_ host: JSONValue, _ place: String, _ checks: inout Checks) {
    guard let name = host.string, !name.isEmpty else { return }
    if IPAddress(name) != nil { checks.invalid(place, host, "must be a DNS name, not an IP address") }
    hostName(host, place, &checks)
  }

  private func hostName(_ host: JSONValue, _ place: String, _ checks: inout Checks) {
    let isWildcard = host.text.contains("*")
    checks.text(host, place, isWildcard ? Validate.wildcardDNS1123Subdomain : Validate.dns1123Subdomain)
  }

  private func path(_ path: JSONValue, _ place: String, _ checks: inout Checks) {
    let types = ["Exact", "ImplementationSpecific", "Prefix"]
    if path["pathType"].isNull { return checks.required("\(place).pathType", "pathType must be specified") }
    switch path["pathType"].text {
    case "Exact", "Prefix":
      if !path["path"].text.hasPrefix("/") {
        checks.invalid("\(place).path", .string(path["path"].text), "must be an absolute path")
      }
      for part in ["//", "/./", "/../", "%2f", "%2F"] where path["path"].text.contains(part) {
        checks.invalid("\(place).path", path["path"], "must not contain '\(part)'")
      }
      for end in ["/..", "/."] where path["path"].text.hasSuffix(end) {
        checks.invalid("\(place).path", path["path"], "cannot end with '\(end)'")
      }
    case "ImplementationSpecific":
      if let text = path["path"].string, !text.isEmpty, !text.hasPrefix("/") {
        checks.invalid("\(place).path", path["path"], "must be an absolute path")
      }
    default: checks.notSupported("\(place).pathType", path["pathType"], types)
    }
    backend(path["backend"], "\(place).backend", &checks)
  }

  private func backend(_ backend: JSONValue, _ place: String, _ checks: inout Checks) {
    let service = backend["service"]
    if !backend["resource"].isNull, !service.isNull {
      return checks.invalid(place, "", "cannot set both resource and service backends")
    }
    if !backend["resource"].isNull {
      return reference(backend["resource"], "\(place).resource", &checks)
    }
    if service.isNull { return checks.invalid(place, "", "resource or service backend is required") }
    if service["name"].isEmptyValue {
      checks.required("\(place).service.name")
    } else {
      checks.text(service["name"], "\(place).service.name") { Validate.nameIsDNS1035Label($0) }
    }
    let hasName = !service["port"]["name"].isEmptyValue
    let hasNumber = !service["port"]["number"].isEmptyValue
    if hasName, hasNumber {
      checks.invalid(place, "", "cannot set both port name & port number")
    } else if hasName {
      checks.text(service["port"]["name"], "\(place).service.port.name", Checks.portName)
    } else if hasNumber {
      checks.port(service["port"]["number"], "\(place).service.port.number")
    } else {
      checks.required(place, "port name or number is required")
    }
  }
}

/// A reference to an object of any kind.
private func reference(_ value: JSONValue, _ place: String, _ checks: inout Checks) {
  if let group = value["apiGroup"].string {
    checks.text(.string(group), "\(place).apiGroup", Validate.dns1123Subdomain)
  }
  for name in ["kind", "name"] {
    if value[name].isEmptyValue {
      checks.required("\(place).\(name)", "\(name) is required")
    } else {
      checks.text(value[name], "\(place).\(name)") { Validate.pathSegmentName($0) }
    }
  }
}

struct IngressClassRules: KindRules {
  private static let maximumControllerLength = 250

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let controller = object["spec"]["controller"].text
    if controller.utf8.count > Self.maximumControllerLength {
      checks.report(.tooLong("spec.controller", maximumBytes: Self.maximumControllerLength))
    }
    checks.report(Validate.domainPrefixedPath(controller, "spec.controller"))
    let parameters = object["spec"]["parameters"]
    guard !parameters.isNull else { return checks.errors }
    reference(parameters, "spec.parameters", &checks)
    let place = "spec.parameters.namespace"
    switch parameters["scope"] {
    case .null: checks.required("spec.parameters.scope")
    case "Namespace":
      if let namespace = parameters["namespace"].string {
        checks.text(.string(namespace), place) { Validate.nameIsDNSLabel($0) }
      } else {
        checks.required(place, "`parameters.scope` is set to 'Namespace'")
      }
    case "Cluster":
      if !parameters["namespace"].isNull { checks.forbidden(place, "`parameters.scope` is set to 'Cluster'") }
    default: checks.notSupported("spec.parameters.scope", parameters["scope"], ["Cluster", "Namespace"])
    }
    return checks.errors
  }

  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutable(object["spec"]["controller"], old["spec"]["controller"], "spec.controller")
    return checks.errors + validate(object)
  }
}

struct NetworkPolicyRules: KindRules {
  func applyDefaults(to object: inout JSONValue) {
    guard object["spec"]["policyTypes"].isEmptyValue else { return }
    object["spec"]["policyTypes"] = object["spec"]["egress"].isEmptyValue ? ["Ingress"] : ["Ingress", "Egress"]
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    checks.labelSelector(spec["podSelector"], "spec.podSelector")
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
      for (index, rule) in spec[list].elements.enumerated() {
        let place = "spec.\(list)[\(index)]"
        for (number, port) in rule["ports"].elements.enumerated() {
          self.port(port, "\(place).ports[\(number)]", &checks)
        }
        for (number, peer) in rule[peers].elements.enumerated() {
          self.peer(peer, "\(place).\(peers)[\(number)]", &checks)
        }
      }
    }
    let types = spec["policyTypes"].elements
    if types.count > 2 {
      checks.invalid(
        "spec.policyTypes", goValue: GoSyntax.strings(spec["policyTypes"], of: "networking.PolicyType"),
        "may not specify more than two policyTypes")
    } else {
      for (index, type) in types.enumerated() where type != "Ingress" && type != "Egress" {
        checks.notSupported("spec.policyTypes[\(index)]", type, ["Ingress", "Egress"])
      }
    }
    return checks.errors
  }

  private func port(_ port: JSONValue, _ place: String, _ checks: inout Checks) {
    if !port["protocol"].isNull { checks.choice(port["protocol"], "\(place).protocol", ["TCP", "UDP", "SCTP"]) }
    guard !port["port"].isNull else {
      if !port["endPort"].isNull {
        checks.invalid("\(place).endPort", port["endPort"], "may not be specified when `port` is not specified")
      }
      return
    }
    let end = port["endPort"].integer
    if let end, port["port"].string != nil {
      checks.invalid("\(place).endPort", .integer(end), "may not be specified when `port` is non-numeric")
    }
    checks.portOrName(port["port"], "\(place).port")
    guard let end, let first = port["port"].integer else { return }
    if end < first {
      // (The reference shows the port here.)
      checks.invalid("\(place).endPort", .integer(first), "must be greater than or equal to `port`")
    }
    checks.port(.integer(end), "\(place).endPort")
  }

  private func peer(_ peer: JSONValue, _ place: String, _ checks: inout Checks) {
    let selectors = ["podSelector", "namespaceSelector"].filter { !peer[$0].isNull }
    for name in selectors { checks.labelSelector(peer[name], "\(place).\(name)") }
    let block = peer["ipBlock"]
    if selectors.isEmpty, block.isNull { return checks.required(place, "must specify a peer") }
    guard !block.isNull else { return }
    addressBlock(block, "\(place).ipBlock", &checks)
    if !selectors.isEmpty {
      checks.forbidden(place, "may not specify both ipBlock and another peer")
    }
  }

  private func addressBlock(_ block: JSONValue, _ place: String, _ checks: inout Checks) {
    if block["cidr"].isEmptyValue { return checks.required("\(place).cidr") }
    checks.addressBlock(block["cidr"], "\(place).cidr")
    guard let whole = CIDR(block["cidr"].text) else { return }
    for (index, exception) in block["except"].elements.enumerated() {
      checks.addressBlock(exception, "\(place).except[\(index)]")
      guard let part = CIDR(exception.text) else { continue }
      if !whole.contains(part.address) || whole.prefixLength >= part.prefixLength {
        checks.invalid("\(place).except[\(index)]", exception, "must be a strict subset of `cidr`")
      }
    }
  }
}
