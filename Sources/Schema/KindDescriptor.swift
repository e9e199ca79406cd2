// A kind as data: names, scope, verbs, columns, selectors, and the small named rules a schema cannot say.
import JSON

public struct GroupVersionKind: Hashable, Sendable, CustomStringConvertible {
  public var group: String
  public var version: String
  public var kind: String
  public init(group: String, version: String, kind: String) {
    self.group = group
    self.version = version
    self.kind = kind
  }
  /// "v1", "apps/v1".
  public var apiVersion: String { group.isEmpty ? version : "\(group)/\(version)" }
  public var description: String { "\(apiVersion), Kind=\(kind)" }
}

/// A plural resource name in its group: the identity that RBAC, storage keys and errors use.
public struct GroupResource: Hashable, Sendable, CustomStringConvertible {
  public var group: String
  public var resource: String
  public init(group: String, resource: String) {
    self.group = group
    self.resource = resource
  }
  /// "pods", "deployments.apps": as error messages write it.
  public var description: String { group.isEmpty ? resource : "\(resource).\(group)" }
}

public enum Verb: String, Sendable, CaseIterable {
  case create, delete, deletecollection, get, list, patch, update, watch
}

/// A subresource as discovery lists it.
public struct Subresource: Sendable {
  public var name: String
  /// Kind of the body: autoscaling/v1 Scale for scale, the parent's own for status.
  public var kind: GroupVersionKind
  public var verbs: [Verb]
  public init(name: String, kind: GroupVersionKind, verbs: [Verb]) {
    self.name = name
    self.kind = kind
    self.verbs = verbs
  }
}

/// A column of the server's tables (spec/3 §3.3).
public struct TableColumn: Sendable {
  public var name: String
  /// "string", "integer", "number", "boolean", "date".
  public var type: String
  public var format: String
  public var description: String
  /// 0: always shown; 1: only with -o wide.
  public var priority: Int
  public init(_ name: String, type: String = "string", format: String = "", description: String = "", priority: Int = 0)
  {
    self.name = name
    self.type = type
    self.format = format
    self.description = description
    self.priority = priority
  }
}

/// What a kind does beside its schema; the strategy matrix of spec/3 §3.4.
public struct KindTraits: Sendable {
  public var createsOnUpdate = false
  public var requiresResourceVersionOnUpdate = false
  public var tracksGeneration = false
  public var deleteReturnsObject = false
  /// What DELETE does when the client says nothing.
  public var orphansByDefault = false
  public var hasStatus = false
  /// Pods: deletion waits for the kubelet.
  public var deletesGracefully = false
  /// Events: no owner references, no garbage collection.
  public var isGarbageCollected = true
  public init() {}
}

/// Who asks, for rules that depend on it.
public struct RequestUser: Sendable, Hashable {
  public var name: String
  public var uid: String
  public var groups: [String]
  public var extra: [String: [String]]
  public init(name: String, uid: String = "", groups: [String] = [], extra: [String: [String]] = [:]) {
    self.name = name
    self.uid = uid
    self.groups = groups
    self.extra = extra
  }
}

/// What rules may know of the request beside the object.
public struct RuleContext: Sendable {
  public var user: RequestUser
  /// The wall clock, RFC 3339 seconds: `meta.Time` of anything the server stamps.
  public var now: String
  /// "" for the object itself, else "status", "scale", …
  public var subresource: String
  public init(user: RequestUser, now: String, subresource: String = "") {
    self.user = user
    self.now = now
    self.subresource = subresource
  }
}

