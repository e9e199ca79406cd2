// Handshakes are what a stranger can make a server pay: half a millisecond each. A few a turn of the loop, so that whoever
// is connected already is served between them.

import DequeModule
import EventLoop

/// Of one loop; loop-confined. Decides whose handshake goes on in this turn.
final class HandshakePacer {
  /// Steps of handshakes in one turn: about a millisecond.
  private static let stepsPerTurn = 2

  private unowned let loop: EventLoop
  private var waiting: Deque<TLSStream> = []
  private var steps = 0
  private var isTurnAwaited = false

  init(loop: EventLoop) { self.loop = loop }

  /// Whether the stream may go on now; if not, its turn comes by itself.
  func mayGoOn(_ stream: TLSStream) -> Bool {
    awaitTurn()
    guard steps < Self.stepsPerTurn, waiting.isEmpty else {
      waiting.append(stream)
      return false
    }
    steps += 1
    return true
  }

  /// A timer of no time fires once a turn, after everything that was ready.
  private func awaitTurn() {
    guard !isTurnAwaited else { return }
    isTurnAwaited = true
    loop.scheduleConfined(after: .zero) { [self] in
      isTurnAwaited = false
      steps = 0
      while steps < Self.stepsPerTurn, let next = waiting.popFirst() {
        // Those that have ended meanwhile cost nothing.
        if next.goOn() { steps += 1 }
      }
      if steps > 0 { awaitTurn() }
    }
  }
}
