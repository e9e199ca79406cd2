// Policies are tried against the schemas of the kinds they name: what cannot be right is told in their status.
import CEL
import JSON
import Kinds
import Logging
import Replica
import Schema
import World

/// What the schemas of matched kinds say about a policy's expressions.
struct PolicyTypeChecking {
  /// Kinds looked at, as in the reference.
  private static let kindsMaximum = 10

  private let registry: KindRegistry
  /// The schema of a defined kind: its definition knows more than the registry.
  private let definition: (KindDescriptor) -> JSONValue?

  init(registry: KindRegistry, definition: @escaping (KindDescriptor) -> JSONValue?) {
    self.registry = registry
    self.definition = definition
  }

  /// `status.typeChecking.expressionWarnings`.
  func warnings(_ policy: JSONValue) -> [JSONValue] {
    let spec = policy["spec"]
    let environments = kinds(spec["matchConstraints"]).map { ($0, environment($0, spec)) }
    var warnings: [JSONValue] = []
    func check(_ expression: JSONValue, _ field: String) {
      guard let text = expression.string, !text.isEmpty else { return }
      let messages = environments.compactMap { kind, environment -> String? in
        do throws(CELIssues) {
          _ = try environment.compile(text)
          return nil
        } catch {
          return "\(kind.kind): \(error.description)\n"
        }
      }
      guard !messages.isEmpty else { return }
      warnings.append(["fieldRef": .string(field), "warning": .string(messages.joined(separator: "\n"))])
    }
    for (index, validation) in spec["validations"].elements.enumerated() {
      check(validation["expression"], "spec.validations[\(index)].expression")
      check(validation["messageExpression"], "spec.validations[\(index)].messageExpression")
    }
    return warnings
  }

  /// The kinds that rules without wildcards name, in order of their names.
  private func kinds(_ match: JSONValue) -> [KindDescriptor] {
    var found: [GroupVersionKind: KindDescriptor] = [:]
    for rule in match["resourceRules"].elements {
      func texts(_ member: String) -> [String] { rule[member].elements.compactMap(\.string).filter { $0 != "*" } }
      for group in texts("apiGroups") {
        for version in texts("apiVersions") {
          for resource in texts("resources") where !resource.contains("/") && !resource.contains("*") {
            guard let kind = registry.kind(group: group, version: version, resource: resource) else { continue }
            found[kind.kind] = kind
          }
        }
      }
    }
    return Array(found.values.sorted { "\($0.kind)" < "\($1.kind)" }.prefix(Self.kindsMaximum))
  }

  private func schema(_ kind: KindDescriptor) -> CELSchema {
    guard let schema = definition(kind) else { return CELSchema.builtIn(kind.structure) }
    return CELSchema.openAPI(schema, isResourceRoot: true, typeName: kind.kind.kind) ?? .any
  }

  private func environment(_ kind: KindDescriptor, _ spec: JSONValue) -> CELEnvironment {
    let object = schema(kind)
    var declared = AdmissionExpressions.variables(hasParams: false)
    declared.append(CELVariable("object", object))
    declared.append(CELVariable("oldObject", object))
    if !spec["paramKind"].isNull {
      let params = registry.kind(
        apiVersion: spec["paramKind"]["apiVersion"].string ?? "", kind: spec["paramKind"]["kind"].string ?? "")
      declared.append(CELVariable("params", params.map { schema($0) } ?? .any))
    }
    var members: [String: CELSchema.Member] = [:]
    func variables() -> CELVariable {
      CELVariable("variables", CELSchema(.object, typeName: "kubernetes.variables", members: members))
    }
    for variable in spec["variables"].elements {
      guard let name = variable["name"].string, let text = variable["expression"].string else { continue }
      let program = try? CELEnvironment(variables: declared + [variables()], libraries: .storedExpressions).compile(
        text)
      let type = program?.resultType ?? .dyn
      members[name] = CELSchema.Member(name: name, schema: CELSchema(.declared(type)))
    }
    return CELEnvironment(variables: declared + [variables()], libraries: .storedExpressions)
  }
}

extension APIServer {
  /// Policies that changed are looked at this often by who leads; the others ask whether they do.
  private static let policyCheckInterval = Duration.seconds(1)
  private static let policyLeadershipInterval = Duration.seconds(5)

  /// Keeps the status of policies up to date while `isLeader` says so, until the task is cancelled.
  public func followPolicies(on world: any World, isLeader: @escaping @Sendable () -> Bool) async {
    var settled: Revision?
    while !Task.isCancelled {
      let interval = isLeader() ? Self.policyCheckInterval : Self.policyLeadershipInterval
      do { try await world.sleep(for: interval) } catch { return }
      guard isLeader() else {
        settled = nil
        continue
      }
      // Nothing to do for as long as no policy was written.
      let newest = store.current.objects(
        resource: ValidatingAdmissionPolicies.policies.description, namespace: "", after: nil, limit: 0
      ).objects.map(\.revision).max()
      guard newest != settled else { continue }
      do {
        if try await checkPolicies() { settled = newest }
      } catch {
        dependencies.logger.warning("cannot write the status of admission policies now: \(error)")
      }
    }
  }

  /// Checks every policy whose status does not know its generation. Returns whether no status had to be written.
  @discardableResult
  public func checkPolicies() async throws(StoreError) -> Bool {
    let state = store.current
    var wasDone = true
    for stored in state.objects(
      resource: ValidatingAdmissionPolicies.policies.description, namespace: "", after: nil, limit: 0
    ).objects {
      var policy = stored.tree
      let generation = policy["metadata"]["generation"]
      guard policy["status"]["observedGeneration"] != generation || policy["status"]["typeChecking"].isNull else {
        continue
      }
      wasDone = false
      let checking = PolicyTypeChecking(registry: registry) { Self.definedSchema($0, state) }
      let warnings = checking.warnings(policy)
      policy["status"]["observedGeneration"] = generation
      policy["status"]["typeChecking"] = warnings.isEmpty ? [:] : ["expressionWarnings": .array(warnings)]
      _ = try await store.commit(
        Command(
          preconditions: [.revision(stored.key, stored.revision)],
          mutations: [.put(stored.key, UnversionedObject(tree: policy))]))
    }
    return wasDone
  }

  /// The OpenAPI schema of a kind that a definition defines; nil for built-in kinds.
  private static func definedSchema(_ kind: KindDescriptor, _ state: any StateView) -> JSONValue? {
    let key = ObjectKey(
      resource: "customresourcedefinitions.apiextensions.k8s.io", namespace: "", name: kind.groupResource.description)
    guard let definition = state.object(key)?.tree else { return nil }
    let version = definition["spec"]["versions"].elements.first { $0["name"].string == kind.kind.version }
    return version?["schema"]["openAPIV3Schema"]
  }
}
