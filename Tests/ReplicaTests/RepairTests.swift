import Raft
import SeedSupport
import Storage
import Testing
import World

@testable import Replica

@Suite struct RepairTests {
  /// Servers' disks as values, with parts of them lost, repaired from each other in memory.
  struct Group {
    static let configuration = Configuration(voters: [1, 2, 3])
    /// What each server held before anything was lost.
    var logs: [NodeID: LogContents] = [:]
    var machines: [NodeID: StateMachine] = [:]
    var repairs: [NodeID: Repair] = [:]
    var disks: [NodeID: ReplicaDisk] = [:]

    /// One history; each server has a prefix of it as log, and of that a prefix as state.
    init(_ random: inout SeededRandom, entries: Int) throws {
      var history: [LogEntry] = []
      var states = [StateMachine()]
      var changes: [Change] = []
      var term: UInt64 = 1
      for index in 1...UInt64(entries) {
        if random.next(below: 8) == 0 { term += 1 }
        let name = "pod-\(random.next(below: 12))"
        let mutation: Mutation =
          random.next(below: 5) == 0 ? .delete(pod(name)) : .put(pod(name), document("\(index)"))
        let payload = try CommandEntry(
          request: RequestID(origin: 1, incarnation: 1, sequence: index), lowWatermark: index,
          command: Command(mutations: [mutation])
        ).encoded()
        history.append(LogEntry(index: index, term: term, kind: 0, payload: payload))
        var state = states[Int(index) - 1]
        _ = try state.apply(payload, index: index, term: term, changes: &changes)
        states.append(state)
      }
      for node in 1...3 as ClosedRange<NodeID> {
        let last = entries - random.next(below: 5)
        let applied = random.next(below: last + 1)
        var log = LogContents()
        log.entries = Array(history[..<last])
        log.hardState = LogHardState(
          currentTerm: term, votedFor: 0, commitIndex: UInt64(min(applied + 2, last)))
        logs[node] = log
        machines[node] = states[applied]
      }
    }

    /// Opens a server's disk with these entries and objects lost.
    mutating func open(_ node: NodeID, lostEntries: Set<UInt64>, lostObjects: [ObjectKey]) {
      guard let whole = logs[node], let machine = machines[node] else { return }
      var log = whole
      log.entries = Array(whole.entries.prefix { !lostEntries.contains($0.index) })
      if !lostEntries.isEmpty {
        log.damage = LogDamage(
          missing: lostEntries.sorted().map { $0...$0 },
          entriesBeyond: whole.entries.filter {
            $0.index > lostEntries.min() ?? 0 && !lostEntries.contains($0.index)
          },
          lastAcknowledged: whole.entries.last.map { LogPosition(index: $0.index, term: $0.term) })
      }
      var state = StateContents()
      state.mark = StateMark(
        appliedIndex: machine.appliedIndex, appliedTerm: machine.appliedTerm, revision: machine.revision,
        stateHash: machine.stateHash, configuration: Self.configuration.encoded())
      state.requests = machine.requests.encoded()
      if !lostObjects.isEmpty {
        state.damage = StateDamage(
          objects: lostObjects.map { ObjectRowKey(resource: $0.resource, namespace: $0.namespace, name: $0.name) })
      }
      var map = machine.map
      for key in lostObjects { map.remove(key) }
      let disk = ReplicaDisk(
        directory: StorageDirectory(
          identity: StorageIdentity(cluster: "c", node: node), incarnation: 1, log: NoLog(), state: NoState(),
          logContents: log, stateContents: state), map: map)
      disks[node] = disk
      repairs[node] = Repair(
        disk, peers: [1, 2, 3].filter { $0 != node }, configuration: Self.configuration)
    }

    /// Lets everyone ask and be answered until nothing more comes of it; frames go through their bytes.
    mutating func run(silent: Set<NodeID> = []) throws {
      var now = MonotonicTime(nanoseconds: 0)
      for _ in 0..<400 {
        now = now + .seconds(1)
        for node in repairs.keys.sorted() {
          guard let (peer, question) = repairs[node]?.ask(now), !silent.contains(peer) else { continue }
          if let promise = repairs[peer]?.promise(for: try Self.coded(question)) {
            repairs[peer]?.enter(promise.currentTerm)
            continue
          }
          guard let answer = repairs[peer]?.answer(try Self.coded(question)) else { continue }
          repairs[node]?.take(try Self.coded(answer), from: peer)
        }
      }
    }

