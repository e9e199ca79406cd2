// Frames on their way out: gathered, so that few TLS records and one system call carry many of them.

import EventLoop

/// A loop's buffer to gather frames in. Loop-confined.
private final class GatherBuffer {
  /// What TLS encrypts and writes at once, four full records: with one system call for each, two in five of a large
  /// list's microseconds were the kernel's.
  static let byteCount = 64 << 10
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
  deinit { memory.deallocate() }
}

extension HTTP2Session {
  /// Writes what the session has to say, as long as the stream takes it without piling up.
  func flush(to stream: any Stream) {
    let buffer = stream.loop.local(GatherBuffer.self) { GatherBuffer() }.memory
    var filled = 0
    func send() {
      if filled > 0 { stream.write(UnsafeRawBufferPointer(rebasing: buffer[..<filled])) }
      filled = 0
    }
    while stream.bufferedBytes < outputHighWater, let frames = nextOutput() {
      if filled + frames.count > buffer.count { send() }
      if frames.count > buffer.count {
        stream.write(frames)
      } else {
        UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]).copyMemory(from: frames)
        filled += frames.count
      }
    }
    send()
  }
}
