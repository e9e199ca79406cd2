// What may be wrong with a service.
import JSON
import Schema

extension Checks {
  static let serviceTypes = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"]
  /// The kubelet listens there on every node.
  private static let kubeletPort: Int64 = 10250

  mutating func service(_ service: JSONValue) {
    let spec = service["spec"]
    let (hints, mode) = ("service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")
    let annotations = service["metadata"]["annotations"]
    if !annotations[hints].isNull, !annotations[mode].isNull, annotations[hints] != annotations[mode] {
      invalid(
        "metadata.annotations[\(mode)]", annotations[mode],
        "must match annotations[\(hints)] when both are specified")
    }
    let type = spec["type"].text
    let isHeadless = Self.isHeadless(spec)
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
    loadBalancer(service, type)
    trafficPolicies(spec, type)
  }

  static func isHeadless(_ spec: JSONValue) -> Bool { spec["clusterIPs"].elements == ["None"] }

  private mutating func serviceType(_ spec: JSONValue, _ type: String, isHeadless: Bool) {
    switch type {
    case "LoadBalancer", "NodePort":
      for (index, port) in spec["ports"].elements.enumerated()
      where type == "LoadBalancer" && port["port"].integer == Self.kubeletPort {
        invalid(
          "spec.ports[\(index)]", .integer(Self.kubeletPort),
          "may not expose port \(Self.kubeletPort) externally since it is used by kubelet")
      }
      if isHeadless {
        invalid("spec.clusterIPs[0]", "None", "may not be set to 'None' for \(type) services")
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
      } else if config["clientIP"].isNull {
        required("\(path).clientIP", "when session affinity type is ClientIP")
      } else {
        required("\(path).clientIP.timeoutSeconds", "when session affinity type is ClientIP")
      }
    } else if spec["sessionAffinity"] == "None", !config.isNull {
      forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None")
    }
  }

  private mutating func serviceAddresses(_ spec: JSONValue, _ type: String) {
    guard type != "ExternalName" else { return }
    let path = "spec.clusterIPs"
    let addresses = spec["clusterIPs"].elements
    if spec["clusterIP"].isEmptyValue {
      if !addresses.isEmpty {
        invalid(path, spec["clusterIPs"], "must be empty when `clusterIP` is not specified")
      }
    } else if addresses.isEmpty {
      required(path)
    } else if addresses[0] != spec["clusterIP"] {
      invalid(path, spec["clusterIPs"], "first value must match `clusterIP`")
    }
    addressFamilies(spec)
    var isSound = true
    for (index, value) in addresses.enumerated() {
      if index == 0, value == "None" {
        if addresses.count > 1 {
          isSound = false
          invalid(path, spec["clusterIPs"], "'None' must be the first and only value")
        }
        continue
      }
      if IPAddress(value.text) == nil { isSound = false }
      address(value, "\(path)[\(index)]")
    }
    if addresses.count > 2 { invalid(path, spec["clusterIPs"], "may only hold up to 2 values") }
    guard isSound, !Self.isHeadless(spec) else { return }
    let families = addresses.compactMap { IPAddress($0.text)?.family.name }
    if addresses.count > 1, Set(families).count < 2 {
      invalid(path, spec["clusterIPs"], "may specify no more than one IP for each IP family")
    }
    for (index, (family, wanted)) in zip(families, spec["ipFamilies"].elements).enumerated()
    where wanted.text != family && (wanted == "IPv4" || wanted == "IPv6") {
      invalid(
        "\(path)[\(index)]", addresses[index],
        "expected an \(wanted.text) value as indicated by `ipFamilies[\(index)]`")
    }
  }

  private mutating func addressFamilies(_ spec: JSONValue) {
    var seen: Set<String> = []
    for (index, family) in spec["ipFamilies"].elements.enumerated() {
      choice(family, "spec.ipFamilies[\(index)]", ["IPv4", "IPv6"])
      if !seen.insert(family.text).inserted { duplicate("spec.ipFamilies[\(index)]", family) }
    }
    if !spec["ipFamilyPolicy"].isNull {
      choice(spec["ipFamilyPolicy"], "spec.ipFamilyPolicy", ["PreferDualStack", "RequireDualStack", "SingleStack"])
    }
  }