    static func coded(_ message: RepairMessage) throws -> RepairMessage {
      guard case .repair(let decoded) = try PeerMessage(decoding: PeerMessage.repair(message).encoded()) else {
        throw CodecError("another message")
      }
      return decoded
    }

    /// Whether another server has this entry, and shares a later one (or the last) with `node`, intact.
    func canBeFound(_ index: UInt64, for node: NodeID, lost: [NodeID: Set<UInt64>]) -> Bool {
      [1, 2, 3].contains { other in
        other != node && !(lost[other]?.contains(index) ?? false) && logs[other]?.entries.last?.index ?? 0 >= index
      }
    }
  }

  /// Seed 4000176186 of "disks": what was left of a log ended before the group had changed, and the server asked only those
  /// who belonged to it then, though its state named the one that led.
  @Test func theLatestConfigurationIsTheOneToGoBy() throws {
    func configuration(_ voters: Set<NodeID>) -> [UInt8] { Configuration(voters: voters).encoded() }
    func change(_ index: UInt64, _ voters: Set<NodeID>) -> LogEntry {
      LogEntry(index: index, term: 1, kind: EntryKind.configuration.rawValue, payload: configuration(voters))
    }
    func members(base: UInt64, entry: UInt64?, applied: UInt64?) -> [NodeID] {
      var log = LogContents()
      log.base = LogBase(index: base, term: 1, configuration: configuration([1, 2, 3]))
      log.entries = entry.map { [change($0, [2, 3, 4])] } ?? []
      log.damage = LogDamage(
        missing: [20...30], entriesBeyond: [], lastAcknowledged: LogPosition(index: 30, term: 1))
      var state = StateContents()
      state.mark = applied.map {
        StateMark(appliedIndex: $0, appliedTerm: 1, revision: 1, stateHash: 1, configuration: configuration([3, 4, 5]))
      }
      let disk = ReplicaDisk(
        directory: StorageDirectory(
          identity: StorageIdentity(cluster: "c", node: 3), incarnation: 1, log: NoLog(), state: NoState(),
          logContents: log, stateContents: state), map: ObjectMap())
      return disk.standIn(
        configuration: Configuration(voters: [7]), options: RaftOptions(seed: 1)
      ).configuration.members.sorted()
    }
    #expect(members(base: 5, entry: 11, applied: 29) == [3, 4, 5])
    #expect(members(base: 5, entry: 19, applied: 12) == [2, 3, 4])
    #expect(members(base: 15, entry: nil, applied: 12) == [1, 2, 3])
    #expect(members(base: 5, entry: nil, applied: nil) == [1, 2, 3])
  }

  /// Given damage on all three disks, in different places, when the servers ask each other, then each has back exactly
  /// what it had.
  @Test(arguments: 0..<300 as Range<UInt64>) func damageInDifferentPlacesIsRepaired(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var group = try Group(&random, entries: 40)
    // Each place is lost on one server at most, and no later than where all logs end.
    let shortest = group.logs.values.map(\.entries.count).min() ?? 0
    var lost: [NodeID: Set<UInt64>] = [:]
    for index in 1..<UInt64(shortest) where random.next(below: 4) == 0 {
      lost[1 + random.next(below: 3), default: []].insert(index)
    }
    var keys: [NodeID: [ObjectKey]] = [:]
    // Rows are lost on the server whose state is oldest: others are ahead of it, and know what has not changed since.
    let oldest = [1, 2, 3].min { group.machines[$0]!.revision < group.machines[$1]!.revision }!
    if let machine = group.machines[oldest], machine.map.count > 0 {
      keys[oldest] = machine.map.objects(at: 0..<min(2, machine.map.count)).map(\.key)
        .filter { key in
          [1, 2, 3].contains { $0 != oldest && group.machines[$0]?.map[key]?.revision == machine.map[key]?.revision }
        }
    }
    for node in [1, 2, 3] as [NodeID] {
      group.open(node, lostEntries: lost[node] ?? [], lostObjects: keys[node] ?? [])
    }
    try group.run()
    for node in [1, 2, 3] as [NodeID] {
      if case .some = keys[node], group.repairs[node]?.status.needsWholeState == true { continue }
      let result = try #require(group.repairs[node]?.result(), "server \(node): \(group.repairs[node]!.status)")
      #expect(result.machine.stateHash == group.machines[node]?.stateHash)
      let base = result.log.base?.index ?? 0
      #expect(base <= result.machine.appliedIndex)
      #expect(result.log.entries == group.logs[node]?.entries.filter { $0.index > base })
      #expect(result.log.hardState.currentTerm == group.logs[node]?.hardState.currentTerm)
      // What is written back is what was missing, and nothing else.
      #expect(result.logWrite.entries.allSatisfy { lost[node]?.contains($0.index) == true })
      #expect(result.logWrite.truncateFrom == nil)
      // It opens as a server.
      _ = try ReplicaDisk.raft(
        node, on: result.log, result.machine, mark: result.mark, configuration: Group.configuration,
        options: RaftOptions(seed: 1))
    }
  }

