import Raft
import SeedSupport
import Storage
import Testing
import World

@testable import Replica

/// What is remembered of requests, held against the log and the state it was stored with.
@Suite struct RequestTableTests {
  /// One log, and the state after each of its entries: proposals of servers that start anew, some twice, some that nobody
  /// waits for any more.
  private struct History {
    var entries: [LogEntry] = []
    var machines = [StateMachine()]

    init(_ random: inout SeededRandom, count: Int) throws {
      var incarnations: [UInt64: UInt64] = [1: 1, 2: 1, 3: 1]
      var sequences: [UInt64: UInt64] = [:]
      var term: Term = 1
      var payloads: [[UInt8]] = []
      for index in 1...UInt64(count) {
        if random.next(below: 12) == 0 { term += 1 }
        var machine = machines[machines.count - 1]
        var entry = LogEntry(index: index, term: term, kind: EntryKind.noOp.rawValue, payload: [])
        switch random.next(below: 10) {
        case 0: machine.skip(index: index, term: term)
        case let draw:
          let origin: UInt64 = 1 + random.next(below: 3)
          if draw == 1 {
            incarnations[origin, default: 1] += 1
            sequences[origin] = 0
          }
          sequences[origin, default: 0] += 1
          let sequence = sequences[origin, default: 0]
          var payload = try CommandEntry(
            request: RequestID(origin: origin, incarnation: incarnations[origin, default: 1], sequence: sequence),
            lowWatermark: sequence - min(sequence, random.next(below: 5)),
            command: Command(mutations: [.put(pod("pod-\(random.next(below: 6))"), document("\(index)"))])
          ).encoded()
          if draw == 2, !payloads.isEmpty { payload = payloads[random.next(below: payloads.count)] }
          payloads.append(payload)
          entry.kind = EntryKind.command.rawValue
          entry.payload = payload
          var changes: [Change] = []
          _ = try machine.apply(payload, index: index, term: term, changes: &changes)
        }
        entries.append(entry)
        machines.append(machine)
      }
    }

    func mark(_ applied: Int) -> StateMark {
      let machine = machines[applied]
      return StateMark(
        appliedIndex: machine.appliedIndex, appliedTerm: machine.appliedTerm, revision: machine.revision,
        stateHash: machine.stateHash, configuration: [])
    }
  }

  /// Whatever is left of the log, behind or before the state: a table that was stored with its state is believed.
  @Test(arguments: 0..<100 as Range<UInt64>) func aTableGoesWithItsOwnState(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let history = try History(&random, count: 60)
    for applied in 0...60 {
      let (from, through) = (random.next(below: 61), random.next(below: 61))
      let rest = history.entries[min(from, through)..<max(from, through)].filter { _ in random.next(below: 8) > 0 }
      let table = try RequestTable(decoding: history.machines[applied].requests.encoded())
      #expect(table.fits(history.mark(applied), rest), "\(applied), \(from)–\(through)")
    }
  }

  /// Seeds 1929309445 and 5095 of "liars": a disk that had lied about its syncs held the requests of an earlier time beside
  /// newer objects, and a request that had happened could have happened once more. Also the other way round: one that is
  /// still to happen would not.
  @Test(arguments: 0..<30 as Range<UInt64>) func aTableOfAnotherTimeIsNotBelieved(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let history = try History(&random, count: 40)
    for applied in 0...40 {
      let (own, revision) = (history.machines[applied].requests, history.machines[applied].revision)
      for other in 0...40 {
        let table = history.machines[other].requests
        let lacks = history.entries[min(other, applied)..<applied].contains { entry in
          guard let request = CommandEntry.request(of: entry.payload) else { return false }
          return own.outcome(of: request) != nil && table.outcome(of: request) == nil
        }
        let isAhead = table.origins.values.lazy.flatMap(\.outcomes.values).contains { outcome in
          guard case .committed(let changes) = outcome else { return false }
          return changes.contains { $0.revision > revision }
        }
        if lacks || isAhead { #expect(!table.fits(history.mark(applied), history.entries), "\(other) at \(applied)") }
      }
    }
  }
}
