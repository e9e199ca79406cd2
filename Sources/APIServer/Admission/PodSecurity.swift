// Pod security levels: namespaces say by labels how much a pod may ask of its node (spec/8 §8.4).
import JSON
import Replica
import Schema

public struct PodSecurityAdmission: ValidatingAdmission {
  public let name = "PodSecurity"
  private static let prefix = "pod-security.kubernetes.io/"
  private static let namespaces = GroupResource(group: "", resource: "namespaces")
  /// Where kinds that make pods have their template.
  private static let templates: [String: [String]] = [
    "podtemplates": ["template"], "replicationcontrollers": ["spec", "template"],
    "deployments.apps": ["spec", "template"], "replicasets.apps": ["spec", "template"],
    "statefulsets.apps": ["spec", "template"], "daemonsets.apps": ["spec", "template"],
    "jobs.batch": ["spec", "template"], "cronjobs.batch": ["spec", "jobTemplate", "spec", "template"],
  ]

  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    if resource.description == "pods" {
      return (operation == .create && subresource.isEmpty)
        || (operation == .update && (subresource.isEmpty || subresource == "ephemeralcontainers"))
    }
    return subresource.isEmpty && (operation == .create || operation == .update)
      && (resource == Self.namespaces || Self.templates[resource.description] != nil)
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    if request.resource == Self.namespaces { return try PodSecurityOfNamespace.verdict(request, objects) }
    guard let stored = objects.stored(Self.namespaces, name: request.namespace) else { return .allowed }
    let labels = stored.labels
    var verdict = AdmissionVerdict()
    let template = Self.templates[request.resource.description]
    let spec = template.map { request.object[path: $0]["spec"] } ?? request.object["spec"]
    let old = template.map { request.oldObject[path: $0]["spec"] } ?? request.oldObject["spec"]
    // What does not change was admitted before, under whatever labels there were.
    guard request.operation == .create || spec != old else { return .allowed }
    let record = AuditRecord.current
    if template == nil, let level = labels[Self.prefix + "enforce"] {
      record?.annotate(
        Self.prefix + "enforce-policy", "\(level):\(labels[Self.prefix + "enforce-version"] ?? "latest")")
    }
    if record != nil, let problems = Self.problems(spec, labels, "audit") {
      record?.annotate(Self.prefix + "audit-violations", "would violate PodSecurity \(problems)")
    }
    if template == nil, let problems = Self.problems(spec, labels, "enforce") {
      throw request.forbidden("violates PodSecurity \(problems)")
    }
    if let problems = Self.problems(spec, labels, "warn") {
      verdict.warnings.append("would violate PodSecurity \(problems)")
    }
    return verdict
  }

  /// `"baseline:latest": privileged (…), …`; nil when all is well.
  private static func problems(_ spec: JSONValue, _ labels: [String: String], _ mode: String) -> String? {
    let bound = PodSecurityBound(labels, mode)
    let problems = PodSecurityStandard(spec: spec).problems(at: bound.level)
    guard !problems.isEmpty else { return nil }
    return "\"\(bound)\": \(problems.joined(separator: ", "))"
  }
}

enum PodSecurityLevel: String {
  case privileged, baseline, restricted
}

/// The Pod Security Standards, of one pod's spec. Every list of containers counts: init and ephemeral ones too.
struct PodSecurityStandard {
  private let spec: JSONValue
  private let containers: [JSONValue]

  init(spec: JSONValue) {
    self.spec = spec
    containers = ["initContainers", "containers", "ephemeralContainers"].flatMap { spec[$0].elements }
  }

  /// Everything that the level does not allow, as "what (who)".
  func problems(at level: PodSecurityLevel) -> [String] {
    findings(at: level).map { "\($0.what) (\($0.who.joined(separator: "; ")))" }
  }

