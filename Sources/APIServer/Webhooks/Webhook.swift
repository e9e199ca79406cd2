// A webhook as its configuration has it, ready to be matched against requests.
import CEL
import HTTP
import JSON
import Replica
import Schema

/// One element of `webhooks`. Immutable; compiled once for a revision of its configuration.
struct Webhook: Sendable {
  struct Rule: Sendable {
    var operations: Set<String>
    var groups: Set<String>
    var versions: Set<String>
    var resources: [(resource: String, subresource: String)]
    var scope: String

    init(_ rule: JSONValue) {
      func set(_ name: String) -> Set<String> { Set(rule[name].elements.compactMap(\.string)) }
      operations = set("operations")
      groups = set("apiGroups")
      versions = set("apiVersions")
      resources = rule["resources"].elements.compactMap(\.string).map { text in
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        return (String(parts[0]), parts.count == 2 ? String(parts[1]) : "")
      }
      scope = rule["scope"].string ?? "*"
    }

    func matches(_ request: AdmissionRequest, version: String) -> Bool {
      func holds(_ set: Set<String>, _ text: String) -> Bool { set.contains("*") || set.contains(text) }
      guard holds(operations, request.operation.rawValue), holds(groups, request.resource.group),
        holds(versions, version)
      else { return false }
      let isNamespaced = request.descriptor.isNamespaced
      guard scope == "*" || scope == (isNamespaced ? "Namespaced" : "Cluster") else { return false }
      return resources.contains {
        ($0.resource == "*" || $0.resource == request.resource.resource)
          && ($0.subresource == "*" || $0.subresource == request.subresource)
      }
    }
  }

  let configuration: String
  let name: String
  let clientConfig: JSONValue
  let rules: [Rule]
  let failsOpen: Bool
  let matchesEquivalent: Bool
  let namespaceSelector: LabelSelector
  let objectSelector: LabelSelector
  let timeout: Duration
  /// None or NoneOnDryRun.
  let allowsDryRun: Bool
  let reviewVersions: [String]
  let isReinvoked: Bool
  private let conditions: [(name: String, program: Result<CELProgram, CELIssues>)]

  init(_ webhook: JSONValue, configuration: String) {
    self.configuration = configuration
    name = webhook["name"].string ?? ""
    clientConfig = webhook["clientConfig"]
    rules = webhook["rules"].elements.map { Rule($0) }
    failsOpen = webhook["failurePolicy"] == "Ignore"
    matchesEquivalent = webhook["matchPolicy"] != "Exact"
    func selector(_ name: String) -> LabelSelector {
      webhook[name].isNull ? .everything : (try? LabelSelector(webhook[name])) ?? .everything
    }
    namespaceSelector = selector("namespaceSelector")
    objectSelector = selector("objectSelector")
    timeout = .seconds(webhook["timeoutSeconds"].integer ?? 10)
    allowsDryRun = webhook["sideEffects"] == "None" || webhook["sideEffects"] == "NoneOnDryRun"
    reviewVersions = webhook["admissionReviewVersions"].elements.compactMap(\.string)
    isReinvoked = webhook["reinvocationPolicy"] == "IfNeeded"
    let environment = CELEnvironment(
      variables: ["object", "oldObject", "request"].map { CELVariable($0) }, libraries: .storedExpressions)
    conditions = webhook["matchConditions"].elements.map { condition in
      let program: Result<CELProgram, CELIssues>
      do throws(CELIssues) { program = .success(try environment.compile(condition["expression"].string ?? "")) } catch {
        program = .failure(error)
      }
      return (condition["name"].string ?? "", program)
    }
  }

  /// The version in which the webhook is to see the request; nil when it is none of its business.
  func version(for request: AdmissionRequest) -> String? {
    let own = request.descriptor.kind.version
    if rules.contains(where: { $0.matches(request, version: own) }) { return own }
    guard matchesEquivalent, let custom = request.descriptor.custom else { return nil }
    return custom.schemas.keys.sorted().first { version in rules.contains { $0.matches(request, version: version) } }
  }

  /// Whether the selectors let the request through.
  func isSelected(_ request: AdmissionRequest, _ objects: ObjectLookup) -> Bool {
    guard matchesNamespace(request, objects) else { return false }
    if objectSelector.isEverything { return true }
    return [request.object, request.oldObject].contains { object in
      object.object != nil && objectSelector.matches(object["metadata"]["labels"].stringMap)
    }
  }

  private func matchesNamespace(_ request: AdmissionRequest, _ objects: ObjectLookup) -> Bool {
    if namespaceSelector.isEverything { return true }
    let namespaces = GroupResource(group: "", resource: "namespaces")
    var labels: [String: String] = [:]
    if request.resource == namespaces {
      if request.operation == .create || request.operation == .update {
        labels = request.object["metadata"]["labels"].stringMap
      } else {
        labels = objects.stored(namespaces, name: request.name)?.labels ?? [:]
      }
    } else {
      guard request.descriptor.isNamespaced else { return true }
      labels = objects.stored(namespaces, name: request.namespace)?.labels ?? [:]
    }
    return namespaceSelector.matches(labels)
  }

  /// Whether its conditions hold. Throws 403 when they cannot be evaluated and the webhook must not be passed over.
  func meetsConditions(_ request: AdmissionRequest, review: JSONValue) throws(APIStatus) -> Bool {
    guard !conditions.isEmpty else { return true }
    let bindings = CELBindings([
      "object": CELValue(request.object), "oldObject": CELValue(request.oldObject),
      "request": CELValue(review["request"]),
    ])
    var failure: String?
    var budget = CELLimits.costOfMatchConditions
    for (name, program) in conditions {
      switch program {
      case .failure(let issues): failure = failure ?? "expression '\(name)' resulted in error: \(issues)"
      case .success(let program):
        let evaluation = program.evaluate(bindings, costLimit: min(CELLimits.costPerCall, budget))
        budget -= min(budget, evaluation.cost)
        switch evaluation.result {
        case .success(.bool(false)): return false
        case .success(.bool(true)): continue
        case .success: failure = failure ?? "cel evaluation did not result in a boolean"
        case .failure(let error): failure = failure ?? "expression '\(program.text)' resulted in error: \(error)"
        }
      }
    }
    guard let failure else { return true }
    if failsOpen { return false }
    throw request.forbidden(failure)
  }
}
