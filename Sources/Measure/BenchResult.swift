// What one run of one case found, as a line of JSON: written by `trireme bench --json`, read again by its report.
import JSON

public struct BenchResult: Sendable {
  public var label: String
  public var testCase: String
  public var clients: Int
  /// Objects of the collection that was asked for; 0 where that does not matter.
  public var objects: Int
  public var requests = 0
  /// Answers that were not what the case wanted; a result with errors is no result.
  public var errors = 0
  public var firstError = ""
  public var seconds = 0.0
  public var p50 = 0.0
  public var p99 = 0.0
  public var p999 = 0.0
  public var maximum = 0.0
  /// What else this case found, by name: "serverCPUMillis", "clientCPUMillis", "fsyncsPerWrite", "mebibytes", …
  public var figures: [String: Double] = [:]

  public init(label: String, testCase: String, clients: Int, objects: Int = 0) {
    self.label = label
    self.testCase = testCase
    self.clients = clients
    self.objects = objects
  }

  public var perSecond: Double { seconds > 0 ? Double(requests) / seconds : 0 }

  public mutating func take(_ latencies: LatencyHistogram) {
    p50 = latencies.milliseconds(at: 0.5)
    p99 = latencies.milliseconds(at: 0.99)
    p999 = latencies.milliseconds(at: 0.999)
    maximum = latencies.milliseconds(at: 1)
  }

  public var json: JSONValue {
    var others = JSONObject()
    for (name, value) in figures.sorted(by: { $0.key < $1.key }) { others[name] = .double(value) }
    return [
      "label": .string(label), "case": .string(testCase), "clients": .integer(Int64(clients)),
      "objects": .integer(Int64(objects)), "requests": .integer(Int64(requests)), "errors": .integer(Int64(errors)),
      "firstError": .string(firstError), "seconds": .double(seconds), "perSecond": .double(perSecond),
      "p50Milliseconds": .double(p50), "p99Milliseconds": .double(p99), "p999Milliseconds": .double(p999),
      "maximumMilliseconds": .double(maximum), "figures": .object(others),
    ]
  }

  public init?(json: JSONValue) {
    guard let label = json["label"].string, let testCase = json["case"].string, let clients = json["clients"].integer
    else { return nil }
    self.init(
      label: label, testCase: testCase, clients: Int(clients), objects: Int(json["objects"].integer ?? 0))
    requests = Int(json["requests"].integer ?? 0)
    errors = Int(json["errors"].integer ?? 0)
    firstError = json["firstError"].string ?? ""
    seconds = Self.number(json["seconds"]) ?? 0
    p50 = Self.number(json["p50Milliseconds"]) ?? 0
    p99 = Self.number(json["p99Milliseconds"]) ?? 0
    p999 = Self.number(json["p999Milliseconds"]) ?? 0
    maximum = Self.number(json["maximumMilliseconds"]) ?? 0
    for (name, value) in json["figures"].object ?? JSONObject() { figures[name] = Self.number(value) }
  }

  private static func number(_ value: JSONValue) -> Double? {
    if case .double(let number) = value { number } else { value.integer.map { Double($0) } }
  }

  public var text: String {
    var parts = ["\(label) \(testCase)"]
    if clients > 0 { parts.append("\(clients) clients") }
    if objects > 0 { parts.append("\(objects) objects") }
    var values: [String] = []
    if requests > 0 {
      values = [
        "\(decimal(perSecond, perSecond < 100 ? 1 : 0))/s", "p50 \(decimal(p50, 2)) ms", "p99 \(decimal(p99, 2)) ms",
        "p999 \(decimal(p999, 2)) ms", "max \(decimal(maximum, 2)) ms",
      ]
    }
    values += figures.sorted { $0.key < $1.key }.map { "\($0.key) \(decimal($0.value, 3))" }
    if errors > 0 { values.append("\(errors) ERRORS (\(firstError))") }
    return "\(parts.joined(separator: ", ")): \(values.joined(separator: ", "))"
  }
}

/// `value` with `places` digits after the point.
public func decimal(_ value: Double, _ places: Int) -> String {
  guard value.isFinite, abs(value) < 1e15 else { return "–" }
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = Int64((value * scale).rounded())
  guard places > 0 else { return "\(scaled)" }
  let digits = "\(scaled.magnitude % UInt64(scale))"
  return "\(scaled < 0 ? "-" : "")\(scaled.magnitude / UInt64(scale))."
    + String(repeating: "0", count: places - digits.count) + digits
}
