// What may be wrong with volumes of pods and the sources of persistent volumes.
import JSON
import Schema

/// Whose source is looked at.
struct VolumeOwner {
  var name: String
  var isPersistent: Bool
}

extension Checks {
  /// Returns the volumes that nothing is wrong with: only those can be mounted.
  mutating func volumes(_ volumes: JSONValue, _ path: @autoclosure Path, podName: String) -> [String: JSONValue] {
    var sound: [String: JSONValue] = [:]
    let claims = Set(
      podName.isEmpty
        ? [] : volumes.elements.filter { !$0["ephemeral"].isNull }.map { "\(podName)-\($0["name"].text)" })
    for (index, volume) in volumes.elements.enumerated() {
      func place() -> String { "\(path())[\(index)]" }
      let name = volume["name"].text
      let before = errors.count
      volumeSource(volume, place(), podName: podName)
      requiredText(volume["name"], "\(place()).name", Validate.dns1123Label)
      if sound[name] != nil { duplicate("\(place()).name", volume["name"]) }
      if errors.count == before { sound[name] = volume }
      let claim = volume["persistentVolumeClaim"]["claimName"]
      if claims.contains(claim.text), !claim.isNull {
        invalid(
          "\(place()).persistentVolumeClaim.claimName", claim,
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
  /// What the reference calls some members when it tells what is wrong inside of them, and when they are too many.
  private static let toldAs = ["gcePersistentDisk": "persistentDisk"]
  private static let refusedAs = ["downwardAPI": "downwarAPI", "cephfs": "cephFS"]

  private mutating func volumeSource(_ volume: JSONValue, _ place: @autoclosure Path, podName: String) {
    source(volume, place(), Self.podSources, VolumeOwner(name: volume["name"].text, isPersistent: false))
    let name = volume["name"].text
    if !volume["ephemeral"].isNull, !podName.isEmpty, !name.isEmpty {
      let claim = "\(podName)-\(name)"
      for message in Validate.nameIsDNSSubdomain(claim) {
        invalid("\(place()).name", volume["name"], "PVC name \(GoSyntax.quoted(claim)): \(message)")
      }
    }
  }

  /// Returns the source that the volume has, if it has one.
  mutating func persistentVolumeSource(_ spec: JSONValue, _ place: @autoclosure Path, name: String) -> String? {
    source(spec, place(), Self.persistentSources, VolumeOwner(name: name, isPersistent: true))
  }

  @discardableResult
  private mutating func source(
    _ volume: JSONValue, _ place: @autoclosure Path, _ names: [String], _ owner: VolumeOwner
  ) -> String? {
    let given = names.filter { !volume[$0].isNull }
    guard let first = given.first else {
      required(place(), "must specify a volume type")
      return nil
    }
    sourceBody(first, volume[first], "\(place()).\(Self.toldAs[first] ?? first)", owner)
    for other in given.dropFirst() {
      // (Of this one the reference does not mind that it is one more.)
      if other == "flexVolume", owner.isPersistent {
        sourceBody(other, volume[other], "\(place()).\(other)", owner)
      } else {
        forbidden("\(place()).\(Self.refusedAs[other] ?? other)", "may not specify more than 1 volume type")
      }
    }
    if !owner.isPersistent { initiatorLength(volume["iscsi"], "\(place()).name", owner.name, shown: owner.name) }
    return first
  }

  /// Texts that must be there, for the sources of which nothing else is asked.
  private static let requiredMembers: [String: [String]] = [
    "gitRepo": ["repository"], "gcePersistentDisk": ["pdName"], "awsElasticBlockStore": ["volumeID"],
    "glusterfs": ["endpoints", "path"], "persistentVolumeClaim": ["claimName"], "rbd": ["monitors", "image"],
    "cinder": ["volumeID"], "cephfs": ["monitors"], "flexVolume": ["driver"],
    "azureFile": ["secretName", "shareName"], "vsphereVolume": ["volumePath"], "photonPersistentDisk": ["pdID"],
    "portworxVolume": ["volumeID"], "azureDisk": ["diskName", "diskURI"], "storageos": ["volumeName"],
    "scaleIO": ["gateway", "system", "volumeName"], "nfs": ["server", "path"], "iscsi": ["targetPortal"],
    "hostPath": ["path"], "local": ["path"], "secret": ["secretName"], "configMap": ["name"],
    "ephemeral": ["volumeClaimTemplate"],
  ]

  private mutating func sourceBody(
    _ name: String, _ source: JSONValue, _ place: @autoclosure Path, _ owner: VolumeOwner
  ) {
    for member in Self.requiredMembers[name] ?? [] where source[member].isEmptyValue {
      required("\(place()).\(member)")
    }
    switch name {
    case "secret", "configMap": modeAndItems(source, place())
    case "downwardAPI":
      mode(source["defaultMode"], "\(place()).defaultMode")
      for file in source["items"].elements { downwardFile(file, place()) }
    case "projected": projections(source, place())
    case "hostPath":
      guard !source["path"].isEmptyValue else { return }
      backsteps(source["path"], "\(place()).path")
      let types = [
        "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
      ]
      if !types.contains(source["type"].text) { notSupported("\(place()).type", source["type"], types) }
    case "local": backsteps(source["path"], "\(place()).path")
    case "gitRepo": descendingPath(source["directory"], "\(place()).directory")
    case "nfs":
      if !source["path"].text.hasPrefix("/") {
        invalid("\(place()).path", .string(source["path"].text), "must be an absolute path")
      }
    case "emptyDir":
      if let limit = source["sizeLimit"].string, let quantity = Quantity(limit), quantity.isNegative {
        forbidden("\(place()).sizeLimit", "SizeLimit field must be a valid resource quantity")
      }
    case "ephemeral":
      let template = source["volumeClaimTemplate"]
      guard !template.isNull else { return }
      annotations(template["metadata"]["annotations"], "\(place()).volumeClaimTemplate.metadata.annotations")
      labels(template["metadata"]["labels"], "\(place()).volumeClaimTemplate.metadata.labels")
      onlyLabelsAndAnnotations(template["metadata"], "\(place()).volumeClaimTemplate.metadata")
      volumeClaim(template["spec"], "\(place()).volumeClaimTemplate.spec")
    case "csi": csiSource(source, place(), isPersistent: owner.isPersistent)
    case "gcePersistentDisk", "awsElasticBlockStore":
      if let partition = source["partition"].integer, !(0...255).contains(partition) {
        invalid("\(place()).partition", source["partition"], Self.rangeMessage(1...255))
      }
    default: networkSource(name, source, place(), owner)
    }
  }

  /// Metadata of what is made later: all else is given to it then.
  private mutating func onlyLabelsAndAnnotations(_ metadata: JSONValue, _ place: @autoclosure Path) {
    let others = [
      "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
      "deletionTimestamp", "deletionGracePeriodSeconds", "ownerReferences", "finalizers", "managedFields",
    ]
    for name in others where !metadata[name].isEmptyValue { forbidden("\(place()).\(name)", "cannot be set") }
  }

  /// The name of a driver of the Container Storage Interface.
  mutating func driverName(_ name: JSONValue, _ place: @autoclosure Path) {
    if name.isEmptyValue { required(place()) }
    if name.text.utf8.count > 63 { report(.tooLong(place(), maximumBytes: 63)) }
    for message in Validate.dns1123Subdomain(name.text.lowercased()) { invalid(place(), .string(name.text), message) }
  }

  private mutating func mode(_ mode: JSONValue, _ place: @autoclosure Path) {
    if let bits = mode.integer, !(0...0o777).contains(bits) {
      invalid(place(), mode, "must be a number between 0 and 0777 (octal), both inclusive")
    }
  }

  private mutating func modeAndItems(_ source: JSONValue, _ place: @autoclosure Path) {
    mode(source["defaultMode"], "\(place()).defaultMode")
    for (index, item) in source["items"].elements.enumerated() { keyToPath(item, "\(place()).items[\(index)]") }
  }

  private mutating func keyToPath(_ item: JSONValue, _ place: @autoclosure Path) {
    if item["key"].isEmptyValue { required("\(place()).key") }
    if item["path"].isEmptyValue { required("\(place()).path") }
    localPath(item["path"], "\(place()).path")
    mode(item["mode"], "\(place()).mode")
  }

  /// `place` is the volume's, whichever of its files this is: so the reference tells it.
  private mutating func downwardFile(_ file: JSONValue, _ place: @autoclosure Path) {
    if file["path"].isEmptyValue { required("\(place()).path") }
    localPath(file["path"], "\(place()).path")
    if !file["fieldRef"].isNull {
      fieldReference(file["fieldRef"], "\(place()).fieldRef", Self.volumeFieldPaths)
      if !file["resourceFieldRef"].isNull {
        invalid(place(), "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
      }
    } else if !file["resourceFieldRef"].isNull {
      resourceReference(file["resourceFieldRef"], "\(place()).resourceFieldRef", isVolume: true)
    } else {
      required(place(), "one of fieldRef and resourceFieldRef is required")
    }
    mode(file["mode"], "\(place()).mode")
  }

  private mutating func projections(_ source: JSONValue, _ place: @autoclosure Path) {
    mode(source["defaultMode"], "\(place()).defaultMode")
    var paths: Set<String> = []
    for (index, projection) in source["sources"].elements.enumerated() {
      func own() -> String { "\(place()).sources[\(index)]" }
      for name in ["secret", "configMap"] where !projection[name].isNull {
        if projection[name]["name"].isEmptyValue { required("\(own()).\(name).name") }
        for (number, item) in projection[name]["items"].elements.enumerated() {
          keyToPath(item, "\(own()).\(name).items[\(number)]")
          uniquePath(item["path"], place(), projection[name]["name"], &paths)
        }
      }
      for file in projection["downwardAPI"]["items"].elements {
        downwardFile(file, "\(own()).downwardAPI")
        uniquePath(file["path"], place(), file["path"], &paths)
      }
      if !projection["serviceAccountToken"].isNull {
        tokenProjection(projection["serviceAccountToken"], own(), place())
      }
      let kinds = ["secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle"]
      if kinds.count(where: { !projection[$0].isNull }) > 1 {
        forbidden(own(), "may not specify more than 1 volume type per source")
      }
    }
  }

  private mutating func uniquePath(
    _ path: JSONValue, _ place: @autoclosure Path, _ shown: JSONValue, _ paths: inout Set<String>
  ) {
    guard !path.isEmptyValue, !paths.insert(path.text).inserted else { return }
    invalid(place(), shown, "conflicting duplicate paths")
  }

  private mutating func tokenProjection(_ token: JSONValue, _ own: @autoclosure Path, _ place: @autoclosure Path) {
    let seconds = token["expirationSeconds"].integer ?? 0
    func field() -> String { "\(own()).serviceAccountToken.expirationSeconds" }
    if seconds < 600 { invalid(field(), .integer(seconds), "may not specify a duration less than 10 minutes") }
    if seconds > 1 << 32 {
      invalid(field(), .integer(seconds), "may not specify a duration larger than 2^32 seconds")
    }
    if token["path"].isEmptyValue { required("\(place()).path") } else { localPath(token["path"], "\(place()).path") }
  }

  static let accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]

  mutating func accessModes(_ modes: JSONValue, _ place: @autoclosure Path) {
    for mode in modes.elements where !Self.accessModes.contains(mode.text) {
      notSupported(place(), mode, Self.accessModes)
    }
    let known = modes.elements.filter { Self.accessModes.contains($0.text) }
    if known.contains("ReadWriteOncePod"), known.contains(where: { $0 != "ReadWriteOncePod" }) {
      forbidden(place(), "may not use ReadWriteOncePod with other access modes")
    }
  }

  /// The spec of a persistent volume claim.
  mutating func volumeClaim(_ spec: JSONValue, _ place: @autoclosure Path) {
    if spec["accessModes"].isEmptyValue { required("\(place()).accessModes", "at least 1 access mode is required") }
    if !spec["selector"].isNull { labelSelector(spec["selector"], "\(place()).selector") }
    accessModes(spec["accessModes"], "\(place()).accessModes")
    let storage = spec["resources"]["requests"]["storage"]
    if storage.isNull {
      required("\(place()).resources[storage]")
    } else if let quantity = Quantity(storage.text), quantity.isZero || quantity.isNegative {
      invalid("\(place()).resources[storage]", .string(quantity.description), "must be greater than zero")
    }
    if let name = spec["storageClassName"].string, !name.isEmpty {
      text(.string(name), "\(place()).storageClassName") { Validate.nameIsDNSSubdomain($0) }
    }
    if !spec["volumeMode"].isNull { choice(spec["volumeMode"], "\(place()).volumeMode", ["Block", "Filesystem"]) }
    for name in ["dataSource", "dataSourceRef"] where !spec[name].isNull {
      dataSource(spec[name], "\(place()).\(name)")
    }
    let (source, reference) = (spec["dataSource"], spec["dataSourceRef"])
    if !source.isNull, !reference.isNull,
      ["apiGroup", "kind", "name"].contains(where: { source[$0] != reference[$0] })
    {
      invalid(place(), .string("\(place()).dataSource"), "must match dataSourceRef")
    }
  }

  private mutating func dataSource(_ source: JSONValue, _ place: @autoclosure Path) {
    for name in ["name", "kind"] where source[name].isEmptyValue { required("\(place()).\(name)") }
    if source["apiGroup"].isEmptyValue {
      if source["kind"] != "PersistentVolumeClaim" {
        invalid(
          place(), .string(source["kind"].text),
          "must be 'PersistentVolumeClaim' when referencing the default apiGroup")
      }
    } else {
      text(source["apiGroup"], "\(place()).apiGroup", Validate.dns1123Subdomain)
    }
  }
}
