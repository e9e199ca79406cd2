// What is missing in a cluster, as writes: decisions only.
import JSON
import Kinds
import Replica
import Schema
import Synchronization
import World

/// One object that is to be written, with what must still hold of it.
struct BootstrapWrite: Sendable {
  var preconditions: [Precondition]
  var mutations: [Mutation]
}

struct BootstrapPlanner: Sendable {
  let registry: KindRegistry
  let options: BootstrapController.Options
  /// Who the fields of an object belong to: flow control's are made by a part of the server with a name of its own.
  private static func manager(of kind: KindDescriptor) -> String {
    kind.groupResource.group == "flowcontrol.apiserver.k8s.io"
      ? "api-priority-and-fairness-config-producer-v1" : "kube-apiserver"
  }
  private static let statusManager = "api-priority-and-fairness-config-consumer-v1"
  private static let user = RequestUser(name: "system:apiserver", groups: ["system:masters"])
  private let found = FoundWhole()

  /// One state, one moment.
  struct Context {
    let state: any StateView
    let now: WallTime
    let world: any World
  }

  func plan(
    _ state: any StateView, servers: [ServerEndpoint], now: WallTime, world: any World
  ) async throws -> [BootstrapWrite] {
    let context = Context(state: state, now: now, world: world)
    // Whatever is in a namespace comes behind it.
    var writes = keep(ClusterBootstrap.namespaces, context) { _, _ in false }
    let access = [
      RBACBootstrap.clusterRoles, RBACBootstrap.clusterRoleBindings, RBACBootstrap.roles, RBACBootstrap.roleBindings,
    ]
    for objects in access { writes += keep(objects, context, mend: RBACReconciliation.mend) }
    writes += keep(ClusterBootstrap.priorityClasses, context) { _, _ in false }
    writes += keep(ClusterBootstrap.storageClasses, context) { _, _ in false }
    let flowControl = ClusterBootstrap.priorityLevels + ClusterBootstrap.flowSchemas
    let mended = keep(flowControl, context, mend: Self.mendFlowControl)
    writes += try await withStatus(mended, context)
    writes += keep(LocalAPIService.builtIn(registry), context, mend: LocalAPIService.mend)
    writes += frontProxy(context)
    writes += configMaps(context).compactMap { ensure($0.object, context, mend: $0.mend) }
    writes += service(servers, context)
    if !servers.isEmpty { writes += endpoints(servers, context) }
    return writes
  }

  /// Changes the stored object towards the expected one; returns whether it did.
  typealias Mend = (_ stored: inout JSONValue, _ expected: JSONValue) -> Bool

  /// `ensure` for objects that are always wanted the same: one that was found to be as it shall is looked at again only
  /// when it has changed.
  private func keep(_ objects: [JSONValue], _ context: Context, mend: Mend) -> [BootstrapWrite] {
    objects.compactMap { wanted in
      let key = place(wanted).key
      let revision = context.state.object(key)?.revision
      if let revision, found.revisions.withLock({ $0[key] == revision }) { return nil }
      guard let write = ensure(wanted, context, mend: mend) else {
        found.revisions.withLock { $0[key] = revision }
        return nil
      }
      return write
    }
  }

  /// The revisions at which objects that never change were last found to be as they shall.
  private final class FoundWhole: Sendable {
    let revisions = Mutex<[ObjectKey: Revision]>([:])
  }