  /// Given an entry that only the damaged server had, when nobody who could know answers, then it waits, and says so.
  @Test func whatNobodyHasIsWaitedFor() throws {
    var random = SeededRandom(seed: 5)
    var group = try Group(&random, entries: 30)
    let whole = try #require(group.logs[1])
    group.logs[2]?.entries = Array(whole.entries.prefix(20))
    group.logs[3]?.entries = Array(whole.entries.prefix(20))
    group.machines = group.machines.mapValues { _ in StateMachine() }
    group.logs[1]?.entries = whole.entries
    let last = try #require(whole.entries.last)
    group.open(1, lostEntries: [25], lostObjects: [])
    group.open(2, lostEntries: [], lostObjects: [])
    group.open(3, lostEntries: [], lostObjects: [])
    // One that never had it is not enough: with the third, this one could have committed it.
    try group.run(silent: [3])
    #expect(group.repairs[1]?.result() == nil)
    #expect(group.repairs[1]?.status.missingEntries == 1 && last.index > 25)
    // A leader of a term that is high enough, which does not hold what stood behind the hole, ends the wait: none of it
    // was committed.
    var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
    var request: EntriesRequest?
    while request == nil {
      now = now + .seconds(1)
      if case .entries(let asked)? = group.repairs[1]?.ask(now)?.1 { request = asked }
      if request == nil { break }
    }
    let asked = try #require(request)
    #expect(asked.first == 25 && asked.previousTerm == whole.entries[23].term)
    let term = whole.hardState.currentTerm + 1
    let other = Entry(term: term, index: 25, payload: [1])
    for peer in [2, 3] as [NodeID] {
      group.repairs[1]?.take(
        .entriesAnswer(EntriesAnswer(first: 25, authority: .leader, lastIndex: 25, entries: [other])), from: peer)
    }
    let result = try #require(group.repairs[1]?.result())
    #expect(result.log.entries.count == 25 && result.log.entries.last?.term == term)
    #expect(result.logWrite.truncateFrom == 25 && result.logWrite.entries.map(\.index) == [25])
    #expect(result.log.hardState.currentTerm == term && result.log.hardState.votedFor == 0)
  }

  /// A leader whose log ends before the hole, or holds other entries there: what stood behind was never committed, unless it
  /// is known that it was.
  @Test(arguments: [(3 as UInt64, true), (25, false)])
  func aLeadersOtherLogEndsOursBeforeTheHole(commit: UInt64, isEnded: Bool) throws {
    var random = SeededRandom(seed: 5)
    var group = try Group(&random, entries: 30)
    group.machines = group.machines.mapValues { _ in StateMachine() }
    group.logs[1]?.hardState.commitIndex = commit
    group.open(1, lostEntries: [25], lostObjects: [])
    var repair = try #require(group.repairs[1])
    let asked = repair.ask(MonotonicTime(nanoseconds: 0))
    let (peer, question) = try #require(asked)
    guard case .entries(let request) = question else { throw CodecError("another question") }
    let answer = RepairMessage.entriesAnswer(
      EntriesAnswer(first: request.first, authority: .diverged, lastIndex: 22, entries: []))
    repair.take(try Group.coded(answer), from: peer)
    guard isEnded else { return #expect(repair.result() == nil) }
    let result = try #require(repair.result())
    #expect(result.log.entries == Array((group.logs[1]?.entries ?? []).prefix(24)))
    #expect(result.logWrite.truncateFrom == 25)
    #expect(result.log.hardState == group.logs[1]?.hardState)
  }

  /// Given an entry that was lost behind one of a log that nobody else has so far, when both others say so in a later
  /// term, then it was never committed: the log ends before it, in that term.
  @Test func whatNobodyEverHadWasNeverCommitted() throws {
    var random = SeededRandom(seed: 5)
    var group = try Group(&random, entries: 30)
    let whole = try #require(group.logs[1])
    let term = whole.hardState.currentTerm
    group.machines = group.machines.mapValues { _ in StateMachine() }
    for node in [1, 2, 3] as [NodeID] { group.logs[node]?.hardState.commitIndex = 3 }
    group.logs[2]?.entries = Array(whole.entries.prefix(20))
    // The third holds another entry there, and lacks one itself that only it had.
    let others = (21...26).map { LogEntry(index: $0, term: term + 2, kind: 0, payload: [1]) }
    group.logs[3]?.entries = Array(whole.entries.prefix(20)) + others
    group.logs[3]?.hardState.currentTerm = term + 2
    group.open(1, lostEntries: [25], lostObjects: [])
    group.open(2, lostEntries: [], lostObjects: [])
    group.open(3, lostEntries: [23], lostObjects: [])
    try group.run()
    let first = try #require(group.repairs[1]?.result())
    #expect(first.log.entries == Array(whole.entries.prefix(24)) && first.logWrite.truncateFrom == 25)
    let third = try #require(group.repairs[3]?.result())
    #expect(
      third.log.entries == Array(whole.entries.prefix(20)) + others.prefix(2) && third.logWrite.truncateFrom == 23)
    for (result, term) in [(first, term), (third, term + 2)] {
      #expect(result.log.hardState.currentTerm > term && result.log.hardState.votedFor == 0)
      #expect(result.logWrite.hardState == result.log.hardState)
    }
    // Nobody who said so can be in an earlier term again.
    #expect(group.repairs[2]?.hardState.currentTerm == group.repairs.values.map(\.hardState.currentTerm).max())
  }

