// Who leads, for how long, and what a deposed leader can still do.
import HTTP
import JSON
import Logging
import Schema
import Synchronization
import TestSupport
import Testing
import World

@testable import Client

@Suite struct LeaderElectorTests {
  private final class Candidate: Sendable {
    struct State {
      var fence: TrustedContext.Fence?
      var terms = 0
      var cancelledAt: MonotonicTime?
    }
    let name: String
    let transport: FaultyTransport
    let state = Mutex(State())
    let metrics = LoopMetrics()
    let task = Mutex<SpawnedTask?>(nil)

    init(_ name: String, _ cluster: TestCluster) {
      self.name = name
      transport = FaultyTransport(cluster.transport("system:kube-scheduler"))
      transport.forward = cluster.world
      let world = cluster.world
      let elector = LeaderElector(
        client: APIClient(transport: transport, world: world, userAgent: name),
        options: LeaderElector.Options(lease: "kube-scheduler", identity: "\(name)_1"), logger: cluster.logger,
        metrics: metrics
      ) { [weak self] fence in
        self?.state.withLock {
          $0.fence = fence
          $0.terms += 1
        }
        try? await world.sleep(for: .seconds(1_000_000))
        self?.state.withLock {
          $0.fence = nil
          $0.cancelledAt = world.now
        }
      }
      task.withLock { $0 = world.spawn { await elector.run() } }
    }
    var leads: Bool { state.withLock { $0.fence != nil } }
    var fence: TrustedContext.Fence? { state.withLock { $0.fence } }
    func cancel() async {
      let task = task.withLock { $0 }
      task?.cancel()
      await task?.wait()
    }
  }

  private func leader(_ candidates: [Candidate]) throws -> Candidate {
    let found = candidates.first { $0.leads }
    return try #require(found)
  }

  private func tell(
    _ names: [String] = ["a", "b", "c"],
    _ story: @escaping @Sendable (TestCluster, [Candidate]) async throws -> Void
  ) throws {
    let cluster = try TestCluster()
    try cluster.world.run {
      let candidates = names.map { Candidate($0, cluster) }
      try await cluster.world.eventually("somebody leads") { candidates.contains { $0.leads } }
      try await story(cluster, candidates)
      for candidate in candidates { await candidate.cancel() }
    }
  }

  /// A cluster that has just begun refuses for a moment: nobody waits two seconds for its loops because of that.
  @Test func whatFailsAtTheBeginningIsTriedAgainSoon() throws {
    let cluster = try TestCluster()
    try cluster.world.run {
      let candidate = Candidate("a", cluster)
      candidate.transport.setDown(true)
      try await cluster.world.sleep(for: .milliseconds(200))
      #expect(candidate.transport.requests.filter { !$0.contains("watch=true") }.count >= 2)
      candidate.transport.setDown(false)
      let begun = cluster.world.now
      try await cluster.world.eventually("it leads") { candidate.leads }
      #expect(cluster.world.now - begun < .milliseconds(500))
      await candidate.cancel()
    }
  }

  @Test func oneLeadsAndGoesOnLeading() throws {
    try tell { cluster, candidates in
      for _ in 0..<120 {
        try await cluster.world.sleep(for: .seconds(1))
        #expect(candidates.filter { $0.leads }.count == 1)
      }
      #expect(candidates.map { $0.state.withLock { $0.terms } }.reduce(0, +) == 1)
      let lease = LeaseObject(
        json: try await cluster.client().get(.leases, namespace: "kube-system", name: "kube-scheduler"))
      #expect(lease.durationSeconds == 15 && lease.transitions == 1)
      for candidate in candidates {
        let line = #"leader_election_master_status{name="kube-scheduler"} "# + (candidate.leads ? "1" : "0")
        #expect(candidate.metrics.render().contains(line), "\(line)")
      }
    }
  }

