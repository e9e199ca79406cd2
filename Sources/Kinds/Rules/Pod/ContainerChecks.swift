// What may be wrong with containers: names, images, ports, environment, mounts, probes, life cycle, privileges.
import JSON
import Schema

/// Where containers stand, which decides what they may have.
enum ContainerRole {
  case regular
  case initial
  case ephemeral
}

extension Checks {
  /// All containers of a pod spec. Names are unique over all three lists.
  mutating func containers(_ spec: JSONValue, _ path: String, isTemplate: Bool) {
    let volumes = Set(spec["volumes"].elements.compactMap { $0["name"].string })
    var names: Set<String> = []
    var hostPorts: Set<String> = []
    let regular = spec["containers"].elements
    if regular.isEmpty { required("\(path).containers") }
    for (list, role) in [
      ("containers", ContainerRole.regular), ("initContainers", .initial), ("ephemeralContainers", .ephemeral),
    ] {
      for (index, container) in spec[list].elements.enumerated() {
        let place = "\(path).\(list)[\(index)]"
        let isSidecar = role == .initial && container["restartPolicy"] == "Always"
        containerBody(container, place, volumes: volumes, isTemplate: isTemplate)
        if let name = container["name"].string, !name.isEmpty, !names.insert(name).inserted {
          duplicate("\(place).name", container["name"])
        }
        switch role {
        case .regular: runningContainer(container, place, isSidecar: false)
        case .initial where isSidecar: runningContainer(container, place, isSidecar: true)
        case .initial: initContainer(container, place)
        case .ephemeral: ephemeralContainer(container, place, names: regular.compactMap { $0["name"].string })
        }
        if role == .regular || isSidecar { uniqueHostPorts(container, place, &hostPorts) }
      }
    }
  }

  private mutating func containerBody(
    _ container: JSONValue, _ place: String, volumes: Set<String>, isTemplate: Bool
  ) {
    requiredText(container["name"], "\(place).name", Validate.dns1123Label)
    let image = container["image"].text
    if image.isEmpty {
      required("\(place).image")
    } else if !isTemplate, image.first?.isWhitespace == true || image.last?.isWhitespace == true {
      invalid("\(place).image", container["image"], "must not have leading or trailing whitespace")
    }
    oneOf(
      container["terminationMessagePolicy"], "\(place).terminationMessagePolicy", ["FallbackToLogsOnError", "File"])
    containerPorts(container["ports"], "\(place).ports")
    environment(container["env"], "\(place).env")
    environmentSources(container["envFrom"], "\(place).envFrom")
    volumeMounts(container, place, volumes: volumes)
    oneOf(container["imagePullPolicy"], "\(place).imagePullPolicy", ["Always", "IfNotPresent", "Never"])
    resources(container["resources"], "\(place).resources")
    securityContext(container["securityContext"], "\(place).securityContext")
  }

