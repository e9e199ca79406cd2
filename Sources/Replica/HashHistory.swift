// Comparing states: the running hash at recent applied indexes, checked against what peers say theirs was. Whoever
// differs from the majority of the voters is wrong, whether it leads or follows.

import DequeModule
import Raft

/// Hashes of the last entries, and peers' claims about them.
struct HashHistory {
  /// Entries remembered: seconds of writing at full speed, more than a claim is under way.
  static let capacity = 16_384
  /// Indexes that claims are remembered of; the leader makes one a second.
  static let claimCapacity = 64

  /// What the claims at an index come to.
  enum Verdict: Equatable {
    /// Nobody differs, or nobody else has spoken.
    case agreement
    /// Some differ, and no hash is a majority's: who is right cannot be told.
    case undecided
    /// The majority has another hash than this server.
    case isWrong
    /// The majority has this server's; these voters do not.
    case othersAreWrong([NodeID])
  }

  private var hashes: Deque<UInt64> = []
  /// Index of the entry behind the last.
  private var next: LogIndex
  private var claims: [LogIndex: [NodeID: UInt64]] = [:]
  /// Indexes of which this server has told everyone its own hash, because somebody's differs.
  private var disputed: Set<LogIndex> = []

  init(after index: LogIndex) { next = index + 1 }

  /// Notes the hash after the next entry; false when a peer had another there.
  mutating func record(_ hash: UInt64) -> Bool {
    if hashes.count == Self.capacity { hashes.removeFirst() }
    hashes.append(hash)
    defer { next += 1 }
    guard !claims.isEmpty, let claimed = claims[next] else { return true }
    return claimed.values.allSatisfy { $0 == hash }
  }

  /// The hash after the entry at `index`; nil where it is not remembered any more, or not applied yet.
  func hash(at index: LogIndex) -> UInt64? {
    let first = next - UInt64(hashes.count)
    return index >= first && index < next ? hashes[Int(index - first)] : nil
  }

  /// Notes a peer's claim, about an entry applied here or still to come; false when the hashes differ.
  mutating func compare(_ hash: UInt64, at index: LogIndex, of peer: NodeID) -> Bool {
    guard index >= next || self.hash(at: index) != nil else { return true }
    claims[index, default: [:]][peer] = hash
    if claims.count > Self.claimCapacity, let oldest = claims.keys.min() {
      claims[oldest] = nil
      disputed.remove(oldest)
    }
    return self.hash(at: index).map { $0 == hash } ?? true
  }

  /// True once an index: everyone must be told what this server's hash was there, for a majority to be found.
  mutating func beginDispute(at index: LogIndex) -> Bool { disputed.insert(index).inserted }

  func verdict(at index: LogIndex, by own: NodeID, voters: Set<NodeID>) -> Verdict {
    guard let hash = hash(at: index), var claimed = claims[index], claimed.values.contains(where: { $0 != hash }) else {
      return .agreement
    }
    claimed[own] = hash
    let votes = claimed.filter { voters.contains($0.key) }
    let tally = Dictionary(votes.values.map { ($0, 1) }, uniquingKeysWith: +)
    guard let majority = tally.first(where: { $0.value > voters.count / 2 })?.key else { return .undecided }
    if majority != hash { return .isWrong }
    return .othersAreWrong(votes.filter { $0.value != hash }.keys.sorted())
  }
}
