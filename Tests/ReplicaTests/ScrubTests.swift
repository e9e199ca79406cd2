import Testing

@testable import Replica

@Suite struct ScrubTests {
  @Test func aStateInOrderIsFoundSo() throws {
    let machine = try BackupTests.machine(2000)
    var scrub = Scrub()
    var steps = 0
    while scrub.completed < 2 {
      #expect(scrub.step(machine.map) == nil)
      steps += 1
      try #require(steps < 100)
    }
    #expect(steps == 2 * ((machine.map.count + Scrub.objectsPerStep - 1) / Scrub.objectsPerStep))
  }

  /// Given an object whose bytes change in memory, when the walk comes to it, then that is said.
  @Test func bytesThatChangeByThemselvesAreFound() throws {
    var machine = StateMachine()
    var changes: [Change] = []
    let entry = try CommandEntry(
      request: RequestID(origin: 1, incarnation: 1, sequence: 1), lowWatermark: 0,
      command: Command(mutations: [.put(pod("a"), document("x"))])
    ).encoded()
    _ = try machine.apply(entry, index: 1, term: 1, changes: &changes)
    let object = try #require(machine.map[pod("a")])
    var scrub = Scrub()
    #expect(scrub.step(machine.map) == nil)
    object.bytes.withUnsafeBytes { UnsafeMutableRawBufferPointer(mutating: $0)[20] ^= 1 }
    #expect(scrub.step(machine.map)?.contains("pods/default/a") == true)
  }
}
