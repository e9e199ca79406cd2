// The last backup that was verified, as the cluster remembers it.
import Client
import JSON
import Replica
import Schema
import World

/// Kept in ConfigMap kube-system/trireme-last-backup: everybody who may read it can alert on its age.
enum BackupRecord {
  static let namespace = "kube-system"
  static let name = "trireme-last-backup"

  /// As written by the last `trireme backup`; null when there was none. Read here, so that it needs no majority.
  static func read(_ store: any ObjectStore) async -> JSONValue {
    guard let object = store.current.object(ObjectKey(resource: "configmaps", namespace: namespace, name: name)),
      let tree = try? JSONValue(parsing: object.bytes)
    else { return .null }
    return tree["data"]
  }

  static func write(_ data: JSONValue, _ client: APIClient) async throws {
    let object: JSONValue = [
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": ["name": .string(name), "namespace": .string(namespace)], "data": data,
    ]
    try await client.patch(
      .configMaps, namespace: namespace, name: name, object, type: .apply, fieldManager: "trireme", force: true)
  }
}
