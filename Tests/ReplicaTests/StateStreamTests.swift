import Raft
import SeedSupport
import Storage
import Testing

@testable import Replica

@Suite struct StateStreamTests {
  static let configuration = Configuration(voters: [1, 2, 3])

  /// A state that goes on from another by writes drawn from `random`; returns the changes.
  static func write(_ machine: inout StateMachine, _ count: Int, _ random: inout SeededRandom) throws -> [Change] {
    var changes: [Change] = []
    for _ in 0..<count {
      let name = "pod-\(random.next(below: 60))"
      let mutation: Mutation =
        random.next(below: 4) == 0
        ? .delete(pod(name))
        : .put(pod(name), document(String(repeating: "d", count: random.next(below: 300))))
      let sequence = machine.appliedIndex + 1
      let entry = try CommandEntry(
        request: RequestID(origin: 1, incarnation: 1, sequence: sequence),
        lowWatermark: sequence > 5 ? sequence - 5 : 0, command: Command(mutations: [mutation])
      ).encoded()
      _ = try machine.apply(entry, index: sequence, term: 1, changes: &changes)
    }
    return changes
  }

  /// Given a stream that breaks off anywhere, again and again, from one version after the other, when each goes on from
  /// what the last had brought, then what is there in the end is the last version, whole.
  @Test(arguments: 0..<200 as Range<UInt64>) func aStreamGoesOnWhereAnotherBrokeOff(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var machine = StateMachine()
    _ = try Self.write(&machine, random.next(below: 120), &random)
    var changes: [Change] = []
    var partial: PartialState?
    // A receiver may hold a whole state of earlier as well.
    let whole =
      random.next(below: 3) == 0
      ? PartialState(map: machine.map, place: StatePlace(revision: machine.revision, through: nil)) : nil
    for round in 0..<6 {
      changes += try Self.write(&machine, random.next(below: 40), &random)
      let bases = [partial, round % 2 == 0 ? whole : nil].compactMap { $0 }
      let base = bases.first
      var encoder = StateEncoder(
        cluster: "c", machine: machine, configuration: Self.configuration,
        resuming: base.map { base in (base.place, changes.filter { $0.revision > base.place.revision }) })
      var decoder = StateDecoder(cluster: "c", bases: bases)
      let isLast = round == 5
      var pieces = isLast ? Int.max : random.next(below: 30)
      while pieces > 0, let piece = encoder.nextPiece(bytes: 200 + random.next(below: 400)) {
        try decoder.take(piece)
        pieces -= 1
      }
      if let brought = decoder.partial { partial = brought }
      guard isLast else { continue }
      let (state, header) = try decoder.finish()
      #expect(state.stateHash == machine.stateHash && state.revision == machine.revision)
      #expect(
        state.map.objects(at: 0..<state.map.count).map(\.bytes)
          == machine.map.objects(at: 0..<machine.map.count).map(\.bytes))
      #expect(state.requests.encoded() == machine.requests.encoded())
      #expect(header.metadata.index == machine.appliedIndex)
    }
  }

  @Test func theSameStateIsTheSameStreamOnEveryServer() throws {
    var random = SeededRandom(seed: 1)
    var machine = StateMachine()
    _ = try Self.write(&machine, 100, &random)
    func stream(_ machine: StateMachine) -> [UInt8] {
      var encoder = StateEncoder(cluster: "c", machine: machine, configuration: Self.configuration)
      var bytes: [UInt8] = []
      while let piece = encoder.nextPiece(bytes: 333) { bytes += piece }
      return bytes
    }
    var decoder = StateDecoder(cluster: "c")
    try decoder.take(stream(machine))
    #expect(try stream(decoder.finish().machine) == stream(machine))
  }

  /// Given a base that is not what the sender takes it for, when the rest arrives, then the sum betrays it.
  @Test func aBaseThatWasSpoiledIsFound() throws {
    var random = SeededRandom(seed: 3)
    var machine = StateMachine()
    _ = try Self.write(&machine, 50, &random)
    let place = StatePlace(revision: machine.revision, through: nil)
    var spoiled = machine.map
    let victim = try #require(spoiled.objects(at: 0..<1).first)
    spoiled.put(
      StoredObject(
        key: victim.key, revision: victim.revision, uid: victim.uid, bytes: victim.bytes + [32],
        revisionOffset: victim.revisionOffset, labels: victim.labels))
    let changes = try Self.write(&machine, 5, &random).filter { $0.key != victim.key }
    var encoder = StateEncoder(
      cluster: "c", machine: machine, configuration: Self.configuration, resuming: (place, changes))
    var decoder = StateDecoder(cluster: "c", bases: [PartialState(map: spoiled, place: place)])
    while let piece = encoder.nextPiece() { try decoder.take(piece) }
    #expect(throws: CodecError.self) { try decoder.finish() }
  }

  @Test func streamsThatAreNotWhatTheySayAreRefused() throws {
    var random = SeededRandom(seed: 4)
    var machine = StateMachine()
    _ = try Self.write(&machine, 30, &random)
    var encoder = StateEncoder(cluster: "c", machine: machine, configuration: Self.configuration)
    var bytes: [UInt8] = []
    while let piece = encoder.nextPiece() { bytes += piece }
    #expect(throws: CodecError.self) {
      var decoder = StateDecoder(cluster: "other")
      try decoder.take(bytes)
    }
    #expect(throws: CodecError.self) {
      var decoder = StateDecoder(cluster: "c")
      try decoder.take(bytes + bytes)
    }
    for position in stride(from: 0, to: bytes.count, by: 3) {
      var damaged = bytes
      damaged[position] ^= 1 << UInt8(random.next(below: 8))
      var decoder = StateDecoder(cluster: "c")
      // Most flips are refused at once; one in a request's outcome is the transfer's checksum to find.
      guard (try? decoder.take(damaged)) != nil, let state = try? decoder.finish() else { continue }
      #expect(state.machine.stateHash == machine.stateHash)
    }
  }
}
