// What the reference's documents say beside what a structure is described by: extensions that nothing here goes by, and the
// documents of discovery, which are no kinds.
import JSON

enum OpenAPIFacts {
  static let meta = "io.k8s.apimachinery.pkg.apis.meta.v1."

  /// Types that are texts or numbers in JSON.
  static let texts = [".Quantity", ".Time", ".MicroTime", ".Duration", ".IntOrString", ".JSON", ".RawExtension"]

  /// The members whose default the reference's documents name; all others are known to its code alone.
  static let defaults: Set<String> = [
    "core.v1.AzureDiskVolumeSource.cachingMode", "core.v1.AzureDiskVolumeSource.fsType",
    "core.v1.AzureDiskVolumeSource.kind", "core.v1.AzureDiskVolumeSource.readOnly", "core.v1.ContainerPort.protocol",
    "core.v1.GRPCAction.service", "core.v1.ISCSIPersistentVolumeSource.iscsiInterface",
    "core.v1.ISCSIVolumeSource.iscsiInterface", "core.v1.RBDPersistentVolumeSource.keyring",
    "core.v1.RBDPersistentVolumeSource.pool", "core.v1.RBDPersistentVolumeSource.user",
    "core.v1.RBDVolumeSource.keyring", "core.v1.RBDVolumeSource.pool", "core.v1.RBDVolumeSource.user",
    "core.v1.ScaleIOPersistentVolumeSource.fsType", "core.v1.ScaleIOPersistentVolumeSource.storageMode",
    "core.v1.ScaleIOVolumeSource.fsType", "core.v1.ScaleIOVolumeSource.storageMode", "core.v1.ServicePort.protocol",
  ]

  private static let bytes: JSONObject = ["x-kubernetes-list-type": "atomic"]
  private static func union(_ discriminator: String, _ fields: JSONValue) -> JSONObject {
    [
      "x-kubernetes-unions": [["discriminator": .string(discriminator), "fields-to-discriminateBy": fields]]
    ]
  }

  /// By structure, or structure and member.
  static let extensions: [String: JSONObject] = [
    "apiregistration.v1.APIServiceSpec.caBundle": bytes,
    "certificates.v1.CertificateSigningRequestSpec.request": bytes,
    "certificates.v1.CertificateSigningRequestStatus.certificate": bytes,
    "core.v1.AppArmorProfile": union("type", ["localhostProfile": "LocalhostProfile"]),
    "core.v1.PersistentVolumeClaimStatus.allocatedResourceStatuses": ["x-kubernetes-map-type": "granular"],
    "core.v1.PersistentVolumeSpec.claimRef": ["x-kubernetes-map-type": "granular"],
    "core.v1.SeccompProfile": union("type", ["localhostProfile": "LocalhostProfile"]),
    "flowcontrol.v1.LimitResponse": union("type", ["queuing": "Queuing"]),
    "flowcontrol.v1.PriorityLevelConfigurationSpec": union("type", ["exempt": "Exempt", "limited": "Limited"]),
    "flowcontrol.v1.Subject": union(
      "kind", ["group": "Group", "serviceAccount": "ServiceAccount", "user": "User"]),
    "meta.v1.Status.details": bytes,
  ]

  static func isFieldSet(_ place: String) -> Bool { place == "meta.v1.ManagedFieldsEntry.fieldsV1" }
  static let fieldSet: JSONObject = ["description": "A set of fields, as a tree of their names.", "type": "object"]

  // MARK: Discovery

  private static func text(_ description: String, isRequired: Bool = false) -> JSONValue {
    var result: JSONValue = ["description": .string(description), "type": "string"]
    if isRequired { result["default"] = "" }
    return result
  }
  private static func list(_ description: String, of items: JSONValue) -> JSONValue {
    ["description": .string(description), "type": "array", "items": items, "x-kubernetes-list-type": "atomic"]
  }
  private static func element(_ kind: String) -> JSONValue {
    ["default": [:], "allOf": [["$ref": .string("#/components/schemas/\(meta)\(kind)")]]]
  }
  private static let word: JSONValue = ["default": "", "type": "string"]

  private static func schema(
    _ description: String, required: [JSONValue], isKind: String? = nil, _ properties: JSONValue
  ) -> JSONObject {
    var members = properties
    var result: JSONObject = ["description": .string(description), "type": "object", "required": .array(required)]
    if let isKind {
      members["apiVersion"] = text("Group and version of the document.")
      members["kind"] = text("What the document is.")
      result[OpenAPIName.kindExtension] = [["group": "", "kind": .string(isKind), "version": "v1"]]
    }
    result["properties"] = members
    return result
  }

