import EventLoop
import LoopSupport
import Synchronization
import Testing
import World

private actor Counter {
  let loop: EventLoop
  private(set) var values: [Int] = []
  init(loop: EventLoop) { self.loop = loop }
  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  func append(_ value: Int) { values.append(value) }
  func isOnLoop() -> Bool { loop.isCurrent }
  func sleepAndReturnWhetherOnLoop() async throws -> Bool {
    try await loop.sleep(for: .milliseconds(2))
    return loop.isCurrent
  }
  func taskSleepAndReturnWhetherOnLoop() async throws -> Bool {
    try await Task.sleep(for: .milliseconds(2))
    return loop.isCurrent
  }
}

@Suite struct ExecutorTests {
  @Test func workRunsInTheOrderItWasGiven() async throws {
    try await withLoop { loop in
      let order = Mutex<[Int]>([])
      let done = Promise<Void>()
      for number in 0..<10_000 { loop.execute { order.withLock { $0.append(number) } } }
      loop.execute { done.fulfil(()) }
      await done.value
      #expect(order.withLock { $0 } == Array(0..<10_000))
    }
  }

  /// Given a second of work that is there at once, in pieces of a millisecond, when a timer is due, then it does not wait
  /// for the work's end.
  @Test func muchWorkLetsTimersBetween() async throws {
    try await withLoop { loop in
      let pieces = 1000
      let seen = Promise<Int>()
      _ = try await loop.run {
        let ran = Shared(0)
        loop.schedule(after: .zero) { seen.fulfil(ran.value) }
        for _ in 0..<pieces {
          loop.execute {
            let end = loop.now + .milliseconds(1)
            while loop.now < end {}
            ran.update { $0 += 1 }
          }
        }
      }
      // A turn lasts 20 ms, a piece no less than one of them, and the clock is looked at every eight.
      #expect(await seen.value < 40)
    }
  }

  @Test func actorsPinnedToALoopRunOnIt() async throws {
    try await withLoop { loop async throws in
      let counter = Counter(loop: loop)
      #expect(await counter.isOnLoop())
      #expect(!loop.isCurrent)
      #expect(try await counter.sleepAndReturnWhetherOnLoop())
      #expect(try await counter.taskSleepAndReturnWhetherOnLoop())
    }
  }

  @Test func concurrentCallersOfAnActorLoseNothing() async throws {
    try await withLoop { loop in
      let counter = Counter(loop: loop)
      await withTaskGroup { group in
        for number in 0..<1000 { group.addTask { await counter.append(number) } }
      }
      #expect(await counter.values.sorted() == Array(0..<1000))
    }
  }

  @Test func tasksThatPreferALoopRunOnIt() async throws {
    try await withLoop { loop async throws in
      let task = Task(executorPreference: loop) {
        try await Task.sleep(for: .milliseconds(1))
        return loop.isCurrent
      }
      #expect(try await task.value)
    }
  }

  @Test func aSpawnedTaskStaysWhoeverResumesIt() async throws {
    try await withLoop { loop async throws in
      try await withLoop { other async throws in
        let stayed = Promise<Bool>()
        loop.spawn {
          await withCheckedContinuation { continuation in other.execute { continuation.resume() } }
          stayed.fulfil(loop.isCurrent)
        }
        #expect(await stayed.value)
      }
    }
  }

