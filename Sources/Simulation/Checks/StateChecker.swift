// The invariants of the replicated state: one history, the same everywhere, and what comes back from a disk or a peer is
// exactly the state of its applied index. The first server to apply an entry says what the others must come to.

import Raft
import Replica
import Storage

struct StateChecker {
  /// What the state came to at one applied index.
  private struct Milestone {
    var revision: Revision
    var stateHash: UInt64
    /// The sum of all objects' hashes: of the content itself, where the state hash is of its history.
    var content: UInt64
  }

  /// From applied index 0 on.
  private var milestones: [Milestone]
  /// Hashes of the objects as of the last milestone.
  private var objects: [ObjectKey: UInt64] = [:]
  /// Remembered requests at the indexes at which somebody handed out the state.
  private var requests: [LogIndex: UInt64] = [:]
  private var applied: [NodeID: LogIndex] = [:]
  private var knowsEmptyHash = false
  private(set) var violation: InvariantViolation?

  init() { milestones = [Milestone(revision: 1, stateHash: 0, content: 0)] }

  var appliedThrough: LogIndex { LogIndex(milestones.count) - 1 }
  var revision: Revision { milestones[milestones.count - 1].revision }

  private mutating func report(_ invariant: String, _ node: NodeID, _ evidence: String) {
    if violation == nil { violation = InvariantViolation(invariant, node: node, evidence) }
  }

  private static func hash(_ object: StoredObject) -> UInt64 {
    var key = "\(object.key.resource)\u{0}\(object.key.namespace)\u{0}\(object.key.name)\u{0}\(object.uid)"
    return key.withUTF8 {
      xxh64(object.bytes, seed: xxh64(UnsafeRawBufferPointer($0), seed: object.revision &+ object.fence))
    }
  }

  /// One entry was applied. True when it is new: nobody has applied it before.
  mutating func applied(
    _ index: LogIndex, changes: ArraySlice<Change>, revision: Revision, stateHash: UInt64, node: NodeID
  ) -> Bool {
    if let last = applied[node], index != last + 1 {
      report("entries are applied in order, none twice", node, "entry \(index) after \(last)")
    }
    applied[node] = index
    if index <= appliedThrough {
      let known = milestones[Int(index)]
      if known.stateHash != stateHash || known.revision != revision {
        report(
          "equal state at equal applied index", node,
          "after entry \(index): revision \(revision), hash \(stateHash); elsewhere \(known.revision), \(known.stateHash)"
        )
      }
      return false
    }
    guard index == appliedThrough + 1 else {
      report("entries are applied in order, none twice", node, "entry \(index), though nobody has applied \(index - 1)")
      return false
    }
    var content = milestones[milestones.count - 1].content
    var expected = self.revision
    for change in changes {
      expected += 1
      if change.revision != expected {
        report("revisions have no gaps", node, "\(change.key) at \(change.revision), \(expected) was next")
      }
      content &-= objects[change.key, default: 0]
      let hash = change.kind == .put ? Self.hash(change.object) : nil
      content &+= hash ?? 0
      objects[change.key] = hash
    }
    if revision != expected { report("revisions have no gaps", node, "\(revision) after \(expected)") }
    milestones.append(Milestone(revision: revision, stateHash: stateHash, content: content))
    return true
  }

  /// A server starts with this state, or a snapshot has replaced its own.
  mutating func replaced(_ state: ObservedState, node: NodeID, by source: String) {
    applied[node] = state.appliedIndex
    guard state.appliedIndex <= appliedThrough else {
      return report(
        "only the committed is applied", node,
        "\(source) is of entry \(state.appliedIndex); \(appliedThrough) are applied anywhere")
    }
    // What nothing at all comes to is for the replica to say, and for all to agree on.
    if state.appliedIndex == 0, !knowsEmptyHash {
      knowsEmptyHash = true
      milestones[0].stateHash = state.stateHash
    }
    let known = milestones[Int(state.appliedIndex)]
    if state.revision != known.revision {
      report(
        "revisions never go back", node,
        "\(source) of entry \(state.appliedIndex) says revision \(state.revision); it was \(known.revision)")
    }
    if state.stateHash != known.stateHash {
      report("equal state at equal applied index", node, "\(source) of entry \(state.appliedIndex) has another hash")
    }
    let content = state.objects.reduce(UInt64(0)) { $0 &+ Self.hash($1) }
    if content != known.content {
      report(
        "applied index and data are one", node,
        "\(source) says it is of entry \(state.appliedIndex), but holds other objects (\(state.objects.count))")
    }
    checkRequests(state, node, source)
  }

  /// A server hands its state to its disk or to a peer.
  mutating func handsOut(_ state: ObservedState, node: NodeID) { checkRequests(state, node, "what is handed out") }

  private mutating func checkRequests(_ state: ObservedState, _ node: NodeID, _ source: String) {
    let digest = state.requestsDigest
    guard let known = requests[state.appliedIndex] else {
      requests[state.appliedIndex] = digest
      return
    }
    if known != digest {
      report(
        "requests are remembered with the state", node,
        "\(source) of entry \(state.appliedIndex) remembers other requests than it had")
    }
  }
}