  /// The schema of a document and those it refers to, by name.
  static func discovery(_ kind: String) -> [(String, JSONObject)] {
    let needed: [String] =
      switch kind {
      case "APIResourceList": [kind, "APIResource"]
      case "APIGroupList": [kind, "APIGroup", "GroupVersionForDiscovery", "ServerAddressByClientCIDR"]
      case "APIGroup": [kind, "GroupVersionForDiscovery", "ServerAddressByClientCIDR"]
      default: [kind, "ServerAddressByClientCIDR"]
      }
    return needed.compactMap { name in discoverySchemas[name].map { (meta + name, $0) } }
  }

  private static let discoverySchemas: [String: JSONObject] = [
    "APIGroup": schema(
      "A group and its versions.", required: ["name", "versions"], isKind: "APIGroup",
      [
        "name": text("The group's name.", isRequired: true),
        "preferredVersion": [
          "description": "The version to use when any will do.", "default": [:],
          "allOf": [["$ref": .string("#/components/schemas/\(meta)GroupVersionForDiscovery")]],
        ],
        "serverAddressByClientCIDRs": list("Where to find the server.", of: element("ServerAddressByClientCIDR")),
        "versions": list("The versions that are served.", of: element("GroupVersionForDiscovery")),
      ]),
    "APIGroupList": schema(
      "The groups of a server.", required: ["groups"], isKind: "APIGroupList",
      ["groups": list("The groups.", of: element("APIGroup"))]),
    "APIResource": schema(
      "A resource of a group version.", required: ["name", "singularName", "namespaced", "kind", "verbs"],
      [
        "categories": list("The groups of resources it is listed with.", of: word),
        "group": text("The group of its kind, where it is another."),
        "kind": text("The kind of its objects.", isRequired: true),
        "name": text("Its name in paths, in the plural.", isRequired: true),
        "namespaced": ["description": "Its objects are in namespaces.", "default": false, "type": "boolean"],
        "shortNames": list("Shorter names for people.", of: word),
        "singularName": text("Its name in the singular.", isRequired: true),
        "storageVersionHash": text("Tells one version of storage from another."),
        "verbs": ["description": "What can be done with it.", "type": "array", "items": word],
        "version": text("The version of its kind, where it is another."),
      ]),
    "APIResourceList": schema(
      "The resources of a group version.", required: ["groupVersion", "resources"], isKind: "APIResourceList",
      [
        "groupVersion": text("The group and version.", isRequired: true),
        "resources": list("The resources.", of: element("APIResource")),
      ]),
    "APIVersions": schema(
      "The versions of the core group.", required: ["versions", "serverAddressByClientCIDRs"], isKind: "APIVersions",
      [
        "serverAddressByClientCIDRs": list("Where to find the server.", of: element("ServerAddressByClientCIDR")),
        "versions": list("The versions that are served.", of: word),
      ]),
    "GroupVersionForDiscovery": schema(
      "A version of a group.", required: ["groupVersion", "version"],
      [
        "groupVersion": text("The group and version.", isRequired: true),
        "version": text("The version alone.", isRequired: true),
      ]),
    "ServerAddressByClientCIDR": schema(
      "An address of the server for clients of a network.", required: ["clientCIDR", "serverAddress"],
      [
        "clientCIDR": text("The network of the clients.", isRequired: true),
        "serverAddress": text("The address for them.", isRequired: true),
      ]),
  ]

  /// What /version says.
  static let versionName = "io.k8s.apimachinery.pkg.version.Info"
  static let version = schema(
    "What a server is.",
    required: [
      "major", "minor", "gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform",
    ],
    [
      "buildDate": text("When it was built.", isRequired: true),
      "compiler": text("What compiled it.", isRequired: true),
      "gitCommit": text("The commit it was built of.", isRequired: true),
      "gitTreeState": text("Whether anything was changed after that commit.", isRequired: true),
      "gitVersion": text("The version of the API.", isRequired: true),
      "goVersion": text("The language it was built by.", isRequired: true),
      "major": text("The version's first number.", isRequired: true),
      "minor": text("The version's second number.", isRequired: true),
      "platform": text("What it runs on.", isRequired: true),
    ])
}

extension Field {
  var isStructure: Bool {
    switch type {
    case .structure: true
    default: false
    }
  }
}

extension JSONValue {
  /// nil for null.
  var nonNull: JSONValue? { isNull ? .none : .some(self) }
}

/// What is told of the members that every object has.
public enum KindMembers {
  public static let kind = "The kind of the object; the server may infer it from the path."
  public static let apiVersion = "Group and version of the object's schema."
  static let metadata = "Standard metadata of the object."
}
