import ChaosChecker
import Testing
import World

/// x is created at 3, changed at 5, deleted at 8; y is created at 6.
@Suite struct CommittedHistoryTests {
  private let history: CommittedHistory = {
    var history = CommittedHistory()
    history.append(CommittedChange(.added, key: "x", value: "v1", revision: 3))
    history.append(CommittedChange(.modified, key: "x", value: "v2", revision: 5))
    history.append(CommittedChange(.added, key: "y", value: "v3", revision: 6))
    history.append(CommittedChange(.deleted, key: "x", value: "v2", revision: 8))
    return history
  }()

  private func operations(_ story: (inout Story) -> Void) -> [RegisterOperation] {
    var told = Story()
    story(&told)
    return told.operations
  }

  private func writes(_ story: (inout Story) -> Void) -> [String] {
    history.checkWrites(operations(story)).map(\.title)
  }

  private func complete(_ story: inout Story) {
    story.client("a", 0, 1, key: "x", .create(value: "v1"), .done(revision: 3))
    story.client("a", 2, nil, key: "x", .update(value: "v2", seen: version("v1", 3)), .unknown)
    story.client("b", 2, 3, key: "y", .create(value: "v3"), .done(revision: 6))
  }

  // MARK: Writes

  @Test func whatWasAcknowledgedHappenedAndWhatWasNotMayHave() {
    #expect(writes { complete(&$0) } == [])
  }

  @Test func anAcknowledgedWriteThatDidNotHappenIsLost() {
    let found = writes { story in
      complete(&story)
      story.client("b", 4, 5, key: "z", .create(value: "v9"), .done(revision: 7))
    }
    #expect(found == ["an acknowledged write was lost"])
  }

  @Test func anAnswerWithAnotherRevisionIsFound() {
    let found = writes { story in
      complete(&story)
      story.client("b", 4, 5, key: "y", .create(value: "v3"), .done(revision: 7))
    }
    #expect(found.contains("an acknowledged write has another revision"))
  }

  @Test func aRefusedWriteThatHappenedIsFound() {
    let found = writes { story in
      story.client("a", 0, 1, key: "x", .create(value: "v1"), .done(revision: 3))
      story.client("a", 2, 3, key: "x", .update(value: "v2", seen: version("v1", 3)), .conflict)
      story.client("b", 2, 3, key: "y", .create(value: "v3"), .done(revision: 6))
    }
    #expect(found == ["a refused write was applied"])
  }

