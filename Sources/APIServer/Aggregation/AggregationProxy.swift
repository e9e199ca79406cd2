// Requests for group versions that other servers answer: passed on with the name of the client, which they believe
// because of the certificate that is shown with it.
import HTTP
import JSON
import Kinds
import Logging
import Replica
import Schema
import Synchronization
import World

extension APIServer {
  /// A discovery request that takes longer tells everybody else's client to wait.
  static let aggregatedDiscoveryTime = Duration.seconds(5)
  private static let aggregatedResponseTime = Duration.seconds(60)
  /// What this process's own loops ask (lists of everything there is) they wait for, and hold in its memory.
  private static let loopResponseTime = Duration.seconds(30)
  private static let loopResponseMaximum = 32 << 20

  /// Whether the request is about a resource of this server's own: most are, and need not look further.
  func servesItself(_ info: RequestInfo) -> Bool {
    guard info.isResourceRequest else { return false }
    return info.group.isEmpty
      || registry.kind(group: info.group, version: info.version, resource: info.resource) != nil
  }

  /// The API that answers for a path below /apis/GROUP/VERSION, where that is not this server: as the newest state that
  /// was applied here has it, or a newer one where `isNewest` asks for that.
  func aggregatedAPI(_ segments: [String], isNewest: Bool = false) async throws(APIStatus) -> AggregatedAPI? {
    guard segments.count >= 3, segments[0] == "apis",
      builtInRegistry.version(group: segments[1], segments[2]) == nil
    else { return nil }
    let state = isNewest ? try await linearizableState() : store.current
    return aggregation.api(state.object(AggregatedAPI.key("\(segments[2]).\(segments[1])")))
  }

  /// Answers what another server answers.
  func proxy(
    _ request: HTTPRequest, to api: AggregatedAPI, _ path: RequestPath, _ info: RequestInfo, _ user: RequestUser,
    _ world: any World
  ) async -> HTTPResponse {
    guard api.isAvailable else { return Self.plain(503, "service unavailable") }
    let objects = ObjectLookup(state: store.current, store: store)
    let place: (host: String, port: UInt16)
    do throws(ServiceResolution.Failure) {
      place = try ServiceResolution.endpoint(
        namespace: api.namespace, name: api.service, port: api.port, objects: objects, choice: world.randomBits())
    } catch {
      dependencies.logger.warning("cannot reach APIService \(api.name): \(error)")
      return Self.plain(503, "service unavailable")
    }
    // Which place such a path leads to, two servers might not agree about.
    guard !path.segments.contains(where: { $0 == "." || $0 == ".." }) else {
      return Self.plain(400, "the path contains dot segments")
    }
    let isDiscovery = !info.isResourceRequest && path.segments.count == 3
    var forwarded = request
    forwarded.trusted = nil
    forwarded.peer = nil
    // What was authorized, and nothing that others might read otherwise.
    forwarded.target = "/" + path.segments.map(AggregationHeaders.encoded).joined(separator: "/")
    if !path.rawQuery.isEmpty { forwarded.target += "?\(path.rawQuery)" }
    forwarded.headers = AggregationHeaders.forwarded(request, user: user)
    forwarded.headers["host"] =
      place.host.contains(":") ? "[\(place.host)]:\(place.port)" : "\(place.host):\(place.port)"
    let lasts = info.verb == "watch" || request.headers["upgrade"] != nil
    let isLoops = request.trusted != nil && !lasts && !isDiscovery
    do {
      var response = try await dependencies.aggregation.send(
        forwarded, to: api.target(host: place.host, port: place.port),
        within: isDiscovery
          ? Self.aggregatedDiscoveryTime : isLoops ? Self.loopResponseTime : Self.aggregatedResponseTime,
        isWhole: isDiscovery || isLoops, authority: store.current.object(FrontProxyAuthority.secret))
      if isLoops { response.body = .bytes(try await response.body.collect(upTo: Self.loopResponseMaximum)) }
      return AggregationHeaders.returned(response)
    } catch {
      return Self.plain(503, "error trying to reach service: \(error)")
    }
  }

  /// As the reference's proxy says that it cannot.
  static func plain(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(
      status: status,
      headers: ["content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"],
      body: .bytes(Array("\(text)\n".utf8)))
  }
}

