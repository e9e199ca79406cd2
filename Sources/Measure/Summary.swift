// Runs of the same kind, over all rounds.
import JSON

/// Which runs are of one kind.
public struct RunKey: Hashable, Sendable {
  public var label: String
  public var testCase: String
  public var clients: Int
  public var objects: Int

  public init(_ label: String, _ testCase: String, clients: Int = 0, objects: Int = 0) {
    self.label = label
    self.testCase = testCase
    self.clients = clients
    self.objects = objects
  }

  init(_ result: BenchResult) {
    self.init(result.label, result.testCase, clients: result.clients, objects: result.objects)
  }
}

/// The middle of some runs, and how far they lie apart.
public struct Spread: Hashable, Sendable {
  public var median: Double
  public var lowest: Double
  public var highest: Double

  /// nil without values.
  public init?(_ values: [Double]) {
    guard let lowest = values.min(), let highest = values.max() else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    median = sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    self.lowest = lowest
    self.highest = highest
  }
}

/// All runs of all rounds by their kind, in the order in which kinds came.
public struct Summary: Sendable {
  public private(set) var keys: [RunKey] = []
  private var runs: [RunKey: [BenchResult]] = [:]

  public struct Malformed: Error, CustomStringConvertible {
    public var description: String
  }

  public init(_ results: [BenchResult]) {
    for result in results { add(result) }
  }

  /// `lines`: what `trireme bench --json` printed; anything else is an error.
  public init(lines: String) throws {
    self.init([])
    for line in lines.split(separator: "\n") {
      guard let json = try? JSONValue(parsing: Array(line.utf8)), let result = BenchResult(json: json) else {
        throw Malformed(description: "not a line of `trireme bench --json`: \(line.prefix(120))")
      }
      add(result)
    }
  }

  private mutating func add(_ result: BenchResult) {
    let key = RunKey(result)
    if runs[key] == nil { keys.append(key) }
    runs[key, default: []].append(result)
  }

  public func results(_ key: RunKey) -> [BenchResult] { runs[key] ?? [] }

  /// Of the runs of that kind that have the figure and in which nothing failed: a server that refuses may do so quickly.
  public func spread(_ key: RunKey, _ figure: Figure) -> Spread? {
    Spread(results(key).filter { $0.errors == 0 }.compactMap { figure.value(of: $0) })
  }
}

/// One number of a run.
public enum Figure: Hashable, Sendable {
  case perSecond, p50, p99, p999, maximum
  /// Processor time of servers and client together.
  case allCPUMillis
  case named(String)

  func value(of result: BenchResult) -> Double? {
    switch self {
    case .perSecond: result.requests > 0 ? result.perSecond : nil
    case .p50: result.maximum > 0 ? result.p50 : nil
    case .p99: result.maximum > 0 ? result.p99 : nil
    case .p999: result.maximum > 0 ? result.p999 : nil
    case .maximum: result.maximum > 0 ? result.maximum : nil
    case .allCPUMillis:
      result.figures["serverCPUMillis"].map { $0 + (result.figures["clientCPUMillis"] ?? 0) }
    case .named(let name): result.figures[name]
    }
  }
}
