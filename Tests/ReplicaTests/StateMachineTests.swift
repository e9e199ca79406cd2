import Testing

@testable import Replica

@Suite struct StateMachineTests {
  /// A state machine with a log of its own.
  struct Machine {
    var machine = StateMachine()
    var changes: [Change] = []
    mutating func apply(_ proposal: CommandEntry) throws -> Applied {
      try machine.apply(
        proposal.encoded(), index: machine.appliedIndex + 1, term: 1, changes: &changes)
    }
    mutating func apply(
      _ sequence: UInt64, _ command: Command, watermark: UInt64 = 0, incarnation: UInt64 = 1
    ) throws -> Applied {
      try apply(
        CommandEntry(
          request: RequestID(origin: 1, incarnation: incarnation, sequence: sequence), lowWatermark: watermark,
          command: command))
    }
  }

  @Test func aWriteCarriesItsRevisionInItsBytes() throws {
    var log = Machine()
    let put = try log.apply(1, Command(mutations: [.put(pod("a"), document("x"))]))
    #expect(changes(put.outcome)?.first?.revision == 2)
    #expect(text(log.machine.map[pod("a")]) == #"{"metadata":{"resourceVersion":"2"},"data":"x"}"#)
    for sequence in 2...10 { _ = try log.apply(UInt64(sequence), Command(mutations: [.put(pod("b"), document("y"))])) }
    let delete = try log.apply(11, Command(mutations: [.delete(pod("a"))]))
    let last = try #require(changes(delete.outcome)?.first)
    #expect(last.kind == .delete && last.revision == 12 && last.object.revision == 12)
    #expect(text(last.object) == #"{"metadata":{"resourceVersion":"12"},"data":"x"}"#)
    #expect(last.previous?.revision == 2)
    #expect(log.machine.map[pod("a")] == nil)
  }

  @Test func aCommandHappensWholeOrNotAtAll() throws {
    var log = Machine()
    _ = try log.apply(1, Command(mutations: [.put(pod("a"), document("x", fence: 3))]))
    let failures: [(Precondition, Int)] = [
      (.absent(pod("a")), 1), (.revision(pod("a"), 9), 1), (.fence(pod("a"), 2), 1), (.exists(pod("b")), 1),
      // Somebody has created one that the writer had not seen.
      (.count(resource: "pods", namespace: pod("a").namespace, 0), 1),
    ]
    for (number, (precondition, index)) in failures.enumerated() {
      let applied = try log.apply(
        UInt64(2 + number),
        Command(
          preconditions: [.exists(pod("a")), precondition],
          mutations: [.put(pod("c"), document("z")), .delete(pod("a"))]))
      guard case .failed(let failed, let current) = applied.outcome else {
        Issue.record("\(precondition) held")
        continue
      }
      #expect(failed == index)
      #expect(current?.revision == (number >= 3 ? nil : 2))
    }
    #expect(log.machine.revision == 2 && log.machine.map.count == 1)
    let both = try log.apply(
      9,
      Command(
        preconditions: [.revision(pod("a"), 2), .fence(pod("a"), 3), .absent(pod("c"))],
        mutations: [.put(pod("c"), document("z")), .delete(pod("nothing")), .delete(pod("a"))]))
    #expect(changes(both.outcome)?.map(\.revision) == [3, 4])
  }

  @Test func aRetriedProposalHappensOnceAndAnswersAsBefore() throws {
    var log = Machine()
    let command = Command(preconditions: [.absent(pod("a"))], mutations: [.put(pod("a"), document("x"))])
    let first = try log.apply(1, command)
    let second = try log.apply(1, command)
    #expect(changes(first.outcome)?.first === changes(second.outcome)?.first)
    #expect(log.machine.revision == 2)
    // Once its origin no longer waits, a late copy does nothing.
    _ = try log.apply(2, Command(mutations: [.put(pod("b"), document("y"))]), watermark: 2)
    let late = try log.apply(1, command)
    #expect(late.outcome == nil)
    // Nor does one of an earlier start of the same server.
    _ = try log.apply(1, Command(mutations: [.put(pod("c"), document("y"))]), incarnation: 2)
    #expect(try log.apply(3, command, incarnation: 1).outcome == nil)
    #expect(log.machine.requests.origins[1]?.outcomes.count == 1)
  }

  @Test func rememberedRequestsStayBounded() throws {
    var log = Machine()
    for sequence in 1...2000 as ClosedRange<UInt64> {
      _ = try log.apply(
        sequence, Command(mutations: [.put(pod("a"), document("x"))]), watermark: sequence > 10 ? sequence - 10 : 0)
      #expect(log.machine.requests.origins[1]!.outcomes.count <= 11)
    }
  }

  @Test func equalLogsGiveEqualHashesAndOrderMatters() throws {
    func hash(_ names: [String]) throws -> UInt64 {
      var log = Machine()
      for (index, name) in names.enumerated() {
        _ = try log.apply(UInt64(index), Command(mutations: [.put(pod(name), document("x"))]))
      }
      return log.machine.stateHash
    }
    #expect(try hash(["a", "b"]) == hash(["a", "b"]))
    #expect(try hash(["a", "b"]) != hash(["b", "a"]))
  }

  @Test func damagedEntriesAreRefusedAndChangeNothing() throws {
    let entry = try CommandEntry(
      request: RequestID(origin: 1, incarnation: 1, sequence: 1), lowWatermark: 0,
      command: Command(
        preconditions: [.absent(pod("a")), .fence(pod("l"), 4)],
        mutations: [.put(pod("a"), document("x", labels: ["app": "web"])), .delete(pod("b"))])
    ).encoded()
    var machine = StateMachine()
    var changes: [Change] = []
    for length in 0..<entry.count {
      #expect(throws: CodecError.self) {
        try machine.apply(Array(entry[..<length]), index: 1, term: 1, changes: &changes)
      }
    }
    var other = entry
    other[0] = 2
    #expect(throws: CodecError.self) { try machine.apply(other, index: 1, term: 1, changes: &changes) }
    #expect(machine.appliedIndex == 0 && changes.isEmpty)
    // Any single byte may be wrong: it is refused or read as another command, but never traps.
    for position in 0..<entry.count {
      for bit in 0..<8 as Range<UInt8> {
        var flipped = entry
        flipped[position] ^= 1 << bit
        var copy = machine
        _ = try? copy.apply(flipped, index: 1, term: 1, changes: &changes)
      }
    }
  }

  @Test func whatIsTooLargeIsSaid() {
    let big = UnversionedObject(
      uid: "", bytes: [UInt8](repeating: 32, count: CommandLimits.objectBytes + 1), revisionOffset: 1)
    #expect(throws: StoreError.self) {
      try CommandEntry(
        request: RequestID(origin: 1, incarnation: 1, sequence: 1), lowWatermark: 0,
        command: Command(mutations: [.put(pod("a"), big)])
      ).encoded()
    }
  }
}
