// What a structural schema says is wrong with an object, in the words of the reference's OpenAPI validator.
import JSON

extension StructuralSchema {
  /// Everything wrong with a custom resource beside its metadata and its rules: types and values, embedded resources,
  /// lists that are sets or maps.
  /// - Parameter old: the object as it was; parts that have not changed are not held against the client (ratcheting).
  public func validate(_ object: JSONValue, old: JSONValue? = nil) -> [FieldError] {
    var validator = StructuralValidator()
    validator.validate(object, old: old, self)
    var errors = validator.outcome.errors
    if hasEmbeddedResources { StructuralParts.embeddedErrors(object, self, &errors) }
    if hasKeyedLists { StructuralParts.listErrors(object, old: old, self, &errors) }
    return errors.all
  }
}

/// One walk through an object.
private struct StructuralValidator {
  /// What a schema found; how much of it applied decides which of several alternatives is reported.
  struct Outcome {
    var errors = StructuralErrors()
    var matches = 0
    var isValid: Bool { errors.all.isEmpty }
    mutating func merge(_ other: Outcome) {
      errors.append(other.errors.all)
      matches += other.matches
    }
  }

  var outcome = Outcome()
  private var path = StructuralPlace()

  init() {}

  private mutating func invalid(_ value: JSONValue, _ what: String) {
    outcome.errors.report { [path] in
      let place = path.text
      return .invalid(place, value, "\(place) in body \(what)")
    }
  }

  /// Found where the reference does not know the field.
  private mutating func invalidSomewhere(_ message: (_ place: String) -> String) {
    outcome.errors.report { [path] in
      FieldError(.invalid, field: "<nil>", message: "Invalid value: \"\": \(message(path.text))")
    }
  }

  private mutating func typeInvalid(_ value: String, expected: String) {
    outcome.errors.report { [path] in
      let place = path.text
      return .typeInvalid(
        place, .string(value), "\(place) in body must be of type \(expected): \(JSONValue.string(value))")
    }
  }

  mutating func validate(_ value: JSONValue, old: JSONValue?, _ schema: StructuralSchema) {
    if let old, old == value { return }
    outcome.matches += 3
    checkType(value, schema)
    junctions(value, old: old, schema)
    switch value {
    case .string(let text): checkText(text, schema)
    case .integer, .double: checkNumber(value, schema)
    case .array(let items): checkArray(items, old: old, schema)
    case .object(let object): checkObject(object, old: old, schema)
    case .null, .bool: break
    }
  }

  // MARK: Types

