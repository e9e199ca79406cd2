// Bytes on the wire that no client sends: HTTP/1.1 and HTTP/2 with broken framing.

/// What one connection says, in pieces.
public struct WireFuzz: Sendable {
  public enum Language: String, Sendable { case http1 = "http/1.1", http2 = "h2" }
  public var language: Language
  public var pieces: [[UInt8]]

  /// The connection of that number in a run.
  public init(seed: UInt64, number: Int) {
    var random = FuzzRandom(seed: seed ^ 0x7769_7265, case: number)
    language = random.percent(50) ? .http1 : .http2
    var bytes = language == .http1 ? Self.http1(&random) : Self.http2(&random)
    if random.percent(60) { _ = ByteMutation.mutate(&bytes, &random) }
    pieces = []
    while !bytes.isEmpty, pieces.count < 8 {
      let count = random.percent(70) ? bytes.count : 1 + random.below(bytes.count)
      pieces.append(Array(bytes.prefix(count)))
      bytes.removeFirst(count)
    }
  }

  // MARK: HTTP/1.1

  private static func http1(_ random: inout FuzzRandom) -> [UInt8] {
    var text = ""
    for _ in 0...random.below(3) {
      let method = random.pick(["GET", "POST", "PUT", "PATCH", "get", "", "G\0T", String(repeating: "A", count: 9000)])
      let target = random.pick([
        "/api/v1/pods", "/version", "*", "http://a/", "", "/%zz", "/\u{1}", "/" + String(repeating: "a", count: 70_000),
      ])
      text += "\(method) \(target) \(random.pick(["HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", ""]))\r\nHost: a\r\n"
      for _ in 0..<random.below(5) {
        text += random.pick([
          "Content-Length: 5\r\n", "Content-Length: -1\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n",
          "Content-Length: 99999999999999999999\r\n",
          "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip, chunked\r\n",
          "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
          "Expect: 100-continue\r\n", "Connection: upgrade\r\nUpgrade: websocket\r\n", "Connection: close\r\n",
          " folded\r\n", ":\r\n", "A\r\n",
          "X: \(String(repeating: "y", count: 1 << random.below(18)))\r\n", "Host: b\r\n",
          "Authorization: Bearer \u{0}\r\n",
          String(repeating: "a: b\r\n", count: 300),
        ])
      }
      text += "\r\n"
      text += random.pick([
        "", "hello", "5\r\nhello\r\n0\r\n\r\n", "ffffffffffffffffff\r\n", "5;ext=1\r\nhel", "0\r\nTrailer: x\r\n\r\n",
        "-1\r\n",
      ])
    }
    return Array(text.utf8)
  }

  // MARK: HTTP/2

  private static func http2(_ random: inout FuzzRandom) -> [UInt8] {
    var bytes = random.percent(95) ? Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) : []
    if random.percent(90) { bytes += frame(type: 4, flags: 0, stream: 0, []) }
    for _ in 0..<(1 + random.below(30)) {
      let stream = UInt32(random.pick([0, 1, 1, 3, 5, 2, 7, 0x7fff_ffff]))
      switch random.below(11) {
      case 0, 1, 2:
        bytes += frame(type: 1, flags: random.pick([0x4, 0x5, 0x0, 0x25, 0xff]), stream: stream, headerBlock(&random))
      case 3: bytes += frame(type: 0, flags: random.pick([0, 1, 8]), stream: stream, junk(&random, 2000))
      case 4: bytes += frame(type: 3, flags: 0, stream: stream, [0, 0, 0, 8])
      case 5: bytes += frame(type: 4, flags: random.pick([0, 1]), stream: stream, settings(&random))
      case 6: bytes += frame(type: 6, flags: random.pick([0, 1]), stream: 0, junk(&random, 16))
      case 7:
        bytes += frame(
          type: 8, flags: 0, stream: stream, random.pick([[0, 0, 0, 0], [0x7f, 0xff, 0xff, 0xff], [0, 0, 0, 1]]))
      case 8: bytes += frame(type: 9, flags: random.pick([0, 4]), stream: stream, headerBlock(&random))
      case 9: bytes += frame(type: 7, flags: 0, stream: 0, [0, 0, 0, 0, 0, 0, 0, 0])
      default:
        bytes += frame(
          type: UInt8(random.below(256)), flags: UInt8(random.below(256)), stream: stream, junk(&random, 64))
      }
    }
    return bytes
  }

  private static func frame(type: UInt8, flags: UInt8, stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
    let count = payload.count
    return [
      UInt8(truncatingIfNeeded: count >> 16), UInt8(truncatingIfNeeded: count >> 8), UInt8(truncatingIfNeeded: count),
      type, flags,
      UInt8(truncatingIfNeeded: stream >> 24), UInt8(truncatingIfNeeded: stream >> 16),
      UInt8(truncatingIfNeeded: stream >> 8),
      UInt8(truncatingIfNeeded: stream),
    ] + payload
  }

  private static func junk(_ random: inout FuzzRandom, _ maximum: Int) -> [UInt8] {
    (0..<random.below(maximum)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
  }

  private static func settings(_ random: inout FuzzRandom) -> [UInt8] {
    (0..<random.below(6)).flatMap { _ in
      [0, UInt8(random.below(10))] + (0..<4).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }
  }

  /// HPACK: the static table's GET, "/", https; literals, and what is none of it.
  private static func headerBlock(_ random: inout FuzzRandom) -> [UInt8] {
    var block: [UInt8] = random.percent(80) ? [0x82, 0x84, 0x87] : []
    for _ in 0..<random.below(6) {
      switch random.below(6) {
      case 0: block += [0x41, 0x01, 0x61]
      case 1: block += [0x40, 0x01, 0x78, 0x7f, 0xff, 0xff, 0xff, 0x0f]
      case 2: block += [0x3f, 0xe1, 0xff, 0xff, 0x0f]
      case 3: block += [0x00, 0x03, 0x61, 0x3a, 0x62, 0x01, 0x00]
      case 4: block += [0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]
      default: block += junk(&random, 40)
      }
    }
    return block
  }

  /// What is wrong with what a server said to it; nil when nothing is.
  public static func check(_ answer: [UInt8], _ language: Language) -> String? {
    guard language == .http1 else { return nil }
    let text = String(decoding: answer.prefix(4000), as: UTF8.self)
    for line in text.split(separator: "\r\n") where line.hasPrefix("HTTP/1.1 5") && !line.hasPrefix("HTTP/1.1 505") {
      if !line.hasPrefix("HTTP/1.1 501") { return String(line) }
    }
    return nil
  }
}