  /// Whoever holds the lease writes it and reads nothing, and the others read what their server has: a cluster in which
  /// nothing happens is asked for no majority but by renewals.
  @Test func campaignsAskForLittle() throws {
    try tell { cluster, candidates in
      try await cluster.world.sleep(for: .seconds(5))
      let before = candidates.map { $0.transport.requests.count }
      try await cluster.world.sleep(for: .seconds(60))
      for (candidate, count) in zip(candidates, before) {
        let requests = candidate.transport.requests[count...].filter { $0.contains("leases/kube-scheduler") }
        #expect((25...35).contains(requests.count), "\(requests.count)")
        #expect(
          requests.allSatisfy { candidate.leads ? $0.hasPrefix("PUT") : $0.hasSuffix("resourceVersion=0") },
          "\(requests)")
      }
    }
  }

  /// Given two leases of one process, taken at different times, then they are renewed at the same: one commit, not two.
  @Test func leasesAreRenewedTogether() throws {
    let cluster = try TestCluster()
    try cluster.world.run {
      var tasks: [SpawnedTask] = []
      for name in ["one", "other"] {
        let elector = LeaderElector(
          client: cluster.client(), options: LeaderElector.Options(lease: name, identity: "a_1"),
          logger: cluster.logger
        ) { _ in try? await cluster.world.sleep(for: .seconds(1_000_000)) }
        tasks.append(cluster.world.spawn { await elector.run() })
        try await cluster.world.sleep(for: .milliseconds(700))
      }
      try await cluster.world.sleep(for: .seconds(10))
      let leases = try await cluster.client().list(.leases, namespace: "kube-system").items
      // To the tenth of a second.
      let renewed = leases.map { LeaseObject(json: $0).renewTime.prefix("2026-01-01T00:00:00.0".count) }
      #expect(renewed.count == 2 && renewed[0] == renewed[1], "\(renewed)")
      for task in tasks { task.cancel() }
      for task in tasks { await task.wait() }
    }
  }

  /// Given a leader whose lease somebody else writes to, when it renews, then it goes on leading, with what was written.
  @Test func aLeaseThatIsEditedIsKept() throws {
    try tell { cluster, candidates in
      try await cluster.world.sleep(for: .seconds(5))
      let (leader, client) = (try leader(candidates), cluster.client())
      var lease = try await client.get(.leases, namespace: "kube-system", name: "kube-scheduler")
      lease["metadata"]["annotations"] = ["note": "x"]
      try await client.update(.leases, namespace: "kube-system", name: "kube-scheduler", lease)
      try await cluster.world.sleep(for: .seconds(30))
      #expect(leader.leads && candidates.allSatisfy { $0.state.withLock { $0.terms } == ($0.leads ? 1 : 0) })
      lease = try await client.get(.leases, namespace: "kube-system", name: "kube-scheduler")
      #expect(lease["metadata"]["annotations"]["note"] == "x" && lease["spec"]["leaseTransitions"] == 1)
    }
  }

  /// Given a leader whose lease is deleted, when it renews, then it stops, and one leads with a lease of its own.
  @Test func aLeaseThatIsDeletedIsLost() throws {
    try tell { cluster, candidates in
      try await cluster.world.sleep(for: .seconds(5))
      try await cluster.client().delete(.leases, namespace: "kube-system", name: "kube-scheduler")
      try await cluster.world.sleep(for: .seconds(8))
      #expect(candidates.filter { $0.leads }.count == 1)
      #expect(candidates.map { $0.state.withLock { $0.terms } }.reduce(0, +) == 2)
    }
  }

  @Test func whoBecomesLeaderIsToldInAnEventAboutTheLease() throws {
    let cluster = try TestCluster()
    try cluster.world.run {
      let client = cluster.client("system:kube-scheduler")
      let elector = LeaderElector(
        client: client, options: LeaderElector.Options(lease: "kube-scheduler", identity: "a_1"),
        logger: cluster.logger,
        recorder: EventRecorder(client: client, component: "kube-scheduler", logger: cluster.logger)
      ) { _ in try? await cluster.world.sleep(for: .seconds(1_000_000)) }
      let task = cluster.world.spawn { await elector.run() }
      let admin = cluster.client()
      try await cluster.world.eventually("an event") {
        try await !admin.list(.events, namespace: "kube-system").items.isEmpty
      }
      let events = try await admin.list(.events, namespace: "kube-system").items
      let lease = try await admin.get(.leases, namespace: "kube-system", name: "kube-scheduler")
      let event = try #require(events.first)
      #expect(event["message"] == "a_1 became leader" && event["reason"] == "LeaderElection")
      #expect(event["type"] == "Normal" && event["source"]["component"] == "kube-scheduler")
      #expect(event["involvedObject"]["kind"] == "Lease")
      #expect(event["involvedObject"]["apiVersion"] == "coordination.k8s.io/v1")
      #expect(event["involvedObject"]["uid"] == lease["metadata"]["uid"])
      // Another takes it: the one that lost it says so.
      try await admin.patch(
        .leases, namespace: "kube-system", name: "kube-scheduler", ["spec": ["holderIdentity": "b_1"]], type: .merge)
      try await cluster.world.eventually("a second event") {
        try await admin.list(.events, namespace: "kube-system").items.contains {
          $0["message"] == "a_1 stopped leading"
        }
      }
      task.cancel()
      await task.wait()
    }
  }

  @Test func aLeaderThatIsCutOffStopsBeforeAnotherBegins() throws {
    try tell { cluster, candidates in
      try await cluster.world.sleep(for: .seconds(5))
      let old = try leader(candidates)
      let fence = try #require(old.fence)
      old.transport.setDown(true)
      old.transport.cutWatches()
      let cut = cluster.world.now
      try await cluster.world.eventually("another leads") { candidates.contains { $0.leads && $0 !== old } }
      let taken = cluster.world.now
      let stopped = try #require(old.state.withLock { $0.cancelledAt })
      #expect(stopped - cut <= .seconds(10))
      #expect(stopped < taken)
      #expect(taken - cut <= .seconds(20))
      let new = try leader(candidates)
      #expect(new.fence?.transitions == fence.transitions + 1)
      // What the old one may still have under way is refused.
      let late = cluster.client("admin", fence: fence)
      let error = await #expect(throws: APIStatus.self) {
        try await late.create(.configMaps, namespace: "default", ["metadata": ["name": "late"]])
      }
      #expect(error?.code == 409)
      let current = cluster.client("admin", fence: new.fence)
      try await current.create(.configMaps, namespace: "default", ["metadata": ["name": "fine"]])
    }
  }

  /// Whoever may write the lease may write any count of transitions: what its holder writes is refused from then on.
  @Test(arguments: [0, 7, Int64(Int32.max)])
  func whoseTransitionsWereChangedLeadsAnew(count: Int64) throws {
    try tell { cluster, candidates in
      let lease: JSONValue = ["spec": ["leaseTransitions": .integer(count)]]
      try await cluster.client().patch(
        .leases, namespace: "kube-system", name: "kube-scheduler", lease, type: .merge)
      try await cluster.world.eventually("somebody leads again") {
        candidates.map { $0.state.withLock { $0.terms } }.reduce(0, +) == 2 && candidates.contains { $0.leads }
      }
      let fence = try leader(candidates).fence
      #expect(fence?.transitions == LeaderElector.transitions(after: UInt64(count)))
      let current = cluster.client("admin", fence: fence)
      try await current.create(.configMaps, namespace: "default", ["metadata": ["name": "fine"]])
    }
    #expect(LeaderElector.transitions(after: UInt64(Int32.max)) == 1)
  }

  /// Seed 755334674 of the simulator's "clocks".
  @Test func whoLearnsTooLateThatItWonDoesNotLead() throws {
    try tell { cluster, candidates in
      try await cluster.world.sleep(for: .seconds(5))
      // Given a leader that is cut off, and one candidate that gets the lease, but not the answer,
      let old = try leader(candidates)
      let others = candidates.filter { $0 !== old }
      let (slow, quick) = (others[0], others[1])
      quick.transport.setDown(true)
      slow.transport.state.withLock {
        $0.nextPutIsLateBy = .seconds(20)
        $0.isBlind = true
      }
      slow.transport.cutWatches()
      old.transport.setDown(true)
      old.transport.cutWatches()
      try await cluster.world.eventually("the slow one holds the lease") {
        let lease = try await cluster.client().get(.leases, namespace: "kube-system", name: "kube-scheduler")
        return lease["spec"]["holderIdentity"].string == "\(slow.name)_1"
      }
      // when another takes it for expired,
      quick.transport.setDown(false)
      slow.transport.setDown(true)
      try await cluster.world.eventually("the quick one leads") { quick.leads }
      // then the first does not begin to lead beside it.
      for _ in 0..<60 {
        #expect(candidates.filter { $0.leads }.map(\.name) == [quick.name])
        try await cluster.world.sleep(for: .milliseconds(500))
      }
      #expect(slow.state.withLock { $0.terms } == 0)
    }
  }

  @Test func aLeaseHandedOverIsTakenAtOnce() throws {
    try tell { cluster, candidates in
      try await cluster.world.sleep(for: .seconds(5))
      let old = try leader(candidates)
      old.transport.setDown(true)
      let admin = cluster.client()
      var lease = try await admin.get(.leases, namespace: "kube-system", name: "kube-scheduler")
      lease["spec"]["holderIdentity"] = ""
      lease["spec"]["leaseTransitions"] = .integer((lease["spec"]["leaseTransitions"].integer ?? 0) + 1)
      try await admin.update(.leases, namespace: "kube-system", name: "kube-scheduler", lease)
      try await cluster.world.eventually("another leads at once", within: .milliseconds(100)) {
        candidates.contains { $0.leads && $0 !== old }
      }
    }
  }

  @Test func aLeaderThatEndsReleasesTheLease() throws {
    try tell { cluster, candidates in
      let old = try leader(candidates)
      await old.cancel()
      try await cluster.world.eventually("another leads at once", within: .milliseconds(100)) {
        candidates.contains { $0.leads && $0 !== old }
      }
    }
  }

  @Test func aLeaderThatComesBackInTimeGoesOn() throws {
    try tell { cluster, candidates in
      try await cluster.world.sleep(for: .seconds(5))
      let leader = try leader(candidates)
      leader.transport.setDown(true)
      try await cluster.world.sleep(for: .seconds(6))
      leader.transport.setDown(false)
      try await cluster.world.sleep(for: .seconds(60))
      #expect(leader.leads)
      #expect(leader.state.withLock { $0.terms } == 1)
    }
  }
}