  /// Of a group of four, two that never had an entry are not enough: with one more that they know nothing of, the others
  /// could have been a majority of five. Nor is anything given up that is known to be committed.
  @Test(arguments: [([1, 2, 3, 4] as [NodeID], 3 as UInt64, false), ([1, 2, 3], 25, false), ([1, 2, 3], 24, true)])
  func whatMayHaveBeenCommittedIsWaitedFor(voters: [NodeID], commit: UInt64, isEnded: Bool) throws {
    var random = SeededRandom(seed: 5)
    var group = try Group(&random, entries: 30)
    group.machines = group.machines.mapValues { _ in StateMachine() }
    group.logs[1]?.hardState.commitIndex = commit
    group.logs[1]?.base = LogBase(
      index: 0, term: 0, configuration: Configuration(voters: Set(voters)).encoded())
    group.open(1, lostEntries: [25], lostObjects: [])
    var repair = try #require(group.repairs[1])
    repair.peers = voters.filter { $0 != 1 }
    var now = MonotonicTime(nanoseconds: 0)
    var asked: [EntriesRequest] = []
    for _ in 0..<12 {
      now = now + Repair.patience
      guard let (peer, question) = repair.ask(now), case .entries(let request) = question else { break }
      asked.append(request)
      repair.take(
        .entriesAnswer(
          EntriesAnswer(
            first: request.first, authority: peer == 4 ? .none : .absent, lastIndex: 20, entries: [])), from: peer)
    }
    #expect((repair.result() != nil) == isEnded)
    // Two rounds: the second in a term of its own.
    if isEnded { #expect(asked.count == 4 && asked[2].term == asked[0].term + 1) }
  }

  /// Given lost rows that no peer can show as they were, when all have been asked, then the whole state is fetched.
  @Test func rowsThatDoNotAddUpAreNotBelieved() throws {
    var random = SeededRandom(seed: 6)
    var group = try Group(&random, entries: 40)
    let machine = try #require(group.machines.values.max { $0.map.count < $1.map.count })
    group.machines = group.machines.mapValues { _ in machine }
    let victim = try #require(machine.map.objects(at: 0..<1).first)
    group.open(1, lostEntries: [], lostObjects: [victim.key])
    for _ in 0..<2 {
      var now = MonotonicTime(nanoseconds: 0)
      for step in 0..<4 {
        now = now + .seconds(Int64(step))
        guard case .rows(let revision, let keys)? = group.repairs[1]?.ask(now)?.1 else { continue }
        #expect(keys == [victim.key] && revision == machine.revision)
        let wrong = StoredObject(
          key: victim.key, revision: victim.revision, uid: victim.uid, bytes: victim.bytes + [32],
          revisionOffset: victim.revisionOffset, labels: victim.labels)
        for peer in [2, 3] as [NodeID] {
          group.repairs[1]?.take(.rowsAnswer(revision: revision, objects: [wrong]), from: peer)
        }
      }
    }
    #expect(group.repairs[1]?.result() == nil && group.repairs[1]?.status.needsWholeState == true)
    let metadata = SnapshotMetadata(
      index: machine.appliedIndex, term: machine.appliedTerm, configuration: Group.configuration)
    group.repairs[1]?.take(machine, metadata)
    let result = try #require(group.repairs[1]?.result())
    #expect(result.machine.stateHash == machine.stateHash && result.stateChanges?.count == 1)
    #expect(result.logWrite.base?.index == machine.appliedIndex)
  }

  /// Seed 400000149 of the simulator's "rot": one peer had let go of the entries, the other was damaged itself and silent.
  @Test func whoNeverAnswersIsNotWaitedForWhenAStateIsToBeHad() throws {
    var random = SeededRandom(seed: 1)
    var group = try Group(&random, entries: 20)
    group.machines[3] = StateMachine()
    group.open(3, lostEntries: [5], lostObjects: [])
    var repair = try #require(group.repairs[3])
    var now = MonotonicTime(nanoseconds: 0)
    var asked: [String] = []
    for _ in 0..<20 {
      now = now + Repair.patience
      guard let (peer, question) = repair.ask(now) else { continue }
      if case .state = question {
        asked.append("state")
        break
      }
      guard case .entries(let request) = question, peer == 1 else { continue }
      repair.take(
        .entriesAnswer(EntriesAnswer(first: request.first, authority: .compacted, lastIndex: 20, entries: [])),
        from: peer)
    }
    #expect(asked == ["state"])
  }

  /// Given a server that is being repaired and has let go of the entries that another lacks, when it is asked for them,
  /// then it says that there is only the state they led to; of one that it lost it says nothing, and of one that it never had,
  /// just that.
  @Test func whoHasLetGoOfAnEntrySaysThatThereIsOnlyTheState() throws {
    var random = SeededRandom(seed: 1)
    var group = try Group(&random, entries: 20)
    let node = try #require(group.machines.max { $0.value.appliedIndex < $1.value.appliedIndex }?.key)
    let machine = try #require(group.machines[node])
    try #require((3...18).contains(machine.appliedIndex))
    let base = machine.appliedIndex
    group.logs[node]?.entries.removeAll { $0.index <= base }
    group.logs[node]?.base = LogBase(
      index: base, term: machine.appliedTerm, configuration: Group.configuration.encoded())
    group.open(node, lostEntries: [base + 1], lostObjects: [])
    let repair = try #require(group.repairs[node])
    func answer(_ first: LogIndex) -> RepairMessage? {
      repair.answer(.entries(EntriesRequest(first: first, previousTerm: 1, check: nil, term: 1)))
    }
    for first in [2, base] {
      guard case .entriesAnswer(let said) = answer(first) else {
        Issue.record("nothing is said of entry \(first)")
        continue
      }
      #expect(said.authority == .compacted && said.first == first && said.entries.isEmpty)
    }
    #expect(answer(base + 1) == nil)
    guard case .entriesAnswer(let said) = answer(100) else { throw CodecError("nothing is said of entry 100") }
    #expect(said.authority == .absent && said.entries.isEmpty)
  }

  /// Seed 400000229 of the simulator's "rot": a log whose terms fell stopped the process.
  @Test func entriesOfEarlierTermsBehindAStateWereNeverCommitted() throws {
    var random = SeededRandom(seed: 1)
    var group = try Group(&random, entries: 20)
    group.machines[3] = StateMachine()
    group.logs[3]?.hardState.commitIndex = 9
    group.open(3, lostEntries: [10], lostObjects: [])
    var repair = try #require(group.repairs[3])
    var now = MonotonicTime(nanoseconds: 0)
    for _ in 0..<2 {
      now = now + Repair.patience
      guard let (peer, question) = repair.ask(now), case .entries(let request) = question else { continue }
      repair.take(
        .entriesAnswer(EntriesAnswer(first: request.first, authority: .compacted, lastIndex: 20, entries: [])),
        from: peer)
    }
    // Given that the group went on in a later term from the entry that is lost here
    var changes: [Change] = []
    var machine = StateMachine()
    for entry in (group.logs[1]?.entries ?? []).prefix(10) {
      _ = try machine.apply(
        entry.payload, index: entry.index, term: entry.index == 10 ? 1000 : entry.term, changes: &changes)
    }
    // when its state arrives, then nothing of the old log is left behind it.
    repair.take(machine, SnapshotMetadata(index: 10, term: 1000, configuration: Group.configuration))
    let result = try #require(repair.result())
    #expect(result.log.entries.isEmpty && result.logWrite.truncateFrom == 11)
  }

  /// Seed 2083920879 of the simulator's "rot": the state had come from a peer, the log that was to follow it failed to be
  /// written, and a later start took the old log for the one that had led to that state. Its terms fell.
  @Test(arguments: [
    (1000 as Term, true, false), (1, true, false), (1000, false, false), (1, false, false), (1000, false, true),
    (1, false, true),
  ]) func theLogBehindAStateThatCameBeforeItIsNotBelieved(stateTerm: Term, isKnown: Bool, isRowLost: Bool) throws {
    var random = SeededRandom(seed: 1)
    var group = try Group(&random, entries: 20)
    let entries = try #require(group.logs[3]?.entries)
    var changes: [Change] = []
    var machine = StateMachine()
    for entry in entries.prefix(10) {
      _ = try machine.apply(
        entry.payload, index: entry.index, term: entry.index == 10 ? stateTerm : entry.term, changes: &changes)
    }
    group.machines[3] = machine
    // Given that entry 10 is lost, of which the log knew that it was committed, or did not
    group.logs[3]?.hardState.commitIndex = isKnown ? 10 : 9
    let row = try #require(machine.map.objects(at: 0..<1).first)
    group.open(3, lostEntries: [10], lostObjects: isRowLost ? [row.key] : [])
    var repair = try #require(group.repairs[3])
    var now = MonotonicTime(nanoseconds: 0)
    if isRowLost, let (peer, question) = repair.ask(now), case .rows(let revision, let keys) = question {
      #expect(keys == [row.key])
      repair.take(.rowsAnswer(revision: revision, objects: [row]), from: peer)
      now = now + Repair.patience
    }
    let result = repair.result()
    switch (isKnown, stateTerm) {
    case (true, _):
      // then what stands behind it is the log that led to the state,
      #expect(result?.log.entries == Array(entries.dropFirst(10)) && result?.logWrite.truncateFrom == nil)
    case (false, 1000):
      // and nothing, where its terms are below the state's;
      #expect(result?.log.entries.isEmpty == true && result?.logWrite.truncateFrom == 11)
    default:
      // above them, it is asked for.
      #expect(result == nil)
      let asked = repair.ask(now)
      guard case .entries(let request) = try #require(asked).1 else { throw CodecError("another question") }
      #expect(request.first == 11 && request.previousTerm == stateTerm)
    }
  }

  /// Given a hole between entries of one term, when a peer has what was lost and nothing behind it, then that is it.
  @Test func whatLayBetweenEntriesOfOneTermIsKnownByItsTerm() throws {
    var random = SeededRandom(seed: 7)
    var group = try Group(&random, entries: 40)
    let whole = try #require(group.logs.values.max { $0.entries.count < $1.entries.count })
    let hole = try #require(
      (20..<30).first { whole.entries[$0 - 2].term == whole.entries[$0].term }, "no three entries of one term")
    group.machines = group.machines.mapValues { _ in StateMachine() }
    group.logs[1]?.entries = whole.entries
    group.logs[2]?.entries = Array(whole.entries.prefix(hole))
    group.open(1, lostEntries: [UInt64(hole)], lostObjects: [])
    group.open(2, lostEntries: [], lostObjects: [])
    try group.run(silent: [3])
    let result = try #require(group.repairs[1]?.result())
    #expect(result.log.entries == whole.entries && result.logWrite.entries.map(\.index) == [UInt64(hole)])
  }

