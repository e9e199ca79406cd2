import HTTP
import JSON
import Kinds
import Replica
import Schema
// pods/eviction: a deletion that asks the PodDisruptionBudget first (spec/3 §3.7, spec/5 §5.8).
import World

/// What an eviction does beside deleting the pod. Decided against one state.
enum EvictionDecision: Sendable {
  /// No budget has a say.
  case allow
  /// The budget with one disruption less, to be written together with the deletion.
  case charge(StoredObject, JSONValue)

  private static let message = "Cannot evict pod as it would violate the pod's disruption budget."
  private static let budgets = GroupResource(group: "policy", resource: "poddisruptionbudgets")
  /// Evictions a budget may have on record; more means that its controller does not keep up.
  private static let disruptedPodsMaximum = 2000

  static func decide(_ pod: JSONValue, _ objects: ObjectLookup, now: String) throws(APIStatus) -> EvictionDecision {
    let namespace = pod["metadata"]["namespace"].string ?? ""
    switch pod["status"]["phase"].string {
    case "Pending", "Succeeded", "Failed": return .allow
    default: break
    }
    if ObjectMetadata.isBeingDeleted(pod) { return .allow }
    let matching = objects.stored(budgets, namespace: namespace).compactMap { stored in
      let budget = stored.tree
      let selector = try? LabelSelector(budget["spec"]["selector"])
      return selector?.matches(pod["metadata"]["labels"]) == true ? (stored, budget) : nil
    }
    guard matching.count < 2 else {
      throw APIStatus(
        code: 500, reason: "InternalError",
        message:
          "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.")
    }
    guard let (stored, budget) = matching.first else { return .allow }
    if !isReady(pod) {
      if budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" { return .allow }
      let desired = budget["status"]["desiredHealthy"].integer ?? 0
      if desired > 0, budget["status"]["currentHealthy"].integer ?? 0 >= desired { return .allow }
    }
    return .charge(stored, try charged(budget, pod, now))
  }

  private static func isReady(_ pod: JSONValue) -> Bool {
    pod["status"]["conditions"].elements.contains { $0["type"] == "Ready" && $0["status"] == "True" }
  }

  private static func charged(_ budget: JSONValue, _ pod: JSONValue, _ now: String) throws(APIStatus) -> JSONValue {
    let name = budget["metadata"]["name"].string ?? ""
    let status = budget["status"]
    if status["observedGeneration"].integer ?? 0 < budget["metadata"]["generation"].integer ?? 0 {
      var refusal = APIStatus.tooManyRequests(message, retryAfter: 10)
      refusal.causes = [
        APIStatus.Cause(
          reason: "DisruptionBudget",
          message: "The disruption budget \(name) is still being processed by the server.")
      ]
      throw refusal
    }
    let allowed = status["disruptionsAllowed"].integer ?? 0
    guard allowed >= 0 else { throw .forbidden(budgets, name, "pdb disruptions allowed is negative") }
    guard status["disruptedPods"].object?.count ?? 0 <= disruptedPodsMaximum else {
      throw .forbidden(budgets, name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    }
    guard allowed > 0 else {
      var refusal = APIStatus(code: 429, reason: "TooManyRequests", message: message)
      let desired = status["desiredHealthy"].integer ?? 0
      let current = status["currentHealthy"].integer ?? 0
      refusal.causes = [
        APIStatus.Cause(
          reason: "DisruptionBudget",
          message: "The disruption budget \(name) needs \(desired) healthy pods and has \(current) currently")
      ]
      throw refusal
    }
    var result = budget
    result["status"]["disruptionsAllowed"] = .integer(allowed - 1)
    result["status"]["disruptedPods"][pod["metadata"]["name"].string ?? ""] = .string(now)
    return result
  }
}

extension APIServer {
  func evict(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let registry = request.codec.registry
    let kind = GroupVersionKind(group: "policy", version: "v1", kind: "Eviction")
    guard let structure = registry.structure(kind),
      let budgets = registry.kind(group: "policy", version: "v1", resource: "poddisruptionbudgets")
    else { throw .unknownResource }
    let presenter = try request.presenter()
    let options = try WriteOptions(request.query, kind: "CreateOptions", userAgent: request.userAgent)
    let decoded = try await request.decodeBody(
      expected: kind, structure: structure, validation: options.fieldValidation, otherVersions: ["policy/v1beta1"])
    var eviction = decoded.object
    try ObjectMetadata.place(&eviction, request)
    let named = eviction["metadata"]["name"].string ?? ""
    guard named.isEmpty || named == request.name else {
      throw .badRequest("name in URL does not match name in Eviction object")
    }
    let deleteOptions = eviction["deleteOptions"]
    var deletion = try DeleteOptions(body: deleteOptions.isNull ? [:] : deleteOptions, query: request.query)
    deletion.isDryRun = deletion.isDryRun || options.isDryRun

    let objects = ObjectLookup(state: store.current, store: store)
    var admitted = request.admissionRequest(
      .create, object: eviction, options: options.tree(kind: "CreateOptions"), isDryRun: deletion.isDryRun)
    try await admission.mutate(&admitted, objects: objects)
    let verdict = try await admission.validate(admitted, objects: objects)

    let now = request.now.rfc3339
    var amendment = DeletionAmendment()
    amendment.conditions = { [store] (pod, write) throws(APIStatus) in
      let objects = ObjectLookup(state: store.current, store: store)
      guard case .charge(let stored, let budget) = try EvictionDecision.decide(pod, objects, now: now) else { return }
      write.preconditions.append(.revision(stored.key, stored.revision))
      let object = TypedDecoder.canonicalized(budget, as: budgets.structure)
      write.mutations.append(.put(stored.key, self.storedForm(object, budgets)))
    }
    amendment.mark = { pod in
      PodBinding.setCondition(
        &pod,
        [
          "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
          "message": "Eviction API: evicting",
        ], now: now)
    }
    _ = try await delete(request, name: request.name, deletion, amendment)
    var answer = Answer.success(code: 201)
    answer.warnings = decoded.warnings + admitted.warnings + verdict.warnings
    return try presenter.response(answer)
  }
}