  /// Everything that the level does not allow, and whose fault it is.
  func findings(at level: PodSecurityLevel) -> [(what: String, who: [String])] {
    func list(_ checks: [(String, [String])]) -> [(what: String, who: [String])] {
      checks.filter { !$0.1.isEmpty }.map { (what: $0.0, who: $0.1) }
    }
    switch level {
    case .privileged: return []
    case .baseline:
      return list([
        ("forbidden AppArmor profile", appArmor), ("non-default capabilities", defaultCapabilities),
        ("host namespaces", hostNamespaces), ("hostPath volumes", hostPaths), ("hostPort", hostPorts),
        ("privileged", privileged), ("procMount", procMount), ("seLinuxOptions", seLinux),
        ("seccompProfile", seccompBaseline), ("forbidden sysctls", sysctls), ("hostProcess", hostProcess),
      ])
    case .restricted:
      return list([
        ("forbidden AppArmor profile", appArmor), ("host namespaces", hostNamespaces), ("hostPort", hostPorts),
        ("privileged", privileged), ("procMount", procMount), ("seLinuxOptions", seLinux),
        ("forbidden sysctls", sysctls), ("hostProcess", hostProcess),
        ("allowPrivilegeEscalation != false", privilegeEscalation), ("unrestricted capabilities", capabilities),
        ("restricted volume types", volumes), ("runAsNonRoot != true", runAsNonRoot), ("runAsUser=0", runAsUser),
        ("seccompProfile", seccompRestricted),
      ])
    }
  }

  // MARK: Words

