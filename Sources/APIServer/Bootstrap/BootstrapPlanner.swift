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
  /// Who the fields of these objects belong to.
  private static let manager = "kube-apiserver"
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
  ) -> [BootstrapWrite] {
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
    writes += mended + danglingSchemas(context, except: mended)
    writes += keep(LocalAPIService.builtIn(registry), context, mend: LocalAPIService.mend)
    writes += frontProxy(context)
    writes += configMaps(context).compactMap { ensure($0.object, context, mend: $0.mend) }
    writes += service(context)
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
      old: nil, new: &object, structure: kind.structure, manager: Self.manager, apiVersion: kind.kind.apiVersion,
      resetFields: ManagedFieldsUpdater.resetFields(for: kind), now: now)
    ObjectMetadata.prepareForCreate(&object, kind: kind, now: context.now, world: context.world)
    kind.rules.prepareForCreate(&object, context: RuleContext(user: Self.user, now: now))
    if kind.kind.kind == "FlowSchema" {
      let level = object["spec"]["priorityLevelConfiguration"]["name"].string ?? ""
      object["status"] = ["conditions": [Self.dangling(level, isThere: true, now)]]
    }
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

  /// Every schema tells whether the level that it names is there; those that are written already, with the next pass.
  private func danglingSchemas(_ context: Context, except writes: [BootstrapWrite]) -> [BootstrapWrite] {
    let written = Set(writes.flatMap(\.mutations).compactMap { if case .put(let key, _) = $0 { key } else { nil } })
    let schemas = context.state.objects(resource: Self.schemaResource, namespace: "", after: nil, limit: 0).objects
    return schemas.filter { !written.contains($0.key) }.compactMap { stored in
      var object = stored.tree
      let kind = place(object).kind
      let level = object["spec"]["priorityLevelConfiguration"]["name"].string ?? ""
      let levelKey = ObjectKey(resource: Self.levelResource, namespace: "", name: level)
      var condition = Self.dangling(level, isThere: context.state.object(levelKey) != nil, context.now.rfc3339)
      var conditions = object["status"]["conditions"].elements
      let position = conditions.firstIndex { $0["type"] == "Dangling" }
      if let old = position.map({ conditions[$0] }), old["status"] == condition["status"] {
        condition["lastTransitionTime"] = old["lastTransitionTime"]
        if old["reason"] == condition["reason"], old["message"] == condition["message"] { return nil }
      }
      if let position { conditions[position] = condition } else { conditions.append(condition) }
      object["status"]["conditions"] = .array(conditions)
      object["metadata"]["resourceVersion"] = .null
      object = TypedDecoder.canonicalized(object, as: kind.structure)
      return BootstrapWrite(
        preconditions: [.revision(stored.key, stored.revision)],
        mutations: [.put(stored.key, UnversionedObject(tree: object))])
    }
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
      !PolicyRule(json: rule).atoms.allSatisfy { atom in own.contains { $0.covers(atom) } }
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
