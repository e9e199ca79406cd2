// What may be wrong with sources of volumes that somebody else keeps: targets, drivers, providers.
import JSON
import Schema

extension Checks {
  /// The sources of which more is asked than that some texts are there.
  mutating func networkSource(_ name: String, _ source: JSONValue, _ place: @autoclosure Path, _ owner: VolumeOwner) {
    switch name {
    case "iscsi": blockTarget(source, place(), owner)
    case "fc": fibreChannel(source, place())
    case "glusterfs":
      guard owner.isPersistent, let namespace = source["endpointsNamespace"].string else { return }
      if namespace.isEmpty {
        invalid(
          "\(place()).endpointsNamespace", "",
          "if the endpointnamespace is set, it must be a valid namespace name")
      } else {
        text(.string(namespace), "\(place()).endpointsNamespace", Validate.dns1123Label)
      }
    case "flocker": dataset(source, place())
    case "quobyte": registry(source, place())
    case "cinder": secretReference(source["secretRef"], "\(place()).secretRef", isPersistent: owner.isPersistent)
    case "storageos":
      for name in ["volumeName", "volumeNamespace"] where !source[name].isEmptyValue {
        text(source[name], "\(place()).\(name)", Validate.dns1123Label)
      }
      secretReference(source["secretRef"], "\(place()).secretRef", isPersistent: owner.isPersistent)
    case "flexVolume": driverOptions(source["options"], "\(place()).options")
    case "azureFile":
      if owner.isPersistent, source["secretNamespace"] == "" { required("\(place()).secretNamespace") }
    case "azureDisk": managedDisk(source, place())
    default: break
    }
  }

  private mutating func secretReference(_ reference: JSONValue, _ place: @autoclosure Path, isPersistent: Bool) {
    guard !reference.isNull else { return }
    if reference["name"].isEmptyValue { required("\(place()).name") }
    if isPersistent, reference["namespace"].isEmptyValue { required("\(place()).namespace") }
  }

  mutating func csiSource(_ source: JSONValue, _ place: @autoclosure Path, isPersistent: Bool) {
    driverName(source["driver"], "\(place()).driver")
    // A pod's own volume has no handle; a persistent one names whose secret it means.
    guard isPersistent else {
      let secret = source["nodePublishSecretRef"]
      guard !secret.isNull else { return }
      if secret["name"].isEmptyValue {
        required("\(place()).nodePublishSecretRef.name")
      } else {
        // (The reference leaves the secret out of this path.)
        text(secret["name"], "\(place()).name") { Validate.nameIsDNSSubdomain($0) }
      }
      return
    }
    if source["volumeHandle"].isEmptyValue { required("\(place()).volumeHandle") }
    for name in [
      "controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef",
    ] where !source[name].isNull {
      requiredText(source[name]["name"], "\(place()).\(name).name", Validate.dns1123Subdomain)
      requiredText(source[name]["namespace"], "\(place()).\(name).namespace", Validate.dns1123Label)
    }
  }

  // MARK: Targets of blocks

  private mutating func blockTarget(_ source: JSONValue, _ place: @autoclosure Path, _ owner: VolumeOwner) {
    if owner.isPersistent {
      initiatorLength(source, "\(place()).targetportal", owner.name, shown: source["targetPortal"].text)
    }
    if source["iqn"].isEmptyValue {
      required("\(place()).iqn")
    } else {
      blockName(source["iqn"], "\(place()).iqn", isPersistent: owner.isPersistent)
    }
    inRange(.integer(source["lun"].integer ?? 0), "\(place()).lun", 0...255)
    if source["chapAuthDiscovery"] == true || source["chapAuthSession"] == true, source["secretRef"].isNull {
      required("\(place()).secretRef")
    }
    if owner.isPersistent { secretReference(source["secretRef"], "\(place()).secretRef", isPersistent: false) }
    if !source["initiatorName"].isNull {
      blockName(source["initiatorName"], "\(place()).initiatorname", isPersistent: owner.isPersistent)
    }
  }

  /// Initiators are called after the volume and where it comes from, and their names are short.
  mutating func initiatorLength(_ source: JSONValue, _ place: @autoclosure Path, _ name: String, shown: String) {
    guard !source["initiatorName"].isNull else { return }
    if name.utf8.count + 1 + source["targetPortal"].text.utf8.count > 64 {
      invalid(
        place(), .string(shown),
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is "
          + "specified.")
    }
  }

  private mutating func blockName(_ name: JSONValue, _ place: @autoclosure Path, isPersistent: Bool) {
    let text = name.text
    guard let kind = ["iqn", "eui", "naa"].first(where: text.hasPrefix) else {
      return invalid(
        place(), .string(text),
        isPersistent ? "must be valid format" : "must be valid format starting with iqn, eui, or naa")
    }
    let isSound =
      switch kind {
      case "iqn": Self.isQualifiedBlockName(text)
      case "eui": Self.isNumberedBlockName(text, digits: 16)
      default: Self.isNumberedBlockName(text, digits: 32)
      }
    if !isSound { invalid(place(), name, "must be valid format") }
  }

