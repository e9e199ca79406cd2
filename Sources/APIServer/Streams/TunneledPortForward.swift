// Port forwarding for clients that speak SPDY inside a WebSocket (kubectl since 1.31): to kubelets it is plain SPDY, and
// what is inside the messages passes as it is.
import HTTP
import World

enum TunneledPortForward {
  private static let prefix = "SPDY/3.1+"

  /// What the client would speak in its tunnel; empty where it wants none.
  static func protocols(_ request: HTTPRequest) -> [String] {
    guard WebSocketHandshake.isUpgrade(request) else { return [] }
    return WebSocketHandshake.offeredProtocols(request)
      .filter { $0.hasPrefix(prefix) && $0.hasSuffix(".k8s.io") }.map { String($0.dropFirst(prefix.count)) }
  }

  /// Answers the client with a WebSocket around the kubelet's SPDY connection. `response`: the kubelet's; what is no
  /// upgrade goes back as it is.
  static func answer(_ request: HTTPRequest, _ response: HTTPResponse, world: any World) throws -> HTTPResponse {
    guard response.status == 101, let kubelet = response.tunnel?.reversed else { return response }
    let chosen = response.headers["x-stream-protocol-version"].map { prefix + $0 }
    let accepted: (response: HTTPResponse, connection: WebSocketConnection)
    do { accepted = try WebSocketHandshake.accept(request, subprotocol: chosen) } catch {
      kubelet.outbound.finish()
      kubelet.inbound.cancel()
      throw error
    }
    let socket = accepted.connection
    world.spawn {
      while let bytes = try? await kubelet.inbound.next() {
        do { try await socket.send(.binary(bytes)) } catch { break }
      }
      kubelet.inbound.cancel()
      socket.close()
    }
    world.spawn {
      while let message = try? await socket.receive() {
        guard case .binary(let bytes) = message else { continue }
        do { try await kubelet.outbound.write(bytes) } catch { break }
      }
      kubelet.outbound.finish()
    }
    return accepted.response
  }
}

extension HTTPRequest {
  /// The same request as a kubelet gets it that is to speak SPDY, one of these protocols.
  func asSPDY(_ protocols: [String]) -> HTTPRequest {
    var request = withoutUpgrade
    request.method = "POST"
    request.body = .empty
    request.headers["upgrade"] = "SPDY/3.1"
    for name in protocols { request.headers.add("x-stream-protocol-version", name) }
    return request
  }

  /// The same request as one that asks for no other protocol.
  var withoutUpgrade: HTTPRequest {
    var request = self
    for name in [
      "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol",
      "sec-websocket-extensions", "x-stream-protocol-version",
    ] { request.headers[name] = nil }
    return request
  }
}
