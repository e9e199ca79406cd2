// `trireme sim`: the whole control plane in one process, by seed.
import ArgumentParser
import Glibc
import Simulation
import World

struct Sim: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Simulate whole clusters under every fault, and check them.",
    discussion: """
      Every run is decided by its seed: the same seed gives the same run, event by event.

        trireme sim                      fresh seeds for five minutes
        trireme sim --minutes 60         … for an hour
        trireme sim --seed 42            one run, and the hash of its trace
        trireme sim --list               the runs that come with the program
      """)

  @Option(help: "Replay this seed.") var seed: UInt64?
  @Option(help: "A built-in run, or a file that describes one (default: the built-in runs in turn).")
  var workload: String?
  @Option(help: "Servers, whatever the run says.") var servers: Int?
  @Option(help: "Run fresh seeds for so long.") var minutes: Double?
  @Option(help: "Run so many seeds.") var seeds: Int?
  @Option(help: "The first of the seeds (default: drawn).") var from: UInt64?
  @Option(help: "Processes at a time.") var jobs = 1
  @Flag(help: "Show the runs that come with the program.") var list = false
  @Flag(help: "Print what happens as it happens.") var trace = false
  @Flag(help: "Print every timer and every message.") var events = false
  @Option(help: .hidden) var child: Int?
  @Flag(help: "Play against every planted bug, and print the mutation score (a build with TRIREME_MUTANTS=1).")
  var mutants = false
  @Option(help: "Plant this bug (several: for --mutants, the ones to play against).") var mutant: [String] = []

  func validate() throws {
    if let servers, !(1...9).contains(servers) { throw ValidationError("--servers wants a number from 1 to 9") }
    if !(1...16).contains(jobs) { throw ValidationError("--jobs wants a number from 1 to 16") }
  }

  func run() throws {
    if list { return showList() }
    let runs = try descriptions()
    // Sets and dictionaries have an order of their own in every process unless told otherwise.
    guard getenv("SWIFT_DETERMINISTIC_HASHING") != nil else { try SimulationProcess.replaceItself() }
    if mutants {
      return try MutationScore(
        arguments: workload.map { ["--workload", $0] } ?? [], only: mutant, jobs: jobs, first: from ?? 1,
        budget: seeds ?? 60
      ).run()
    }
    if let mutant = mutant.first, !Mutants.plant(mutant) {
      throw CommandFailure("no mutant \(mutant) in this build (deploy/mutants.sh makes one that has them)")
    }
    if let child { return playSeeds(runs, from: from ?? 1, count: child) }
    if let seed { return try replay(runs[Int(seed % UInt64(runs.count))], seed) }
    try SimulationFleet(
      arguments: workload.map { ["--workload", $0] } ?? [], servers: servers, jobs: jobs, first: from, seeds: seeds,
      minutes: minutes ?? (seeds == nil ? 5 : nil)
    ).run()
  }

  private func showList() {
    for run in RunDescription.builtIn {
      print("\(run.name): \(run.summary)\(run.isInTurn ? "" : " (only with --workload \(run.name))")")
      print("    servers \(run.servers), disks \(run.disks.map(\.rawValue)), nodes \(run.nodes), \(run.safety)")
      print("    workloads \(run.workloads.joined(separator: " "))")
      print("    faults \(run.faults.map(\.kind.rawValue).joined(separator: " "))")
    }
  }

  private func descriptions() throws -> [RunDescription] {
    var runs = RunDescription.builtIn.filter(\.isInTurn)
    if let workload {
      if let known = RunDescription.builtIn(named: workload) {
        runs = [known]
      } else {
        runs = [try RunDescription(name: workload, parsing: try SimulationProcess.readText(workload))]
      }
    }
    guard let servers else { return runs }
    return runs.map { run in
      var run = run
      run.servers = [servers]
      return run
    }
  }

  private func replay(_ description: RunDescription, _ seed: UInt64) throws {
    let run = SimulationRun(description, seed: seed)
    if trace || events { run.cluster.journal.onLine = { print($0) } }
    if events { run.cluster.simulator.onEvent = { print($0) } }
    let begun = SimulationProcess.processorSeconds()
    let report = run.play()
    let took = SimulationProcess.processorSeconds() - begun
    if report.violation != nil, !trace { for line in report.journal.suffix(60) { print(line) } }
    print(
      "seed \(seed) of \(report.name): \(report.violation.map { "VIOLATION: \($0)" } ?? "all invariants hold")")
    print(
      "trace \(hexadecimal(report.traceHash)) over \(report.events) events; \(report.steps) steps, \(report.answered) requests, "
        + "\(report.faults) faults, "
        + "\(report.virtualTime.inSeconds.rounded()) s of virtual time in "
        + SimulationSpeed(virtualSeconds: report.virtualTime.inSeconds, processorSeconds: took).description)
    if report.violation != nil { throw ExitCode(1) }
  }

  /// Plays seeds one after the other and says what came of each, for the process that started this one.
  private func playSeeds(_ runs: [RunDescription], from first: UInt64, count: Int) {
    SimulationProcess.boundMemory()
    for seed in first..<(first + UInt64(count)) {
      // The rest is for a process with memory that is not full of dead servers.
      if seed > first, SimulationProcess.residentBytes() > SimulationProcess.enoughBytes { return }
      SimulationProcess.say("begin \(seed)")
      let begun = SimulationProcess.processorSeconds()
      let report = SimulationRun(runs[Int(seed % UInt64(runs.count))], seed: seed).play()
      let took = Int((SimulationProcess.processorSeconds() - begun) * 1e9)
      if let violation = report.violation {
        SimulationProcess.say("bad \(seed) \(violation.replacing("\n", with: " "))")
        for line in report.journal.suffix(25) { SimulationProcess.say("| \(line)") }
      }
      for (kind, count) in report.faultCounts.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
        SimulationProcess.say("struck \(count) \(kind.rawValue)")
      }
      SimulationProcess.say(
        "end \(seed) \(report.virtualTime.wholeNanoseconds) \(report.steps) \(report.faults) \(report.answered) \(took) \(report.name)"
      )
    }
  }

  private func hexadecimal(_ value: UInt64) -> String { String(value, radix: 16) }
}
