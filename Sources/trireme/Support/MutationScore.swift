// `trireme sim --mutants`: every planted bug in processes of its own, over seeds, until something is found or the budget
// is spent; then the score.
import Glibc
import Simulation

/// Plays seeds against each mutant and prints who was caught, by what, and how soon.
final class MutationScore {
  /// Seeds of one process.
  private static let seedsPerProcess = 12

  private struct Trial {
    var mutant: String
    var room: String
    /// Seeds begun.
    var begun = 0
    var seedsPlayed = 0
    var caughtBy: String?
    var seed: UInt64?
  }

  private struct Child {
    var process: pid_t
    var output: Int32
    var trial: Int
    var pending: [UInt8] = []
    var seed: UInt64?
    /// The last one that it came to the end of.
    var played: UInt64?
    var lastWords: [String] = []
  }

  private let arguments: [String]
  private let jobs: Int
  private let first: UInt64
  private let budget: Int
  private var trials: [Trial]
  /// Whether anything is found at a seed without any mutant, by run and seed: there nobody is caught.
  private var control: [String: Bool] = [:]
  private var children: [Child] = []

  /// `only`: names, or none for all. `budget`: seeds a mutant.
  init(arguments: [String], only: [String], jobs: Int, first: UInt64, budget: Int) {
    self.arguments = arguments
    self.jobs = jobs
    self.first = first
    self.budget = budget
    trials = Mutants.byRoom.flatMap { room, names in
      names.filter { only.isEmpty || only.contains($0) }.map { Trial(mutant: $0, room: room) }
    }
  }

  func run() throws {
    guard Mutants.areBuiltIn else {
      throw CommandFailure("this build has no mutants: build with TRIREME_MUTANTS=1 (deploy/mutants.sh does)")
    }
    try playAll()
    printScore()
  }

  private func playAll() throws {
    while true {
      while children.count < jobs, let trial = nextTrial() { try start(trial) }
      if children.isEmpty { return }
      readSome()
    }
  }

  // MARK: Processes

  /// The next mutant that is at large, has budget left, and is not being hunted at this moment.
  private func nextTrial() -> Int? {
    trials.indices.first { index in
      trials[index].caughtBy == nil && trials[index].begun < budget && !children.contains { $0.trial == index }
    }
  }

  /// The run that aims at it, unless the command line says otherwise.
  private func run(for trial: Trial) -> [String] {
    guard arguments.isEmpty, let run = Mutants.run(for: trial.mutant) else { return arguments }
    return ["--workload", run]
  }

  private func start(_ trial: Int) throws {
    let count = min(Self.seedsPerProcess, budget - trials[trial].begun)
    let from = first + UInt64(trials[trial].begun)
    trials[trial].begun += count
    let (process, output) = try SimulationProcess.spawn(
      ["sim", "--child", "\(count)", "--from", "\(from)", "--mutant", trials[trial].mutant] + run(for: trials[trial]))
    children.append(Child(process: process, output: output, trial: trial))
  }

  private func readSome() {
    var polls = children.map { pollfd(fd: $0.output, events: Int16(POLLIN), revents: 0) }
    guard poll(&polls, nfds_t(polls.count), -1) > 0 else { return }
    for index in children.indices.reversed() where polls[index].revents != 0 {
      var buffer = [UInt8](repeating: 0, count: 16 << 10)
      let count = read(children[index].output, &buffer, buffer.count)
      if count > 0 {
        children[index].pending += buffer[..<count]
        takeLines(index)
      }
      if count <= 0 || trials[children[index].trial].caughtBy != nil { ended(children.remove(at: index)) }
    }
  }

