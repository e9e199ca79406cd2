import Client
import JSON
import Schema
import Testing
import World

@testable import Scheduler

@Suite struct QueueTests {
  private let start = MonotonicTime(nanoseconds: 0)

  private func pod(_ name: String, priority: Int64 = 0) -> Pod {
    Bench.pod(name, spec: ["priority": .integer(priority)])
  }

  private func next(_ queue: inout SchedulingQueue) throws -> SchedulingQueue.Entry {
    let entry = queue.pop()
    return try #require(entry)
  }

  @Test func higherPriorityFirstThenFirstComeFirstServed() {
    var queue = SchedulingQueue()
    for name in ["a", "b", "c"] { queue.add(pod(name), now: MonotonicTime(nanoseconds: 0)) }
    queue.add(pod("urgent", priority: 10), now: MonotonicTime(nanoseconds: 0))
    queue.remove(uid: "uid-b")
    #expect((0..<3).map { _ in queue.pop()?.pod.name } == ["urgent", "a", "c"])
    #expect(queue.pop() == nil)
  }

  @Test func aRefusedPodWaitsForAChangeThatMayHelp() throws {
    var queue = SchedulingQueue()
    queue.add(pod("a"), now: MonotonicTime(nanoseconds: 0))
    var entry = try next(&queue)
    entry.cures = [.nodes, .podRemoved]
    queue.refused(entry, now: start)
    queue.changed(.podPlaced, now: start + .seconds(5))
    #expect(queue.pop() == nil)
    queue.changed(.nodes, now: start + .seconds(5))
    #expect(queue.pop()?.attempts == 2)
  }

  @Test func backOffDoublesFromOneSecondToTen() throws {
    #expect((1...6).map { SchedulingQueue().backoff($0).components.seconds } == [1, 2, 4, 8, 10, 10])
    var queue = SchedulingQueue()
    queue.add(pod("a"), now: MonotonicTime(nanoseconds: 0))
    var entry = try next(&queue)
    entry.cures = .nodes
    queue.refused(entry, now: start)
    // The change comes at once; the pod still waits out its second.
    queue.changed(.nodes, now: start)
    queue.flush(now: start + .milliseconds(999))
    #expect(queue.pop() == nil)
    #expect(queue.due == start + .seconds(1))
    queue.flush(now: start + .seconds(1))
    #expect(queue.pop()?.pod.name == "a")
  }

  @Test func nobodyIsForgottenForLongerThanFiveMinutes() throws {
    var queue = SchedulingQueue()
    queue.add(pod("a"), now: MonotonicTime(nanoseconds: 0))
    var entry = try next(&queue)
    entry.cures = .nodes
    queue.refused(entry, now: start)
    queue.flush(now: start + .seconds(299))
    #expect(queue.pop() == nil)
    queue.flush(now: start + .seconds(300))
    #expect(queue.pop() != nil)
  }

  @Test func aPodThatChangesIsTriedAgainAtOnce() throws {
    var queue = SchedulingQueue()
    queue.add(pod("a"), now: MonotonicTime(nanoseconds: 0))
    queue.refused(try next(&queue), now: start)
    queue.refresh(pod("a"))
    #expect(queue.pop() == nil)
    queue.add(pod("a"), now: MonotonicTime(nanoseconds: 0))
    #expect(queue.pop() != nil)
  }

  @Test func onlyAPodThatIsWantedNearWakesWhoWaitsForOne() throws {
    var queue = SchedulingQueue()
    queue.add(pod("a"), now: MonotonicTime(nanoseconds: 0))
    var entry = try next(&queue)
    entry.cures = [.nodes, .podPlaced, .podRemoved]
    entry.awaited = [PodMatcher(namespaces: ["default"], selector: LabelSelector(matchLabels: ["app": "team"]))]
    queue.refused(entry, now: start)
    let later = start + .seconds(5)
    queue.changed(.podPlaced, pod: PlacedPod(Bench.pod("b", labels: ["app": "other"])), now: later)
    #expect(queue.pop() == nil)
    queue.changed(.podPlaced, pod: PlacedPod(Bench.pod("c", labels: ["app": "team"])), now: later)
    #expect(queue.pop()?.pod.name == "a")
  }
}
