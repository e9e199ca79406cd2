// The whole API server behind real sockets: what attacks on connections are told with.
import APIServer
import EventLoop
import HTTP
import JSON
import LoopSupport
import Replica
import Schema
import Synchronization
import TLS
import Testing
import World

final class SocketServer: Sendable {
  static let tlsNow = WallTime(secondsSinceEpoch: 1_700_000_000)

  let serverLoop: EventLoop
  let clientLoop: EventLoop
  let store: LocalStore
  let api: APIServer
  let http: HTTPServer
  let address: Address
  let authority: CertificateAuthority

  /// `configure` may change what the API server works with.
  static func start(
    limits: HTTPLimits = HTTPLimits(), configuration: APIServer.Configuration = APIServer.Configuration(),
    plugins: Set<String> = [], configure: @Sendable (inout APIServer.Dependencies, EventLoop) -> Void = { _, _ in }
  ) async throws -> SocketServer {
    let serverLoop = EventLoop.start(name: "security-server")
    let clientLoop = EventLoop.start(name: "security-client")
    let store = LocalStore(world: serverLoop)
    var security = SecurityParts(store: store, tokenKey: try .generateP256(), world: serverLoop)
    security.enabledPlugins = plugins
    var dependencies = security.dependencies { [("ping", nil)] }
    configure(&dependencies, serverLoop)
    let api = APIServer(
      store: store, configuration: configuration, dependencies: dependencies, currentWorld: { serverLoop })
    let authority = try CertificateAuthority.generate(
      commonName: "test authority", lifetime: .seconds(3_000_000_000), now: tlsNow)
    let identity = try authority.issue(
      CertificateTemplate(
        commonName: "server", dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"], usages: [.serverAuthentication],
        lifetime: .seconds(2_000_000_000)), now: tlsNow)
    let http = HTTPServer(
      loops: [serverLoop], address: .ip("127.0.0.1", port: 0),
      tls: try .server(identity: identity, clientTrust: [authority.certificate], protocols: ["h2", "http/1.1"]),
      handler: api, limits: limits)
    let server = SocketServer(serverLoop, clientLoop, store, api, http, try await http.start(), authority)
    for namespace in ["default", "kube-system"] {
      _ = try await server.inside("POST", "/api/v1/namespaces", ["metadata": ["name": .string(namespace)]])
    }
    _ = try await server.inside("POST", "/api/v1/namespaces/default/serviceaccounts", ["metadata": ["name": "default"]])
    return server
  }

  private init(
    _ serverLoop: EventLoop, _ clientLoop: EventLoop, _ store: LocalStore, _ api: APIServer, _ http: HTTPServer,
    _ address: Address, _ authority: CertificateAuthority
  ) {
    (self.serverLoop, self.clientLoop, self.store, self.api) = (serverLoop, clientLoop, store, api)
    (self.http, self.address, self.authority) = (http, address, authority)
  }

  func stop() async {
    await http.shutdown(deadline: .milliseconds(100))
    for loop in [serverLoop, clientLoop] {
      loop.stop()
      loop.join()
    }
  }

  struct Reply: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: [UInt8]
    var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
    var text: String { String(decoding: body, as: UTF8.self) }
    var message: String { json["message"].string ?? "" }
  }

  /// A request that no socket carries, as the administrator or as another.
  @discardableResult
  func inside(
    _ method: String, _ target: String, _ body: JSONValue? = nil, user: String = "admin",
    groups: [String] = ["system:masters"], type: String = "application/json"
  ) async throws -> Reply {
    let transport = InProcessTransport(handler: api, identity: TrustedContext(user: user, groups: groups))
    let response = try await transport.send(
      HTTPRequest(
        method: method, target: target, headers: ["content-type": type], body: body.map { .bytes($0.bytes) } ?? .empty))
    return Reply(status: response.status, headers: response.headers, body: try await response.body.collect())
  }

  // MARK: Clients

  func tls(user: String? = "admin", groups: [String] = ["system:masters"]) throws -> TLSConfiguration {
    let identity = try user.map { user in
      try authority.issue(
        CertificateTemplate(
          commonName: user, organizations: groups, usages: [.clientAuthentication], lifetime: .seconds(2_000_000_000)),
        now: Self.tlsNow)
    }
    return try .client(trust: .certificates([authority.certificate]), identity: identity)
  }

  func client(
    user: String? = "admin", groups: [String] = ["system:masters"], limits: HTTPClientLimits = HTTPClientLimits()
  )
    throws -> HTTPClient
  {
    HTTPClient(
      loop: clientLoop, endpoint: address, tls: try tls(user: user, groups: groups), serverName: "127.0.0.1",
      limits: limits)
  }

  /// A TLS connection that says exactly what a test wants said.
  func connection(
    user: String? = "admin", groups: [String] = ["system:masters"], language: String = "http/1.1",
    saying first: String = ""
  ) async throws -> RawConnection {
    let raw = RawConnection()
    try await raw.open(clientLoop, address, try tls(user: user, groups: groups), language, Array(first.utf8))
    return raw
  }
}

