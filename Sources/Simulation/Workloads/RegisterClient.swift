// ConfigMaps as registers: one operation at one server, written down as its client saw it.

import ChaosChecker
import Client
import HTTP
import JSON
import Raft
import Replica
import Schema
import World

/// Performs operations on the ConfigMaps of a namespace and keeps their history. Confined to the simulator's thread.
final class RegisterHistory: @unchecked Sendable {
  let namespace: String
  let environment: WorkloadEnvironment
  private(set) var operations: [RegisterOperation] = []

  init(_ environment: WorkloadEnvironment, namespace: String) {
    self.environment = environment
    self.namespace = namespace
  }

  /// The answer; nil when the server could not be asked or did not say.
  func perform(_ request: RegisterRequest, on key: String, at server: NodeID, worker: String) async -> RegisterAnswer? {
    let id = environment.nextOperation()
    let invoked = environment.world.now
    let answer = await send(request, key, environment.client(server))
    let returned = environment.world.now
    guard let answer else { return nil }
    if case .done(let revision) = answer { environment.note(acknowledged: revision) }
    if case .found(let version) = answer { environment.note(acknowledged: version.revision) }
    // A read that was not answered says nothing.
    if answer == .unknown, request == .read { return nil }
    operations.append(
      RegisterOperation(
        key: key,
        operation: Operation(
          id: id, client: worker, invoked: invoked, returned: answer == .unknown ? nil : returned,
          action: RegisterAction(request, answer))))
    return answer == .unknown ? nil : answer
  }

  /// Nil: the request never left.
  private func send(_ request: RegisterRequest, _ key: String, _ client: APIClient) async -> RegisterAnswer? {
    do {
      return try await answer(request, key, client)
    } catch let status as APIStatus {
      switch (status.code, status.reason) {
      case (404, _): return .notFound
      case (409, "AlreadyExists"): return .alreadyExists
      case (409, _): return .conflict
      // Refused before anything was done.
      case (429, _), (400..<500, _): return nil
      default: return .unknown
      }
    } catch HTTPError.connectFailed {
      return nil
    } catch {
      return .unknown
    }
  }

  private func answer(_ request: RegisterRequest, _ key: String, _ client: APIClient) async throws -> RegisterAnswer {
    switch request {
    case .read: return .found(Self.version(try await client.get(.configMaps, namespace: namespace, name: key)))
    case .create(let value):
      let created = try await client.create(.configMaps, namespace: namespace, object(key, value))
      return .done(revision: Self.version(created).revision)
    case .update(let value, let seen):
      var object = object(key, value)
      object["metadata"]["resourceVersion"] = .string(seen.revision.map(String.init) ?? "")
      let updated = try await client.update(.configMaps, namespace: namespace, name: key, object)
      return .done(revision: Self.version(updated).revision)
    case .delete(let seen):
      try await client.delete(
        .configMaps, namespace: namespace, name: key, DeleteOptions(resourceVersion: seen?.revision.map(String.init)))
      return .done(revision: nil)
    }
  }

  func object(_ name: String, _ value: String) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "ConfigMap",
      "metadata": ["name": .string(name), "namespace": .string(namespace)], "data": ["value": .string(value)],
    ]
  }

  static func version(_ object: JSONValue) -> Version {
    Version(value: object["data"]["value"].string ?? "", revision: revision(of: object))
  }
  static func revision(of object: JSONValue) -> Int64? {
    object["metadata"]["resourceVersion"].string.flatMap { Int64($0) }
  }

  /// What really happened to the objects of this namespace.
  func truth(_ monitor: InvariantMonitor) -> CommittedHistory { monitor.history("configmaps", namespace: namespace) }
}

extension InvariantMonitor {
  /// The committed changes of a namespace, with the value that each object had.
  func history(_ resource: String, namespace: String) -> CommittedHistory {
    var history = CommittedHistory()
    // The namespace controller's, in every namespace.
    history.othersWrite = ["kube-root-ca.crt"]
    for change in changes[resource] ?? [] where change.key.namespace == namespace {
      let tree = (try? JSONValue(parsing: change.object.bytes)) ?? .null
      let kind: WatchedEvent.Kind =
        change.kind == .delete ? .deleted : change.previous == nil ? .added : .modified
      history.append(
        CommittedChange(
          kind, key: change.key.name, value: tree["data"]["value"].string ?? "", revision: Int64(change.revision)))
    }
    return history
  }
}
