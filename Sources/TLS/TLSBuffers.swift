// The buffers that all TLS streams of a loop share: they are needed only while one stream works.

/// A pool of equal buffers. Loop-confined, one for each loop. A stream takes one for the length of a call; more than
/// one is in use when streams nest: TLS inside TLS, or a handler that writes to another stream.
final class TLSBuffers {
  /// The most plain bytes that one TLS record holds.
  static let recordBytes = 16 << 10
  /// Plain bytes that one pass reads or writes.
  static let passBytes = 4 * recordBytes
  /// Room for a pass of ciphertext: each record costs a header and a tag.
  private static let bufferBytes = passBytes + (16 << 10)
  /// Free buffers kept.
  private static let keptBuffers = 4

  private var free: [UnsafeMutableRawBufferPointer] = []

  deinit {
    for buffer in free { buffer.deallocate() }
  }

  func take() -> UnsafeMutableRawBufferPointer {
    free.popLast() ?? .allocate(byteCount: Self.bufferBytes, alignment: 64)
  }

  func giveBack(_ buffer: UnsafeMutableRawBufferPointer) {
    if free.count < Self.keptBuffers { free.append(buffer) } else { buffer.deallocate() }
  }
}
