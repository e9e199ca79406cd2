// Where a paged list goes on: revision and key, nothing of the server that made it.
import JSON
import Replica
import Schema

struct ContinueToken: Sendable, Hashable {
  /// The revision of the first page; nil continues in whatever is current (after a 410).
  var revision: Revision?
  /// The last key of the page before.
  var namespace: String
  var name: String

  private static let version = "meta.k8s.io/v1"

  init(revision: Revision?, after key: ObjectKey) {
    self.revision = revision
    namespace = key.namespace
    name = key.name
  }

  init(parsing text: String) throws(APIStatus) {
    guard let bytes = Base64URL.decode(text) else {
      throw Self.invalid(": illegal base64 data at input byte \(Base64URL.firstMistake(in: text))")
    }
    let tree: JSONValue
    do throws(JSONParseError) { tree = try JSONValue(parsing: bytes) } catch { throw Self.invalid(": \(error)") }
    guard let version = tree["v"].string, version == Self.version else {
      throw Self.invalid(": server does not recognize this encoded version \"\(tree["v"].string ?? "")\"")
    }
    guard let revision = tree["rv"].integer, revision >= -1, revision != 0 else {
      throw Self.invalid(": incorrect encoded start resourceVersion (version \(version))")
    }
    guard let start = tree["start"].string, let slash = start.firstIndex(of: "/") else {
      throw Self.invalid(": encoded start key empty (version \(version))")
    }
    self.revision = revision < 0 ? nil : UInt64(revision)
    namespace = String(start[..<slash])
    name = String(start[start.index(after: slash)...])
  }

  private static func invalid(_ why: String) -> APIStatus {
    .badRequest("invalid continue token: continue key is not valid\(why)")
  }

  var text: String {
    let tree: JSONValue = [
      "v": .string(Self.version), "rv": .integer(revision.map { Int64($0) } ?? -1),
      "start": .string("\(namespace)/\(name)"),
    ]
    return Base64URL.encode(tree.bytes)
  }
}

/// Base64 with the alphabet of URLs, without padding (RFC 4648 §5).
enum Base64URL {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  static func encode(_ bytes: [UInt8]) -> String {
    var out: [UInt8] = []
    out.reserveCapacity((bytes.count * 4 + 2) / 3)
    var index = 0
    while index < bytes.count {
      let count = min(3, bytes.count - index)
      var word: UInt32 = 0
      for offset in 0..<3 { word = word << 8 | (offset < count ? UInt32(bytes[index + offset]) : 0) }
      for offset in 0...count { out.append(alphabet[Int(word >> UInt32(18 - 6 * offset)) & 63]) }
      index += 3
    }
    return String(decoding: out, as: UTF8.self)
  }

  /// Where a text that does not decode stops making sense.
  static func firstMistake(in text: String) -> Int {
    let count = text.utf8.count
    return text.utf8.enumerated().first { !alphabet.contains($0.element) }?.offset ?? max(count - 1, 0)
  }

  static func decode(_ text: String) -> [UInt8]? {
    var out: [UInt8] = []
    var word: UInt32 = 0
    var bits = 0
    for byte in text.utf8 {
      let value: UInt8
      switch byte {
      case 0x41...0x5a: value = byte - 0x41
      case 0x61...0x7a: value = byte - 0x61 + 26
      case 0x30...0x39: value = byte - 0x30 + 52
      case 0x2d: value = 62
      case 0x5f: value = 63
      default: return nil
      }
      word = word << 6 | UInt32(value)
      bits += 6
      if bits >= 8 {
        bits -= 8
        out.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
        word &= (1 << UInt32(bits)) - 1
      }
    }
    return word == 0 && bits < 6 ? out : nil
  }
}
