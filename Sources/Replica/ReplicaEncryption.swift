// Rotation of the keys that a server's disk is encrypted with, while it serves.

import Logging
import Storage
import Synchronization
import World

/// Why a rotation did not begin, or did not come to its end (it goes on at the next start).
public enum RotationError: Error, Sendable, CustomStringConvertible {
  case notEncrypted
  /// One at a time: a second one would forget the key that the first still seals with.
  case underWay
  case failed(String)

  public var description: String {
    switch self {
    case .notEncrypted: "this server's disk is not encrypted"
    case .underWay: "the key of this server's disk is being changed already"
    case .failed(let why): "the key cannot be changed: \(why)"
    }
  }
}

/// The keys of one server's disk, and how far what is stored is sealed with the newest.
public struct EncryptionStatus: Sendable, Equatable {
  /// What everything new is sealed with.
  public var currentKey: UInt64
  /// Keys that something stored may still need.
  public var oldKeys: [UInt64]
  /// Resources whose objects are sealed in the state. Of the log, everything is.
  public var resources: [String]
  /// What is stored is being sealed anew.
  public var isRotating = false
  /// What share of the log and of the state the walk has dealt with, from 0 to 1.
  public var logShare = 1.0
  public var stateShare = 1.0
  /// Why the last walk did not come to its end; the next start begins it anew.
  public var failure: String?
}

/// What a replica knows of a rotation. Any thread.
final class RotationDesk: Sendable {
  struct State {
    var walksLeft = 0
    var isUnderWay = false
    var logShare = 1.0
    var stateShare = 1.0
    var failure: String?
  }
  let state = Mutex(State())

  /// False: one is under way already.
  func begin() -> Bool {
    state.withLock { state in
      guard !state.isUnderWay else { return false }
      state = State(walksLeft: 2, isUnderWay: true, logShare: 0, stateShare: 0)
      return true
    }
  }

  /// The log's walk or the state's has ended; true with the second of them.
  func walkEnded(_ failure: StorageError?) -> Bool {
    state.withLock { state in
      state.walksLeft -= 1
      state.failure = state.failure ?? failure.map { "\($0)" }
      return state.walksLeft == 0
    }
  }

  func end(_ failure: String?) {
    state.withLock { state in
      state.isUnderWay = false
      state.failure = failure
    }
  }
}

extension Replica {
  /// The keys of this server's disk; nil where it is not encrypted.
  public var encryption: EncryptionStatus? {
    guard let keyring else { return nil }
    let (current, old) = keyring.numbers
    return rotation.state.withLock { state in
      EncryptionStatus(
        currentKey: current, oldKeys: old, resources: keyring.resources.sorted(), isRotating: state.isUnderWay,
        logShare: state.logShare, stateShare: state.stateShare, failure: state.failure)
    }
  }

  /// Makes a new key for this server's disk and seals everything stored anew with it, in small steps beside the writes
  /// that go on; returns the new key's number when the old one is forgotten. Blocks the calling loop for the moment in
  /// which the keys' file is written.
  public func rotateEncryptionKey() async throws(RotationError) -> UInt64 {
    let (keyring, number) = try addKey(for: "this process")
    let failure = await withCheckedContinuation { continuation in
      reseal(keyring) { continuation.resume(returning: $0) }
    }
    if let failure { throw .failed(failure) }
    return number
  }

  /// As `rotateEncryptionKey`, but returns when the new key is there: `encryption` tells how far it has come.
  /// `who` has asked for it, for the log.
  public func beginKeyRotation(for who: String) throws(RotationError) -> UInt64 {
    let (keyring, number) = try addKey(for: who)
    reseal(keyring) { _ in }
    return number
  }

  private func addKey(for who: String) throws(RotationError) -> (EncryptionKeyring, UInt64) {
    guard let keyring else { throw .notEncrypted }
    guard rotation.begin() else { throw .underWay }
    do throws(StorageError) {
      let number = try keyring.addKey()
      logger.notice(
        "the disk has a new encryption key: everything stored is sealed anew with it",
        metadata: ["key": "\(number)", "by": "\(who)"])
      return (keyring, number)
    } catch {
      logger.error("no new encryption key could be made", metadata: ["by": "\(who)", "error": "\(error)"])
      rotation.end("\(error)")
      throw .failed("\(error)")
    }
  }

  /// What a crash has interrupted, and what was stored in the clear and is to be sealed now.
  func finishRotation() {
    guard let keyring, keyring.hasOldKeys || needsResealing, rotation.begin() else { return }
    logger.notice(
      "what is stored is not sealed with the disk's encryption key yet: it is sealed anew",
      metadata: ["key": "\(keyring.currentKey)"])
    reseal(keyring) { _ in }
  }

  /// Both walks, then the old keys are dropped; `completion` gets the reason why not.
  private func reseal(_ keyring: EncryptionKeyring, _ completion: @escaping @Sendable (String?) -> Void) {
    let (rotation, logger) = (rotation, logger)
    let walkEnded = { @Sendable (failure: StorageError?) in
      guard rotation.walkEnded(failure) else { return }
      var reason = rotation.state.withLock { $0.failure }
      if reason == nil { do throws(StorageError) { try keyring.dropOldKeys() } catch { reason = "\(error)" } }
      let key = Logger.MetadataValue.stringConvertible(keyring.currentKey)
      if let reason {
        logger.error(
          "not everything could be sealed anew: older keys are kept, and the next start goes on",
          metadata: ["key": key, "error": "\(reason)"])
      } else {
        logger.notice("everything stored is sealed with one key, older ones are forgotten", metadata: ["key": key])
      }
      rotation.end(reason)
      completion(reason)
    }
    stores.log.reseal(progress: { share in rotation.state.withLock { $0.logShare = share } }, walkEnded)
    stores.state.reseal(progress: { share in rotation.state.withLock { $0.stateShare = share } }, walkEnded)
  }
}
