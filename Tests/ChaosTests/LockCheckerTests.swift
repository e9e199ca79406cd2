import ChaosChecker
import Testing
import World

@Suite struct LockCheckerTests {
  private func hold(_ holder: String, _ token: UInt64, _ from: UInt64, _ to: UInt64?) -> LockHold {
    LockHold(
      holder: holder, token: token, from: MonotonicTime(nanoseconds: from * 1_000_000),
      to: to.map { MonotonicTime(nanoseconds: $0 * 1_000_000) })
  }
  private func write(_ holder: String, _ token: UInt64, _ revision: Int64) -> FencedWrite {
    FencedWrite(holder: holder, token: token, revision: revision)
  }
  private func titles(_ holds: [LockHold], _ writes: [FencedWrite] = [], exclusive: Bool = true) -> [String] {
    LockChecker.check(holds: holds, writes: writes, exclusive: exclusive).map(\.title)
  }

  @Test func oneHolderAfterAnotherPasses() {
    #expect(
      titles(
        [hold("a", 1, 0, 5), hold("b", 2, 5, 9), hold("a", 3, 12, nil)],
        [write("a", 1, 4), write("b", 2, 6), write("b", 2, 8), write("a", 3, 11)]) == [])
  }

  @Test func twoHoldersAtOnceAreFound() {
    #expect(titles([hold("a", 1, 0, 5), hold("b", 2, 4, 9)]) == ["two held the lock at once"])
    #expect(titles([hold("a", 1, 0, nil), hold("b", 2, 4, 9)]) == ["two held the lock at once"])
    #expect(titles([hold("a", 1, 0, 20), hold("b", 2, 4, 6), hold("c", 3, 8, 9)]).count == 2)
    #expect(titles([hold("a", 1, 0, 5), hold("b", 2, 4, 9)], exclusive: false) == [])
  }

  @Test func oneFenceForTwoIsFound() {
    #expect(titles([hold("a", 1, 0, 5), hold("b", 1, 6, 9)]) == ["two holders had the fence 1"])
  }

  @Test func aDeposedHolderThatWritesIsFound() {
    #expect(
      titles([], [write("a", 1, 4), write("b", 2, 6), write("a", 1, 7), write("b", 2, 8)])
        == ["a deposed holder wrote"])
  }
}

@Suite struct SetModelTests {
  private func isLinearizable(_ actions: [(UInt64, UInt64?, SetAction)]) -> Bool {
    let history = actions.enumerated().map { index, action in
      Operation(
        id: index, client: "c\(index)", invoked: MonotonicTime(nanoseconds: action.0),
        returned: action.1.map { MonotonicTime(nanoseconds: $0) }, action: action.2)
    }
    if case .linearizable = LinearizabilityChecker(model: SetModel(), history: history).check() { return true }
    return false
  }

  @Test func aListShowsWhatWasAddedAndNotRemoved() {
    #expect(
      isLinearizable([
        (0, 1, SetAction(.add("a"), .done)), (2, 3, SetAction(.add("b"), .done)),
        (4, 5, SetAction(.read, .members(["a", "b"]))), (6, 7, SetAction(.remove("a"), .done)),
        (8, 9, SetAction(.read, .members(["b"]))),
      ]))
  }

  @Test func anUnansweredAdditionMayOrMayNotShow() {
    #expect(isLinearizable([(0, nil, SetAction(.add("a"), .unknown)), (2, 3, SetAction(.read, .members([])))]))
    #expect(isLinearizable([(0, nil, SetAction(.add("a"), .unknown)), (2, 3, SetAction(.read, .members(["a"])))]))
  }

  @Test func whatHasShownDoesNotVanish() {
    #expect(
      !isLinearizable([
        (0, nil, SetAction(.add("a"), .unknown)), (2, 3, SetAction(.read, .members(["a"]))),
        (4, 5, SetAction(.read, .members([]))),
      ]))
  }

  @Test func anAcknowledgedAdditionMustShow() {
    #expect(!isLinearizable([(0, 1, SetAction(.add("a"), .done)), (2, 3, SetAction(.read, .members([])))]))
  }
}
