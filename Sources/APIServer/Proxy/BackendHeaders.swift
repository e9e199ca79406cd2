// What of a client's request goes on to a kubelet or a pod, and what of its answer comes back.
import HTTP
import Schema

enum BackendHeaders {
  /// A hop's own business (RFC 9110 §7.6.1).
  private static let hopByHop: Set<String> = [
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "content-length", "host",
    "expect",
  ]

  /// Who asks is this server's affair: whoever is behind a backend must neither learn a client's credentials nor be told
  /// by a client who it is.
  private static func isCredential(_ name: String) -> Bool {
    name == "authorization" || name == "cookie" || name == "proxy-authorization" || name.hasPrefix("impersonate-")
      || name.hasPrefix("x-remote-")
  }

  /// `target`: path and query at the backend.
  static func request(_ request: HTTPRequest, target: String) -> HTTPRequest {
    var headers = HTTPHeaders()
    for (name, value) in request.headers.fields where !hopByHop.contains(name) && !isCredential(name) {
      if name == "sec-websocket-protocol" {
        // A bearer token may come as one of the protocols.
        let protocols = value.split(separator: ",").filter { !$0.contains("base64url.bearer.authorization.k8s.io.") }
        if !protocols.isEmpty { headers.add(name, protocols.joined(separator: ",")) }
      } else {
        headers.add(name, value)
      }
    }
    if let port = request.remoteAddress.lastIndex(of: ":") {
      headers.add("x-forwarded-for", String(request.remoteAddress[..<port]))
    }
    return HTTPRequest(method: request.method, target: target, headers: headers, body: request.body)
  }

  /// The backend's answer as the client gets it. A redirection is none: who follows it would go, with what the client
  /// sent, wherever the backend likes (CVE-2020-8559, CVE-2022-3172).
  static func response(_ response: HTTPResponse) -> HTTPResponse {
    if (300..<400).contains(response.status), response.headers["location"] != nil {
      discard(response)
      return HTTPResponse(
        status: 502, headers: ["content-type": "text/plain; charset=utf-8"],
        body: .bytes(Array("the backend attempted to redirect this request, which is not permitted".utf8)))
    }
    var response = response
    for name in ["keep-alive", "proxy-connection", "transfer-encoding", "content-length", "date"] {
      response.headers[name] = nil
    }
    if response.status != 101 { response.headers["connection"] = nil }
    response.tunnel = response.tunnel?.reversed
    return response
  }

  private static func discard(_ response: HTTPResponse) {
    if case .stream(let pipe) = response.body { pipe.cancel() }
  }
}
