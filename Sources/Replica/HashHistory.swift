// Comparing states: the running hash at recent applied indexes, checked against what peers say theirs was.

import DequeModule
import Raft

/// Hashes of the last entries, and peers' claims about entries not applied here yet.
struct HashHistory {
  /// Entries remembered: seconds of writing at full speed, more than a claim is under way.
  static let capacity = 16_384
  /// Claims that wait; each peer makes one a second.
  static let claimCapacity = 64

  private var hashes: Deque<UInt64> = []
  /// Index of the entry behind the last.
  private var next: LogIndex
  private var claims: [LogIndex: UInt64] = [:]

  init(after index: LogIndex) { next = index + 1 }

  /// Notes the hash after the next entry; false when a peer had another there.
  mutating func record(_ hash: UInt64) -> Bool {
    if hashes.count == Self.capacity { hashes.removeFirst() }
    hashes.append(hash)
    defer { next += 1 }
    guard !claims.isEmpty, let claim = claims.removeValue(forKey: next) else { return true }
    return claim == hash
  }

  /// The hash after the entry at `index`; nil where it is not remembered any more, or not applied yet.
  func hash(at index: LogIndex) -> UInt64? {
    let first = next - UInt64(hashes.count)
    return index >= first && index < next ? hashes[Int(index - first)] : nil
  }

  /// Compares a peer's claim, now or when the entry is applied; false when the hashes differ.
  mutating func compare(_ hash: UInt64, at index: LogIndex) -> Bool {
    if index >= next {
      if claims.count < Self.claimCapacity { claims[index] = hash }
      return true
    }
    let first = next - UInt64(hashes.count)
    return index < first || hashes[Int(index - first)] == hash
  }
}
