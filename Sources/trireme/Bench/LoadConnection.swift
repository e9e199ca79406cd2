// A connection of the load generator: requests are copied out of bytes that were made once, answers are read no further
// than their status and length. Nothing is allocated for a request; what a turn of the loop asks goes out in one write.
import Client
import EventLoop
import Measure
import TLS

/// What became of a request.
struct LoadAnswer {
  /// Whose request it was.
  var client: Int
  /// When it was to begin, by the clock of the loop.
  var intended: UInt64
  /// 0 when the connection broke first.
  var status: Int
  var bytes: Int
  /// The beginning of the body where it was wanted or the status was another than expected.
  var body: [UInt8]
  var isRight: Bool
}

/// Loop-confined; Sendable only so that tasks of the same loop can hold it.
final class LoadConnection: StreamHandler, @unchecked Sendable {
  /// Bytes of a body that are kept to say what went wrong.
  private static let keptOfRefusals = 300
  /// The server's windows for us are opened again when so much has come.
  private static let windowStep = 1 << 30
  private static let initialTable = 512

  private struct Exchange {
    var id: UInt32 = 0
    var client = 0
    var intended: UInt64 = 0
    var expected = 0
    var minimumBytes = 0
    var status = 0
    var bytes = 0
    var kept = 0
    var body: [UInt8] = []
    var onData: ((UnsafeRawBufferPointer) -> Void)?
  }

  let server: Int
  private let loop: EventLoop
  private let authority: String
  private let shared: [(name: String, value: String)]
  private let templates: [RequestTemplate]
  private let isHTTP2: Bool
  private let stream: any Stream
  private var encoded: [EncodedRequest?]
  private var hasSent = false
  private var output: [UInt8] = []
  private var nextStream: UInt32 = 1
  /// By stream number, halved, modulo the table's size.
  private var exchanges = [Exchange](repeating: Exchange(), count: initialTable)
  private(set) var inFlight = 0
  private(set) var isClosed = false
  private(set) var closeReason = "the connection ended"
  private var frames = HTTP2FrameReader()
  private var responses = HTTP1ResponseReader()
  private var receivedSinceUpdate = 0
  private var sendWindow = 65_535
  private var isInReceive = false

  /// Called for every answer, on the loop.
  var onAnswer: ((LoadConnection, LoadAnswer) -> Void)?
  /// Streams that the server allows at a time.
  private(set) var capacity: Int

  private init(
    _ stream: any Stream, isHTTP2: Bool, server: Int, authority: String, _ shared: [(name: String, value: String)],
    _ templates: [RequestTemplate]
  ) {
    self.stream = stream
    self.isHTTP2 = isHTTP2
    self.server = server
    self.authority = authority
    self.shared = shared
    self.templates = templates
    loop = stream.loop
    capacity = isHTTP2 ? 100 : 1
    encoded = [EncodedRequest?](repeating: nil, count: templates.count)
    if isHTTP2 { output = HTTP2Requests.preface }
    stream.handler = self
    flush()
  }

  /// Connects and greets. `templates` are what this connection can be asked to send.
  static func open(
    _ target: BenchTarget, server: Int, templates: [RequestTemplate], wantsHTTP2: Bool
  ) async throws -> LoadConnection {
    let name = target.servers[server % target.servers.count]
    guard let endpoint = Address(name) else { preconditionFailure("addresses were checked") }
    let host = String(name[..<(name.lastIndex(of: ":") ?? name.endIndex)])
    let serverName = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
    var shared = [(name: "user-agent", value: "trireme-bench")]
    if !target.credentials.token.isEmpty {
      shared.append((name: "authorization", value: "Bearer \(target.credentials.token)"))
    }
    let headers = shared
    return try await withCheckedThrowingContinuation { continuation in
      StreamConnector.connect(to: endpoint, on: target.loop, deadline: .seconds(10)) { result in
        switch result {
        case .failure(let error):
          continuation.resume(throwing: CommandFailure("https://\(name) does not answer: \(error)"))
        case .success(let transport):
          var tls: TLSStream?
          tls = TLSStream(
            client: target.credentials.tls, over: transport, serverName: serverName,
            protocols: wantsHTTP2 ? ["h2"] : ["http/1.1"]
          ) { result in
            guard let stream = tls.take() else { return }
            switch result {
            case .failure(let error):
              continuation.resume(throwing: CommandFailure("https://\(name) refuses the connection: \(error)"))
            case .success(let handshake):
              let isHTTP2 = handshake.applicationProtocol == "h2"
              guard isHTTP2 || !wantsHTTP2 else {
                stream.abort()
                return continuation.resume(
                  throwing: CommandFailure("https://\(name) does not speak HTTP/2; try --http1"))
              }
              continuation.resume(
                returning: LoadConnection(
                  stream, isHTTP2: isHTTP2, server: server, authority: name, headers, templates))
            }
          }
        }
      }
    }
  }

