// An HTTP/2 session: nghttp2 with its callbacks turned into calls of one owner. No I/O: bytes in by `receive`, bytes
// out by `nextOutput`. nghttp2 keeps the protocol's state (framing, HPACK, flow control, field rules); what a peer may
// cost us is counted here and decided by the owner.

import CNghttp2

/// What a session tells the connection that owns it, from within `receive`.
protocol HTTP2SessionOwner: AnyObject {
  /// A stream's final header section is whole. On a server: before any body.
  func sessionDidReceiveHead(_ stream: HTTP2Stream)
  func sessionDidReceiveData(_ stream: HTTP2Stream, _ bytes: UnsafeRawBufferPointer)
  func sessionDidReceiveEnd(_ stream: HTTP2Stream)
  /// The header section went past the limit; the rest of it is dropped.
  func sessionHeaderTooLarge(_ stream: HTTP2Stream)
  /// All that was queued for the stream's body has been taken.
  func sessionDidTakeBody(_ stream: HTTP2Stream)
  /// The stream is gone; `errorCode` zero if both sides had finished it.
  func sessionDidClose(_ stream: HTTP2Stream, errorCode: UInt32)
  /// The peer, or we because of the peer's error, ended a stream by RST_STREAM.
  func sessionDidReset(_ stream: HTTP2Stream?)
  func sessionDidReceiveGoAway(lastStream: Int32, errorCode: UInt32)
  func sessionDidReceivePingAcknowledgement()
}

/// Loop-confined. Calls of the owner come from within `receive` and `nextOutput`; these two must not be called from them.
final class HTTP2Session {
  enum Role { case server, client }

  /// DATA that fills one TLS record of 16 KiB with its frame header.
  private static let dataBytes = (16 << 10) - 9

  let role: Role
  private let handle: OpaquePointer
  private let headerByteLimit: Int
  private(set) var streams: [Int32: HTTP2Stream] = [:]
  weak var owner: (any HTTP2SessionOwner)?
  /// Streams opened and not yet closed.
  var streamCount: Int { streams.count }
  private(set) var lastPeerStream: Int32 = 0

  init(role: Role, limits: HTTPLimits) {
    self.role = role
    headerByteLimit = limits.headerBytes
    var options: OpaquePointer?
    var status = nghttp2_option_new(&options)
    // Closed streams are kept only for RFC 7540 priorities, which nobody uses any more.
    nghttp2_option_set_no_closed_streams(options, 1)
    if role == .client {
      // The window is given back as the reader of the response takes the bytes.
      nghttp2_option_set_no_auto_window_update(options, 1)
    }
    var session: OpaquePointer?
    let callbacks = HTTP2Callbacks.shared.pointer
    if role == .server {
      status |= nghttp2_session_server_new2(&session, callbacks, nil, options)
    } else {
      status |= nghttp2_session_client_new2(&session, callbacks, nil, options)
    }
    nghttp2_option_del(options)
    guard status == 0, let session else { preconditionFailure("nghttp2: out of memory") }
    handle = session
    nghttp2_session_set_user_data(handle, Unmanaged.passUnretained(self).toOpaque())
    submitSettings(limits)
  }

  deinit { nghttp2_session_del(handle) }

