import Synchronization
import Testing
import World

@testable import Replica

@Suite struct WatchTests {
  let world = ManualWorld()
  let store: LocalStore

  init() { store = LocalStore(world: world) }

  private func put(_ name: String, resource: String = "pods") throws {
    let key = ObjectKey(resource: resource, namespace: "default", name: name)
    _ = try store.commitNow(Command(mutations: [.put(key, document(name))]))
  }

  private func watch(
    _ resource: String = "pods", only: WatchedValue? = nil, after revision: Revision
  ) -> (Deliveries, (any WatchSubscription)?) {
    let deliveries = Deliveries()
    let start = store.watch(
      resource: resource, only: only, after: revision, on: world, deliver: { deliveries.receive($0, $1) },
      ended: { deliveries.end() })
    if case .started(let subscription) = start { return (deliveries, subscription) }
    return (deliveries, nil)
  }

  @Test func aWatchBeginsWithTheBacklogAndGoesOnWithoutGap() throws {
    for index in 0..<3000 { try put("p\(index % 7)", resource: index % 3 == 0 ? "pods" : "nodes") }
    let (deliveries, subscription) = watch(after: 100)
    // Live changes arrive before the loop has run even once.
    for index in 0..<50 { try put("q\(index)") }
    world.run()
    let expected = (101...3001 as ClosedRange<UInt64>).filter { ($0 - 2) % 3 == 0 } + Array(3002...3051)
    #expect(deliveries.revisions == expected)
    subscription?.cancel()
    subscription?.cancel()
    try put("after")
    world.run()
    #expect(deliveries.revisions == expected)
  }

  /// Of many watchers of one value each, those hear of a change whose value the object has or had.
  @Test func whoWatchesAValueHearsOfNothingElse() throws {
    let looks = Mutex(0)
    func at(_ node: String) -> WatchedValue {
      WatchedValue(field: "node", value: node) { object in
        looks.withLock { $0 += 1 }
        return object.labels["node"] ?? ""
      }
    }
    func place(_ name: String, on node: String) throws {
      let key = ObjectKey(resource: "pods", namespace: "default", name: name)
      var object = document(name)
      object.labels = node.isEmpty ? [:] : ["node": node]
      _ = try store.commitNow(Command(mutations: [.put(key, object)]))
    }
    try place("early", on: "b")
    let watches = ["", "a", "b"].map { watch(only: at($0), after: 1) }
    let others = (0..<100).map { watch(only: at("other-\($0)"), after: 1) }
    let (all, _) = watch(after: 1)
    world.run()
    looks.withLock { $0 = 0 }
    // Given one object that comes, goes to a, then to b, where another is
    try place("p", on: "")
    try place("p", on: "a")
    try place("q", on: "b")
    try place("p", on: "b")
    world.run()
    // then each watcher hears of those that touch its value,
    #expect(watches.map(\.0.revisions) == [[3, 4], [4, 6], [2, 5, 6]], "what was before it watched, too")
    #expect(all.revisions == [2, 3, 4, 5, 6])
    #expect(others.allSatisfy { $0.0.batches.isEmpty })
    // objects are looked at as often as they change, however many watch;
    #expect(looks.withLock { $0 } <= 8)
    // and progress is told to whoever asks, also where nothing came.
    others[7].1?.requestProgress()
    watches[1].1?.cancel()
    try place("r", on: "a")
    world.run()
    #expect(others[7].0.batches.map(\.revision) == [6])
    #expect(watches[1].0.revisions == [4, 6])
  }

