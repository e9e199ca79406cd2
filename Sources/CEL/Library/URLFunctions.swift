// URLs: url('https://…').getHost().

/// A URL as Go's `url.ParseRequestURI` reads it: absolute, or a path that begins with a slash.
struct CELURL: CELOpaque, Hashable {
  let original: String
  let scheme: String
  let host: String
  let path: String
  let query: String

  var typeName: String { "kubernetes.URL" }
  func equals(_ other: any CELOpaque) -> Bool {
    guard let other = other as? CELURL else { return false }
    return scheme == other.scheme && host == other.host && path == other.path && query == other.query
  }

  struct Problem: Error {
    let message: String
  }

  init(_ text: String) throws(Problem) {
    guard !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else {
      throw Self.problem(text, "net/url: invalid control character in URL")
    }
    guard !text.isEmpty else { throw Self.problem(text, "empty url") }
    original = text
    var rest = Substring(text)
    scheme = try Self.scheme(&rest, of: text)
    guard rest.hasPrefix("/") else { throw Self.problem(text, "invalid URI for request") }
    if let mark = rest.firstIndex(of: "?") {
      query = String(rest[rest.index(after: mark)...])
      rest = rest[..<mark]
    } else {
      query = ""
    }
    if rest.hasPrefix("//"), !scheme.isEmpty {
      rest = rest.dropFirst(2)
      var authority = rest.prefix { $0 != "/" }
      rest = rest.dropFirst(authority.count)
      if let at = authority.lastIndex(of: "@") { authority = authority[authority.index(after: at)...] }
      host = try Self.host(authority, of: text)
    } else {
      host = ""
    }
    path = try Self.escaped(rest, of: text)
  }

  private static func problem(_ text: String, _ why: String) -> Problem {
    Problem(message: "parse \(TextFunctions.quoted(text)): \(why)")
  }

  private static func scheme(_ rest: inout Substring, of text: String) throws(Problem) -> String {
    guard let colon = rest.firstIndex(of: ":") else { return "" }
    let name = rest[..<colon]
    guard !name.isEmpty else { throw problem(text, "missing protocol scheme") }
    guard let first = name.unicodeScalars.first, ("a"..."z").contains(first) || ("A"..."Z").contains(first),
      name.unicodeScalars.allSatisfy({ $0.isIdentifierPart && $0 != "_" || $0 == "+" || $0 == "-" || $0 == "." })
    else { return "" }
    rest = rest[rest.index(after: colon)...]
    return name.lowercased()
  }

  private static func host(_ authority: Substring, of text: String) throws(Problem) -> String {
    var port = Substring()
    if authority.hasPrefix("[") {
      guard let end = authority.lastIndex(of: "]") else { throw problem(text, "missing ']' in host") }
      port = authority[authority.index(after: end)...]
    } else if let colon = authority.lastIndex(of: ":") {
      port = authority[colon...]
    }
    guard port.isEmpty || port.first == ":" && port.dropFirst().utf8.allSatisfy({ (48...57).contains($0) }) else {
      throw problem(text, "invalid port \(TextFunctions.quoted(String(port))) after host")
    }
    if let wrong = authority.unicodeScalars.first(where: { " <>\"\\^`{|}".unicodeScalars.contains($0) }) {
      throw problem(text, "invalid character \(TextFunctions.quoted(String(Character(wrong)))) in host name")
    }
    return String(authority)
  }

  /// The path with everything escaped that has to be.
  private static func escaped(_ path: Substring, of text: String) throws(Problem) -> String {
    var out = ""
    let bytes = Array(path.utf8)
    var place = 0
    while place < bytes.count {
      let byte = bytes[place]
      if byte == 0x25 {
        let isHex = place + 2 < bytes.count && bytes[place + 1].hexValue != nil && bytes[place + 2].hexValue != nil
        guard isHex else {
          let part = String(decoding: bytes[place..<min(place + 3, bytes.count)], as: UTF8.self)
          throw problem(text, "invalid URL escape \(TextFunctions.quoted(part))")
        }
      }
      if byte <= 0x20 || byte >= 0x7f || "\"<>\\^`{|}".utf8.contains(byte) {
        out += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      } else {
        out.unicodeScalars.append(Unicode.Scalar(byte))
      }
      place += 1
    }
    return out
  }

  /// The host without its port and without brackets.
  var hostname: String {
    if host.hasPrefix("["), let end = host.lastIndex(of: "]") {
      return String(host[host.index(after: host.startIndex)..<end])
    }
    return String(host.prefix { $0 != ":" })
  }

  var port: String {
    let afterBracket = host.hasPrefix("[") ? host.lastIndex(of: "]").map { host[$0...] } ?? host[...] : host[...]
    guard let colon = afterBracket.lastIndex(of: ":") else { return "" }
    return String(afterBracket[afterBracket.index(after: colon)...])
  }

  /// Values by name, in order.
  var queryValues: [(name: String, values: [String])] {
    var found: [(name: String, values: [String])] = []
    var places: [String: Int] = [:]
    for pair in query.split(separator: "&") where !pair.contains(";") {
      let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = Self.unescaped(parts[0]), let value = Self.unescaped(parts.count > 1 ? parts[1] : "") else {
        continue
      }
      if let place = places[name] {
        found[place].values.append(value)
      } else {
        places[name] = found.count
        found.append((name, [value]))
      }
    }
    return found
  }

  private static func unescaped(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      switch byte {
      case 0x2b: bytes.append(0x20)
      case 0x25:
        guard let high = rest.popFirst()?.hexValue, let low = rest.popFirst()?.hexValue else { return nil }
        bytes.append(high << 4 | low)
      default: bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}

extension UInt8 {
  fileprivate var hexValue: UInt8? {
    switch self {
    case 48...57: self - 48
    case 65...70: self - 55
    case 97...102: self - 87
    default: nil
    }
  }
}

enum URLFunctions {
  private static let url = CELType.named("kubernetes.URL")

  static let all: [CELFunction] = [
    CELFunction("url", [CELOverload("string_to_url", [.string], url)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("url", arguments) }
      do throws(CELURL.Problem) { return .opaque(try CELURL(text)) } catch {
        throw CELError("URL parse error during conversion from string: \(error.message)")
      }
    },
    CELFunction("isURL", [CELOverload("is_url_string", [.string], .bool)]) { arguments throws(CELError) in
      guard let text = arguments[0].text else { throw .noSuchOverload("isURL", arguments) }
      return .bool((try? CELURL(text)) != nil)
    },
    property("getScheme", "url_get_scheme") { .string($0.scheme) },
    property("getHost", "url_get_host") { .string($0.host) },
    property("getHostname", "url_get_hostname") { .string($0.hostname) },
    property("getPort", "url_get_port") { .string($0.port) },
    property("getEscapedPath", "url_get_escaped_path") { .string($0.path) },
    property("getQuery", "url_get_query", .map(.string, .list(.string))) { url in
      var entries = CELEntries()
      for (name, values) in url.queryValues {
        _ = entries.insert(.string(name), .string(name), .list(.values(values.map { .string($0) })))
      }
      return .map(.values(entries))
    },
  ]

  private static func property(
    _ name: String, _ id: String, _ type: CELType = .string, _ value: @escaping @Sendable (CELURL) -> CELValue
  ) -> CELFunction {
    CELFunction(name, [.member(id, [url], type)]) { arguments throws(CELError) in
      guard case .opaque(let opaque) = arguments[0], let url = opaque as? CELURL else {
        throw .noSuchOverload(name, arguments)
      }
      return value(url)
    }
  }
}
