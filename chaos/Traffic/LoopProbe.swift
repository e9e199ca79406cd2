// After a fault: how long until the scheduler binds a new pod and a ReplicaSet follows its Deployment.
import ChaosChecker
import Client
import EventLoop
import JSON
import World

struct LoopProbe: Sendable {
  static let deployment = "probe"
  /// Beyond this the loops did not resume at all.
  private static let patience = Duration.seconds(45)
  private static let pollInterval = Duration.milliseconds(10)

  let cluster: Cluster
  /// One client per server.
  let clients: [APIClient]

  init(cluster: Cluster) {
    self.cluster = cluster
    clients = cluster.plan.members.map { cluster.client(of: $0) }
  }

  struct Outcome: Sendable {
    var podBound: Duration?
    var replicaSetActed: Duration?
    var newLeader: Duration?
    var anomalies: [Anomaly] = []
  }

  /// Measures from `start` through the first of the servers at `survivors`; a leader is looked for among them where one
  /// of a term after `oldTerm` must come.
  func measure(_ number: Int, since start: MonotonicTime, survivors: [Int], oldTerm: Int64?) async -> Outcome {
    async let bound = podBound(number, start, clients[survivors[0]])
    async let acted = replicaSetActed(number, start, clients[survivors[0]])
    async let leader = newLeader(start, survivors, oldTerm)
    var outcome = Outcome()
    do { outcome.podBound = try await bound } catch {
      outcome.anomalies.append(Anomaly("fault \(number): the new pod got no node", evidence: ["\(error)"]))
    }
    do { outcome.replicaSetActed = try await acted } catch {
      outcome.anomalies.append(Anomaly("fault \(number): the ReplicaSet did not follow", evidence: ["\(error)"]))
    }
    outcome.newLeader = await leader
    return outcome
  }

  private func podBound(_ number: Int, _ start: MonotonicTime, _ api: APIClient) async throws -> Duration {
    let name = "probe-pod-\(number)"
    try await api.create(.pods, namespace: ChaosObjects.loops, Self.pod(name))
    try await poll("pod \(name) has a node", start) {
      try await api.get(.pods, namespace: ChaosObjects.loops, name: name)["spec"]["nodeName"].string?.isEmpty == false
    }
    let took = cluster.loop.now - start
    try await api.delete(.pods, namespace: ChaosObjects.loops, name: name)
    return took
  }

  private func replicaSetActed(_ number: Int, _ start: MonotonicTime, _ api: APIClient) async throws -> Duration {
    // One more, one less: both directions are work for the controller.
    let replicas = number % 2 == 1 ? 3 : 1
    try await api.patch(
      .deployments, namespace: ChaosObjects.loops, name: Self.deployment,
      ["spec": ["replicas": .integer(Int64(replicas))]], type: .merge)
    try await poll("Deployment \(Self.deployment) has \(replicas) pods", start) {
      let pods = try await api.list(
        .pods, namespace: ChaosObjects.loops, ListOptions(labelSelector: "app=\(Self.deployment)"))
      return pods.items.count { $0["metadata"]["deletionTimestamp"].string == nil } == replicas
    }
    return cluster.loop.now - start
  }

  /// Servers that are broken are not waited for.
  private func newLeader(_ start: MonotonicTime, _ survivors: [Int], _ oldTerm: Int64?) async -> Duration? {
    guard let oldTerm else { return nil }
    while cluster.loop.now - start < Self.patience {
      if let leader = await cluster.leader(among: survivors), leader.term > oldTerm { return cluster.loop.now - start }
      try? await cluster.loop.sleep(for: Self.pollInterval)
    }
    return nil
  }

  private func poll(_ what: String, _ start: MonotonicTime, _ condition: () async throws -> Bool) async throws {
    while try await !condition() {
      guard cluster.loop.now - start < Self.patience else { throw RunFailure("\(what): not within \(Self.patience)") }
      try await cluster.loop.sleep(for: Self.pollInterval)
    }
  }

  // MARK: Objects

  static func pod(_ name: String) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "Pod",
      "metadata": ["name": .string(name), "namespace": .string(ChaosObjects.loops)],
      "spec": podSpec,
    ]
  }

  static func deployment(_ name: String, namespace: String, replicas: Int64) -> JSONValue {
    let labels: JSONValue = ["app": .string(name)]
    return [
      "apiVersion": "apps/v1", "kind": "Deployment",
      "metadata": ["name": .string(name), "namespace": .string(namespace)],
      "spec": [
        "replicas": .integer(replicas), "selector": ["matchLabels": labels],
        "template": ["metadata": ["labels": labels], "spec": podSpec],
      ],
    ]
  }

  private static let podSpec: JSONValue = [
    "terminationGracePeriodSeconds": 0,
    "containers": [
      [
        "name": "main", "image": "registry.example/chaos:1",
        "resources": ["requests": ["cpu": "10m", "memory": "8Mi"]],
      ]
    ],
  ]
}
