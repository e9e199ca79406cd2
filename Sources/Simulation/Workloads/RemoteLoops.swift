// Control loops that run beside the servers, over the network: their informers hear late, lose their watches, and list
// anew; what they do must come right all the same.

import ChaosChecker
import Client
import Controllers
import HTTP
import JSON
import Logging
import Raft
import Scheduler
import Schema
import World

extension WorkloadEnvironment {
  /// The way to whichever server answers, for a program on a machine beside the servers.
  func balanced(user: String, groups: [String], on world: VirtualWorld) -> any HTTPTransport {
    let cluster = cluster
    return BalancedTransport(servers: servers.map { "\($0)" }, world: world) { address in
      cluster.transport(to: NodeID(address) ?? 1, user: user, groups: groups, on: world)
    }
  }
}

/// The scheduler and the controllers, as `trireme scheduler` and `trireme controller-manager` would run them. They go on
/// after the faults: what other workloads wait for, they bring about. Of their own they have namespaces that come and
/// go: in the end each that is there has what the controllers give it, and none hangs half deleted.
public final class RemoteLoopsWorkload: Workload, @unchecked Sendable {
  public static let name = "remote-loops"
  private static let prefix = "remote-loops-"
  private static let names = 6

  private let environment: WorkloadEnvironment
  private var hasStarted = false

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws {
    guard !hasStarted else { return }
    hasStarted = true
    let cluster = environment.cluster
    let world = SimulatedProcess(on: SimulatedHost("loops", simulator: cluster.simulator)).makeWorld("loops")
    let environment = environment
    let context = ControllerContext(
      world: world, logger: cluster.journal.logger("remote controllers"), certificateAuthorityPEM: "CA",
      transport: { account in
        account.isEmpty
          ? environment.balanced(user: "system:kube-controller-manager", groups: ["system:masters"], on: world)
          : environment.balanced(
            user: "system:serviceaccount:kube-system:\(account)",
            groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system"], on: world)
      })
    let client = APIClient(
      transport: environment.balanced(user: "system:kube-scheduler", groups: ["system:masters"], on: world),
      world: world, userAgent: "kube-scheduler")
    let logger = cluster.journal.logger("remote scheduler")
    world.spawn { await ControllerManager(context: context).run() }
    world.spawn { await Scheduler(client: client, logger: logger).run() }
  }

  public func run() async {
    while !environment.isOver {
      let client = environment.client(environment.anyServer())
      let name = "\(Self.prefix)\(environment.random.next(below: Self.names))"
      if environment.random.chance(0.3) {
        _ = try? await client.delete(.namespaces, name: name)
      } else {
        _ = try? await client.create(
          .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)]])
      }
      await environment.pause(.milliseconds(500)...(.seconds(3)))
    }
  }

  public func missing() async throws -> String? {
    let client = environment.client(0)
    for namespace in try await client.list(.namespaces).items {
      guard let name = namespace["metadata"]["name"].string, name.hasPrefix(Self.prefix) else { continue }
      guard namespace["metadata"]["deletionTimestamp"].isNull else { return "\(name) is still being deleted" }
      guard try await client.find(.serviceAccounts, namespace: name, name: "default") != nil else {
        return "\(name) has no default service account"
      }
      guard try await client.find(.configMaps, namespace: name, name: "kube-root-ca.crt") != nil else {
        return "\(name) has no certificate of the cluster"
      }
    }
    return nil
  }
}

/// A controller as anybody might write one: for every source it keeps a copy with the same value, by an informer and a
/// work queue. Sources come, change and go; in the end every copy is what its source is, and no other is left.
public final class MirrorWorkload: Workload, @unchecked Sendable {
  public static let name = "mirrors"
  private static let sources = "mirror-sources"
  private static let copies = "mirror-copies"
  private static let names = 12

  private let environment: WorkloadEnvironment
  private var informer: Informer<ConfigMap>?

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws {
    try await environment.ensureNamespace(Self.sources)
    try await environment.ensureNamespace(Self.copies)
    guard informer == nil else { return }
    let world = environment.world
    let client = APIClient(
      transport: environment.balanced(user: "admin", groups: ["system:masters"], on: world), world: world,
      userAgent: "mirror")
    let informer = Informer<ConfigMap>(
      client: client, namespace: Self.sources, logger: environment.cluster.journal.logger("mirror"))
    let queue = WorkQueue<NamespacedName>(world: world)
    informer.onEvent { event in
      // Of these every namespace has one of its own.
      if event.object.name != Self.rootCertificate { queue.add(event.object.key) }
    }
    // Copies too: one that was given up may still be carried out, after its source and the copy before it were deleted.
    let copies = Informer<ConfigMap>(
      client: client, namespace: Self.copies, logger: environment.cluster.journal.logger("mirror"))
    copies.onEvent { event in
      if event.object.name != Self.rootCertificate {
        queue.add(NamespacedName(namespace: Self.sources, name: event.object.name))
      }
    }
    self.informer = informer
    informer.start()
    copies.start()
    environment.spawn {
      await informer.waitForSync()
      await queue.run(workers: 3, onError: { _, _ in }) { key in
        try await Self.mirror(key, informer.get(key), client)
      }
    }
  }

  private static func value(_ object: JSONValue) -> String { object["data"]["value"].string ?? "" }

  private static func mirror(_ key: NamespacedName, _ source: ConfigMap?, _ client: APIClient) async throws {
    guard let source else {
      do { try await client.delete(.configMaps, namespace: copies, name: key.name) } catch let status as APIStatus
        where status.code == 404
      {}
      return
    }
    let copy: JSONValue = [
      "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(key.name)],
      "data": ["value": .string(source.data["value"] ?? "")],
    ]
    try await client.patch(
      .configMaps, namespace: copies, name: key.name, copy, type: .apply, fieldManager: "mirror", force: true)
  }

  // MARK: Sources

  public func run() async {
    await withTaskGroup { group in
      for server in environment.servers { group.addTask { await self.work(server) } }
    }
  }

  private func work(_ server: NodeID) async {
    while !environment.isOver {
      let client = environment.client(server)
      let name = "m\(environment.random.next(below: Self.names))"
      if environment.random.chance(0.3) {
        _ = try? await client.delete(.configMaps, namespace: Self.sources, name: name)
      } else {
        let source: JSONValue = [
          "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)],
          "data": ["value": .string(environment.newValue())],
        ]
        _ = try? await client.patch(
          .configMaps, namespace: Self.sources, name: name, source, type: .apply, fieldManager: "user", force: true)
      }
      await environment.pause()
    }
  }

  // MARK: The end

  private static let rootCertificate = "kube-root-ca.crt"

  private func values(of namespace: String) async throws -> [String: String] {
    let items = try await environment.client(0).list(.configMaps, namespace: namespace).items
    return items.reduce(into: [:]) { values, item in
      let name = item["metadata"]["name"].string ?? ""
      if name != Self.rootCertificate { values[name] = Self.value(item) }
    }
  }

  public func missing() async throws -> String? {
    let wanted = try await values(of: Self.sources)
    let found = try await values(of: Self.copies)
    for (name, value) in wanted.sorted(by: { $0.key < $1.key }) where found[name] != value {
      return "the copy of \(name) is \(found[name] ?? "not there"), not \(value)"
    }
    let left = found.keys.filter { wanted[$0] == nil }.sorted()
    if let name = left.first { return "the copy of \(name) outlives it" }
    let known = informer?.all.map(\.name).filter { $0 != Self.rootCertificate && wanted[$0] == nil }.sorted() ?? []
    return known.first.map { "the informer still holds \($0), which is gone" }
  }
}
