// What may be wrong with volumes of pods and the sources of persistent volumes.
import JSON
import Schema

extension Checks {
  /// Returns the volumes that nothing is wrong with: only those can be mounted.
  mutating func volumes(_ volumes: JSONValue, _ path: String, podName: String) -> [String: JSONValue] {
    var sound: [String: JSONValue] = [:]
    let claims = Set(
      podName.isEmpty
        ? [] : volumes.elements.filter { !$0["ephemeral"].isNull }.map { "\(podName)-\($0["name"].text)" })
    for (index, volume) in volumes.elements.enumerated() {
      let place = "\(path)[\(index)]"
      let name = volume["name"].text
      let before = errors.count
      volumeSource(volume, place, podName: podName)
      requiredText(volume["name"], "\(place).name", Validate.dns1123Label)
      if sound[name] != nil { duplicate("\(place).name", volume["name"]) }
      if errors.count == before { sound[name] = volume }
      let claim = volume["persistentVolumeClaim"]["claimName"]
      if claims.contains(claim.text), !claim.isNull {
        invalid(
          "\(place).persistentVolumeClaim.claimName", claim,
          "must not reference a PVC that gets created for an ephemeral volume")
      }
    }
    return sound
  }

  /// In the order in which the reference looks at them: the first that is there is the volume's.
  private static let podSources = [
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
    "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc",
    "flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk",
    "storageos", "projected", "scaleIO", "csi", "ephemeral", "image",
  ]
  private static let persistentSources = [
    "hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte", "cephfs",
    "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume",
    "azureDisk", "scaleIO", "local", "storageos", "csi",
  ]
  /// What the reference calls some members when it tells what is wrong inside of them.
  private static let toldAs = ["gcePersistentDisk": "persistentDisk"]

  private mutating func volumeSource(_ volume: JSONValue, _ place: String, podName: String) {
    source(volume, place, Self.podSources)
    let name = volume["name"].text
    if !volume["ephemeral"].isNull, !podName.isEmpty, !name.isEmpty {
      let claim = "\(podName)-\(name)"
      for message in Validate.nameIsDNSSubdomain(claim) {
        invalid("\(place).name", volume["name"], "PVC name \(GoSyntax.quoted(claim)): \(message)")
      }
    }
  }

  mutating func persistentVolumeSource(_ spec: JSONValue, _ place: String) {
    source(spec, place, Self.persistentSources)
  }

  private mutating func source(_ owner: JSONValue, _ place: String, _ names: [String]) {
    let given = names.filter { !owner[$0].isNull }
    guard let first = given.first else { return required(place, "must specify a volume type") }
    sourceBody(first, owner[first], "\(place).\(Self.toldAs[first] ?? first)")
    for other in given.dropFirst() {
      forbidden("\(place).\(other == "downwardAPI" ? "downwarAPI" : other)", "may not specify more than 1 volume type")
    }
  }

  /// Texts that must be there, for the sources of which nothing else is asked.
  private static let requiredMembers: [String: [String]] = [
    "gitRepo": ["repository"], "gcePersistentDisk": ["pdName"], "awsElasticBlockStore": ["volumeID"],
    "glusterfs": ["endpoints", "path"], "persistentVolumeClaim": ["claimName"], "rbd": ["monitors", "image"],
    "cinder": ["volumeID"], "cephfs": ["monitors"], "quobyte": ["volume"], "flexVolume": ["driver"],
    "azureFile": ["secretName", "shareName"], "vsphereVolume": ["volumePath"], "photonPersistentDisk": ["pdID"],
    "portworxVolume": ["volumeID"], "azureDisk": ["diskName", "diskURI"], "storageos": ["volumeName"],
    "scaleIO": ["gateway", "system", "volumeName"], "nfs": ["server", "path"], "iscsi": ["targetPortal", "iqn"],
    "hostPath": ["path"], "local": ["path"], "secret": ["secretName"], "configMap": ["name"],
    "ephemeral": ["volumeClaimTemplate"],
  ]

