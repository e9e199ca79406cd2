// TLS over any stream: OpenSSL's session between the ciphertext of a transport and the plain bytes of a handler.
//
// OpenSSL reads through a BIO of our own straight from the transport's read buffer and writes into one buffer that the
// loop's streams share: no memory of ciphertext per connection. What a slow peer does not take is kept as the plain
// chunks it came as (not copied, not encrypted) until the transport drains.

import COpenSSL
import EventLoop
import World

/// What a completed handshake found.
public struct TLSHandshake: Sendable {
  /// The protocol agreed on, nil if none was offered or asked for.
  public let applicationProtocol: String?
  /// The verified certificate of the other side; nil for a client that showed none, and where nothing is verified.
  public let peer: PeerCertificate?
  /// A session of before goes on.
  public let isResumed: Bool
}

/// One side of a TLS connection, itself a stream. Loop-confined, like the stream below it.
public final class TLSStream: Stream, StreamHandler {
  enum State {
    case handshaking
    case open
    /// `close()` was called; what is queued is still encrypted and sent.
    case closing
    /// Nothing more is encrypted.
    case ended
  }

  /// A client that connects and says nothing costs a descriptor no longer than this.
  public static let defaultHandshakeDeadline = Duration.seconds(10)
  /// Encrypted bytes that may wait in the transport before plain ones wait here instead.
  private static let highWaterBytes = 256 << 10
  /// How long a peer may leave queued bytes untouched after `close()`.
  private static let flushPatience = Duration.seconds(15)

  public let loop: EventLoop
  let transport: any Stream
  let configuration: TLSConfiguration
  let ssl: OpaquePointer
  private let buffers: TLSBuffers
  private let pacer: HandshakePacer
  var state = State.handshaking
  private var onHandshake: ((Result<TLSHandshake, TLSError>) -> Void)?
  private var handshakeTimer: (any ScheduledTimer)?

  /// Ciphertext that OpenSSL may read now: the transport's buffer, during its callback, or the stash.
  var input = UnsafeRawBufferPointer(start: nil, count: 0)
  /// Ciphertext that came while nobody wanted plain bytes.
  var stash: [UInt8] = []
  private var isPaused = false
  private(set) var isPumping = false
  /// Others' handshakes come first.
  private var isWaitingForTurn = false

  /// Ciphertext on its way from OpenSSL to the transport, within one call.
  private var output: UnsafeMutableRawBufferPointer?
  private var outputCount = 0

  private var queue: [[UInt8]] = []
  /// Bytes of the queue's first chunk that are sent; the chunks before `queueStart` are.
  private var queueStart = 0
  private var firstOffset = 0
  private(set) var queuedBytes = 0
  private var owesDrain = false

  private var closeError: StreamError?
  var isCloseReported = false
  private(set) var isPeerFinished = false
  /// The session goes on in another stream (TLSDetaching.swift).
  var isDetached = false

  /// A server's side over `transport`, which becomes this stream's own. `onHandshake` is called once, later; it should
  /// set the handler.
  public convenience init(
    server configuration: TLSConfiguration, over transport: any Stream,
    handshakeDeadline: Duration = TLSStream.defaultHandshakeDeadline,
    onHandshake: @escaping (Result<TLSHandshake, TLSError>) -> Void
  ) {
    precondition(configuration.side == .server, "a client's configuration cannot serve")
    self.init(configuration, transport, serverName: nil, handshakeDeadline, onHandshake)
  }