  private static func isAlphanumeric(_ character: Character) -> Bool {
    character.isASCII && (character.isLetter || character.isNumber)
  }

  /// `iqn.2001-04.com.example:disk`.
  private static func isQualifiedBlockName(_ text: String) -> Bool {
    let characters = Array(text)
    guard characters.count > 12, characters[3] == ".", characters[8] == "-", characters[11] == "." else { return false }
    let digits = characters[4...7] + characters[9...10]
    guard digits.allSatisfy({ $0.isASCII && $0.isNumber }) else { return false }
    let parts = characters[12...].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    return parts.count == 2 && !parts[0].isEmpty && !parts[1].isEmpty
      && parts[0].allSatisfy { isAlphanumeric($0) || $0 == "-" || $0 == "." }
      && parts[1].allSatisfy { !",;*&$|".contains($0) && !$0.isWhitespace }
  }

  /// `eui.02004567A425678D`.
  private static func isNumberedBlockName(_ text: String, digits: Int) -> Bool {
    text.count == 4 + digits && text.dropFirst(4).allSatisfy(isAlphanumeric)
  }

  private mutating func fibreChannel(_ source: JSONValue, _ place: @autoclosure Path) {
    let hasTargets = !source["targetWWNs"].isEmptyValue
    let hasIdentifiers = !source["wwids"].isEmptyValue
    if !hasTargets, !hasIdentifiers {
      required("\(place()).targetWWNs", "must specify either targetWWNs or wwids, but not both")
    }
    if hasTargets, hasIdentifiers {
      invalid(
        "\(place()).targetWWNs", source["targetWWNs"], "targetWWNs and wwids can not be specified simultaneously")
    }
    guard hasTargets else { return }
    if source["lun"].isNull {
      required("\(place()).lun", "lun is required if targetWWNs is specified")
    } else {
      inRange(source["lun"], "\(place()).lun", 0...255)
    }
  }

  // MARK: Providers

  private mutating func dataset(_ source: JSONValue, _ place: @autoclosure Path) {
    let (name, identifier) = (source["datasetName"], source["datasetUUID"])
    if name.isEmptyValue, identifier.isEmptyValue {
      required(place(), "one of datasetName and datasetUUID is required")
    }
    if !name.isEmptyValue, !identifier.isEmptyValue {
      invalid(place(), "resource", "datasetName and datasetUUID can not be specified simultaneously")
    }
    if name.text.contains("/") { invalid("\(place()).datasetName", name, "must not contain '/'") }
  }

  private mutating func registry(_ source: JSONValue, _ place: @autoclosure Path) {
    let shape = "must be a host:port pair or multiple pairs separated by commas"
    if source["registry"].isEmptyValue {
      required("\(place()).registry", shape)
    } else if source["tenant"].text.utf8.count >= 65 {
      required("\(place()).tenant", "must be a UUID and may not exceed a length of 64 characters")
    } else {
      for pair in source["registry"].text.split(separator: ",", omittingEmptySubsequences: false)
      where !Self.isHostAndPort(pair) {
        invalid("\(place()).registry", source["registry"], shape)
      }
    }
    if source["volume"].isEmptyValue { required("\(place()).volume") }
  }

  private static func isHostAndPort(_ text: Substring) -> Bool {
    guard text.hasPrefix("[") else { return text.count { $0 == ":" } == 1 && !text.contains { "[]".contains($0) } }
    guard let close = text.firstIndex(of: "]") else { return false }
    let rest = text[text.index(after: close)...]
    return rest.hasPrefix(":") && !rest.dropFirst().contains { ":[]".contains($0) }
  }

  /// Names below the project's own domains are its own.
  private mutating func driverOptions(_ options: JSONValue, _ place: @autoclosure Path) {
    for (name, _) in options.object ?? [:] {
      let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      let domain = "." + (parts.count == 2 ? String(parts[0]) : name).lowercased()
      if domain.hasSuffix(".kubernetes.io") || domain.hasSuffix(".k8s.io") {
        invalid("\(place())[\(name)]", .string(name), "kubernetes.io and k8s.io namespaces are reserved")
      }
    }
  }

  private mutating func managedDisk(_ source: JSONValue, _ place: @autoclosure Path) {
    let (mode, kind, address) = (source["cachingMode"], source["kind"], source["diskURI"].text)
    if !mode.isNull { choice(mode, "\(place()).cachingMode", ["None", "ReadOnly", "ReadWrite"]) }
    guard !kind.isNull else { return }
    choice(kind, "\(place()).kind", ["Dedicated", "Managed", "Shared"])
    func path() -> String {
      "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
    }
    if kind == "Managed", !address.hasPrefix("/subscriptions/") {
      notSupported("\(place()).diskURI", .string(address), [path()])
    }
    if kind != "Managed", !address.hasPrefix("https://") {
      notSupported(
        "\(place()).diskURI", .string(address),
        ["https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"])
    }
  }
}