  @Test func manyBatchesWakeALoopOnce() throws {
    let watches = (0..<100).map { _ in watch(after: 1) }
    world.run()
    let before = world.wakes
    for index in 0..<20 { try put("p\(index)") }
    #expect(world.wakes == before + 1)
    world.run()
    for (deliveries, _) in watches { #expect(deliveries.revisions == Array(2...21)) }
  }

  @Test func otherResourcesDoNotWakeALoop() throws {
    let (deliveries, subscription) = watch(after: 1)
    world.run()
    let before = world.wakes
    try put("n", resource: "nodes")
    #expect(world.wakes == before)
    subscription?.requestProgress()
    world.run()
    #expect(deliveries.batches.last?.revision == 2)
    #expect(deliveries.batches.last?.changes.isEmpty == true)
  }

  @Test func aWatchFromTheFutureWaitsForIt() throws {
    let (deliveries, _) = watch(after: 4)
    for index in 0..<5 { try put("p\(index)") }
    world.run()
    #expect(deliveries.revisions == [5, 6])
  }

  @Test func historyIsBoundedAndSaysSo() throws {
    var limits = ChangeHistory.Limits()
    limits.changes = 4096
    let hub = WatchHub(StateMachine().version, limits: limits)
    var log = StateMachineTests.Machine()
    var versions: [StateVersion] = [log.machine.version]
    for index in 1...10_000 {
      let first = log.changes.count
      _ = try log.apply(UInt64(index), Command(mutations: [.put(pod("p\(index % 50)"), document("\(index)"))]))
      hub.publish(log.machine.version, changes: Array(log.changes[first...]))
      versions.append(log.machine.version)
    }
    guard case .tooOld(let oldest) = hub.watch(resource: "pods", after: 1, on: world, deliver: { _, _ in }, ended: {})
    else {
      Issue.record("history has no bound")
      return
    }
    #expect(oldest == hub.oldestRevision && oldest > 5000 && oldest <= 10_001 - 3072)
    #expect(hub.version(at: oldest - 1) == nil)
    #expect(hub.version(at: 10_002) == nil)
    for revision in stride(from: oldest, through: 10_001, by: 97) {
      let found = try #require(hub.version(at: revision))
      let expected = versions[Int(revision - 1)]
      #expect(found.revision == revision)
      #expect(
        found.objects(resource: "pods", namespace: "", after: nil, limit: 0).objects.map(\.revision)
          == expected.objects(resource: "pods", namespace: "", after: nil, limit: 0).objects.map(\.revision))
    }
  }

  /// Few changes of large objects fill memory as well as many of small ones.
  @Test func historyIsBoundedInBytes() throws {
    var limits = ChangeHistory.Limits()
    limits.bytes = 1 << 20
    limits.segmentBytes = 64 << 10
    let hub = WatchHub(StateMachine().version, limits: limits)
    var log = StateMachineTests.Machine()
    let size = 16 << 10
    for index in 1...500 {
      let first = log.changes.count
      let large = String(repeating: "\(index % 10)", count: size)
      _ = try log.apply(UInt64(index), Command(mutations: [.put(pod("p"), document(large))]))
      hub.publish(log.machine.version, changes: Array(log.changes[first...]))
    }
    let held = Int(hub.current.revision - hub.oldestRevision)
    #expect(held * size <= limits.bytes && held * size > limits.bytes / 2)
  }

  /// A busy time is forgotten after a while, not only when the next one comes; a quiet one is remembered.
  @Test func whatWasLongAgoIsForgottenWhereItIsMuch() throws {
    var limits = ChangeHistory.Limits()
    limits.segment = 100
    limits.quietBytes = 512 << 10
    let hub = WatchHub(StateMachine().version, limits: limits)
    var log = StateMachineTests.Machine()
    func write(_ count: Int) throws {
      let base = log.changes.count
      for index in 1...count {
        let command = Command(mutations: [.put(pod("p"), document("\(index)"))])
        _ = try log.apply(UInt64(base + index), command)
      }
      hub.publish(log.machine.version, changes: Array(log.changes[base...]))
    }
    for _ in 0..<3 { try write(100) }
    let quiet = hub.current.revision
    hub.forget(through: quiet)
    #expect(hub.oldestRevision == 1, "it is little")
    for _ in 0..<20 { try write(100) }
    let old = hub.current.revision - 500
    #expect(hub.version(at: quiet) != nil)
    hub.forget(through: old)
    #expect(hub.oldestRevision > quiet && hub.oldestRevision <= old)
    #expect(hub.version(at: quiet) == nil && hub.version(at: old) != nil, "older states are gone, found ones as well")
    hub.forget(through: hub.current.revision)
    #expect(hub.current.revision - hub.oldestRevision >= 300, "a little is always held")
    try write(100)
    #expect(hub.version(at: hub.current.revision - 50) != nil)
  }

  @Test func aSnapshotEndsWatches() throws {
    let hub = WatchHub(StateMachine().version)
    let deliveries = Deliveries()
    _ = hub.watch(
      resource: "pods", after: 1, on: world, deliver: { deliveries.receive($0, $1) }, ended: { deliveries.end() })
    hub.reset(to: StateVersion(revision: 500, map: ObjectMap()))
    world.run()
    #expect(deliveries.hasEnded && deliveries.batches.isEmpty)
  }

  @Test func waitingForARevisionEndsWhenItComesOrTimeIsUp() async throws {
    let store = store
    async let waited = store.state(atLeast: 3, timeout: .seconds(5))
    try put("a")
    try put("b")
    #expect(await waited?.revision ?? 0 >= 3)
    let world = world
    let hub = WatchHub(StateMachine().version)
    async let timedOut = hub.wait(for: 100, timeout: .seconds(5), world: world)
    while hub.waiterCount == 0 { await Task.yield() }
    world.advance(by: .seconds(6))
    #expect(await timedOut == false)
  }
}
