// A run of the fuzzer: workers that send, a watch over the processes, a verdict.
import Client
import EventLoop
import Glibc
import HTTP
import JSON
import RequestFuzzer
import Synchronization
import TLS
import World

struct FuzzOptions: Sendable {
  var seed: UInt64
  var duration: Duration
  /// One case alone.
  var number: Int?
  var workers: Int
  /// Bytes that a server's memory may grow after a third of the run.
  var growth: Int
  /// A request that takes longer hangs.
  var patience: Duration
  /// The run ends after so many.
  var cases: Int
  /// What was accepted is read and written again.
  var readsBack: Bool
}

/// What came of a run. Written and read on the main loop.
final class FuzzVerdict: Sendable {
  struct Content {
    var cases = 0
    var connections = 0
    var statuses: [Int: Int] = [:]
    var slowest: [(took: Duration, number: Int, told: String)] = []
    var problems: [FuzzProblem] = []
    /// Resident bytes of each server, in the order of time.
    var memory: [String: [Int]] = [:]
  }
  private let content = Mutex(Content())
  /// More of the same help nobody.
  private static let problemsMaximum = 200
  private static let slowestKept = 8

  var all: Content { content.withLock { $0 } }
  var isGood: Bool { content.withLock { $0.problems.isEmpty && $0.cases > 0 } }

  /// Returns what is to be told at once.
  func record(_ outcome: FuzzOutcome, _ number: Int) -> [FuzzProblem] {
    content.withLock { content in
      content.cases += 1
      content.statuses[outcome.status, default: 0] += 1
      content.slowest.append((outcome.took, number, outcome.told))
      if content.slowest.count > 4 * Self.slowestKept { Self.trim(&content) }
      let told = outcome.problems.prefix(max(0, Self.problemsMaximum - content.problems.count))
      content.problems += told
      return Array(told)
    }
  }

  func record(_ problem: FuzzProblem) {
    content.withLock { $0.problems.append(problem) }
    Terminal.say("PROBLEM \(problem)")
  }

  func recordConnection() { content.withLock { $0.connections += 1 } }
  func record(memory bytes: Int, of server: String) {
    content.withLock { $0.memory[server, default: []].append(bytes) }
  }

  private static func trim(_ content: inout Content) {
    content.slowest.sort { $0.took > $1.took }
    content.slowest.removeLast(max(0, content.slowest.count - slowestKept))
  }

  var text: String {
    content.withLock { content in
      Self.trim(&content)
      let statuses = content.statuses.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
      var lines = [
        "\(content.cases) cases and \(content.connections) broken connections; answers \(statuses.joined(separator: ", "))"
      ]
      lines += content.slowest.map { "slow: \($0.took.text), case \($0.number), \($0.told)" }
      for (server, samples) in content.memory.sorted(by: { $0.key < $1.key }) where !samples.isEmpty {
        let warm = samples[samples.count / 3]
        lines.append(
          "\(server): \(samples[0] >> 20) MiB at first, \(warm >> 20) MiB warm, \(samples[samples.count - 1] >> 20) MiB at last, "
            + "\((samples.max() ?? 0) >> 20) MiB at most")
      }
      lines.append(content.problems.isEmpty ? "no problem" : "\(content.problems.count) problems")
      return lines.joined(separator: "\n")
    }
  }
}

/// Which case is next, for all workers.
private final class CaseCounter: Sendable {
  private let count = Atomic<Int>(0)
  private let stopped = Atomic<Bool>(false)
  func next() -> Int { count.add(1, ordering: .relaxed).oldValue }
  var isStopped: Bool { stopped.load(ordering: .relaxed) }
  func stop() { stopped.store(true, ordering: .relaxed) }
}

struct FuzzRun: Sendable {
  private static let sampling = Duration.seconds(2)
  private static let settle = Duration.seconds(90)
  /// How long an answer to a broken connection is waited for.
  private static let listening = Duration.milliseconds(150)

  let options: FuzzOptions
  let cluster: Cluster
  let loop: EventLoop
  let verdict: FuzzVerdict

  private var fuzzer: RequestFuzzer { RequestFuzzer(seed: options.seed) }
  private var members: [ClusterPlan.Member] { cluster.plan.members }

  func run() async throws {
    let processes = members.map { cluster.processIdentifier(of: $0) }
    let drivers = members.map { member in
      var driver = FuzzDriver(fuzzer: fuzzer, transport: cluster.transport(of: member), world: loop)
      driver.patience = options.patience
      driver.readsBack = options.readsBack
      return driver
    }
    Terminal.say("Fuzzing \(members.count) servers, seed \(options.seed), \(options.duration.text)")
    let prepared = await drivers[0].prepare { try await self.waitForWidgets(drivers.count) }
    for problem in prepared { verdict.record(problem) }
    if let number = options.number {
      await show(number, drivers[0])
    } else {
      await send(drivers, processes)
    }
    await checkProcesses(processes)
    await compareStates()
    checkMemory()
    Terminal.say(verdict.text)
  }

