// Label selectors: the query string and the object form, matching, canonical text.
import JSON

/// A conjunction of requirements on labels.
public struct LabelSelector: Sendable, Hashable, CustomStringConvertible {
  public enum Operator: String, Sendable {
    case `in` = "in"
    case notIn = "notin"
    case equals = "="
    case doubleEquals = "=="
    case notEquals = "!="
    case exists = "exists"
    case doesNotExist = "!"
    case greaterThan = "gt"
    case lessThan = "lt"
  }

  public struct Requirement: Sendable, Hashable {
    public let key: String
    public let `operator`: Operator
    /// Sorted, each once.
    public let values: [String]

    /// Checks key, values and their number.
    public init(key: String, operator: Operator, values: [String]) throws(LabelSelectorError) {
      self.key = key
      self.operator = `operator`
      self.values = Set(values).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
      try check()
    }
    /// For requirements known to be well-formed.
    fileprivate init(unchecked key: String, _ operator: Operator, _ values: [String]) {
      self.key = key
      self.operator = `operator`
      self.values = values
    }
  }

  public private(set) var requirements: [Requirement]
  /// The selector of an absent `LabelSelector` object.
  public let matchesNothing: Bool

  public static let everything = LabelSelector(requirements: [])
  public static let nothing = LabelSelector(requirements: [], matchesNothing: true)

  public init(requirements: [Requirement], matchesNothing: Bool = false) {
    self.requirements = requirements.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    self.matchesNothing = matchesNothing
  }

  /// Parses the query form: `a=b,c!=d,e in (f,g),h,!i`.
  public init(parsing text: String) throws(LabelSelectorError) {
    var parser = LabelSelectorParser(text)
    self.init(requirements: try parser.parse())
  }

  /// Every one of these labels with exactly this value.
  public init(matchLabels: [String: String]) {
    self.init(requirements: matchLabels.map { Requirement(unchecked: $0.key, .equals, [$0.value]) })
  }

  public var isEverything: Bool { requirements.isEmpty && !matchesNothing }

  public func matches(_ labels: [String: String]) -> Bool { matches { labels[$0] } }

  /// `labels` is the object of labels, or null.
  public func matches(_ labels: JSONValue) -> Bool { matches { labels[$0].string } }

  /// `value` returns the value of a label, nil when it is absent.
  public func matches(_ value: (String) -> String?) -> Bool {
    !matchesNothing && requirements.allSatisfy { $0.matches(value($0.key)) }
  }

  /// The canonical text: keys in order, values in order.
  public var description: String { requirements.map(\.description).joined(separator: ",") }
}

/// Why a selector is none, in the reference's words.
public struct LabelSelectorError: Error, Sendable, Hashable, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

extension LabelSelector.Requirement: CustomStringConvertible {
  public func matches(_ value: String?) -> Bool {
    switch `operator` {
    case .in, .equals, .doubleEquals: value.map(values.contains) ?? false
    case .notIn, .notEquals: value.map { !values.contains($0) } ?? true
    case .exists: value != nil
    case .doesNotExist: value == nil
    case .greaterThan, .lessThan:
      if let number = value.flatMap({ Int64($0) }), let bound = values.first.flatMap({ Int64($0) }) {
        `operator` == .greaterThan ? number > bound : number < bound
      } else {
        false
      }
    }
  }

  public var description: String {
    let list = values.joined(separator: ",")
    return switch `operator` {
    case .exists: key
    case .doesNotExist: "!\(key)"
    case .equals: "\(key)=\(list)"
    case .doubleEquals: "\(key)==\(list)"
    case .notEquals: "\(key)!=\(list)"
    case .greaterThan: "\(key)>\(list)"
    case .lessThan: "\(key)<\(list)"
    case .in: "\(key) in (\(list))"
    case .notIn: "\(key) notin (\(list))"
    }
  }

  fileprivate func check() throws(LabelSelectorError) {
    var errors: [String] = []
    let keyErrors = Validate.qualifiedName(key)
    if !keyErrors.isEmpty {
      errors.append(FieldErrorText.invalid("key", .string(key), keyErrors.joined(separator: "; ")))
    }
    let list = JSONValue.array(values.map { .string($0) })
    switch `operator` {
    case .in, .notIn:
      if values.isEmpty {
        errors.append(
          FieldErrorText.invalid("values", list, "for 'in', 'notin' operators, values set can't be empty"))
      }
    case .equals, .doubleEquals, .notEquals:
      if values.count != 1 {
        errors.append(FieldErrorText.invalid("values", list, "exact-match compatibility requires one single value"))
      }
    case .exists, .doesNotExist:
      if !values.isEmpty {
        errors.append(FieldErrorText.invalid("values", list, "values set must be empty for exists and does not exist"))
      }
    case .greaterThan, .lessThan:
      if values.count != 1 {
        errors.append(
          FieldErrorText.invalid("values", list, "for 'Gt', 'Lt' operators, exactly one value is required"))
      }
      for (index, value) in values.enumerated() where Int64(value) == nil {
        errors.append(
          FieldErrorText.invalid(
            "values[\(index)]", .string(value), "for 'Gt', 'Lt' operators, the value must be an integer"))
      }
    }
    for (index, value) in values.enumerated() {
      let valueErrors = Validate.labelValue(value)
      if !valueErrors.isEmpty {
        errors.append(
          FieldErrorText.invalid("values[\(index)][\(key)]", .string(value), valueErrors.joined(separator: "; ")))
      }
    }
    if errors.count == 1 { throw LabelSelectorError(errors[0]) }
    if !errors.isEmpty { throw LabelSelectorError("[\(errors.joined(separator: ", "))]") }
  }
}

/// A field error as one line: `field: Invalid value: …`.
enum FieldErrorText {
  static func invalid(_ field: String, _ value: JSONValue, _ detail: String) -> String {
    let error = FieldError.invalid(field, value, detail)
    return "\(error.field): \(error.message)"
  }
}

// MARK: The object form

extension LabelSelector {
  /// From a `meta/v1 LabelSelector` object: null selects nothing, an empty one everything.
  public init(_ object: JSONValue) throws(LabelSelectorError) {
    guard case .object = object else {
      self = .nothing
      return
    }
    var requirements: [Requirement] = []
    if case .object(let labels) = object["matchLabels"] {
      for (key, value) in labels {
        requirements.append(try Requirement(key: key, operator: .in, values: [value.string ?? ""]))
      }
    }
    for expression in object["matchExpressions"].elements {
      let name = expression["operator"].string ?? ""
      let parsed: Operator? =
        switch name {
        case "In": .in
        case "NotIn": .notIn
        case "Exists": .exists
        case "DoesNotExist": .doesNotExist
        default: nil
        }
      guard let parsed else { throw LabelSelectorError("\"\(name)\" is not a valid label selector operator") }
      let values = expression["values"].elements.compactMap(\.string)
      requirements.append(try Requirement(key: expression["key"].string ?? "", operator: parsed, values: values))
    }
    // `a in (b)` reads and prints as `a=b`.
    self.init(
      requirements: requirements.map {
        $0.operator == .in && $0.values.count == 1 ? Requirement(unchecked: $0.key, .equals, $0.values) : $0
      })
  }
}
