// A TCP connection or Unix socket as a `Stream`: libuv's stream handle and the order of its ending.
//
// Writing: `uv_try_write` first, straight from the caller's memory; what the kernel does not take becomes one
// `uv_write` at a time, and what is written meanwhile waits for that one and then goes out together.
// Ending, by `close()`: flush, tell the handler, send FIN, discard what the peer still says until it ends too
// (closing with unread bytes would send RST and destroy the answer in flight), close. By the peer's end: tell the
// handler, flush, close. By an error or `abort()`: tell the handler, close.

import CLibuv
import Glibc
import World

final class SocketStream: LoopHandle, Stream {
  enum Kind { case tcp, unix }

  private enum State {
    case open
    /// `close()` was called: what is queued is still sent.
    case flushing
    /// FIN is sent; waiting for the peer's.
    case lingering
    /// `uv_close` was called.
    case closed
  }

  /// How long a peer may leave queued bytes untouched after `close()`.
  private static let flushPatience = Duration.seconds(15)
  /// How long and how much of the peer's words is discarded after our FIN: a body that was refused half way.
  private static let lingerTime = Duration.seconds(2)
  private static let lingerBytes = 1 << 20
  /// Idle time before the kernel probes whether the peer is alive.
  private static let keepAliveSeconds: UInt32 = 15
  /// Small writes that wait are joined up to this size.
  private static let joinedBytes = 16 << 10
  /// Buffers a `writev` takes (IOV_MAX of Linux).
  private static let buffersPerWrite = 1024

  let kind: Kind
  private let memory: UnsafeMutableRawPointer
  private var uvStream: UnsafeMutablePointer<uv_stream_t> { memory.assumingMemoryBound(to: uv_stream_t.self) }
  private var state = State.open
  private var isConnected = false
  private var isReading = false
  private var isPaused = false
  private var closeError: StreamError?
  private var isCloseReported = false
  private var isPeerFinished = false
  private var lingeredBytes = 0
  private var endTimer: (any ScheduledTimer)?
  private var bytesAtLastFlushCheck = 0

  private var writeRequest: UnsafeMutablePointer<uv_write_t>?
  /// libuv points into these until its callback.
  private var inFlight: [[UInt8]] = []
  /// Waits for what is in flight.
  private var waiting: [[UInt8]] = []
  private var waitingBytes = 0
  /// The last of `waiting` was made here and may grow.
  private var isLastOurs = false

  init(loop: EventLoop, kind: Kind) {
    self.kind = kind
    memory = .allocate(
      byteCount: max(MemoryLayout<uv_tcp_t>.size, MemoryLayout<uv_pipe_t>.size),
      alignment: MemoryLayout<uv_tcp_t>.alignment)
    super.init(loop: loop)
    switch kind {
    case .tcp: must(uv_tcp_init(loop.uv, memory.assumingMemoryBound(to: uv_tcp_t.self)) == 0, "uv_tcp_init")
    case .unix: must(uv_pipe_init(loop.uv, memory.assumingMemoryBound(to: uv_pipe_t.self), 0) == 0, "uv_pipe_init")
    }
    // libuv holds the stream until its close callback.
    uvStream.pointee.data = Unmanaged.passRetained(self).toOpaque()
  }

  deinit {
    writeRequest?.deallocate()
    memory.deallocate()
  }

  @inline(__always)
  private static func owner<Handle>(of handle: UnsafeMutablePointer<Handle>?) -> SocketStream {
    let handle = UnsafeMutableRawPointer(handle.unsafelyUnwrapped).assumingMemoryBound(to: uv_handle_t.self)
    return Unmanaged<SocketStream>.fromOpaque(handle.pointee.data).takeUnretainedValue()
  }

  // MARK: Opening

