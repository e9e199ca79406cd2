// What may be wrong with containers: names, images, ports, who may have probes and life cycle handlers.
import JSON
import Schema

/// What containers need to know of the pod spec that they stand in.
struct PodSurroundings {
  /// Sources of the volumes that nothing is wrong with, by name.
  var volumes: [String: JSONValue] = [:]
  var claims: Set<String> = []
  /// `terminationGracePeriodSeconds`.
  var gracePeriod: Int64?
  var restartPolicy = ""
  /// The pod shares the users of its node.
  var usesHostUsers = true
  /// Of a workload, not of a pod.
  var isTemplate = false
}

extension Checks {
  /// All containers of a pod spec. Names are unique over all three lists.
  mutating func containers(_ spec: JSONValue, _ path: @autoclosure Path, _ pod: PodSurroundings) {
    let regular = spec["containers"].elements
    if regular.isEmpty { required("\(path()).containers") }
    var names: Set<String> = []
    for (index, container) in regular.enumerated() {
      func place() -> String { "\(path()).containers[\(index)]" }
      containerBody(container, place(), pod)
      if !names.insert(container["name"].text).inserted { duplicate("\(place()).name", container["name"]) }
      runningContainer(container, place(), pod)
      if !container["restartPolicy"].isNull {
        forbidden("\(place()).restartPolicy", "may not be set for non-init containers")
      }
    }
    var hostPorts: Set<String> = []
    for (index, container) in regular.enumerated() {
      uniqueHostPorts(container, "\(path()).containers[\(index)]", &hostPorts)
    }
    initContainers(spec, path(), pod, &names)
    ephemeralContainers(spec, path(), pod)
  }

