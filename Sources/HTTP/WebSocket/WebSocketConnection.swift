// A WebSocket over an upgraded connection: the handshake of both sides (RFC 6455 §4), messages, pings, the close.

import Synchronization
import TLS
import World

/// The opening handshake.
public enum WebSocketHandshake {
  private static let version = "13"

  /// The request asks to become a WebSocket.
  public static func isUpgrade(_ request: HTTPRequest) -> Bool {
    request.headers["upgrade"]?.lowercased() == "websocket" && request.headers["sec-websocket-key"] != nil
  }

  /// The subprotocols that a client offers, in its order of preference.
  public static func offeredProtocols(_ request: HTTPRequest) -> [String] {
    request.headers.values("sec-websocket-protocol").flatMap { value in
      value.split(separator: ",").map { part in
        String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
      }
    }
  }

  /// Accepts a WebSocket as server: the response to return, and the connection behind it. `subprotocol` must be one that
  /// the client offered. Throws `HTTPError.malformed` when the request is not a proper handshake.
  public static func accept(
    _ request: HTTPRequest, subprotocol: String? = nil, messageLimit: Int = 1 << 20
  ) throws -> (response: HTTPResponse, connection: WebSocketConnection) {
    guard request.method == "GET", isUpgrade(request), let key = request.headers["sec-websocket-key"] else {
      throw HTTPError.malformed("not a WebSocket handshake")
    }
    guard request.headers["sec-websocket-version"] == version else {
      throw HTTPError.malformed("WebSocket version \(version) is the only one supported")
    }
    guard Crypto.decodeBase64(key)?.count == 16 else { throw HTTPError.malformed("invalid Sec-WebSocket-Key") }
    let tunnel = HTTPTunnel(inbound: BytePipe(), outbound: BytePipe())
    var headers: HTTPHeaders = ["upgrade": "websocket", "sec-websocket-accept": acceptance(of: key)]
    if let subprotocol { headers.add("sec-websocket-protocol", subprotocol) }
    return (
      HTTPResponse(status: 101, headers: headers, tunnel: tunnel),
      WebSocketConnection(tunnel: tunnel, world: nil, subprotocol: subprotocol, messageLimit: messageLimit)
    )
  }

  /// Opens a WebSocket as client. Throws `HTTPError`; a server that answers anything but 101 is an error that says so.
  public static func connect(
    _ request: HTTPRequest, subprotocols: [String] = [], over transport: some HTTPTransport, world: any World,
    messageLimit: Int = 1 << 20
  ) async throws -> WebSocketConnection {
    let bits = [world.randomBits(), world.randomBits()]
    let key = Crypto.base64(bits.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) } })
    var request = request
    request.headers["upgrade"] = "websocket"
    request.headers["connection"] = "Upgrade"
    request.headers["sec-websocket-key"] = key
    request.headers["sec-websocket-version"] = version
    if !subprotocols.isEmpty { request.headers["sec-websocket-protocol"] = subprotocols.joined(separator: ", ") }
    let response = try await transport.send(request)
    guard response.status == 101, let tunnel = response.tunnel else {
      let body = (try? await response.body.collect(upTo: 4096)) ?? []
      throw HTTPError.malformed(
        "the server did not accept the WebSocket: \(response.status) \(String(decoding: body, as: UTF8.self))")
    }
    let chosen = response.headers["sec-websocket-protocol"]
    guard response.headers["sec-websocket-accept"] == acceptance(of: key),
      chosen == nil || subprotocols.contains(chosen ?? "")
    else {
      tunnel.inbound.cancel()
      tunnel.outbound.finish()
      throw HTTPError.malformed("the server's WebSocket handshake is not an answer to ours")
    }
    return WebSocketConnection(tunnel: tunnel, world: world, subprotocol: chosen, messageLimit: messageLimit)
  }

  static func acceptance(of key: String) -> String {
    Crypto.base64(sha1(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
  }
}

/// An open WebSocket. Any task may send; one receives.
public final class WebSocketConnection: Sendable {
  private struct State {
    var decoder: WebSocketDecoder
    var input: ArraySlice<UInt8> = []
    var isCloseSent = false
  }

  /// What both sides agreed to speak.
  public let subprotocol: String?
  private let tunnel: HTTPTunnel
  /// A client's source of masks; nil on a server, which sends none.
  private let world: (any World)?
  private let state: Mutex<State>

  init(tunnel: HTTPTunnel, world: (any World)?, subprotocol: String?, messageLimit: Int) {
    self.tunnel = tunnel
    self.world = world
    self.subprotocol = subprotocol
    state = Mutex(State(decoder: WebSocketDecoder(isServer: world == nil, messageLimit: messageLimit)))
  }

  /// The next text or binary message; nil when the peer has closed. Pings are answered here, so somebody must receive.
  /// Throws when the connection breaks, or the peer breaks the protocol (which is told so).
  public func receive() async throws -> WebSocketMessage? {
    while true {
      let decoded: WebSocketMessage?
      do {
        decoded = try state.withLock { try $0.decoder.next(from: &$0.input) }
      } catch {
        if let error = error as? WebSocketError { close(code: error.closeCode, reason: error.reason) }
        throw error
      }
      switch decoded {
      case .text, .binary: return decoded
      case .ping(let payload): try offer(.pong(payload))
      case .pong: break
      case .close(let code, _):
        close(code: code ?? 1000, reason: "")
        return nil
      case nil:
        guard let bytes = try await tunnel.inbound.next() else { return nil }
        state.withLock { $0.input = bytes[...] }
      }
    }
  }

  /// Sends a message; suspends while the peer is slow. Throws when the connection has gone.
  public func send(_ message: WebSocketMessage) async throws {
    guard !state.withLock({ $0.isCloseSent }) else { throw HTTPError.connectionClosed("the WebSocket is closed") }
    try await tunnel.outbound.write(encode(message))
  }

  /// Says goodbye and ends the connection once that is sent; later calls do nothing.
  public func close(code: UInt16 = 1000, reason: String = "") {
    let isFirst = state.withLock { state in
      defer { state.isCloseSent = true }
      return !state.isCloseSent
    }
    guard isFirst else { return }
    _ = try? tunnel.outbound.offer(encode(.close(code: code, reason: reason)))
    tunnel.outbound.finish()
  }

  private func offer(_ message: WebSocketMessage) throws {
    guard !state.withLock({ $0.isCloseSent }) else { return }
    // A peer that pings without reading the answers would fill the queue.
    if try tunnel.outbound.offer(encode(message)) {
      throw WebSocketError(closeCode: 1008, reason: "pings sent faster than their answers are read")
    }
  }

  private func encode(_ message: WebSocketMessage) -> [UInt8] {
    message.encoded(mask: world.map { UInt32(truncatingIfNeeded: $0.randomBits()) })
  }
}
