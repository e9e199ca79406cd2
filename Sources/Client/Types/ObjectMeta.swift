// The metadata of an object as control loops read it.
import JSON
import Schema
import World

/// "namespace/name", or the name alone for cluster scope: what work queues hold.
public struct NamespacedName: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var namespace: String
  public var name: String
  public init(namespace: String = "", name: String) {
    self.namespace = namespace
    self.name = name
  }
  public static func < (left: Self, right: Self) -> Bool {
    (left.namespace, left.name) < (right.namespace, right.name)
  }
  public var description: String { namespace.isEmpty ? name : "\(namespace)/\(name)" }
}

public struct OwnerReference: Hashable, Sendable {
  public var apiVersion: String
  public var kind: String
  public var name: String
  public var uid: String
  public var controller: Bool
  public var blockOwnerDeletion: Bool

  public init(
    apiVersion: String, kind: String, name: String, uid: String, controller: Bool = true,
    blockOwnerDeletion: Bool = true
  ) {
    self.apiVersion = apiVersion
    self.kind = kind
    self.name = name
    self.uid = uid
    self.controller = controller
    self.blockOwnerDeletion = blockOwnerDeletion
  }

  public init(json: some JSONReadable) {
    apiVersion = json["apiVersion"].string ?? ""
    kind = json["kind"].string ?? ""
    name = json["name"].string ?? ""
    uid = json["uid"].string ?? ""
    controller = json["controller"].bool ?? false
    blockOwnerDeletion = json["blockOwnerDeletion"].bool ?? false
  }

  /// The API group of the owner's kind.
  public var group: String { ResourceReference.group(ofAPIVersion: apiVersion) }

  public var json: JSONValue {
    var value: JSONValue = [
      "apiVersion": .string(apiVersion), "kind": .string(kind), "name": .string(name), "uid": .string(uid),
    ]
    if controller { value["controller"] = true }
    if blockOwnerDeletion { value["blockOwnerDeletion"] = true }
    return value
  }
}

public struct ObjectMeta: Hashable, Sendable {
  public var name: String
  public var namespace: String
  public var uid: String
  public var resourceVersion: String
  public var generation: Int64
  public var creationTimestamp: WallTime?
  public var deletionTimestamp: WallTime?
  public var deletionGracePeriodSeconds: Int64?
  public var labels: [String: String]
  public var annotations: [String: String]
  public var ownerReferences: [OwnerReference]
  public var finalizers: [String]

  public init(json: some JSONReadable) {
    name = json["name"].string ?? ""
    namespace = json["namespace"].string ?? ""
    uid = json["uid"].string ?? ""
    resourceVersion = json["resourceVersion"].string ?? ""
    generation = json["generation"].integer ?? 0
    creationTimestamp = json["creationTimestamp"].time
    deletionTimestamp = json["deletionTimestamp"].time
    deletionGracePeriodSeconds = json["deletionGracePeriodSeconds"].integer
    labels = json["labels"].stringMap
    annotations = json["annotations"].stringMap
    ownerReferences = json["ownerReferences"].elements.map(OwnerReference.init(json:))
    finalizers = json["finalizers"].elements.compactMap { $0.string }
  }

  /// The one owner that manages this object.
  public var controller: OwnerReference? { ownerReferences.first { $0.controller } }
  public var key: NamespacedName { NamespacedName(namespace: namespace, name: name) }
  public var isBeingDeleted: Bool { deletionTimestamp != nil }
}

extension JSONReadable {
  /// `meta.Time` or `meta.MicroTime`; nil for null and anything else.
  public var time: WallTime? { string.flatMap(WallTime.init(rfc3339:)) }
}

/// What an informer must know of an object to keep it; whoever follows many keeps little more.
public protocol InformedObject: Sendable {
  var key: NamespacedName { get }
  var uid: String { get }
  var resourceVersion: String { get }
}

/// Anything with metadata that can be read from JSON: what most informers keep.
public protocol ObjectWithMetadata: InformedObject {
  var metadata: ObjectMeta { get }
  init(json: JSONValue)
  /// The object as an informer meets it. Kinds that change often read what they keep as it lies there; others make a
  /// tree first.
  static func read(_ json: JSONTape.Cursor) -> Self
}

extension ObjectWithMetadata {
  public var key: NamespacedName { metadata.key }
  public var uid: String { metadata.uid }
  public var resourceVersion: String { metadata.resourceVersion }
  public var name: String { metadata.name }
  public var namespace: String { metadata.namespace }
}

/// Metadata alone: what a loop that handles every kind reads (PartialObjectMetadata).
public struct MetadataObject: ObjectWithMetadata {
  public var metadata: ObjectMeta
  public init(json: some JSONReadable) { metadata = ObjectMeta(json: json["metadata"]) }
  public static func read(_ json: JSONTape.Cursor) -> Self { Self(json: json) }

  public static let accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
  public static let listAccept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
}

/// An object as a control loop sees it: typed where the loop looks, never the whole. Loops write through patches, so
/// that a field they do not know is never lost.
public protocol APIObject: ObjectWithMetadata {
  static var reference: ResourceReference { get }
}

extension APIObject {
  /// Who set which field is half of an object's bytes, often, and nothing that a loop looks at. What kind it is of, items
  /// of a list leave to their list to say.
  public static func read(_ json: JSONTape.Cursor) -> Self {
    var tree: JSONValue = [:]
    json.forEachMember { name, member in
      guard name == "metadata" else { return tree[name] = member.value }
      member.forEachMember { if $0 != "managedFields" { tree[name][$0] = $1.value } }
    }
    if tree["kind"].isNull {
      tree["kind"] = .string(reference.kind)
      tree["apiVersion"] = .string(reference.apiVersion)
    }
    return Self(json: tree)
  }

  /// A reference that makes this object the controlling owner of another.
  public var controllerReference: OwnerReference {
    OwnerReference(
      apiVersion: Self.reference.apiVersion, kind: Self.reference.kind, name: metadata.name, uid: metadata.uid)
  }
}

/// An owner that knows its objects by a selector.
public protocol SelectingOwner: APIObject {
  var selector: LabelSelector { get }
}
