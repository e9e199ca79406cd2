import ArgumentParser
import EventLoop
import World

struct BenchDecisions: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "decisions", abstract: "Measure how many pods a second the scheduler decides for.",
    discussion: """
      Only the decisions: no API, no disk, one thread. Every pod is decided for on a cluster that holds all pods before it.

        trireme bench decisions --nodes 1000,5000 --pods 5000
      """)

  @Option(help: "Numbers of nodes, each a run of its own.")
  var nodes = "1000,5000"
  @Option(help: "Pods to decide for; with anti-affinity at most one a node finds a place.")
  var pods = 5000

  private var nodeNumbers: [Int] {
    nodes.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
  }

  func validate() throws {
    if nodeNumbers.contains(where: { !(1...100_000).contains($0) }) {
      throw ValidationError("--nodes must be numbers from 1 to 100000, such as 1000,5000")
    }
    if !(1...1_000_000).contains(pods) { throw ValidationError("--pods must be between 1 and 1000000") }
  }

  func run() throws {
    let (numbers, pods) = (nodeNumbers, pods)
    try MainLoop.run { loop in
      Self.say("CASE", "NODES", "PODS", "PLACED", "PODS/S", "REFERENCE'S FLOOR")
      for count in numbers {
        for decisionCase in DecisionCase.allCases {
          let number = decisionCase.placesOneANode ? min(pods, count) : pods
          let (time, placed) = SchedulingDecisions(nodeCount: count, podCount: number).run(decisionCase, in: loop)
          Self.say(
            decisionCase.rawValue, "\(count)", "\(number)", "\(placed)", "\(Int(Double(number) / time.inSeconds))",
            decisionCase.referenceFloor.isEmpty ? "-" : decisionCase.referenceFloor)
        }
      }
    }
  }

  /// One line as soon as it is known: a table of known widths.
  private static func say(_ cells: String...) {
    let widths = [28, 8, 8, 8, 10, 0]
    Terminal.say(zip(cells, widths).map { $0 + String(repeating: " ", count: max(0, $1 - $0.count)) }.joined())
  }
}
