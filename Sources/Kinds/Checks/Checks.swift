// Gathering what is wrong with an object. Paths are closures: nothing is formatted for what is right.
import JSON
import Schema

/// Field errors in order of discovery.
struct Checks {
  typealias Path = () -> String
  private(set) var errors: [FieldError] = []

  mutating func report(_ error: FieldError) { errors.append(error) }
  mutating func report(_ others: [FieldError]) { errors += others }

  mutating func required(_ path: String, _ detail: String = "") { errors.append(.required(path, detail)) }
  mutating func invalid(_ path: String, _ value: JSONValue, _ detail: String) {
    errors.append(.invalid(path, value, detail))
  }
  /// A value as Go prints it, where that is what people know from the reference.
  mutating func invalid(_ path: String, goValue: String, _ detail: String) {
    let end = detail.isEmpty ? "" : ": \(detail)"
    errors.append(FieldError(.invalid, field: path, message: "Invalid value: \(goValue)\(end)"))
  }
  mutating func forbidden(_ path: String, _ detail: String) { errors.append(.forbidden(path, detail)) }
  mutating func duplicate(_ path: String, _ value: JSONValue) { errors.append(.duplicate(path, value)) }
  mutating func notSupported(_ path: String, _ value: JSONValue, _ supported: [String]) {
    errors.append(.notSupported(path, value.isNull ? "" : value, supported: supported))
  }
  mutating func notSupported(_ path: String, goValue: String, _ supported: [String]) {
    let list = supported.map(GoSyntax.quoted).joined(separator: ", ")
    errors.append(
      FieldError(
        .notSupported, field: path, message: "Unsupported value: \(goValue): supported values: \(list)"))
  }
  /// Wrong as a whole: no value is shown.
  mutating func invalid(_ path: String, _ detail: String) {
    errors.append(FieldError(.invalid, field: path, message: "Invalid value: \(detail)"))
  }

  // MARK: Shapes of single values

  /// Text that a rule finds nothing wrong with; absent text is "".
  mutating func text(_ value: JSONValue, _ path: @autoclosure Path, _ rule: (String) -> [String]) {
    let text = value.string ?? ""
    for message in rule(text) { errors.append(.invalid(path(), .string(text), message)) }
  }

  /// Text that is there and that a rule finds nothing wrong with.
  mutating func requiredText(_ value: JSONValue, _ path: @autoclosure Path, _ rule: (String) -> [String] = { _ in [] })
  {
    guard let text = value.string, !text.isEmpty else { return required(path()) }
    for message in rule(text) { errors.append(.invalid(path(), .string(text), message)) }
  }

  /// One of these texts; absent is an error too, unless `orAbsent`.
  mutating func oneOf(
    _ value: JSONValue, _ path: @autoclosure Path, _ supported: [String], orAbsent: Bool = false
  ) {
    guard let text = value.string, !text.isEmpty else {
      if !orAbsent { required(path()) }
      return
    }
    if !supported.contains(text) { errors.append(.notSupported(path(), value, supported: supported)) }
  }

  /// One of these texts; absent is as wrong as any other.
  mutating func choice(_ value: JSONValue, _ path: @autoclosure Path, _ supported: [String]) {
    if !supported.contains(value.text) { notSupported(path(), value, supported) }
  }

  static let negativeMessage = "must be greater than or equal to 0"
  static let immutableMessage = "field is immutable"

  mutating func nonNegative(_ value: JSONValue, _ path: @autoclosure Path) {
    if let number = value.integer, number < 0 { invalid(path(), value, Self.negativeMessage) }
  }
  mutating func inRange(_ value: JSONValue, _ path: @autoclosure Path, _ range: ClosedRange<Int64>) {
    guard let number = value.integer, !range.contains(number) else { return }
    invalid(path(), value, Self.rangeMessage(range))
  }
  static func rangeMessage(_ range: ClosedRange<Int64>) -> String {
    "must be between \(range.lowerBound) and \(range.upperBound), inclusive"
  }
  mutating func port(_ value: JSONValue, _ path: @autoclosure Path) {
    inRange(.integer(value.integer ?? 0), path(), 1...65535)
  }

