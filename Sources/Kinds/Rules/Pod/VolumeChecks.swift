// What may be wrong with volumes of pods and the sources of persistent volumes.
import JSON
import Schema

extension Checks {
  mutating func volumes(_ volumes: JSONValue, _ path: String) {
    var names: Set<String> = []
    for (index, volume) in volumes.elements.enumerated() {
      let place = "\(path)[\(index)]"
      volumeSource(volume, place)
      requiredText(volume["name"], "\(place).name", Validate.dns1123Label)
      if let name = volume["name"].string, !name.isEmpty, !names.insert(name).inserted {
        duplicate("\(place).name", volume["name"])
      }
    }
  }

  /// The members of a volume (or persistent volume) that say where the storage comes from.
  private static let sourceMembers: (volume: [Field], persistent: [Field]) = {
    let types = TypeTable.builtIn
    return (
      types["core.v1.VolumeSource"]?.fields ?? [], types["core.v1.PersistentVolumeSource"]?.fields ?? []
    )
  }()

  private mutating func volumeSource(_ volume: JSONValue, _ place: String) {
    let given = Self.sourceMembers.volume.filter { !volume[$0.name].isNull }
    guard let source = given.first else { return required(place, "must specify a volume type") }
    for other in given.dropFirst() {
      forbidden("\(place).\(other.name)", "may not specify more than 1 volume type")
    }
    volumeSourceBody(source, volume[source.name], "\(place).\(source.name)")
  }

  mutating func persistentVolumeSource(_ spec: JSONValue, _ place: String) {
    let given = Self.sourceMembers.persistent.filter { !spec[$0.name].isNull }
    guard let source = given.first else { return required(place, "must specify a volume type") }
    for other in given.dropFirst() {
      forbidden("\(place).\(other.name)", "may not specify more than 1 volume type")
    }
    volumeSourceBody(source, spec[source.name], "\(place).\(source.name)")
  }

  private mutating func volumeSourceBody(_ field: Field, _ source: JSONValue, _ place: String) {
    if case .structure(let structure) = field.type { requiredMembers(of: structure, source, place) }
    switch field.name {
    case "secret":
      if source["secretName"].isEmptyValue { required("\(place).secretName") }
      modeAndItems(source, place)
    case "configMap":
      if source["name"].isEmptyValue { required("\(place).name") }
      modeAndItems(source, place)
    case "downwardAPI":
      mode(source["defaultMode"], "\(place).defaultMode")
      downwardItems(source["items"], "\(place).items")
    case "projected": projections(source, place)
    case "hostPath":
      backsteps(source["path"], "\(place).path")
      let types = [
        "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
      ]
      if !types.contains(source["type"].text) { notSupported("\(place).type", source["type"], types) }
    case "nfs":
      if let path = source["path"].string, !path.isEmpty, !path.hasPrefix("/") {
        invalid("\(place).path", source["path"], "must be an absolute path")
      }
    case "emptyDir":
      if let limit = source["sizeLimit"].string, let quantity = Quantity(limit), quantity.isNegative {
        forbidden("\(place).sizeLimit", "SizeLimit field must be a valid resource quantity")
      }
    case "ephemeral":
      if source["volumeClaimTemplate"].isNull {
        required("\(place).volumeClaimTemplate")
      } else {
        volumeClaim(source["volumeClaimTemplate"]["spec"], "\(place).volumeClaimTemplate.spec")
      }
    default: break
    }
  }

  /// The required texts and references of a volume source.
  private mutating func requiredMembers(of structure: Structure, _ value: JSONValue, _ place: String) {
    for member in structure.members where member.isRequired {
      switch member.type {
      case .string, .array, .structure: if value[member.name].isEmptyValue { required("\(place).\(member.name)") }
      default: break
      }
    }
  }

  private mutating func mode(_ mode: JSONValue, _ place: String) {
    if let bits = mode.integer, !(0...0o777).contains(bits) {
      invalid(place, mode, "must be a number between 0 and 0777 (octal), both inclusive")
    }
  }

  private mutating func modeAndItems(_ source: JSONValue, _ place: String) {
    mode(source["defaultMode"], "\(place).defaultMode")
    for (index, item) in source["items"].elements.enumerated() {
      let place = "\(place).items[\(index)]"
      if item["key"].isEmptyValue { required("\(place).key") }
      if item["path"].isEmptyValue {
        required("\(place).path")
      } else {
        localPath(item["path"], "\(place).path")
      }
      mode(item["mode"], "\(place).mode")
    }
  }