  /// Takes over a connected descriptor.
  func open(descriptor: Int32) -> Int32 {
    let status =
      switch kind {
      case .tcp: uv_tcp_open(memory.assumingMemoryBound(to: uv_tcp_t.self), descriptor)
      case .unix: uv_pipe_open(memory.assumingMemoryBound(to: uv_pipe_t.self), descriptor)
      }
    if status == 0 { didConnect() }
    return status
  }

  /// The handle is connected: set what every connection gets.
  func didConnect() {
    isConnected = true
    if kind == .tcp {
      let tcp = memory.assumingMemoryBound(to: uv_tcp_t.self)
      uv_tcp_nodelay(tcp, 1)
      uv_tcp_keepalive(tcp, 1, Self.keepAliveSeconds)
    }
    updateReading()
  }

  /// Ends the stream when what was written is not acknowledged for so long. A Unix socket has no such thing.
  func limitUnacknowledged(to limit: Duration) {
    guard kind == .tcp else { return }
    var milliseconds = UInt32(clamping: limit.wholeMillisecondsRoundedUp)
    // As with the options above, a system that refuses keeps its own ways.
    _ = setsockopt(
      descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, &milliseconds, socklen_t(MemoryLayout<UInt32>.size))
  }

  /// For the connector.
  var tcpHandle: UnsafeMutablePointer<uv_tcp_t> { memory.assumingMemoryBound(to: uv_tcp_t.self) }
  var pipeHandle: UnsafeMutablePointer<uv_pipe_t> { memory.assumingMemoryBound(to: uv_pipe_t.self) }

  // MARK: Reading

  var handler: (any StreamHandler)? {
    didSet {
      loop.preconditionOnLoop()
      if isCloseReported { deliverClose() } else { updateReading() }
    }
  }

  func pauseReading() {
    isPaused = true
    updateReading()
  }

  func resumeReading() {
    isPaused = false
    updateReading()
  }