  private static func typeName(_ value: JSONValue) -> String {
    switch value {
    case .null: "null"
    case .bool: "boolean"
    case .integer: "integer"
    case .double: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
  }

  private mutating func checkType(_ value: JSONValue, _ schema: StructuralSchema) {
    let expected = schema.isIntOrString ? "integer,string" : schema.type
    if !expected.isEmpty, !Self.isOfType(value, expected, schema) {
      typeInvalid(Self.typeName(value), expected: expected)
    }
    guard !schema.enumeration.isEmpty, !(value.isNull && schema.isNullable) else { return }
    outcome.matches += 1
    guard !schema.enumeration.contains(where: { Self.equals($0, value) }) else { return }
    outcome.errors.report { [path] in
      .notSupported(path.text, value, supported: schema.enumeration.map { $0.string ?? $0.description })
    }
  }

  private static func isOfType(_ value: JSONValue, _ expected: String, _ schema: StructuralSchema) -> Bool {
    switch value {
    case .null: schema.isNullable
    case .integer: expected == "integer" || expected == "number" || schema.isIntOrString
    case .double(let number):
      expected == "number" || ((expected == "integer" || schema.isIntOrString) && Int64(exactly: number) != nil)
    case .string: expected == "string" || schema.isIntOrString
    default: expected == typeName(value)
    }
  }

  private static func equals(_ left: JSONValue, _ right: JSONValue) -> Bool {
    if left == right { return true }
    switch (left, right) {
    case (.integer(let left), .double(let right)): return Double(left) == right
    case (.double(let left), .integer(let right)): return left == Double(right)
    default: return false
    }
  }

  // MARK: Junctions

  private func tried(_ value: JSONValue, _ old: JSONValue?, _ schema: StructuralSchema) -> Outcome {
    var other = self
    other.outcome = Outcome()
    other.validate(value, old: old, schema)
    return other.outcome
  }

  private mutating func junctions(_ value: JSONValue, old: JSONValue?, _ schema: StructuralSchema) {
    if !schema.anyOf.isEmpty { anyOf(value, old, schema.anyOf) }
    if !schema.oneOf.isEmpty { oneOf(value, old, schema.oneOf) }
    if !schema.allOf.isEmpty { allOf(value, old, schema.allOf) }
    if let not = schema.not, tried(value, old, not).isValid {
      invalidSomewhere { "\"\($0)\" must not validate the schema (not)" }
    }
  }

  private mutating func anyOf(_ value: JSONValue, _ old: JSONValue?, _ schemas: [StructuralSchema]) {
    var best: Outcome?
    for schema in schemas {
      let result = tried(value, old, schema)
      if result.isValid { return }
      if result.matches > best?.matches ?? -1 { best = result }
    }
    invalidSomewhere { "\"\($0)\" must validate at least one schema (anyOf)" }
    if let best { outcome.merge(best) }
  }

  private mutating func oneOf(_ value: JSONValue, _ old: JSONValue?, _ schemas: [StructuralSchema]) {
    var best: Outcome?
    var count = 0
    for schema in schemas {
      let result = tried(value, old, schema)
      if result.isValid {
        count += 1
        best = nil
      } else if count == 0, result.matches > best?.matches ?? -1 {
        best = result
      }
    }
    guard count != 1 else { return }
    let found = count == 0 ? "Found none valid" : "Found \(count) valid alternatives"
    invalidSomewhere { "\"\($0)\" must validate one and only one schema (oneOf). \(found)" }
    if let best { outcome.merge(best) }
  }

  private mutating func allOf(_ value: JSONValue, _ old: JSONValue?, _ schemas: [StructuralSchema]) {
    var count = 0
    for schema in schemas {
      let result = tried(value, old, schema)
      if result.isValid { count += 1 }
      outcome.merge(result)
    }
    guard count < schemas.count else { return }
    invalidSomewhere { "\"\($0)\" must validate all the schemas (allOf)\(count == 0 ? ". None validated" : "")" }
  }

  // MARK: Texts and numbers

  private mutating func checkText(_ text: String, _ schema: StructuralSchema) {
    outcome.matches += 1
    let hasLength = schema.maxLength != nil || schema.minLength != nil
    let length = hasLength ? Int64(text.unicodeScalars.count) : 0
    if let maximum = schema.maxLength, length > maximum {
      outcome.errors.report { [path] in .tooLong(path.text, maximumBytes: Int(clamping: maximum)) }
    }
    if let minimum = schema.minLength, length < minimum {
      invalid(.string(text), "should be at least \(minimum) chars long")
    }
    if let expression = schema.expression, !expression.matches(text) {
      invalid(.string(text), "should match '\(schema.pattern)'")
    }
    guard !schema.format.isEmpty else { return }
    if StructuralFormat.holds(text, schema.format) == false { typeInvalid(text, expected: schema.format) }
  }

  private static func double(_ value: JSONValue) -> Double {
    switch value {
    case .integer(let number): Double(number)
    case .double(let number): number
    default: 0
    }
  }

  /// -1, 0, 1; exact for integers.
  private static func compare(_ left: JSONValue, _ right: JSONValue) -> Int {
    if case .integer(let left) = left, case .integer(let right) = right {
      return left < right ? -1 : left > right ? 1 : 0
    }
    let (left, right) = (double(left), double(right))
    return left < right ? -1 : left > right ? 1 : 0
  }

  /// A limit as Go prints it.
  private static func text(_ value: JSONValue) -> String {
    if case .double(let number) = value, let whole = Int64(exactly: number) { return String(whole) }
    return value.description
  }

  private mutating func checkNumber(_ value: JSONValue, _ schema: StructuralSchema) {
    outcome.matches += 1
    if schema.format == "int32", let number = value.integer, Int32(exactly: number) == nil {
      invalidSomewhere { "Checked value must be of type \(schema.type) with format int32 in \($0)" }
    }
    if let factor = schema.multipleOf {
      let quotient = Self.double(value) / Self.double(factor)
      if quotient.rounded() != quotient { invalid(value, "should be a multiple of \(Self.text(factor))") }
    }
    if let maximum = schema.maximum {
      let order = Self.compare(value, maximum)
      if order > 0 || (order == 0 && schema.isMaximumExclusive) {
        invalid(value, "should be less than \(schema.isMaximumExclusive ? "" : "or equal to ")\(Self.text(maximum))")
      }
    }
    if let minimum = schema.minimum {
      let order = Self.compare(value, minimum)
      if order < 0 || (order == 0 && schema.isMinimumExclusive) {
        invalid(
          value, "should be greater than \(schema.isMinimumExclusive ? "" : "or equal to ")\(Self.text(minimum))")
      }
    }
  }

  // MARK: Arrays and objects

  private mutating func checkArray(_ items: [JSONValue], old: JSONValue?, _ schema: StructuralSchema) {
    outcome.matches += 1
    if let element = schema.items {
      let former = StructuralIdentity.formerItems(old, schema)
      for (index, item) in items.enumerated() {
        path.steps.append(.element(index))
        validate(item, old: former.flatMap { $0[StructuralIdentity.of(item, schema)] }, element)
        path.steps.removeLast()
      }
    }
    let count = Int64(items.count)
    if let minimum = schema.minItems, count < minimum {
      invalid(.integer(count), "should have at least \(minimum) items")
    }
    if let maximum = schema.maxItems, count > maximum {
      outcome.errors.report { [path] in .tooMany(path.text, actual: items.count, maximum: Int(clamping: maximum)) }
    }
  }

  private mutating func checkObject(_ object: JSONObject, old: JSONValue?, _ schema: StructuralSchema) {
    outcome.matches += 1
    let count = Int64(object.count)
    if let minimum = schema.minProperties, count < minimum {
      invalid(.integer(count), "should have at least \(minimum) properties")
    }
    if let maximum = schema.maxProperties, count > maximum {
      outcome.errors.report { [path] in .tooMany(path.text, actual: object.count, maximum: Int(clamping: maximum)) }
    }
    for name in schema.required where object[name] == nil {
      path.steps.append(.member(name))
      outcome.errors.report { [path] in .required(path.text) }
      path.steps.removeLast()
    }
    let former = old?.object
    for (name, value) in object {
      guard let member = schema.member(name) else {
        if case .none = schema.additionalProperties, schema.properties[name] == nil {
          path.steps.append(.member(name))
          invalid("", "is a forbidden property")
          path.steps.removeLast()
        }
        continue
      }
      path.steps.append(.member(name))
      validate(value, old: former?[name], member)
      path.steps.removeLast()
    }
  }
}

/// Where in an object: a text only when somebody asks. A key may be a megabyte long and have a hundred thousand items
/// below it, each with a place of its own.
struct StructuralPlace {
  enum Step {
    case member(String)
    case element(Int)
  }
  var steps: [Step] = []

  var text: String {
    var text = ""
    for step in steps {
      switch step {
      case .member(let name): text += text.isEmpty ? name : ".\(name)"
      case .element(let index): text += "[\(index)]"
      }
    }
    return text
  }

  func member(_ name: String) -> String { steps.isEmpty ? name : "\(text).\(name)" }
}

/// What is wrong with one object, up to a bound: a small object under a large schema, or under a long key, has more
/// that is wrong with it than memory holds.
struct StructuralErrors {
  private(set) var all: [FieldError] = []
  private var room = JSONLimits.reportedBytesMaximum

  /// Nothing more is said once there is none.
  var hasRoom: Bool { room > 0 }

  /// The error is made only when there is room for it.
  mutating func report(_ make: () -> FieldError) {
    guard room > 0 else { return }
    append(make())
  }

  mutating func append(_ errors: [FieldError]) {
    for error in errors where room > 0 { append(error) }
  }

  private mutating func append(_ error: FieldError) {
    room -= error.field.utf8.count + error.message.utf8.count
    all.append(error)
  }
}
