// Where all invariants meet: an observer of every replica of a cluster. Give it to the replicas' options; the first
// violation stands here, and whoever turns the simulation ends the run at it.

import JSON
import Raft
import Replica
import Storage

/// Checks the invariants of consensus, state and control plane with everything that any replica does. Confined to the
/// simulator's thread (hence unchecked).
public final class InvariantMonitor: ReplicaObserver, @unchecked Sendable {
  private var consensus = ConsensusChecker()
  private var state = StateChecker()
  private var objects = ControlPlaneChecker()
  /// Called with the first violation, once.
  public var onViolation: ((InvariantViolation) -> Void)?
  /// Called when a snapshot has replaced a server's state.
  var onInstalled: ((NodeID) -> Void)?
  public private(set) var violation: InvariantViolation?
  /// Every committed change of the resources that workloads follow, in order.
  public private(set) var changes: [String: [Change]] = [:]
  private let followed: Set<String>
  /// Servers whose disks a run has damaged on purpose.
  private var tamperedDisks: Set<NodeID> = []
  /// Turns of replicas that were checked, and entries.
  public private(set) var turns: UInt64 = 0

  /// `following`: resources whose changes are kept, for the workloads' verdicts.
  public init(following resources: Set<String> = []) { followed = resources }

  public var committedThrough: UInt64 { consensus.committedThrough }
  public var revision: UInt64 { state.revision }
  public var leaderCount: Int { consensus.leaderCount }

  /// Whether candidates ask before they stand.
  public var expectsPreVote: Bool {
    get { consensus.expectsPreVote }
    set { consensus.expectsPreVote = newValue }
  }

  /// The server's disk was wiped or damaged on purpose: what it promised before does not bind what stands there now.
  public func diskWasReplaced(of node: NodeID) { consensus.forgetPromises(of: node) }

  /// Damage was put into the server's disk on purpose, or it has been read anew and is whole again.
  func diskIsDamaged(of node: NodeID, _ isDamaged: Bool) {
    tamperedDisks.insert(node)
    consensus.diskIsDamaged(of: node, isDamaged)
  }

  /// Something that others found: a verdict of a workload, a server that cannot start.
  public func report(_ violation: InvariantViolation) {
    guard self.violation == nil else { return }
    self.violation = violation
    onViolation?(violation)
  }

  private func collect() {
    if let found = consensus.violation ?? state.violation ?? objects.violation { report(found) }
  }

  // MARK: ReplicaObserver

  package func restored(_ raft: Raft, _ observed: ObservedState, node: NodeID) {
    consensus.restored(
      RestoredServer(
        node: node, term: raft.currentTerm, votedFor: raft.votedFor, commitIndex: raft.commitIndex,
        baseIndex: raft.baseIndex, terms: (raft.baseIndex...raft.lastIndex).map { raft.term(at: $0) ?? 0 }))
    state.replaced(observed, node: node, by: "the disk")
    collect()
  }

  /// A crash leaves whole disks behind, wherever it strikes: what is damaged was damaged on purpose.
  package func foundDamaged(_ what: String, node: NodeID) {
    guard !tamperedDisks.contains(node) else { return }
    report(InvariantViolation("a crash damages nothing (applied index and data are one)", node: node, what))
  }

  package func performing(_ output: RaftOutput, _ turn: ObservedTurn, node: NodeID) {
    turns &+= 1
    consensus.step(
      ServerStep(
        node: node, role: turn.role, term: turn.term, commitIndex: turn.commitIndex,
        durableIndex: turn.durableIndex, configuration: turn.configuration, output: output))
    collect()
  }

  package func logIsDurable(through token: PersistToken, node: NodeID) {
    consensus.logIsDurable(through: token, node: node)
  }

  package func promisesAreDurable(through token: PersistToken, node: NodeID) {
    consensus.promisesAreDurable(through: token, node: node)
  }

  package func applied(
    _ entry: Entry, changes: ArraySlice<Change>, revision: Revision, stateHash: UInt64, node: NodeID
  ) {
    let isNew = state.applied(
      entry.index, changes: changes, revision: revision, stateHash: stateHash, node: node)
    if isNew, !changes.isEmpty {
      objects.committed(changes, fences: entry.kind == .command ? requiredFences(of: entry) : [])
      for change in changes where followed.contains(change.key.resource) {
        self.changes[change.key.resource, default: []].append(change)
      }
    }
    collect()
  }

  package func installed(_ observed: ObservedState, node: NodeID) {
    state.replaced(observed, node: node, by: "the snapshot")
    collect()
    onInstalled?(node)
  }

  package func handingOut(_ observed: ObservedState, node: NodeID) {
    state.handsOut(observed, node: node)
    collect()
  }
}
