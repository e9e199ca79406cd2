// Services: defaults, what an update carries over, what is wrong. Addresses and node ports are allocated elsewhere.
import JSON
import Schema

struct ServiceRules: KindRules {
  func validateName(_ name: String, isGeneratePrefix: Bool) -> String? {
    NameRule.serviceLabel.check(name, isGeneratePrefix: isGeneratePrefix)
  }

  func applyDefaults(to object: inout JSONValue) {
    guard !object["spec"].isNull else { return }
    var spec = object["spec"]
    spec["type"].setDefaultText("ClusterIP")
    spec["sessionAffinity"].setDefaultText("None")
    switch spec["sessionAffinity"] {
    case "None": spec["sessionAffinityConfig"] = .null
    case "ClientIP": spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"].setDefault(10800)
    default: break
    }
    spec["ports"].mutateElements { port in
      port["protocol"].setDefaultText("TCP")
      let number = port["port"]
      if port["targetPort"].isEmptyValue { port["targetPort"] = number }
    }
    let type = spec["type"].text
    let isExternal = type == "NodePort" || type == "LoadBalancer"
    if isExternal || (type == "ClusterIP" && !spec["externalIPs"].isEmptyValue) {
      spec["externalTrafficPolicy"].setDefaultText("Cluster")
    }
    if type != "ExternalName" { spec["internalTrafficPolicy"].setDefaultText("Cluster") }
    if type == "LoadBalancer" { spec["allocateLoadBalancerNodePorts"].setDefault(true) }
    mirrorAddresses(&spec)
    object["spec"] = spec
    addressModes(&object)
  }

  /// clusterIPs and clusterIP say the same.
  /// An address of a load balancer is one that nodes answer for, unless its controller says otherwise.
  private func addressModes(_ object: inout JSONValue) {
    guard object["spec"]["type"] == "LoadBalancer", !object["status"]["loadBalancer"]["ingress"].isNull else { return }
    object["status"]["loadBalancer"]["ingress"].mutateElements { ingress in
      if !ingress["ip"].isEmptyValue { ingress["ipMode"].setDefault("VIP") }
    }
  }

  private func mirrorAddresses(_ spec: inout JSONValue) {
    let address = spec["clusterIP"]
    if !address.isEmptyValue, spec["clusterIPs"].isEmptyValue { spec["clusterIPs"] = [address] }
  }

