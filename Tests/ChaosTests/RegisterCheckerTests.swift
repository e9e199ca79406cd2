// Histories that a correct cluster can produce pass; each that it cannot is found.
import ChaosChecker
import SeedSupport
import Testing
import World

@Suite struct RegisterCheckerTests {
  // MARK: Good histories

  @Test func oneClientAfterTheOther() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("b", 2, 3, .read, .found(version("v1", 5)))
    story.client("b", 4, 5, .update(value: "v2", seen: version("v1", 5)), .done(revision: 6))
    story.client("a", 6, 7, .update(value: "v3", seen: version("v1", 5)), .conflict)
    story.client("a", 8, 9, .delete(seen: version("v2", 6)), .done(revision: nil))
    story.client("b", 10, 11, .read, .notFound)
    story.client("b", 12, 13, .create(value: "v4"), .done(revision: 8))
    #expect(story.titles == [])
  }

  @Test func overlappingOperationsMayTakeEitherOrder() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("a", 2, 10, .update(value: "v2", seen: version("v1", 5)), .done(revision: 6))
    story.client("b", 3, 4, .read, .found(version("v1", 5)))
    story.client("c", 3, 5, .read, .found(version("v2", 6)))
    #expect(story.titles == [])
  }

  @Test func anUnansweredWriteMayHaveHappenedLater() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("a", 2, nil, .update(value: "v2", seen: version("v1", 5)), .unknown)
    story.client("b", 10, 11, .read, .found(version("v1", 5)))
    story.client("b", 20, 21, .read, .found(version("v2", 7)))
    #expect(story.titles == [])
  }

  @Test func anUnansweredWriteMayNeverHaveHappened() {
    var story = Story()
    story.client("a", 0, nil, .create(value: "v1"), .unknown)
    story.client("b", 10, 11, .read, .notFound)
    story.client("b", 12, 13, .create(value: "v2"), .done(revision: 6))
    story.client("b", 14, 15, .read, .found(version("v2", 6)))
    #expect(story.titles == [])
  }

  @Test func manyUnansweredWritesStayCheap() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v0"), .done(revision: 1))
    for number in 1...40 {
      story.client(
        "b\(number)", 2, nil, .update(value: "lost\(number)", seen: version("v0", 1)), .unknown)
    }
    var last = version("v0", 1)
    for number in 1...400 {
      let next = version("v\(number)", Int64(number + 1))
      let moment = UInt64(10 * number)
      story.client("a", moment, moment + 2, .update(value: next.value, seen: last), .done(revision: next.revision))
      story.client("c", moment + 1, moment + 8, .read, .found(next))
      last = next
    }
    #expect(story.titles == [])
  }

  @Test func manyClientsAtOnceAreDecided() {
    var story = Story()
    var last = version("v0", 1)
    story.client("a", 0, 1, .create(value: "v0"), .done(revision: 1))
    for number in 1...2000 {
      let next = version("v\(number)", Int64(number + 1))
      let moment = UInt64(10 * number)
      story.client("a", moment, moment + 9, .update(value: next.value, seen: last), .done(revision: next.revision))
      for other in ["b", "c", "d"] {
        story.client(
          other, moment + 1, moment + 8, .update(value: "\(other)\(number)", seen: version("other", 0)), .conflict)
      }
      last = next
    }
    #expect(story.titles == [])
  }

  // MARK: Bad histories

  @Test func aStaleReadIsFound() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("a", 2, 3, .update(value: "v2", seen: version("v1", 5)), .done(revision: 6))
    story.client("b", 4, 5, .read, .found(version("v1", 5)))
    #expect(story.titles == ["x is not linearizable"])
    #expect(story.anomalies[0].evidence.contains { $0.contains("no place for: #2 b") })
  }

  @Test func aLostAcknowledgedWriteIsFound() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("b", 100, 101, .read, .notFound)
    #expect(story.titles == ["x is not linearizable"])
  }

  @Test func twoWinnersOfOneCompareAndSetAreFound() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("a", 2, 9, .update(value: "v2", seen: version("v1", 5)), .done(revision: 6))
    story.client("b", 2, 9, .update(value: "v3", seen: version("v1", 5)), .done(revision: 7))
    #expect(story.titles == ["x is not linearizable"])
  }

  @Test func aConflictWithoutAReasonIsFound() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("a", 2, 3, .update(value: "v2", seen: version("v1", 5)), .conflict)
    #expect(story.titles == ["x is not linearizable"])
  }

  @Test func aStaleUpdateThatSucceedsIsFound() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("a", 2, 3, .delete(seen: nil), .done(revision: nil))
    story.client("a", 4, 5, .create(value: "v2"), .done(revision: 8))
    story.client("b", 6, 7, .update(value: "v3", seen: version("v1", 5)), .done(revision: 9))
    #expect(story.titles == ["x is not linearizable"])
  }

  @Test func anUnansweredWriteThatTakesEffectTwiceIsFound() {
    var story = Story()
    story.client("a", 0, nil, .create(value: "v1"), .unknown)
    story.client("b", 10, 11, .read, .found(version("v1", 5)))
    story.client("b", 12, 13, .delete(seen: nil), .done(revision: nil))
    story.client("b", 14, 15, .read, .found(version("v1", 7)))
    #expect(story.titles == ["x is not linearizable"])
  }

  @Test func aDeletedObjectThatComesBackIsFound() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("a", 2, 3, .delete(seen: version("v1", 5)), .done(revision: nil))
    story.client("b", 4, 5, .read, .found(version("v1", 5)))
    #expect(story.titles == ["x is not linearizable"])
  }

  @Test func aRevisionOfAnotherWriteIsFound() {
    var story = Story()
    story.client("a", 0, 1, .create(value: "v1"), .done(revision: 5))
    story.client("b", 2, 3, .read, .found(version("v1", 6)))
    #expect(story.titles == ["x is not linearizable"])
  }

  @Test func revisionsThatGoBackOrMeetAreFound() {
    var story = Story()
    story.client("a", 0, 1, key: "x", .create(value: "v1"), .done(revision: 9))
    story.client("b", 2, 3, key: "y", .create(value: "v2"), .done(revision: 8))
    #expect(story.titles == ["a later write has a lower revision"])

    story = Story()
    story.client("a", 0, 5, key: "x", .create(value: "v1"), .done(revision: 9))
    story.client("b", 0, 5, key: "y", .create(value: "v2"), .done(revision: 9))
    #expect(story.titles == ["revision 9 was given to 2 writes"])
  }

  // MARK: By chance

  /// A real register driven by chance passes; the same history with one answer falsified does not.
  @Test(arguments: 0..<30) func historiesOfARealRegisterPassAndFalsifiedOnesFail(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var story = Story()
    var current: Version?
    var revision: Int64 = 0
    var seen: [Version] = []
    var writes: [Int] = []
    for number in 0..<200 {
      // The operation takes effect in the middle of its time; neighbours overlap.
      let moment = UInt64(10 * number)
      let (from, to) = (moment - min(moment, random.next() % 12), moment + random.next() % 12)
      switch random.next() % 4 {
      case 0:
        story.client("r", from, to, .read, current.map { .found($0) } ?? .notFound)
      case 1 where current == nil:
        revision += 1
        let next = version("v\(number)", revision)
        story.client("c", from, to, .create(value: next.value), .done(revision: revision))
        (current, seen) = (next, seen + [next])
        writes.append(story.operations.count - 1)
      case 2 where current != nil:
        revision += 1
        story.client("d", from, to, .delete(seen: nil), .done(revision: nil))
        current = nil
      default:
        guard let chosen = seen.isEmpty ? nil : seen[Int(random.next() % UInt64(seen.count))] else { continue }
        let target = random.next() % 2 == 0 ? current ?? chosen : chosen
        let answer: RegisterAnswer
        if current == nil {
          answer = .notFound
        } else if target == current {
          revision += 1
          answer = .done(revision: revision)
        } else {
          answer = .conflict
        }
        story.client("u", from, to, .update(value: "v\(number)", seen: target), answer)
        if case .done = answer {
          current = version("v\(number)", revision)
          seen.append(version("v\(number)", revision))
          writes.append(story.operations.count - 1)
        }
      }
    }
    #expect(story.titles == [])
    // Forget a write that somebody has relied on since: the last one but a few.
    story.client("z", 5000, 5001, .read, current.map { .found($0) } ?? .notFound)
    guard current != nil, let last = writes.last else { return }
    story.operations.remove(at: last)
    #expect(story.titles != [])
  }
}