  @Test func aWriteThatHappenedTwiceIsFound() {
    var twice = history
    twice.append(CommittedChange(.added, key: "x", value: "v1", revision: 9))
    #expect(
      twice.checkWrites(operations { complete(&$0) }).map(\.title) == ["a write was applied twice"])
  }

  @Test func aWriteThatNobodyAskedForIsFound() {
    let found = writes { story in
      story.client("a", 0, 1, key: "x", .create(value: "v1"), .done(revision: 3))
      story.client("a", 2, nil, key: "x", .update(value: "v2", seen: version("v1", 3)), .unknown)
    }
    #expect(found == ["a write that nobody asked for"])
  }

  @Test func anUpdateOfAStaleVersionIsFound() {
    let found = writes { story in
      story.client("a", 0, 1, key: "x", .create(value: "v1"), .done(revision: 3))
      story.client("a", 2, 3, key: "x", .update(value: "v2", seen: version("v0", 2)), .done(revision: 5))
      story.client("b", 2, 3, key: "y", .create(value: "v3"), .done(revision: 6))
    }
    #expect(found == ["an update of a stale version was accepted"])
  }

  @Test func revisionsThatDoNotRiseAreFound() {
    var broken = history
    #expect(
      broken.append(CommittedChange(.added, key: "z", value: "v4", revision: 8))?.title == "revisions do not rise")
  }

  // MARK: Lists

  private typealias Items = [(key: String, version: Version)]

  private func list(_ pages: [(Int64, Items)], complete: Bool = true, notOlderThan: Int64? = nil) -> [String] {
    history.check(
      ObservedList(
        name: "list", pages: pages.map { ObservedList.Page(revision: $0.0, items: $0.1) }, isComplete: complete,
        notOlderThan: notOlderThan)
    ).map(\.title)
  }

  @Test func aListShowsTheStateOfItsRevision() {
    #expect(list([(7, [("x", version("v2", 5)), ("y", version("v3", 6))])]) == [])
    #expect(list([(7, [("x", version("v2", 5))]), (7, [("y", version("v3", 6))])], notOlderThan: 6) == [])
    #expect(list([(7, [("x", version("v2", 5))])], complete: false) == [])
    #expect(list([(9, [("y", version("v3", 6))])]) == [])
  }

  @Test func aPageOfAnotherRevisionIsFound() {
    let found = list([(5, [("x", version("v2", 5))]), (7, [("y", version("v3", 6))])])
    #expect(found.contains("list: pages of different revisions: 5 and 7"))
  }

  @Test func aPageThatShowsAnotherStateIsFound() {
    #expect(list([(8, [("x", version("v2", 5)), ("y", version("v3", 6))])]).count == 1)
    #expect(list([(7, [("y", version("v3", 6))])]).count == 1)
  }

  @Test func aListThatIsTooOldIsFound() {
    #expect(
      list([(5, [("x", version("v2", 5))])], notOlderThan: 6)
        == ["list: as of 5, though 6 was acknowledged before it was asked for"])
  }

  @Test func aListOutOfOrderIsFound() {
    #expect(
      list([(7, [("y", version("v3", 6)), ("x", version("v2", 5))])]).contains("list: not in key order: y, then x"))
  }

  // MARK: Watches

  private func watch(_ items: [WatcherLog.Item], start: Int64 = 2, end: Int64? = 8) -> [String] {
    var log = WatcherLog(name: "watch", start: start)
    log.items = items
    return history.check(log, through: end).map(\.title)
  }

  private let good: [WatcherLog.Item] = [
    .event(WatchedEvent(.added, key: "x", value: "v1", revision: 3)),
    .bookmark(4),
    .resumed(server: "2", revision: 4),
    .event(WatchedEvent(.modified, key: "x", value: "v2", revision: 5)),
    .event(WatchedEvent(.added, key: "y", value: "v3", revision: 6)),
    .event(WatchedEvent(.deleted, key: "x", value: "v2", revision: 8)),
  ]

  @Test func aWatchThatSawEverythingPasses() {
    #expect(watch(good) == [])
    #expect(watch(Array(good.dropFirst(3)), start: 3) == [])
  }

  @Test func aMissingEventIsFound() {
    var items = good
    items.remove(at: 3)
    #expect(watch(items) == ["watch: changes are missing"])
  }

  @Test func aMissingLastEventIsFound() {
    #expect(watch(Array(good.dropLast())) == ["watch: changes are missing at its end"])
    #expect(watch(Array(good.dropLast()), end: 7) == [])
  }

  @Test func anEventTwiceIsFound() {
    var items = good
    items.insert(good[0], at: 3)
    #expect(watch(items) == ["watch: an event twice or out of order"])
  }

  @Test func anEventThatDidNotHappenIsFound() {
    #expect(
      watch(good + [.event(WatchedEvent(.added, key: "z", value: "v9", revision: 9))])
        == ["watch: an event that did not happen"])
  }

  @Test func anEventWithAnotherValueIsFound() {
    var items = good
    items[0] = .event(WatchedEvent(.added, key: "x", value: "v7", revision: 3))
    #expect(watch(items) == ["watch: an event that says something else"])
  }

  @Test func aBookmarkThatSaysTooMuchIsFound() {
    var items = good
    items[1] = .bookmark(5)
    #expect(watch(items).contains("watch: a bookmark says more than was seen"))
  }

  @Test func aNewListFillsAGap() {
    let items: [WatcherLog.Item] = [
      .relisted(
        revision: 7,
        items: [
          ListedItem(key: "x", version: version("v2", 5)), ListedItem(key: "y", version: version("v3", 6)),
        ]),
      .event(WatchedEvent(.deleted, key: "x", value: "v2", revision: 8)),
    ]
    #expect(watch(items) == [])
  }
}