/// What goes on and what comes back of a proxied request's head. Pure.
enum AggregationHeaders {
  /// Of the connection, not of the message (RFC 9110 §7.6.1).
  private static let hopByHop: Set<String> = [
    "connection", "proxy-connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length",
  ]

  /// The client's head with its identity in place of what proved it.
  static func forwarded(_ request: HTTPRequest, user: RequestUser) -> HTTPHeaders {
    var headers = HTTPHeaders()
    let named = Set(
      request.headers.values("connection").flatMap { $0.split(separator: ",") }.map {
        AcceptClause.trimmed($0).lowercased()
      })
    for (name, value) in request.headers.fields {
      guard !hopByHop.contains(name), !named.contains(name), name != "authorization" else { continue }
      if name == "sec-websocket-protocol" {
        // Browsers have no other place for a token than among the protocols.
        let protocols = value.split(separator: ",").map { AcceptClause.trimmed($0) }
        let others = protocols.filter { !$0.hasPrefix("base64url.bearer.authorization.k8s.io.") }
        if !others.isEmpty { headers.add(name, others.joined(separator: ", ")) }
        continue
      }
      // What a client says about itself is not what the server found out.
      guard !name.hasPrefix("x-remote-"), !name.hasPrefix("impersonate-") else { continue }
      headers.add(name, value)
    }
    if let upgrade = request.headers["upgrade"] {
      headers.add("connection", "Upgrade")
      headers.add("upgrade", upgrade)
    }
    headers.add("x-remote-user", user.name)
    if !user.uid.isEmpty { headers.add("x-remote-uid", user.uid) }
    for group in user.groups { headers.add("x-remote-group", group) }
    for (key, values) in user.extra.sorted(by: { $0.key < $1.key }) {
      for value in values { headers.add("x-remote-extra-\(escaped(key))", value) }
    }
    let client = request.remoteAddress.lastIndex(of: ":").map { String(request.remoteAddress[..<$0]) } ?? ""
    if !client.isEmpty {
      let address = client.hasPrefix("[") ? String(client.dropFirst().dropLast()) : client
      let former = headers["x-forwarded-for"]
      headers["x-forwarded-for"] = former.map { "\($0), \(address)" } ?? address
    }
    return headers
  }

  /// A segment of a path (RFC 3986 §3.3).
  static func encoded(_ segment: String) -> String {
    var text = ""
    for byte in segment.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        text.unicodeScalars.append(Unicode.Scalar(byte))
      case _ where "-._~!$&'()*+,;=:@".utf8.contains(byte): text.unicodeScalars.append(Unicode.Scalar(byte))
      default: text += percent(byte)
      }
    }
    return text
  }

  private static func percent(_ byte: UInt8, uppercase: Bool = true) -> String {
    let digits = String(byte, radix: 16, uppercase: uppercase)
    return "%" + (digits.count == 1 ? "0" : "") + digits
  }

  /// A key of `extra` as part of a field's name: what may not stand in one is percent-encoded, in small letters as all of
  /// a field's name (RFC 9113 §8.2).
  private static func escaped(_ key: String) -> String {
    var text = ""
    for byte in key.lowercased().utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
        text.unicodeScalars.append(Unicode.Scalar(byte))
      case _ where "!#$&'*+-.^_`|~".utf8.contains(byte): text.unicodeScalars.append(Unicode.Scalar(byte))
      default: text += percent(byte, uppercase: false)
      }
    }
    return text
  }

  /// An answer as the client gets it. A redirection would take the client, or this server, where the other server likes
  /// (CVE-2022-3172): it goes no further than here.
  static func returned(_ response: HTTPResponse) -> HTTPResponse {
    if (300...399).contains(response.status), !(response.headers["location"] ?? "").isEmpty {
      if case .stream(let pipe) = response.body { pipe.cancel() }
      return HTTPResponse(
        status: 502, body: .bytes(Array("the backend attempted to redirect this request, which is not permitted".utf8)))
    }
    guard response.status != 101 else { return response }
    var headers = HTTPHeaders()
    for (name, value) in response.headers.fields where !hopByHop.contains(name) { headers.add(name, value) }
    return HTTPResponse(status: response.status, headers: headers, body: response.body)
  }
}