  /// The write that makes the object be there, and be what it shall; nil when it is.
  func ensure(_ wanted: JSONValue, _ context: Context, mend: Mend) -> BootstrapWrite? {
    let (kind, key) = place(wanted)
    guard let stored = context.state.object(key) else {
      let object = prepared(wanted, kind, context)
      return BootstrapWrite(preconditions: [.absent(key)], mutations: [.put(key, UnversionedObject(tree: object))])
    }
    var object = stored.tree
    // What is on its way out is made again when it is gone.
    guard object["metadata"]["deletionTimestamp"].isNull, mend(&object, defaulted(wanted, kind)) else { return nil }
    if kind.traits.tracksGeneration, kind.rules.generationChanged(object, old: stored.tree) {
      object["metadata"]["generation"] = .integer((object["metadata"]["generation"].integer ?? 0) + 1)
    }
    object["metadata"]["resourceVersion"] = .null
    ManagedFieldsUpdater.update(
      old: stored.tree, new: &object, structure: kind.structure, manager: Self.manager(of: kind),
      apiVersion: kind.kind.apiVersion, resetFields: ManagedFieldsUpdater.resetFields(for: kind),
      now: context.now.rfc3339)
    object = TypedDecoder.canonicalized(object, as: kind.structure)
    return BootstrapWrite(
      preconditions: [.revision(key, stored.revision)], mutations: [.put(key, UnversionedObject(tree: object))])
  }

  /// The object as a stored one would say it.
  private func defaulted(_ wanted: JSONValue, _ kind: KindDescriptor) -> JSONValue {
    var object = wanted
    kind.structure.applyDefaults(to: &object)
    kind.rules.applyDefaults(to: &object)
    return TypedDecoder.canonicalized(object, as: kind.structure)
  }

  func place(_ object: JSONValue) -> (kind: KindDescriptor, key: ObjectKey) {
    guard let name = object["metadata"]["name"].string,
      let kind = registry.kind(
        apiVersion: object["apiVersion"].string ?? "", kind: object["kind"].string ?? "")
    else { preconditionFailure("a bootstrap object of no known kind: \(object)") }
    let namespace = object["metadata"]["namespace"].string ?? ""
    return (kind, ObjectKey(resource: kind.groupResource.description, namespace: namespace, name: name))
  }

  /// A new object as the API would have made it of this one.
  func prepared(_ wanted: JSONValue, _ kind: KindDescriptor, _ context: Context) -> JSONValue {
    var object = wanted
    let now = context.now.rfc3339
    kind.structure.applyDefaults(to: &object)
    kind.rules.applyDefaults(to: &object)
    ManagedFieldsUpdater.update(
      old: nil, new: &object, structure: kind.structure, manager: Self.manager(of: kind),
      apiVersion: kind.kind.apiVersion,
      resetFields: ManagedFieldsUpdater.resetFields(for: kind), now: now)
    ObjectMetadata.prepareForCreate(&object, kind: kind, now: context.now, world: context.world)
    kind.rules.prepareForCreate(&object, context: RuleContext(user: Self.user, now: now))
    return TypedDecoder.canonicalized(object, as: kind.structure)
  }

  // MARK: Flow control

  /// The two levels and schemas without which nothing works are restored; the others follow us until somebody takes
  /// them over by the annotation.
  private static func mendFlowControl(_ stored: inout JSONValue, _ expected: JSONValue) -> Bool {
    let isMandatory = ["exempt", "catch-all"].contains(expected["metadata"]["name"].string)
    let follows = stored["metadata"]["annotations"]["apf.kubernetes.io/autoupdate-spec"].string != "false"
    guard isMandatory || follows else { return false }
    return Self.add(expected["spec"], to: &stored["spec"])
  }

  static let schemaResource = "flowschemas.flowcontrol.apiserver.k8s.io"
  static let levelResource = "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"

