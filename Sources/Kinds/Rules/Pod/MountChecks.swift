// What may be wrong with how containers mount volumes.
import JSON
import Schema

extension Checks {
  mutating func volumeMounts(_ container: JSONValue, _ path: @autoclosure Path, _ volumes: [String: JSONValue]) {
    var paths: Set<String> = []
    let isPrivileged = container["securityContext"]["privileged"].bool ?? false
    let devices = container["volumeDevices"].elements
    for (index, mount) in container["volumeMounts"].elements.enumerated() {
      func place() -> String { "\(path())[\(index)]" }
      let name = mount["name"].text
      if name.isEmpty { required("\(place()).name") }
      if volumes[name] == nil { report(.notFound("\(place()).name", .string(name))) }
      let mountPath = mount["mountPath"].text
      if mountPath.isEmpty { required("\(place()).mountPath") }
      if !paths.insert(mountPath).inserted { invalid("\(place()).mountPath", .string(mountPath), "must be unique") }
      if devices.contains(where: { $0["name"].text == name }) {
        invalid("\(place()).name", .string(name), "must not already exist in volumeDevices")
      }
      if devices.contains(where: { $0["devicePath"].text == mountPath }) {
        invalid("\(place()).mountPath", .string(mountPath), "must not already exist as a path in volumeDevices")
      }
      subPaths(mount, place(), path(), isImage: volumes[name].map { !$0["image"].isNull } ?? false)
      propagation(mount, path(), isPrivileged: isPrivileged)
    }
  }

  /// The reference names the list, not its element, where it speaks of what a path may look like.
  private mutating func subPaths(
    _ mount: JSONValue, _ place: @autoclosure Path, _ path: @autoclosure Path, isImage: Bool
  ) {
    let names = ["subPath", "subPathExpr"]
    if isImage {
      for name in names where !mount[name].isEmptyValue {
        invalid("\(place()).\(name)", mount[name], "not allowed in image volume sources")
      }
    }
    if !mount["subPath"].isEmptyValue { descendingPath(mount["subPath"], "\(path()).subPath") }
    guard !mount["subPathExpr"].isEmptyValue else { return }
    if !mount["subPath"].isEmptyValue {
      invalid("\(place()).subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive")
    }
    descendingPath(mount["subPathExpr"], "\(path()).subPathExpr")
  }

  private mutating func propagation(_ mount: JSONValue, _ path: @autoclosure Path, isPrivileged: Bool) {
    let mode = mount["mountPropagation"]
    if !mode.isNull {
      let modes = ["Bidirectional", "HostToContainer", "None"]
      if !modes.contains(mode.text) { notSupported("\(path()).mountPropagation", mode, modes) }
      if mode == "Bidirectional", !isPrivileged {
        forbidden(
          "\(path()).mountPropagation", "Bidirectional mount propagation is available only to privileged containers")
      }
    }
    let recursive = mount["recursiveReadOnly"]
    guard !recursive.isNull, recursive != "Disabled" else { return }
    guard recursive == "Enabled" || recursive == "IfPossible" else {
      return notSupported("\(path()).recursiveReadOnly", recursive, ["Disabled", "Enabled", "IfPossible"])
    }
    if mount["readOnly"] != true {
      forbidden("\(path()).recursiveReadOnly", "may only be specified when readOnly is true")
    }
    if !mode.isNull, mode != "None" {
      forbidden(
        "\(path()).recursiveReadOnly", "may only be specified when mountPropagation is None or not specified")
    }
  }

  mutating func volumeDevices(_ container: JSONValue, _ path: @autoclosure Path, _ volumes: [String: JSONValue]) {
    var names: Set<String> = []
    var paths: Set<String> = []
    let mounts = container["volumeMounts"].elements
    for (index, device) in container["volumeDevices"].elements.enumerated() {
      func place() -> String { "\(path())[\(index)]" }
      let name = device["name"].text
      let devicePath = device["devicePath"].text
      if name.isEmpty { required("\(place()).name") }
      if names.contains(name) { invalid("\(place()).name", .string(name), "must be unique") }
      if let volume = volumes[name] {
        if volume["persistentVolumeClaim"].isNull, volume["ephemeral"].isNull {
          invalid(
            "\(place()).name", .string(name),
            "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
        }
      } else {
        report(.notFound("\(place()).name", .string(name)))
      }
      if devicePath.isEmpty { required("\(place()).devicePath") }
      if paths.contains(devicePath) { invalid("\(place()).devicePath", .string(devicePath), "must be unique") }
      if Self.hasBacksteps(devicePath) {
        invalid("\(place()).devicePath", .string(devicePath), "can not contain backsteps ('..')")
      } else {
        paths.insert(devicePath)
      }
      if mounts.contains(where: { $0["name"].text == name }) {
        invalid("\(place()).name", .string(name), "must not already exist in volumeMounts")
      }
      if mounts.contains(where: { $0["mountPath"].text == devicePath }) {
        invalid("\(place()).devicePath", .string(devicePath), "must not already exist as a path in volumeMounts")
      }
      if !name.isEmpty { names.insert(name) }
    }
  }

  /// A relative path that stays below where it starts.
  mutating func descendingPath(_ value: JSONValue, _ place: @autoclosure Path) {
    if value.text.hasPrefix("/") { invalid(place(), .string(value.text), "must be a relative path") }
    backsteps(value, place())
  }
  mutating func backsteps(_ value: JSONValue, _ place: @autoclosure Path) {
    if Self.hasBacksteps(value.text) { invalid(place(), value, "must not contain '..'") }
  }
  static func hasBacksteps(_ path: String) -> Bool {
    path.split(separator: "/").contains("..")
  }

  /// A relative path that stays below where it starts and whose first name is none of the kubelet's own.
  mutating func localPath(_ path: JSONValue, _ place: @autoclosure Path) {
    descendingPath(path, place())
    if path.text.hasPrefix(".."), !path.text.hasPrefix("../") {
      invalid(place(), path, "must not start with '..'")
    }
  }
}
