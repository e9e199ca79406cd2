// Leases as locks: clients elect themselves by the production elector and write under their fence.

import ChaosChecker
import Client
import HTTP
import JSON
import Logging
import Raft
import Schema
import Synchronization
import World

public final class LeaseWorkload: Workload, @unchecked Sendable {
  public static let name = "leases"
  public static let followed: Set<String> = ["configmaps"]
  private static let namespace = "leases"
  private static let lease = "lock"
  private static let target = "written"
  private static let candidates = 3

  private let environment: WorkloadEnvironment
  private var holds: [LockHold] = []
  private var writes: [FencedWrite] = []
  /// Candidates whose requests go nowhere for a while.
  private var frozenUntil: [Int: MonotonicTime] = [:]

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws {
    try await environment.ensureNamespace(Self.namespace)
    do {
      try await environment.client(0).create(.configMaps, namespace: Self.namespace, Self.object("nobody"))
    } catch let status as APIStatus where status.reason == "AlreadyExists" {}
  }

  private static func object(_ value: String) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": ["name": .string(target), "namespace": .string(namespace)], "data": ["value": .string(value)],
    ]
  }

  public func run() async {
    var electors: [SpawnedTask] = []
    for candidate in 0..<Self.candidates {
      let elector = elector(candidate)
      electors.append(environment.cluster.spawn { await elector.run() })
    }
    while !environment.isOver {
      await environment.pause(.seconds(2)...(.seconds(10)))
      // A holder that hears nothing any more: another must get the lock, and this one know that it has lost it.
      let victim = environment.random.next(below: Self.candidates)
      frozenUntil[victim] = environment.world.now + environment.random.duration(.seconds(1)...(.seconds(8)))
    }
    frozenUntil = [:]
    for task in electors { task.cancel() }
    for task in electors { await task.wait() }
  }

  private func elector(_ candidate: Int) -> LeaderElector {
    let server = environment.servers[candidate % environment.servers.count]
    var options = LeaderElector.Options(lease: Self.lease, identity: "candidate-\(candidate)")
    options.namespace = Self.namespace
    options.leaseDuration = .seconds(3)
    options.renewDeadline = .seconds(2)
    options.retryPeriod = .milliseconds(500)
    let transport = FreezingTransport(
      environment.client(server).transport, environment.world,
      until: { [self] in frozenUntil[candidate] })
    let client = APIClient(transport: transport, world: environment.world, userAgent: "candidate-\(candidate)/1")
    return LeaderElector(
      client: client, options: options, logger: Logger(label: "candidate") { _ in SwiftLogNoOpLogHandler() }
    ) { [self] fence in await lead(candidate, server, fence) }
  }

  private func lead(_ candidate: Int, _ server: NodeID, _ fence: TrustedContext.Fence) async {
    let hold = holds.count
    holds.append(
      LockHold(holder: "candidate-\(candidate)", token: fence.transitions, from: environment.world.now, to: nil))
    await withTaskCancellationHandler {
      var number = 0
      while !Task.isCancelled {
        number += 1
        await write("\(candidate)/\(fence.transitions)/\(number)", candidate, server, fence)
        try? await environment.world.sleep(for: environment.random.duration(environment.think))
      }
    } onCancel: {
      // From here on it knows that it has lost the lock; a write under way is the fence's business.
      holds[hold].to = environment.world.now
    }
    // One that has not understood: what it still writes must be refused once another leads.
    try? await WorldSleep.uncancelled(environment.world, .milliseconds(1500))
    await write("\(candidate)/\(fence.transitions)/late", candidate, server, fence)
  }

  private func write(_ value: String, _ candidate: Int, _ server: NodeID, _ fence: TrustedContext.Fence) async {
    let client = environment.client(server, fence: fence)
    let written = environment.cluster.spawn { [self] in
      guard
        let object = try? await client.update(
          .configMaps, namespace: Self.namespace, name: Self.target, Self.object(value))
      else { return }
      writes.append(
        FencedWrite(
          holder: "candidate-\(candidate)", token: fence.transitions,
          revision: RegisterHistory.revision(of: object) ?? 0))
    }
    await written.wait()
  }

  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] {
    // Of what really happened, answered or not.
    let committed = monitor.history("configmaps", namespace: Self.namespace).changes.compactMap { change in
      let parts = change.value.split(separator: "/")
      return parts.count == 3
        ? FencedWrite(
          holder: "candidate-\(parts[0])", token: UInt64(parts[1]) ?? 0, revision: change.revision) : nil
    }
    return LockChecker.check(holds: holds, writes: committed) + LockChecker.check(holds: [], writes: writes)
  }
}

enum WorldSleep {
  /// Sleeps even if the task was cancelled.
  static func uncancelled(_ world: any World, _ duration: Duration) async throws {
    await withCheckedContinuation { continuation in
      world.schedule(after: duration) { continuation.resume() }
    }
  }
}

/// A transport whose requests hang while its client is frozen.
private final class FreezingTransport: HTTPTransport {
  private let inner: any HTTPTransport
  private let world: any World
  private let until: @Sendable () -> MonotonicTime?

  init(_ inner: any HTTPTransport, _ world: any World, until: @escaping @Sendable () -> MonotonicTime?) {
    self.inner = inner
    self.world = world
    self.until = until
  }

  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    while let end = until(), end > world.now { try await world.sleep(for: end - world.now) }
    return try await inner.send(request)
  }
}
