// What may be wrong with a pod's spec as a whole, in pods and in templates.
import JSON
import Schema

extension Checks {
  mutating func podSpec(_ spec: JSONValue, _ path: String, isTemplate: Bool) {
    volumes(spec["volumes"], "\(path).volumes")
    containers(spec, path, isTemplate: isTemplate)
    if spec["hostNetwork"] == true { hostNetworkPorts(spec, path) }
    oneOf(spec["restartPolicy"], "\(path).restartPolicy", ["Always", "OnFailure", "Never"])
    oneOf(
      spec["dnsPolicy"], "\(path).dnsPolicy", ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"])
    labels(spec["nodeSelector"], "\(path).nodeSelector")
    podSecurityContext(spec, path)
    if !spec["affinity"].isNull { affinity(spec["affinity"], "\(path).affinity") }
    dnsConfig(spec, path)
    schedulingGates(spec["schedulingGates"], "\(path).schedulingGates")
    for (index, gate) in spec["readinessGates"].elements.enumerated() {
      text(gate["conditionType"], "\(path).readinessGates[\(index)].conditionType", Validate.qualifiedName)
    }
    topologySpread(spec["topologySpreadConstraints"], "\(path).topologySpreadConstraints")
    podNames(spec, path)
    inRange(spec["activeDeadlineSeconds"], "\(path).activeDeadlineSeconds", 1...2_147_483_647)
    nonNegative(spec["terminationGracePeriodSeconds"], "\(path).terminationGracePeriodSeconds")
    tolerations(spec["tolerations"], "\(path).tolerations")
    for (index, alias) in spec["hostAliases"].elements.enumerated() {
      address(alias["ip"], "\(path).hostAliases[\(index)].ip")
      for (number, name) in alias["hostnames"].elements.enumerated() {
        text(name, "\(path).hostAliases[\(index)].hostnames[\(number)]", Validate.dns1123Subdomain)
      }
    }
    oneOf(
      spec["preemptionPolicy"], "\(path).preemptionPolicy", ["PreemptLowerPriority", "Never"], orAbsent: true)
    if !spec["os"].isNull { oneOf(spec["os"]["name"], "\(path).os.name", ["linux", "windows"]) }
    for (name, value) in spec["overhead"].object ?? [:] {
      resourceName(name, "\(path).overhead[\(name)]")
      resourceQuantity(name, value, "\(path).overhead[\(name)]")
    }
  }

  /// Names of other things that the spec holds.
  private mutating func podNames(_ spec: JSONValue, _ path: String) {
    for (name, rule) in [
      ("serviceAccountName", { Validate.nameIsDNSSubdomain($0) }), ("nodeName", { Validate.nameIsDNSSubdomain($0) }),
      ("hostname", Validate.dns1123Label), ("subdomain", Validate.dns1123Label),
      ("priorityClassName", { Validate.nameIsDNSSubdomain($0) }),
      ("runtimeClassName", { Validate.nameIsDNSSubdomain($0) }),
    ] as [(String, (String) -> [String])] where !spec[name].isEmptyValue {
      text(spec[name], "\(path).\(name)", rule)
    }
  }

  private mutating func hostNetworkPorts(_ spec: JSONValue, _ path: String) {
    for (index, container) in spec["containers"].elements.enumerated() {
      for (number, port) in container["ports"].elements.enumerated()
      where !port["hostPort"].isEmptyValue && port["hostPort"] != port["containerPort"] {
        invalid(
          "\(path).containers[\(index)].ports[\(number)].containerPort", port["containerPort"],
          "must match `hostPort` when `hostNetwork` is true")
      }
    }
  }

  private mutating func podSecurityContext(_ spec: JSONValue, _ path: String) {
    let context = spec["securityContext"]
    let place = "\(path).securityContext"
    if spec["shareProcessNamespace"] == true, spec["hostPID"] == true {
      invalid(
        "\(path).shareProcessNamespace", true, "ShareProcessNamespace and HostPID cannot both be enabled")
    }
    guard !context.isEmptyValue else { return }
    for name in ["runAsUser", "runAsGroup", "fsGroup"] {
      inRange(context[name], "\(place).\(name)", 0...2_147_483_647)
    }
    for (index, group) in context["supplementalGroups"].elements.enumerated() {
      inRange(group, "\(place).supplementalGroups[\(index)]", 0...2_147_483_647)
    }
    oneOf(
      context["fsGroupChangePolicy"], "\(place).fsGroupChangePolicy", ["Always", "OnRootMismatch"], orAbsent: true)
    var names: Set<String> = []
    for (index, sysctl) in context["sysctls"].elements.enumerated() {
      let place = "\(place).sysctls[\(index)].name"
      let name = sysctl["name"].text
      if name.isEmpty {
        required(place)
      } else if name.utf8.count > 253 || !Self.isSysctlName(name) {
        invalid(
          place, .string(name),
          "must have at most 253 characters and match regex "
            + "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$")
      } else if !names.insert(name).inserted {
        duplicate(place, .string(name))
      }
    }
    confinement(context, place)
  }

  /// Parts of lower-case letters, digits, "-" and "_" between dots or slashes, each beginning and ending in no sign.
  private static func isSysctlName(_ name: String) -> Bool {
    name.utf8.split(omittingEmptySubsequences: false) { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "/") }
      .allSatisfy { part in
        func isAlphanumeric(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) }
        guard let first = part.first, let last = part.last else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
          && part.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
      }
  }

  private mutating func dnsConfig(_ spec: JSONValue, _ path: String) {
    let config = spec["dnsConfig"]
    if spec["dnsPolicy"] == "None" {
      if config.isNull {
        return required("\(path).dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
      }
      if config["nameservers"].isEmptyValue {
        return required(
          "\(path).dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
      }
    }
    let servers = config["nameservers"].elements
    if servers.count > 3 {
      invalid("\(path).dnsConfig.nameservers", config["nameservers"], "must not have more than 3 nameservers")
    }
    for (index, server) in servers.enumerated() { address(server, "\(path).dnsConfig.nameservers[\(index)]") }
    let searches = config["searches"].elements
    if searches.count > 32 {
      invalid("\(path).dnsConfig.searches", config["searches"], "must not have more than 32 search paths")
    }
    let length = searches.reduce(max(searches.count - 1, 0)) { $0 + $1.text.utf8.count }
    if length > 2048 {
      invalid(
        "\(path).dnsConfig.searches", config["searches"],
        "must not have more than 2048 characters (including spaces) in the search list")
    }
    for (index, search) in searches.enumerated() {
      text(search, "\(path).dnsConfig.searches[\(index)]") {
        Validate.dns1123Subdomain($0.hasSuffix(".") ? String($0.dropLast()) : $0)
      }
    }
    for (index, option) in config["options"].elements.enumerated() where option["name"].isEmptyValue {
      required("\(path).dnsConfig.options[\(index)]", "must not be empty")
    }
  }

  /// A `core/v1 PodTemplateSpec`.
  mutating func podTemplate(_ template: JSONValue, _ path: String) {
    labels(template["metadata"]["labels"], "\(path).metadata.labels")
    annotations(template["metadata"]["annotations"], "\(path).metadata.annotations")
    podSpec(template["spec"], "\(path).spec", isTemplate: true)
    if !template["spec"]["ephemeralContainers"].isEmptyValue {
      forbidden("\(path).spec.ephemeralContainers", "ephemeral containers not allowed in pod template")
    }
  }

  /// The template of a workload that keeps pods running, against its selector (`nil` when it does not parse).
  mutating func workloadTemplate(
    _ template: JSONValue, _ path: String, selector: LabelSelector?, deadlineMessage: String
  ) {
    let labels = template["metadata"]["labels"]
    if let selector, !selector.isEverything, !selector.matches(labels) {
      invalid(
        "\(path).metadata.labels", goValue: GoSyntax.stringMap(labels),
        "`selector` does not match template `labels`")
    }
    podTemplate(template, path)
    let policy = template["spec"]["restartPolicy"]
    if policy != "Always" { notSupported("\(path).spec.restartPolicy", policy, ["Always"]) }
    if !template["spec"]["activeDeadlineSeconds"].isNull {
      forbidden("\(path).spec.activeDeadlineSeconds", deadlineMessage)
    }
  }
}