  var hasRoom: Bool { inFlight < capacity && sendWindow > 1 << 14 && !isClosed }

  /// Queues a request; `flush` sends it, and the end of a read does.
  func send(
    _ template: Int, key: Int, turn: Int, client: Int, intended: UInt64, keeping: Int = 0,
    onData: ((UnsafeRawBufferPointer) -> Void)? = nil
  ) {
    let id = isHTTP2 ? nextStream : 1
    if isHTTP2 { nextStream += 2 }
    let slot = place(of: id)
    exchanges[slot].id = id
    exchanges[slot].client = client
    exchanges[slot].intended = intended
    exchanges[slot].expected = templates[template].status
    exchanges[slot].minimumBytes = templates[template].minimumBytes
    exchanges[slot].status = 0
    exchanges[slot].bytes = 0
    exchanges[slot].kept = keeping
    if !exchanges[slot].body.isEmpty { exchanges[slot].body = [] }
    exchanges[slot].onData = onData
    inFlight += 1
    if encoded[template] == nil || !hasSent { encode(template) }
    encoded[template]?.append(to: &output, key: key, turn: turn, stream: id)
    sendWindow -= encoded[template]?.bodyBytes ?? 0
    if !hasSent {
      // The first one taught the server our headers.
      hasSent = true
      encoded[template] = nil
    }
  }

  private func encode(_ template: Int) {
    encoded[template] =
      isHTTP2
      ? HTTP2Requests.encode(templates[template], authority: authority, shared: shared, isFirst: !hasSent)
      : HTTP1Requests.encode(templates[template], authority: authority, shared: shared)
  }

  /// A free place in the table, which grows while one is taken.
  private func place(of id: UInt32) -> Int {
    while exchanges[Int(id >> 1) & (exchanges.count - 1)].id != 0 {
      var larger = [Exchange](repeating: Exchange(), count: exchanges.count * 2)
      for exchange in exchanges where exchange.id != 0 {
        larger[Int(exchange.id >> 1) & (larger.count - 1)] = exchange
      }
      exchanges = larger
    }
    return Int(id >> 1) & (exchanges.count - 1)
  }

  /// Sends what is queued.
  func flush() {
    guard !output.isEmpty, !isInReceive else { return }
    output.withUnsafeBytes { bytes in
      // A write of more than one buffer of TLS is copied there; in parts it is not.
      stream.write(bytes)
    }
    output.removeAll(keepingCapacity: true)
  }

  /// Leaves what the server sends where it is, until its windows close.
  var isPaused = false {
    didSet { if isPaused { stream.pauseReading() } else { stream.resumeReading() } }
  }

  /// Ends the connection; what is under way is not answered any more.
  func close() {
    guard !isClosed else { return }
    onAnswer = nil
    stream.abort()
  }

  // MARK: Receiving