  /// The custom resource is served by all, once the leader has established it.
  private func waitForWidgets(_ count: Int) async throws {
    for member in members {
      let transport = cluster.transport(of: member)
      try await cluster.wait("\(member.name) serves the custom resource", patience: .seconds(30)) {
        let response = try await transport.send(HTTPRequest(method: "GET", target: "/apis/fuzz.trireme.dev/v1/widgets"))
        return response.status == 200
      }
    }
  }

  private func show(_ number: Int, _ driver: FuzzDriver) async {
    switch fuzzer.make(number).flow {
    case .single(let request): Terminal.say(request.description)
    case .edit(let read, _): Terminal.say("edit of \(read.target)")
    }
    let outcome = await driver.run(number)
    Terminal.say("\(outcome.told): \(outcome.status) in \(outcome.took.text)")
    for problem in verdict.record(outcome, number) { Terminal.say("PROBLEM \(problem)") }
  }

  private func send(_ drivers: [FuzzDriver], _ processes: [Int32?]) async {
    let end = loop.now + options.duration
    let cases = CaseCounter()
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<options.workers {
        group.addTask {
          while loop.now < end, !cases.isStopped {
            let number = cases.next()
            guard number < options.cases else { return cases.stop() }
            let outcome = await drivers[(worker + number) % drivers.count].run(number)
            for problem in verdict.record(outcome, number) { Terminal.say("PROBLEM \(problem)") }
          }
        }
      }
      group.addTask { await breakConnections(until: end, cases) }
      group.addTask {
        while loop.now < end, !cases.isStopped {
          sampleMemory()
          // What comes after a crash says nothing new.
          if members.map({ cluster.processIdentifier(of: $0) }) != processes { return cases.stop() }
          await drivers[0].keepBounds()
          try? await loop.sleep(for: Self.sampling)
        }
      }
    }
    sampleMemory()
  }

  // MARK: Broken connections

  private func breakConnections(until end: MonotonicTime, _ cases: CaseCounter) async {
    var number = 0
    while loop.now < end, !cases.isStopped {
      let wire = WireFuzz(seed: options.seed, number: number)
      let answer = await cluster.say(
        wire.pieces, to: members[number % members.count], in: wire.language.rawValue, for: Self.listening)
      if let answer, let wrong = WireFuzz.check(answer, wire.language) {
        let bytes = String(decoding: wire.pieces.joined().prefix(2000), as: UTF8.self)
        verdict.record(FuzzProblem(number: number, what: "a broken connection is answered \(wrong)", evidence: bytes))
      }
      verdict.recordConnection()
      number += 1
    }
  }

  // MARK: The end

  /// Servers that died were started again by nobody: their processes are gone, or others.
  private func checkProcesses(_ before: [Int32?]) async {
    for (member, old) in zip(members, before) where cluster.processIdentifier(of: member) != old || old == nil {
      verdict.record(
        FuzzProblem(number: -1, what: "\(member.name) has ended", evidence: "\(cluster.plan.home)/\(member.name)/log"))
    }
  }

  private func compareStates() async {
    let start = loop.now
    while loop.now - start < Self.settle {
      let statuses = await cluster.statuses().compactMap { $0 }
      if statuses.count == members.count, Set(statuses.map(\.appliedIndex)).count == 1 {
        let hashes = Set(statuses.map(\.stateHash))
        if hashes.count > 1 {
          verdict.record(
            FuzzProblem(
              number: -1, what: "states differ at applied index \(statuses[0].appliedIndex)", evidence: "\(hashes)"))
        } else {
          Terminal.say("all servers at applied index \(statuses[0].appliedIndex): state hash \(statuses[0].stateHash)")
        }
        return
      }
      try? await loop.sleep(for: .milliseconds(20))
    }
    verdict.record(FuzzProblem(number: -1, what: "the servers were never seen at one applied index", evidence: ""))
  }

  private func sampleMemory() {
    for member in members {
      guard let pid = cluster.processIdentifier(of: member), let text = try? FileSystem.readText("/proc/\(pid)/status"),
        let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
        let kilobytes = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap({ Int($0) })
      else { continue }
      verdict.record(memory: kilobytes << 10, of: member.name)
    }
  }

  /// A server may need what it needs; it may not need ever more.
  private func checkMemory() {
    for (server, samples) in verdict.all.memory where samples.count >= 6 {
      let warm = samples[samples.count / 3]
      let last = samples.suffix(max(1, samples.count / 6)).min() ?? 0
      guard last - warm > options.growth else { continue }
      verdict.record(
        FuzzProblem(
          number: -1, what: "\(server) grows: \(warm >> 20) MiB, then \(last >> 20) MiB",
          evidence: "\(samples.map { $0 >> 20 })"))
    }
  }
}
