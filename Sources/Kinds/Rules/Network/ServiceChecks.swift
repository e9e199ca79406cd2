// What may be wrong with a service.
import JSON
import Schema

extension Checks {
  static let serviceTypes = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
  /// The kubelet listens there on every node.
  private static let kubeletPort: Int64 = 10250

  mutating func service(_ spec: JSONValue) {
    let type = spec["type"].text
    let isHeadless = spec["clusterIPs"][0] == "None"
    let ports = spec["ports"].elements
    if ports.isEmpty, !isHeadless, type != "ExternalName" { required("spec.ports") }
    serviceType(spec, type, isHeadless: isHeadless)
    var names: Set<String> = []
    for (index, port) in ports.enumerated() {
      servicePort(port, "spec.ports[\(index)]", isNameRequired: ports.count > 1, &names)
    }
    labels(spec["selector"], "spec.selector")
    affinity(of: spec)
    serviceAddresses(spec, type)
    for (index, value) in spec["externalIPs"].elements.enumerated() {
      externalAddress(value, "spec.externalIPs[\(index)]")
    }
    oneOf(spec["type"], "spec.type", Self.serviceTypes)
    nodePorts(spec, type)
    portPairs(ports)
    loadBalancer(spec, type)
    trafficPolicies(spec, type)
  }