  /// A client's side. The server's certificate must be good for `serverName` (a DNS name or an IP address); without a
  /// name any certificate is accepted that the configuration's trust covers, as between the servers of a cluster.
  ///
  /// `protocols`: what this connection offers by ALPN, in place of what the configuration does.
  public convenience init(
    client configuration: TLSConfiguration, over transport: any Stream, serverName: String?,
    protocols: [String]? = nil, handshakeDeadline: Duration = TLSStream.defaultHandshakeDeadline,
    onHandshake: @escaping (Result<TLSHandshake, TLSError>) -> Void
  ) {
    precondition(configuration.side == .client, "a server's configuration cannot connect")
    self.init(configuration, transport, serverName: serverName, handshakeDeadline, onHandshake)
    if let protocols {
      let wire = protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
      SSL_set_alpn_protos(ssl, wire, UInt32(wire.count))
    }
  }

  private init(
    _ configuration: TLSConfiguration, _ transport: any Stream, serverName: String?, _ deadline: Duration,
    _ onHandshake: @escaping (Result<TLSHandshake, TLSError>) -> Void
  ) {
    loop = transport.loop
    loop.preconditionOnLoop()
    self.configuration = configuration
    self.transport = transport
    self.onHandshake = onHandshake
    buffers = loop.local(TLSBuffers.self) { TLSBuffers() }
    let shared = transport.loop
    pacer = shared.local(HandshakePacer.self) { HandshakePacer(loop: shared) }
    guard let ssl = SSL_new(configuration.context), let bio = BIO_new(StreamBIO.method) else {
      preconditionFailure("out of memory")
    }
    self.ssl = ssl
    BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
    BIO_set_init(bio, 1)
    SSL_set_bio(ssl, bio, bio)
    if configuration.side == .server { SSL_set_accept_state(ssl) } else { SSL_set_connect_state(ssl) }
    if let serverName { expect(serverName) }
    handshakeTimer = loop.scheduleConfined(after: deadline) { [weak self] in self?.fail(.timedOut) }
    transport.handler = self
    // The first words are the client's.
    if configuration.side == .client { loop.executeConfined { self.pump() } }
  }

  /// Goes on with an open session on another loop.
  init(_ session: DetachedTLS, _ ssl: OpaquePointer, over transport: any Stream) {
    loop = transport.loop
    configuration = session.configuration
    self.transport = transport
    self.ssl = ssl
    let shared = transport.loop
    buffers = shared.local(TLSBuffers.self) { TLSBuffers() }
    pacer = shared.local(HandshakePacer.self) { HandshakePacer(loop: shared) }
    stash = session.stash
    state = .open
    BIO_set_data(SSL_get_rbio(ssl), Unmanaged.passUnretained(self).toOpaque())
    transport.pauseReading()
    transport.handler = self
  }

  deinit {
    if !isDetached { SSL_free(ssl) }
    if let output { buffers.giveBack(output) }
  }

  private func expect(_ name: String) {
    if let address = IPAddressText.bytes(of: name) {
      X509_VERIFY_PARAM_set1_ip(SSL_get0_param(ssl), address, address.count)
    } else {
      // As Go checks: the alternative names alone, wildcards for whole labels only.
      SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
      SSL_set1_host(ssl, name)
      trireme_SSL_set_tlsext_host_name(ssl, name)
    }
  }

  // MARK: Receiving

  public var handler: (any StreamHandler)? {
    didSet {
      loop.preconditionOnLoop()
      if isCloseReported { deliverClose() } else { updateReading() }
    }
  }

  public func pauseReading() {
    isPaused = true
    updateReading()
  }

  public func resumeReading() {
    guard isPaused else { return }
    isPaused = false
    updateReading()
  }

  private var isWanted: Bool { handler != nil && !isPaused }

  /// The transport reads while somebody wants the bytes: what nobody wants stays with the peer.
  private func updateReading() {
    guard state == .open else { return }
    guard isWanted else { return transport.pauseReading() }
    transport.resumeReading()
    // Some may lie here already, encrypted or not.
    guard !isPumping, !stash.isEmpty || SSL_has_pending(ssl) != 0 else { return }
    loop.executeConfined { self.receive(UnsafeRawBufferPointer(start: nil, count: 0)) }
  }

