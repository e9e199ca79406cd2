// Clients that want the same thing at the same moment, each at a server of its own: whoever guards a thing by looking
// first, and not by a precondition, gives it away twice.

import ChaosChecker
import Client
import JSON
import Raft
import Schema
import World

/// Services that all want one address and one node port, created at once at every server; the monitor sees to it that
/// one of them gets it.
public final class AddressRaceWorkload: Workload, @unchecked Sendable {
  public static let name = "addresses"
  private static let namespace = "addresses"

  private let environment: WorkloadEnvironment
  private var rounds = 0

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  public func prepare() async throws { try await environment.ensureNamespace(Self.namespace) }

  public func run() async {
    while !environment.isOver {
      rounds += 1
      let address = "10.96.3.\(1 + rounds % 200)"
      let port = Int64(30_000 + rounds % 2000)
      let names = environment.servers.map { "r\(rounds)-\($0)" }
      await withTaskGroup { group in
        for (server, name) in zip(environment.servers, names) {
          group.addTask { await self.create(name, address, port, at: server) }
        }
      }
      await environment.pause(.milliseconds(5)...(.milliseconds(60)))
      for name in names {
        _ = try? await environment.client(environment.anyServer()).delete(
          .services, namespace: Self.namespace, name: name)
      }
    }
  }

  private func create(_ name: String, _ address: String, _ port: Int64, at server: NodeID) async {
    let spec: JSONValue = [
      "type": "NodePort", "clusterIP": .string(address), "ports": [["port": 80, "nodePort": .integer(port)]],
    ]
    _ = try? await environment.client(server).create(
      .services, namespace: Self.namespace,
      ["apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name)], "spec": spec])
  }
}
