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
    var lastWords: [String] = []
  }

  private let arguments: [String]
  private let jobs: Int
  private let first: UInt64
  private let budget: Int
  private var trials: [Trial]
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
    while true {
      while children.count < jobs, let trial = nextTrial() { try start(trial) }
      if children.isEmpty { break }
      readSome()
    }
    printScore()
  }

  // MARK: Processes

  /// The next mutant that is at large, has budget left, and is not being hunted at this moment.
  private func nextTrial() -> Int? {
    trials.indices.first { index in
      trials[index].caughtBy == nil && trials[index].begun < budget && !children.contains { $0.trial == index }
    }
  }

  private func start(_ trial: Int) throws {
    let count = min(Self.seedsPerProcess, budget - trials[trial].begun)
    let from = first + UInt64(trials[trial].begun)
    trials[trial].begun += count
    let (process, output) = try SimulationProcess.spawn(
      ["sim", "--child", "\(count)", "--from", "\(from)", "--mutant", trials[trial].mutant] + arguments)
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
        children[index].seed = nil
        children[index].lastWords = []
      case "|": break
      default: children[index].lastWords.append(line)
      }
    }
  }

  private func caught(_ child: Child, by what: String) {
    guard trials[child.trial].caughtBy == nil else { return }
    trials[child.trial].caughtBy = what
    trials[child.trial].seed = child.seed
    trials[child.trial].seedsPlayed += 1
  }

  private func ended(_ child: Child) {
    kill(child.process, SIGKILL)
    close(child.output)
    var status: Int32 = 0
    waitpid(child.process, &status, 0)
    if child.seed != nil, trials[child.trial].caughtBy == nil {
      // A server's own invariant stopped the process: the last line says which.
      let word = child.lastWords.first { $0.contains("Fatal error") } ?? child.lastWords.first ?? "the process died"
      caught(child, by: "invariant in the code: \(Self.reason(word))")
    }
    let trial = trials[child.trial]
    if trial.caughtBy != nil || trial.begun >= budget { SimulationProcess.say(Self.line(trial)) }
  }

  /// What stands behind "Fatal error: ".
  private static func reason(_ line: String) -> String {
    guard let start = line.firstRange(of: "Fatal error: ") else { return line }
    return String(line[start.upperBound...])
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