/// What is special about a kind and a schema cannot say. Pure functions of trees: no clock, no store. Objects reach
/// them pruned and typed by the schema; defaults of the schema are filled in before `applyDefaults`.
public protocol KindRules: Sendable {
  /// Defaults that depend on other fields (spec/3 §3.7).
  func applyDefaults(to object: inout JSONValue)
  /// Drops what clients may not set and sets what the server owns. Status was dropped and metadata filled already.
  func prepareForCreate(_ object: inout JSONValue, context: RuleContext)
  /// Carries over what clients may not change. Status was copied from `old` and metadata kept already.
  func prepareForUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext)
  /// Paths beside the spec that nobody comes to own by writing the status, which leaves them as they are.
  var keptByStatus: [[String]] { get }
  /// Restores, on PUT or PATCH of status, what that may not change. Everything but status and metadata is `old`'s
  /// already.
  func prepareForStatusUpdate(_ object: inout JSONValue, old: JSONValue, context: RuleContext)
  /// Everything wrong with a new object beside metadata and what the schema finds (types, required members).
  func validate(_ object: JSONValue) -> [FieldError]
  /// Everything wrong with a new object beside `validate` that would be fine in an object that exists already.
  func validateCreate(_ object: JSONValue) -> [FieldError]
  /// Everything wrong with the new state of an object that exists: `validate`, unless the kind forgives what the old
  /// state did wrong already, or looks twice (the reference then tells of every mistake twice, and so do we).
  func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError]
  /// Everything wrong with an update beside `validate(_:replacing:)`: immutable fields and transitions.
  func validateUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError]
  func validateStatusUpdate(_ object: JSONValue, old: JSONValue) -> [FieldError]
  /// Everything wrong with a change through `approval`.
  func validateApproval(_ object: JSONValue, old: JSONValue) -> [FieldError]
  /// Warning headers for an object that is legal but unwise. `old`: what it replaces; null for a new one.
  func warnings(for object: JSONValue, replacing old: JSONValue) -> [String]
  /// The name's own rule (spec/3 §2.7); nil when it is fine, else what is wrong.
  func validateName(_ name: String, isGeneratePrefix: Bool) -> String?
  /// One cell per column of the kind; `now`, in Unix seconds, for ages.
  func tableCells(_ object: JSONValue, now: Int64) -> [JSONValue]
  /// What rows of a list are ordered by, before their names; nil: as they come.
  func tableRank(_ object: JSONValue) -> Int64?
  /// The part of the object whose change bumps generation; spec by default.
  func generationChanged(_ object: JSONValue, old: JSONValue) -> Bool
}

/// A resource of one API version: everything the request path, discovery and OpenAPI need to know. Shared by all requests.
public final class KindDescriptor: Sendable {
  public let kind: GroupVersionKind
  /// Plural, lower case: "deployments".
  public let resource: String
  public let singular: String
  public let shortNames: [String]
  public let categories: [String]
  public let isNamespaced: Bool
  public let verbs: [Verb]
  public let subresources: [Subresource]
  public let structure: Structure
  public let traits: KindTraits
  public let rules: any KindRules
  public let columns: [TableColumn]
  /// Field selectors beside metadata.name and metadata.namespace: label → path in the object (spec/3 §3.5).
  public let selectableFields: [(label: String, path: [String])]
  /// Of a kind that a CustomResourceDefinition made; nil for built-in kinds.
  public let custom: CustomKind?
  /// The version objects are stored in, where it is not this one (HPA v1, events.k8s.io Event).
  public let storage: GroupVersionKind
  public let groupResource: GroupResource
  /// The resource under which objects are stored, whatever version a request speaks, as keys have it.
  public let storageResource: String

  public init(
    kind: GroupVersionKind, resource: String, singular: String, shortNames: [String] = [], categories: [String] = [],
    isNamespaced: Bool, verbs: [Verb] = Verb.allCases, subresources: [Subresource] = [], structure: Structure,
    traits: KindTraits = KindTraits(), rules: any KindRules, columns: [TableColumn],
    selectableFields: [(label: String, path: [String])] = [], custom: CustomKind? = nil,
    storage: GroupVersionKind? = nil
  ) {
    self.kind = kind
    self.resource = resource
    self.singular = singular
    self.shortNames = shortNames
    self.categories = categories
    self.isNamespaced = isNamespaced
    self.verbs = verbs
    self.subresources = subresources
    self.structure = structure
    self.traits = traits
    self.rules = rules
    self.columns = columns
    self.selectableFields = selectableFields
    self.custom = custom
    self.storage = storage ?? kind
    groupResource = GroupResource(group: kind.group, resource: resource)
    storageResource = GroupResource(group: self.storage.group, resource: resource).description
  }

  public var listKind: String { custom?.listKind ?? kind.kind + "List" }
  /// The verbs that discovery names. A definition that is being deleted takes changes, but does not ask for any.
  public var discoveredVerbs: [Verb] {
    custom?.isTerminating == true ? [.delete, .deletecollection, .get, .list, .watch] : verbs
  }
  public func subresource(_ name: String) -> Subresource? { subresources.first { $0.name == name } }
}

extension KindRules {
  public var keptByStatus: [[String]] { [] }
  public func validateCreate(_ object: JSONValue) -> [FieldError] { [] }
  public func tableRank(_ object: JSONValue) -> Int64? { nil }
  public func validate(_ object: JSONValue, replacing old: JSONValue) -> [FieldError] { validate(object) }
  public func validateApproval(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    validateStatusUpdate(object, old: old)
  }
}
