// Paths of Trireme's own beside the Kubernetes API: how the group is, and where its servers are.
import APIServer
import HTTP
import JSON
import Replica
import Synchronization
import World

/// Whether this server should get requests: what /readyz asks.
public final class ServerHealth: Sendable {
  /// An election is over long before; a server that has known no leader for so long is cut off, and others are better
  /// asked. Within it requests wait, and nobody is sent away.
  private static let electionPatience = Duration.seconds(5)
  /// The same for a server that hears too few others for any of them to be elected: it can only wait to be found again.
  private static let isolationPatience = Duration.milliseconds(500)

  private let replica: Replica
  private let world: any World
  private let stopping = Atomic<Bool>(false)
  /// Set once everything that was committed at the start has been applied. Later a follower is always a little behind:
  /// its reads wait for what they need.
  private let hasCaughtUp = Atomic<Bool>(false)
  /// Since when no leader is known; nil while one is.
  private let leaderlessSince: Mutex<MonotonicTime?>

  init(replica: Replica, world: any World) {
    self.replica = replica
    self.world = world
    // A server that has just started has to find its leader before it is ready.
    leaderlessSince = Mutex(MonotonicTime(nanoseconds: 0))
    replica.onLeadershipChange { [weak self] leadership in
      self?.leaderlessSince.withLock { since in
        since = leadership.leader == nil ? since ?? world.now : nil
      }
    }
  }

  /// Set when the server begins to shut down: the load balancer looks elsewhere first.
  public var isStopping: Bool {
    get { stopping.load(ordering: .relaxed) }
    set { stopping.store(newValue, ordering: .relaxed) }
  }

  /// Why a server without a leader should be asked nothing; nil: one is known, or is about to be elected.
  private func leaderProblem(_ status: ReplicaStatus) -> String? {
    guard let since = leaderlessSince.withLock({ $0 }) else { return nil }
    let waited = world.now - since
    if waited > Self.electionPatience { return "no leader is known" }
    let isIsolated = waited > Self.isolationPatience && !status.reachesMajority
    return isIsolated ? "no majority of the servers can be reached" : nil
  }

  /// A follower without room takes no entries, so that its reads wait for what it cannot hear of. The leader is asked
  /// all the same: where it has no room either, nobody has, and what was read before can still be read.
  private func roomProblem(_ status: ReplicaStatus) -> String? {
    let follows = status.leadership.leader != nil && !status.leadership.isLeader
    return status.isDiskFull && follows ? "the disk is full" : nil
  }

  /// In a word, for load balancers.
  public var probeAnswer: ProbeAnswer {
    if isStopping { return .leaving }
    return checks().allSatisfy { $0.problem == nil } ? .well : .unwell
  }

  /// Named checks in order, each with what is wrong or nil. What the reference has as well is called as there: `etcd` is
  /// the store that this server is, and scripts leave it out by that name.
  func checks() -> [(name: String, problem: String?)] {
    let status = replica.status
    if status.isReady { hasCaughtUp.store(true, ordering: .relaxed) }
    let isBehind = !hasCaughtUp.load(ordering: .relaxed)
    return [
      ("ping", nil),
      ("log", nil),
      ("etcd", status.stopped.map { "storage stopped: \($0)" }),
      ("disk", status.repair.map { _ in "the disk is damaged and is being repaired from the other servers" }),
      ("room", roomProblem(status)),
      ("raft-leader", leaderProblem(status)),
      ("applied", isBehind ? "committed entries are still to be applied" : nil),
      ("shutdown", isStopping ? "process is shutting down" : nil),
    ]
  }
}

/// GET /trireme/status: this server's view of the group. With `?hashAt=INDEX` also the state hash after that entry, so
/// that servers can be compared at the same one.
struct StatusPath: PathHandler {
  let name: String
  let version: String
  let replica: Replica

  func respond(to request: HTTPRequest, context: RequestContext) async -> HTTPResponse {
    let status = replica.status
    var body = Self.json(status, name: name)
    body["version"] = .string(version)
    if let index = RequestTarget(parsing: request.target)?[query: "hashAt"].flatMap({ UInt64($0) }) {
      body["hashAt"] = await replica.stateHash(at: index).map { .string(String($0, radix: 16)) } ?? .null
    }
    return HTTPResponse(
      status: 200, headers: ["content-type": "application/json"], body: .bytes(body.bytes))
  }

  private static func json(_ status: ReplicaStatus, name: String) -> JSONValue {
    let names = Dictionary(uniqueKeysWithValues: status.members.map { ($0.member.id, $0.member.name) })
    let isLearner = status.members.first(where: \.isSelf).map { !$0.isVoter } ?? false
    return [
      "name": .string(name), "id": .integer(Int64(status.node)), "cluster": .string(status.cluster),
      "role": .string(status.leadership.isLeader ? "leader" : isLearner ? "learner" : "follower"),
      "leader": status.leadership.leader.map { .string(names[$0] ?? "\($0)") } ?? .null,
      "term": .integer(Int64(status.leadership.term)), "commitIndex": .integer(Int64(status.commitIndex)),
      "appliedIndex": .integer(Int64(status.appliedIndex)), "revision": .integer(Int64(status.revision)),
      "stateHash": .string(String(status.stateHash, radix: 16)), "objects": .integer(Int64(status.objects)),
      "watches": .integer(Int64(status.watches)), "tolerableLosses": .integer(Int64(status.tolerableLosses)),
      "lastFsyncSeconds": .double(status.lastFsyncSeconds),
      "fsyncSeconds": [
        "median": seconds(status.fsync.quantile(0.5)), "p99": seconds(status.fsync.quantile(0.99)),
        "count": .integer(Int64(status.fsync.count)),
      ],
      "members": .array(status.members.map(json)),
    ]
  }

  private static func json(_ member: MemberStatus) -> JSONValue {
    var value: JSONValue = [
      "name": .string(member.member.name), "id": .integer(Int64(member.member.id)),
      "address": .string(member.member.address), "connected": .bool(member.isSelf || member.isConnected),
      "voter": .bool(member.isVoter),
    ]
    if let lag = member.lag { value["lag"] = .integer(Int64(lag)) }
    if let silent = member.silentMilliseconds { value["silentMilliseconds"] = .integer(silent) }
    if member.isReceivingSnapshot { value["receivingSnapshot"] = true }
    return value
  }

  /// JSON knows no infinity: beyond the last bound is said as the bound.
  private static func seconds(_ value: Double?) -> JSONValue {
    value.map { .double(min($0, LatencyHistogram.bounds.last ?? $0)) } ?? .null
  }
}

/// GET /trireme/servers: the addresses that agents may connect to.
struct ServersPath: PathHandler {
  let replica: Replica

  func respond(to request: HTTPRequest, context: RequestContext) async -> HTTPResponse {
    let body: JSONValue = ["servers": .array(replica.status.members.map { .string($0.member.address) })]
    return HTTPResponse(
      status: 200, headers: ["content-type": "application/json"], body: .bytes(body.bytes))
  }
}
