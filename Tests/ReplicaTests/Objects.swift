// The vocabulary of these tests: small documents with a place for their revision.

import Synchronization

@testable import Replica

/// `{"metadata":{"resourceVersion":""},"data":"…"}`
func document(_ data: String, uid: String = "u", labels: [String: String] = [:], fence: UInt64 = 0) -> UnversionedObject
{
  let head = #"{"metadata":{"resourceVersion":""#
  return UnversionedObject(
    uid: uid, bytes: Array("\(head)\"},\"data\":\"\(data)\"}".utf8), revisionOffset: head.utf8.count, labels: labels,
    fence: fence)
}

func pod(_ name: String, _ namespace: String = "default") -> ObjectKey {
  ObjectKey(resource: "pods", namespace: namespace, name: name)
}

func text(_ object: StoredObject?) -> String? { object.map { String(decoding: $0.bytes, as: UTF8.self) } }

func changes(_ outcome: CommandOutcome?) -> [Change]? {
  if case .committed(let changes) = outcome { return changes }
  return nil
}

/// Everything a watch delivered.
final class Deliveries: Sendable {
  struct Batch: Sendable {
    let changes: [Change]
    let revision: Revision
  }
  private let state = Mutex<(batches: [Batch], hasEnded: Bool)>(([], false))
  var batches: [Batch] { state.withLock { $0.batches } }
  var revisions: [Revision] { batches.flatMap { $0.changes.map(\.revision) } }
  var hasEnded: Bool { state.withLock { $0.hasEnded } }
  func receive(_ changes: [Change], _ revision: Revision) {
    state.withLock { $0.batches.append(Batch(changes: changes, revision: revision)) }
  }
  func end() { state.withLock { $0.hasEnded = true } }
}
