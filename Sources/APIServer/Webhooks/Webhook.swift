// A webhook as its configuration has it, ready to be matched against requests.
import CEL
import JSON
import Schema

/// One element of `webhooks`. Immutable; compiled once for a revision of its configuration.
struct Webhook: Sendable {
  let configuration: String
  let name: String
  let clientConfig: JSONValue
  let failsOpen: Bool
  private let rules: AdmissionRules
  private let selectors: AdmissionSelectors
  let timeout: Duration
  /// None or NoneOnDryRun.
  let allowsDryRun: Bool
  let reviewVersions: [String]
  let isReinvoked: Bool
  private let conditions: [CompiledPolicy.Named]

  init(_ webhook: JSONValue, configuration: String) {
    self.configuration = configuration
    name = webhook["name"].string ?? ""
    clientConfig = webhook["clientConfig"]
    rules = AdmissionRules(
      rules: webhook["rules"].elements.map(AdmissionRule.init), matchesEquivalent: webhook["matchPolicy"] != "Exact")
    selectors = AdmissionSelectors(webhook)
    failsOpen = webhook["failurePolicy"] == "Ignore"
    timeout = .seconds(webhook["timeoutSeconds"].integer ?? 10)
    allowsDryRun = webhook["sideEffects"] == "None" || webhook["sideEffects"] == "NoneOnDryRun"
    reviewVersions = webhook["admissionReviewVersions"].elements.compactMap(\.string)
    isReinvoked = webhook["reinvocationPolicy"] == "IfNeeded"
    conditions =
      webhook["matchConditions"].elements.isEmpty
      ? [] : CompiledPolicy.named(webhook["matchConditions"], Self.environment, as: [.bool])
  }

  private static let environment = CELEnvironment(
    variables: AdmissionExpressions.variables(hasParams: false), libraries: .storedExpressions)

  /// The kind as which the webhook is to see the request; nil when it is none of its business, as far as rules and
  /// selectors go.
  func kind(for request: AdmissionRequest, _ objects: ObjectLookup) -> GroupVersionKind? {
    guard let kind = rules.kind(for: request), selectors.select(request, objects) else { return nil }
    return kind
  }

  var hasConditions: Bool { !conditions.isEmpty }

  /// Throws 403 when the conditions cannot be evaluated and the webhook must not be passed over.
  /// `request`: with its objects as ones of `kind`.
  func meetsConditions(
    _ request: AdmissionRequest, as kind: GroupVersionKind, _ authorizer: any Authorizer
  ) async throws(APIStatus) -> Bool {
    let decisions = KnownDecisions(authorizer, user: request.user)
    let bindings = AdmissionExpressions.bindings(request, as: kind, namespace: .null, authorizer: decisions)
    let outcome = await decisions.settle {
      var budget = CELLimits.costOfMatchConditions
      return MatchConditions.evaluate(conditions, bindings, budget: &budget)
    }
    switch outcome {
    case .matches: return true
    case .doesNotMatch: return false
    case .failed(let problem):
      if failsOpen { return false }
      throw request.forbidden(problem)
    }
  }
}
