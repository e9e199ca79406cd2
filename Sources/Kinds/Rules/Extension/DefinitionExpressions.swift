// The rules in a definition's schemas (`x-kubernetes-validations`), checked when the definition is written: they must
// compile, and what they may cost in the worst case is bounded, each and together (the reference's figures).
import CEL
import JSON
import Schema

struct DefinitionExpressions {
  /// What one expression may cost at most, by estimate.
  static let costMaximum: UInt64 = 10_000_000
  /// What all expressions of a schema may cost at most, by estimate.
  static let totalCostMaximum: UInt64 = 100_000_000
  /// Bytes of the largest request: bounds how often something may occur.
  private static let requestBytesMaximum: UInt64 = 3 * 1024 * 1024
  /// The dearest expressions that are named when the total is too much.
  private static let namedMaximum = 4

  /// Expressions that a definition held before: they may use what only this version knows.
  struct Known {
    private var rules: Set<String> = []
    private var messages: Set<String> = []

    init(_ definition: JSONValue = .null) {
      for version in definition["spec"]["versions"].elements { collect(version["schema"]["openAPIV3Schema"]) }
    }

    private mutating func collect(_ schema: JSONValue) {
      for rule in schema["x-kubernetes-validations"].elements {
        rules.insert(rule["rule"].text)
        if !rule["messageExpression"].isEmptyValue { messages.insert(rule["messageExpression"].text) }
      }
      for (_, property) in schema["properties"].object ?? [:] { collect(property) }
      for member in ["items", "additionalProperties"] where schema[member].object != nil { collect(schema[member]) }
    }

    func libraries(forRule text: String) -> CELEnvironment.Libraries {
      rules.contains(text) ? .storedExpressions : .newExpressions
    }
    func libraries(forMessage text: String) -> CELEnvironment.Libraries {
      messages.contains(text) ? .storedExpressions : .newExpressions
    }
  }

  private let known: Known
  private let schemaErrors: [FieldError]
  private var errors: [FieldError] = []
  private var total: UInt64 = 0
  private var dearest: [(field: String, cost: UInt64)] = []

  /// Everything wrong with the rules of a schema.
  /// - Parameter schemaErrors: what else is wrong with the schema: rules at or above such a place are not looked at.
  static func errors(
    _ schema: JSONValue, path: String, known: Known, schemaErrors: [FieldError]
  ) -> [FieldError] {
    var expressions = DefinitionExpressions(known: known, schemaErrors: schemaErrors)
    expressions.walk(schema, path, isRoot: true, occurrences: 1, unrelated: nil)
    return expressions.errors + expressions.totalErrors(path)
  }

  private init(known: Known, schemaErrors: [FieldError]) {
    self.known = known
    self.schemaErrors = schemaErrors
  }

