// What scheduler, controllers and kubelets must bring about: replica sets and deployments that are scaled and rolled, and
// bursts of deletions.

import ChaosChecker
import Client
import JSON
import Raft
import Schema
import World

/// Deployments scaled and rolled on hollow nodes with little room.
public final class ReplicaWorkload: Workload, @unchecked Sendable {
  public static let name = "replicas"
  public static let nodes = 3
  private static let namespace = "replicas"
  private static let deployments = ["one", "two"]
  /// Three nodes of four cores: more is asked for now and then, and must wait.
  private static let coresPerPod = "700m"
  private static let replicasAtTheEnd: Int64 = 3

  private let environment: WorkloadEnvironment

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws {
    try await environment.ensureNamespace(Self.namespace)
    for name in Self.deployments {
      do {
        try await environment.client(0).create(.deployments, namespace: Self.namespace, Self.deployment(name))
      } catch let status as APIStatus where status.reason == "AlreadyExists" {}
    }
  }

  private static func deployment(_ name: String) -> JSONValue {
    [
      "apiVersion": "apps/v1", "kind": "Deployment",
      "metadata": ["name": .string(name), "namespace": .string(namespace)],
      "spec": [
        "replicas": 2, "selector": ["matchLabels": ["app": .string(name)]],
        "template": [
          "metadata": ["labels": ["app": .string(name)]],
          "spec": [
            "terminationGracePeriodSeconds": 1,
            "containers": [
              [
                "name": "main", "image": "web:1", "resources": ["requests": ["cpu": .string(coresPerPod)]],
              ]
            ],
          ],
        ],
      ],
    ]
  }

  public func run() async {
    while !environment.isOver {
      await environment.pause(.seconds(1)...(.seconds(8)))
      let name = environment.random.pick(Self.deployments) ?? ""
      let client = environment.client(environment.anyServer())
      let patch: JSONValue
      if environment.random.chance(0.3) {
        let image = "web:\(environment.newValue())"
        patch = ["spec": ["template": ["spec": ["containers": [["name": "main", "image": .string(image)]]]]]]
      } else {
        patch = ["spec": ["replicas": .integer(Int64(environment.random.next(below: 12)))]]
      }
      _ = try? await client.patch(
        .deployments, namespace: Self.namespace, name: name, patch, type: .strategic)
    }
  }

  public func missing() async throws -> String? {
    let client = environment.client(0)
    for name in Self.deployments {
      let deployment = try await client.get(.deployments, namespace: Self.namespace, name: name)
      if deployment["spec"]["replicas"].integer != Self.replicasAtTheEnd {
        try await client.patch(
          .deployments, namespace: Self.namespace, name: name,
          ["spec": ["replicas": .integer(Self.replicasAtTheEnd)]], type: .merge)
        return "\(name) was just scaled"
      }
      let status = deployment["status"]
      for count in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
      where status[count].integer != Self.replicasAtTheEnd {
        return "\(name): \(count) is \(status[count].integer ?? 0), not \(Self.replicasAtTheEnd)"
      }
      guard status["observedGeneration"] == deployment["metadata"]["generation"] else {
        return "\(name): its last change was not observed"
      }
    }
    let pods = try await client.list(.pods, namespace: Self.namespace).items
    let expected = Int(Self.replicasAtTheEnd) * Self.deployments.count
    guard pods.count == expected else { return "\(pods.count) pods, not \(expected)" }
    let idle = pods.first { $0["status"]["phase"].string != "Running" }
    return idle.map { "pod \($0["metadata"]["name"].string ?? "") does not run" }
  }

  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] { [] }
}

/// Many objects made, and deleted all at once: nothing stays, and nobody stands still meanwhile.
public final class DeletionWorkload: Workload, @unchecked Sendable {
  public static let name = "deletions"
  private static let namespace = "deletions"
  private static let burst = 60

  private let environment: WorkloadEnvironment

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws { try await environment.ensureNamespace(Self.namespace) }

  public func run() async {
    while !environment.isOver {
      let client = environment.client(environment.anyServer())
      for number in 0..<Self.burst where !environment.isOver {
        _ = try? await client.create(
          .configMaps, namespace: Self.namespace,
          ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string("d\(number)")]])
      }
      await environment.pause(.milliseconds(100)...(.seconds(2)))
      try? await deleteAll()
      await environment.pause(.seconds(2)...(.seconds(6)))
    }
  }

  private func deleteAll() async throws {
    _ = try await environment.client(environment.anyServer()).json(
      "DELETE", ResourceReference.configMaps.path(namespace: Self.namespace), [])
  }

  public func missing() async throws -> String? {
    try await deleteAll()
    let left = try await environment.client(0).list(.configMaps, namespace: Self.namespace).items
      .filter { $0["metadata"]["name"].string != "kube-root-ca.crt" }
    return left.isEmpty ? nil : "\(left.count) objects are still there"
  }
}
