// What a function is: its overloads for the checker, its body for the interpreter.

/// One signature of a function.
struct CELOverload: Sendable {
  let id: String
  /// Called as `target.name(…)`; the target is the first parameter.
  let isMember: Bool
  let parameters: [CELType]
  let result: CELType

  init(_ id: String, _ parameters: [CELType], _ result: CELType, isMember: Bool = false) {
    self.id = id
    self.isMember = isMember
    self.parameters = parameters
    self.result = result
  }

  static func member(_ id: String, _ parameters: [CELType], _ result: CELType) -> CELOverload {
    CELOverload(id, parameters, result, isMember: true)
  }
}

/// A function with all its overloads. The body tells them apart by the arguments it is given, the target first.
struct CELFunction: Sendable {
  typealias Body = @Sendable ([CELValue]) throws(CELError) -> CELValue

  let name: String
  let overloads: [CELOverload]
  let body: Body

  init(_ name: String, _ overloads: [CELOverload], _ body: @escaping Body) {
    self.name = name
    self.overloads = overloads
    self.body = body
  }
}

extension CELValue {
  static func count(_ value: Int) -> CELValue { .int(Int64(value)) }

  var text: String? { if case .string(let value) = self { value } else { nil } }
  var integer: Int64? { if case .int(let value) = self { value } else { nil } }
}