  private func totalErrors(_ path: String) -> [FieldError] {
    guard total > Self.totalCostMaximum else { return [] }
    return dearest.map {
      .forbidden($0.field, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema")
    } + [
      .forbidden(
        path,
        Self.tooDear(
          "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", total,
          Self.totalCostMaximum))
    ]
  }

  // MARK: - The walk

  /// - Parameters:
  ///   - occurrences: how often this part may occur in an object; nil: nothing above bounds it.
  ///   - unrelated: the outermost part above whose old and new contents cannot be told to belong together.
  private mutating func walk(
    _ schema: JSONValue, _ path: String, isRoot: Bool, occurrences: UInt64?, unrelated: String?
  ) {
    guard schema.object != nil else { return }
    let below = occurrences.flatMap { count in Self.growth(schema).map { Self.product(count, $0) } }
    if schema["additionalProperties"].object != nil {
      walk(
        schema["additionalProperties"], "\(path).additionalProperties", isRoot: false, occurrences: below,
        unrelated: unrelated)
    }
    let isAtomicMap = !["", "granular", "map"].contains(schema["x-kubernetes-map-type"].text)
    for (name, property) in (schema["properties"].object ?? [:]).sorted(by: { $0.key < $1.key }) {
      walk(
        property, "\(path).properties[\(name)]", isRoot: false, occurrences: below,
        unrelated: unrelated ?? (isAtomicMap ? path : nil))
    }
    let isKeyedList = schema["x-kubernetes-list-type"] == "map"
    walk(
      schema["items"], "\(path).items", isRoot: false, occurrences: below,
      unrelated: unrelated ?? (isKeyedList ? nil : path))
    let rules = schema["x-kubernetes-validations"].elements
    // A schema that is wrong makes for messages that nobody can use.
    guard !rules.isEmpty, !schemaErrors.contains(where: { $0.field.hasPrefix(path) }) else { return }
    check(rules, schema, path, isRoot: isRoot, occurrences: occurrences, unrelated: unrelated)
  }

  /// How many of what is below there may be for each of this; nil: nothing says.
  private static func growth(_ schema: JSONValue) -> UInt64? {
    switch schema["type"].text {
    case "object" where !schema["additionalProperties"].isNull:
      schema["maxProperties"].integer.map { UInt64(max($0, 0)) }
    case "array": schema["maxItems"].integer.map { UInt64(max($0, 0)) }
    default: 1
    }
  }

  private static func product(_ left: UInt64, _ right: UInt64) -> UInt64 {
    let (product, overflow) = left.multipliedReportingOverflow(by: right)
    return overflow ? .max : product
  }

  // MARK: - One schema's rules

  private mutating func check(
    _ rules: [JSONValue], _ schema: JSONValue, _ path: String, isRoot: Bool, occurrences: UInt64?, unrelated: String?
  ) {
    guard let declared = CELSchema.openAPI(schema, isResourceRoot: isRoot) else {
      errors.append(
        FieldError(
          .internalError, field: "\(path).x-kubernetes-validations",
          message: "Internal error: internal error: failed to construct type information for x-kubernetes-validations "
            + "rules: unable to convert structural schema to CEL declarations"))
      return
    }
    // At least a comma stands between two of them.
    let most = occurrences ?? Self.requestBytesMaximum / (declared.serializedSizeMinimum + 1)
    for (index, rule) in rules.enumerated() {
      check(rule, declared, "\(path).x-kubernetes-validations[\(index)]", occurrences: most, unrelated: unrelated)
    }
  }

  private static func environment(
    _ declared: CELSchema, optionalOldSelf: Bool, _ libraries: CELEnvironment.Libraries
  ) -> CELEnvironment {
    let old =
      optionalOldSelf ? CELVariable("oldSelf", type: .optional(declared.type)) : CELVariable("oldSelf", declared)
    return CELEnvironment(variables: [CELVariable("self", declared), old], libraries: libraries)
  }

  private mutating func check(
    _ rule: JSONValue, _ declared: CELSchema, _ place: String, occurrences: UInt64, unrelated: String?
  ) {
    let text = rule["rule"].text
    guard !text.allSatisfy(\.isWhitespace) else { return }
    let optionalOldSelf = rule["optionalOldSelf"].bool
    func wrong(_ member: String, _ detail: String) -> FieldError {
      FieldError(
        .invalid, field: "\(place).\(member)", message: "Invalid value: \(Self.goSyntax(rule)): \(detail)")
    }
    let program: CELProgram
    do throws(CELIssues) {
      let environment = Self.environment(
        declared, optionalOldSelf: optionalOldSelf == true, known.libraries(forRule: text))
      program = try environment.compile(text)
    } catch {
      errors.append(wrong("rule", "compilation failed: \(error)"))
      return finish(usesOldSelf: false, rule, place, unrelated)
    }
    guard program.resultType == .bool else {
      errors.append(wrong("rule", "cel expression must evaluate to a bool"))
      return finish(usesOldSelf: false, rule, place, unrelated)
    }
    weigh(Self.product(program.estimatedCost.maximum, occurrences), "estimated rule cost", "\(place).rule")
    let message = rule["messageExpression"].text
    if !message.allSatisfy(\.isWhitespace) {
      do throws(CELIssues) {
        let environment = Self.environment(
          declared, optionalOldSelf: optionalOldSelf == true, known.libraries(forMessage: message))
        let program = try environment.compile(message)
        if program.resultType == .string {
          weigh(program.estimatedCost.maximum, "estimated messageExpression cost", "\(place).messageExpression")
        } else {
          errors.append(wrong("messageExpression", "messageExpression must evaluate to a string"))
        }
      } catch {
        errors.append(wrong("messageExpression", "messageExpression compilation failed: \(error)"))
      }
    }
    finish(usesOldSelf: program.uses("oldSelf"), rule, place, unrelated)
  }

  /// What may be said of a part as it was only where it is known which part that is.
  private mutating func finish(usesOldSelf: Bool, _ rule: JSONValue, _ place: String, _ unrelated: String?) {
    if usesOldSelf {
      guard let unrelated else { return }
      errors.append(
        .invalid(
          "\(place).rule", rule["rule"],
          "oldSelf cannot be used on the uncorrelatable portion of the schema within \(unrelated)"))
    } else if !rule["optionalOldSelf"].isNull {
      errors.append(
        .invalid(
          "\(place).optionalOldSelf", rule["optionalOldSelf"], "may not be set if oldSelf is not used in rule"))
    }
  }

  // MARK: - Cost

  private mutating func weigh(_ cost: UInt64, _ name: String, _ field: String) {
    if cost > Self.costMaximum { errors.append(.forbidden(field, Self.tooDear(name, cost, Self.costMaximum))) }
    let (sum, overflow) = total.addingReportingOverflow(cost)
    total = overflow ? .max : sum
    // Who takes less than a hundredth is not to blame.
    guard cost >= Self.totalCostMaximum / 100 else { return }
    let position = dearest.firstIndex { $0.cost < cost } ?? dearest.count
    dearest.insert((field, cost), at: position)
    if dearest.count > Self.namedMaximum { dearest.removeLast() }
  }

  private static func tooDear(_ name: String, _ cost: UInt64, _ maximum: UInt64) -> String {
    let factor = Double(cost) / Double(maximum)
    let text =
      factor > 100 ? "more than 100x" : factor < 1.5 ? "\(fixed(factor, digits: 6))x" : "\(fixed(factor, digits: 1))x"
    return "\(name) exceeds budget by factor of \(text) (try simplifying the rule, or adding maxItems, maxProperties, "
      + "and maxLength where arrays, maps, and strings are declared)"
  }

  /// A number of moderate size with so many digits after the point.
  private static func fixed(_ value: Double, digits: Int) -> String {
    let scale = (0..<digits).reduce(Int64(1)) { scale, _ in scale * 10 }
    let scaled = Int64((value * Double(scale)).rounded(.toNearestOrEven))
    let fraction = String(scaled % scale)
    return "\(scaled / scale).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
  }

  /// A rule as Go's fmt prints it with %#v, which is how the reference shows it.
  private static func goSyntax(_ rule: JSONValue) -> String {
    func text(_ member: String) -> String { JSONValue.string(rule[member].text).description }
    let reason =
      rule["reason"].isNull
      ? "(*apiextensions.FieldValueErrorReason)(nil)" : "(*apiextensions.FieldValueErrorReason)(0xc000000000)"
    let optional = rule["optionalOldSelf"].isNull ? "(*bool)(nil)" : "(*bool)(0xc000000000)"
    return "apiextensions.ValidationRule{Rule:\(text("rule")), Message:\(text("message")), "
      + "MessageExpression:\(text("messageExpression")), Reason:\(reason), FieldPath:\(text("fieldPath")), "
      + "OptionalOldSelf:\(optional)}"
  }
}