  private mutating func externalAddress(_ value: JSONValue, _ place: String) {
    if IPAddress(value.text) == nil { address(value, place) } else { ordinaryAddress(value, place) }
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
    let ports = spec["ports"].elements
    func place(_ index: Int) -> String { "spec.ports[\(index)].nodePort" }
    for (index, port) in ports.enumerated() where type == "ClusterIP" && !port["nodePort"].isEmptyValue {
      forbidden(place(index), "may not be used when `type` is 'ClusterIP'")
    }
    var taken: Set<String> = []
    for (index, port) in ports.enumerated() {
      guard let number = port["nodePort"].integer, number != 0 else { continue }
      if !taken.insert("\(port["protocol"].text)/\(number)").inserted { duplicate(place(index), .integer(number)) }
    }
  }

  private mutating func portPairs(_ ports: [JSONValue]) {
    var seen: Set<String> = []
    for (index, port) in ports.enumerated() {
      let number = port["port"].integer ?? 0
      guard !seen.insert("\(port["protocol"].text)/\(number)").inserted else { continue }
      report(
        FieldError(
          .duplicate, field: "spec.ports[\(index)]",
          message: "Duplicate value: core.ServicePort{Name:\"\", Protocol:\(GoSyntax.quoted(port["protocol"].text)), "
            + "AppProtocol:(*string)(nil), Port:\(number), TargetPort:intstr.IntOrString{Type:0, IntVal:0, "
            + "StrVal:\"\"}, NodePort:0}"))
    }
  }

  private mutating func loadBalancer(_ service: JSONValue, _ type: String) {
    let spec = service["spec"]
    let onlyThere = "may only be used when `type` is 'LoadBalancer'"
    let ranges = spec["loadBalancerSourceRanges"].elements
    let annotation = "service.beta.kubernetes.io/load-balancer-source-ranges"
    if !ranges.isEmpty {
      if type != "LoadBalancer" { forbidden("spec.LoadBalancerSourceRanges", onlyThere) }
      for (index, range) in ranges.enumerated() {
        addressBlock(.string(Self.trimmed(range.text)), "spec.LoadBalancerSourceRanges[\(index)]")
      }
    } else if let text = service["metadata"]["annotations"][annotation].string {
      let path = "metadata.annotations[\(annotation)]"
      if type != "LoadBalancer" { forbidden(path, onlyThere) }
      for part in Self.trimmed(text).split(separator: ",", omittingEmptySubsequences: Self.trimmed(text).isEmpty) {
        addressBlock(.string(Self.trimmed(String(part))), path)
      }
    }
    if !spec["allocateLoadBalancerNodePorts"].isNull, type != "LoadBalancer" {
      forbidden("spec.allocateLoadBalancerNodePorts", onlyThere)
    }
    if type == "LoadBalancer", spec["allocateLoadBalancerNodePorts"].isNull {
      required("allocateLoadBalancerNodePorts")
    }
    loadBalancerClass(spec)
  }

  mutating func loadBalancerClass(_ spec: JSONValue) {
    guard let name = spec["loadBalancerClass"].string else { return }
    if spec["type"] == "LoadBalancer" {
      text(.string(name), "spec.loadBalancerClass", Validate.qualifiedName)
    } else {
      forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'")
    }
  }

  private static func trimmed(_ text: String) -> String {
    var rest = text[...]
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return String(rest)
  }

  private mutating func trafficPolicies(_ spec: JSONValue, _ type: String) {
    let isExternal =
      type == "NodePort" || type == "LoadBalancer" || (type == "ClusterIP" && !spec["externalIPs"].isEmptyValue)
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
    if spec["internalTrafficPolicy"].isNull {
      if type != "ExternalName", Self.serviceTypes.contains(type) { required("spec.internalTrafficPolicy") }
    } else {
      choice(spec["internalTrafficPolicy"], "spec.internalTrafficPolicy", ["Cluster", "Local"])
    }
    if !spec["trafficDistribution"].isNull {
      choice(spec["trafficDistribution"], "spec.trafficDistribution", ["PreferClose"])
    }
  }
}
