// Counters, gauges and histograms, rendered as Prometheus text.
import Synchronization

/// The label values of a series, in the order of the family's label names.
public typealias MetricLabels = [String]

/// One counter or gauge of a family: who counts often keeps it instead of looking for it each time. Any thread.
public final class MetricSeries: Sendable {
  private let stored = Mutex(0.0)
  fileprivate init() {}

  public func add(_ amount: Double = 1) { stored.withLock { $0 += amount } }
  fileprivate func set(_ value: Double) { stored.withLock { $0 = value } }
  fileprivate var value: Double { stored.withLock { $0 } }
}

/// A family of counters or gauges. Any thread.
public final class MetricFamily: Sendable {
  public enum Kind: String, Sendable { case counter, gauge }
  public let name: String
  private let help: String
  private let kind: Kind
  private let labelNames: [String]
  private let values = Mutex<[MetricLabels: MetricSeries]>([:])
  /// Series of one family; more would mean that a label is not bounded, and are counted together under "other".
  private static let seriesMaximum = 20_000

  public init(_ name: String, _ kind: Kind, help: String, labels: [String] = []) {
    self.name = name
    self.help = help
    self.kind = kind
    labelNames = labels
  }

  /// The series with these labels, made when first asked for. It is the family's until `clear`.
  public func series(_ labels: MetricLabels) -> MetricSeries {
    precondition(labels.count == labelNames.count, "labels of \(name)")
    return values.withLock { values in
      if let found = values[labels] { return found }
      let key = values.count < Self.seriesMaximum ? labels : labelNames.map { _ in "other" }
      if let found = values[key] { return found }
      let made = MetricSeries()
      values[key] = made
      return made
    }
  }

  public func add(_ amount: Double = 1, _ labels: MetricLabels = []) { series(labels).add(amount) }

  public func set(_ value: Double, _ labels: MetricLabels = []) { series(labels).set(value) }

  /// Sets every series to nothing: of gauges whose parts are counted anew each time.
  public func zero() { for series in values.withLock({ $0.values }) { series.set(0) } }

  /// Forgets every series: of gauges that are measured anew each time.
  public func clear() { values.withLock { $0.removeAll() } }

  public func render(to out: inout String) {
    let series = values.withLock { $0 }
    guard !series.isEmpty else { return }
    out += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    for (labels, one) in series.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      out += "\(name)\(MetricText.labels(labelNames, labels)) \(MetricText.number(one.value))\n"
    }
  }
}

/// One histogram of a family; as `MetricSeries`. Any thread.
public final class HistogramSeries: Sendable {
  fileprivate struct Observed {
    var counts: [UInt64]
    var sum = 0.0
    var count: UInt64 = 0
  }
  private let bounds: [Double]
  private let stored: Mutex<Observed>

  fileprivate init(bounds: [Double]) {
    self.bounds = bounds
    stored = Mutex(Observed(counts: Array(repeating: 0, count: bounds.count + 1)))
  }

  public func observe(_ value: Double) {
    let bucket = bounds.firstIndex { value <= $0 } ?? bounds.count
    stored.withLock { stored in
      stored.counts[bucket] += 1
      stored.sum += value
      stored.count += 1
    }
  }

  fileprivate var observed: Observed { stored.withLock { $0 } }
}

/// A family of histograms with fixed bounds. Any thread.
public final class HistogramFamily: Sendable {
  public let name: String
  private let help: String
  private let labelNames: [String]
  private let bounds: [Double]
  private let series = Mutex<[MetricLabels: HistogramSeries]>([:])

  public init(_ name: String, help: String, labels: [String] = [], bounds: [Double]) {
    self.name = name
    self.help = help
    labelNames = labels
    self.bounds = bounds
  }

  /// The histogram with these labels, made when first asked for.
  public func series(_ labels: MetricLabels) -> HistogramSeries {
    precondition(labels.count == labelNames.count, "labels of \(name)")
    return series.withLock { series in
      if let found = series[labels] { return found }
      let made = HistogramSeries(bounds: bounds)
      series[labels] = made
      return made
    }
  }

  public func observe(_ value: Double, _ labels: MetricLabels = []) { series(labels).observe(value) }

  public func render(to out: inout String) {
    let all = series.withLock { $0 }
    guard !all.isEmpty else { return }
    out += "# HELP \(name) \(help)\n# TYPE \(name) histogram\n"
    for (labels, series) in all.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      let one = series.observed
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
