// A policy run over one request and one parameter: what it decides, and why.
import CEL
import Schema
import Synchronization

/// What one validation, or the policy as a whole, came to when it is not satisfied.
struct PolicyViolation: Sendable {
  /// Position of the validation; 0 for what concerns the policy as a whole.
  let index: Int
  let message: String
  let reason: String
}

struct PolicyOutcome: Sendable {
  var violations: [PolicyViolation] = []
  var auditAnnotations: [(key: String, value: String)] = []
  /// Why annotations could not be made, where that is to refuse the request.
  var annotationProblems: [String] = []
}

/// One evaluation, within one budget.
struct PolicyEvaluation {
  /// Longest message an expression may make, as in the reference.
  private static let messageBytesMaximum = 5 * 1024
  /// Longest value of an annotation; more is cut off.
  private static let annotationBytesMaximum = 10 * 1024
  static let outOfBudget =
    "validation failed due to running out of cost budget, no further validation rules will be run"

  private let policy: CompiledPolicy
  private let bindings: CELBindings
  private let variables: PolicyVariables
  private var budget = CELLimits.costPerObject

  static func run(_ policy: CompiledPolicy, _ bindings: CELBindings) -> PolicyOutcome {
    var evaluation = PolicyEvaluation(policy, bindings)
    return evaluation.run()
  }

  private init(_ policy: CompiledPolicy, _ bindings: CELBindings) {
    self.policy = policy
    variables = PolicyVariables(policy.variables, bindings)
    var all = bindings
    all["variables"] = .map(.lazy(variables))
    self.bindings = all
  }

  private func whole(_ message: String) -> PolicyOutcome {
    policy.failsOpen
      ? PolicyOutcome() : PolicyOutcome(violations: [PolicyViolation(index: 0, message: message, reason: "")])
  }

  private mutating func run() -> PolicyOutcome {
    var conditionBudget = CELLimits.costOfMatchConditions
    switch MatchConditions.evaluate(policy.conditions, bindings, budget: &conditionBudget) {
    case .matches: break
    case .doesNotMatch: return PolicyOutcome()
    case .failed(let message): return whole(message)
    }
    var outcome = PolicyOutcome()
    for (index, validation) in policy.validations.enumerated() {
      switch evaluate(validation.expression) {
      case .failure(let problem):
        if problem.message == Self.outOfBudget { return whole(problem.message) }
        if !policy.failsOpen {
          outcome.violations.append(PolicyViolation(index: index, message: problem.message, reason: ""))
        }
      case .success(.bool(true)): break
      case .success:
        outcome.violations.append(
          PolicyViolation(index: index, message: message(validation), reason: validation.reason))
      }
    }
    annotate(&outcome)
    return outcome
  }

  /// Annotations have a budget of their own.
  private mutating func annotate(_ outcome: inout PolicyOutcome) {
    budget = CELLimits.costPerObject
    for annotation in policy.auditAnnotations {
      switch evaluate(annotation.expression) {
      case .success(.string(let text)):
        let value = text.trimmed
        if !value.isEmpty {
          outcome.auditAnnotations.append(
            (annotation.name, String(decoding: value.utf8.prefix(Self.annotationBytesMaximum), as: UTF8.self)))
        }
      case .success: break
      case .failure(let problem):
        if !policy.failsOpen { outcome.annotationProblems.append(problem.message) }
      }
    }
  }

  private mutating func evaluate(_ expression: CompiledExpression) -> Result<CELValue, ExpressionProblem> {
    switch expression.program {
    case .failure(let problem): return .failure(problem)
    case .success(let program):
      let evaluation = program.evaluate(bindings)
      let cost = evaluation.cost + variables.takeCost()
      guard cost <= budget else { return .failure(ExpressionProblem(message: Self.outOfBudget)) }
      budget -= cost
      return evaluation.result.mapError { error in
        ExpressionProblem(message: "expression '\(expression.text)' resulted in error: \(error.message)")
      }
    }
  }

  /// The text of a validation that does not hold.
  private mutating func message(_ validation: CompiledPolicy.Validation) -> String {
    if let expression = validation.messageExpression, case .success(.string(let text)) = evaluate(expression) {
      let trimmed = text.trimmed
      if !trimmed.isEmpty, trimmed.utf8.count <= Self.messageBytesMaximum, !trimmed.contains("\n") { return trimmed }
    }
    let fixed = validation.message.trimmed
    return fixed.isEmpty ? "failed expression: \(validation.expression.text.trimmed)" : fixed
  }
}

/// `matchConditions` of a policy or a webhook.
enum MatchConditions {
  enum Outcome: Sendable {
    case matches
    case doesNotMatch
    /// Some condition is neither true nor false, and none is false.
    case failed(String)
  }

  static func evaluate(
    _ conditions: [CompiledPolicy.Named], _ bindings: CELBindings, budget: inout UInt64
  ) -> Outcome {
    var problems: [String] = []
    for condition in conditions {
      switch condition.expression.program {
      case .failure(let problem): problems.append(problem.message)
      case .success(let program):
        let evaluation = program.evaluate(bindings)
        guard evaluation.cost <= budget else { return .failed(PolicyEvaluation.outOfBudget) }
        budget -= evaluation.cost
        switch evaluation.result {
        case .success(.bool(false)): return .doesNotMatch
        case .success: break
        case .failure(let error):
          problems.append("expression '\(condition.expression.text)' resulted in error: \(error.message)")
        }
      }
    }
    if problems.isEmpty { return .matches }
    return .failed(problems.count == 1 ? problems[0] : "[\(problems.joined(separator: ", "))]")
  }
}

/// The variables of a policy: each is evaluated when it is first used.
final class PolicyVariables: CELLazyMembers {
  private struct State {
    var values: [String: Result<CELValue, CELError>] = [:]
    var cost: UInt64 = 0
  }
  private let expressions: [String: CompiledExpression]
  private let bindings: CELBindings
  private let state = Mutex(State())

  init(_ variables: [CompiledPolicy.Named], _ bindings: CELBindings) {
    expressions = Dictionary(variables.map { ($0.name, $0.expression) }) { first, _ in first }
    self.bindings = bindings
  }

  /// What evaluations cost since this was asked last.
  func takeCost() -> UInt64 {
    state.withLock { state in
      defer { state.cost = 0 }
      return state.cost
    }
  }

  func member(_ name: String) throws(CELError) -> CELValue? {
    if let known = state.withLock({ $0.values[name] }) { return try known.get() }
    guard let expression = expressions[name] else { return nil }
    let result = evaluate(name, expression)
    state.withLock { $0.values[name] = result }
    return try result.get()
  }

  private func evaluate(_ name: String, _ expression: CompiledExpression) -> Result<CELValue, CELError> {
    switch expression.program {
    case .failure(let problem):
      return .failure(CELError("composited variable \"\(name)\" fails to compile: \(problem.message)"))
    case .success(let program):
      var all = bindings
      all["variables"] = .map(.lazy(self))
      let evaluation = program.evaluate(all)
      state.withLock { $0.cost += evaluation.cost }
      return evaluation.result.mapError { error in
        error.kind == .evaluation
          ? CELError("composited variable \"\(name)\" fails to evaluate: \(error.message)") : error
      }
    }
  }
}
