// What one run of one case found, as a line of JSON: written by `trireme bench --json`, read again by its report.
import JSON

struct BenchResult: Sendable {
  var label: String
  var testCase: String
  var clients: Int
  var requests = 0
  /// Answers that were not what the case wanted; a result with errors is no result.
  var errors = 0
  var firstError = ""
  var seconds = 0.0
  var p50 = 0.0
  var p99 = 0.0
  var p999 = 0.0
  var maximum = 0.0
  /// Of all server processes that were named, for 1,000 requests; nil when none was.
  var serverCPUSeconds: Double?

  var perSecond: Double { seconds > 0 ? Double(requests) / seconds : 0 }

  init(label: String, testCase: String, clients: Int) {
    self.label = label
    self.testCase = testCase
    self.clients = clients
  }

  mutating func take(_ latencies: LatencyHistogram) {
    p50 = latencies.milliseconds(at: 0.5)
    p99 = latencies.milliseconds(at: 0.99)
    p999 = latencies.milliseconds(at: 0.999)
    maximum = latencies.milliseconds(at: 1)
  }

  var json: JSONValue {
    [
      "label": .string(label), "case": .string(testCase), "clients": .integer(Int64(clients)),
      "requests": .integer(Int64(requests)), "errors": .integer(Int64(errors)), "firstError": .string(firstError),
      "seconds": .double(seconds), "perSecond": .double(perSecond), "p50Milliseconds": .double(p50),
      "p99Milliseconds": .double(p99), "p999Milliseconds": .double(p999), "maximumMilliseconds": .double(maximum),
      "serverCPUSecondsPer1000": serverCPUSeconds.map { .double($0) } ?? .null,
    ]
  }

  init?(json: JSONValue) {
    guard let label = json["label"].string, let testCase = json["case"].string, let clients = json["clients"].integer
    else { return nil }
    self.init(label: label, testCase: testCase, clients: Int(clients))
    func number(_ key: String) -> Double? {
      if case .double(let value) = json[key] { value } else { json[key].integer.map { Double($0) } }
    }
    requests = Int(json["requests"].integer ?? 0)
    errors = Int(json["errors"].integer ?? 0)
    firstError = json["firstError"].string ?? ""
    seconds = number("seconds") ?? 0
    p50 = number("p50Milliseconds") ?? 0
    p99 = number("p99Milliseconds") ?? 0
    p999 = number("p999Milliseconds") ?? 0
    maximum = number("maximumMilliseconds") ?? 0
    serverCPUSeconds = number("serverCPUSecondsPer1000")
  }

  var text: String {
    let cpu = serverCPUSeconds.map { ", \(decimal($0, 3)) s of server CPU per 1,000" } ?? ""
    let failed = errors > 0 ? ", \(errors) ERRORS (\(firstError))" : ""
    return "\(label) \(testCase), \(clients) clients: \(decimal(perSecond, 0))/s, p50 \(decimal(p50, 2)) ms, "
      + "p99 \(decimal(p99, 2)) ms, p999 \(decimal(p999, 2)) ms, max \(decimal(maximum, 2)) ms\(cpu)\(failed)"
  }
}

/// `value` with `places` digits after the point.
func decimal(_ value: Double, _ places: Int) -> String {
  var scale = 1.0
  for _ in 0..<places { scale *= 10 }
  let scaled = Int64((value * scale).rounded())
  guard places > 0 else { return "\(scaled)" }
  let digits = "\(scaled.magnitude % UInt64(scale))"
  return "\(scaled < 0 ? "-" : "")\(scaled.magnitude / UInt64(scale))."
    + String(repeating: "0", count: places - digits.count) + digits
}
