// The client as its user sees it: one endpoint, requests in, responses out.

import EventLoop
import TLS

/// Bounds of an `HTTPClient`.
public struct HTTPClientLimits: Sendable {
  /// To connect and, after that, for the TLS handshake.
  public var connectTime: Duration = .seconds(10)
  /// From sending a request to its response's header (of a short response: to its end).
  public var responseHeaderTime: Duration = .seconds(75)
  /// A connection without a request is closed after this time; below the 180 s of our server.
  public var idleTime: Duration = .seconds(90)
  /// An HTTP/2 connection with requests in flight that has been silent for so long is asked whether it lives …
  public var pingAfter: Duration = .seconds(30)
  /// … and given up when it does not answer within this time. What client-go uses.
  public var pingTime: Duration = .seconds(15)
  /// HTTP/1.1 connections at once; further requests wait. A watch holds one.
  public var http1Connections = 256
  /// HTTP/2 connections at once; a further one is opened when the server's limit of streams is reached.
  public var http2Connections = 8
  /// A response of known length up to this is delivered whole, as `HTTPBody.bytes`; longer or unknown ones as a stream.
  public var wholeResponseBytes = 1 << 20
  /// Bytes of a streamed response that wait for their reader before the server is held back.
  public var responseHighWater = 256 << 10

  public init() {}

  var sweepInterval: Duration {
    let shortest = [responseHeaderTime, idleTime, pingAfter, pingTime].min() ?? .seconds(1)
    return max(.milliseconds(10), min(.seconds(1), shortest / 4))
  }
}

/// Sends requests to one endpoint over pooled connections: HTTP/2 where the server agrees to it, else HTTP/1.1 kept alive.
///
/// Every method may be called from any thread or task; the connections live on `loop`. A request whose task is
/// cancelled is taken back (its stream is reset, or its connection closed). A request with an `upgrade` field gets an
/// HTTP/1.1 connection of its own, and a response 101 carries the tunnel.
public final class HTTPClient: HTTPTransport {
  private let pool: ClientPool

  /// `serverName`: the name (or address) that the server's certificate must be good for, and the Host of requests that
  /// set none. Without `tls`: plain HTTP/1.1. ALPN is set here, whatever the configuration offers.
  public init(
    loop: EventLoop, endpoint: Address, tls: TLSConfiguration?, serverName: String,
    limits: HTTPClientLimits = HTTPClientLimits()
  ) {
    pool = ClientPool(loop: loop, endpoint: endpoint, tls: tls, serverName: serverName, limits: limits)
  }

  /// Sends a request; returns when the response's header has come (a short response whole). Throws `HTTPError`.
  public func send(_ request: HTTPRequest) async throws -> HTTPResponse { try await send(request, within: nil) }

  /// As `send`, with a time limit of its own in place of `responseHeaderTime`. A streamed body has no limit, unless
  /// `isWhole`: then it breaks off with `HTTPError.timedOut` where it has not ended by then.
  public func send(
    _ request: HTTPRequest, within limit: Duration?, isWhole: Bool = false
  ) async throws -> HTTPResponse {
    let pool = pool
    let exchange = ClientExchange(
      request, pool: pool, timeLimit: limit ?? pool.limits.responseHeaderTime, isWhole: isWhole)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let begin = { @Sendable in exchange.begin(continuation) }
        if pool.loop.isCurrent { begin() } else { pool.loop.execute(begin) }
      }
    } onCancel: {
      pool.loop.execute { exchange.cancel() }
    }
  }

  /// Closes idle connections and, when their requests are done, the others; requests to come are refused.
  public func close() {
    let pool = pool
    pool.loop.execute { pool.close() }
  }

  /// Uses other certificates for connections to come.
  public func setTLS(_ tls: TLSConfiguration) {
    let pool = pool
    pool.loop.execute { pool.setTLS(tls) }
  }

  /// Connections open now, those being opened included; for tests and metrics.
  public func connectionCount() async -> Int {
    let pool = pool
    return await withCheckedContinuation { continuation in
      pool.loop.execute { continuation.resume(returning: pool.connectionCount) }
    }
  }
}
