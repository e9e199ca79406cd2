// Store errors as statuses, stored objects as trees.
import JSON
import Replica
import Schema

extension APIStatus {
  /// What a client is told when the store could not do what was asked (spec/README, "leader change in the store"): an
  /// uncertain outcome is 504, never a conflict.
  init(storeError: StoreError) {
    switch storeError {
    case .timedOut: self = .timeout("request did not complete within the allotted timeout")
    case .stopped(let why): self = .serviceUnavailable("the server is stopping: \(why)")
    case .tooLarge(let limit): self = .tooLarge(limit: limit)
    case .noRoom(let why): self = .insufficientStorage(why)
    case .notUnderstood(let why): self = .serviceUnavailable(why)
    }
  }
}
