// A ValidatingAdmissionPolicy with its expressions compiled: once for every revision.
import CEL
import JSON
import Schema

/// An expression as a policy or webhook has it: a program, or why there is none.
struct CompiledExpression: Sendable {
  let text: String
  let program: Result<CELProgram, ExpressionProblem>

  /// `types`: one of these must come out, by their names.
  init(_ text: String, in environment: CELEnvironment, as types: [CELType]) {
    self.text = text
    do throws(CELIssues) {
      let program = try environment.compile(text)
      guard types.isEmpty || types.contains(program.resultType) else {
        let names = types.map(\.name)
        let wanted = names.count == 1 ? names[0] : "one of [\(names.joined(separator: " "))]"
        self.program = .failure(ExpressionProblem(message: "must evaluate to \(wanted)"))
        return
      }
      self.program = .success(program)
    } catch {
      program = .failure(ExpressionProblem(message: "compilation failed: \(error.description)"))
    }
  }

  var problem: String? { if case .failure(let problem) = program { problem.message } else { nil } }
}

struct ExpressionProblem: Error { let message: String }

struct CompiledPolicy: Sendable {
  struct Named: Sendable {
    let name: String
    let expression: CompiledExpression
  }
  struct Validation: Sendable {
    let expression: CompiledExpression
    let message: String
    let messageExpression: CompiledExpression?
    let reason: String
  }

  let name: String
  let failsOpen: Bool
  let paramKind: JSONValue
  let match: AdmissionMatch
  let conditions: [Named]
  let variables: [Named]
  let validations: [Validation]
  let auditAnnotations: [Named]

  init(_ policy: JSONValue, libraries: CELEnvironment.Libraries = .storedExpressions) {
    let spec = policy["spec"]
    name = policy["metadata"]["name"].string ?? ""
    failsOpen = spec["failurePolicy"].string == "Ignore"
    paramKind = spec["paramKind"]
    match = AdmissionMatch(spec["matchConstraints"])
    let hasParams = !paramKind.isNull
    var declared = AdmissionExpressions.variables(hasParams: hasParams)
    conditions = Self.named(
      spec["matchConditions"], CELEnvironment(variables: declared, libraries: libraries), as: [.bool])
    // Every variable sees those before it.
    var members: [String: CELSchema.Member] = [:]
    var compiled: [Named] = []
    for variable in spec["variables"].elements {
      let name = variable["name"].string ?? ""
      let visible = declared + [CELVariable("variables", Self.variables(members))]
      let expression = CompiledExpression(
        variable["expression"].string ?? "", in: CELEnvironment(variables: visible, libraries: libraries), as: [])
      compiled.append(Named(name: name, expression: expression))
      let type = (try? expression.program.get())?.resultType ?? .dyn
      members[name] = CELSchema.Member(name: name, schema: CELSchema(.declared(type)))
    }
    variables = compiled
    declared.append(CELVariable("variables", Self.variables(members)))
    let environment = CELEnvironment(variables: declared, libraries: libraries)
    let messages = CELEnvironment(
      variables: AdmissionExpressions.variables(hasParams: hasParams, hasAuthorizer: false)
        + [CELVariable("variables", Self.variables(members))], libraries: libraries)
    validations = spec["validations"].elements.map { validation in
      let message = validation["messageExpression"].string ?? ""
      return Validation(
        expression: CompiledExpression(validation["expression"].string ?? "", in: environment, as: [.bool]),
        message: validation["message"].string ?? "",
        messageExpression: message.isEmpty ? nil : CompiledExpression(message, in: messages, as: [.string]),
        reason: validation["reason"].string ?? "Invalid")
    }
    auditAnnotations = spec["auditAnnotations"].elements.map { annotation in
      Named(
        name: annotation["key"].string ?? "",
        expression: CompiledExpression(
          annotation["valueExpression"].string ?? "", in: environment, as: [.string, .null]))
    }
  }

  private static func variables(_ members: [String: CELSchema.Member]) -> CELSchema {
    CELSchema(.object, typeName: "kubernetes.variables", members: members)
  }

  /// `matchConditions`.
  static func named(_ list: JSONValue, _ environment: CELEnvironment, as types: [CELType]) -> [Named] {
    list.elements.map {
      Named(
        name: $0["name"].string ?? "",
        expression: CompiledExpression($0["expression"].string ?? "", in: environment, as: types))
    }
  }
}

/// A ValidatingAdmissionPolicyBinding, read.
struct PolicyBinding: Sendable {
  let name: String
  let policyName: String
  let match: AdmissionMatch
  let paramReference: JSONValue
  let actions: [String]

  init(_ binding: JSONValue) {
    let spec = binding["spec"]
    name = binding["metadata"]["name"].string ?? ""
    policyName = spec["policyName"].string ?? ""
    match = AdmissionMatch(spec["matchResources"], matchesWithoutRules: true)
    paramReference = spec["paramRef"]
    actions = spec["validationActions"].elements.compactMap(\.string)
  }
}
