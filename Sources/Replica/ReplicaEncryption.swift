// Rotation of the keys that a server's disk is encrypted with, while it serves.

import Logging
import Storage
import Synchronization
import World

/// Why a rotation did not begin, or did not come to its end (it goes on at the next start).
public enum RotationError: Error, Sendable, CustomStringConvertible {
  case notEncrypted
  case failed(String)

  public var description: String {
    switch self {
    case .notEncrypted: "this server's disk is not encrypted"
    case .failed(let why): "the key cannot be changed: \(why)"
    }
  }
}

extension Replica {
  /// Makes a new key for this server's disk and seals everything stored anew with it, in small steps beside the writes
  /// that go on; returns the new key's number when the old one is forgotten. Blocks the calling loop for the moment in
  /// which the keys' file is written.
  public func rotateEncryptionKey() async throws(RotationError) -> UInt64 {
    guard let keyring else { throw .notEncrypted }
    let number: UInt64
    do throws(StorageError) { number = try keyring.addKey() } catch { throw .failed("\(error)") }
    let failure = await withCheckedContinuation { continuation in
      reseal(keyring) { continuation.resume(returning: $0) }
    }
    if let failure { throw .failed(failure) }
    return number
  }

  /// What a crash has interrupted, and what was stored in the clear and is to be sealed now.
  func finishRotation() {
    guard let keyring, keyring.hasOldKeys || needsResealing else { return }
    reseal(keyring) { _ in }
  }

  /// Both walks, then the old keys are dropped; `completion` gets the reason why not.
  private func reseal(_ keyring: EncryptionKeyring, _ completion: @escaping @Sendable (String?) -> Void) {
    let left = Mutex<(walks: Int, failure: StorageError?)>((2, nil))
    let walk = ResealWalk(left) { failure in
      guard let failure else {
        do throws(StorageError) { try keyring.dropOldKeys() } catch { return completion("\(error)") }
        return completion(nil)
      }
      completion("\(failure)")
    }
    stores.log.reseal { walk.finished($0) }
    stores.state.reseal { walk.finished($0) }
  }
}

/// Waits for the log's walk and the state's.
private final class ResealWalk: Sendable {
  private let left: Mutex<(walks: Int, failure: StorageError?)>
  private let completion: @Sendable (StorageError?) -> Void

  init(
    _ left: consuming Mutex<(walks: Int, failure: StorageError?)>,
    _ completion: @escaping @Sendable (StorageError?) -> Void
  ) {
    self.left = left
    self.completion = completion
  }

  func finished(_ failure: StorageError?) {
    let (isLast, first) = left.withLock { left in
      left.walks -= 1
      left.failure = left.failure ?? failure
      return (left.walks == 0, left.failure)
    }
    if isLast { completion(first) }
  }
}
