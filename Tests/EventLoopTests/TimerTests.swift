import EventLoop
import Glibc
import LoopSupport
import Synchronization
import Testing
import World

@Suite struct TimerTests {
  @Test func timersFireInTheOrderOfTheirDeadlinesAndNeverEarly() async throws {
    try await withLoop { loop in
      let fired = Mutex<[(delay: Int, after: Duration)]>([])
      let start = loop.now
      let delays = [30, 5, 20, 5, 0, 10, 1, 25]
      for delay in delays {
        loop.schedule(after: .milliseconds(delay)) {
          fired.withLock { $0.append((delay, loop.now - start)) }
        }
      }
      try await loop.wait { fired.withLock { $0.count } == delays.count }
      let result = fired.withLock { $0 }
      #expect(result.map(\.delay) == delays.sorted())
      for (delay, after) in result { #expect(after >= .milliseconds(delay)) }
    }
  }

  @Test func equalDeadlinesFireInTheOrderOfScheduling() async throws {
    try await withLoop { loop in
      let order = Mutex<[Int]>([])
      _ = try await loop.run {
        for number in 0..<100 { loop.schedule(after: .zero) { order.withLock { $0.append(number) } } }
      }
      try await loop.wait { order.withLock { $0.count } == 100 }
      // Deadlines differ by what scheduling took, which never turns the order.
      #expect(order.withLock { $0 } == Array(0..<100))
    }
  }

  @Test func aCancelledTimerDoesNotFireAndLetsGoOfItsBody() async throws {
    try await withLoop { loop in
      final class Witness: Sendable {}
      let fired = Atomic<Bool>(false)
      weak var witness: Witness?
      let timer: any ScheduledTimer
      do {
        let strong = Witness()
        witness = strong
        timer = loop.schedule(after: .milliseconds(5)) { [strong] in
          _ = strong
          fired.store(true, ordering: .relaxed)
        }
      }
      timer.cancel()
      #expect(witness == nil)
      try await loop.sleep(for: .milliseconds(20))
      let hasFired = fired.load(ordering: .relaxed)
      #expect(!hasFired)
    }
  }

  @Test func manyCancelledTimersDoNotDelayOthers() async throws {
    try await withLoop { loop in
      let fired = Promise<Void>()
      _ = try await loop.run {
        loop.schedule(after: .milliseconds(20)) { fired.fulfil(()) }
        for _ in 0..<100_000 { loop.schedule(after: .seconds(3600)) {}.cancel() }
      }
      try await loop.withDeadline(.seconds(10)) { await fired.value }
    }
  }

  @Test func nobodyWakesTheLoopForATimerThatWasCancelled() async throws {
    try await withLoop { loop in
      @Sendable func sleeps() -> Int {
        var usage = rusage()
        // RUSAGE_THREAD, which glibc shows to GNU sources only.
        getrusage(1, &usage)
        return usage.ru_nvcsw
      }
      let slept = Promise<Int>()
      _ = try await loop.run {
        let timers = (1...200).map { loop.schedule(after: .milliseconds($0)) {} }
        for timer in timers { timer.cancel() }
        let before = sleeps()
        loop.schedule(after: .milliseconds(250)) { slept.fulfil(sleeps() - before) }
      }
      // One to wait for the timer, and what the runtime may wait for besides.
      let count = await slept.value
      #expect(count < 20)
    }
  }

  @Test func sleepIsCutShortByCancellation() async throws {
    try await withLoop { loop in
      let start = loop.now
      let task = Task { try await loop.sleep(for: .seconds(1000)) }
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(loop.now - start < .seconds(100))
    }
  }

  @Test func aDeadlineCancelsWhatTakesTooLong() async throws {
    try await withLoop { loop async throws in
      await #expect(throws: DeadlineExceeded.self) {
        try await loop.withDeadline(.milliseconds(5)) { try await loop.sleep(for: .seconds(1000)) }
      }
      #expect(try await loop.withDeadline(.seconds(100)) { 7 } == 7)
    }
  }
}
