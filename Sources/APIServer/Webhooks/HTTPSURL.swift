// https:// addresses of others, taken apart.

/// Host, port and what follows them.
struct HTTPSURL: Sendable, Hashable {
  /// Without brackets.
  let host: String
  let port: UInt16
  /// Host and port as they were written.
  let authority: String
  /// Begins with "/"; the query is part of it. "" where the URL ends behind its authority.
  let path: String

  /// nil for anything that is no https URL.
  init?(_ text: String) {
    guard text.hasPrefix("https://") else { return nil }
    let rest = text.dropFirst("https://".count)
    let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
    guard !authority.isEmpty, !authority.contains("@") else { return nil }
    var host = authority
    var port: UInt16? = 443
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { return nil }
      host = authority[authority.index(after: authority.startIndex)..<end]
      let behind = authority[authority.index(after: end)...]
      if !behind.isEmpty { port = behind.hasPrefix(":") ? UInt16(behind.dropFirst()) : nil }
    } else if let colon = authority.firstIndex(of: ":") {
      host = authority[..<colon]
      port = UInt16(authority[authority.index(after: colon)...])
    }
    guard let port, !host.isEmpty else { return nil }
    self.host = String(host)
    self.port = port
    self.authority = String(authority)
    let tail = rest[authority.endIndex...].prefix { $0 != "#" }
    path = tail.hasPrefix("?") ? "/\(tail)" : String(tail)
  }

  /// Where to connect; `authorityPEM` as of `WebhookTarget`.
  func target(authorityPEM: String) -> WebhookTarget {
    WebhookTarget(host: host, port: port, serverName: host, authorityPEM: authorityPEM)
  }
}
