// Everything that happened in a run: what clients did and saw, what was broken, what servers said.
import ChaosChecker
import ChaosPlan
import Synchronization
import World

/// A request that ended otherwise than in an answer of the API. Whether a fault excuses it is decided at the end.
struct Problem: Sendable {
  var server: String
  var from: MonotonicTime
  var to: MonotonicTime
  var what: String
}

struct Command: Sendable {
  var text: String
  var from: MonotonicTime
  var to: MonotonicTime
  var outcome: KubectlOutcome
}

/// One fault and what came of it.
struct FaultRecord: Sendable {
  var number: Int
  var fault: Fault
  /// With its companion.
  var name: String
  var servers: [String]
  /// Term of the leader before it.
  var term: Int64
  var at: MonotonicTime
  /// When the servers were up and caught up again.
  var over: MonotonicTime?
  /// From the fault until a pod made after it had a node.
  var podBound: Duration?
  /// From the fault until a ReplicaSet had followed its Deployment.
  var replicaSetActed: Duration?
  /// Where no server survived: from the return of the servers until a new pod had a node and a ReplicaSet had followed.
  var loopsResumed: Duration?
  /// From the fault until another server said that it leads.
  var newLeader: Duration?
}

struct Sample: Sendable {
  var at: MonotonicTime
  var server: String
  var isLeader: Bool
  var term: Int64
  var appliedIndex: Int64
}

final class Journal: Sendable {
  struct Content: Sendable {
    var operations: [RegisterOperation] = []
    /// Times of successful writes at each entrance, in order.
    var writes: [String: [MonotonicTime]] = [:]
    /// Of successful reads.
    var reads: [String: [MonotonicTime]] = [:]
    var watches: [WatcherLog] = []
    /// Of the collection that is a set: what was asked, listed and watched.
    var setOperations: [RegisterOperation] = []
    var lists: [ObservedList] = []
    var setWatches: [WatcherLog] = []
    /// Who believed to hold the lock, and what was written under it.
    var holds: [LockHold] = []
    var fencedWrites: [FencedWrite] = []
    /// By pod: the nodes that it was seen on.
    var podsSeen: [String: Set<String>] = [:]
    var problems: [Problem] = []
    var commands: [Command] = []
    var faults: [FaultRecord] = []
    var outages: [Outage] = []
    var samples: [Sample] = []
    var anomalies: [Anomaly] = []
    var nextOperation = 0
    var nextValue = 0
    /// appliedIndex → the state's hash and the server that said so.
    var hashes: [Int64: (hash: String, server: String)] = [:]
    var hashesCompared = 0
  }
  private let content = Mutex(Content())
  let start: MonotonicTime

  init(start: MonotonicTime) { self.start = start }

  var all: Content { content.withLock { $0 } }
  func edit<Result: Sendable>(_ body: (inout Content) -> Result) -> Result { content.withLock { body(&$0) } }

  func newValue() -> String {
    content.withLock { content in
      content.nextValue += 1
      return "v\(content.nextValue)"
    }
  }

  func record(
    _ key: String, client: String, from: MonotonicTime, to: MonotonicTime?, _ request: RegisterRequest,
    _ answer: RegisterAnswer,
    in operations: any WritableKeyPath<Content, [RegisterOperation]> & Sendable = \.operations
  ) {
    content.withLock { content in
      content.nextOperation += 1
      content[keyPath: operations].append(
        RegisterOperation(
          key: key,
          operation: Operation(
            id: content.nextOperation, client: client, invoked: from, returned: to,
            action: RegisterAction(request, answer))))
      guard case .done = answer, let to, operations == \.operations else { return }
      content.writes[String(client.prefix { $0 != "/" }), default: []].append(to)
    }
  }

  func record(_ problem: Problem) { content.withLock { $0.problems.append(problem) } }
  func record(_ command: Command) { content.withLock { $0.commands.append(command) } }
  func record(_ anomaly: Anomaly) { content.withLock { $0.anomalies.append(anomaly) } }

  /// Servers at the same applied index must have the same state: compared whenever they meet.
  func record(_ status: ServerStatus, at now: MonotonicTime) {
    content.withLock { content in
      content.samples.append(
        Sample(
          at: now, server: status.server, isLeader: status.isLeader, term: status.term,
          appliedIndex: status.appliedIndex))
      // Whoever has just started, or joins, has nothing yet to compare.
      guard status.appliedIndex > 0 else { return }
      guard let other = content.hashes.updateValue((status.stateHash, status.server), forKey: status.appliedIndex),
        other.server != status.server
      else { return }
      content.hashesCompared += 1
      guard other.hash != status.stateHash else { return }
      content.anomalies.append(
        Anomaly(
          "state hashes differ at applied index \(status.appliedIndex)",
          evidence: ["\(other.server): \(other.hash)", "\(status.server): \(status.stateHash)"]))
    }
  }
}
