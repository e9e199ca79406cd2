// The queue between a connection and who reads from it.
import Testing

@testable import HTTP

@Suite struct BytePipeTests {
  private func chunk(_ count: Int) -> [UInt8] { [UInt8](repeating: 7, count: count) }

  @Test func whoHeldBackIsToldWhenThereIsRoom() async throws {
    let pipe = BytePipe(highWater: 100)
    let drains = Shared(0)
    pipe.onDrain { drains.update { $0 += 1 } }
    #expect(try pipe.offer(chunk(60)) == false)
    #expect(try pipe.offer(chunk(60)) == true)
    #expect(try await pipe.next()?.count == 60)
    #expect(drains.value == 0, "more than half is taken")
    #expect(try await pipe.next()?.count == 60)
    #expect(drains.value == 1)
  }

  /// What was under way arrives while the reader makes room: it fits, and must not make the pipe forget that others wait.
  @Test func aChunkThatFitsDoesNotMakeItForget() async throws {
    let pipe = BytePipe(highWater: 100)
    let drains = Shared(0)
    pipe.onDrain { drains.update { $0 += 1 } }
    #expect(try pipe.offer(chunk(60)) == false)
    #expect(try pipe.offer(chunk(60)) == true)
    #expect(try await pipe.next()?.count == 60)
    #expect(try pipe.offer(chunk(10)) == false)
    #expect(try await pipe.next()?.count == 60)
    #expect(drains.value == 1)
  }
}