  func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
    isInReceive = true
    if isHTTP2 {
      // Out of the object while it works: frames change the object.
      var reader = HTTP2FrameReader()
      swap(&reader, &frames)
      reader.read(bytes) { take($0) }
      swap(&reader, &frames)
    } else {
      var reader = HTTP1ResponseReader()
      swap(&reader, &responses)
      reader.read(bytes) { take($0) }
      swap(&reader, &responses)
    }
    isInReceive = false
    flush()
  }

  private func slot(of id: UInt32) -> Int? {
    let slot = Int(id >> 1) & (exchanges.count - 1)
    return id != 0 && exchanges[slot].id == id ? slot : nil
  }

  private func take(_ frame: HTTP2Frame) {
    switch HTTP2Frame.Kind(rawValue: frame.kind) {
    case .data:
      receivedSinceUpdate += frame.payload.count
      if receivedSinceUpdate > Self.windowStep {
        output += HTTP2Requests.windowUpdate(receivedSinceUpdate)
        receivedSinceUpdate = 0
      }
      guard let slot = slot(of: frame.stream) else { return }
      takeBody(frame.payload, slot)
      if frame.endsStream { finish(slot) }
    case .headers:
      guard let slot = slot(of: frame.stream) else { return }
      if exchanges[slot].status == 0 { exchanges[slot].status = frame.status }
      if frame.endsStream { finish(slot) }
    case .reset:
      guard let slot = slot(of: frame.stream) else { return }
      exchanges[slot].body = Array("stream reset, code \(frame.number(at: 0))".utf8)
      exchanges[slot].status = 0
      finish(slot)
    case .settings: takeSettings(frame)
    case .ping: if frame.flags & 1 == 0 { output += HTTP2Requests.pingAnswer(Array(frame.payload)) }
    case .windowUpdate: if frame.stream == 0 { sendWindow += Int(frame.number(at: 0) & 0x7fff_ffff) }
    case .goAway: closeReason = "the server said goodbye (GOAWAY, code \(frame.number(at: 4)))"
    default: break
    }
  }

  private func takeSettings(_ frame: HTTP2Frame) {
    guard frame.flags & 1 == 0 else { return }
    var offset = 0
    while offset + 6 <= frame.payload.count {
      let setting = Int(frame.payload[offset]) << 8 | Int(frame.payload[offset + 1])
      if setting == 3 { capacity = Int(clamping: frame.number(at: offset + 2)) }
      offset += 6
    }
    output += HTTP2Requests.settingsAcknowledgement
  }

  private func take(_ event: HTTP1ResponseReader.Event) {
    guard let slot = slot(of: 1) else { return }
    switch event {
    case .head(let status): exchanges[slot].status = status
    case .body(let bytes): takeBody(bytes, slot)
    case .end: finish(slot)
    case .malformed:
      closeReason = "an answer that is not HTTP"
      stream.abort()
    }
  }

  private func takeBody(_ bytes: UnsafeRawBufferPointer, _ slot: Int) {
    exchanges[slot].bytes += bytes.count
    if exchanges[slot].status != exchanges[slot].expected {
      exchanges[slot].kept = max(exchanges[slot].kept, Self.keptOfRefusals)
    }
    let room = exchanges[slot].kept - exchanges[slot].body.count
    if room > 0 { exchanges[slot].body.append(contentsOf: bytes.prefix(room)) }
    exchanges[slot].onData?(bytes)
  }

  private func finish(_ slot: Int) {
    let exchange = exchanges[slot]
    exchanges[slot].id = 0
    if exchange.onData != nil { exchanges[slot].onData = nil }
    inFlight -= 1
    onAnswer?(
      self,
      LoadAnswer(
        client: exchange.client, intended: exchange.intended, status: exchange.status, bytes: exchange.bytes,
        body: exchange.body,
        isRight: exchange.status == exchange.expected && exchange.bytes >= exchange.minimumBytes))
  }

  func streamDidClose(_ error: StreamError?) {
    isClosed = true
    if let error { closeReason = "\(error)" }
    for slot in exchanges.indices where exchanges[slot].id != 0 {
      exchanges[slot].status = 0
      exchanges[slot].body = Array(closeReason.utf8)
      finish(slot)
    }
    onAnswer = nil
  }
}