  private mutating func initContainers(
    _ spec: JSONValue, _ path: @autoclosure Path, _ pod: PodSurroundings, _ names: inout Set<String>
  ) {
    for (index, container) in spec["initContainers"].elements.enumerated() {
      func place() -> String { "\(path()).initContainers[\(index)]" }
      containerBody(container, place(), pod)
      let policy = container["restartPolicy"]
      if !policy.isNull, policy != "Always" { notSupported("\(place()).restartPolicy", policy, ["Always"]) }
      let name = container["name"].text
      if names.contains(name) {
        duplicate("\(place()).name", container["name"])
      } else if !name.isEmpty {
        names.insert(name)
      }
      // They run one by one, so each is looked at alone (and the reference counts each as the first).
      var hostPorts: Set<String> = []
      uniqueHostPorts(container, "\(path()).initContainers[0]", &hostPorts)
      if policy == "Always" {
        runningContainer(container, place(), pod)
      } else {
        for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] where !container[name].isNull {
          forbidden("\(place()).\(name)", "may not be set for init containers without restartPolicy=Always")
        }
      }
      if !container["resizePolicy"].isEmptyValue {
        invalid("\(place()).resizePolicy", container["resizePolicy"], "must not be set for init containers")
      }
    }
  }

  private mutating func ephemeralContainers(_ spec: JSONValue, _ path: @autoclosure Path, _ pod: PodSurroundings) {
    let others = Set((spec["containers"].elements + spec["initContainers"].elements).map { $0["name"].text })
    var names = others
    for (index, container) in spec["ephemeralContainers"].elements.enumerated() {
      func place() -> String { "\(path()).ephemeralContainers[\(index)]" }
      containerBody(container, place(), pod)
      imagePadding(container, place())
      if !names.insert(container["name"].text).inserted { duplicate("\(place()).name", container["name"]) }
      if let target = container["targetContainerName"].string, !target.isEmpty, !others.contains(target) {
        report(.notFound("\(place()).targetContainerName", .string(target)))
      }
      for name in [
        "ports", "resources", "resizePolicy", "restartPolicy", "livenessProbe", "readinessProbe", "startupProbe",
        "lifecycle",
      ] where !container[name].isEmptyValue {
        forbidden("\(place()).\(name)", "cannot be set for an Ephemeral Container")
      }
      for (number, mount) in container["volumeMounts"].elements.enumerated() {
        for name in ["subPath", "subPathExpr"] where !mount[name].isEmptyValue {
          forbidden("\(place()).volumeMounts[\(number)].\(name)", "cannot be set for an Ephemeral Container")
        }
      }
    }
  }

  /// What all containers have in common.
  private mutating func containerBody(_ container: JSONValue, _ place: @autoclosure Path, _ pod: PodSurroundings) {
    requiredText(container["name"], "\(place()).name", Validate.dns1123Label)
    if container["image"].isEmptyValue { required("\(place()).image") }
    oneOf(
      container["terminationMessagePolicy"], "\(place()).terminationMessagePolicy", ["File", "FallbackToLogsOnError"])
    containerPorts(container["ports"], "\(place()).ports")
    environment(container["env"], "\(place()).env")
    environmentSources(container["envFrom"], "\(place()).envFrom")
    volumeMounts(container, "\(place()).volumeMounts", pod.volumes)
    volumeDevices(container, "\(place()).volumeDevices", pod.volumes)
    oneOf(container["imagePullPolicy"], "\(place()).imagePullPolicy", ["Always", "IfNotPresent", "Never"])
    resources(container["resources"], "\(place()).resources", claims: pod.claims)
    resizePolicies(container["resizePolicy"], "\(place()).resizePolicy", pod)
    securityContext(container["securityContext"], "\(place()).securityContext", usesHostUsers: pod.usesHostUsers)
  }

  /// Pods, unlike templates, name their images exactly.
  mutating func imagePadding(_ container: JSONValue, _ place: @autoclosure Path) {
    let image = container["image"].text
    if image.first?.isWhitespace == true || image.last?.isWhitespace == true {
      invalid("\(place()).image", container["image"], "must not have leading or trailing whitespace")
    }
  }

  private mutating func runningContainer(_ container: JSONValue, _ place: @autoclosure Path, _ pod: PodSurroundings) {
    lifecycle(container["lifecycle"], "\(place()).lifecycle", gracePeriod: pod.gracePeriod)
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] where !container[name].isNull {
      probe(container[name], "\(place()).\(name)", name)
    }
  }

  private mutating func resizePolicies(_ policies: JSONValue, _ path: @autoclosure Path, _ pod: PodSurroundings) {
    var names: Set<String> = []
    for (index, policy) in policies.elements.enumerated() {
      if !names.insert(policy["resourceName"].text).inserted {
        duplicate("\(path())[\(index)]", policy["resourceName"])
      }
      oneOf(policy["resourceName"], path(), ["cpu", "memory"])
      oneOf(policy["restartPolicy"], path(), ["NotRequired", "RestartContainer"])
      if pod.restartPolicy == "Never", policy["restartPolicy"] != "NotRequired" {
        invalid(path(), policy["restartPolicy"], "must be 'NotRequired' when `restartPolicy` is 'Never'")
      }
    }
  }

  // MARK: Ports

  private mutating func containerPorts(_ ports: JSONValue, _ path: @autoclosure Path) {
    var names: Set<String> = []
    for (index, entry) in ports.elements.enumerated() {
      func place() -> String { "\(path())[\(index)]" }
      if let name = entry["name"].string, !name.isEmpty {
        let errors = Self.portName(name)
        for message in errors { invalid("\(place()).name", entry["name"], message) }
        if errors.isEmpty, !names.insert(name).inserted { duplicate("\(place()).name", entry["name"]) }
      }
      if entry["containerPort"].isEmptyValue {
        required("\(place()).containerPort")
      } else {
        port(entry["containerPort"], "\(place()).containerPort")
      }
      if !entry["hostPort"].isEmptyValue { port(entry["hostPort"], "\(place()).hostPort") }
      oneOf(entry["protocol"], "\(place()).protocol", ["SCTP", "TCP", "UDP"])
    }
  }

  private mutating func uniqueHostPorts(_ container: JSONValue, _ place: @autoclosure Path, _ taken: inout Set<String>)
  {
    for (index, port) in container["ports"].elements.enumerated() {
      guard let number = port["hostPort"].integer, number != 0 else { continue }
      let key = "\(port["protocol"].text)/\(port["hostIP"].text)/\(number)"
      if !taken.insert(key).inserted { duplicate("\(place()).ports[\(index)].hostPort", .string(key)) }
    }
  }
}
