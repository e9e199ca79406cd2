// What may be wrong with a pod's spec as a whole, in pods and in templates.
import JSON
import Schema

extension Checks {
  /// `name`: of the pod, where there is one: claims of ephemeral volumes are called after it.
  mutating func podSpec(_ spec: JSONValue, _ path: @autoclosure Path, isTemplate: Bool, name: String = "") {
    var pod = PodSurroundings()
    pod.gracePeriod = spec["terminationGracePeriodSeconds"].integer
    pod.restartPolicy = spec["restartPolicy"].text
    pod.isTemplate = isTemplate
    pod.volumes = volumes(spec["volumes"], "\(path()).volumes", podName: name)
    containers(spec, path(), pod)
    hostNetworkPorts(spec, path(), isTemplate: isTemplate)
    oneOf(spec["restartPolicy"], "\(path()).restartPolicy", ["Always", "OnFailure", "Never"])
    oneOf(
      spec["dnsPolicy"], "\(path()).dnsPolicy", ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"])
    labels(spec["nodeSelector"], "\(path()).nodeSelector")
    podSecurityContext(spec, path())
    if !spec["affinity"].isNull { affinity(spec["affinity"], "\(path()).affinity") }
    dnsConfig(spec, path())
    for (index, gate) in spec["readinessGates"].elements.enumerated() {
      text(gate["conditionType"], "\(path()).readinessGates[\(index)].conditionType", Validate.qualifiedName)
    }
    schedulingGates(spec["schedulingGates"], "\(path()).schedulingGates")
    topologySpread(spec["topologySpreadConstraints"], "\(path()).topologySpreadConstraints")
    hostProcesses(spec, path())
    podNames(spec, path(), ["serviceAccountName", "nodeName"])
    inRange(spec["activeDeadlineSeconds"], "\(path()).activeDeadlineSeconds", 1...2_147_483_647)
    podNames(spec, path(), ["hostname", "subdomain"])
    tolerations(spec["tolerations"], "\(path()).tolerations")
    for (index, alias) in spec["hostAliases"].elements.enumerated() {
      address(alias["ip"], "\(path()).hostAliases[\(index)].ip")
      for (number, name) in alias["hostnames"].elements.enumerated() {
        text(name, "\(path()).hostAliases[\(index)].hostnames[\(number)]", Validate.dns1123Subdomain)
      }
    }
    podNames(spec, path(), ["priorityClassName", "runtimeClassName"])
    if !spec["preemptionPolicy"].isNull {
      oneOf(spec["preemptionPolicy"], "\(path()).preemptionPolicy", ["PreemptLowerPriority", "Never"])
    }
    if !spec["overhead"].isNull { resources(["limits": spec["overhead"]], "\(path()).overhead", claims: []) }
    operatingSystem(spec, path())
  }

  /// Names of other things that the spec holds.
  private mutating func podNames(_ spec: JSONValue, _ path: @autoclosure Path, _ names: [String]) {
    for name in names where !spec[name].isEmptyValue || (name == "runtimeClassName" && !spec[name].isNull) {
      let isLabel = name == "hostname" || name == "subdomain"
      text(spec[name], "\(path()).\(name)") { isLabel ? Validate.dns1123Label($0) : Validate.nameIsDNSSubdomain($0) }
    }
  }

  /// On the node's network a port is the node's. Templates may leave it to their pods.
  private mutating func hostNetworkPorts(_ spec: JSONValue, _ path: @autoclosure Path, isTemplate: Bool) {
    guard spec["hostNetwork"] == true else { return }
    for (index, container) in spec["containers"].elements.enumerated() {
      for (number, port) in container["ports"].elements.enumerated() {
        let hostPort = port["hostPort"].integer ?? 0
        guard hostPort != port["containerPort"].integer ?? 0, !isTemplate || hostPort != 0 else { continue }
        invalid(
          "\(path()).containers[\(index)].ports[\(number)].hostPort", .integer(hostPort),
          "must match `containerPort` when `hostNetwork` is true")
      }
    }
  }

  private mutating func dnsConfig(_ spec: JSONValue, _ path: @autoclosure Path) {
    let config = spec["dnsConfig"]
    if spec["dnsPolicy"] == "None" {
      if config.isNull {
        return required("\(path()).dnsConfig", "must provide `dnsConfig` when `dnsPolicy` is None")
      }
      if config["nameservers"].isEmptyValue {
        return required(
          "\(path()).dnsConfig.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
      }
    }
    let servers = config["nameservers"].elements
    if servers.count > 3 {
      invalid("\(path()).dnsConfig.nameservers", config["nameservers"], "must not have more than 3 nameservers")
    }
    for (index, server) in servers.enumerated() { address(server, "\(path()).dnsConfig.nameservers[\(index)]") }
    let searches = config["searches"].elements
    if searches.count > 32 {
      invalid("\(path()).dnsConfig.searches", config["searches"], "must not have more than 32 search paths")
    }
    let length = searches.reduce(max(searches.count - 1, 0)) { $0 + $1.text.utf8.count }
    if length > 2048 {
      invalid(
        "\(path()).dnsConfig.searches", config["searches"],
        "must not have more than 2048 characters (including spaces) in the search list")
    }
    for (index, search) in searches.enumerated() {
      let name = search.text.hasSuffix(".") ? String(search.text.dropLast()) : search.text
      text(.string(name), "\(path()).dnsConfig.searches[\(index)]", Validate.dns1123Subdomain)
    }
    for (index, option) in config["options"].elements.enumerated() where option["name"].isEmptyValue {
      required("\(path()).dnsConfig.options[\(index)]", "must not be empty")
    }
  }

  /// A `core/v1 PodTemplateSpec`.
  mutating func podTemplate(_ template: JSONValue, _ path: @autoclosure Path) {
    // The reference leaves `metadata` out of these two paths.
    labels(template["metadata"]["labels"], "\(path()).labels")
    annotations(template["metadata"]["annotations"], "\(path()).annotations")
    podAnnotations(template, "\(path()).annotations")
    podSpec(template["spec"], "\(path()).spec", isTemplate: true)
    profilesMatchAnnotations(template, "\(path()).spec")
    if !template["spec"]["ephemeralContainers"].isEmptyValue {
      forbidden("\(path()).spec.ephemeralContainers", "ephemeral containers not allowed in pod template")
    }
  }

  /// The template of a workload that keeps pods running, against its selector (`nil` when it does not parse).
  mutating func workloadTemplate(
    _ template: JSONValue, _ path: @autoclosure Path, selector: LabelSelector?, deadlineMessage: String
  ) {
    if let selector, !selector.isEverything { templateLabels(template, path(), selector: selector) }
    podTemplate(template, path())
    runsForever(template, path(), deadlineMessage: deadlineMessage)
  }

  /// Who makes pods must find them again.
  mutating func templateLabels(_ template: JSONValue, _ path: @autoclosure Path, selector: LabelSelector) {
    let labels = template["metadata"]["labels"]
    if !selector.matches(labels) {
      invalid(
        "\(path()).metadata.labels", goValue: GoSyntax.stringMap(labels),
        "`selector` does not match template `labels`")
    }
  }

  /// Pods that are replaced when they end have no reason to.
  mutating func runsForever(_ template: JSONValue, _ path: @autoclosure Path, deadlineMessage: String) {
    let policy = template["spec"]["restartPolicy"]
    if policy != "Always" { notSupported("\(path()).spec.restartPolicy", policy, ["Always"]) }
    if !template["spec"]["activeDeadlineSeconds"].isNull {
      forbidden("\(path()).spec.activeDeadlineSeconds", deadlineMessage)
    }
  }
}
