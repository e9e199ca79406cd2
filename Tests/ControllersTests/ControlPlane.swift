// A whole control plane in virtual time: API server, scheduler, controllers, and nodes that run nothing.
import Client
import Controllers
import HTTP
import JSON
import Kubelet
import Logging
import Scheduler
import Schema
import TestSupport
import World

struct ControlPlane: Sendable {
  let cluster: TestCluster
  let admin: APIClient
  var world: VirtualWorld { cluster.world }
  let loops: [SpawnedTask]
  let nodes: [SpawnedTask]

  init(nodes count: Int = 3, scheduler: Bool = true, controllers: Bool = true) throws {
    let cluster = try TestCluster()
    self.cluster = cluster
    admin = cluster.client()
    var loops: [SpawnedTask] = []
    if scheduler {
      loops.append(
        cluster.world.spawn {
          await Scheduler(client: cluster.client("system:kube-scheduler"), logger: cluster.logger).run()
        })
    }
    if controllers { loops.append(cluster.startControllers()) }
    self.loops = loops
    nodes = (0..<count).map { Self.startNode(cluster, "node-\($0)", index: $0) }
  }

  /// Starts controllers that write under the fence of their lease, which is taken so often by then.
  func takeOver(_ transitions: Int64) async throws -> SpawnedTask {
    let name = "kube-controller-manager"
    let lease: JSONValue = [
      "metadata": ["name": .string(name)], "spec": ["leaseTransitions": .integer(transitions)],
    ]
    if transitions == 1 {
      try await admin.create(.leases, namespace: "kube-system", lease)
    } else {
      try await admin.patch(.leases, namespace: "kube-system", name: name, lease, type: .merge)
    }
    return cluster.startControllers(
      fence: TrustedContext.Fence(namespace: "kube-system", lease: name, transitions: UInt64(transitions)))
  }

  static func startNode(_ cluster: TestCluster, _ name: String, index: Int) -> SpawnedTask {
    let runtime = HollowRuntime(
      world: cluster.world, version: "1", podNetwork: "10.128.\(index).0", nodeAddress: "127.1.0.\(index)")
    return cluster.world.spawn {
      await Kubelet(
        description: NodeDescription(name: name, address: "127.1.0.\(index)", kubeletVersion: "v1.32.4"),
        client: cluster.client("system:node:\(name)"), runtime: runtime, logger: cluster.logger
      ).run()
    }
  }

  /// Plays a story.
  func tell<Value: Sendable>(_ story: @escaping @Sendable (ControlPlane) async throws -> Value) throws -> Value {
    try world.run { try await story(self) }
  }

  // MARK: Vocabulary

  func pods(_ selector: String = "", namespace: String = "default") async throws -> [Pod] {
    try await admin.list(.pods, namespace: namespace, ListOptions(labelSelector: selector)).items.map(Pod.init(json:))
  }

  func deployment(_ name: String) async throws -> JSONValue {
    try await admin.get(.deployments, namespace: "default", name: name)
  }

  func replicaSets(_ name: String) async throws -> [ReplicaSet] {
    try await admin.list(.replicaSets, namespace: "default", ListOptions(labelSelector: "app=\(name)")).items
      .map(ReplicaSet.init(json:)).sorted { $0.name < $1.name }
  }

  /// What `kubectl rollout status` waits for.
  func rolledOut(_ name: String, within limit: Duration = .seconds(120)) async throws {
    try await world.eventually("deployment \(name) rolled out", within: limit) {
      let object = try await deployment(name)
      let status = object["status"]
      let replicas = object["spec"]["replicas"].integer ?? 1
      return (status["observedGeneration"].integer ?? 0) >= (object["metadata"]["generation"].integer ?? 0)
        && (status["updatedReplicas"].integer ?? 0) == replicas && (status["replicas"].integer ?? 0) == replicas
        && (status["availableReplicas"].integer ?? 0) == replicas
    }
  }

  func setImage(_ name: String, _ image: String) async throws {
    try await admin.patch(
      .deployments, namespace: "default", name: name,
      ["spec": ["template": ["spec": ["containers": [["name": "main", "image": .string(image)]]]]]], type: .strategic)
  }

  func events(of name: String) async throws -> [String] {
    try await admin.list(.events, namespace: "default").items
      .filter { $0["involvedObject"]["name"].string == name }
      .map { "\($0["reason"].string ?? ""): \($0["message"].string ?? "")" }
  }
}
