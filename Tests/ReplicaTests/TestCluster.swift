// Replicas in one process, each on a loop and a disk of its own: the vocabulary of the cluster tests.

import EventLoop
import FileSupport
import Glibc
import Logging
import LoopSupport
import Raft
import Storage
import Synchronization
import Testing
import World

@testable import Replica

/// A group of servers. Disks live in a temporary directory that goes with the cluster.
actor TestCluster {
  let network = MemoryPeerNetwork()
  nonisolated let ids: [NodeID]
  /// Servers that were added later.
  private(set) var joined: [NodeID] = []
  private let folder = TemporaryFolder("replica")
  private nonisolated var directory: String { folder.path }
  private let tune: @Sendable (inout ReplicaOptions) -> Void
  private var running: [NodeID: Replica] = [:]
  private var loops: [NodeID: EventLoop] = [:]
  private var logs: [NodeID: FaultyLogStore] = [:]

  private let isEncrypted: Bool

  init(
    _ count: Int, isEncrypted: Bool = false, tune: @escaping @Sendable (inout ReplicaOptions) -> Void = { _ in }
  ) throws {
    self.isEncrypted = isEncrypted
    ids = (1...count).map { NodeID($0) }
    self.tune = tune
    for id in ids { loops[id] = EventLoop.start(name: "server \(id)") }
  }

  deinit { for loop in loops.values { loop.stop() } }

  /// `afterATurn`: what observers bring about before the start has run its course when it comes.
  func start(_ chosen: [NodeID]? = nil, afterATurn: Bool = false) async throws {
    for id in chosen ?? ids where running[id] == nil {
      let name = "server-\(id)"
      let address = "127.0.0.1:\(id)"
      var options =
        ids.contains(id)
        ? ReplicaOptions(
          node: id, members: ids.map { Member(id: $0, name: "server-\($0)", address: "127.0.0.1:\($0)") })
        : ReplicaOptions(joining: id, name: name, address: address)
      tune(&options)
      let (disk, log) = try ReplicaDisk.open(
        path: "\(directory)/\(id)", identity: StorageIdentity(cluster: "test", node: id),
        cipher: isEncrypted ? try EncryptionKeyring.open(path: "\(directory)/keys-\(id)") : nil,
        scrubRest: .milliseconds(100)
      ).faulty(on: loops[id]!)
      logs[id] = log
      var logger = Logger(label: "server \(id)") { _ in SwiftLogNoOpLogHandler() }
      if getenv("REPLICA_LOG") != nil {
        logger = Logger(label: "server \(id)") { StreamLogHandler.standardError(label: $0) }
      }
      let replica = try Replica(
        disk: disk, options: options,
        transport: network.transport(for: id, of: GroupName(disk.identity), on: loops[id]!),
        world: loops[id]!,
        logger: logger)
      if afterATurn {
        let loop = loops[id]!
        await withCheckedContinuation { continuation in
          replica.onLeadershipChange { _ in }
          replica.submit(.control { _ in loop.execute { loop.execute { continuation.resume() } } })
        }
      }
      replica.start()
      running[id] = replica
    }
  }

  /// Adds a server with an empty disk, by asking `asked`; returns its id when it is a member.
  @discardableResult
  func add(isSpare: Bool = false, asking asked: NodeID) async throws -> NodeID {
    let number = NodeID(ids.count + joined.count + 1)
    let member = try await server(asked).changeMembership(
      .add(name: "server-\(number)", address: "127.0.0.1:\(number)", isSpare: isSpare))
    #expect(member.id == number)
    joined.append(number)
    loops[number] = EventLoop.start(name: "server \(number)")
    try await start([number])
    return number
  }

  /// Loses a server's disk; it is down afterwards.
  func wipe(_ id: NodeID) async {
    await kill(id)
    Self.empty("\(directory)/\(id)")
  }

  private static func empty(_ path: String) {
    guard let folder = opendir(path) else { return }
    var names: [String] = []
    while let entry = readdir(folder) {
      names.append(withUnsafeBytes(of: entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
    closedir(folder)
    for name in names { unlink("\(path)/\(name)") }
  }

  /// Waits until these are the voters, in the eyes of every one of them.
  func voters(are expected: [NodeID]) async throws {
    try await eventually("voters \(expected)") {
      expected.allSatisfy { id in
        running[id]?.status.members.filter { $0.role == .voter }.map(\.member.id) == expected
      }
    }
  }

  /// Ends a server as kill -9 would.
  func kill(_ id: NodeID) async { await running.removeValue(forKey: id)?.crash() }
  func stop(_ id: NodeID) async { await running.removeValue(forKey: id)?.stop() }
  func killAll() async {
    await withTaskGroup { group in
      for replica in running.values { group.addTask { await replica.crash() } }
    }
    running = [:]
  }

  func server(_ id: NodeID) -> Replica { running[id]! }
  nonisolated func path(of id: NodeID) -> String { "\(directory)/\(id)" }
  func log(_ id: NodeID) -> FaultyLogStore { logs[id]! }
  func loop(_ id: NodeID) -> EventLoop { loops[id]! }
  var servers: [Replica] { (ids + joined).compactMap { running[$0] } }
  func isRunning(_ id: NodeID) -> Bool { running[id] != nil }

  /// Waits until the running servers agree on a leader among them, and returns its id.
  @discardableResult
  func leader() async throws -> NodeID {
    var found: NodeID?
    try await eventually("a leader") {
      let views = servers.map(\.leadership)
      let leaders = Set(views.compactMap(\.leader))
      guard leaders.count == 1, views.allSatisfy({ $0.leader != nil && $0.term == views[0].term }),
        let leader = leaders.first, running[leader]?.leadership.isLeader == true
      else { return false }
      found = leader
      return true
    }
    return found!
  }

  func follower() async throws -> NodeID {
    let leader = try await leader()
    return ids.first { $0 != leader && running[$0] != nil }!
  }

  /// Waits until all running servers have applied the same and hold the same; returns the revision.
  @discardableResult
  func converged() async throws -> Revision {
    var revision: Revision = 0
    try await eventually("convergence") {
      // A status may be a tenth of a second old; the published state never is.
      guard servers.allSatisfy({ $0.status.revision == $0.current.revision }) else { return false }
      let all = servers.map(\.status)
      revision = all[0].revision
      return Set(all.map(\.revision)).count == 1 && Set(all.map(\.stateHash)).count == 1
        && all.allSatisfy {
          $0.appliedIndex == $0.commitIndex && $0.stopped == nil && $0.commitIndex == all[0].commitIndex
        }
    }
    return revision
  }
}

extension Replica {
  /// Creates a pod that must not exist; true when this call created it.
  @discardableResult
  func create(_ name: String, _ data: String = "x") async throws -> Bool {
    let outcome = try await commit(
      Command(preconditions: [.absent(pod(name))], mutations: [.put(pod(name), document(data))]))
    if case .committed = outcome { return true }
    return false
  }

  func put(_ name: String, _ data: String) async throws -> Revision {
    let outcome = try await commit(Command(mutations: [.put(pod(name), document(data))]))
    return changes(outcome)?.first?.revision ?? 0
  }

  var podNames: [String] {
    current.objects(resource: "pods", namespace: "", after: nil, limit: 0).objects.map(\.key.name)
  }
}
