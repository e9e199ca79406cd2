// Node selectors, as pods, volumes and daemons choose nodes by them.
import JSON

/// A node selector: terms joined by OR, requirements in a term by AND (spec/6 §6.1, NodeAffinity).
public struct NodeSelector: Sendable {
  public struct Requirement: Sendable {
    public enum Operation: String, Sendable {
      case isIn = "In", notIn = "NotIn", exists = "Exists", doesNotExist = "DoesNotExist", greater = "Gt", less = "Lt"
    }
    public var key: String
    public var operation: Operation
    public var values: [String]

    public init?(json: JSONValue) {
      guard let operation = json["operator"].string.flatMap(Operation.init(rawValue:)) else { return nil }
      key = json["key"].string ?? ""
      self.operation = operation
      values = json["values"].elements.compactMap(\.string)
    }

    public func matches(_ value: String?) -> Bool {
      switch operation {
      case .isIn: value.map(values.contains) ?? false
      case .notIn: value.map { !values.contains($0) } ?? true
      case .exists: value != nil
      case .doesNotExist: value == nil
      case .greater: compare(value, >)
      case .less: compare(value, <)
      }
    }

    private func compare(_ value: String?, _ holds: (Int64, Int64) -> Bool) -> Bool {
      guard let left = value.flatMap({ Int64($0) }), let right = values.first.flatMap({ Int64($0) }) else {
        return false
      }
      return holds(left, right)
    }
  }

  public struct Term: Sendable {
    public var expressions: [Requirement]
    public var fields: [Requirement]
    /// A requirement that could not be read makes the whole term match nothing.
    public var isValid: Bool

    public init(json: JSONValue) {
      let expressionElements = json["matchExpressions"].elements
      let fieldElements = json["matchFields"].elements
      expressions = expressionElements.compactMap(Requirement.init(json:))
      fields = fieldElements.compactMap(Requirement.init(json:))
      isValid =
        expressions.count == expressionElements.count && fields.count == fieldElements.count
        && !(expressions.isEmpty && fields.isEmpty)
    }

    public func matches(name: String, labels: [String: String]) -> Bool {
      isValid && expressions.allSatisfy { $0.matches(labels[$0.key]) }
        && fields.allSatisfy { $0.matches($0.key == "metadata.name" ? name : nil) }
    }
  }

  public var terms: [Term]

  /// Nil for null: no selector selects everything.
  public init?(json: JSONValue) {
    guard !json.isNull else { return nil }
    terms = json["nodeSelectorTerms"].elements.map(Term.init(json:))
  }

  /// Whether it selects the node of that name and these labels.
  public func matches(name: String, labels: [String: String]) -> Bool {
    terms.contains { $0.matches(name: name, labels: labels) }
  }
}
