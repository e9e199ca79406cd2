// ValidatingAdmissionPolicy: rules in the cluster's own objects, written as expressions (spec/8 §8.4).
import CEL
import JSON
import Kinds
import Replica
import Schema
import Synchronization

/// Asks every policy that a binding puts in force for the request.
public final class ValidatingAdmissionPolicies: ValidatingAdmission {
  public let name = "ValidatingAdmissionPolicy"
  static let group = "admissionregistration.k8s.io"
  static let policies = GroupResource(group: group, resource: "validatingadmissionpolicies")
  static let bindings = GroupResource(group: group, resource: "validatingadmissionpolicybindings")
  /// Objects of these say what is admitted; a policy that could refuse them could not be repaired.
  private static let exempt: Set<String> = [
    "validatingadmissionpolicies", "validatingadmissionpolicybindings", "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations", "mutatingadmissionpolicies", "mutatingadmissionpolicybindings",
  ]
  private static let reviews: Set<String> = ["authentication.k8s.io", "authorization.k8s.io"]

  private struct Compiled<Value: Sendable>: Sendable {
    let revision: Revision
    let value: Value
  }
  private struct Cache: Sendable {
    var policies: [String: Compiled<CompiledPolicy>] = [:]
    var bindings: [String: Compiled<PolicyBinding>] = [:]
  }
  private let authorizer: any Authorizer
  private let webhooks: WebhookCaller
  private let cache = Mutex(Cache())

  /// `webhooks` convert what policies of other versions are to see.
  public init(authorizer: any Authorizer, webhooks: WebhookCaller = .unreachable) {
    self.authorizer = authorizer
    self.webhooks = webhooks
  }

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    if resource.group == Self.group { return !Self.exempt.contains(resource.resource) }
    return !Self.reviews.contains(resource.group)
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    let stored = objects.stored(Self.bindings)
    guard !stored.isEmpty else { return .allowed }
    let namespace =
      request.namespace.isEmpty
      ? .null : objects.object(GroupResource(group: "", resource: "namespaces"), name: request.namespace) ?? .null
    var findings = PolicyFindings()
    for (policy, kind, bindings) in matching(stored, objects, request) {
      let decisions = KnownDecisions(authorizer, user: request.user)
      let shown = try await webhooks.shown(request, as: kind, objects)
      let base = AdmissionExpressions.bindings(shown, as: kind, namespace: namespace, authorizer: decisions)
      let parameters = PolicyParameters(policy: policy, request: request, objects: objects)
      for binding in bindings {
        switch parameters.find(for: binding) {
        case .failure(let problem):
          if !policy.failsOpen { findings.deny(policy, problem.isOfPolicy ? nil : binding, problem.message) }
        case .success(let found):
          for parameter in found {
            var values = base
            values["params"] = CELValue(parameter)
            let settled = values
            let outcome = await decisions.settle { PolicyEvaluation.run(policy, settled) }
            findings.add(outcome, policy, binding)
          }
        }
      }
    }
    findings.recordAudit()
    if let denial = findings.denial { throw denial.status(request) }
    return AdmissionVerdict(warnings: findings.warnings)
  }

  /// Policies in order of their names, as what they see the request, and the bindings that put them in force for it.
  private func matching(
    _ stored: [StoredObject], _ objects: ObjectLookup, _ request: AdmissionRequest
  ) -> [(CompiledPolicy, GroupVersionKind, [PolicyBinding])] {
    var byPolicy: [String: [PolicyBinding]] = [:]
    for object in stored {
      let binding = self.binding(object)
      byPolicy[binding.policyName, default: []].append(binding)
    }
    var matching: [(CompiledPolicy, GroupVersionKind, [PolicyBinding])] = []
    for (name, bindings) in byPolicy.sorted(by: { $0.key < $1.key }) {
      guard let object = objects.stored(Self.policies, name: name) else { continue }
      let policy = self.policy(object)
      guard let kind = policy.match.kind(for: request, objects) else { continue }
      let inForce = bindings.filter { $0.match.kind(for: request, objects) != nil }
      if !inForce.isEmpty { matching.append((policy, kind, inForce)) }
    }
    return matching
  }

  // MARK: What was compiled

  private func policy(_ object: StoredObject) -> CompiledPolicy {
    let name = object.key.name
    if let known = cache.withLock({ $0.policies[name] }), known.revision == object.revision { return known.value }
    let policy = CompiledPolicy(object.tree)
    cache.withLock { cache in
      if cache.policies.count >= Self.cacheMaximum { cache.policies.removeAll() }
      cache.policies[name] = Compiled(revision: object.revision, value: policy)
    }
    return policy
  }

  private func binding(_ object: StoredObject) -> PolicyBinding {
    let name = object.key.name
    if let known = cache.withLock({ $0.bindings[name] }), known.revision == object.revision { return known.value }
    let binding = PolicyBinding(object.tree)
    cache.withLock { cache in
      if cache.bindings.count >= Self.cacheMaximum { cache.bindings.removeAll() }
      cache.bindings[name] = Compiled(revision: object.revision, value: binding)
    }
    return binding
  }

  /// More policies than anybody writes; the deleted ones among them do not stay for ever.
  private static let cacheMaximum = 4096
}

