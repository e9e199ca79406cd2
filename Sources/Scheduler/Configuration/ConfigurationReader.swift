// Strict reading of configuration files: what is unknown or of another type is an error, all of them told at once.
import JSON
import Schema

struct ConfigurationReader {
  private var problems: [String]

  init(problems: [String] = []) { self.problems = problems }

  func end() throws {
    guard problems.isEmpty else {
      throw SchedulerConfigurationError("strict decoding error: \(problems.joined(separator: ", "))")
    }
  }

  mutating func report(_ problem: String) { problems.append(problem) }

  /// An object that has members of these names only; null for none.
  mutating func object(_ json: JSONValue, _ path: String, _ known: Set<String>) -> JSONValue {
    guard !json.isNull else { return .null }
    guard let object = json.object else {
      problems.append("\(path): expected an object, got \(json.description)")
      return .null
    }
    for (name, _) in object where !known.contains(name) {
      problems.append("unknown field \"\(path.isEmpty ? name : "\(path).\(name)")\"")
    }
    return json
  }

  mutating func list(_ json: JSONValue, _ path: String) -> [JSONValue] {
    guard !json.isNull else { return [] }
    guard case .array(let elements) = json else {
      problems.append("\(path): expected a list, got \(json.description)")
      return []
    }
    return elements
  }
}

/// Durations as Go writes them: "15s", "1m30s", "1.5h", "300ms".
enum GoDuration {
  private static let units: [(name: String, nanoseconds: Double)] = [
    ("ns", 1), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9),
  ]

  /// Nil for anything else.
  static func parse(_ text: String) -> Duration? {
    if text == "0" { return .zero }
    var rest = text[...]
    let isNegative = rest.hasPrefix("-")
    if isNegative || rest.hasPrefix("+") { rest = rest.dropFirst() }
    guard !rest.isEmpty else { return nil }
    var nanoseconds = 0.0
    while !rest.isEmpty {
      let number = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
      rest = rest.dropFirst(number.count)
      let unit = rest.prefix { !($0.isASCII && $0.isNumber || $0 == ".") }
      rest = rest.dropFirst(unit.count)
      guard let value = Double(number), let scale = units.first(where: { $0.name == unit })?.nanoseconds else {
        return nil
      }
      nanoseconds += value * scale
    }
    guard nanoseconds < 9e18 else { return nil }
    return .nanoseconds(Int64(isNegative ? -nanoseconds : nanoseconds))
  }
}
