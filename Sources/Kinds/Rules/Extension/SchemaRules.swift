// The rules of structural schemas, `x-kubernetes-validations`: compiled once for a definition, run on every write.
import CEL
import JSON
import Schema

/// The rules of a schema (`x-kubernetes-validations`), compiled.
public protocol RuleChecker: Sendable {
  /// What they say of an object that its schema finds nothing wrong with; `old` for rules about changes.
  func errors(_ object: JSONValue, old: JSONValue?) -> [FieldError]
}

public protocol RuleCompiler: Sendable {
  /// nil: there is nothing to check.
  func compile(_ schema: StructuralSchema) -> (any RuleChecker)?
}

public struct SchemaRuleCompiler: RuleCompiler {
  public init() {}
  public func compile(_ schema: StructuralSchema) -> (any RuleChecker)? { SchemaRules(schema) }
}

/// The rules of one node of a schema and of those below it.
final class SchemaRules: RuleChecker {
  private struct CompiledRule: Sendable {
    let rule: StructuralSchema.Rule
    /// nil: the rule does not compile; definitions that say so are refused, so it was stored by an older server.
    let program: CELProgram?
    /// Why it does not.
    let failure: String
    let message: CELProgram?
    var usesOldSelf: Bool { program?.uses("oldSelf") ?? false }
  }

  private let schema: StructuralSchema
  private let declared: CELSchema?
  private let rules: [CompiledRule]
  private let properties: [String: SchemaRules]
  private let additional: SchemaRules?
  private let items: SchemaRules?

  init(_ schema: StructuralSchema, isRoot: Bool = true) {
    self.schema = schema
    declared = schema.rules.isEmpty ? nil : CELSchema.openAPI(schema.source, isResourceRoot: isRoot)
    if let declared {
      let plain = CELEnvironment(
        variables: [CELVariable("self", declared), CELVariable("oldSelf", declared)], libraries: .storedExpressions)
      let optional = CELEnvironment(
        variables: [CELVariable("self", declared), CELVariable("oldSelf", type: .optional(declared.type))],
        libraries: .storedExpressions)
      rules = schema.rules.map { rule in
        let environment = rule.optionalOldSelf == true ? optional : plain
        let (program, failure) = Self.compiled(rule.rule, environment)
        return CompiledRule(
          rule: rule, program: program, failure: failure,
          message: rule.messageExpression.isEmpty ? nil : try? environment.compile(rule.messageExpression))
      }
    } else {
      rules = []
    }
    properties = schema.properties.filter { $0.value.hasRules }.mapValues { SchemaRules($0, isRoot: false) }
    additional = schema.additionalProperties.schema.flatMap { $0.hasRules ? SchemaRules($0, isRoot: false) : nil }
    items = schema.items.flatMap { $0.hasRules ? SchemaRules($0, isRoot: false) : nil }
  }

  private static func compiled(_ text: String, _ environment: CELEnvironment) -> (CELProgram?, String) {
    do throws(CELIssues) {
      let program = try environment.compile(text)
      return program.resultType == .bool ? (program, "") : (nil, "cel expression must evaluate to a bool")
    } catch {
      return (nil, "compilation failed: \(error)")
    }
  }

  /// What they say of a default of the schema, which is its own past.
  func errors(inDefault value: JSONValue, path: String) -> [FieldError] {
    var budget = CELLimits.costPerObject
    var errors: [FieldError] = []
    check(value, old: value, path: path, isRatcheting: false, &budget, &errors)
    return errors
  }

  func errors(_ object: JSONValue, old: JSONValue?) -> [FieldError] {
    var budget = CELLimits.costPerObject
    var errors: [FieldError] = []
    check(object, old: old, path: "", isRatcheting: true, &budget, &errors)
    return errors
  }

  /// `old` nil: there was nothing, or it is not known which part of the old object this was.
  private func check(
    _ value: JSONValue, old: JSONValue?, path: String, isRatcheting: Bool, _ budget: inout UInt64,
    _ errors: inout [FieldError]
  ) {
    if value.isNull { return }
    let isUnchanged = isRatcheting && old == value
    for compiled in rules {
      // What was there before, unchanged, is not held against the client; rules about changes have nothing to say.
      if isUnchanged, !compiled.usesOldSelf { continue }
      guard evaluate(compiled, value, old, path, &budget, &errors) else { return }
    }
    switch value {
    case .object(let object):
      for (name, member) in object {
        guard let inner = properties[name] ?? (schema.properties[name] == nil ? additional : nil) else { continue }
        inner.check(
          member, old: old?.object?[name], path: path.isEmpty ? name : place(path, name),
          isRatcheting: isRatcheting, &budget, &errors)
      }
    case .array(let elements):
      guard let items else { return }
      let former = StructuralIdentity.formerItems(old, schema)
      for (index, item) in elements.enumerated() {
        items.check(
          item, old: former.flatMap { $0[StructuralIdentity.of(item, schema)] }, path: "\(path)[\(index)]",
          isRatcheting: isRatcheting, &budget, &errors)
      }
    default: return
    }
  }