/// A connection to a server, over TLS or bare, and everything that came over it.
final class RawConnection: Sendable {
  private let received = Shared<[UInt8]>([])
  private let closed = Shared(false)
  private let stream = Shared<LoopConfined<any Stream>?>(nil)

  private final class Receiver: StreamHandler {
    let owner: RawConnection
    init(_ owner: RawConnection) { self.owner = owner }
    func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
      let bytes = Array(bytes)
      owner.received.update { $0 += bytes }
    }
    func streamDidClose(_ error: StreamError?) { owner.closed.update { $0 = true } }
  }

  /// `tls` nil: bare TCP.
  func open(
    _ loop: EventLoop, _ address: Address, _ tls: TLSConfiguration?, _ language: String, _ first: [UInt8]
  ) async throws {
    let opened: LoopConfined<any Stream> = try await withCheckedThrowingContinuation { continuation in
      loop.execute { [self] in
        StreamConnector.connect(to: address, on: loop, deadline: .seconds(20)) { result in
          switch result {
          case .failure(let error): continuation.resume(throwing: error)
          case .success(let stream):
            guard let tls else {
              stream.handler = Receiver(self)
              stream.write(first)
              return continuation.resume(returning: LoopConfined<any Stream>(stream, on: loop))
            }
            let holder = Holder()
            holder.stream = TLSStream(
              client: tls, over: stream, serverName: "127.0.0.1", protocols: [language], handshakeDeadline: .seconds(60)
            ) { result in
              guard case .success = result, let made = holder.stream else {
                return continuation.resume(throwing: HTTPError.connectFailed("\(result)"))
              }
              made.handler = Receiver(self)
              made.write(first)
              continuation.resume(returning: LoopConfined<any Stream>(made, on: loop))
            }
          }
        }
      }
    }
    stream.update { $0 = opened }
  }

  private final class Holder: @unchecked Sendable { var stream: TLSStream? }

  func send(_ text: String) { send(Array(text.utf8)) }
  func send(_ bytes: [UInt8]) { stream.value?.execute { $0.write(bytes) } }
  func pauseReading() { stream.value?.execute { $0.pauseReading() } }
  func resumeReading() { stream.value?.execute { $0.resumeReading() } }
  func abort() { stream.value?.execute { $0.abort() } }
  var text: String { String(decoding: received.value, as: UTF8.self) }
  var bytes: [UInt8] { received.value }
  var isClosed: Bool { closed.value }
}

/// A server of bytes: says what a test tells it to, and remembers what it heard.
final class FakeBackend: Sendable {
  let loop: EventLoop
  let port: UInt16
  private let state: Shared<State>

  struct State: Sendable {
    var heard: [String] = []
    var closed: [Bool] = []
  }

  /// `answer` is said once to each connection, when its first bytes have come.
  static func start(answer: String) async throws -> FakeBackend {
    let loop = EventLoop.start(name: "backend")
    let state = Shared(State())
    let port: UInt16 = try await withCheckedThrowingContinuation { continuation in
      loop.execute {
        continuation.resume(
          with: Result {
            let listener = try StreamListener(loop: loop, address: .ip("127.0.0.1", port: 0), reusePort: false) {
              stream, _ in
              let number = state.value.heard.count
              state.update {
                $0.heard.append("")
                $0.closed.append(false)
              }
              stream.handler = Session(number, answer, state, stream)
            }
            return listener.localAddress.port
          })
      }
    }
    return FakeBackend(loop, port, state)
  }

  private init(_ loop: EventLoop, _ port: UInt16, _ state: Shared<State>) {
    (self.loop, self.port, self.state) = (loop, port, state)
  }

  private final class Session: StreamHandler {
    let number: Int
    var answer: String?
    let state: Shared<State>
    let stream: any Stream
    init(_ number: Int, _ answer: String, _ state: Shared<State>, _ stream: any Stream) {
      (self.number, self.answer, self.state, self.stream) = (number, answer, state, stream)
    }
    func streamDidReceive(_ bytes: UnsafeRawBufferPointer) {
      let text = String(decoding: bytes, as: UTF8.self)
      let number = number
      state.update { $0.heard[number] += text }
      if let answer, state.value.heard[number].contains("\r\n\r\n") {
        self.answer = nil
        stream.write(Array(answer.utf8))
      }
    }
    func streamDidClose(_ error: StreamError?) {
      let number = number
      state.update { $0.closed[number] = true }
    }
  }

  /// What each connection has said.
  var heard: [String] { state.value.heard }
  var closed: [Bool] { state.value.closed }

  func stop() {
    loop.stop()
    loop.join()
  }
}
