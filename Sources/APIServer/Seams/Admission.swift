// The seam of admission: plugins that change a write, then plugins that may refuse it (spec/2 §2.8, in its order).
import JSON
import Replica
import Schema
import World

public enum AdmissionOperation: String, Sendable, CaseIterable {
  case create = "CREATE"
  case update = "UPDATE"
  case delete = "DELETE"
  case connect = "CONNECT"
}

/// One write on its way through admission.
public struct AdmissionRequest: Sendable {
  public let operation: AdmissionOperation
  public let descriptor: KindDescriptor
  /// "" for the object itself, else "status", "scale", "binding", "eviction", "token", "exec", …
  public let subresource: String
  public let namespace: String
  /// Empty while a generated name is still to be made.
  public let name: String
  public let user: RequestUser
  public let isDryRun: Bool
  /// CreateOptions, UpdateOptions, PatchOptions or DeleteOptions; for connect the query's members.
  public let options: JSONValue
  public let now: WallTime
  /// The new object, in the version of the request; `.null` when deleting. For a subresource with a body of its own
  /// (Binding, Eviction, Scale, TokenRequest), that body.
  public var object: JSONValue
  /// The object as stored, in the version of the request; `.null` when creating.
  public let oldObject: JSONValue
  /// Texts for Warning headers; plugins append.
  public var warnings: [String] = []
  /// What the plugins that were asked first found: must still hold when the write is applied.
  public internal(set) var preconditions: [Precondition] = []

  public init(
    operation: AdmissionOperation, descriptor: KindDescriptor, subresource: String = "", namespace: String,
    name: String, user: RequestUser, isDryRun: Bool = false, options: JSONValue = .null, now: WallTime,
    object: JSONValue, oldObject: JSONValue = .null
  ) {
    self.operation = operation
    self.descriptor = descriptor
    self.subresource = subresource
    self.namespace = namespace
    self.name = name
    self.user = user
    self.isDryRun = isDryRun
    self.options = options
    self.now = now
    self.object = object
    self.oldObject = oldObject
  }

  public var resource: GroupResource { descriptor.groupResource }
  public var kind: GroupVersionKind { descriptor.kind }

  /// `pods "x" is forbidden: why`: what a plugin throws to refuse.
  public func forbidden(_ why: String) -> APIStatus { .forbidden(resource, name, why) }
}

/// What a validating plugin adds to the write's command: conditions that must still hold when the write is applied, and
/// other objects that change with it (a quota's usage), all or nothing. When a condition does not hold the whole write
/// is tried again from the mutating plugins on.
public struct AdmissionVerdict: Sendable {
  public var preconditions: [Precondition] = []
  public var mutations: [Mutation] = []
  public var warnings: [String] = []
  public init(preconditions: [Precondition] = [], mutations: [Mutation] = [], warnings: [String] = []) {
    self.preconditions = preconditions
    self.mutations = mutations
    self.warnings = warnings
  }
  public static let allowed = AdmissionVerdict()
}

/// Changes `request.object`, or refuses by throwing.
public protocol MutatingAdmission: Sendable {
  /// "ServiceAccount", "LimitRanger": the plugin's name in the reference.
  var name: String { get }
  /// Cheap test made before anything else is.
  func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool
  func admit(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus)
}

/// Refuses by throwing; changes nothing.
public protocol ValidatingAdmission: Sendable {
  var name: String { get }
  func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool
  func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict
}

/// Refuses before anything is changed: whatever else is wrong with the write, this is what is said of it.
public protocol PrecedingAdmission: ValidatingAdmission {
  /// Conditions that must still hold when the write is applied.
  func precede(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> [Precondition]
}

/// Plugins in the order they are asked.
public struct Admission: Sendable {
  public let mutating: [any MutatingAdmission]
  public let validating: [any ValidatingAdmission]
  private let preceding: [any PrecedingAdmission]
  /// Asked after `mutating`; when they change the object, `mutating` is asked once more.
  public var webhooks: MutatingWebhooks?
  public init(
    mutating: [any MutatingAdmission] = [], validating: [any ValidatingAdmission] = [],
    webhooks: MutatingWebhooks? = nil
  ) {
    self.webhooks = webhooks
    self.mutating = mutating
    self.validating = validating
    preceding = validating.compactMap { $0 as? any PrecedingAdmission }
  }

  /// Whether a webhook changed the object.
  @discardableResult
  func mutate(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> Bool {
    for plugin in preceding
    where plugin.handles(request.operation, request.resource, subresource: request.subresource) {
      request.preconditions += try await plugin.precede(request, objects: objects)
    }
    try await runPlugins(&request, objects)
    guard let webhooks else { return false }
    let round = try await webhooks.firstRound(&request, objects)
    guard round.hasChanged else { return false }
    try await runPlugins(&request, objects)
    try await webhooks.secondRound(round, &request, objects)
    return true
  }

  /// `mutate`, for writes whose managedFields stand in the object already: what makes no sense of them is undone, and told.
  func mutateKeepingOwners(_ request: inout AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) {
    let owners = request.object["metadata"]["managedFields"]
    guard try await mutate(&request, objects: objects),
      let problem = ManagedFieldsUpdater.problem(of: request.object["metadata"]["managedFields"])
    else { return }
    request.object["metadata"]["managedFields"] = owners
    request.warnings.append(
      ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating "
        + "admission controller; please fix your requests: \(problem)")
  }

  private func runPlugins(_ request: inout AdmissionRequest, _ objects: ObjectLookup) async throws(APIStatus) {
    for plugin in mutating
    where plugin.handles(request.operation, request.resource, subresource: request.subresource) {
      try await plugin.admit(&request, objects: objects)
    }
  }

  func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    var all = AdmissionVerdict(preconditions: request.preconditions)
    for plugin in validating
    where plugin.handles(request.operation, request.resource, subresource: request.subresource) {
      let verdict = try await plugin.validate(request, objects: objects)
      all.preconditions += verdict.preconditions
      all.mutations += verdict.mutations
      all.warnings += verdict.warnings
    }
    return all
  }
}

/// Other objects, as plugins see them: one consistent state, and a fresh one on demand.
public struct ObjectLookup: Sendable {
  public let state: any StateView
  private let store: any ObjectStore

  public init(state: any StateView, store: any ObjectStore) {
    self.state = state
    self.store = store
  }

  /// A lookup that sees everything committed anywhere before this call: before refusing because something is missing.
  public func fresh() async throws(APIStatus) -> ObjectLookup {
    do { return ObjectLookup(state: try await store.linearizableState(), store: store) } catch {
      throw APIStatus(storeError: error)
    }
  }

  public func stored(_ resource: GroupResource, namespace: String = "", name: String) -> StoredObject? {
    state.object(ObjectKey(resource: resource.description, namespace: namespace, name: name))
  }
  public func stored(_ resource: GroupResource, namespace: String = "") -> [StoredObject] {
    state.objects(resource: resource.description, namespace: namespace, after: nil, limit: 0).objects
  }
  /// The object as a tree, nil when it does not exist.
  public func object(_ resource: GroupResource, namespace: String = "", name: String) -> JSONValue? {
    stored(resource, namespace: namespace, name: name)?.tree
  }
  /// Every object of the resource (in the namespace, where given) as trees.
  public func objects(_ resource: GroupResource, namespace: String = "") -> [JSONValue] {
    stored(resource, namespace: namespace).map(\.tree)
  }
}
