// What may be wrong with security contexts, of pods and of containers.
import JSON
import Schema

extension Checks {
  private static let identifiers: ClosedRange<Int64> = 0...2_147_483_647

  mutating func securityContext(_ context: JSONValue, _ place: @autoclosure Path, usesHostUsers: Bool) {
    guard !context.isNull else { return }
    for name in ["runAsUser", "runAsGroup"] { inRange(context[name], "\(place()).\(name)", Self.identifiers) }
    if !context["procMount"].isNull {
      oneOf(context["procMount"], "\(place()).procMount", ["Default", "Unmasked"])
      if usesHostUsers, context["procMount"] == "Unmasked" {
        invalid("\(place()).procMount", context["procMount"], "`hostUsers` must be false to use `Unmasked`")
      }
    }
    seccompProfile(context["seccompProfile"], "\(place()).seccompProfile")
    if context["allowPrivilegeEscalation"] == false {
      if context["privileged"] == true {
        invalid(place(), context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
      }
      for capability in context["capabilities"]["add"].elements where capability == "CAP_SYS_ADMIN" {
        invalid(
          place(), context, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
      }
    }
    windowsOptions(context["windowsOptions"], "\(place()).windowsOptions")
    appArmorProfile(context["appArmorProfile"], "\(place()).appArmorProfile")
  }

  mutating func podSecurityContext(_ spec: JSONValue, _ path: @autoclosure Path) {
    let context = spec["securityContext"]
    guard !context.isNull else { return }
    func place() -> String { "\(path()).securityContext" }
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
      inRange(context[name], "\(place()).\(name)", Self.identifiers)
    }
    for (index, group) in context["supplementalGroups"].elements.enumerated() {
      inRange(group, "\(place()).supplementalGroups[\(index)]", Self.identifiers)
    }
    if spec["shareProcessNamespace"] == true, spec["hostPID"] == true {
      invalid(
        "\(place()).shareProcessNamespace", true, "ShareProcessNamespace and HostPID cannot both be enabled")
    }
    sysctls(spec, "\(place()).sysctls")
    if !context["fsGroupChangePolicy"].isNull {
      choice(context["fsGroupChangePolicy"], "\(place()).fsGroupChangePolicy", ["Always", "OnRootMismatch"])
    }
    seccompProfile(context["seccompProfile"], "\(place()).seccompProfile")
    windowsOptions(context["windowsOptions"], "\(place()).windowsOptions")
    appArmorProfile(context["appArmorProfile"], "\(place()).appArmorProfile")
  }

  private mutating func sysctls(_ spec: JSONValue, _ path: @autoclosure Path) {
    var names: Set<String> = []
    for (index, sysctl) in spec["securityContext"]["sysctls"].elements.enumerated() {
      func place() -> String { "\(path())[\(index)].name" }
      let name = sysctl["name"].text
      if name.isEmpty {
        required(place())
      } else if name.utf8.count > 253 || !Self.isSysctlName(name) {
        invalid(
          place(), .string(name),
          "must have at most 253 characters and match regex "
            + "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$")
      } else if names.contains(name) {
        duplicate(place(), .string(name))
      }
      names.insert(name)
      let dotted = name.replacing("/", with: ".")
      if spec["hostNetwork"] == true, dotted.hasPrefix("net.") {
        invalid(place(), .string(name), "may not be specified when 'hostNetwork' is true")
      } else if spec["hostIPC"] == true, Self.isOfInterprocessCommunication(dotted) {
        invalid(place(), .string(name), "may not be specified when 'hostIPC' is true")
      }
    }
  }

  private static func isOfInterprocessCommunication(_ name: String) -> Bool {
    name == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].contains { name.hasPrefix($0) }
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

  private static let profileTypes = ["Localhost", "RuntimeDefault", "Unconfined"]

  private mutating func seccompProfile(_ profile: JSONValue, _ place: @autoclosure Path) {
    guard !profile.isNull else { return }
    if profile["type"].isEmptyValue {
      required("\(place()).type", "type is required when seccompProfile is set")
    } else if !Self.profileTypes.contains(profile["type"].text) {
      notSupported("\(place()).type", profile["type"], Self.profileTypes)
    }
    let local = profile["localhostProfile"]
    if profile["type"] == "Localhost" {
      if local.isNull {
        required("\(place()).localhostProfile", "must be set when seccomp type is Localhost")
      } else {
        descendingPath(local, "\(place()).localhostProfile")
      }
    } else if !local.isNull {
      invalid("\(place()).localhostProfile", profile, "can only be set when seccomp type is Localhost")
    }
  }

  private mutating func appArmorProfile(_ profile: JSONValue, _ place: @autoclosure Path) {
    guard !profile.isNull else { return }
    let local = profile["localhostProfile"]
    switch profile["type"].text {
    case "Localhost":
      let text = local.text
      if text.isEmpty {
        required("\(place()).localhostProfile", "must be set when AppArmor type is Localhost")
      } else if text.first?.isWhitespace == true || text.last?.isWhitespace == true {
        invalid("\(place()).localhostProfile", local, "must not be padded with whitespace")
      }
      if text.utf8.count > 4095 { report(.tooLong("\(place()).localhostProfile", maximumBytes: 4095)) }
    case "RuntimeDefault", "Unconfined":
      if !local.isNull {
        invalid("\(place()).localhostProfile", local, "can only be set when AppArmor type is Localhost")
      }
    case "": required("\(place()).type", "type is required when appArmorProfile is set")
    default: notSupported("\(place()).type", profile["type"], Self.profileTypes)
    }
  }

  private mutating func windowsOptions(_ options: JSONValue, _ place: @autoclosure Path) {
    guard !options.isNull else { return }
    if let name = options["gmsaCredentialSpecName"].string {
      text(.string(name), "\(place()).gmsaCredentialSpecName", Validate.dns1123Subdomain)
    }
    if let credentials = options["gmsaCredentialSpec"].string {
      if credentials.isEmpty {
        invalid("\(place()).gmsaCredentialSpec", "", "gmsaCredentialSpec cannot be an empty string")
      } else if credentials.utf8.count > 64 * 1024 {
        invalid(
          "\(place()).gmsaCredentialSpec", .string(credentials), "gmsaCredentialSpec size must be under 64 KiB")
      }
    }
    if let user = options["runAsUserName"].string { windowsUser(user, "\(place()).runAsUserName") }
  }

  private mutating func windowsUser(_ name: String, _ place: @autoclosure Path) {
    func wrong(_ why: String) { invalid(place(), .string(name), why) }
    if name.isEmpty { return wrong("runAsUserName cannot be an empty string") }
    if name.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
      return wrong("runAsUserName cannot contain control characters")
    }
    let parts = name.split(separator: "\\", omittingEmptySubsequences: false)
    if parts.count > 2 { return wrong("runAsUserName cannot contain more than one backslash") }
    if parts.count == 2, parts[0].utf8.count >= 256 {
      wrong("runAsUserName's Domain length must be under 256 characters")
    }
    if parts.count == 2, !Self.isWindowsDomain(parts[0]) {
      wrong("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    }
    let user = parts[parts.count - 1]
    if user.isEmpty {
      wrong("runAsUserName's User cannot be empty")
    } else if user.utf8.count > 104 {
      wrong("runAsUserName's User length must not be longer than 104 characters")
    }
    if !user.isEmpty, user.allSatisfy({ $0 == "." || $0 == " " }) {
      wrong("runAsUserName's User cannot contain only periods or spaces")
    }
    if user.contains(where: { "\"/\\:;|=,+*?<>@[]".contains($0) }) {
      wrong("runAsUserName's User cannot contain the following characters: \"/\\:;|=,+*?<>@[]")
    }
  }

  private static func isWindowsDomain(_ domain: Substring) -> Bool {
    let isNetBIOS =
      (1...15).contains(domain.count) && domain.first != "." && !domain.contains { "\\/:*?\"<>|".contains($0) }
    return isNetBIOS || Validate.dns1123Subdomain(domain.lowercased()).isEmpty
  }

  /// Windows and Linux pods have different privileges.
  mutating func operatingSystem(_ spec: JSONValue, _ path: @autoclosure Path) {
    guard !spec["os"].isNull else { return }
    switch spec["os"]["name"].text {
    case "": required("\(path()).os.name", "cannot be empty")
    case "linux":
      for (context, place) in Self.securityContexts(of: spec, path()) where !context["windowsOptions"].isNull {
        forbidden("\(place).windowsOptions", "windows options cannot be set for a linux pod")
      }
    case "windows": windowsPod(spec, path())
    default: notSupported("\(path()).os", spec["os"]["name"], ["linux", "windows"])
    }
  }

  private static let linuxOnly = [
    "appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged",
    "allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup",
  ]
  /// Of a pod; the first three and one more stand in the spec itself.
  private static let linuxOnlyPods = [
    "appArmorProfile", "seLinuxOptions", "hostUsers", "hostPID", "hostIPC", "seccompProfile", "fsGroup",
    "fsGroupChangePolicy", "sysctls", "shareProcessNamespace", "runAsUser", "runAsGroup", "supplementalGroups",
    "supplementalGroupsPolicy",
  ]

  private mutating func windowsPod(_ spec: JSONValue, _ path: @autoclosure Path) {
    let message = "cannot be set for a windows pod"
    for name in Self.linuxOnlyPods {
      switch name {
      case "hostUsers", "shareProcessNamespace":
        if !spec[name].isNull { forbidden("\(path()).\(name)", message) }
      case "hostPID", "hostIPC":
        if spec[name] == true { forbidden("\(path()).\(name)", message) }
      case "sysctls":
        if !spec["securityContext"][name].isEmptyValue { forbidden("\(path()).securityContext.\(name)", message) }
      default:
        if !spec["securityContext"][name].isNull { forbidden("\(path()).securityContext.\(name)", message) }
      }
    }
    for (container, place) in Self.allContainers(of: spec) {
      for name in Self.linuxOnly where !container["securityContext"][name].isNull {
        forbidden("\(path()).\(place).securityContext.\(name)", message)
      }
    }
  }

  /// Containers that are processes of a Windows node: all of a pod's or none, and on the node's network.
  mutating func hostProcesses(_ spec: JSONValue, _ path: @autoclosure Path) {
    func wish(_ context: JSONValue) -> Bool? { context["windowsOptions"]["hostProcess"].bool }
    let ofPod = wish(spec["securityContext"])
    let containers = Self.allContainers(of: spec)
    var count = 0
    for (container, place) in containers {
      let own = wish(container["securityContext"])
      if let ofPod, let own, own != ofPod {
        invalid(
          "\(path()).\(place).securityContext.windowsOptions.hostProcess", .bool(own),
          "pod hostProcess value must be identical if both are specified, was \(ofPod)")
      }
      if own ?? ofPod ?? false { count += 1 }
    }
    guard count > 0 else { return }
    if count != containers.count {
      invalid(
        path(), "",
        "If pod contains any hostProcess containers then all containers must be HostProcess containers")
    }
    if spec["hostNetwork"] != true {
      invalid(
        "\(path()).hostNetwork", false, "hostNetwork must be true if pod contains any hostProcess containers")
    }
  }

  /// The pod's own and those of all its containers.
  private static func securityContexts(of spec: JSONValue, _ path: String) -> [(JSONValue, String)] {
    [(spec["securityContext"], "\(path).securityContext")]
      + allContainers(of: spec).map { ($0.container["securityContext"], "\(path).\($0.place).securityContext") }
  }
}