  private mutating func runningContainer(_ container: JSONValue, _ place: String, isSidecar: Bool) {
    lifecycle(container["lifecycle"], "\(place).lifecycle")
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] where !container[name].isNull {
      probe(container[name], "\(place).\(name)", name)
    }
    if !isSidecar, !container["restartPolicy"].isNull {
      forbidden("\(place).restartPolicy", "may not be set for non-init containers")
    }
  }

  private mutating func initContainer(_ container: JSONValue, _ place: String) {
    oneOf(container["restartPolicy"], "\(place).restartPolicy", ["Always"], orAbsent: true)
    for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] where !container[name].isNull {
      forbidden("\(place).\(name)", "may not be set for init containers without restartPolicy=Always")
    }
  }

  private mutating func ephemeralContainer(_ container: JSONValue, _ place: String, names: [String]) {
    if let target = container["targetContainerName"].string, !target.isEmpty, !names.contains(target) {
      report(.notFound("\(place).targetContainerName", .string(target)))
    }
    for name in [
      "ports", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "resources", "resizePolicy",
      "restartPolicy",
    ] where !container[name].isEmptyValue {
      forbidden("\(place).\(name)", "cannot be set for an Ephemeral Container")
    }
    for (index, mount) in container["volumeMounts"].elements.enumerated() {
      for name in ["subPath", "subPathExpr"] where !mount[name].isEmptyValue {
        forbidden("\(place).volumeMounts[\(index)].\(name)", "cannot be set for an Ephemeral Container")
      }
    }
  }

  // MARK: Ports

  private mutating func containerPorts(_ ports: JSONValue, _ path: String) {
    var names: Set<String> = []
    for (index, entry) in ports.elements.enumerated() {
      let place = "\(path)[\(index)]"
      if let name = entry["name"].string, !name.isEmpty {
        let errors = Self.portName(name)
        for message in errors { invalid("\(place).name", entry["name"], message) }
        if errors.isEmpty, !names.insert(name).inserted { duplicate("\(place).name", entry["name"]) }
      }
      if entry["containerPort"].isEmptyValue {
        required("\(place).containerPort")
      } else {
        port(entry["containerPort"], "\(place).containerPort")
      }
      if !entry["hostPort"].isEmptyValue { port(entry["hostPort"], "\(place).hostPort") }
      oneOf(entry["protocol"], "\(place).protocol", ["SCTP", "TCP", "UDP"])
      if !entry["hostIP"].isEmptyValue { address(entry["hostIP"], "\(place).hostIP") }
    }
  }

  private mutating func uniqueHostPorts(_ container: JSONValue, _ place: String, _ taken: inout Set<String>) {
    for (index, port) in container["ports"].elements.enumerated() {
      guard let number = port["hostPort"].integer, number != 0 else { continue }
      let key = "\(port["protocol"].text)/\(port["hostIP"].text)/\(number)"
      if !taken.insert(key).inserted { duplicate("\(place).ports[\(index)].hostPort", .string(key)) }
    }
  }

  // MARK: Environment

  private mutating func environment(_ variables: JSONValue, _ path: String) {
    for (index, variable) in variables.elements.enumerated() {
      requiredText(variable["name"], "\(path)[\(index)].name", Validate.environmentVariableName)
      if !variable["valueFrom"].isNull { variableSource(variable, "\(path)[\(index)].valueFrom") }
    }
  }

  private mutating func variableSource(_ variable: JSONValue, _ place: String) {
    let source = variable["valueFrom"]
    var count = 0
    if !source["fieldRef"].isNull {
      count += 1
      fieldReference(source["fieldRef"], "\(place).fieldRef", Self.environmentFieldPaths)
    }
    if !source["resourceFieldRef"].isNull {
      count += 1
      resourceReference(source["resourceFieldRef"], "\(place).resourceFieldRef")
    }
    for name in ["configMapKeyRef", "secretKeyRef"] where !source[name].isNull {
      count += 1
      requiredText(source[name]["name"], "\(place).\(name).name")
      requiredText(source[name]["key"], "\(place).\(name).key", Validate.configMapKey)
    }
    if count == 0 {
      invalid(
        place, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`")
    } else if !variable["value"].isEmptyValue {
      invalid(place, "", "may not be specified when `value` is not empty")
    } else if count > 1 {
      invalid(place, "", "may not have more than one field specified at a time")
    }
  }

  static let environmentFieldPaths: Set<String> = [
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
  ]
  static let volumeFieldPaths: Set<String> = [
    "metadata.name", "metadata.namespace", "metadata.labels", "metadata.annotations", "metadata.uid",
  ]

  mutating func fieldReference(_ reference: JSONValue, _ place: String, _ allowed: Set<String>) {
    guard !reference["apiVersion"].isEmptyValue else { return required("\(place).apiVersion") }
    let path = reference["fieldPath"].text
    guard !path.isEmpty else { return required("\(place).fieldPath") }
    for prefix in ["metadata.labels['", "metadata.annotations['"] where path.hasPrefix(prefix) && path.hasSuffix("']") {
      let key = String(path.dropFirst(prefix.count).dropLast(2))
      return text(.string(key), place, Validate.qualifiedName)
    }
    if !allowed.contains(path) {
      notSupported("\(place).fieldPath", .string(path), allowed.sorted())
    }
  }

  mutating func resourceReference(_ reference: JSONValue, _ place: String) {
    let name = reference["resource"].text
    if name.isEmpty { return required("\(place).resource") }
    let allowed = [
      "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", "requests.ephemeral-storage",
      "requests.memory",
    ]
    if !allowed.contains(name), !name.hasPrefix("limits.hugepages-"), !name.hasPrefix("requests.hugepages-") {
      notSupported("\(place).resource", .string(name), allowed)
    }
  }

  private mutating func environmentSources(_ sources: JSONValue, _ path: String) {
    for (index, source) in sources.elements.enumerated() {
      let place = "\(path)[\(index)]"
      if !source["prefix"].isEmptyValue {
        text(source["prefix"], "\(place).prefix", Validate.environmentVariableName)
      }
      let given = ["configMapRef", "secretRef"].filter { !source[$0].isNull }
      for name in given { requiredText(source[name]["name"], "\(place).\(name).name") }
      if given.isEmpty {
        invalid(place, "", "must specify one of: `configMapRef` or `secretRef`")
      } else if given.count > 1 {
        invalid(place, "", "may not have more than one field specified at a time")
      }
    }
  }

  // MARK: Mounts

  private mutating func volumeMounts(_ container: JSONValue, _ place: String, volumes: Set<String>) {
    var paths: Set<String> = []
    let isPrivileged = container["securityContext"]["privileged"].bool ?? false
    let devices = container["volumeDevices"].elements
    for (index, mount) in container["volumeMounts"].elements.enumerated() {
      let place = "\(place).volumeMounts[\(index)]"
      if mount["name"].isEmptyValue { required("\(place).name") }
      if !volumes.contains(mount["name"].text) { report(.notFound("\(place).name", .string(mount["name"].text))) }
      let mountPath = mount["mountPath"].text
      if mountPath.isEmpty { required("\(place).mountPath") }
      if !paths.insert(mountPath).inserted { invalid("\(place).mountPath", .string(mountPath), "must be unique") }
      if devices.contains(where: { $0["name"] == mount["name"] }) {
        invalid("\(place).name", mount["name"], "must not already exist in volumeDevices")
      }
      if devices.contains(where: { $0["devicePath"].text == mountPath }) {
        invalid("\(place).mountPath", .string(mountPath), "must not already exist as a path in volumeDevices")
      }
      for name in ["subPath", "subPathExpr"] where !mount[name].isEmptyValue {
        descendingPath(mount[name], "\(place).\(name)")
      }
      if !mount["subPath"].isEmptyValue, !mount["subPathExpr"].isEmptyValue {
        invalid(
          "\(place).subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
      }
      oneOf(
        mount["mountPropagation"], "\(place).mountPropagation", ["Bidirectional", "HostToContainer", "None"],
        orAbsent: true)
      if mount["mountPropagation"] == "Bidirectional", !isPrivileged {
        forbidden(
          "\(place).mountPropagation",
          "Bidirectional mount propagation is available only to privileged containers")
      }
    }
    for (index, device) in devices.enumerated() {
      let place = "\(place).volumeDevices[\(index)]"
      if device["name"].isEmptyValue { required("\(place).name") }
      if !volumes.contains(device["name"].text) { report(.notFound("\(place).name", .string(device["name"].text))) }
      if device["devicePath"].isEmptyValue { required("\(place).devicePath") }
    }
  }

  /// A relative path that stays below where it starts.
  mutating func descendingPath(_ value: JSONValue, _ place: String) {
    if value.text.hasPrefix("/") { invalid(place, value, "must be a relative path") }
    backsteps(value, place)
  }
  mutating func backsteps(_ value: JSONValue, _ place: String) {
    if value.text.split(separator: "/").contains("..") { invalid(place, value, "must not contain '..'") }
  }

  // MARK: Privileges

  private mutating func securityContext(_ context: JSONValue, _ place: String) {
    guard !context.isNull else { return }
    let isPrivileged = context["privileged"].bool ?? false
    if context["allowPrivilegeEscalation"] == false {
      if isPrivileged {
        invalid(place, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
      }
      if context["capabilities"]["add"].elements.contains(where: { $0 == "CAP_SYS_ADMIN" || $0 == "SYS_ADMIN" }) {
        invalid(
          place, context, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
      }
    }
    for name in ["runAsUser", "runAsGroup"] { inRange(context[name], "\(place).\(name)", 0...2_147_483_647) }
    oneOf(context["procMount"], "\(place).procMount", ["Default", "Unmasked"], orAbsent: true)
    confinement(context, place)
  }

  /// Seccomp and AppArmor profiles, of pods and of containers.
  mutating func confinement(_ context: JSONValue, _ place: String) {
    for name in ["seccompProfile", "appArmorProfile"] where !context[name].isNull {
      let profile = context[name]
      oneOf(profile["type"], "\(place).\(name).type", ["Localhost", "RuntimeDefault", "Unconfined"])
      if profile["type"] == "Localhost" {
        if profile["localhostProfile"].isEmptyValue {
          required("\(place).\(name).localhostProfile", "must be set when seccomp type is Localhost")
        } else if name == "seccompProfile" {
          descendingPath(profile["localhostProfile"], "\(place).\(name).localhostProfile")
        }
      } else if !profile["localhostProfile"].isNull {
        invalid(
          "\(place).\(name).localhostProfile", profile["localhostProfile"],
          "can only be set when seccomp type is Localhost")
      }
    }
  }
}
