// What an expression may name, and the way from its text to a program.

/// A variable that expressions may use.
public struct CELVariable: Sendable {
  public let name: String
  public let schema: CELSchema

  public init(_ name: String, _ schema: CELSchema = .any) {
    self.name = name
    self.schema = schema
  }

  /// A variable of a computed value.
  public init(_ name: String, type: CELType) {
    self.init(name, CELSchema(.declared(type)))
  }
}

/// Variables, functions and macros. A value; make one for every set of variables and keep it.
public struct CELEnvironment: Sendable {
  /// Which libraries an expression may use: what the previous minor version knows too is asked of new expressions, so
  /// that a cluster can go back; what is stored already may use everything.
  public enum Libraries: Sendable {
    case newExpressions
    case storedExpressions
  }

  private let variables: [String: CELVariable]
  private let functions: [String: CELFunction]
  private let macros: MacroSet

  public init(variables: [CELVariable] = [], libraries: Libraries = .newExpressions) {
    self.variables = Dictionary(variables.map { ($0.name, $0) }) { _, last in last }
    functions = libraries == .newExpressions ? Self.common : Self.stored
    macros = MacroSet(hasTwoVariableComprehensions: libraries == .storedExpressions)
  }

  private static let common = Dictionary(
    uniqueKeysWithValues: (StandardFunctions.all + KubernetesLibraries.all).map { ($0.name, $0) })
  private static let stored = common

  func variable(_ name: String) -> CELVariable? { variables[name] }
  func function(_ name: String) -> CELFunction? { functions[name] }

  /// The type of that name, as expressions compare `type(x)` with it.
  func typeNamed(_ name: String) -> CELType? { Self.types[name] }

  private static let types: [String: CELType] = [
    "bool": .bool, "int": .int, "uint": .uint, "double": .double, "string": .string, "bytes": .bytes,
    "null_type": .null, "list": .list(.dyn), "map": .map(.dyn, .dyn), "type": .type(nil),
    "google.protobuf.Timestamp": .timestamp, "google.protobuf.Duration": .duration,
    "optional_type": .optional(.dyn), "kubernetes.URL": .named("kubernetes.URL"),
    "kubernetes.Quantity": .named("kubernetes.Quantity"), "net.IP": .named("net.IP"), "net.CIDR": .named("net.CIDR"),
    "kubernetes.NamedFormat": .named("kubernetes.NamedFormat"),
  ]

  /// Parses, checks and plans an expression. Costly: keep the program.
  public func compile(_ text: String) throws(CELIssues) -> CELProgram {
    let parsed = try Parser.parse(text, macros: macros)
    let checked = try Checker.check(parsed, in: self)
    try LiteralValidation.validate(checked)
    let estimate = CostEstimator.estimate(checked, in: self)
    var planner = Planner(checked, self)
    let node = planner.plan(checked.parsed.root)
    return CELProgram(
      text: text, resultType: checked.resultType, estimatedCost: estimate, node: node, slots: planner.slots,
      variables: planner.variables)
  }
}
