// Many seeds: in processes that live for a few dozen of them each (what a killed server held is never freed), a few at
// a time. A process that dies has found something, too.
import Glibc

/// What the command needs of the operating system.
enum SimulationProcess {
  private static let allocator =
    "glibc.malloc.hugetlb=1:glibc.malloc.tcache_count=2000:glibc.malloc.top_pad=67108864:"
    + "glibc.malloc.trim_threshold=4294967296:glibc.malloc.mmap_threshold=4294967296"

  /// Starts this program anew with the same arguments and hash tables that are the same in every process.
  static func replaceItself() throws -> Never {
    setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
    // What dead servers held stays: memory need not be given back, and large pages spare a tenth of the time.
    setenv("GLIBC_TUNABLES", allocator, 0)
    var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) }
    arguments.append(nil)
    execv("/proc/self/exe", &arguments)
    throw CommandFailure("cannot start anew: errno \(errno)")
  }

  static func readText(_ path: String) throws -> String {
    guard let file = fopen(path, "r") else { throw CommandFailure("no built-in run and no file: \(path)") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    while true {
      let byte = fgetc(file)
      if byte == EOF { break }
      bytes.append(UInt8(truncatingIfNeeded: byte))
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Far more than a few dozen seeds need; a run that grows without end dies of it, and not the machine.
  private static let memoryBytes: rlim_t = 6 << 30

  static func boundMemory() {
    var limit = rlimit(rlim_cur: memoryBytes, rlim_max: memoryBytes)
    guard setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) != 0 else { return }
    say("memory cannot be bounded: errno \(errno)")
  }

  /// A process that holds more than this after a seed leaves the next ones to another.
  static let enoughBytes = 1 << 30

  static func residentBytes() -> Int {
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
    let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self).split(separator: " ")
    return words.count > 1 ? (Int(words[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
  }

  static func seconds() -> Double { seconds(of: CLOCK_MONOTONIC) }
  /// What this process has used of its core, however many others want it.
  static func processorSeconds() -> Double { seconds(of: CLOCK_PROCESS_CPUTIME_ID) }

  private static func seconds(of clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Starts this program with these arguments; its output and errors come out of the descriptor.
  static func spawn(_ arguments: [String]) throws -> (process: pid_t, output: Int32) {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw CommandFailure("pipe: errno \(errno)") }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 2)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    var pointers: [UnsafeMutablePointer<CChar>?] = (["trireme"] + arguments).map { strdup($0) } + [nil]
    var process = pid_t()
    let code = posix_spawn(&process, "/proc/self/exe", &actions, nil, &pointers, environ)
    posix_spawn_file_actions_destroy(&actions)
    for pointer in pointers { free(pointer) }
    close(ends[1])
    guard code == 0 else { throw CommandFailure("cannot start a process: errno \(code)") }
    return (process, ends[0])
  }

  static func say(_ line: String) {
    print(line)
    fflush(nil)
  }
}

/// How fast virtual time went by, on one core.
struct SimulationSpeed: CustomStringConvertible {
  var virtualSeconds: Double
  var processorSeconds: Double

  var timesReal: Int { processorSeconds > 0 ? Int(virtualSeconds / processorSeconds) : 0 }

  var description: String {
    let hours = processorSeconds > 0 ? virtualSeconds / 60 / processorSeconds : 0
    return "\(Self.rounded(processorSeconds)) s of one core: \(Self.rounded(hours)) simulated hours a minute, "
      + "\(timesReal) times real time"
  }

  static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
}

/// Runs seeds in child processes and reports.
final class SimulationFleet {
  /// Seeds of one process, if its memory is enough for them.
  private static let seedsPerProcess = 24
  private static let wordsKept = 30
  /// A seed that takes longer stands still: they take seconds, a minute on a machine with much else to do.
  private static let patienceSeconds = 600.0
  /// How often a line says how far it has come.
  private static let progressSeconds = 60.0

  private struct Child {
    var process: pid_t
    var output: Int32
    /// Not played yet.
    var seeds: Range<UInt64>
    var pending: [UInt8] = []
    var seed: UInt64?
    var begun = 0.0
    var lastWords: [String] = []
    var hasBegun: Bool { begun > 0 }
  }

  private let arguments: [String]
  private let jobs: Int
  private let first: UInt64
  private let limit: Int?
  private let deadline: Double?
  private var children: [Child] = []
  private var started = 0
  /// Seeds that a process was given and did not come to.
  private var left: [Range<UInt64>] = []
  private var played = 0
  private var failed: [UInt64] = []
  private var virtualSeconds = 0.0
  private var steps: UInt64 = 0
  private var faults: [String: Int] = [:]
  private var seedsOfRun: [String: Int] = [:]
  private var speedOfRun: [String: SimulationSpeed] = [:]
  private var answered: UInt64 = 0
  private let begun = SimulationProcess.seconds()
  private var lastProgress = 0.0

  init(arguments: [String], servers: Int?, jobs: Int, first: UInt64?, seeds: Int?, minutes: Double?) {
    self.arguments = arguments + (servers.map { ["--servers", "\($0)"] } ?? [])
    self.jobs = jobs
    self.first = first ?? UInt64.random(in: 1..<1_000_000_000)
    limit = seeds
    deadline = minutes.map { SimulationProcess.seconds() + $0 * 60 }
  }

  func run() throws {
    SimulationProcess.say("seeds from \(first)")
    lastProgress = begun
    while true {
      while children.count < jobs, let seeds = nextSeeds() { try start(seeds) }
      if children.isEmpty { break }
      readSome()
    }
    SimulationProcess.say(summary)
    SimulationProcess.say("runs: \(counts(seedsOfRun))")
    for (run, speed) in speedOfRun.sorted(by: { $0.key < $1.key }) {
      let hours = SimulationSpeed.rounded(speed.virtualSeconds / 3600)
      SimulationProcess.say("  \(run): \(hours) simulated hours in \(speed)")
    }
    SimulationProcess.say("faults: \(counts(faults))")
    guard failed.isEmpty else {
      throw CommandFailure("failing seeds: \(failed.map(String.init).joined(separator: " "))")
    }
  }

  private var summary: String {
    let took = SimulationProcess.seconds() - begun
    let hours = virtualSeconds / 3600
    return
      "\(played) seeds, \(failed.count) failed; \(rounded(hours)) simulated hours in \(rounded(took / 60)) minutes "
      + "(\(rounded(hours / (took / 60))) hours a minute, \(Int(virtualSeconds / took)) times real time); "
      + "\(faults.values.reduce(0, +)) faults, \(answered) requests answered, \(steps) steps"
  }

  private func counts(_ counts: [String: Int]) -> String {
    counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
  }

  private func rounded(_ value: Double) -> Double { SimulationSpeed.rounded(value) }

  /// Seeds for another process; nil when all are given out, or time is up.
  private func nextSeeds() -> Range<UInt64>? {
    if let deadline, SimulationProcess.seconds() >= deadline { return nil }
    if let seeds = left.popLast() { return seeds }
    let count = min(Self.seedsPerProcess, limit.map { $0 - started } ?? .max)
    guard count > 0 else { return nil }
    defer { started += count }
    return first + UInt64(started)..<first + UInt64(started + count)
  }

  private func start(_ seeds: Range<UInt64>) throws {
    let (process, output) = try SimulationProcess.spawn(
      ["sim", "--child", "\(seeds.count)", "--from", "\(seeds.lowerBound)"] + arguments)
    children.append(Child(process: process, output: output, seeds: seeds))
  }

  // MARK: Reading

  private func readSome() {
    var polls = children.map { pollfd(fd: $0.output, events: Int16(POLLIN), revents: 0) }
    let news = poll(&polls, nfds_t(polls.count), 5000)
    tell()
    guard news > 0 else { return }
    for index in children.indices.reversed() where polls[index].revents != 0 {
      var buffer = [UInt8](repeating: 0, count: 16 << 10)
      let count = read(children[index].output, &buffer, buffer.count)
      if count > 0 {
        children[index].pending += buffer[..<count]
        takeLines(index)
      } else {
        close(children[index].output)
        ended(children.remove(at: index))
      }
    }
  }

  /// Says how far it has come, now and then, and ends what stands still.
  private func tell() {
    let now = SimulationProcess.seconds()
    for child in children where child.seed != nil && now - child.begun > Self.patienceSeconds {
      kill(child.process, SIGKILL)
    }
    guard now - lastProgress >= Self.progressSeconds else { return }
    lastProgress = now
    SimulationProcess.say("… \(summary)")
  }

  private func takeLines(_ index: Int) {
    while let end = children[index].pending.firstIndex(of: UInt8(ascii: "\n")) {
      let line = String(decoding: children[index].pending[..<end], as: UTF8.self)
      children[index].pending.removeSubrange(...end)
      take(line, &children[index])
    }
  }

  private func take(_ line: String, _ child: inout Child) {
    let words = line.split(separator: " ", maxSplits: 2)
    switch words.first {
    case "begin":
      child.seed = words.count > 1 ? UInt64(words[1]) : nil
      if let seed = child.seed, seed < child.seeds.upperBound { child.seeds = seed + 1..<child.seeds.upperBound }
      child.begun = SimulationProcess.seconds()
    case "bad":
      guard let seed = child.seed else { return }
      failed.append(seed)
      SimulationProcess.say("✗ seed \(seed): \(words.count > 2 ? words[2] : "")\n  replay: \(replay(seed))")
    case "|": SimulationProcess.say("  \(line)")
    case "struck": if words.count == 3 { faults[String(words[2]), default: 0] += Int(words[1]) ?? 0 }
    case "end":
      let numbers = line.split(separator: " ").compactMap { Double($0) }
      let run = line.split(separator: " ").last.map(String.init) ?? ""
      if numbers.count == 6 {
        var speed = speedOfRun[run] ?? SimulationSpeed(virtualSeconds: 0, processorSeconds: 0)
        speed.virtualSeconds += numbers[1] / 1e9
        speed.processorSeconds += numbers[5] / 1e9
        speedOfRun[run] = speed
        virtualSeconds += numbers[1] / 1e9
        steps += UInt64(numbers[2])
        answered += UInt64(numbers[4])
      }
      seedsOfRun[run, default: 0] += 1
      played += 1
      child.seed = nil
      child.lastWords = []
    default:
      // Registers and the like are many; what stopped the process is said once, at the beginning.
      let isCause = line.contains("Fatal error") || line.contains("crashed:") || line.contains(" in ")
      if !isCause, child.lastWords.count > Self.wordsKept / 2 { return }
      child.lastWords.append(line)
      if child.lastWords.count > Self.wordsKept { child.lastWords.removeFirst() }
    }
  }

  private func ended(_ child: Child) {
    var status: Int32 = 0
    waitpid(child.process, &status, 0)
    // It has had enough, or died of one of them: others play the rest. One that played none would not the next time.
    if !child.seeds.isEmpty, child.hasBegun { left.append(child.seeds) }
    guard let seed = child.seed else { return }
    failed.append(seed)
    played += 1
    let stoodStill = SimulationProcess.seconds() - child.begun > Self.patienceSeconds
    let fate =
      stoodStill ? "nothing came of it within \(Int(Self.patienceSeconds)) s" : "the process died (status \(status))"
    SimulationProcess.say("✗ seed \(seed): \(fate)\n  replay: \(replay(seed))")
    for line in child.lastWords { SimulationProcess.say("  | \(line)") }
  }

  private func replay(_ seed: UInt64) -> String {
    (["trireme", "sim", "--seed", "\(seed)"] + arguments).joined(separator: " ")
  }
}