  private func submitSettings(_ limits: HTTPLimits) {
    func entry(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
      nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(value))
    }
    var entries = [entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindowBytes)]
    if role == .server {
      entries.append(entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrentStreams))
      entries.append(entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headerBytes))
    } else {
      entries.append(entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0))
    }
    nghttp2_submit_settings(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), entries, entries.count)
    nghttp2_session_set_local_window_size(
      handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Int32(4 * limits.streamWindowBytes))
  }

  // MARK: Bytes

  /// Takes bytes of the peer. Throws `HTTPError.malformed` when the connection cannot go on (a GOAWAY may wait in the
  /// output).
  func receive(_ bytes: UnsafeRawBufferPointer) throws {
    let taken = nghttp2_session_mem_recv(handle, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count)
    guard taken >= 0 else {
      throw HTTPError.malformed("HTTP/2: " + String(cString: nghttp2_strerror(Int32(taken))))
    }
  }

  /// The next piece of output (frames), valid until the next call; nil when there is none for now.
  func nextOutput() -> UnsafeRawBufferPointer? {
    var bytes: UnsafePointer<UInt8>?
    let count = nghttp2_session_mem_send(handle, &bytes)
    return count > 0 ? UnsafeRawBufferPointer(start: bytes, count: count) : nil
  }

  /// Neither side has anything left to say.
  var isFinished: Bool { nghttp2_session_want_read(handle) == 0 && nghttp2_session_want_write(handle) == 0 }

  /// Streams that the peer lets us have open at once.
  var peerStreamLimit: Int {
    Int(nghttp2_session_get_remote_settings(handle, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
  }

  // MARK: Sending

  /// Opens a stream with a request; nil when no stream can be opened any more (ids used up, GOAWAY received).
  func submitRequest(_ fields: [(String, String)], hasBody: Bool) -> HTTP2Stream? {
    let id = withFields(fields) { pointer, count in
      withUnsafePointer(to: Self.provider) {
        nghttp2_submit_request(handle, nil, pointer, count, hasBody ? $0 : nil, nil)
      }
    }
    guard id > 0 else { return nil }
    let stream = HTTP2Stream(id: id)
    streams[id] = stream
    return stream
  }

  /// Tells the peer to go on with the body that it holds back.
  func submitContinue(_ stream: HTTP2Stream) {
    _ = withFields([(":status", "100")]) { pointer, count in
      nghttp2_submit_headers(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, nil, pointer, count, nil)
    }
  }

  /// Answers a stream. With a body: `append` and `finish` follow (or have come before).
  func submitResponse(_ stream: HTTP2Stream, _ fields: [(String, String)], hasBody: Bool) {
    _ = withFields(fields) { pointer, count in
      withUnsafePointer(to: Self.provider) {
        nghttp2_submit_response(handle, stream.id, pointer, count, hasBody ? $0 : nil)
      }
    }
  }

  func append(_ chunk: [UInt8], to stream: HTTP2Stream) {
    stream.append(chunk)
    resume(stream)
  }

  /// The body is complete.
  func finish(_ stream: HTTP2Stream) {
    stream.isOutgoingFinished = true
    resume(stream)
  }

  private func resume(_ stream: HTTP2Stream) {
    guard stream.isDeferred else { return }
    stream.isDeferred = false
    nghttp2_session_resume_data(handle, stream.id)
  }

  func reset(_ stream: HTTP2Stream, _ code: nghttp2_error_code) {
    stream.dropOutgoing()
    nghttp2_submit_rst_stream(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), stream.id, code.rawValue)
  }

  /// First step of a graceful end: the peer should open no more streams; those on their way are still served.
  func submitShutdownNotice() { nghttp2_submit_shutdown_notice(handle) }

  /// Streams after the last one seen are refused; those before it are served to their end.
  func submitGoAway(_ code: nghttp2_error_code = NGHTTP2_NO_ERROR) {
    nghttp2_submit_goaway(
      handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), nghttp2_session_get_last_proc_stream_id(handle), code.rawValue, nil, 0)
  }

  /// Ends the session with a GOAWAY that says why.
  func terminate(_ code: nghttp2_error_code) { nghttp2_session_terminate_session(handle, code.rawValue) }

  func submitPing() { nghttp2_submit_ping(handle, UInt8(NGHTTP2_FLAG_NONE.rawValue), nil) }

  /// Client: gives bytes back to the connection's window at once, so that one slow reader does not hold up the others.
  func consumeConnection(_ count: Int) { nghttp2_session_consume_connection(handle, count) }

  /// Client: gives bytes back to the stream's window.
  func consume(_ count: Int, of stream: HTTP2Stream) { nghttp2_session_consume_stream(handle, stream.id, count) }

  private func withFields(
    _ fields: [(String, String)], _ body: (UnsafePointer<nghttp2_nv>, Int) -> Int32
  ) -> Int32 {
    // nghttp2 copies names and values; they need to stand still only for the call.
    var text: [UInt8] = []
    text.reserveCapacity(fields.reduce(0) { $0 + $1.0.utf8.count + $1.1.utf8.count })
    for (name, value) in fields {
      text.append(contentsOf: name.utf8)
      let start = text.count
      text.append(contentsOf: value.utf8)
      for at in start..<text.count where !isFieldByte(text[at]) { text[at] = 32 }
    }
    return text.withUnsafeMutableBufferPointer { text in
      withUnsafeTemporaryAllocation(of: nghttp2_nv.self, capacity: fields.count) { pairs in
        var at = text.baseAddress!
        for (index, field) in fields.enumerated() {
          let (nameLength, valueLength) = (field.0.utf8.count, field.1.utf8.count)
          pairs[index] = nghttp2_nv(
            name: at, value: at + nameLength, namelen: nameLength, valuelen: valueLength,
            flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue))
          at += nameLength + valueLength
        }
        return body(UnsafePointer(pairs.baseAddress!), fields.count)
      }
    }
  }

  // MARK: nghttp2's side

  private static var provider: nghttp2_data_provider {
    var provider = nghttp2_data_provider()
    provider.read_callback = { _, id, buffer, length, flags, _, user in
      guard let session = HTTP2Session.from(user), let stream = session.streams[id] else {
        return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
      }
      return session.provideBody(stream, UnsafeMutableRawBufferPointer(start: buffer, count: length), flags)
    }
    return provider
  }

  private func provideBody(
    _ stream: HTTP2Stream, _ buffer: UnsafeMutableRawBufferPointer, _ flags: UnsafeMutablePointer<UInt32>?
  ) -> Int {
    let count = stream.take(into: buffer)
    if stream.outgoingBytes == 0 {
      if stream.isOutgoingFinished {
        flags?.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
        return count
      }
      owner?.sessionDidTakeBody(stream)
      if count == 0 {
        stream.isDeferred = true
        return Int(NGHTTP2_ERR_DEFERRED.rawValue)
      }
    }
    return count
  }

  @inline(__always) fileprivate static func from(_ user: UnsafeMutableRawPointer?) -> HTTP2Session? {
    user.map { Unmanaged<HTTP2Session>.fromOpaque($0).takeUnretainedValue() }
  }

  fileprivate func beginHeaders(_ frame: nghttp2_frame) {
    let id = frame.hd.stream_id
    if role == .server {
      guard frame.headers.cat == NGHTTP2_HCAT_REQUEST else { return }
      let stream = HTTP2Stream(id: id)
      stream.headers.reserveCapacity(12)
      streams[id] = stream
      lastPeerStream = id
    }
  }

  fileprivate func header(_ frame: nghttp2_frame, _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    // A head after the delivered one holds trailers: checked by nghttp2, used by nobody.
    guard let stream = streams[frame.hd.stream_id], !stream.isHeadDelivered else { return }
    let before = stream.headerBytes
    // What RFC 9113 §6.5.2 counts for a field.
    stream.headerBytes += name.count + value.count + 32
    guard stream.headerBytes <= headerByteLimit else {
      if before <= headerByteLimit { owner?.sessionHeaderTooLarge(stream) }
      return
    }
    guard name.first == UInt8(ascii: ":") else { return stream.headers.add(name.text, value.text) }
    switch name.text {
    case ":method": stream.method = value.text
    case ":path": stream.path = value.text
    case ":authority": stream.headers.add("host", value.text)
    case ":status": stream.status = Int(value.text) ?? 0
    default: break
    }
  }

  fileprivate func received(_ frame: nghttp2_frame) {
    let type = UInt32(frame.hd.type)
    switch type {
    case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
      guard let stream = streams[frame.hd.stream_id] else { return }
      if type == NGHTTP2_HEADERS.rawValue, !stream.isHeadDelivered {
        if role == .client, (100..<200).contains(stream.status) {
          // Informational: the final head follows on the same stream.
          stream.status = 0
          stream.headers = HTTPHeaders()
          return
        }
        stream.isHeadDelivered = true
        owner?.sessionDidReceiveHead(stream)
      }
      if frame.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0, !stream.isRemoteEnded {
        stream.isRemoteEnded = true
        owner?.sessionDidReceiveEnd(stream)
      }
    case NGHTTP2_RST_STREAM.rawValue: owner?.sessionDidReset(streams[frame.hd.stream_id])
    case NGHTTP2_GOAWAY.rawValue:
      owner?.sessionDidReceiveGoAway(lastStream: frame.goaway.last_stream_id, errorCode: frame.goaway.error_code)
    case NGHTTP2_PING.rawValue where frame.hd.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0:
      owner?.sessionDidReceivePingAcknowledgement()
    default: break
    }
  }

  fileprivate func data(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
    if role == .client { consumeConnection(bytes.count) }
    guard let stream = streams[id] else { return }
    owner?.sessionDidReceiveData(stream, bytes)
  }

  fileprivate func sent(_ frame: nghttp2_frame) {
    let type = UInt32(frame.hd.type)
    if type == NGHTTP2_RST_STREAM.rawValue {
      // NO_ERROR ends an upload that was answered early: our choice, not the peer's fault.
      if frame.rst_stream.error_code != NGHTTP2_NO_ERROR.rawValue {
        owner?.sessionDidReset(streams[frame.hd.stream_id])
      }
      return
    }
    guard type == NGHTTP2_HEADERS.rawValue || type == NGHTTP2_DATA.rawValue,
      frame.hd.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0, let stream = streams[frame.hd.stream_id]
    else { return }
    stream.isLocalEnded = true
  }

  fileprivate func closed(_ id: Int32, _ errorCode: UInt32) {
    guard let stream = streams.removeValue(forKey: id) else { return }
    owner?.sessionDidClose(stream, errorCode: errorCode)
  }

  /// nghttp2's table of callbacks, one for all sessions.
  struct HTTP2Callbacks: @unchecked Sendable {
    let pointer: OpaquePointer
    static let shared = HTTP2Callbacks()

    private init() {
      var made: OpaquePointer?
      guard nghttp2_session_callbacks_new(&made) == 0, let callbacks = made else {
        preconditionFailure("nghttp2: out of memory")
      }
      pointer = callbacks
      nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
        HTTP2Session.from(user)?.beginHeaders(frame!.pointee)
        return 0
      }
      nghttp2_session_callbacks_set_on_header_callback(callbacks) {
        _, frame, name, nameLength, value, valueLength, _, user in
        HTTP2Session.from(user)?.header(
          frame!.pointee, UnsafeRawBufferPointer(start: name, count: nameLength),
          UnsafeRawBufferPointer(start: value, count: valueLength))
        return 0
      }
      nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
        HTTP2Session.from(user)?.received(frame!.pointee)
        return 0
      }
      nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, bytes, count, user in
        HTTP2Session.from(user)?.data(id, UnsafeRawBufferPointer(start: bytes, count: count))
        return 0
      }
      nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, errorCode, user in
        HTTP2Session.from(user)?.closed(id, errorCode)
        return 0
      }
      nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
        HTTP2Session.from(user)?.sent(frame!.pointee)
        return 0
      }
      nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks) { _, _, _, _, _, _, _ in
        HTTP2Session.dataBytes
      }
    }
  }
}