  private func place(_ path: String, _ name: String) -> String {
    schema.properties[name] == nil ? "\(path)[\(name)]" : "\(path).\(name)"
  }

  /// False: the budget is spent, nothing more is checked.
  private func evaluate(
    _ compiled: CompiledRule, _ value: JSONValue, _ old: JSONValue?, _ path: String, _ budget: inout UInt64,
    _ errors: inout [FieldError]
  ) -> Bool {
    guard let declared, let program = compiled.program else {
      report(compiled, path, "rule compile error: \(compiled.failure)", &errors)
      return true
    }
    let isOptional = compiled.rule.optionalOldSelf == true
    if compiled.usesOldSelf, old == nil, !isOptional { return true }
    var values: [String: CELValue] = [:]
    do throws(CELError) {
      values["self"] = try CELValue(value, as: declared)
      if compiled.usesOldSelf || compiled.message != nil {
        let former = try old.map { (value) throws(CELError) in try CELValue(value, as: declared) }
        values["oldSelf"] = isOptional ? .optional(former) : former ?? .null
      }
    } catch {
      report(compiled, path, "\(error) evaluating rule: \(compiled.rule.shownName)", &errors)
      return true
    }
    let bindings = CELBindings(values)
    let evaluation = program.evaluate(bindings, costLimit: min(CELLimits.costPerCall, budget))
    guard evaluation.cost <= budget else {
      errors.append(Self.budgetSpent(path))
      return false
    }
    budget -= evaluation.cost
    switch evaluation.result {
    case .success(.bool(true)): return true
    case .success: report(compiled, path, message(compiled, bindings, &budget), &errors)
    case .failure(let error) where error.isCostExceeded:
      report(
        compiled, path,
        "'\(error)': no further validation rules will be run due to call cost exceeds limit for rule: "
          + compiled.rule.shownName, &errors)
      return false
    case .failure(let error):
      let what =
        error.message.hasPrefix("no such overload")
        ? "'\(error)': call arguments did not match a supported operator, function or macro signature for rule: "
        : "\(error) evaluating rule: "
      report(compiled, path, what + compiled.rule.shownName, &errors)
    }
    return true
  }

  private static func budgetSpent(_ path: String) -> FieldError {
    FieldError.invalid(
      path.isEmpty ? "<nil>" : path, "",
      "validation failed due to running out of cost budget, no further validation rules will be run")
  }

  private func message(_ compiled: CompiledRule, _ bindings: CELBindings, _ budget: inout UInt64) -> String {
    if let program = compiled.message {
      let evaluation = program.evaluate(bindings, costLimit: min(CELLimits.costPerCall, budget))
      budget -= min(budget, evaluation.cost)
      if case .success(.string(let text)) = evaluation.result {
        let trimmed = text.trimmed
        if !trimmed.isEmpty, !trimmed.contains("\n"), trimmed.utf8.count <= 5 * 1024 { return trimmed }
      }
    }
    return compiled.rule.message.isEmpty ? "failed rule: \(compiled.rule.rule.trimmed)" : compiled.rule.message.trimmed
  }

  private func report(_ compiled: CompiledRule, _ path: String, _ detail: String, _ errors: inout [FieldError]) {
    let field = (path.isEmpty ? "" : path) + Self.suffix(compiled.rule.fieldPath)
    let place = field.isEmpty ? "<nil>" : field.hasPrefix(".") ? String(field.dropFirst()) : field
    let type = JSONValue.string(schema.isIntOrString ? "" : schema.type)
    switch compiled.rule.reason {
    case "FieldValueForbidden": errors.append(.forbidden(place, detail))
    case "FieldValueRequired": errors.append(.required(place, detail))
    case "FieldValueDuplicate": errors.append(.duplicate(place, type))
    default: errors.append(.invalid(place, type, detail))
    }
  }

  private static func suffix(_ fieldPath: String) -> String {
    let text = fieldPath.trimmed
    return text.isEmpty || text.hasPrefix(".") || text.hasPrefix("[") ? text : ".\(text)"
  }
}

extension StructuralSchema.Rule {
  /// How errors of evaluation name it.
  fileprivate var shownName: String { message.isEmpty ? rule.trimmed : message.trimmed }
}
