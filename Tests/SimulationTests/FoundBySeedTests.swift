// What the simulator found in our own code, each as small as it can be told; the seed is the run that showed it first.

import Storage
import Testing

@testable import Simulation

@Suite struct FoundBySeedTests {
  /// Seed 5026 of "crashes": a term that was durable came back lower.
  @Test(arguments: UInt64(1)...20)
  func whatFollowsAFailedSyncIsDurableOnceTheServerHasStartedAgain(seed: UInt64) throws {
    let disk = SimulatedDisk(seed: seed)
    func write(_ life: Life, _ token: UInt64, term: UInt64) {
      life.directory.log.append(
        LogWrite(token: token, hardState: LogHardState(currentTerm: term, votedFor: 1, commitIndex: 0)))
      life.pump.run()
    }
    // Given a server whose sync failed, which stopped, and was started again by the kernel that has it all in memory
    let first = try Life(disk)
    write(first, 1, term: 1)
    disk.faults.failingSyncs = 1
    write(first, 2, term: 2)
    #expect(!first.failures.isEmpty)
    disk.kill()
    let second = try Life(disk)
    // when it writes on, is told that it is durable, and loses its power
    write(second, 1, term: 5)
    #expect(second.durableToken == 1)
    disk.crash()
    // then it is.
    #expect(try Life(disk).directory.logContents.hardState.currentTerm == 5)
  }
}
