// What clients do while faults strike, and how their own experience is judged in the end. A run names its workloads;
// each keeps to objects of its own, so that any of them can go together.

import ChaosChecker
import Client
import HTTP
import JSON
import Raft
import Replica
import Schema
import World

/// Clients of one kind of story. Confined to the simulator's thread.
public protocol Workload: AnyObject, Sendable {
  /// As run files and reports name it.
  static var name: String { get }
  init(_ environment: WorkloadEnvironment)
  /// Resources whose committed changes the verdict needs.
  static var followed: Set<String> { get }
  /// Hollow nodes that the story needs.
  static var nodes: Int { get }
  /// Makes what the story starts from; called until it succeeds.
  func prepare() async throws
  /// The story, until the environment says that it is over. Errors of requests are part of it.
  func run() async
  /// When faults have stopped: nil once everything is as it must come to be, else what is still missing.
  func missing() async throws -> String?
  /// What was seen that must not be.
  func verdict(_ monitor: InvariantMonitor) -> [Anomaly]
}

extension Workload {
  public static var followed: Set<String> { [] }
  public static var nodes: Int { 0 }
  public func missing() async throws -> String? { nil }
  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] { [] }
}

/// What a workload has to work with. Confined to the simulator's thread (hence unchecked).
public final class WorkloadEnvironment: @unchecked Sendable {
  public let cluster: SimulatedCluster
  public private(set) var isOver = false
  /// How long clients think between two requests.
  public var think: ClosedRange<Duration> = .milliseconds(20)...(.milliseconds(200))
  var random: SeededRandom
  private var lastValue: UInt64 = 0
  private var lastOperation = 0
  private var tasks: [SpawnedTask] = []
  /// The highest revision that was acknowledged to anyone.
  private(set) var acknowledged: Int64 = 0

  public init(_ cluster: SimulatedCluster, seed: UInt64) {
    self.cluster = cluster
    random = SeededRandom(seed: seed)
  }

  var world: VirtualWorld { cluster.clientWorld }
  public var servers: [NodeID] { cluster.servers.map(\.id) }

  /// A value that nobody writes a second time.
  func newValue() -> String {
    lastValue += 1
    return "v\(lastValue)"
  }
  func nextOperation() -> Int {
    lastOperation += 1
    return lastOperation
  }
  func note(acknowledged revision: Int64?) { acknowledged = max(acknowledged, revision ?? 0) }

  /// A client of one server, or (0) of whichever answers.
  func client(_ server: NodeID) -> APIClient { server == 0 ? cluster.client() : cluster.client(server: server) }
  /// Any server; now and then the balancer.
  func anyServer() -> NodeID { random.chance(0.2) ? 0 : random.pick(servers) ?? 0 }

  /// A client of one server whose writes are fenced by a lease.
  func client(_ server: NodeID, fence: TrustedContext.Fence, user: String = "admin") -> APIClient {
    let identity = TrustedContext(user: user, groups: ["system:masters"], fence: fence)
    let transport = SimulatedHTTPTransport(
      from: SimulatedCluster.firstClientHostNumber, on: world, to: server == 0 ? 1 : server, identity: identity,
      network: cluster.network)
    return APIClient(transport: transport, world: world, userAgent: "\(user)/1 (simulated)")
  }

  func spawn(_ body: @escaping @Sendable () async -> Void) { tasks.append(cluster.spawn(body)) }
  func pause() async { try? await world.sleep(for: random.duration(think)) }
  func pause(_ range: ClosedRange<Duration>) async { try? await world.sleep(for: random.duration(range)) }

  func finish() { isOver = true }

  /// Creates a namespace, or finds it there.
  func ensureNamespace(_ name: String) async throws {
    do {
      try await cluster.client().create(
        .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)]])
    } catch let status as APIStatus where status.reason == "AlreadyExists" {}
  }
}

/// The workloads of one run: begun together, ended together, judged together.
public final class WorkloadSet: @unchecked Sendable {
  public static let all: [any Workload.Type] = [
    RegisterWorkload.self, CounterWorkload.self, CollectionWorkload.self, WatchWorkload.self, LeaseWorkload.self,
    ReplicaWorkload.self, DeletionWorkload.self, GeneratedNameWorkload.self, FinalizerWorkload.self,
    QuotaWorkload.self, ServiceWorkload.self, AddressRaceWorkload.self, RemoteLoopsWorkload.self, MirrorWorkload.self,
    RolloutWorkload.self,
  ]
  public static var names: [String] { all.map { $0.name } }

  public let environment: WorkloadEnvironment
  public let workloads: [any Workload]
  private var running = 0
  private var isPrepared = false
  private var lastMissing: String?
  private var isLooking = false
  private var isComplete = false

  /// Nil where a name is unknown.
  public static func types(_ names: [String]) -> [any Workload.Type]? {
    let types = names.compactMap { name in all.first { $0.name == name } }
    return types.count == names.count ? types : nil
  }

  public init(_ types: [any Workload.Type], _ cluster: SimulatedCluster, seed: UInt64) {
    environment = WorkloadEnvironment(cluster, seed: seed ^ 0x776f_726b)
    let environment = environment
    workloads = types.map { $0.init(environment) }
  }

  /// Begins all of them; each as soon as its preparations have succeeded.
  public func start() {
    for workload in workloads {
      running += 1
      environment.spawn { [self] in
        while !environment.isOver {
          do {
            try await workload.prepare()
            await workload.run()
            break
          } catch {
            await environment.pause(.milliseconds(100)...(.milliseconds(500)))
          }
        }
        running -= 1
      }
    }
  }

  /// No new requests from here on; those under way end in their own time.
  public func stop() { environment.finish() }

  /// Whether every client has ended.
  public var haveEnded: Bool { running == 0 }

  /// Looks once more whether everything has become as it must; to be asked again until `isSettled`.
  public func look() {
    guard haveEnded, !isLooking, !isComplete else { return }
    isLooking = true
    _ = environment.cluster.spawn { [self] in
      var missing: String?
      for workload in workloads where missing == nil {
        let name = type(of: workload).name
        do { missing = try await workload.missing().map { "\(name): \($0)" } } catch { missing = "\(name): \(error)" }
      }
      lastMissing = missing
      isComplete = missing == nil
      if missing != nil { await environment.pause(.milliseconds(200)...(.milliseconds(400))) }
      isLooking = false
    }
  }

  /// Everything has become as it must.
  public var isSettled: Bool { haveEnded && isComplete }
  /// What was still missing when it was last looked at.
  public var missing: String { haveEnded ? lastMissing ?? "not looked at yet" : "\(running) workloads have not ended" }

  /// The first thing that a client saw and must not have seen.
  public func verdict(_ monitor: InvariantMonitor) -> InvariantViolation? {
    for workload in workloads {
      if let anomaly = workload.verdict(monitor).first {
        return InvariantViolation(
          "\(type(of: workload).name): \(anomaly.title)", anomaly.evidence.joined(separator: "\n    "))
      }
    }
    return nil
  }
}
