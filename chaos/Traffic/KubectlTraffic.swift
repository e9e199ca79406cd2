// Loops of real kubectl commands through the load balancer, as a user types them.
import ChaosChecker
import ChaosPlan
import EventLoop
import Glibc
import World

/// Runs kubectl with the cluster's kubeconfig.
struct Kubectl: Sendable {
  /// A command that takes longer hangs.
  static let deadline = Duration.seconds(90)

  let executable: String
  let plan: ClusterPlan
  let loop: EventLoop

  struct Result: Sendable {
    var outcome: KubectlOutcome
    var output: String
    var from: MonotonicTime
    var to: MonotonicTime
  }

  func run(_ arguments: [String]) async -> Result {
    var options = ChildProcessOptions(executable: executable, arguments: arguments)
    options.environment = [
      "KUBECONFIG": plan.kubeconfig, "HOME": "\(plan.home)/kubectl",
      "PATH": getenv("PATH").map { String(cString: $0) } ?? "",
    ]
    options.standardOutput = .capture(limit: 1 << 20)
    options.standardError = .capture(limit: 1 << 20)
    let from = loop.now
    do {
      let result = try await ChildProcess.run(options, on: loop, deadline: Self.deadline)
      let exitCode: Int? = if case .exited(let code) = result.status { code } else { nil }
      let output = String(decoding: result.standardOutput, as: UTF8.self)
      let errors = String(decoding: result.standardError, as: UTF8.self)
      return Result(
        outcome: KubectlOutcome(exitCode: exitCode, output: output, errors: errors), output: output, from: from,
        to: loop.now)
    } catch {
      return Result(outcome: .failed("kubectl did not start: \(error)"), output: "", from: from, to: loop.now)
    }
  }
}

final class KubectlTraffic: Sendable {
  static let deployment = "scaled"
  /// Between commands: kubectl costs more CPU than the servers that it asks.
  private static let pause = Duration.milliseconds(150)

  private let kubectl: Kubectl
  private let journal: Journal
  private let seed: UInt64
  private let workers: Workers

  init(kubectl: Kubectl, journal: Journal, seed: UInt64) {
    self.kubectl = kubectl
    workers = Workers(loop: kubectl.loop)
    self.journal = journal
    self.seed = seed
  }

  func start() {
    workers.start { await self.configMapLoop() }
    workers.start { await self.scaleLoop() }
  }

  func stop() async { await workers.stop() }

  private func configMapLoop() async {
    var number = 0
    while workers.goOn {
      number += 1
      let name = "kubectl-\(number)"
      let created = await run(["create", "configmap", name, "--from-literal=number=\(number)"])
      // A create that was cut may have happened.
      guard created.outcome == .succeeded else {
        _ = await run(["delete", "configmap", name, "--ignore-not-found"])
        continue
      }
      let read = await run(["get", "configmap", name, "-o", "jsonpath={.data.number}"])
      if read.outcome == .succeeded && read.output != "\(number)" {
        journal.record(
          Anomaly("kubectl get configmap \(name) shows \"\(read.output)\" for \"\(number)\", which was created before"))
      }
      _ = await run(["delete", "configmap", name])
    }
  }

  private func scaleLoop() async {
    var random = SeededGenerator(seed: seed, stream: 2000)
    while workers.goOn {
      let replicas = Int.random(in: 0...5, using: &random)
      _ = await run(["scale", "deployment", Self.deployment, "--replicas=\(replicas)"])
    }
  }

  private func run(_ arguments: [String]) async -> Kubectl.Result {
    let result = await kubectl.run(["--namespace", ChaosObjects.kubectl] + arguments)
    journal.record(
      Command(
        text: "kubectl \(arguments.joined(separator: " "))", from: result.from, to: result.to, outcome: result.outcome))
    try? await kubectl.loop.sleep(for: Self.pause)
    return result
  }
}
