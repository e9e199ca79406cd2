// A body that goes on, to a client that asked for it over a WebSocket: logs as they come, watches event by event
// (spec/1 §1.8).
import HTTP
import TLS
import World

enum BodyOverWebSocket {
  private static let binary = "binary.k8s.io"
  private static let base64 = "base64.binary.k8s.io"

  /// A log: every piece is a message, after an empty one that shows that all is well. Refuses what is no handshake.
  static func log(_ request: HTTPRequest, _ response: HTTPResponse, world: any World) -> HTTPResponse {
    let offered = WebSocketHandshake.offeredProtocols(request)
    let chosen = offered.first { $0 == binary || $0 == base64 }
    guard offered.isEmpty || chosen != nil else {
      return refused(
        response,
        "requested protocol(s) are not supported: [\(offered.joined(separator: " "))]; supports "
          + "[\(base64) \(binary)]")
    }
    return answer(request, response, subprotocol: chosen, world) { socket, body in
      func message(_ bytes: [UInt8]) -> WebSocketMessage {
        chosen == base64 ? .text(Crypto.base64(bytes)) : .binary(bytes)
      }
      try await socket.send(message([]))
      while let bytes = try await body.next() { try await socket.send(message(bytes)) }
    }
  }

  /// A watch: every event is a message. Only JSON's events are lines.
  static func watch(_ request: HTTPRequest, _ response: HTTPResponse, world: any World) -> HTTPResponse {
    answer(request, response, subprotocol: nil, world) { socket, body in
      let newline = UInt8(ascii: "\n")
      var line: [UInt8] = []
      while let bytes = try await body.next() {
        line += bytes
        guard let last = line.lastIndex(of: newline) else { continue }
        for event in line[...last].split(separator: newline) {
          try await socket.send(.text(String(decoding: event, as: UTF8.self) + "\n"))
        }
        line.removeFirst(last + 1)
      }
    }
  }

  private static func answer(
    _ request: HTTPRequest, _ response: HTTPResponse, subprotocol: String?, _ world: any World,
    _ send: @escaping @Sendable (WebSocketConnection, BytePipe) async throws -> Void
  ) -> HTTPResponse {
    guard response.status == 200 else { return response }
    let accepted: (response: HTTPResponse, connection: WebSocketConnection)
    do { accepted = try WebSocketHandshake.accept(request, subprotocol: subprotocol) } catch {
      return refused(response, "\(error)", status: 400)
    }
    let socket = accepted.connection
    let body: BytePipe
    if case .stream(let pipe) = response.body {
      body = pipe
    } else {
      body = BytePipe()
      let whole = response.body
      world.spawn {
        _ = try? body.offer((try? await whole.collect()) ?? [])
        body.finish()
      }
    }
    world.spawn {
      try? await send(socket, body)
      body.cancel()
      socket.close()
    }
    world.spawn {
      // Nothing is expected; pings are answered here, and the end is seen.
      while (try? await socket.receive()) ?? nil != nil {}
      body.cancel()
    }
    return accepted.response
  }

  private static func refused(_ response: HTTPResponse, _ why: String, status: Int = 403) -> HTTPResponse {
    if case .stream(let pipe) = response.body { pipe.cancel() }
    return HTTPResponse(
      status: status, headers: ["content-type": "text/plain; charset=utf-8"], body: .bytes(Array("\(why)\n".utf8)))
  }
}
