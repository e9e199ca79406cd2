// Counters, gauges and histograms of the server, rendered as Prometheus text.
import Synchronization

/// The label values of a series, in the order of the family's label names.
typealias MetricLabels = [String]

/// A family of counters or gauges. Any thread.
final class MetricFamily: Sendable {
  enum Kind: String, Sendable { case counter, gauge }
  let name: String
  private let help: String
  private let kind: Kind
  private let labelNames: [String]
  private let values = Mutex<[MetricLabels: Double]>([:])
  /// Series of one family; more would mean that a label is not bounded, and are counted together under "other".
  private static let seriesMaximum = 20_000

  init(_ name: String, _ kind: Kind, help: String, labels: [String] = []) {
    self.name = name
    self.kind = kind
    self.help = help
    labelNames = labels
  }

  func add(_ amount: Double = 1, _ labels: MetricLabels = []) {
    precondition(labels.count == labelNames.count, "labels of \(name)")
    values.withLock { values in
      let isKnown = values[labels] != nil || values.count < Self.seriesMaximum
      values[isKnown ? labels : labelNames.map { _ in "other" }, default: 0] += amount
    }
  }

  func set(_ value: Double, _ labels: MetricLabels = []) {
    values.withLock { $0[labels] = value }
  }

  func render(to out: inout String) {
    let series = values.withLock { $0 }
    guard !series.isEmpty else { return }
    out += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    for (labels, value) in series.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      out += "\(name)\(MetricText.labels(labelNames, labels)) \(MetricText.number(value))\n"
    }
  }
}

/// A family of histograms with fixed bounds. Any thread.
final class HistogramFamily: Sendable {
  private struct Series {
    var counts: [UInt64]
    var sum = 0.0
    var count: UInt64 = 0
  }
  let name: String
  private let help: String
  private let labelNames: [String]
  private let bounds: [Double]
  private let series = Mutex<[MetricLabels: Series]>([:])

  init(_ name: String, help: String, labels: [String], bounds: [Double]) {
    self.name = name
    self.help = help
    labelNames = labels
    self.bounds = bounds
  }

  func observe(_ value: Double, _ labels: MetricLabels) {
    precondition(labels.count == labelNames.count, "labels of \(name)")
    let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
    series.withLock { series in
      series[labels, default: Series(counts: Array(repeating: 0, count: bounds.count + 1))].counts[bucket] += 1
      series[labels]!.sum += value
      series[labels]!.count += 1
    }
  }

  func render(to out: inout String) {
    let all = series.withLock { $0 }
    guard !all.isEmpty else { return }
    out += "# HELP \(name) \(help)\n# TYPE \(name) histogram\n"
    for (labels, one) in all.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      var total: UInt64 = 0
      for (index, count) in one.counts.enumerated() {
        total += count
        let bound = index < bounds.count ? MetricText.number(bounds[index]) : "+Inf"
        out += "\(name)_bucket\(MetricText.labels(labelNames + ["le"], labels + [bound])) \(total)\n"
      }
      out += "\(name)_sum\(MetricText.labels(labelNames, labels)) \(one.sum)\n"
      out += "\(name)_count\(MetricText.labels(labelNames, labels)) \(one.count)\n"
    }
  }
}

enum MetricText {
  static func labels(_ names: [String], _ values: [String]) -> String {
    guard !names.isEmpty else { return "" }
    let pairs = zip(names, values).map { "\($0)=\"\(escaped($1))\"" }
    return "{\(pairs.joined(separator: ","))}"
  }

  static func number(_ value: Double) -> String { Int64(exactly: value).map { String($0) } ?? "\(value)" }

  private static func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\\": out += "\\\\"
      case "\"": out += "\\\""
      case "\n": out += "\\n"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}

/// The metrics of an API server, under the names of the reference.
final class ServerMetrics: Sendable {
  let requests = MetricFamily(
    "apiserver_request_total", .counter, help: "Requests, by verb, resource and HTTP code.",
    labels: ["verb", "group", "version", "resource", "subresource", "code"])
  let durations = HistogramFamily(
    "apiserver_request_duration_seconds", help: "Time to answer, long-running requests excepted.",
    labels: ["verb", "group", "resource", "subresource"],
    bounds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])
  let inFlight = MetricFamily(
    "apiserver_current_inflight_requests", .gauge, help: "Requests being answered.", labels: ["request_kind"])
  let rejected = MetricFamily(
    "apiserver_flowcontrol_rejected_requests_total", .counter, help: "Requests refused with 429.",
    labels: ["priority_level", "flow_schema", "reason"])
  let dispatched = MetricFamily(
    "apiserver_flowcontrol_dispatched_requests_total", .counter, help: "Requests that got their seats.",
    labels: ["priority_level", "flow_schema"])
  let executing = MetricFamily(
    "apiserver_flowcontrol_current_executing_seats", .gauge, help: "Seats in use.", labels: ["priority_level"])
  let nominalSeats = MetricFamily(
    "apiserver_flowcontrol_nominal_limit_seats", .gauge, help: "Seats that are the level's own.",
    labels: ["priority_level"])
  let inQueue = MetricFamily(
    "apiserver_flowcontrol_current_inqueue_requests", .gauge, help: "Requests that wait for seats.",
    labels: ["priority_level"])
  let queueWaits = HistogramFamily(
    "apiserver_flowcontrol_request_wait_duration_seconds", help: "Time that requests waited for seats.",
    labels: ["priority_level", "flow_schema", "execute"],
    bounds: [0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15])
  let unavailableAPIs = MetricFamily(
    "aggregator_unavailable_apiservice", .gauge, help: "APIServices that are not available now: 1.", labels: ["name"])
  let unavailableAPIChecks = MetricFamily(
    "aggregator_unavailable_apiservice_total", .counter, help: "Checks that found an APIService not to be available.",
    labels: ["name", "reason"])
  let watches = MetricFamily(
    "apiserver_longrunning_requests", .gauge, help: "Watches being served.", labels: ["verb"])

  func render() -> String {
    var out = ""
    requests.render(to: &out)
    durations.render(to: &out)
    inFlight.render(to: &out)
    for family in [rejected, dispatched, executing, nominalSeats, inQueue] { family.render(to: &out) }
    queueWaits.render(to: &out)
    for family in [watches, unavailableAPIs, unavailableAPIChecks] { family.render(to: &out) }
    return out
  }
}
