// What one peer may cost us. Every bound of the server stands here, with its reason.

/// Bounds of an `HTTPServer`; each ends in an error that names it.
public struct HTTPLimits: Sendable {
  /// Bytes of a request's start line and fields together; beyond: 431. Bearer tokens with many groups reach 10 KiB.
  public var headerBytes = 64 << 10
  /// Fields of one request; beyond: 431. Bounds allocations, which bytes alone do not.
  public var headerFields = 256
  /// Bytes of a request body; beyond: 413. The limit of the Kubernetes API server.
  public var requestBodyBytes = 3 << 20
  /// Bytes of unfinished request bodies on one HTTP/2 connection; beyond: 503. A stream's limit times 250 would be 750 MiB.
  public var connectionBodyBytes = 32 << 20
  /// From accepting a connection to the end of its TLS handshake.
  public var handshakeTime: Duration = .seconds(10)
  /// From a request's first byte to the end of its header (slowloris); before the first request of a connection, from
  /// the end of its handshake.
  public var headerTime: Duration = .seconds(10)
  /// From the end of the header to the end of the body: 3 MiB over a poor link.
  public var bodyTime: Duration = .seconds(60)
  /// A connection without a request in flight is closed after this time.
  public var idleTime: Duration = .seconds(180)
  /// A peer that takes none of the bytes we have for it is cut off after this time.
  public var writeStallTime: Duration = .seconds(60)
  /// Connections of the whole server; beyond: closed at once. Below the usual 20,000 open files.
  public var connections = 16_384
  /// Connections that have shown neither a client certificate nor a whole request; beyond: the oldest of them goes.
  public var unprovenConnections = 1024
  /// HTTP/2 streams of one connection, and handlers running for it.
  public var concurrentStreams = 250
  /// HTTP/2 flow-control window of a stream; of a connection: four times that.
  public var streamWindowBytes = 1 << 20
  /// Streams a peer may reset in a burst, and per second in the long run, before the connection is ended
  /// (rapid reset, CVE-2023-44487).
  public var resetBurst = 1000
  public var resetsPerSecond = 33

  public init() {}

  /// How often deadlines are looked at: fine enough for the shortest of them, never finer than 10 ms.
  var sweepInterval: Duration {
    let shortest = [handshakeTime, headerTime, bodyTime, idleTime, writeStallTime].min() ?? .seconds(1)
    return max(.milliseconds(10), min(.seconds(1), shortest / 4))
  }
}

/// Bytes that may wait in a connection's socket buffer before its sources are held back.
let outputHighWater = 256 << 10

/// A message that was refused, with the status that tells the peer so.
struct MessageFailure: Error, Equatable {
  var status: Int
  var reason: String
  var message: String

  static func malformed(_ message: String) -> Self { Self(status: 400, reason: "BadRequest", message: message) }
  static func headerTooLarge(limit: Int) -> Self {
    Self(
      status: 431, reason: "RequestHeaderFieldsTooLarge",
      message: "Request header section too large: limit is \(limit) bytes")
  }
  static func tooManyFields(limit: Int) -> Self {
    Self(
      status: 431, reason: "RequestHeaderFieldsTooLarge", message: "Too many request header fields: limit is \(limit)")
  }
  static func bodyTooLarge(limit: Int) -> Self {
    Self(
      status: 413, reason: "RequestEntityTooLarge", message: HTTPError.bodyTooLarge(limit: limit).description)
  }
  static func timedOut(_ what: String, after limit: Duration) -> Self {
    Self(status: 408, reason: "Timeout", message: "\(what) did not arrive within \(limit)")
  }
  static func overloaded(_ message: String) -> Self {
    Self(status: 503, reason: "ServiceUnavailable", message: message)
  }

  /// The failure as seen by a client that read it in a response.
  var asClientError: HTTPError { .malformed(message) }

  /// The answer: a Kubernetes `Status` (spec/3). Messages are ours and hold nothing that JSON would have to escape but
  /// quotes, backslashes and control characters of a peer's bytes, which are left out.
  var response: HTTPResponse {
    let text = String(
      String.UnicodeScalarView(message.unicodeScalars.filter { $0 != "\"" && $0 != "\\" && $0.value >= 32 }))
    let json =
      #"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":""# + text
      + #"","reason":""# + reason + #"","code":"# + "\(status)}"
    var headers: HTTPHeaders = ["content-type": "application/json"]
    if status == 503 { headers.add("retry-after", "1") }
    return HTTPResponse(status: status, headers: headers, body: .bytes(Array(json.utf8)))
  }
}