  public func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
    guard state == .handshaking, configuration.side == .server else { return receive(bytes) }
    guard !isWaitingForTurn else {
      stash.append(contentsOf: bytes)
      return
    }
    guard pacer.mayGoOn(self) else {
      isWaitingForTurn = true
      transport.pauseReading()
      stash.append(contentsOf: bytes)
      return
    }
    receive(bytes)
  }

  /// The turn of a handshake that waited has come; false when it is over already.
  func goOn() -> Bool {
    isWaitingForTurn = false
    guard state == .handshaking else { return false }
    transport.resumeReading()
    receive(UnsafeRawBufferPointer(start: nil, count: 0))
    return true
  }

  private func receive(_ bytes: UnsafeRawBufferPointer) {
    if stash.isEmpty {
      input = bytes
      pump()
      if !input.isEmpty, state == .open { stash = Array(input) }
    } else {
      var joined: [UInt8] = []
      swap(&joined, &stash)
      joined.append(contentsOf: bytes)
      joined.withUnsafeBytes { joined in
        input = joined
        pump()
        if !input.isEmpty, state == .open { stash = Array(input) }
      }
    }
    input = UnsafeRawBufferPointer(start: nil, count: 0)
  }

  /// Lets OpenSSL work: the handshake, then plain bytes to the handler as long as it wants them.
  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    if state == .handshaking { continueHandshake() }
    let plain = buffers.take()
    while state == .open && isWanted || state == .closing, !isPeerFinished {
      guard readPlain(into: UnsafeMutableRawBufferPointer(rebasing: plain[..<TLSBuffers.passBytes])) else { break }
    }
    buffers.giveBack(plain)
    isPumping = false
    flushOutput()
  }

  /// Reads records until the buffer is full or none is left, and delivers them together. Returns whether to go on.
  private func readPlain(into plain: UnsafeMutableRawBufferPointer) -> Bool {
    var filled = 0
    var failure: TLSError?
    reading: while plain.count - filled >= TLSBuffers.recordBytes {
      ERR_clear_error()
      let count = SSL_read(ssl, plain.baseAddress! + filled, Int32(plain.count - filled))
      if count > 0 {
        filled += Int(count)
        continue
      }
      switch SSL_get_error(ssl, count) {
      case SSL_ERROR_WANT_READ: break reading
      case SSL_ERROR_ZERO_RETURN:
        isPeerFinished = true
        break reading
      default:
        failure = ErrorQueue.sessionError(ssl)
        break reading
      }
    }
    let isFull = plain.count - filled < TLSBuffers.recordBytes
    if filled > 0, state == .open {
      handler?.streamDidReceive(UnsafeRawBufferPointer(rebasing: plain[..<filled]))
    }
    if let failure {
      end(.protocolViolation(failure.description))
    } else if isPeerFinished {
      reportClose(nil)
      close()
    }
    return isFull && failure == nil
  }

  // MARK: The handshake

  private func continueHandshake() {
    ERR_clear_error()
    let status = SSL_do_handshake(ssl)
    if status == 1 { return completeHandshake() }
    guard SSL_get_error(ssl, status) != SSL_ERROR_WANT_READ else { return }
    let error = ErrorQueue.sessionError(ssl)
    // The alert that says why.
    flushOutput()
    if error == .plainHTTPRequest { refusePlainHTTP() }
    fail(error)
  }

  private func completeHandshake() {
    handshakeTimer?.cancel()
    handshakeTimer = nil
    let certificate = SSL_get1_peer_certificate(ssl).map { Certificate(CertificateHandle($0)) }
    let isResumed = SSL_session_reused(ssl) == 1
    // A resumed session is not verified again; at least its certificate must not have expired meanwhile.
    if configuration.verifiesPeer, isResumed, let certificate, certificate.notAfter < loop.wallClock {
      return fail(.peerCertificateRejected("certificate has expired"))
    }
    state = .open
    var name: UnsafePointer<UInt8>?
    var length: UInt32 = 0
    SSL_get0_alpn_selected(ssl, &name, &length)
    let handshake = TLSHandshake(
      applicationProtocol: name.map {
        String(decoding: UnsafeBufferPointer(start: $0, count: Int(length)), as: UTF8.self)
      },
      peer: configuration.verifiesPeer ? certificate.map { PeerCertificate($0) } : nil, isResumed: isResumed)
    flushOutput()
    let onHandshake = onHandshake.take()
    onHandshake?(.success(handshake))
    updateReading()
    encryptQueue()
    // What was written before the handshake may be gone by now, and nothing that would say so is to come.
    if owesDrain, bufferedBytes == 0 { loop.executeConfined { self.reportDrain() } }
  }

  /// Answers a client that forgot the "s" in a way that it can read.
  private func refusePlainHTTP() {
    transport.write(
      Array(
        "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n".utf8)
        + Array("Client sent an HTTP request to an HTTPS server.\n".utf8))
  }

  private func fail(_ error: TLSError) {
    guard state == .handshaking else { return }
    handshakeTimer?.cancel()
    handshakeTimer = nil
    state = .ended
    closeError = closeError ?? .protocolViolation(error.description)
    let onHandshake = onHandshake.take()
    // Let an alert reach the peer before the connection goes.
    if error == .timedOut { transport.abort() } else { transport.close() }
    onHandshake?(.failure(error))
  }

  // MARK: Sending

  public var bufferedBytes: Int { state == .ended ? 0 : queuedBytes + transport.bufferedBytes }

  public func write(_ bytes: UnsafeRawBufferPointer) {
    loop.preconditionOnLoop()
    guard state == .open || state == .handshaking, !bytes.isEmpty else { return }
    if canEncryptNow, bytes.count <= TLSBuffers.passBytes {
      encrypt(bytes)
      flushOutput()
    } else {
      enqueue(Array(bytes))
      encryptQueue()
    }
    if bufferedBytes > 0 { owesDrain = true }
  }

  public func write(_ chunks: [[UInt8]]) {
    loop.preconditionOnLoop()
    guard state == .open || state == .handshaking else { return }
    for chunk in chunks where !chunk.isEmpty { enqueue(chunk) }
    encryptQueue()
    if bufferedBytes > 0 { owesDrain = true }
  }

  private var canEncryptNow: Bool {
    state == .open && queuedBytes == 0 && transport.bufferedBytes < Self.highWaterBytes
  }

  private func enqueue(_ chunk: [UInt8]) {
    queue.append(chunk)
    queuedBytes += chunk.count
  }

  /// Encrypts what is queued while the transport takes it.
  private func encryptQueue() {
    guard state == .open || state == .closing else { return }
    while queuedBytes > 0, transport.bufferedBytes < Self.highWaterBytes {
      encryptPass()
      flushOutput()
    }
    if state == .closing, queuedBytes == 0 { finishClosing() }
  }

  /// Encrypts up to `passBytes` of the queue in full records: small chunks are joined, large ones taken as they lie.
  private func encryptPass() {
    var budget = TLSBuffers.passBytes
    let buffer = buffers.take()
    defer { buffers.giveBack(buffer) }
    let staging = UnsafeMutableRawBufferPointer(rebasing: buffer[..<TLSBuffers.recordBytes])
    var staged = 0
    func encryptStaged() {
      if staged > 0 { encrypt(UnsafeRawBufferPointer(rebasing: staging[..<staged])) }
      staged = 0
    }
    while budget > 0, queueStart < queue.count, state == .open || state == .closing {
      let count = queue[queueStart].withUnsafeBytes { chunk in
        let rest = UnsafeRawBufferPointer(rebasing: chunk[firstOffset...])
        if staged == 0, rest.count >= staging.count {
          let count = min(rest.count, budget)
          encrypt(UnsafeRawBufferPointer(rebasing: rest[..<count]))
          return count
        }
        let count = min(rest.count, staging.count - staged)
        (staging.baseAddress! + staged).copyMemory(from: rest.baseAddress!, byteCount: count)
        staged += count
        if staged == staging.count { encryptStaged() }
        return count
      }
      budget -= count
      firstOffset += count
      queuedBytes -= count
      if firstOffset == queue[queueStart].count {
        queue[queueStart] = []
        queueStart += 1
        firstOffset = 0
      }
    }
    encryptStaged()
    if queueStart == queue.count {
      queue.removeAll(keepingCapacity: true)
      queueStart = 0
    }
  }

  private func encrypt(_ bytes: UnsafeRawBufferPointer) {
    ERR_clear_error()
    let written = SSL_write(ssl, bytes.baseAddress, Int32(bytes.count))
    guard written == bytes.count else { return end(.protocolViolation(ErrorQueue.sessionError(ssl).description)) }
  }

  /// From OpenSSL: ciphertext for the peer, gathered until `flushOutput`.
  func send(_ bytes: UnsafeRawBufferPointer) {
    if outputCount + bytes.count > TLSBuffers.passBytes { flushOutput() }
    let buffer = output ?? buffers.take()
    output = buffer
    precondition(outputCount + bytes.count <= buffer.count, "OpenSSL writes a record at a time")
    (buffer.baseAddress! + outputCount).copyMemory(from: bytes.baseAddress!, byteCount: bytes.count)
    outputCount += bytes.count
  }

  private func flushOutput() {
    guard let buffer = output else { return }
    let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<outputCount])
    output = nil
    outputCount = 0
    transport.write(bytes)
    buffers.giveBack(buffer)
  }

  public func streamDidDrain() {
    encryptQueue()
    reportDrain()
  }

  private func reportDrain() {
    guard owesDrain, bufferedBytes == 0, state == .open else { return }
    owesDrain = false
    handler?.streamDidDrain()
  }

  // MARK: Ending

  public func close() {
    loop.preconditionOnLoop()
    switch state {
    case .handshaking: abort()
    case .open:
      state = .closing
      stash = []
      // The peer's words are not wanted any more, but its close is.
      transport.resumeReading()
      encryptQueue()
      if state == .closing { watchFlush() }
    case .closing, .ended: break
    }
  }

  /// While the peer takes bytes it may be as slow as it likes.
  private func watchFlush() {
    let before = bufferedBytes
    loop.scheduleConfined(after: Self.flushPatience) { [weak self] in
      guard let self, state == .closing else { return }
      if bufferedBytes < before { return watchFlush() }
      closeError = .timedOut(operation: "write")
      abort()
    }
  }

  private func finishClosing() {
    guard state == .closing else { return }
    ERR_clear_error()
    SSL_shutdown(ssl)
    flushOutput()
    state = .ended
    transport.close()
  }

  public func abort() {
    loop.preconditionOnLoop()
    if state == .handshaking { return fail(.connectionLost(nil)) }
    end(nil)
  }

  private func end(_ error: StreamError?) {
    guard state != .ended else { return }
    state = .ended
    closeError = closeError ?? error
    queue.removeAll()
    queuedBytes = 0
    flushOutput()
    if error == nil { transport.abort() } else { transport.close() }
  }

  public func streamDidClose(_ error: StreamError?) {
    switch state {
    case .handshaking:
      state = .ended
      handshakeTimer?.cancel()
      closeError = error
      let onHandshake = onHandshake.take()
      onHandshake?(.failure(.connectionLost(error)))
    case .open:
      state = .ended
      // Without the peer's close_notify somebody in between may have cut the stream short.
      closeError = error ?? (isPeerFinished ? nil : .truncated)
    case .closing:
      state = .ended
      closeError = error
    case .ended: closeError = closeError ?? error
    }
    reportClose(closeError)
  }

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
