// The token with which a server joins: whom to trust, and the proof of being allowed to.
import TLS
import World

/// `trireme::SHA256-OF-THE-AUTHORITY::ID.SECRET`: the joiner compares the first part with the authority it is shown
/// before it says the second, so that a token never reaches somebody else's server.
struct JoinToken: Sendable, Equatable {
  /// SHA-256 of the cluster's authority certificate (DER), lower-case hexadecimal.
  var authority: String
  /// Public: names the Secret that keeps the token.
  var id: String
  var secret: String

  /// As Kubernetes' bootstrap tokens have them: 82 bits of chance.
  static let idLength = 6
  static let secretLength = 16
  private static let letters = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
  private static let prefix = "trireme::"

  init(authority: String, id: String, secret: String) {
    self.authority = authority
    self.id = id
    self.secret = secret
  }

  init?(_ text: String) {
    guard text.hasPrefix(Self.prefix) else { return nil }
    let rest = text.dropFirst(Self.prefix.count)
    guard let hash = rest.split(separator: ":", maxSplits: 1).first, hash.utf8.count == 64,
      hash.utf8.allSatisfy({ (48...57).contains($0) || (97...102).contains($0) }),
      rest.dropFirst(64).hasPrefix("::"), let pair = Self.parse(credential: String(rest.dropFirst(66)))
    else { return nil }
    self.init(authority: String(hash), id: pair.id, secret: pair.secret)
  }

  /// "id.secret": what is sent to a server that has proven who it is.
  static func parse(credential: String) -> (id: String, secret: String)? {
    let parts = credential.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2, parts[0].utf8.count == idLength, parts[1].utf8.count == secretLength,
      parts.allSatisfy({ $0.utf8.allSatisfy(letters.contains) })
    else { return nil }
    return (parts[0], parts[1])
  }

  static func generate(authority: Certificate) -> JoinToken {
    JoinToken(authority: authority.fingerprint, id: text(idLength), secret: text(secretLength))
  }

  var credential: String { "\(id).\(secret)" }
  var text: String { "\(Self.prefix)\(authority)::\(credential)" }

  private static func text(_ length: Int) -> String {
    var text: [UInt8] = []
    while text.count < length {
      // 252 is the largest multiple of 36 in a byte: no letter is likelier than another.
      for byte in Crypto.random(length * 2) where byte < 252 && text.count < length {
        text.append(letters[Int(byte) % letters.count])
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