/// Watches with selectors: what they owe is a part of what happened.
@Suite struct FilteredHistoryTests {
  private func history(_ changes: [CommittedChange]) -> CommittedHistory {
    var history = CommittedHistory()
    for change in changes { history.append(change) }
    return history
  }
  private let even: (CommittedChange) -> Bool = { $0.value.utf8.last.map { $0 % 2 == 0 } ?? false }
  private let all = [
    CommittedChange(.added, key: "a", value: "1", revision: 2),
    CommittedChange(.added, key: "b", value: "2", revision: 3),
    CommittedChange(.modified, key: "a", value: "4", revision: 4),
    CommittedChange(.modified, key: "a", value: "6", revision: 5),
    CommittedChange(.modified, key: "b", value: "7", revision: 6),
    CommittedChange(.deleted, key: "b", value: "7", revision: 7),
    CommittedChange(.deleted, key: "a", value: "6", revision: 8),
  ]

  @Test func objectsEnterAndLeaveWithTheirLabels() {
    #expect(
      history(all).filtered(even).changes == [
        CommittedChange(.added, key: "b", value: "2", revision: 3),
        CommittedChange(.added, key: "a", value: "4", revision: 4),
        CommittedChange(.modified, key: "a", value: "6", revision: 5),
        CommittedChange(.deleted, key: "b", value: "2", revision: 6),
        CommittedChange(.deleted, key: "a", value: "6", revision: 8),
      ])
  }

  @Test func aWatchThatForgetsWhoLeftIsFound() {
    let part = history(all).filtered(even)
    var log = WatcherLog(name: "filtered", start: 1)
    log.items = part.changes.map { .event(WatchedEvent($0.kind, key: $0.key, value: $0.value, revision: $0.revision)) }
    #expect(part.check(log, through: 8) == [])
    log.items.remove(at: 3)
    #expect(!part.check(log, through: 8).isEmpty)
  }

  @Test func aWatchIsJudgedUpToAGap() {
    var log = WatcherLog(name: "everything", start: 1)
    log.items = all.prefix(3).map {
      .event(WatchedEvent($0.kind, key: $0.key, value: $0.value, revision: $0.revision))
    }
    #expect(log.seenWithoutGap == nil)
    log.items.append(.relisted(revision: 7, items: []))
    #expect(log.seenWithoutGap == 4)
    #expect(log.stretches.map(\.from) == [1, 7] && log.stretches.map(\.to) == [4, .max])
    #expect(log.through(4).items.count == 3 && log.through(3).items.count == 2)
  }

  @Test func manyListsAreJudgedLikeEachAlone() {
    let lists = [7, 2, 4].map { revision in
      ObservedList(
        name: "\(revision)",
        pages: [ObservedList.Page(revision: Int64(revision), items: history(all).state(at: Int64(revision)))],
        isComplete: true, notOlderThan: nil)
    }
    #expect(history(all).check(lists) == [])
    var wrong = lists
    wrong[0].pages[0].items.append((key: "c", version: Version(value: "9", revision: 9)))
    #expect(history(all).check(wrong) == history(all).check(wrong[0]))
  }

  @Test func aWatchThatShowsWhatDoesNotMatchIsFound() {
    let part = history(all).filtered(even)
    var log = WatcherLog(name: "filtered", start: 1)
    log.items = [.event(WatchedEvent(.added, key: "a", value: "1", revision: 2))]
    #expect(!part.check(log).isEmpty)
  }
}