  private mutating func localPath(_ path: JSONValue, _ place: String) {
    if path.text.hasPrefix("/") { invalid(place, path, "must be a relative path") }
    backsteps(path, place)
    if path.text.hasPrefix(".."), !path.text.hasPrefix("../"), path != ".." {
      invalid(place, path, "must not start with '..'")
    }
  }

  private mutating func downwardItems(_ items: JSONValue, _ path: String) {
    for (index, item) in items.elements.enumerated() {
      let place = "\(path)[\(index)]"
      if item["path"].isEmptyValue { required("\(place).path") }
      localPath(item["path"], "\(place).path")
      if !item["fieldRef"].isNull {
        fieldReference(item["fieldRef"], "\(place).fieldRef", Self.volumeFieldPaths)
        if !item["resourceFieldRef"].isNull {
          invalid(place, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
        }
      } else if !item["resourceFieldRef"].isNull {
        resourceReference(item["resourceFieldRef"], "\(place).resourceFieldRef")
      } else {
        required(place, "one of fieldRef and resourceFieldRef is required")
      }
      mode(item["mode"], "\(place).mode")
    }
  }

  private mutating func projections(_ source: JSONValue, _ place: String) {
    mode(source["defaultMode"], "\(place).defaultMode")
    for (index, projection) in source["sources"].elements.enumerated() {
      let place = "\(place).sources[\(index)]"
      let names = ["secret", "downwardAPI", "configMap", "serviceAccountToken", "clusterTrustBundle"]
      let given = names.filter { !projection[$0].isNull }
      if given.isEmpty { required(place, "may not specify zero volume types") }
      for name in given.dropFirst() { forbidden("\(place).\(name)", "may not specify more than 1 volume type") }
      guard let name = given.first else { continue }
      let body = projection[name]
      switch name {
      case "secret", "configMap":
        if body["name"].isEmptyValue { required("\(place).\(name).name") }
        modeAndItems(body, "\(place).\(name)")
      case "downwardAPI": downwardItems(body["items"], "\(place).downwardAPI.items")
      case "serviceAccountToken":
        if let seconds = body["expirationSeconds"].integer {
          if seconds < 600 {
            invalid(
              "\(place).serviceAccountToken.expirationSeconds", .integer(seconds),
              "may not specify a duration less than 10 minutes")
          } else if seconds > 1 << 32 {
            invalid(
              "\(place).serviceAccountToken.expirationSeconds", .integer(seconds),
              "may not specify a duration larger than 2^32 seconds")
          }
        }
        if body["path"].isEmptyValue {
          required("\(place).serviceAccountToken.path")
        } else {
          localPath(body["path"], "\(place).serviceAccountToken.path")
        }
      default: if body["path"].isEmptyValue { required("\(place).\(name).path") }
      }
    }
  }

  static let accessModes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"]

  mutating func accessModes(_ modes: JSONValue, _ place: String) {
    if modes.elements.isEmpty { required(place, "at least 1 access mode is required") }
    for mode in modes.elements where !Self.accessModes.contains(mode.text) {
      notSupported(place, mode, Self.accessModes)
    }
    if modes.elements.count > 1, modes.elements.contains("ReadWriteOncePod") {
      forbidden(place, "may not use ReadWriteOncePod with other access modes")
    }
  }

  /// The spec of a persistent volume claim.
  mutating func volumeClaim(_ spec: JSONValue, _ place: String) {
    accessModes(spec["accessModes"], "\(place).accessModes")
    if !spec["selector"].isNull { labelSelector(spec["selector"], "\(place).selector") }
    let storage = spec["resources"]["requests"]["storage"]
    if storage.isNull {
      required("\(place).resources[storage]")
    } else {
      resourceQuantity("storage", storage, "\(place).resources[storage]")
      if let quantity = Quantity(storage.text), quantity.isZero {
        invalid("\(place).resources[storage]", storage, "must be greater than zero")
      }
    }
    if let name = spec["storageClassName"].string, !name.isEmpty {
      text(.string(name), "\(place).storageClassName") { Validate.nameIsDNSSubdomain($0) }
    }
    oneOf(spec["volumeMode"], "\(place).volumeMode", ["Block", "Filesystem"], orAbsent: true)
    for name in ["dataSource", "dataSourceRef"] where !spec[name].isNull {
      if spec[name]["name"].isEmptyValue { required("\(place).\(name).name") }
      if spec[name]["kind"].isEmptyValue { required("\(place).\(name).kind") }
    }
  }
}