  /// Where two logs are one: by the entry behind the hole and the one before it, or by a term alone.
  @Test func whatTwoLogsHaveInCommonIsSeenByTerms() {
    let log: [LogIndex: Term] = [4: 2, 5: 2, 6: 3, 7: 3]
    func common(_ first: LogIndex, previous: Term, _ check: LogPosition?) -> LogIndex? {
      EntriesRequest(first: first, previousTerm: previous, check: check, term: 9)
        .commonEnd(lastIndex: 7, term: { log[$0] })
    }
    #expect(common(5, previous: 2, LogPosition(index: 6, term: 3)) == 6)
    #expect(common(5, previous: 2, nil) == nil)
    // The entry behind is there, and another before it: the asker's came from elsewhere.
    #expect(common(6, previous: 1, LogPosition(index: 7, term: 3)) == nil)
    #expect(common(6, previous: 2, LogPosition(index: 7, term: 4)) == nil)
    // Of one term, as far as that reaches here.
    #expect(common(5, previous: 2, LogPosition(index: 8, term: 2)) == 5)
    #expect(common(7, previous: 3, LogPosition(index: 9, term: 3)) == 7)
    #expect(common(6, previous: 2, LogPosition(index: 8, term: 2)) == nil)
    // What stands before is lost there as well.
    #expect(common(4, previous: 1, LogPosition(index: 6, term: 3)) == 6)
    func isAbsent(_ first: LogIndex, previous: Term, _ check: LogPosition?) -> Bool {
      EntriesRequest(first: first, previousTerm: previous, check: check, term: 9)
        .isAbsent(lastIndex: 7, term: { log[$0] })
    }
    // The log ends before it.
    #expect(isAbsent(8, previous: 1, nil) && !isAbsent(7, previous: 1, nil))
    // The one that is here is of an earlier term than the one before the asker's, or of a later one than the one behind.
    #expect(isAbsent(5, previous: 3, LogPosition(index: 6, term: 4)))
    #expect(isAbsent(6, previous: 1, LogPosition(index: 7, term: 2)))
    // It may be this one; or one that is lost here as well; or the term behind it is not known.
    #expect(!isAbsent(6, previous: 2, LogPosition(index: 7, term: 4)))
    #expect(!isAbsent(3, previous: 3, LogPosition(index: 4, term: 4)))
    #expect(!isAbsent(6, previous: 2, LogPosition(index: 7, term: 0)))
  }

