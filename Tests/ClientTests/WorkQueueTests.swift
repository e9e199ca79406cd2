import HTTP
import Synchronization
import TestSupport
import Testing
import World

@testable import Client

@Suite struct WorkQueueTests {
  @Test func aKeyWaitsOnceHoweverOftenItIsAdded() throws {
    let world = VirtualWorld()
    let queue = WorkQueue<String>(world: world)
    try world.run {
      for _ in 0..<3 { queue.add("a") }
      queue.add("b")
      #expect(await queue.next() == "a")
      #expect(await queue.next() == "b")
      #expect(queue.count == 0)
    }
  }

  @Test func aKeyAddedWhileItIsWorkedOnComesAgainAfterwards() throws {
    let world = VirtualWorld()
    let queue = WorkQueue<String>(world: world)
    try world.run {
      queue.add("a")
      _ = await queue.next()
      queue.add("a")
      #expect(queue.count == 0, "nobody else gets it meanwhile")
      queue.done("a")
      #expect(await queue.next() == "a")
    }
  }

  @Test func whatItDoesIsCountedUnderTheNamesOfDashboards() throws {
    let world = VirtualWorld()
    let metrics = LoopMetrics()
    let queue = WorkQueue<String>(world: world, measuredBy: metrics, as: "deployment")
    try world.run {
      for key in ["a", "b"] { queue.add(key) }
      try await world.sleep(for: .seconds(2))
      let key = try #require(await queue.next())
      try await world.sleep(for: .seconds(3))
      let during = metrics.render()
      for line in [
        #"workqueue_depth{name="deployment"} 1"#, #"workqueue_adds_total{name="deployment"} 2"#,
        #"workqueue_unfinished_work_seconds{name="deployment"} 3"#,
        #"workqueue_longest_running_processor_seconds{name="deployment"} 3"#,
        #"workqueue_queue_duration_seconds_bucket{name="deployment",le="10"} 1"#,
        #"workqueue_queue_duration_seconds_count{name="deployment"} 1"#,
      ] {
        #expect(during.contains(line), "\(line)")
      }
      queue.addRateLimited(key)
      queue.done(key)
      let after = metrics.render()
      for line in [
        #"workqueue_retries_total{name="deployment"} 1"#,
        #"workqueue_work_duration_seconds_count{name="deployment"} 1"#,
        #"workqueue_unfinished_work_seconds{name="deployment"} 0"#,
      ] {
        #expect(after.contains(line), "\(line)")
      }
    }
  }

  @Test func aSchedulerCountsUnderTheNamesOfDashboards() {
    let metrics = LoopMetrics()
    #expect(!metrics.render().contains("scheduler_"), "whoever has no scheduler has no metrics of one")
    metrics.scheduler.measure { nil }
    #expect(metrics.render().contains("scheduler_preemption_attempts_total 0"), "alerts compare with it")
    metrics.scheduler.attempted("default-scheduler", "scheduled", took: .milliseconds(3))
    metrics.scheduler.attempted("default-scheduler", "unschedulable", took: .milliseconds(1))
    metrics.scheduler.bound(attempts: 2, waited: .seconds(1))
    metrics.scheduler.bound(attempts: 99, waited: .seconds(1))
    metrics.scheduler.triedToPreempt()
    metrics.scheduler.preempted(victims: 3)
    metrics.scheduler.measure {
      SchedulerMetrics.Snapshot(
        pending: ["active": 0, "unschedulable": 1], known: ["nodes": 5],
        arrivals: [.init(queue: "backoff", event: "NodeAdd"): 7])
    }
    let text = metrics.render()
    for line in [
      #"scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"} 1"#,
      #"scheduler_scheduling_attempt_duration_seconds_count{profile="default-scheduler",result="unschedulable"} 1"#,
      #"scheduler_pod_scheduling_sli_duration_seconds_bucket{attempts="2",le="1.28"} 1"#,
      #"scheduler_pod_scheduling_sli_duration_seconds_count{attempts="15+"} 1"#,
      #"scheduler_pod_scheduling_attempts_bucket{le="2"} 1"#, "scheduler_preemption_attempts_total 1",
      #"scheduler_preemption_victims_bucket{le="4"} 1"#, #"scheduler_pending_pods{queue="unschedulable"} 1"#,
      #"scheduler_scheduler_cache_size{type="nodes"} 5"#,
      #"scheduler_queue_incoming_pods_total{queue="backoff",event="NodeAdd"} 7"#,
    ] {
      #expect(text.contains(line), "\(line)")
    }
  }

