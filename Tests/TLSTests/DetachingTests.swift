import EventLoop
import LoopSupport
import TLS
import Testing
import World

@Suite struct DetachingTests {
  @Test func aSessionGoesOnOnAnotherLoop() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration())
      try await loop.run { pair.client.stream!.write(Array("one ".utf8)) }
      try await loop.wait { pair.server.handler.received.count == 4 }
      // Given bytes that come while no loop has it.
      let session = try await loop.run { () -> DetachedTLS? in
        defer { pair.client.stream!.write(Array("two ".utf8)) }
        return pair.server.stream!.detachSession()
      }
      let moved = try #require(session)
      try await withLoop { other in
        let away = Side()
        try await other.run {
          away.stream = moved.attach(to: other)
          away.stream?.handler = away.handler
          away.stream?.write(Array("answer".utf8))
        }
        try await loop.run { pair.client.stream!.write(Array("three".utf8)) }
        try await other.wait { away.handler.received.count == 9 }
        try await loop.wait { pair.client.handler.received.count == 6 }
        try await other.run {
          #expect(away.handler.received == Array("two three".utf8))
          away.stream!.close()
        }
        try await loop.wait { pair.client.handler.closes == 1 }
        #expect(try await loop.run { pair.client.handler.closeError } == nil)
      }
      #expect(try await loop.run { pair.server.handler.closes } == 0)
    }
  }

  @Test func aSessionThatNobodyTakesEnds() async throws {
    try await withLoop { loop in
      let papers = try Papers(now: loop.wallClock)
      let pair = try await Pair.made(
        on: loop, server: papers.serverConfiguration(), client: papers.clientConfiguration())
      try await loop.run { _ = pair.server.stream!.detachSession() }
      try await loop.wait { pair.client.handler.closes == 1 }
    }
  }
}