  @Test func childTasksStayOnTheLoopTheyWereAddedOn() async throws {
    try await withLoop { loop async throws in
      try await withLoop { other async throws in
        let stayed = Promise<[Bool]>()
        loop.spawn {
          let places = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<4 {
              group.addTask(on: loop) {
                await withCheckedContinuation { continuation in other.execute { continuation.resume() } }
                return loop.isCurrent
              }
            }
            return await group.reduce(into: []) { $0.append($1) }
          }
          let failing = try? await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask(on: loop) {
              await withCheckedContinuation { continuation in other.execute { continuation.resume() } }
              return loop.isCurrent
            }
            return try await group.next()
          }
          stayed.fulfil(places + [failing == true, loop.isCurrent])
        }
        #expect(await stayed.value == Array(repeating: true, count: 6))
      }
    }
  }

  @Test func whatALoopGivesAnotherInOneTurnArrivesTogether() async throws {
    try await withLoop { giver async throws in
      try await withLoop { taker async throws in
        let ran = Promise<Int>()
        let before = taker.wakeUps
        giver.execute {
          for number in 1...50 { taker.execute { if number == 50 { ran.fulfil(taker.wakeUps) } } }
          // As long as the turn lasts, nothing has been given away: a taker that sleeps would wake many times.
          #expect(taker.wakeUps == before)
        }
        #expect(await ran.value == before + 1)
      }
    }
  }

  @Test func aBatchFromAnotherThreadWakesTheLoopOnce() async throws {
    try await withLoop { loop in
      let started = Promise<Void>()
      let release = Atomic<Bool>(false)
      loop.execute {
        started.fulfil(())
        while !release.load(ordering: .acquiring) {}
      }
      await started.value
      let before = loop.wakeUps
      let ran = Atomic<Int>(0)
      for _ in 0..<1000 { loop.execute { ran.wrappingAdd(1, ordering: .relaxed) } }
      let wakeUps = loop.wakeUps - before
      release.store(true, ordering: .releasing)
      try await loop.wait { ran.load(ordering: .relaxed) == 1000 }
      #expect(wakeUps == 1)
    }
  }

  @Test func aFloodOfWorkDoesNotStarveTimers() async throws {
    try await withLoop { loop in
      let stop = Atomic<Bool>(false)
      @Sendable func flood() {
        if !stop.load(ordering: .relaxed) { loop.execute { flood() } }
      }
      loop.execute { flood() }
      try await loop.withDeadline(.seconds(10)) { try await loop.sleep(for: .milliseconds(5)) }
      stop.store(true, ordering: .relaxed)
    }
  }

  @Test func currentIsTheLoopOfTheThread() async throws {
    #expect(EventLoop.current == nil)
    try await withLoop { loop async throws in
      #expect(try await loop.run { EventLoop.current === loop })
    }
  }

  @Test func whatWasQueuedBeforeStopStillRuns() async throws {
    let ran = Atomic<Int>(0)
    let loop = EventLoop.start(name: "a name that is longer than a thread's may be")
    for _ in 0..<10_000 { loop.execute { ran.wrappingAdd(1, ordering: .relaxed) } }
    loop.stop()
    loop.join()
    let count = ran.load(ordering: .relaxed)
    #expect(count == 10_000)
  }

  @Test func aLoopThatNeverRanCanBeThrownAway() {
    weak var forgotten: EventLoop?
    do {
      let loop = EventLoop(name: "unused")
      forgotten = loop
    }
    #expect(forgotten == nil)
  }

  @Test func aStoppedLoopIsFreed() async throws {
    weak var forgotten: EventLoop?
    do {
      let loop = EventLoop.start(name: "short")
      forgotten = loop
      loop.schedule(after: .seconds(1000)) { _ = loop }
      loop.stop()
      loop.join()
    }
    #expect(forgotten == nil)
  }

  @Test func randomBitsDiffer() async throws {
    try await withLoop { loop in
      let many = Set((0..<1000).map { _ in loop.randomBits() })
      #expect(many.count == 1000)
    }
  }

  @Test func tasksWithoutAnExecutorStayOnTheInstalledLoops() async throws {
    await #expect(processExitsWith: .success) {
      let loops = [EventLoop.start(name: "one"), EventLoop.start(name: "two")]
      EventLoop.installAsDefaultExecutors(loops)
      let places: [Bool] = await withCheckedContinuation { continuation in
        loops[1].execute {
          Task {
            var places = [loops[1].isCurrent]
            try await Task.sleep(for: .milliseconds(2))
            places.append(loops[1].isCurrent)
            await Task.yield()
            places.append(loops[1].isCurrent)
            continuation.resume(returning: places)
          }
        }
      }
      precondition(places == [true, true, true], "\(places)")
    }
  }
}
