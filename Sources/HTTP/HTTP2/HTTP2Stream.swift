// One HTTP/2 stream: what has come of its head, and the bytes that wait to go out.

import DequeModule

/// Loop-confined, like its session.
final class HTTP2Stream {
  let id: Int32

  // Incoming.
  var method = ""
  var path = ""
  var status = 0
  var headers = HTTPHeaders()
  var headerBytes = 0
  var isHeadDelivered = false
  /// The peer has sent its END_STREAM.
  var isRemoteEnded = false
  /// Bytes received and not yet given back to the peer's window (client side: the reader is slow).
  var unconsumedBytes = 0

  // Outgoing body.
  private var outgoing: Deque<[UInt8]> = []
  /// What is made when all of `outgoing` has been taken.
  private var unmade: BodyPieces.Iterator?
  private var offset = 0
  private(set) var outgoingBytes = 0
  /// Bytes taken in all: the peer's progress.
  private(set) var takenBytes = 0
  var isOutgoingFinished = false
  /// nghttp2 was told that there is nothing to send for now.
  var isDeferred = false
  /// The END_STREAM of ours has been handed to the connection.
  var isLocalEnded = false

  /// What the connection keeps for the stream: a `ServerExchange` or a `ClientExchange`.
  var exchange: AnyObject?

  init(id: Int32) { self.id = id }

  func append(_ chunk: [UInt8]) {
    guard !chunk.isEmpty else { return }
    outgoing.append(chunk)
    outgoingBytes += chunk.count
  }

  /// The rest of the body: each piece is made when the window has room for it, and none lies in the queue before.
  func append(_ pieces: BodyPieces) {
    unmade = pieces.makeIterator()
    outgoingBytes += pieces.byteCount
  }

  /// The piece that bytes are taken from.
  private func nextOutgoing() -> [UInt8]? {
    while outgoing.isEmpty, let piece = unmade?.next() {
      if !piece.isEmpty { outgoing.append(piece) }
    }
    return outgoing.first
  }

  /// Moves bytes of the body into `buffer`; returns how many.
  func take(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var filled = 0
    while filled < buffer.count, let chunk = nextOutgoing() {
      let length = min(chunk.count - offset, buffer.count - filled)
      chunk.withUnsafeBytes { source in
        UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).copyMemory(
          from: source.slice(offset..<offset + length))
      }
      filled += length
      offset += length
      if offset == chunk.count {
        outgoing.removeFirst()
        offset = 0
      }
    }
    precondition(filled == min(buffer.count, outgoingBytes), "a body's pieces are not as long as was announced")
    outgoingBytes -= filled
    takenBytes += filled
    return filled
  }

  func dropOutgoing() {
    outgoing.removeAll()
    unmade = nil
    outgoingBytes = 0
    offset = 0
  }
}
