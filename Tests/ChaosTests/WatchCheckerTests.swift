import ChaosChecker
import Testing
import World

@Suite struct WatchCheckerTests {
  /// x is created at 11, changed at 12 (unanswered), deleted at 14; y is created at 13.
  private func story() -> Story {
    var story = Story()
    story.client("a", 0, 1, key: "x", .create(value: "v1"), .done(revision: 11))
    story.client("a", 2, nil, key: "x", .update(value: "v2", seen: version("v1", 11)), .unknown)
    story.client("a", 3, 4, key: "y", .create(value: "v3"), .done(revision: 13))
    story.client("a", 5, 6, key: "x", .delete(seen: nil), .done(revision: nil))
    story.client("a", 7, 8, key: "y", .update(value: "v4", seen: version("v9", 2)), .conflict)
    return story
  }

  private let good: [WatcherLog.Item] = [
    .event(WatchedEvent(.added, key: "x", value: "v1", revision: 11)),
    .event(WatchedEvent(.modified, key: "x", value: "v2", revision: 12)),
    .resumed(server: "server-2", revision: 12),
    .bookmark(12),
    .event(WatchedEvent(.added, key: "y", value: "v3", revision: 13)),
    .event(WatchedEvent(.deleted, key: "x", value: "v2", revision: 14)),
  ]

  private func titles(_ items: [WatcherLog.Item], other: [WatcherLog.Item]? = nil, end: Int64 = 14) -> [String] {
    var log = WatcherLog(name: "watch", start: 10)
    log.items = items
    var logs = [log]
    if let other {
      log.name = "other"
      log.items = other
      logs.append(log)
    }
    return WatchChecker(logs, operations: story().operations, end: end).check().map(\.title)
  }

  @Test func aCompleteWatchPasses() { #expect(titles(good, other: good) == []) }

  @Test func anEventTwiceIsFound() {
    let found = titles(good + [good[5]])
    #expect(found.contains("watch: an event twice or out of order"))
  }

  @Test func eventsOutOfOrderAreFound() {
    var items = good
    items.swapAt(4, 5)
    #expect(titles(items) == ["watch: an event twice or out of order"])
  }

  @Test func aMissingAcknowledgedWriteIsFound() {
    var items = good
    items.remove(at: 4)
    #expect(titles(items) == ["watch: 1 acknowledged writes are missing"])
  }

  @Test func aMissingDeletionIsFound() {
    #expect(titles(Array(good.dropLast())) == ["watch: x was deleted 0 times; 1 to 1 were asked for"])
  }

  @Test func aBookmarkBeyondAnEventThatComesLaterIsFound() {
    var items = good
    items[3] = .bookmark(13)
    #expect(titles(items) == ["watch: an event twice or out of order"])
  }

  @Test func aWriteAppliedTwiceIsFound() {
    var items = good
    items.insert(.event(WatchedEvent(.modified, key: "y", value: "v3", revision: 15)), at: 6)
    #expect(titles(items) == ["watch: a write was applied twice"])
  }

  @Test func aRefusedWriteThatShowsUpIsFound() {
    let items = good + [.event(WatchedEvent(.modified, key: "y", value: "v4", revision: 15))]
    #expect(titles(items) == ["watch: a refused write was applied"])
  }

  @Test func anEventThatNobodyWroteIsFound() {
    let items = good + [.event(WatchedEvent(.modified, key: "y", value: "v77", revision: 15))]
    #expect(titles(items) == ["watch: an event that nobody wrote"])
  }

  @Test func aChangeOfAnObjectThatIsNotThereIsFound() {
    var items = good
    items[4] = .event(WatchedEvent(.modified, key: "y", value: "v3", revision: 13))
    #expect(titles(items) == ["watch: an event that cannot follow the one before it"])
  }

  @Test func watchersThatDisagreeAreFound() {
    var items = good
    items.remove(at: 1)
    #expect(titles(good, other: items).contains("watch and other saw different histories (4 and 3 events)"))
  }

  @Test func whatHappenedWhileHistoryWasGoneNeedNotBeSeen() {
    // 13 is in the list; that x is gone is seen again.
    let listed = WatcherLog.Item.relisted(
      revision: 13,
      items: [ListedItem(key: "x", version: version("v2", 12)), ListedItem(key: "y", version: version("v3", 13))])
    let gap = Array(good.prefix(1)) + [listed, good[5]]
    #expect(titles(gap) == [])
    #expect(titles(good, other: gap) == [] && titles(gap, other: good) == [])
    // Before and after it nothing may be missing, and nothing may contradict the list.
    #expect(titles([listed, good[4]]).contains("watch: an event twice or out of order"))
    let early = WatcherLog.Item.relisted(revision: 12, items: [ListedItem(key: "x", version: version("v2", 12))])
    #expect(titles([early, good[5]]) == ["watch: 1 acknowledged writes are missing"])
    let empty = WatcherLog.Item.relisted(revision: 13, items: [])
    #expect(titles([empty, good[5]]) == ["watch: an event that cannot follow the one before it"])
    #expect(titles(good + [listed]).contains("watch: a list goes back"))
  }

  @Test func eventsBeyondTheEndMayBeMissing() {
    #expect(
      titles(good, other: good + [.event(WatchedEvent(.added, key: "z", value: "v8", revision: 20))]).allSatisfy {
        !$0.contains("different histories")
      })
  }
}
