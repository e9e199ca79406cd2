// What the API server itself promises: names generated once, finalizers that hold, quotas and addresses that are not
// shared out twice.

import ChaosChecker
import Client
import JSON
import Raft
import Schema
import World

/// Creators that leave the naming to the server: every acknowledged one has an object of its own.
public final class GeneratedNameWorkload: Workload, @unchecked Sendable {
  public static let name = "generated-names"
  private static let namespace = "generated-names"

  private let environment: WorkloadEnvironment
  private var made: [String: String] = [:]
  private var anomalies: [Anomaly] = []

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws { try await environment.ensureNamespace(Self.namespace) }

  public func run() async {
    await withTaskGroup { group in
      for server in environment.servers { group.addTask { await self.work(server) } }
    }
  }

  private func work(_ server: NodeID) async {
    while !environment.isOver {
      let value = environment.newValue()
      if let created = try? await environment.client(server).create(
        .configMaps, namespace: Self.namespace,
        [
          "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["generateName": "g-"],
          "data": ["value": .string(value)],
        ])
      {
        let name = created["metadata"]["name"].string ?? ""
        if let other = made.updateValue(value, forKey: name) {
          anomalies.append(Anomaly("a generated name was given twice", evidence: ["\(name) to \(other) and \(value)"]))
        }
      }
      await environment.pause()
    }
  }

  public func missing() async throws -> String? {
    let list = try await environment.client(0).list(.configMaps, namespace: Self.namespace)
    let there = Dictionary(
      list.items.map { ($0["metadata"]["name"].string ?? "", $0["data"]["value"].string ?? "") },
      uniquingKeysWith: { first, _ in first })
    for (name, value) in made.sorted(by: { $0.key < $1.key }) where there[name] != value {
      anomalies.append(Anomaly("a created object is not there", evidence: ["\(name): \(there[name] ?? "nothing")"]))
    }
    return nil
  }

  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] { anomalies }
}

/// Objects with a finalizer: deleted, they stay until it is taken off, and then they go.
public final class FinalizerWorkload: Workload, @unchecked Sendable {
  public static let name = "finalizers"
  private static let namespace = "finalizers"

  private let environment: WorkloadEnvironment
  private var anomalies: [Anomaly] = []

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws { try await environment.ensureNamespace(Self.namespace) }

  public func run() async {
    await withTaskGroup { group in
      for server in environment.servers { group.addTask { await self.work(server) } }
    }
  }

  private func work(_ server: NodeID) async {
    while !environment.isOver {
      try? await story("f-\(environment.newValue())", server)
      await environment.pause(.milliseconds(500)...(.seconds(3)))
    }
  }

  private func story(_ name: String, _ server: NodeID) async throws {
    let client = environment.client(server)
    try await client.create(
      .configMaps, namespace: Self.namespace,
      [
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": ["name": .string(name), "finalizers": ["simulation.trireme.dev/held"]],
      ])
    await environment.pause()
    try await client.delete(.configMaps, namespace: Self.namespace, name: name)
    await environment.pause()
    let held = try await environment.client(environment.anyServer()).find(
      .configMaps, namespace: Self.namespace, name: name)
    if held?["metadata"]["deletionTimestamp"].isNull ?? true {
      anomalies.append(
        Anomaly("a finalizer does not hold", evidence: ["\(name) is \(held == nil ? "gone" : "not being deleted")"]))
    }
    try await release(name, client)
    if try await environment.client(environment.anyServer()).find(.configMaps, namespace: Self.namespace, name: name)
      != nil
    {
      anomalies.append(Anomaly("an object outlives its last finalizer", evidence: [name]))
    }
  }

  private func release(_ name: String, _ client: APIClient) async throws {
    try await client.patch(
      .configMaps, namespace: Self.namespace, name: name, ["metadata": ["finalizers": nil]], type: .merge)
  }

  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] { anomalies }
}

/// Creators that race for the last places of a quota; the monitor counts.
public final class QuotaWorkload: Workload, @unchecked Sendable {
  public static let name = "quotas"
  private static let namespace = "quotas"
  private static let limit = 6
  private static let names = 16
  private static let quotas = ResourceReference("", "v1", "resourcequotas", "ResourceQuota")

  private let environment: WorkloadEnvironment

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws {
    try await environment.ensureNamespace(Self.namespace)
    do {
      try await environment.client(0).create(
        Self.quotas, namespace: Self.namespace,
        [
          "apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "few"],
          "spec": ["hard": ["count/secrets": .string(String(Self.limit))]],
        ])
    } catch let status as APIStatus where status.reason == "AlreadyExists" {}
  }

  public func run() async {
    await withTaskGroup { group in
      for server in environment.servers {
        for _ in 0..<2 { group.addTask { await self.work(server) } }
      }
    }
  }

  private func work(_ server: NodeID) async {
    while !environment.isOver {
      let client = environment.client(server)
      let name = "q\(environment.random.next(below: Self.names))"
      if environment.random.chance(0.6) {
        _ = try? await client.create(
          .secrets, namespace: Self.namespace,
          ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": .string(name)]])
      } else {
        _ = try? await client.delete(.secrets, namespace: Self.namespace, name: name)
      }
      await environment.pause()
    }
  }
}

/// Services that come and go at every server: the monitor sees to it that no address is given twice.
public final class ServiceWorkload: Workload, @unchecked Sendable {
  public static let name = "services"
  private static let namespace = "services"
  private static let names = 12

  private let environment: WorkloadEnvironment

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws { try await environment.ensureNamespace(Self.namespace) }

  public func run() async {
    await withTaskGroup { group in
      for server in environment.servers { group.addTask { await self.work(server) } }
    }
  }

  private func work(_ server: NodeID) async {
    while !environment.isOver {
      let client = environment.client(server)
      let name = "s\(environment.random.next(below: Self.names))"
      if environment.random.chance(0.6) {
        // A fixed address now and then, which several want.
        var spec: JSONValue = [
          "ports": [["port": 80]], "type": environment.random.chance(0.3) ? "NodePort" : "ClusterIP",
        ]
        if environment.random.chance(0.4) {
          spec["clusterIP"] = .string("10.96.0.\(200 + environment.random.next(below: 4))")
        }
        _ = try? await client.create(
          .services, namespace: Self.namespace,
          ["apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name)], "spec": spec])
      } else {
        _ = try? await client.delete(.services, namespace: Self.namespace, name: name)
      }
      await environment.pause()
    }
  }
}
