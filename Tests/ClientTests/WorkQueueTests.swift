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
