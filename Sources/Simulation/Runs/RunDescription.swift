// A run as a small text: what the cluster is, what its clients do, what befalls it. Workload times faults, declared.
//
//     # Comment
//     servers 3 5                       one of them, by seed
//     nodes 2
//     disks memory sqlite
//     workloads registers watches       clients' stories (Workloads/); all of them together
//     workloads 2 registers watches …   two of them, by seed
//     safety 30s                        how long faults strike
//     liveness 120s                     how soon after them everything must be well again
//     latency 100us..1ms
//     loops remote                      off: no scheduler and controllers; remote: beside the servers, as a workload
//     tight messages log history        these limits are small in every seed, not by chance
//     fault kill every 8s lasting 200ms..6s
import World

public struct RunDescription: Sendable {
  /// One kind of fault: struck at random times, `every` apart on average, and taken back after a while.
  public struct Fault: Sendable, Hashable {
    public var kind: FaultKind
    public var every: Duration
    public var lasting: ClosedRange<Duration>

    public init(_ kind: FaultKind, every: Duration, lasting: ClosedRange<Duration>) {
      self.kind = kind
      self.every = every
      self.lasting = lasting
    }
  }

  public var name: String
  /// First line of the text's comment: what the run is for.
  public var summary = ""
  /// Whether it is played in turn with the others when no run is named; else only by name.
  public var isInTurn = true
  public var servers = [3]
  public var nodes = 0
  public var runsLoops = true
  public var loopsAreRemote = false
  /// Limits that are small whatever the seed.
  public var tightLimits: Set<TightLimit> = []
  public var disks = [SimulatedCluster.DiskKind.memory]
  public var workloads: [String] = []
  /// How many of the workloads take part, drawn by seed; nil: all.
  public var drawnWorkloads: Int?
  public var safety: Duration = .seconds(30)
  public var liveness: Duration = .seconds(120)
  public var latency: ClosedRange<Duration> = .microseconds(100)...(.milliseconds(1))
  /// How long clients think between requests.
  public var think: ClosedRange<Duration> = .milliseconds(20)...(.milliseconds(200))
  public var faults: [Fault] = []

  /// What is wrong with a text, and where.
  public struct SyntaxError: Error, CustomStringConvertible {
    public var description: String
  }

  public init(name: String, parsing text: String) throws(SyntaxError) {
    self.name = name
    for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let code = line.prefix { $0 != "#" }
      if code.allSatisfy({ $0 == " " }) {
        if summary.isEmpty, let comment = line.firstIndex(of: "#") {
          summary = String(line[line.index(after: comment)...].drop { $0 == " " })
        }
        continue
      }
      do throws(SyntaxError) { try take(code.split(separator: " ").map(String.init)) } catch {
        throw SyntaxError(description: "\(name), line \(number + 1): \(error.description)")
      }
    }
  }

  private mutating func take(_ words: [String]) throws(SyntaxError) {
    let values = Array(words.dropFirst())
    switch words[0] {
    case "servers":
      servers = values.compactMap { Int($0) }
      guard !servers.isEmpty, servers.count == values.count, servers.allSatisfy({ (1...9).contains($0) }) else {
        throw SyntaxError(description: "servers wants numbers from 1 to 9")
      }
    case "nodes": nodes = try Self.number(values)
    case "in-turn": isInTurn = values == ["on"]
    case "loops":
      guard values.count == 1, ["on", "off", "remote"].contains(values[0]) else {
        throw SyntaxError(description: "loops are on, off or remote")
      }
      runsLoops = values != ["off"]
      loopsAreRemote = values == ["remote"]
    case "tight":
      tightLimits = Set(values.compactMap { TightLimit(rawValue: $0) })
      guard !tightLimits.isEmpty, tightLimits.count == values.count else {
        throw SyntaxError(description: "limits that can be tight: \(TightLimit.allCases.map(\.rawValue))")
      }
    case "disks":
      disks = values.compactMap { SimulatedCluster.DiskKind(rawValue: $0) }
      guard !disks.isEmpty, disks.count == values.count else {
        throw SyntaxError(description: "disks are \(SimulatedCluster.DiskKind.allCases.map(\.rawValue))")
      }
    case "workloads":
      drawnWorkloads = values.first.flatMap { Int($0) }
      workloads = drawnWorkloads == nil ? values : Array(values.dropFirst())
      for name in workloads where !WorkloadSet.names.contains(name) {
        throw SyntaxError(description: "no workload \(name); there are \(WorkloadSet.names.joined(separator: " "))")
      }
    case "safety": safety = try Self.duration(values.first)
    case "liveness": liveness = try Self.duration(values.first)
    case "latency": latency = try Self.range(values.first)
    case "think": think = try Self.range(values.first)
    case "fault":
      guard values.count == 5, let kind = FaultKind(rawValue: values[0]), values[1] == "every", values[3] == "lasting"
      else {
        throw SyntaxError(
          description: "a fault is KIND every DURATION lasting DURATION..DURATION; kinds are "
            + FaultKind.allCases.map(\.rawValue).joined(separator: " "))
      }
      faults.append(Fault(kind, every: try Self.duration(values[2]), lasting: try Self.range(values[4])))
    default: throw SyntaxError(description: "unknown word \"\(words[0])\"")
    }
  }

  private static func number(_ values: [String]) throws(SyntaxError) -> Int {
    guard let first = values.first, let number = Int(first) else {
      throw SyntaxError(description: "a number is missing")
    }
    return number
  }

  static func duration(_ text: String?) throws(SyntaxError) -> Duration {
    let text = text ?? ""
    let digits = text.prefix { $0.isNumber }
    guard let number = Int64(digits) else {
      throw SyntaxError(description: "\"\(text)\" is no duration: 200ms, 5s, 2m")
    }
    switch text.dropFirst(digits.count) {
    case "us": return .microseconds(number)
    case "ms": return .milliseconds(number)
    case "s": return .seconds(number)
    case "m": return .seconds(number * 60)
    default: throw SyntaxError(description: "\"\(text)\" is no duration: 200ms, 5s, 2m")
    }
  }

  static func range(_ text: String?) throws(SyntaxError) -> ClosedRange<Duration> {
    let text = text ?? ""
    guard let dots = text.range(ofDots: ()) else {
      let exact = try duration(text)
      return exact...exact
    }
    let (low, high) = (try duration(String(text[..<dots.lowerBound])), try duration(String(text[dots.upperBound...])))
    guard low <= high else { throw SyntaxError(description: "\"\(text)\" is empty") }
    return low...high
  }
}

extension String {
  /// Where ".." stands.
  fileprivate func range(ofDots: Void) -> Range<String.Index>? {
    var index = startIndex
    while index < endIndex {
      let next = self.index(after: index)
      if next < endIndex, self[index] == ".", self[next] == "." { return index..<self.index(after: next) }
      index = next
    }
    return nil
  }
}