  /// Every schema tells whether the level that it names is there: those that are about to be written with that write,
  /// the others with one of their own.
  private func withStatus(_ writes: [BootstrapWrite], _ context: Context) async throws -> [BootstrapWrite] {
    var result: [BootstrapWrite] = []
    var written: Set<ObjectKey> = []
    var levels: Set<String> = []
    for var write in writes {
      for (index, mutation) in write.mutations.enumerated() {
        guard case .put(let key, let object) = mutation else { continue }
        written.insert(key)
        if key.resource == Self.levelResource { levels.insert(key.name) }
        guard key.resource == Self.schemaResource else { continue }
        var told = try await withStatus(JSONValue(parsing: object.bytes), context, levels)
        told["metadata"]["resourceVersion"] = .null
        write.mutations[index] = .put(key, UnversionedObject(tree: told))
      }
      result.append(write)
    }
    let schemas = context.state.objects(resource: Self.schemaResource, namespace: "", after: nil, limit: 0).objects
    for stored in schemas where !written.contains(stored.key) {
      let old = stored.tree
      var object = try await withStatus(old, context, levels)
      guard object != old else { continue }
      object["metadata"]["resourceVersion"] = .null
      result.append(
        BootstrapWrite(
          preconditions: [.revision(stored.key, stored.revision)],
          mutations: [.put(stored.key, UnversionedObject(tree: object))]))
    }
    return result
  }

  /// The schema with its condition applied. `levels`: those that are about to be there.
  private func withStatus(_ schema: JSONValue, _ context: Context, _ levels: Set<String>) async throws -> JSONValue {
    let kind = place(schema).kind
    let level = schema["spec"]["priorityLevelConfiguration"]["name"].string ?? ""
    let isThere =
      levels.contains(level)
      || context.state.object(ObjectKey(resource: Self.levelResource, namespace: "", name: level)) != nil
    var condition = Self.dangling(level, isThere: isThere, context.now.rfc3339)
    let old = schema["status"]["conditions"].elements.first { $0["type"] == "Dangling" }
    if let old, old["status"] == condition["status"] { condition["lastTransitionTime"] = old["lastTransitionTime"] }
    let applied: JSONValue = [
      "apiVersion": schema["apiVersion"], "kind": schema["kind"], "metadata": ["name": schema["metadata"]["name"]],
      "status": ["conditions": [condition]],
    ]
    let object = try await ServerSideApply.apply(
      live: schema, applied: applied, structure: kind.structure, manager: Self.statusManager, force: true,
      apiVersion: kind.kind.apiVersion, subresource: "status",
      resetFields: ManagedFieldsUpdater.resetFields(for: kind, subresource: "status"), now: context.now.rfc3339)
    return TypedDecoder.canonicalized(object, as: kind.structure)
  }

  private static func dangling(_ level: String, isThere: Bool, _ now: String) -> JSONValue {
    [
      "type": "Dangling", "status": isThere ? "False" : "True", "reason": isThere ? "Found" : "NotFound",
      "lastTransitionTime": .string(now),
      "message": .string(
        "This FlowSchema references the PriorityLevelConfiguration object named \"\(level)\" "
          + (isThere ? "and it exists" : "but there is no such object")),
    ]
  }

  /// Sets every member that is expected to what it shall be; members that defaulting added stay.
  private static func add(_ expected: JSONValue, to stored: inout JSONValue) -> Bool {
    guard case .object(let members) = expected, case .object = stored else {
      if stored == expected || includes(stored, expected) { return false }
      stored = expected
      return true
    }
    var isChanged = false
    for (key, value) in members where add(value, to: &stored[key]) { isChanged = true }
    return isChanged
  }

  /// Whether an array says what is expected, element by element, beside what defaulting added.
  private static func includes(_ stored: JSONValue, _ expected: JSONValue) -> Bool {
    switch (stored, expected) {
    case (.array(let stored), .array(let expected)):
      stored.count == expected.count && zip(stored, expected).allSatisfy { includes($0, $1) }
    case (.object, .object(let members)): members.allSatisfy { includes(stored[$0.key], $0.value) }
    default: stored == expected
    }
  }

  // MARK: ConfigMaps

  /// The authority by which aggregated servers know ours; made once.
  private func frontProxy(_ context: Context) -> [BootstrapWrite] {
    guard options.keepsFrontProxyAuthority, context.state.object(FrontProxyAuthority.secret) == nil,
      let secret = try? FrontProxyAuthority.newSecret(now: context.now)
    else { return [] }
    return ensure(secret, context) { _, _ in false }.map { [$0] } ?? []
  }