  private func names(_ isBad: (JSONValue) -> Bool) -> [String] {
    containers.filter(isBad).map { $0["name"].string ?? "" }
  }
  /// `container "a"`, `containers "a", "b"`.
  private func called(_ singular: String, _ names: [String]) -> String {
    "\(singular)\(names.count == 1 ? "" : "s") \(names.map { "\"\($0)\"" }.joined(separator: ", "))"
  }
  private func complaint(_ what: String, _ isBad: (JSONValue) -> Bool) -> [String] {
    let bad = names(isBad)
    return bad.isEmpty ? [] : ["\(called("container", bad)) \(what)"]
  }

  // MARK: Baseline

  private static let allowedCapabilities: Set<String> = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
    "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
  ]
  private static let allowedSysctls: Set<String> = [
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
  ]
  private static let allowedSELinuxTypes: Set<String> = [
    "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t",
  ]

  private func added(_ container: JSONValue, beyond allowed: Set<String>) -> [String] {
    container["securityContext"]["capabilities"]["add"].elements.compactMap(\.string).filter { !allowed.contains($0) }
  }
  private func addedCapabilities(beyond allowed: Set<String>) -> [String] {
    let bad = Set(containers.flatMap { added($0, beyond: allowed) }).sorted()
    let what = bad.map { "\"\($0)\"" }.joined(separator: ", ")
    return complaint("must not include \(what) in securityContext.capabilities.add") {
      !added($0, beyond: allowed).isEmpty
    }
  }
  private var defaultCapabilities: [String] { addedCapabilities(beyond: Self.allowedCapabilities) }

  private var hostNamespaces: [String] {
    let set = ["hostNetwork", "hostPID", "hostIPC"].filter { spec[$0] == true }.map { "\($0)=true" }
    return set.isEmpty ? [] : [set.joined(separator: ", ")]
  }

  private var hostPaths: [String] {
    let bad = spec["volumes"].elements.filter { !$0["hostPath"].isNull }.compactMap { $0["name"].string }
    return bad.isEmpty ? [] : [called("volume", bad)]
  }

  private var hostPorts: [String] {
    func ports(_ container: JSONValue) -> [Int64] {
      container["ports"].elements.compactMap { $0["hostPort"].integer }.filter { $0 != 0 }
    }
    let used = Set(containers.flatMap(ports)).sorted().map(String.init)
    let verb = names({ !ports($0).isEmpty }).count == 1 ? "uses" : "use"
    return complaint("\(verb) hostPort\(used.count == 1 ? "" : "s") \(used.joined(separator: ", "))") {
      !ports($0).isEmpty
    }
  }

  private var privileged: [String] {
    complaint("must not set securityContext.privileged=true") { $0["securityContext"]["privileged"] == true }
  }

  private var procMount: [String] {
    complaint("must not set securityContext.procMount to \"Unmasked\"") {
      !["", "Default"].contains($0["securityContext"]["procMount"].string ?? "")
    }
  }

  private var hostProcess: [String] {
    func isSet(_ context: JSONValue) -> Bool { context["windowsOptions"]["hostProcess"] == true }
    let what = "must not set securityContext.windowsOptions.hostProcess=true"
    return (isSet(spec["securityContext"]) ? ["pod \(what)"] : []) + complaint(what) { isSet($0["securityContext"]) }
  }

  private var seLinux: [String] {
    func isBad(_ context: JSONValue) -> Bool {
      let options = context["seLinuxOptions"]
      return !Self.allowedSELinuxTypes.contains(options["type"].string ?? "")
        || !(options["user"].string ?? "").isEmpty || !(options["role"].string ?? "").isEmpty
    }
    let what = "set forbidden securityContext.seLinuxOptions"
    return (isBad(spec["securityContext"]) ? ["pod \(what)"] : []) + complaint(what) { isBad($0["securityContext"]) }
  }

  private var appArmor: [String] {
    func isBad(_ context: JSONValue) -> Bool { context["appArmorProfile"]["type"] == "Unconfined" }
    let what = "must not set AppArmor profile type to \"Unconfined\""
    return (isBad(spec["securityContext"]) ? ["pod \(what)"] : []) + complaint(what) { isBad($0["securityContext"]) }
  }

  private var seccompBaseline: [String] {
    func isBad(_ context: JSONValue) -> Bool { context["seccompProfile"]["type"] == "Unconfined" }
    let what = "must not set securityContext.seccompProfile.type to \"Unconfined\""
    return (isBad(spec["securityContext"]) ? ["pod \(what)"] : []) + complaint(what) { isBad($0["securityContext"]) }
  }

  private var sysctls: [String] {
    let bad = spec["securityContext"]["sysctls"].elements.compactMap { $0["name"].string }
      .filter { !Self.allowedSysctls.contains($0) }
    return bad.isEmpty ? [] : [bad.joined(separator: ", ")]
  }

  // MARK: Restricted

  private static let allowedVolumes: Set<String> = [
    "name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
  ]

  private var privilegeEscalation: [String] {
    complaint("must set securityContext.allowPrivilegeEscalation=false") {
      $0["securityContext"]["allowPrivilegeEscalation"] != false
    }
  }

  private var capabilities: [String] {
    complaint("must set securityContext.capabilities.drop=[\"ALL\"]") {
      !$0["securityContext"]["capabilities"]["drop"].elements.contains("ALL")
    } + addedCapabilities(beyond: ["NET_BIND_SERVICE"])
  }

  private var volumes: [String] {
    var byType: [String: [String]] = [:]
    for volume in spec["volumes"].elements {
      for (type, _) in volume.object ?? JSONObject() where !Self.allowedVolumes.contains(type) {
        byType[type, default: []].append(volume["name"].string ?? "")
      }
    }
    return byType.sorted { $0.key < $1.key }.map { type, names in
      "\(called("volume", names)) \(names.count == 1 ? "uses" : "use") restricted volume type \"\(type)\""
    }
  }

  private var runAsNonRoot: [String] {
    let pod = spec["securityContext"]["runAsNonRoot"].bool
    var problems: [String] = []
    if pod == false { problems.append("pod must not set securityContext.runAsNonRoot=false") }
    problems += complaint("must not set securityContext.runAsNonRoot=false") {
      $0["securityContext"]["runAsNonRoot"] == false
    }
    guard problems.isEmpty, pod == nil else { return problems }
    return complaint("must set securityContext.runAsNonRoot=true") {
      $0["securityContext"]["runAsNonRoot"].isNull
    }.map { "pod or \($0)" }
  }

  private var runAsUser: [String] {
    (spec["securityContext"]["runAsUser"] == 0 ? ["pod must not set runAsUser=0"] : [])
      + complaint("must not set runAsUser=0") { $0["securityContext"]["runAsUser"] == 0 }
  }

  private var seccompRestricted: [String] {
    func type(_ context: JSONValue) -> String? { context["seccompProfile"]["type"].string }
    let good = ["RuntimeDefault", "Localhost"]
    let pod = type(spec["securityContext"])
    if let pod, !good.contains(pod) {
      return ["pod must not set securityContext.seccompProfile.type to \"\(pod)\""]
    }
    let explicit = complaint("must not set securityContext.seccompProfile.type to \"Unconfined\"") {
      type($0["securityContext"]).map { !good.contains($0) } ?? false
    }
    guard explicit.isEmpty, pod == nil else { return explicit }
    return complaint("must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"") {
      type($0["securityContext"]) == nil
    }.map { "pod or \($0)" }
  }
}
