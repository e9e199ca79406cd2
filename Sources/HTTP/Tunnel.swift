// The life of a connection after 101: bytes in both directions between a stream and two pipes.

import EventLoop

/// Loop-confined. The connection that owns it passes on what its stream says.
final class TunnelPump: @unchecked Sendable {
  private let stream: any Stream
  private let tunnel: HTTPTunnel
  private var waiter = DrainWaiter()
  private var isClosed = false

  /// Starts pumping; `leftover` came behind the head of the upgrade.
  init(stream: any Stream, tunnel: HTTPTunnel, leftover: [UInt8]) {
    self.stream = stream
    self.tunnel = tunnel
    let confined = LoopConfined(stream, on: stream.loop)
    tunnel.inbound.onDrain { confined.execute { $0.resumeReading() } }
    if !leftover.isEmpty { leftover.withUnsafeBytes { receive($0) } }
    LoopTasks.on(stream.loop).start(for: self) { await $0.pumpOutbound() }
  }

  func receive(_ bytes: UnsafeRawBufferPointer) {
    // A reader that has gone leaves the other direction alone: what comes is dropped.
    if (try? tunnel.inbound.offer(Array(bytes))) == true { stream.pauseReading() }
  }

  func streamDidDrain() { waiter.resume() }

  func streamDidClose(_ error: StreamError?) {
    isClosed = true
    let failure = error.flatMap { $0.isPeerGone ? nil : HTTPError.connectionClosed($0.description) }
    tunnel.inbound.finish(throwing: failure)
    tunnel.outbound.cancel()
    waiter.resume()
  }

  private func pumpOutbound() async {
    do {
      while let batch = try await tunnel.outbound.nextBatch() {
        stream.write(batch)
        if stream.bufferedBytes > outputHighWater, !isClosed {
          await withCheckedContinuation { waiter.wait($0) }
        }
      }
      stream.close()
    } catch {
      if !isClosed { stream.abort() }
    }
  }
}