  private func takeLines(_ index: Int) {
    while let end = children[index].pending.firstIndex(of: UInt8(ascii: "\n")) {
      let line = String(decoding: children[index].pending[..<end], as: UTF8.self)
      children[index].pending.removeSubrange(...end)
      let words = line.split(separator: " ", maxSplits: 2)
      switch words.first {
      case "begin": children[index].seed = words.count > 1 ? UInt64(words[1]) : nil
      case "bad": caught(children[index], by: words.count > 2 ? String(words[2]) : "a violation")
      case "end":
        trials[children[index].trial].seedsPlayed += 1
        children[index].played = children[index].seed
        children[index].seed = nil
        children[index].lastWords = []
      case "|": break
      default: children[index].lastWords.append(line)
      }
    }
  }

  private func caught(_ child: Child, by what: String) {
    guard trials[child.trial].caughtBy == nil, let seed = child.seed else { return }
    // The same seed without the mutant must be without blame.
    guard isClean(seed, run(for: trials[child.trial])) else { return }
    trials[child.trial].caughtBy = what
    trials[child.trial].seed = child.seed
    trials[child.trial].seedsPlayed += 1
  }

  private func ended(_ child: Child) {
    kill(child.process, SIGKILL)
    close(child.output)
    var status: Int32 = 0
    waitpid(child.process, &status, 0)
    if let seed = child.seed, trials[child.trial].caughtBy == nil {
      caught(child, by: "the code's own invariant, \(Self.place(child.lastWords))")
      // Seeds that the process did not come to are played by another.
      trials[child.trial].begun = Int(seed - first) + 1
    } else if child.seed == nil, let played = child.played {
      trials[child.trial].begun = Int(played - first) + 1
    }
    let trial = trials[child.trial]
    if trial.caughtBy != nil || trial.begun >= budget { SimulationProcess.say(Self.line(trial)) }
  }

  /// Where the process stopped itself: the first of its own lines in the backtrace, as "Raft.checkRole() RaftInvariants.swift:82".
  private static func place(_ words: [String]) -> String {
    for line in words {
      guard let start = line.firstRange(of: " 0x"), let source = line.firstRange(of: "/Sources/") else { continue }
      let code = line[start.upperBound...].drop { $0 != " " }.dropFirst()
      let file = line[source.upperBound...].split(separator: "/").last ?? ""
      return "\(code.prefix { $0 != "+" })\(file.split(separator: ":").prefix(2).joined(separator: ":"))"
    }
    return words.first { !$0.isEmpty } ?? "the process died"
  }

  private func isClean(_ seed: UInt64, _ run: [String]) -> Bool {
    let name = "\(run) \(seed)"
    if let known = control[name] { return known }
    var words: [UInt8] = []
    if let (process, output) = try? SimulationProcess.spawn(["sim", "--child", "1", "--from", "\(seed)"] + run) {
      var buffer = [UInt8](repeating: 0, count: 16 << 10)
      while case let count = read(output, &buffer, buffer.count), count > 0 { words += buffer[..<count] }
      close(output)
      var status: Int32 = 0
      waitpid(process, &status, 0)
    }
    let lines = String(decoding: words, as: UTF8.self).split(separator: "\n")
    let isClean = lines.contains { $0.hasPrefix("end ") } && !lines.contains { $0.hasPrefix("bad ") }
    control[name] = isClean
    return isClean
  }

  // MARK: The table

  private static func line(_ trial: Trial) -> String {
    let name = trial.mutant.padding(to: 30)
    guard let caughtBy = trial.caughtBy else {
      return "SURVIVED \(name) \(trial.seedsPlayed) seeds  (\(trial.room))"
    }
    let seed = "seed \(trial.seed.map(String.init) ?? "?"), number \(trial.seedsPlayed)".padding(to: 22)
    return "killed   \(name) \(seed) \(caughtBy.prefix(150))"
  }

  private func printScore() {
    SimulationProcess.say("")
    for trial in trials { SimulationProcess.say(Self.line(trial)) }
    let killed = trials.count { $0.caughtBy != nil }
    SimulationProcess.say(
      "\nmutation score: \(killed) of \(trials.count) (\(trials.isEmpty ? 0 : killed * 100 / trials.count) %)")
  }
}

extension String {
  fileprivate func padding(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
