import ArgumentParser
import EventLoop
import Glibc
import JSON
import Measure
import World

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure a Kubernetes endpoint, or the scheduler's decisions alone.",
    subcommands: [BenchEndpoint.self, BenchDecisions.self, BenchReportCommand.self],
    defaultSubcommand: BenchEndpoint.self)
}

struct BenchEndpoint: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "endpoint",
    abstract: "Measure a Kubernetes endpoint: requests per second, latencies, processor time.",
    discussion: """
      Closed loops (every client sends, waits, sends again), or an open one with --rate (requests begin by the clock, and
      latencies count from there), over TLS and HTTP/2 (HTTP/1.1 with --http1). Only the public API is used, so any
      Kubernetes endpoint can be measured; etcd-put writes the same bytes into an etcd, by the same client.
      Exit status 1 when a request failed.

        trireme bench --kubeconfig .trireme/kubeconfig --case create-configmap --clients 1,16,64 --seconds 10
        trireme bench --kubeconfig .trireme/kubeconfig --case get --clients 64 --rate 5000
      """)

  @Option(help: "Where the endpoint is and who asks.")
  var kubeconfig: String?
  @Option(name: .customLong("server"), help: "https://address:port to ask instead of the kubeconfig's; once for each.")
  var servers: [String] = []
  @Option(help: "Numbers of clients, each a run of its own.")
  var clients = "1,16,64"
  @Option(help: "Numbers of objects for lists, collections and memory, each a run of its own (default: 1000).")
  var objects: String?
  @Option(help: "Watchers of the case watch; one in a hundred is slow.")
  var watchers = 100
  @Option(help: "Length of a run.")
  var seconds = 10
  @Option(help: "Requests per second of an open loop.")
  var rate: Double?
  @Flag(help: "HTTP/1.1, a connection for each client, in place of HTTP/2.")
  var http1 = false
  @Option(
    name: .customLong("case"),
    help: "Cases, separated by commas: \(BenchCase.allCases.map(\.rawValue).joined(separator: ", ")).")
  var cases = "create-configmap,get,list,update-configmap"
  @Option(name: .customLong("pid"), help: "A server's process, whose processor time is counted; once for each.")
  var processes: [Int32] = []
  @Option(help: "Process that the case write-gap ends with SIGKILL.")
  var kill: Int32?
  @Option(
    name: .customLong("pid-file"), help: "File with the number of a process whose start the case ready counts from.")
  var pidFiles: [String] = []
  @Flag(help: "Leave the objects of the cases where they are.")
  var keepObjects = false
  @Option(help: "Name of the measured system in the results.")
  var label = "endpoint"
  @Flag(help: "One line of JSON for each run.")
  var json = false

  private static let maximumClients = 4096
  private static let maximumObjects = 10_000_000
  private static let maximumWatchers = 100_000

  private func numbers(_ text: String) -> [Int] {
    text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) ?? 0 }
  }
  private var chosenCases: [BenchCase?] {
    cases.split(separator: ",", omittingEmptySubsequences: false).map { BenchCase(rawValue: String($0)) }
  }

  func validate() throws {
    if kubeconfig == nil { throw ValidationError("--kubeconfig is needed: it says who asks") }
    if numbers(clients).contains(where: { !(1...Self.maximumClients).contains($0) }) {
      throw ValidationError("--clients must be numbers from 1 to \(Self.maximumClients), such as 1,16,64")
    }
    if let objects, numbers(objects).contains(where: { !(1...Self.maximumObjects).contains($0) }) {
      throw ValidationError("--objects must be numbers from 1 to \(Self.maximumObjects), such as 1000,10000")
    }
    if !(1...Self.maximumWatchers).contains(watchers) {
      throw ValidationError("--watchers must be between 1 and \(Self.maximumWatchers)")
    }
    if let rate, !(rate > 0 && rate <= 1_000_000) { throw ValidationError("--rate must be between 0 and 1000000") }
    if !(1...3600).contains(seconds) { throw ValidationError("--seconds must be between 1 and 3600") }
    for (name, value) in zip(cases.split(separator: ","), chosenCases) where value == nil {
      throw ValidationError("--case \(name): unknown; see trireme bench --help")
    }
    if chosenCases.contains(nil) { throw ValidationError("--case \(cases): see trireme bench --help") }
    for chosen in chosenCases.compactMap({ $0 }) {
      switch chosen {
      case .writeGap, .etcdWriteGap:
        if kill == nil { throw ValidationError("--case \(chosen.rawValue) needs --kill PID: which server is to die") }
      case .ready:
        if pidFiles.isEmpty { throw ValidationError("--case ready needs --pid-file: whose start is looked for") }
      case .memory, .memoryPods:
        if processes.isEmpty {
          throw ValidationError("--case \(chosen.rawValue) needs --pid: whose memory is asked for")
        }
      default: break
      }
    }
  }

  func run() throws {
    guard let kubeconfig else { throw CommandFailure("--kubeconfig is needed") }
    var settings = BenchSettings()
    settings.label = label
    settings.time = .seconds(seconds)
    settings.rate = rate
    settings.http2 = !http1
    settings.watchers = watchers
    settings.victim = kill
    settings.pidFiles = pidFiles
    settings.keepsObjects = keepObjects
    let (servers, processes, asJSON, chosen) = (servers, processes, json, settings)
    let (cases, clientNumbers, objectNumbers) = (
      chosenCases.compactMap { $0 }, numbers(clients), objects.map(numbers)
    )
    try MainLoop.run { loop in
      let target = try BenchTarget(loop: loop, kubeconfig: kubeconfig, servers: servers, processes: processes)
      let runner = BenchRunner(target: target, settings: chosen)
      // What answers nobody is not measured case by case. Servers that are about to start do not answer yet.
      if cases.contains(where: { $0 != .ready }) { try await target.checkThatAllAnswer(http2: chosen.http2) }
      var failed = 0
      for testCase in cases {
        for count in testCase.hasObjects ? objectNumbers ?? [testCase == .ready ? 0 : 1000] : [0] {
          for number in testCase.hasClients ? clientNumbers : [0] {
            var result = runner.empty(testCase, clients: number, objects: count)
            do {
              result = try await runner.run(testCase, into: result)
            } catch {
              // The other cases can be measured all the same.
              result.errors = 1
              result.firstError = "\(error)"
            }
            failed += result.errors
            Terminal.say(asJSON ? result.json.description : result.text)
          }
        }
      }
      if failed > 0 { throw ExitCode(1) }
    }
  }
}
