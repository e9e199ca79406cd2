// The queue between a connection and who reads from it.
import LoopSupport
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

  /// Who wants no more than the status lets the sender go on, and keeps nothing.
  @Test func whatIsDiscardedLeavesRoomAndEndsAsItEnds() async throws {
    let pipe = BytePipe(highWater: 100)
    let offered = Shared(0)
    let fill: @Sendable () -> Void = { [chunk = chunk(60)] in
      while offered.value < 6000 {
        offered.update { $0 += 60 }
        guard let isFull = try? pipe.offer(chunk), !isFull else { return }
      }
      pipe.finish()
    }
    pipe.onDrain(fill)
    fill()
    try await HTTPBody.stream(pipe).discard()
    #expect(offered.value == 6000)
    let broken = BytePipe(highWater: 100)
    broken.finish(throwing: HTTPError.connectionClosed("gone"))
    await #expect(throws: HTTPError.self) { try await HTTPBody.stream(broken).discard() }
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

  /// A batch is what waits, however quickly a writer makes use of the room that its reader leaves.
  @Test func aWriterAsQuickAsItsReaderDoesNotMakeABatchGrow() async throws {
    let pipe = BytePipe(highWater: 100)
    let offered = Shared(0)
    let fill: @Sendable () -> Void = { [chunk = chunk(40)] in
      while offered.value < 4000 {
        offered.update { $0 += 40 }
        guard let isFull = try? pipe.offer(chunk), !isFull else { return }
      }
    }
    pipe.onDrain(fill)
    fill()
    var read = 0
    while read < 4000 {
      let batch = try #require(try await pipe.nextBatch())
      #expect(batch.count <= 3, "\(batch.count) chunks")
      read += batch.reduce(0) { $0 + $1.count }
    }
    #expect(read == offered.value)
  }

  /// Given a writer that waits for room, when somebody else finishes the pipe, then it waits no longer, its next write
  /// throws, and the reader gets what was written before, then the end.
  @Test func whoeverFinishesNeedNotWaitForTheWriters() async throws {
    let pipe = BytePipe(highWater: 100)
    async let writing: Void = pipe.write(chunk(120))
    while pipe.bufferedBytes == 0 { await Task.yield() }
    pipe.finish()
    try await writing
    #expect(throws: HTTPError.self) { try pipe.offer(chunk(1)) }
    await #expect(throws: HTTPError.self) { try await pipe.write(chunk(1)) }
    #expect(try await pipe.next()?.count == 120)
    #expect(try await pipe.next() == nil)
  }
}
