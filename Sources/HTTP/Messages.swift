// The values that every HTTP version has in common: requests, responses, headers, bodies. No I/O here.
import World

/// Header fields in order. Names are kept in lower case (RFC 9113 requires it, HTTP/1.1 does not mind).
public struct HTTPHeaders: Sendable, ExpressibleByDictionaryLiteral {
  public private(set) var fields: [(name: String, value: String)] = []

  public init() {}
  public init(dictionaryLiteral elements: (String, String)...) {
    for (name, value) in elements { add(name, value) }
  }

  /// The first value of the field; `name` must be lower case. Setting replaces all values, nil removes them.
  public subscript(name: String) -> String? {
    get {
      // Most names differ in length, which is seen without a call; and no field looked at is copied.
      let length = name.utf8.count
      for index in fields.indices where fields[index].name.utf8.count == length && fields[index].name == name {
        return fields[index].value
      }
      return nil
    }
    set {
      fields.removeAll { $0.name == name }
      if let newValue { fields.append((name, newValue)) }
    }
  }

  /// Every value of a repeated field, in order; `name` must be lower case.
  public func values(_ name: String) -> [String] {
    fields.compactMap { $0.name == name ? $0.value : nil }
  }

  /// Appends a field and keeps those of the same name; `name` must be lower case.
  public mutating func add(_ name: String, _ value: String) { fields.append((name, value)) }

  /// Makes room for `count` fields in one allocation.
  public mutating func reserveCapacity(_ count: Int) { fields.reserveCapacity(count) }
}

/// Who is at the other end of a connection, proven by TLS; nil certificate means a client that showed none.
public struct PeerIdentity: Sendable, Hashable {
  /// Subject common name: the Kubernetes user name (spec/8 §8.1).
  public var commonName: String
  /// Subject organizations: the Kubernetes groups.
  public var organizations: [String]
  /// SHA-256 of the DER certificate, lower-case hexadecimal.
  public var fingerprint: String
  /// When the certificate ends; nil where nobody said.
  public var notAfter: WallTime?

  public init(commonName: String, organizations: [String], fingerprint: String, notAfter: WallTime? = nil) {
    self.notAfter = notAfter
    self.commonName = commonName
    self.organizations = organizations
    self.fingerprint = fingerprint
  }
}

/// A body: nothing, bytes at hand, or bytes still to come.
public enum HTTPBody: Sendable {
  case empty
  case bytes([UInt8])
  /// Pieces to send one after the other, each made when its turn has come: a list of stored objects.
  case pieces(BodyPieces)
  /// Bytes as they come: a watch, a log that is followed. Sent chunked (HTTP/1.1) or as DATA frames, flushed per write.
  case stream(BytePipe)

  /// Length in bytes where it is known.
  public var count: Int? {
    switch self {
    case .empty: 0
    case .bytes(let bytes): bytes.count
    case .pieces(let pieces): pieces.byteCount
    case .stream: nil
    }
  }

  /// Takes the body to its end without looking at it, for who wants no more than the status: a collection that was deleted
  /// may be larger than memory.
  public func discard() async throws {
    guard case .stream(let pipe) = self else { return }
    while try await pipe.next() != nil {}
  }

  /// The whole body in one array. Throws `HTTPError.bodyTooLarge` past `limit` bytes, or what broke the stream.
  public func collect(upTo limit: Int = .max) async throws -> [UInt8] {
    switch self {
    case .empty: return []
    case .bytes(let bytes):
      guard bytes.count <= limit else { throw HTTPError.bodyTooLarge(limit: limit) }
      return bytes
    case .pieces(let pieces):
      guard pieces.byteCount <= limit else { throw HTTPError.bodyTooLarge(limit: limit) }
      return pieces.joined()
    case .stream(let pipe):
      var all: [UInt8] = []
      while let chunk = try await pipe.next() {
        guard all.count + chunk.count <= limit else {
          pipe.cancel()
          throw HTTPError.bodyTooLarge(limit: limit)
        }
        all += chunk
      }
      return all
    }
  }
}

public enum HTTPVersion: Sendable, Hashable { case http1, http2, inProcess }

/// A request as a handler sees it, or as a client sends it.
public struct HTTPRequest: Sendable {
  /// Upper case: "GET".
  public var method: String
  /// Path and query as on the wire, percent-encoded: "/api/v1/pods?limit=500".
  public var target: String
  public var headers: HTTPHeaders
  public var body: HTTPBody
  /// Server side: the client's verified certificate.
  public var peer: PeerIdentity?
  /// Server side: address and port of the client, "127.0.0.1:51234".
  public var remoteAddress: String
  public var version: HTTPVersion
  /// In-process callers only: whatever the transport vouches for, never settable from a socket.
  public var trusted: TrustedContext?

