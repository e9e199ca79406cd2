// Endpoints and endpoint slices.
import JSON
import Schema

struct EndpointsRules: KindRules {
  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    for (index, subset) in object["subsets"].elements.enumerated() {
      let place = "subsets[\(index)]"
      if subset["addresses"].isEmptyValue, subset["notReadyAddresses"].isEmptyValue {
        checks.required(place, "must specify `addresses` or `notReadyAddresses`")
      }
      for list in ["addresses", "notReadyAddresses"] {
        for (number, address) in subset[list].elements.enumerated() {
          endpointAddress(address, "\(place).\(list)[\(number)]", &checks)
        }
      }
      let ports = subset["ports"].elements
      for (number, port) in ports.enumerated() {
        let place = "\(place).ports[\(number)]"
        if port["name"].isEmptyValue {
          if ports.count > 1 { checks.required("\(place).name") }
        } else {
          checks.text(port["name"], "\(place).name", Validate.dns1123Label)
        }
        checks.port(port["port"], "\(place).port")
        checks.oneOf(port["protocol"], "\(place).protocol", ["SCTP", "TCP", "UDP"])
        if let name = port["appProtocol"].string {
          checks.text(.string(name), "\(place).appProtocol", Validate.qualifiedName)
        }
      }
    }
    return checks.errors
  }

  private func endpointAddress(_ address: JSONValue, _ place: String, _ checks: inout Checks) {
    checks.address(address["ip"], "\(place).ip")
    if !address["hostname"].isEmptyValue {
      checks.text(address["hostname"], "\(place).hostname", Validate.dns1123Label)
    }
    if let node = address["nodeName"].string {
      checks.text(.string(node), "\(place).nodeName") { Validate.nameIsDNSSubdomain($0) }
    }
    checks.ordinaryAddress(address["ip"], "\(place).ip")
  }
}

struct EndpointSliceRules: KindRules {
  private static let maximumEndpoints = 1000
  private static let maximumAddresses = 100
  private static let maximumPorts = 20000
  private static let maximumTopologyLabels = 16
  private static let maximumZoneHints = 8

  /// Topology by labels is of v1beta1; what writers of v1 say of it is dropped.
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext) {
    object["endpoints"].mutateElements { endpoint in
      if !endpoint["deprecatedTopology"].isNull { endpoint["deprecatedTopology"] = .null }
    }
  }
  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    if object["endpoints"] != old["endpoints"] { prepareForCreate(&object, context: context) }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    let type = object["addressType"].text
    checks.oneOf(object["addressType"], "addressType", ["FQDN", "IPv4", "IPv6"])
    let endpoints = object["endpoints"].elements
    if endpoints.count > Self.maximumEndpoints {
      checks.report(.tooMany("endpoints", actual: endpoints.count, maximum: Self.maximumEndpoints))
    } else {
      for (index, endpoint) in endpoints.enumerated() {
        self.endpoint(endpoint, "endpoints[\(index)]", type, &checks)
      }
    }
    ports(object["ports"].elements, &checks)
    return checks.errors
  }

  private func endpoint(_ endpoint: JSONValue, _ place: String, _ type: String, _ checks: inout Checks) {
    let addresses = endpoint["addresses"].elements
    if addresses.isEmpty {
      checks.required("\(place).addresses", "must contain at least 1 address")
    } else if addresses.count > Self.maximumAddresses {
      checks.report(
        .tooMany("\(place).addresses", actual: addresses.count, maximum: Self.maximumAddresses))
    }
    for (index, address) in addresses.enumerated() {
      let place = "\(place).addresses[\(index)]"
      switch type {
      case "FQDN": checks.report(Validate.fullyQualifiedDomainName(address.text, place))
      case "IPv4", "IPv6":
        if IPAddress(address.text)?.family.name != type {
          checks.invalid(place, .string(address.text), "must be a valid \(type) address")
        }
        checks.ordinaryAddress(address, place)
      default: break
      }
    }
    if let node = endpoint["nodeName"].string {
      checks.text(.string(node), "\(place).nodeName") { Validate.nameIsDNSSubdomain($0) }
    }
    let topology = endpoint["deprecatedTopology"].object?.count ?? 0
    if topology > Self.maximumTopologyLabels {
      checks.report(
        .tooMany("\(place).deprecatedTopology", actual: topology, maximum: Self.maximumTopologyLabels))
    }
    checks.labels(endpoint["deprecatedTopology"], "\(place).deprecatedTopology")
    if let host = endpoint["hostname"].string {
      checks.text(.string(host), "\(place).hostname", Validate.dns1123Label)
    }
    hints(endpoint["hints"]["forZones"].elements, "\(place).hints.forZones", &checks)
  }

  private func hints(_ zones: [JSONValue], _ place: String, _ checks: inout Checks) {
    if zones.count > Self.maximumZoneHints {
      return checks.report(.tooMany(place, actual: zones.count, maximum: Self.maximumZoneHints))
    }
    var names: Set<String> = []
    for (index, zone) in zones.enumerated() {
      if !names.insert(zone["name"].text).inserted { checks.duplicate("\(place)[\(index)].name", zone["name"]) }
      checks.text(zone["name"], "\(place)[\(index)].name", Validate.labelValue)
    }
  }

  private func ports(_ ports: [JSONValue], _ checks: inout Checks) {
    if ports.count > Self.maximumPorts {
      checks.report(.tooMany("ports", actual: ports.count, maximum: Self.maximumPorts))
      return
    }
    var names: Set<String> = []
    for (index, port) in ports.enumerated() {
      let place = "ports[\(index)]"
      if !port["name"].isEmptyValue { checks.text(port["name"], "\(place).name", Validate.dns1123Label) }
      if !names.insert(port["name"].text).inserted { checks.duplicate("\(place).name", port["name"]) }
      checks.oneOf(port["protocol"], "\(place).protocol", ["SCTP", "TCP", "UDP"])
      if let name = port["appProtocol"].string {
        checks.text(.string(name), "\(place).appProtocol", Validate.qualifiedName)
      }
    }
  }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.immutable(object["addressType"], old["addressType"], "addressType")
    return checks.errors
  }

  /// Labels count here: they name the service.
  func generationChanged(_ object: JSONValue, old: JSONValue) -> Bool {
    ["endpoints", "ports", "addressType"].contains { object[$0] != old[$0] }
      || object["metadata"]["labels"] != old["metadata"]["labels"]
  }
}

extension Checks {
  /// An address that traffic may be sent to.
  mutating func ordinaryAddress(_ value: JSONValue, _ place: String) {
    guard let parsed = IPAddress(value.text) else {
      return invalid(place, .string(value.text), "must be a valid IP address")
    }
    if parsed.isUnspecified { invalid(place, value, "may not be unspecified (\(value.text))") }
    if parsed.isLoopback { invalid(place, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)") }
    linkLocal(parsed, value, place)
  }
}