  mutating func immutable(_ new: JSONValue, _ old: JSONValue, _ path: @autoclosure Path) {
    if new != old { invalid(path(), new, Self.immutableMessage) }
  }

  /// A port number, or the name of one.
  mutating func portOrName(_ value: JSONValue, _ path: @autoclosure Path) {
    if value.string != nil { text(value, path(), Self.portName) } else { port(value, path()) }
  }

  /// An integer of at least 0, or a percentage.
  mutating func nonNegativeIntOrPercent(_ value: JSONValue, _ path: @autoclosure Path) {
    if let text = value.string {
      guard Self.percent(text) == nil else { return }
      invalid(
        path(), goValue: GoSyntax.intOrString(value),
        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used "
          + "for validation is '[0-9]+%')")
    } else {
      nonNegative(value, path())
    }
  }

  /// The number before "%"; nil for anything else.
  static func percent(_ text: String) -> Int64? {
    guard text.hasSuffix("%"), text.count > 1, text.dropLast().allSatisfy({ $0.isASCII && $0.isNumber }) else {
      return nil
    }
    return Int64(text.dropLast())
  }

  static func portName(_ name: String) -> [String] { Validate.portName(name) }

  // MARK: Addresses

  mutating func address(_ value: JSONValue, _ path: @autoclosure Path) {
    guard IPAddress(value.string ?? "") == nil else { return }
    invalid(path(), value.isNull ? "" : value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
  }
  mutating func addressBlock(_ value: JSONValue, _ path: @autoclosure Path) {
    guard CIDR(value.string ?? "") == nil else { return }
    invalid(path(), value.isNull ? "" : value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
  }

  // MARK: Labels

  /// Keys and values of labels, selectors of labels, node selectors.
  mutating func labels(_ value: JSONValue, _ path: @autoclosure Path) {
    for (key, value) in value.object ?? [:] {
      text(.string(key), path(), Validate.qualifiedName)
      text(value, path(), Validate.labelValue)
    }
  }

  mutating func annotations(_ value: JSONValue, _ path: @autoclosure Path) {
    var total = 0
    for (key, value) in value.object ?? [:] {
      text(.string(key), path()) { Validate.qualifiedName($0.lowercased()) }
      total += key.utf8.count + (value.string ?? "").utf8.count
    }
    if total > Validate.annotationsMaximum {
      report(.tooLong(path(), maximumBytes: Validate.annotationsMaximum))
    }
  }

  /// A `meta/v1 LabelSelector`.
  mutating func labelSelector(_ selector: JSONValue, _ path: String) {
    labels(selector["matchLabels"], "\(path).matchLabels")
    for (index, expression) in selector["matchExpressions"].elements.enumerated() {
      let place = "\(path).matchExpressions[\(index)]"
      let values = expression["values"].elements
      switch expression["operator"].string ?? "" {
      case "In", "NotIn":
        if values.isEmpty {
          required("\(place).values", "must be specified when `operator` is 'In' or 'NotIn'")
        }
      case "Exists", "DoesNotExist":
        if !values.isEmpty {
          forbidden("\(place).values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        }
      default:
        invalid(
          "\(place).operator", expression["operator"].isNull ? "" : expression["operator"],
          "not a valid selector operator")
      }
      text(expression["key"], "\(place).key", Validate.qualifiedName)
      for (number, value) in values.enumerated() {
        text(value, "\(place).values[\(number)]", Validate.labelValue)
      }
    }
  }
}

extension JSONValue {
  /// Absent, or the empty value of its type.
  var isEmptyValue: Bool {
    switch self {
    case .null: true
    case .string(let text): text.isEmpty
    case .array(let items): items.isEmpty
    case .object(let members): members.isEmpty
    case .bool(let value): !value
    case .integer(let value): value == 0
    case .double(let value): value == 0
    }
  }
  /// Fills in a value where there is none.
  mutating func setDefault(_ value: @autoclosure () -> JSONValue) { if isNull { self = value() } }
  /// Fills in text where there is none or an empty one.
  mutating func setDefaultText(_ value: @autoclosure () -> String) {
    if isNull || self == "" { self = .string(value()) }
  }
  /// Text, or "".
  var text: String { string ?? "" }
}