  public init(
    method: String, target: String, headers: HTTPHeaders = [:], body: HTTPBody = .empty, peer: PeerIdentity? = nil,
    remoteAddress: String = "", version: HTTPVersion = .http1, trusted: TrustedContext? = nil
  ) {
    self.method = method
    self.target = target
    self.headers = headers
    self.body = body
    self.peer = peer
    self.remoteAddress = remoteAddress
    self.version = version
    self.trusted = trusted
  }
}

/// What an in-process transport vouches for: the loops that run inside a server have no certificate to show.
public struct TrustedContext: Sendable, Hashable {
  /// User and groups, as authentication would have found them (without system:authenticated).
  public var user: String
  public var groups: [String]
  /// Every write carries this lease's transition count as a precondition: a deposed leader cannot write (DESIGN.md §4).
  public var fence: Fence?

  public struct Fence: Sendable, Hashable {
    public var namespace: String
    public var lease: String
    public var transitions: UInt64
    public init(namespace: String, lease: String, transitions: UInt64) {
      self.namespace = namespace
      self.lease = lease
      self.transitions = transitions
    }
  }

  public init(user: String, groups: [String] = [], fence: Fence? = nil) {
    self.user = user
    self.groups = groups
    self.fence = fence
  }
}

public struct HTTPResponse: Sendable {
  public var status: Int
  public var headers: HTTPHeaders
  public var body: HTTPBody
  /// Set with status 101: from here on both directions are raw bytes (WebSocket, SPDY).
  public var tunnel: HTTPTunnel?
  /// Lives until the body has been taken by the peer, or dropped: whoever made the body counts what waits.
  public var retained: (any AnyObject & Sendable)?

  public init(status: Int, headers: HTTPHeaders = [:], body: HTTPBody = .empty, tunnel: HTTPTunnel? = nil) {
    self.status = status
    self.headers = headers
    self.body = body
    self.tunnel = tunnel
  }
}

/// The two directions of an upgraded connection.
public struct HTTPTunnel: Sendable {
  /// Bytes from the peer; ends when the peer closes.
  public let inbound: BytePipe
  /// Bytes to the peer; finishing it closes the connection.
  public let outbound: BytePipe
  public init(inbound: BytePipe, outbound: BytePipe) {
    self.inbound = inbound
    self.outbound = outbound
  }

  /// The same connection as the other side sees it: what a client got from one server, for a server to pass on to a
  /// client of its own.
  public var reversed: HTTPTunnel { HTTPTunnel(inbound: outbound, outbound: inbound) }
}

/// Answers requests. Called on the loop of the connection; must not block it.
public protocol HTTPHandler: Sendable {
  func respond(to request: HTTPRequest) async -> HTTPResponse
}

/// Sends requests: over a socket, or straight to a handler in the same process.
public protocol HTTPTransport: Sendable {
  func send(_ request: HTTPRequest) async throws -> HTTPResponse
}

/// Reaches a handler in the same process, as `identity`, without a socket.
public struct InProcessTransport: HTTPTransport {
  private let handler: any HTTPHandler
  public var identity: TrustedContext

  public init(handler: any HTTPHandler, identity: TrustedContext) {
    self.handler = handler
    self.identity = identity
  }

  public func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    var request = request
    request.trusted = identity
    request.version = .inProcess
    return await handler.respond(to: request)
  }
}

/// Why a message could not be read or sent.
public enum HTTPError: Error, Sendable, CustomStringConvertible {
  case malformed(String)
  case headerTooLarge(limit: Int)
  case bodyTooLarge(limit: Int)
  /// No connection could be made: the request never left.
  case connectFailed(String)
  /// The connection ended before the answer: the request may have been carried out.
  case connectionClosed(String)
  case timedOut(String)
  case streamReset(UInt32)
  case cancelled

  public var description: String {
    switch self {
    case .malformed(let why): "malformed HTTP message: \(why)"
    case .headerTooLarge(let limit): "header section too large: limit is \(limit) bytes"
    case .bodyTooLarge(let limit): "Request entity too large: limit is \(limit)"
    case .connectFailed(let why): "cannot connect: \(why)"
    case .connectionClosed(let why): "connection closed: \(why)"
    case .timedOut(let what): "timed out: \(what)"
    case .streamReset(let code): "stream reset by peer (HTTP/2 error \(code))"
    case .cancelled: "cancelled"
    }
  }
}