  private mutating func sourceBody(_ name: String, _ source: JSONValue, _ place: String) {
    for member in Self.requiredMembers[name] ?? [] where source[member].isEmptyValue {
      required("\(place).\(member)")
    }
    switch name {
    case "secret", "configMap": modeAndItems(source, place)
    case "downwardAPI":
      mode(source["defaultMode"], "\(place).defaultMode")
      for file in source["items"].elements { downwardFile(file, place) }
    case "projected": projections(source, place)
    case "hostPath":
      guard !source["path"].isEmptyValue else { return }
      backsteps(source["path"], "\(place).path")
      let types = [
        "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
      ]
      if !types.contains(source["type"].text) { notSupported("\(place).type", source["type"], types) }
    case "local": backsteps(source["path"], "\(place).path")
    case "gitRepo": descendingPath(source["directory"], "\(place).directory")
    case "nfs":
      if !source["path"].text.hasPrefix("/") {
        invalid("\(place).path", .string(source["path"].text), "must be an absolute path")
      }
    case "emptyDir":
      if let limit = source["sizeLimit"].string, let quantity = Quantity(limit), quantity.isNegative {
        forbidden("\(place).sizeLimit", "SizeLimit field must be a valid resource quantity")
      }
    case "ephemeral":
      let template = source["volumeClaimTemplate"]
      guard !template.isNull else { return }
      annotations(template["metadata"]["annotations"], "\(place).volumeClaimTemplate.metadata.annotations")
      labels(template["metadata"]["labels"], "\(place).volumeClaimTemplate.metadata.labels")
      volumeClaim(template["spec"], "\(place).volumeClaimTemplate.spec")
    case "csi": csiSource(source, place)
    case "gcePersistentDisk", "awsElasticBlockStore":
      if let partition = source["partition"].integer, !(0...255).contains(partition) {
        invalid("\(place).partition", source["partition"], Self.rangeMessage(1...255))
      }
    case "iscsi": blockTarget(source, place)
    case "fc": fibreChannel(source, place)
    default: break
    }
  }

  /// The name of a driver of the Container Storage Interface.
  mutating func driverName(_ name: JSONValue, _ place: String) {
    if name.isEmptyValue { required(place) }
    if name.text.utf8.count > 63 { report(.tooLong(place, maximumBytes: 63)) }
    for message in Validate.dns1123Subdomain(name.text.lowercased()) { invalid(place, .string(name.text), message) }
  }

  private mutating func csiSource(_ source: JSONValue, _ place: String) {
    driverName(source["driver"], "\(place).driver")
    // A pod's own volume has no handle; a persistent one names whose secret it means.
    if source["volumeHandle"].isNull {
      let secret = source["nodePublishSecretRef"]
      if !secret.isNull, secret["name"].isEmptyValue { required("\(place).nodePublishSecretRef.name") }
      return
    }
    if source["volumeHandle"].isEmptyValue { required("\(place).volumeHandle") }
    for name in [
      "controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef",
    ] where !source[name].isNull {
      requiredText(source[name]["name"], "\(place).\(name).name", Validate.dns1123Subdomain)
      requiredText(source[name]["namespace"], "\(place).\(name).namespace", Validate.dns1123Label)
    }
  }

  private mutating func blockTarget(_ source: JSONValue, _ place: String) {
    let name = source["iqn"].text
    if !name.isEmpty, !["iqn", "eui", "naa"].contains(where: name.hasPrefix) {
      invalid("\(place).iqn", source["iqn"], "must be valid format starting with iqn, eui, or naa")
    }
    inRange(source["lun"], "\(place).lun", 0...255)
    if source["chapAuthDiscovery"] == true || source["chapAuthSession"] == true, source["secretRef"].isNull {
      required("\(place).secretRef")
    }
  }

  private mutating func fibreChannel(_ source: JSONValue, _ place: String) {
    let hasTargets = !source["targetWWNs"].isEmptyValue
    let hasIdentifiers = !source["wwids"].isEmptyValue
    if !hasTargets, !hasIdentifiers {
      required("\(place).targetWWNs", "must specify either targetWWNs or wwids, but not both")
    }
    if hasTargets, hasIdentifiers {
      invalid(
        "\(place).targetWWNs", source["targetWWNs"], "targetWWNs and wwids can not be specified simultaneously")
    }
    if hasTargets, source["lun"].isNull {
      required("\(place).lun", "lun is required if targetWWNs is specified")
    } else {
      inRange(source["lun"], "\(place).lun", 0...255)
    }
  }

  private mutating func mode(_ mode: JSONValue, _ place: String) {
    if let bits = mode.integer, !(0...0o777).contains(bits) {
      invalid(place, mode, "must be a number between 0 and 0777 (octal), both inclusive")
    }
  }

  private mutating func modeAndItems(_ source: JSONValue, _ place: String) {
    mode(source["defaultMode"], "\(place).defaultMode")
    for (index, item) in source["items"].elements.enumerated() { keyToPath(item, "\(place).items[\(index)]") }
  }

  private mutating func keyToPath(_ item: JSONValue, _ place: String) {
    if item["key"].isEmptyValue { required("\(place).key") }
    if item["path"].isEmptyValue { required("\(place).path") }
    localPath(item["path"], "\(place).path")
    mode(item["mode"], "\(place).mode")
  }

