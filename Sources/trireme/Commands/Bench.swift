import ArgumentParser
import EventLoop
import Glibc
import JSON
import World

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure a Kubernetes endpoint, or the scheduler's decisions alone.",
    subcommands: [BenchEndpoint.self, BenchDecisions.self], defaultSubcommand: BenchEndpoint.self)
}

struct BenchEndpoint: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "endpoint",
    abstract: "Measure a Kubernetes endpoint: requests per second, latencies, processor time.",
    discussion: """
      Closed loops (every client sends, waits, sends again) over HTTP/2 and TLS. Only the public API is used, so any
      Kubernetes endpoint can be measured; etcd-put writes the same bytes into an etcd, by the same client.
      Exit status 1 when a request failed.

        trireme bench --kubeconfig .trireme/kubeconfig --case create-configmap --clients 1,16,64 --seconds 10
      """)

  @Option(help: "Where the endpoint is and who asks.")
  var kubeconfig: String?
  @Option(name: .customLong("server"), help: "https://address:port to ask instead of the kubeconfig's; once for each.")
  var servers: [String] = []
  @Option(help: "Numbers of clients, each a run of its own.")
  var clients = "1,16,64"
  @Option(help: "Length of a run.")
  var seconds = 10
  @Option(
    name: .customLong("case"),
    help: "Cases, separated by commas: \(BenchCase.allCases.map(\.rawValue).joined(separator: ", ")).")
  var cases = "create-configmap,get,list,update"
  @Option(name: .customLong("pid"), help: "A server's process, whose processor time is counted; once for each.")
  var processes: [Int32] = []
  @Option(help: "Process that the case write-gap ends with SIGKILL.")
  var kill: Int32?
  @Option(help: "Name of the measured system in the results.")
  var label = "endpoint"
  @Flag(help: "One line of JSON for each run.")
  var json = false
  @Option(help: "Measure nothing: read such lines from this file and print them as a page of Markdown.")
  var report: String?

  private static let maximumClients = 4096

  private var clientNumbers: [Int] {
    clients.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
  }
  private var chosenCases: [BenchCase?] {
    cases.split(separator: ",", omittingEmptySubsequences: false).map { BenchCase(rawValue: String($0)) }
  }

  func validate() throws {
    guard report == nil else { return }
    if kubeconfig == nil { throw ValidationError("--kubeconfig is needed: it says who asks") }
    if clientNumbers.contains(where: { !(1...Self.maximumClients).contains($0) }) {
      throw ValidationError("--clients must be numbers from 1 to \(Self.maximumClients), such as 1,16,64")
    }
    if !(1...3600).contains(seconds) { throw ValidationError("--seconds must be between 1 and 3600") }
    if chosenCases.contains(nil) { throw ValidationError("--case \(cases): unknown; see trireme bench --help") }
  }

  func run() throws {
    if let report {
      return Terminal.say(try BenchReport(lines: FileSystem.readText(report)).markdown)
    }
    guard let kubeconfig else { throw CommandFailure("--kubeconfig is needed") }
    let (servers, processes, label, victim) = (servers, processes, label, kill)
    let (cases, numbers, time, asJSON) = (
      chosenCases.compactMap { $0 }, clientNumbers, Duration.seconds(seconds), json
    )
    try MainLoop.run { loop in
      let target = try BenchTarget(loop: loop, kubeconfig: kubeconfig, servers: servers, processes: processes)
      let runner = BenchRunner(target: target, label: label, time: time, victim: victim)
      var failed = 0
      for testCase in cases {
        for number in testCase.hasOwnClients ? Array(numbers.prefix(1)) : numbers {
          let result = try await runner.run(testCase, clients: number)
          failed += result.errors
          Terminal.say(asJSON ? result.json.description : result.text)
        }
      }
      if failed > 0 { throw ExitCode(1) }
    }
  }
}