  private func configMaps(_ context: Context) -> [(object: JSONValue, mend: Mend)] {
    let now = context.now
    func configMap(_ name: String, _ data: JSONValue) -> JSONValue {
      [
        "kind": "ConfigMap", "apiVersion": "v1",
        "metadata": ["name": .string(name), "namespace": "kube-system"], "data": data,
      ]
    }
    var result: [(object: JSONValue, mend: Mend)] = [
      (
        configMap(
          "kube-apiserver-legacy-service-account-token-tracking", ["since": .string(String(now.rfc3339.prefix(10)))]),
        { _, _ in false }
      )
    ]
    if !options.clientAuthorityPEM.isEmpty {
      var data: JSONValue = ["client-ca-file": .string(options.clientAuthorityPEM)]
      let secret = context.state.object(FrontProxyAuthority.secret)
      if let authority = secret.flatMap({ FrontProxyAuthority.certificatePEM($0.tree) }) {
        data["requestheader-client-ca-file"] = .string(authority)
        data["requestheader-allowed-names"] = .string("[\"\(FrontProxyAuthority.commonName)\"]")
        data["requestheader-username-headers"] = "[\"X-Remote-User\"]"
        data["requestheader-group-headers"] = "[\"X-Remote-Group\"]"
        data["requestheader-extra-headers-prefix"] = "[\"X-Remote-Extra-\"]"
      }
      let authentication = configMap("extension-apiserver-authentication", data)
      result.append(
        (
          authentication,
          { stored, expected in
            let members = expected["data"].object ?? JSONObject()
            guard members.contains(where: { stored["data"][$0.key] != $0.value }) else { return false }
            for (name, value) in members { stored["data"][name] = value }
            return true
          }
        ))
    }
    return result
  }
}

/// Default roles and bindings are brought back to what they must at least say, unless their annotation forbids it
/// (spec/8 §8.3, bootstrap).
enum RBACReconciliation {
  private static let annotation = "rbac.authorization.kubernetes.io/autoupdate"

  static func mend(_ stored: inout JSONValue, _ expected: JSONValue) -> Bool {
    guard stored["metadata"]["annotations"][annotation].string != "false" else { return false }
    var isChanged = false
    for map in ["labels", "annotations"] {
      for (key, value) in expected["metadata"][map].object ?? JSONObject() where stored["metadata"][map][key] != value {
        stored["metadata"][map][key] = value
        isChanged = true
      }
    }
    if !expected["aggregationRule"].isNull {
      // The rules of these are the union of others.
      return append(expected["aggregationRule"], to: &stored["aggregationRule"], "clusterRoleSelectors") || isChanged
    }
    if !expected["rules"].isNull { return addRules(expected, to: &stored) || isChanged }
    // A binding cannot be pointed elsewhere: one that was is not ours any more.
    guard stored["roleRef"] == expected["roleRef"] else { return isChanged }
    return append(expected, to: &stored, "subjects") || isChanged
  }

  private static func addRules(_ expected: JSONValue, to stored: inout JSONValue) -> Bool {
    let own = stored["rules"].elements.map(PolicyRule.init(json:))
    let missing = expected["rules"].elements.filter { rule in
      let excess = PolicyRule.excess(of: [PolicyRule(json: rule)], over: own)
      return !excess.missing.isEmpty || excess.isCutShort
    }
    for rule in missing { stored["rules"].append(rule) }
    return !missing.isEmpty
  }

  private static func append(_ expected: JSONValue, to stored: inout JSONValue, _ list: String) -> Bool {
    let own = stored[list].elements
    let missing = expected[list].elements.filter { wanted in
      !own.contains { stored in wanted.object?.allSatisfy { stored[$0.key] == $0.value } ?? false }
    }
    for element in missing { stored[list].append(element) }
    return !missing.isEmpty
  }
}