  private mutating func serviceType(_ spec: JSONValue, _ type: String, isHeadless: Bool) {
    switch type {
    case "LoadBalancer", "NodePort":
      if isHeadless {
        invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for \(type) services")
      }
      guard type == "LoadBalancer" else { return }
      for (index, port) in spec["ports"].elements.enumerated() where port["port"].integer == Self.kubeletPort {
        invalid(
          "spec.ports[\(index)]", .integer(Self.kubeletPort),
          "may not expose port \(Self.kubeletPort) externally since it is used by kubelet")
      }
    case "ExternalName":
      for name in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] where !spec[name].isEmptyValue {
        forbidden("spec.\(name)", "may not be set for ExternalName services")
      }
      let name = spec["externalName"].text
      if name.isEmpty {
        required("spec.externalName")
      } else {
        text(
          .string(name.hasSuffix(".") ? String(name.dropLast()) : name), "spec.externalName",
          Validate.dns1123Subdomain)
      }
    default: break
    }
  }

  private mutating func servicePort(
    _ entry: JSONValue, _ place: String, isNameRequired: Bool, _ names: inout Set<String>
  ) {
    if entry["name"].isEmptyValue {
      if isNameRequired { required("\(place).name") }
    } else {
      text(entry["name"], "\(place).name", Validate.dns1123Label)
      if !names.insert(entry["name"].text).inserted { duplicate("\(place).name", entry["name"]) }
    }
    port(entry["port"], "\(place).port")
    oneOf(entry["protocol"], "\(place).protocol", ["SCTP", "TCP", "UDP"])
    portOrName(entry["targetPort"], "\(place).targetPort")
    if !entry["appProtocol"].isNull {
      text(entry["appProtocol"], "\(place).appProtocol", Validate.qualifiedName)
    }
  }

  private mutating func affinity(of spec: JSONValue) {
    oneOf(spec["sessionAffinity"], "spec.sessionAffinity", ["ClientIP", "None"])
    let config = spec["sessionAffinityConfig"]
    if spec["sessionAffinity"] == "ClientIP" {
      let path = "spec.sessionAffinityConfig"
      if config.isNull {
        required(path, "when session affinity type is ClientIP")
      } else if let seconds = config["clientIP"]["timeoutSeconds"].integer {
        if !(1...86400).contains(seconds) {
          invalid(
            "\(path).clientIP.timeoutSeconds", .integer(seconds),
            "must be greater than 0 and less than 86400")
        }
      } else {
        required("\(path).clientIP", "when session affinity type is ClientIP")
      }
    } else if spec["sessionAffinity"] == "None", !config.isNull {
      forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None")
    }
  }

  private mutating func serviceAddresses(_ spec: JSONValue, _ type: String) {
    guard type != "ExternalName" else { return }
    let addresses = spec["clusterIPs"].elements
    if !spec["clusterIP"].isEmptyValue {
      if addresses.isEmpty {
        required("spec.clusterIPs")
      } else if addresses[0] != spec["clusterIP"] {
        invalid(
          "spec.clusterIP", spec["clusterIPs"], "must match with clusterIPs[0] as the primary ClusterIP")
      }
    } else if !addresses.isEmpty {
      required("spec.clusterIP", "must not be empty when `clusterIPs` is specified")
    }
    for (index, value) in addresses.enumerated() {
      if value == "None" {
        if index > 0 { invalid("spec.clusterIPs[\(index)]", value, "must be a valid IP") }
        if addresses.count > 1 {
          invalid("spec.clusterIPs", spec["clusterIPs"], "'None' must be the first and only value")
          break
        }
      } else {
        address(value, "spec.clusterIPs[\(index)]")
      }
    }
    if addresses.count > 2 {
      invalid("spec.clusterIPs", spec["clusterIPs"], "may only hold up to 2 values")
    }
    for (index, family) in spec["ipFamilies"].elements.enumerated() {
      if !["IPv4", "IPv6"].contains(family.text) {
        notSupported("spec.ipFamilies[\(index)]", family, ["IPv4", "IPv6"])
      } else if index > 0, spec["ipFamilies"][0] == family {
        duplicate("spec.ipFamilies[\(index)]", family)
      }
    }
    oneOf(
      spec["ipFamilyPolicy"], "spec.ipFamilyPolicy", ["SingleStack", "PreferDualStack", "RequireDualStack"],
      orAbsent: true)
  }

  private mutating func externalAddress(_ value: JSONValue, _ place: String) {
    guard let parsed = IPAddress(value.text) else { return address(value, place) }
    if parsed.isUnspecified { invalid(place, value, "may not be unspecified (0.0.0.0 or ::)") }
    if parsed.isLoopback { invalid(place, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)") }
    linkLocal(parsed, value, place)
  }

  mutating func linkLocal(_ parsed: IPAddress, _ value: JSONValue, _ place: String) {
    if parsed.isLinkLocal {
      invalid(place, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")
    }
    if parsed.isLinkLocalMulticast {
      invalid(place, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")
    }
  }

  private mutating func nodePorts(_ spec: JSONValue, _ type: String) {
    var taken: Set<String> = []
    for (index, port) in spec["ports"].elements.enumerated() {
      guard let number = port["nodePort"].integer, number != 0 else { continue }
      let place = "spec.ports[\(index)].nodePort"
      if type == "ClusterIP" || type == "ExternalName" {
        forbidden(place, "may not be used when `type` is '\(type)'")
      } else if !taken.insert("\(port["protocol"].text)/\(number)").inserted {
        duplicate(place, .integer(number))
      }
    }
  }

  private mutating func portPairs(_ ports: [JSONValue]) {
    var seen: Set<String> = []
    for (index, port) in ports.enumerated() {
      guard !seen.insert("\(port["protocol"].text)/\(port["port"].integer ?? 0)").inserted else { continue }
      duplicate("spec.ports[\(index)]", ["protocol": port["protocol"], "port": port["port"]])
    }
  }

  private mutating func loadBalancer(_ spec: JSONValue, _ type: String) {
    let ranges = spec["loadBalancerSourceRanges"].elements
    if !ranges.isEmpty, type != "LoadBalancer" {
      forbidden("spec.LoadBalancerSourceRanges", "may only be used when `type` is 'LoadBalancer'")
    }
    for (index, range) in ranges.enumerated() {
      addressBlock(range, "spec.loadBalancerSourceRanges[\(index)]")
    }
    if !spec["allocateLoadBalancerNodePorts"].isNull, type != "LoadBalancer" {
      forbidden("spec.allocateLoadBalancerNodePorts", "may only be used when `type` is 'LoadBalancer'")
    }
    if type == "LoadBalancer", spec["allocateLoadBalancerNodePorts"].isNull {
      required("spec.allocateLoadBalancerNodePorts")
    }
    if let name = spec["loadBalancerClass"].string {
      if type != "LoadBalancer" {
        forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'")
      }
      text(.string(name), "spec.loadBalancerClass", Validate.qualifiedName)
    }
  }

  private mutating func trafficPolicies(_ spec: JSONValue, _ type: String) {
    let isExternal = type == "NodePort" || type == "LoadBalancer" || !spec["externalIPs"].isEmptyValue
    if !isExternal {
      if !spec["externalTrafficPolicy"].isEmptyValue {
        invalid(
          "spec.externalTrafficPolicy", spec["externalTrafficPolicy"],
          "may only be set for externally-accessible services")
      }
    } else {
      oneOf(spec["externalTrafficPolicy"], "spec.externalTrafficPolicy", ["Cluster", "Local"])
    }
    let healthPort = spec["healthCheckNodePort"]
    if !healthPort.isEmptyValue, !(type == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local") {
      invalid(
        "spec.healthCheckNodePort", healthPort,
        "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")
    }
    if type != "ExternalName" {
      oneOf(spec["internalTrafficPolicy"], "spec.internalTrafficPolicy", ["Cluster", "Local"])
    }
    oneOf(spec["trafficDistribution"], "spec.trafficDistribution", ["PreferClose"], orAbsent: true)
  }
}
