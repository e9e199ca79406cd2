// Expressions in policies and webhooks are compiled when they are written: what is wrong with them is told with their
// fields.
import CEL
import JSON
import Schema

/// Refuses policies, webhooks and their like whose expressions do not compile.
public struct ExpressionValidation: ValidatingAdmission {
  public let name = "ExpressionValidation"

  public init() {}

  public func handles(_ operation: AdmissionOperation, _ resource: GroupResource, subresource: String) -> Bool {
    resource.group == ValidatingAdmissionPolicies.group && subresource.isEmpty
      && (operation == .create || operation == .update)
  }

  public func validate(_ request: AdmissionRequest, objects: ObjectLookup) async throws(APIStatus) -> AdmissionVerdict {
    let object = request.object
    // What is stored already may use what only this version knows; it is not judged again.
    if !request.oldObject.isNull, object["spec"] == request.oldObject["spec"],
      object["webhooks"] == request.oldObject["webhooks"]
    {
      return .allowed
    }
    var errors: [FieldError] = []
    switch request.resource.resource {
    case "validatingadmissionpolicies": errors = Self.policy(object)
    case "validatingwebhookconfigurations", "mutatingwebhookconfigurations": errors = Self.webhooks(object)
    default: break
    }
    guard errors.isEmpty else {
      throw .invalid(request.kind, object["metadata"]["name"].string ?? request.name, errors)
    }
    return .allowed
  }

  private static func check(_ expression: CompiledExpression, _ field: String, _ errors: inout [FieldError]) {
    guard !expression.text.trimmed.isEmpty, let problem = expression.problem else { return }
    errors.append(.invalid(field, .string(expression.text), problem))
  }

  /// Without the white space around them, as the reference checks match conditions and values of annotations.
  private static func trimmed(_ list: JSONValue, _ member: String) -> JSONValue {
    .array(
      list.elements.map { element in
        var element = element
        if let text = element[member].string { element[member] = .string(text.trimmed) }
        return element
      })
  }

  private static func policy(_ object: JSONValue) -> [FieldError] {
    var object = object
    object["spec"]["matchConditions"] = trimmed(object["spec"]["matchConditions"], "expression")
    object["spec"]["auditAnnotations"] = trimmed(object["spec"]["auditAnnotations"], "valueExpression")
    let policy = CompiledPolicy(object, libraries: .newExpressions)
    var errors: [FieldError] = []
    for (index, condition) in policy.conditions.enumerated() {
      check(condition.expression, "spec.matchConditions[\(index)].expression", &errors)
    }
    for (index, variable) in policy.variables.enumerated() {
      check(variable.expression, "spec.variables[\(index)].expression", &errors)
    }
    for (index, validation) in policy.validations.enumerated() {
      check(validation.expression, "spec.validations[\(index)].expression", &errors)
      if let message = validation.messageExpression {
        check(message, "spec.validations[\(index)].messageExpression", &errors)
      }
    }
    for (index, annotation) in policy.auditAnnotations.enumerated() {
      check(annotation.expression, "spec.auditAnnotations[\(index)].valueExpression", &errors)
    }
    return errors
  }

  private static func webhooks(_ object: JSONValue) -> [FieldError] {
    let environment = CELEnvironment(variables: AdmissionExpressions.variables(hasParams: false))
    var errors: [FieldError] = []
    for (number, webhook) in object["webhooks"].elements.enumerated() {
      let conditions = CompiledPolicy.named(
        trimmed(webhook["matchConditions"], "expression"), environment, as: [.bool])
      for (index, condition) in conditions.enumerated() {
        check(condition.expression, "webhooks[\(number)].matchConditions[\(index)].expression", &errors)
      }
    }
    return errors
  }
}

extension String {
  /// Without white space at either end.
  var trimmed: String {
    var text = Substring(self)
    while text.first?.isWhitespace == true { text.removeFirst() }
    while text.last?.isWhitespace == true { text.removeLast() }
    return String(text)
  }
}