  /// Given a state of an entry that is lost here, when an entry of a later term stood behind it, then that is believed
  /// only when another log has both.
  @Test func anEntryBehindAStateIsAskedForAnew() throws {
    var random = SeededRandom(seed: 1)
    var group = try Group(&random, entries: 20)
    let entries = try #require(group.logs[3]?.entries)
    let last = try #require((11..<20).first { entries[$0 - 1].term > entries[$0 - 2].term })
    group.logs[3]?.entries = Array(entries.prefix(last))
    group.machines[3] = StateMachine()
    group.logs[3]?.hardState.commitIndex = 10
    group.open(3, lostEntries: [UInt64(last - 1)], lostObjects: [])
    var repair = try #require(group.repairs[3])
    var now = MonotonicTime(nanoseconds: 0)
    for _ in 0..<2 {
      now = now + Repair.patience
      guard let (peer, question) = repair.ask(now), case .entries(let request) = question else { continue }
      repair.take(
        .entriesAnswer(EntriesAnswer(first: request.first, authority: .compacted, lastIndex: 20, entries: [])),
        from: peer)
    }
    var changes: [Change] = []
    var machine = StateMachine()
    for entry in entries.prefix(last - 1) {
      _ = try machine.apply(entry.payload, index: entry.index, term: entry.term, changes: &changes)
    }
    repair.take(
      machine,
      SnapshotMetadata(index: UInt64(last - 1), term: machine.appliedTerm, configuration: Group.configuration))
    #expect(repair.result() == nil)
    now = now + Repair.snapshotPatience
    let asked = repair.ask(now)
    let (peer, question) = try #require(asked)
    guard case .entries(let request) = question else { throw CodecError("another question") }
    let stored = entries[last - 1]
    #expect(
      request.first == UInt64(last) && request.previousTerm == machine.appliedTerm
        && request.check == LogPosition(index: UInt64(last), term: stored.term))
    repair.take(
      .entriesAnswer(
        EntriesAnswer(
          first: UInt64(last), authority: .sameLog, lastIndex: UInt64(last),
          entries: [Entry(term: stored.term, index: stored.index, payload: stored.payload)])), from: peer)
    let result = try #require(repair.result())
    // It is on the disk already.
    #expect(result.log.entries == [stored] && result.logWrite.entries.isEmpty && result.logWrite.truncateFrom == nil)
  }

  /// Given a log that one leader began to replace, when another leads whose log ends earlier, then that is the end.
  @Test func anotherLeadersShorterLogIsTheEnd() throws {
    var random = SeededRandom(seed: 1)
    var group = try Group(&random, entries: 20)
    group.machines[3] = StateMachine()
    group.open(3, lostEntries: [10], lostObjects: [])
    var repair = try #require(group.repairs[3])
    var now = MonotonicTime(nanoseconds: 0)
    for (lastIndex, entries) in [
      (12 as LogIndex, [Entry(term: 1000, index: 10, payload: [1])]), (10, []),
    ] {
      now = now + Repair.patience
      let asked = repair.ask(now)
      let (peer, question) = try #require(asked)
      guard case .entries(let request) = question else { throw CodecError("another question") }
      repair.take(
        .entriesAnswer(
          EntriesAnswer(first: request.first, authority: .leader, lastIndex: lastIndex, entries: entries)), from: peer)
    }
    let result = try #require(repair.result())
    #expect(result.log.entries.last?.index == 10 && result.log.entries.last?.term == 1000)
  }

  /// Seed 2014 of the simulator's "rot": of two voters one had lost rows of a state that the other could not come to
  /// without it.
  @Test func whenNobodyKnowsTheRowsAnOlderStateWillDo() throws {
    var random = SeededRandom(seed: 6)
    var group = try Group(&random, entries: 40)
    let entries = try #require(group.logs.values.max { $0.entries.count < $1.entries.count }).entries
    var changes: [Change] = []
    var states = [StateMachine()]
    for entry in entries {
      var machine = states[states.count - 1]
      _ = try machine.apply(entry.payload, index: entry.index, term: entry.term, changes: &changes)
      states.append(machine)
    }
    let (mine, older) = (states[30], states[25])
    let victim = try #require(mine.map.objects(at: 0..<1).first)
    group.logs[1]?.entries = entries
    group.machines[1] = mine
    group.open(1, lostEntries: [], lostObjects: [victim.key])
    var repair = try #require(group.repairs[1])
    func metadata(_ machine: StateMachine) -> SnapshotMetadata {
      SnapshotMetadata(
        index: machine.appliedIndex, term: machine.appliedTerm, configuration: Group.configuration)
    }
    // A newer state has the rows in it, whoever offers it.
    #expect(repair.wantsState(asOf: 30) && !repair.wantsState(asOf: 25))
    var newer = repair
    newer.take(states[35], metadata(states[35]))
    #expect(newer.result()?.machine.stateHash == states[35].stateHash)
    // Given peers that know nothing of the rows, then an older one is asked for, and the log leads on from there.
    var now = MonotonicTime(nanoseconds: 0)
    var asksForState = false
    for _ in 0..<2 * Repair.maxRowSilences + 2 where !asksForState {
      now = now + Repair.patience
      if case .state? = repair.ask(now)?.1 { asksForState = true }
    }
    #expect(asksForState && repair.wantsState(asOf: 25))
    repair.take(older, metadata(older))
    let result = try #require(repair.result())
    #expect(result.machine.stateHash == older.stateHash && result.log.entries.last == entries.last)
  }

  /// Seed 777226 of "liars": of three peers two had other rows than were here, and one was a member no more, whom nobody
  /// would hear again: their answers made its silence be forgotten.
  @Test func whoIsSilentIsNotWaitedForWhereOthersRowsDoNotAddUp() throws {
    var random = SeededRandom(seed: 6)
    var group = try Group(&random, entries: 40)
    let machine = try #require(group.machines.values.max { $0.map.count < $1.map.count })
    group.machines[1] = machine
    let victim = try #require(machine.map.objects(at: 0..<1).first)
    group.open(1, lostEntries: [], lostObjects: [victim.key])
    var repair = try #require(group.repairs[1])
    repair.peers = [2, 3, 4]
    var now = MonotonicTime(nanoseconds: 0)
    var asksForState = false
    for _ in 0..<4 * Repair.maxRowSilences where !asksForState {
      now = now + Repair.patience
      switch repair.ask(now) {
      case (_, .state)?: asksForState = true
      case (let peer, .rows(let revision, _))? where peer != 3:
        repair.take(.rowsAnswer(revision: revision, objects: [nil]), from: peer)
      default: break
      }
    }
    #expect(asksForState && repair.status.needsWholeState)
  }

  @Test func damagedMessagesAreRefused() throws {
    let message = PeerMessage.repair(
      .entriesAnswer(
        EntriesAnswer(
          first: 3, authority: .sameLog, lastIndex: 5, entries: [Entry(term: 2, index: 3, payload: [1, 2, 3])])))
    let bytes = message.encoded()
    for length in 0..<bytes.count {
      #expect(throws: CodecError.self) { try PeerMessage(decoding: Array(bytes[..<length])) }
    }
    for position in 0..<bytes.count {
      for bit in 0..<8 as Range<UInt8> {
        var flipped = bytes
        flipped[position] ^= 1 << bit
        _ = try? PeerMessage(decoding: flipped)
      }
    }
  }
}

private final class NoLog: LogStore {
  func start(onEvent: @escaping @Sendable (LogStoreEvent) -> Void) {}
  func append(_ write: LogWrite) {}
  func cut(to base: LogBase) {}
  func close(_ completion: @escaping @Sendable () -> Void) { completion() }
}

private final class NoState: StateStorage {
  func start(onEvent: @escaping @Sendable (StateStorageEvent) -> Void) {}
  func write(_ write: StateWrite) {}
  func close(_ completion: @escaping @Sendable () -> Void) { completion() }
}