  /// Fields that older clients leave out of an update keep their values; a change of type lets go of what the new
  /// type has no use for.
  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext) {
    var spec = object["spec"]
    let before = old["spec"]
    carryOver(&spec, before)
    dropUnused(&spec, before)
    object["spec"] = spec
  }

  private func needsAddress(_ spec: JSONValue) -> Bool { spec["type"] != "ExternalName" }
  private func needsNodePort(_ spec: JSONValue) -> Bool {
    spec["type"] == "NodePort"
      || (spec["type"] == "LoadBalancer" && spec["allocateLoadBalancerNodePorts"].bool != false)
  }
  private func needsHealthCheckPort(_ spec: JSONValue) -> Bool {
    spec["type"] == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local"
  }

  private func carryOver(_ spec: inout JSONValue, _ before: JSONValue) {
    if needsAddress(before), needsAddress(spec) {
      if spec["clusterIP"].isEmptyValue { spec["clusterIP"] = before["clusterIP"] }
      if spec["clusterIPs"].isEmptyValue, spec["clusterIP"] == before["clusterIP"] {
        spec["clusterIPs"] = before["clusterIPs"]
      }
      // Clients that know the singular alone change both by it.
      if spec["clusterIP"] != before["clusterIP"], spec["clusterIPs"] == before["clusterIPs"] {
        spec["clusterIPs"] = [spec["clusterIP"]]
      }
      if spec["ipFamilies"].isEmptyValue { spec["ipFamilies"] = before["ipFamilies"] }
      if spec["ipFamilyPolicy"].isNull { spec["ipFamilyPolicy"] = before["ipFamilyPolicy"] }
    }
    if needsNodePort(before), needsNodePort(spec) { carryOverNodePorts(&spec, before) }
    if needsHealthCheckPort(before), needsHealthCheckPort(spec), spec["healthCheckNodePort"].isEmptyValue {
      spec["healthCheckNodePort"] = before["healthCheckNodePort"]
    }
    if before["type"] == "LoadBalancer", spec["type"] == "LoadBalancer", spec["loadBalancerClass"].isNull {
      spec["loadBalancerClass"] = before["loadBalancerClass"]
    }
  }

  /// A port without a node port gets that of the old port of the same protocol and number, unless another one took it.
  private func carryOverNodePorts(_ spec: inout JSONValue, _ before: JSONValue) {
    func key(_ port: JSONValue) -> String { "\(port["protocol"].text)/\(port["port"].integer ?? 0)" }
    var old: [String: JSONValue] = [:]
    for port in before["ports"].elements { old[key(port)] = port["nodePort"] }
    var used = Set(spec["ports"].elements.compactMap { $0["nodePort"].integer })
    spec["ports"].mutateElements { port in
      guard port["nodePort"].isEmptyValue, let number = old[key(port)]?.integer, number != 0,
        used.insert(number).inserted
      else { return }
      port["nodePort"] = .integer(number)
    }
  }

  private func dropUnused(_ spec: inout JSONValue, _ before: JSONValue) {
    if needsAddress(before), !needsAddress(spec) {
      if spec["clusterIP"] == before["clusterIP"] { spec["clusterIP"] = .null }
      if spec["clusterIPs"] == before["clusterIPs"] { spec["clusterIPs"] = .null }
      if spec["ipFamilies"] == before["ipFamilies"] { spec["ipFamilies"] = .null }
      if spec["ipFamilyPolicy"] == before["ipFamilyPolicy"] { spec["ipFamilyPolicy"] = .null }
    }
    if needsNodePort(before), !needsNodePort(spec) {
      let old = before["ports"].elements.map { $0["nodePort"] }
      let new = spec["ports"].elements.map { $0["nodePort"] }
      // Only ports that the client did not touch: an explicit one is the client's mistake to see.
      if Set(new).isSubset(of: Set(old)) { spec["ports"].mutateElements { $0["nodePort"] = .null } }
    }
    if needsHealthCheckPort(before), !needsHealthCheckPort(spec),
      spec["healthCheckNodePort"] == before["healthCheckNodePort"]
    {
      spec["healthCheckNodePort"] = .null
    }
    if before["type"] == "LoadBalancer", spec["type"] != "LoadBalancer" {
      if spec["allocateLoadBalancerNodePorts"] == before["allocateLoadBalancerNodePorts"] {
        spec["allocateLoadBalancerNodePorts"] = .null
      }
      if spec["loadBalancerClass"] == before["loadBalancerClass"] { spec["loadBalancerClass"] = .null }
    }
    let isExternal = spec["type"] == "NodePort" || spec["type"] == "LoadBalancer"
    if !isExternal, spec["externalIPs"].isEmptyValue,
      spec["externalTrafficPolicy"] == before["externalTrafficPolicy"]
    {
      spec["externalTrafficPolicy"] = .null
    }
  }

  func validate(_ object: JSONValue) -> [FieldError] {
    var checks = Checks()
    checks.service(object)
    return checks.errors
  }

  /// (The reference looks at what changed first.)
  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { [] }

  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let spec = object["spec"]
    let before = old["spec"]
    if needsAddress(spec), needsAddress(before) {
      changedAddresses(spec, before, &checks)
      changedFamilies(spec, before, &checks)
    }
    if before["type"] == "LoadBalancer", spec["type"] == "LoadBalancer",
      spec["loadBalancerClass"] != before["loadBalancerClass"]
    {
      checks.invalid("spec.loadBalancerClass", spec["loadBalancerClass"], "may not change once set")
    }
    checks.loadBalancerClass(spec)
    if needsHealthCheckPort(before), needsHealthCheckPort(spec) {
      let port = before["healthCheckNodePort"]
      if !port.isEmptyValue, spec["healthCheckNodePort"] != port {
        checks.forbidden("spec.healthCheckNodePort", "field is immutable")
      }
    }
    return checks.errors + validate(object)
  }

  /// The second address comes and goes; the first stays.
  private func changedAddresses(_ spec: JSONValue, _ before: JSONValue, _ checks: inout Checks) {
    if Checks.isHeadless(spec), Checks.isHeadless(before) { return }
    let (new, old) = (spec["clusterIPs"].elements, before["clusterIPs"].elements)
    let shown = GoSyntax.strings(spec["clusterIPs"])
    func changed(_ index: Int) {
      checks.invalid("spec.clusterIPs[\(index)]", goValue: shown, "may not change once set")
    }
    if new.count == old.count {
      for index in new.indices where new[index] != old[index] { changed(index) }
      return
    }
    if new.isEmpty {
      checks.invalid("spec.clusterIPs[0]", goValue: shown, "primary clusterIP can not be unset")
    } else if !old.isEmpty, new[0] != old[0] {
      changed(0)
    }
    if new.count == 1, old.count > 1, spec["ipFamilyPolicy"] != "SingleStack" {
      checks.invalid(
        "spec.ipFamilyPolicy", spec["ipFamilyPolicy"],
        "must be set to 'SingleStack' when releasing the secondary clusterIP")
    }
  }

  private func changedFamilies(_ spec: JSONValue, _ before: JSONValue, _ checks: inout Checks) {
    if Checks.isHeadless(spec) || Checks.isHeadless(before) { return }
    let (new, old) = (spec["ipFamilies"].elements, before["ipFamilies"].elements)
    let path = "spec.ipFamilies[0]"
    let families = GoSyntax.strings(spec["ipFamilies"], of: "core.IPFamily")
    if new.count == old.count {
      for index in new.indices where new[index] != old[index] {
        checks.invalid(path, goValue: families, "may not change once set")
      }
      return
    }
    if new.count < old.count, spec["clusterIPs"].isEmptyValue {
      checks.invalid(path, goValue: families, "primary ipFamily can not be unset")
    }
    // (With more or fewer families the reference shows the addresses.)
    if let family = new.first, let former = old.first, family != former {
      checks.invalid(path, goValue: GoSyntax.strings(spec["clusterIPs"]), "may not change once set")
    }
    if new.count == 1, old.count > 1, spec["ipFamilyPolicy"] != "SingleStack" {
      checks.invalid(
        "spec.ipFamilyPolicy", spec["ipFamilyPolicy"],
        "must be set to 'SingleStack' when releasing the secondary ipFamily")
    }
  }

  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    var checks = Checks()
    let path = "status.loadBalancer.ingress"
    let entries = object["status"]["loadBalancer"]["ingress"].elements
    if object["spec"]["type"] != "LoadBalancer", !entries.isEmpty {
      checks.forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'")
      return checks.errors
    }
    for (index, entry) in entries.enumerated() {
      let place = "\(path)[\(index)]"
      let hasAddress = !entry["ip"].isEmptyValue
      if hasAddress { checks.address(entry["ip"], "\(place).ip") }
      if entry["ipMode"].isNull {
        if hasAddress { checks.required("\(place).ipMode", "must be specified when `ip` is set") }
      } else if !hasAddress {
        checks.forbidden("\(place).ipMode", "may not be specified when `ip` is not set")
      } else {
        checks.choice(entry["ipMode"], "\(place).ipMode", ["Proxy", "VIP"])
      }
      if !entry["hostname"].isEmptyValue {
        checks.text(entry["hostname"], "\(place).hostname", Validate.dns1123Subdomain)
        if IPAddress(entry["hostname"].text) != nil {
          checks.invalid("\(place).hostname", entry["hostname"], "must be a DNS name, not an IP address")
        }
      }
    }
    return checks.errors
  }

  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String] { ServiceWarnings.of(object) }
}