  /// `place` is the volume's, whichever of its files this is: so the reference tells it.
  private mutating func downwardFile(_ file: JSONValue, _ place: String) {
    if file["path"].isEmptyValue { required("\(place).path") }
    localPath(file["path"], "\(place).path")
    if !file["fieldRef"].isNull {
      fieldReference(file["fieldRef"], "\(place).fieldRef", Self.volumeFieldPaths)
      if !file["resourceFieldRef"].isNull {
        invalid(place, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
      }
    } else if !file["resourceFieldRef"].isNull {
      resourceReference(file["resourceFieldRef"], "\(place).resourceFieldRef", isVolume: true)
    } else {
      required(place, "one of fieldRef and resourceFieldRef is required")
    }
    mode(file["mode"], "\(place).mode")
  }

  private mutating func projections(_ source: JSONValue, _ place: String) {
    mode(source["defaultMode"], "\(place).defaultMode")
    var paths: Set<String> = []
    for (index, projection) in source["sources"].elements.enumerated() {
      let own = "\(place).sources[\(index)]"
      for name in ["secret", "configMap"] where !projection[name].isNull {
        if projection[name]["name"].isEmptyValue { required("\(own).\(name).name") }
        for (number, item) in projection[name]["items"].elements.enumerated() {
          keyToPath(item, "\(own).\(name).items[\(number)]")
          uniquePath(item["path"], place, projection[name]["name"], &paths)
        }
      }
      for file in projection["downwardAPI"]["items"].elements {
        downwardFile(file, "\(own).downwardAPI")
        uniquePath(file["path"], place, file["path"], &paths)
      }
      if !projection["serviceAccountToken"].isNull { tokenProjection(projection["serviceAccountToken"], own, place) }
      let kinds = ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"]
      if kinds.count(where: { !projection[$0].isNull }) > 1 {
        forbidden(own, "may not specify more than 1 volume type per source")
      }
    }
  }

  private mutating func uniquePath(
    _ path: JSONValue, _ place: String, _ shown: JSONValue, _ paths: inout Set<String>
  ) {
    guard !path.isEmptyValue, !paths.insert(path.text).inserted else { return }
    invalid(place, shown, "conflicting duplicate paths")
  }

  private mutating func tokenProjection(_ token: JSONValue, _ own: String, _ place: String) {
    let seconds = token["expirationSeconds"].integer ?? 0
    let field = "\(own).serviceAccountToken.expirationSeconds"
    if seconds < 600 { invalid(field, .integer(seconds), "may not specify a duration less than 10 minutes") }
    if seconds > 1 << 32 {
      invalid(field, .integer(seconds), "may not specify a duration larger than 2^32 seconds")
    }
    if token["path"].isEmptyValue { required("\(place).path") } else { localPath(token["path"], "\(place).path") }
  }

  static let accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]

  mutating func accessModes(_ modes: JSONValue, _ place: String) {
    for mode in modes.elements where !Self.accessModes.contains(mode.text) {
      notSupported(place, mode, Self.accessModes)
    }
    let known = modes.elements.filter { Self.accessModes.contains($0.text) }
    if known.contains("ReadWriteOncePod"), known.contains(where: { $0 != "ReadWriteOncePod" }) {
      forbidden(place, "may not use ReadWriteOncePod with other access modes")
    }
  }

  /// The spec of a persistent volume claim.
  mutating func volumeClaim(_ spec: JSONValue, _ place: String) {
    if spec["accessModes"].isEmptyValue { required("\(place).accessModes", "at least 1 access mode is required") }
    if !spec["selector"].isNull { labelSelector(spec["selector"], "\(place).selector") }
    accessModes(spec["accessModes"], "\(place).accessModes")
    let storage = spec["resources"]["requests"]["storage"]
    if storage.isNull {
      required("\(place).resources[storage]")
    } else if let quantity = Quantity(storage.text), quantity.isZero || quantity.isNegative {
      invalid("\(place).resources[storage]", .string(quantity.description), "must be greater than zero")
    }
    if let name = spec["storageClassName"].string, !name.isEmpty {
      text(.string(name), "\(place).storageClassName") { Validate.nameIsDNSSubdomain($0) }
    }
    if !spec["volumeMode"].isNull { choice(spec["volumeMode"], "\(place).volumeMode", ["Block", "Filesystem"]) }
    for name in ["dataSource", "dataSourceRef"] where !spec[name].isNull {
      dataSource(spec[name], "\(place).\(name)")
    }
    let (source, reference) = (spec["dataSource"], spec["dataSourceRef"])
    if !source.isNull, !reference.isNull,
      ["apiGroup", "kind", "name"].contains(where: { source[$0] != reference[$0] })
    {
      invalid(place, .string("\(place).dataSource"), "must match dataSourceRef")
    }
  }

  private mutating func dataSource(_ source: JSONValue, _ place: String) {
    for name in ["name", "kind"] where source[name].isEmptyValue { required("\(place).\(name)") }
    if source["apiGroup"].isEmptyValue {
      if source["kind"] != "PersistentVolumeClaim" {
        invalid(
          place, .string(source["kind"].text),
          "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
      }
    } else {
      text(source["apiGroup"], "\(place).apiGroup", Validate.dns1123Subdomain)
    }
  }
}