  /// Reads while someone wants the bytes, or while they are to be discarded.
  private func updateReading() {
    let wanted =
      switch state {
      case .open: isConnected && !isPaused && handler != nil && !isPeerFinished
      case .lingering: true
      case .flushing, .closed: false
      }
    guard wanted != isReading else { return }
    isReading = wanted
    guard wanted else {
      uv_read_stop(uvStream)
      return
    }
    let status = uv_read_start(
      uvStream,
      { handle, _, buffer in
        let memory = SocketStream.owner(of: handle).loop.readBuffer
        buffer.unsafelyUnwrapped.pointee = uv_buf_init(
          memory.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: CChar.self), UInt32(memory.count))
      },
      { handle, count, buffer in
        SocketStream.owner(of: handle).didRead(count, buffer.unsafelyUnwrapped.pointee.base)
      })
    if status != 0 { fail("read", status) }
  }

  private func didRead(_ count: Int, _ bytes: UnsafeMutablePointer<CChar>?) {
    if count > 0 {
      switch state {
      case .open: handler?.streamDidReceive(UnsafeRawBufferPointer(start: bytes, count: count))
      case .lingering:
        lingeredBytes += count
        if lingeredBytes > Self.lingerBytes { closeHandle() }
      case .flushing, .closed: break
      }
    } else if count < 0 {
      if state == .lingering { return closeHandle() }
      if count == Int(UV_EOF.rawValue) { peerDidFinish() } else { fail("read", Int32(count)) }
    }
  }

  /// The peer will say no more. Nobody speaks half-closed here: the owner is told, what it had written is still sent.
  private func peerDidFinish() {
    isPeerFinished = true
    updateReading()
    reportClose(nil)
    close()
  }

  // MARK: Writing

  var bufferedBytes: Int {
    state == .closed ? 0 : Int(uv_stream_get_write_queue_size(uvStream)) + waitingBytes
  }

  func write(_ bytes: UnsafeRawBufferPointer) {
    loop.preconditionOnLoop()
    guard state == .open, isConnected, let start = bytes.baseAddress, bytes.count > 0 else { return }
    if !inFlight.isEmpty { return queue(bytes) }
    // libuv counts in 32 bits.
    var buffer = uv_buf_init(
      UnsafeMutableRawPointer(mutating: start).assumingMemoryBound(to: CChar.self), UInt32(min(bytes.count, 1 << 30)))
    let written = uv_try_write(uvStream, &buffer, 1)
    if written == bytes.count { return }
    guard written >= 0 || written == Int32(UV_EAGAIN.rawValue) else { return fail("write", written) }
    queue(UnsafeRawBufferPointer(rebasing: bytes[max(0, Int(written))...]))
    startWriting()
  }

  func write(_ chunks: [[UInt8]]) {
    loop.preconditionOnLoop()
    guard state == .open, isConnected else { return }
    var sent = 0
    var index = 0
    while inFlight.isEmpty, index < chunks.count {
      // The kernel takes a limited number of buffers at once; go on until it takes no more bytes.
      let (status, offered) = Self.withBuffers(chunks[index...], offset: sent) {
        uv_try_write(uvStream, $0, UInt32($1))
      }
      guard status >= 0 || status == Int32(UV_EAGAIN.rawValue) else { return fail("write", status) }
      sent += max(0, Int(status))
      while index < chunks.count, sent >= chunks[index].count {
        sent -= chunks[index].count
        index += 1
      }
      if Int(status) < offered { break }
    }
    guard index < chunks.count else { return }
    if sent > 0 {
      chunks[index].withUnsafeBytes { queue(UnsafeRawBufferPointer(rebasing: $0[sent...])) }
      index += 1
    }
    for chunk in chunks[index...] { queue(chunk) }
    if inFlight.isEmpty { startWriting() }
  }

  /// Calls `body` with buffers over the chunks, the first from `offset` on; returns its result and the bytes offered.
  private static func withBuffers(
    _ chunks: ArraySlice<[UInt8]>, offset: Int, _ body: (UnsafeMutablePointer<uv_buf_t>, Int) -> Int32
  ) -> (status: Int32, offered: Int) {
    withUnsafeTemporaryAllocation(of: uv_buf_t.self, capacity: min(chunks.count, buffersPerWrite)) { buffers in
      var skipped = offset
      var offered = 0
      var count = 0
      for chunk in chunks {
        if count == buffers.count { break }
        let bytes = stableBytes(of: chunk)
        if bytes.count > skipped {
          let start = UnsafeMutableRawPointer(mutating: bytes.baseAddress! + skipped)
          (buffers.baseAddress! + count).initialize(
            to: uv_buf_init(start.assumingMemoryBound(to: CChar.self), UInt32(bytes.count - skipped)))
          offered += bytes.count - skipped
          count += 1
        }
        skipped = 0
      }
      let status = count == 0 ? 0 : withExtendedLifetime(chunks) { body(buffers.baseAddress!, count) }
      return (status, offered)
    }
  }

  /// An array's own memory: it stays where it is while the array is kept and not changed, which every caller does.
  private static func stableBytes(of array: [UInt8]) -> UnsafeRawBufferPointer { array.withUnsafeBytes { $0 } }

  private func queue(_ bytes: UnsafeRawBufferPointer) {
    waitingBytes += bytes.count
    if isLastOurs, let last = waiting.indices.last, waiting[last].count + bytes.count <= Self.joinedBytes {
      waiting[last].append(contentsOf: bytes)
    } else {
      waiting.append(Array(bytes))
      isLastOurs = true
    }
  }

  private func queue(_ chunk: [UInt8]) {
    guard !chunk.isEmpty else { return }
    waitingBytes += chunk.count
    waiting.append(chunk)
    isLastOurs = false
  }

  private func startWriting() {
    guard !waiting.isEmpty else { return }
    swap(&inFlight, &waiting)
    waitingBytes = 0
    isLastOurs = false
    let request: UnsafeMutablePointer<uv_write_t>
    if let known = writeRequest {
      request = known
    } else {
      request = .allocate(capacity: 1)
      writeRequest = request
    }
    let status = withUnsafeTemporaryAllocation(of: uv_buf_t.self, capacity: inFlight.count) { buffers in
      for (index, chunk) in inFlight.enumerated() {
        let start = UnsafeMutableRawPointer(mutating: Self.stableBytes(of: chunk).baseAddress!)
        (buffers.baseAddress! + index).initialize(
          to: uv_buf_init(start.assumingMemoryBound(to: CChar.self), UInt32(chunk.count)))
      }
      return uv_write(request, uvStream, buffers.baseAddress, UInt32(buffers.count)) { request, status in
        SocketStream.owner(of: request.unsafelyUnwrapped.pointee.handle).didWrite(status)
      }
    }
    if status != 0 {
      inFlight.removeAll()
      fail("write", status)
    }
  }

  private func didWrite(_ status: Int32) {
    inFlight.removeAll(keepingCapacity: true)
    guard state != .closed else { return }
    guard status == 0 else { return fail("write", status) }
    if !waiting.isEmpty { return startWriting() }
    switch state {
    case .open: handler?.streamDidDrain()
    case .flushing: didFlush()
    case .lingering, .closed: break
    }
  }

  // MARK: Ending

  func close() {
    loop.preconditionOnLoop()
    guard state == .open else { return }
    guard isConnected else { return abort() }
    state = .flushing
    updateReading()
    if inFlight.isEmpty { return didFlush() }
    bytesAtLastFlushCheck = bufferedBytes
    watchFlush()
  }

  /// While the peer takes bytes it may be as slow as it likes.
  private func watchFlush() {
    endTimer = loop.scheduleConfined(after: Self.flushPatience) { [weak self] in
      guard let self, state == .flushing else { return }
      if bufferedBytes == bytesAtLastFlushCheck { return end(.timedOut(operation: "write")) }
      bytesAtLastFlushCheck = bufferedBytes
      watchFlush()
    }
  }

  private func didFlush() {
    endTimer?.cancel()
    reportClose(nil)
    guard !isPeerFinished, shutdown(descriptor, Int32(SHUT_WR)) == 0 else { return closeHandle() }
    state = .lingering
    endTimer = loop.scheduleConfined(after: Self.lingerTime) { [weak self] in self?.closeHandle() }
    updateReading()
  }

  private var descriptor: Int32 {
    var descriptor: Int32 = -1
    uv_fileno(erased(uvStream), &descriptor)
    return descriptor
  }

  func abort() {
    loop.preconditionOnLoop()
    end(nil)
  }

  func detach() -> DetachedSocket? {
    loop.preconditionOnLoop()
    guard state == .open, isConnected, !isPeerFinished, !isCloseReported, inFlight.isEmpty, waiting.isEmpty else {
      return nil
    }
    // libuv closes what it was given.
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0 else { return nil }
    isCloseReported = true
    handler = nil
    closeHandle()
    return DetachedSocket(descriptor: copy, kind: kind)
  }

  override func loopWillStop() { end(.loopStopped) }

  private func fail(_ operation: String, _ code: Int32) { end(.system(operation: operation, code: code)) }

  private func end(_ error: StreamError?) {
    reportClose(error)
    closeHandle()
  }

  private func closeHandle() {
    guard state != .closed else { return }
    state = .closed
    isReading = false
    endTimer?.cancel()
    endTimer = nil
    waiting.removeAll()
    waitingBytes = 0
    uv_close(erased(uvStream)) { handle in
      let data = handle.unsafelyUnwrapped.pointee.data.unsafelyUnwrapped
      Unmanaged<SocketStream>.fromOpaque(data).release()
    }
  }

  /// Tells the handler once, and not from within a call of its own.
  private func reportClose(_ error: StreamError?) {
    guard !isCloseReported else { return }
    isCloseReported = true
    closeError = error
    deliverClose()
  }

  private func deliverClose() {
    guard let handler else { return }
    let error = closeError
    loop.executeConfined { handler.streamDidClose(error) }
    self.handler = nil
  }
}