  @Test func zonesAndRequestsAreCountedUnderTheNamesOfDashboards() throws {
    let world = VirtualWorld()
    let metrics = LoopMetrics()
    metrics.found([.init(name: "", size: 4, unhealthy: 1)])
    metrics.evicted(inZone: "")
    struct Answer: HTTPTransport {
      func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        if request.method == "PUT" { throw HTTPError.connectFailed("nobody there") }
        return HTTPResponse(status: 201, headers: [:], body: .empty)
      }
    }
    try world.run {
      let transport = MeteredTransport(Answer(), host: "a:1", metrics: metrics, world: world)
      _ = try await transport.send(HTTPRequest(method: "POST", target: "/"))
      _ = try? await transport.send(HTTPRequest(method: "PUT", target: "/"))
    }
    let text = metrics.render()
    for line in [
      #"node_collector_zone_health{zone=""} 75"#, #"node_collector_zone_size{zone=""} 4"#,
      #"node_collector_unhealthy_nodes_in_zone{zone=""} 1"#, #"node_collector_evictions_total{zone=""} 1"#,
      #"rest_client_requests_total{code="201",host="a:1",method="POST"} 1"#,
      #"rest_client_requests_total{code="<error>",host="a:1",method="PUT"} 1"#,
      #"rest_client_request_duration_seconds_count{host="a:1",verb="POST"} 1"#,
    ] {
      #expect(text.contains(line), "\(line)")
    }
  }

  @Test func failuresBackOffUntilTheySucceed() throws {
    let world = VirtualWorld()
    let queue = WorkQueue<String>(world: world)
    let times = Mutex<[Duration]>([])
    struct Failure: Error {}
    queue.add("a")
    let begun = world.now
    let task = world.spawn {
      await queue.run(workers: 2, onError: { _, _ in }) { _ in
        let count = times.withLock {
          $0.append(world.now - begun)
          return $0.count
        }
        if count < 5 { throw Failure() }
      }
    }
    world.advance(by: .seconds(1))
    #expect(times.withLock { $0 } == [0, 5, 15, 35, 75].map { .milliseconds($0) })
    #expect(queue.failures(of: "a") == 0)
    task.cancel()
    world.settle()
    #expect(world.pendingTimers == 0)
  }

  @Test func theEarliestOfSeveralDelaysCounts() throws {
    let world = VirtualWorld()
    let queue = WorkQueue<String>(world: world)
    queue.add("a", after: .seconds(10))
    queue.add("a", after: .seconds(3))
    queue.add("a", after: .seconds(5))
    world.advance(by: .seconds(3))
    #expect(queue.count == 1)
    #expect(world.pendingTimers == 0)
  }

  @Test func shuttingDownEndsWorkersAndTimers() throws {
    let world = VirtualWorld()
    let queue = WorkQueue<String>(world: world)
    queue.add("later", after: .seconds(10))
    try world.run {
      let task = world.spawn { await queue.run(workers: 3, onError: { _, _ in }) { _ in } }
      try await world.sleep(for: .seconds(1))
      queue.shutDown()
      await task.wait()
      queue.add("a")
      #expect(await queue.next() == nil)
    }
    #expect(world.pendingTimers == 0)
  }
}