/// What the policies found, and what comes of it.
private struct PolicyFindings {
  struct Denial {
    let policy: String
    let binding: String?
    let message: String
    let reason: String

    func status(_ request: AdmissionRequest) -> APIStatus {
      let place = binding.map { " with binding '\($0)'" } ?? ""
      let text = "ValidatingAdmissionPolicy '\(policy)'\(place) denied request: \(message)"
      var status = request.forbidden(text)
      let codes = ["Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413]
      status.reason = reason.isEmpty ? "Invalid" : reason
      status.code = codes[reason] ?? 422
      status.causes.append(APIStatus.Cause(reason: "", message: text))
      return status
    }
  }

  private(set) var denial: Denial?
  private(set) var warnings: [String] = []
  private var failures: [JSONValue] = []
  private var annotations: [(key: String, values: [String])] = []

  /// The first denial is the one that is told.
  mutating func deny(_ policy: CompiledPolicy, _ binding: PolicyBinding?, _ message: String, reason: String = "") {
    if denial == nil {
      denial = Denial(policy: policy.name, binding: binding?.name, message: message, reason: reason)
    }
  }

  mutating func add(_ outcome: PolicyOutcome, _ policy: CompiledPolicy, _ binding: PolicyBinding) {
    for violation in outcome.violations {
      for action in binding.actions {
        switch action {
        case "Deny": deny(policy, binding, violation.message, reason: violation.reason)
        case "Warn":
          warnings.append(
            "Validation failed for ValidatingAdmissionPolicy '\(policy.name)' with binding '\(binding.name)': "
              + violation.message)
        case "Audit":
          failures.append([
            "message": .string(violation.message), "policy": .string(policy.name), "binding": .string(binding.name),
            "expressionIndex": .integer(Int64(violation.index)),
            "validationActions": .array(binding.actions.map { .string($0) }),
          ])
        default: break
        }
      }
    }
    for (key, value) in outcome.auditAnnotations { annotate("\(policy.name)/\(key)", value) }
    // Whatever the binding's actions are: what must be recorded and cannot be must not happen.
    for problem in outcome.annotationProblems { deny(policy, binding, problem) }
  }

  private mutating func annotate(_ key: String, _ value: String) {
    guard let place = annotations.firstIndex(where: { $0.key == key }) else {
      annotations.append((key, [value]))
      return
    }
    if !annotations[place].values.contains(value) { annotations[place].values.append(value) }
  }

  func recordAudit() {
    guard let record = AuditRecord.current else { return }
    for (key, values) in annotations { record.annotate(key, values.joined(separator: ", ")) }
    // A list for the day when more than one is told: the reference tells the first.
    if let first = failures.first {
      record.annotate(
        "validation.policy.admission.k8s.io/validation_failure", JSONValue.array([first]).description)
    }
  }
}
