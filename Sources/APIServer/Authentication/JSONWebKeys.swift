// JSON Web Tokens of others and the keys that sign them (RFC 7515, 7517, 7519).
import JSON
import Schema
import TLS

/// A token taken apart; nothing in it is true before its signature was verified.
struct JSONWebToken: Sendable {
  /// A token of an issuer is a few KiB; nobody makes us parse more.
  private static let bytesMaximum = 64 << 10

  let algorithm: String
  let keyID: String?
  let claims: JSONValue
  private let signed: String
  private let signature: [UInt8]

  /// nil for what is no token at all.
  init?(_ text: String) {
    guard text.utf8.count <= Self.bytesMaximum else { return nil }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let header = Crypto.decodeBase64URL(parts[0]).flatMap({ try? JSONValue(parsing: $0) }),
      let claims = Crypto.decodeBase64URL(parts[1]).flatMap({ try? JSONValue(parsing: $0) }), claims.object != nil,
      let signature = Crypto.decodeBase64URL(parts[2]), let algorithm = header["alg"].string
    else { return nil }
    // Extensions that must be understood and are not (RFC 7515 §4.1.11).
    guard header["crit"].isNull else { return nil }
    self.algorithm = algorithm
    keyID = header["kid"].string
    self.claims = claims
    self.signature = signature
    signed = "\(parts[0]).\(parts[1])"
  }

  func isSigned(by key: PublicKey) -> Bool {
    guard let algorithm = SignatureAlgorithm(rawValue: algorithm) else { return false }
    return key.verify(signature, of: signed.utf8, algorithm: algorithm)
  }
}

/// A key set: /openid/v1/jwks and its like.
struct JSONWebKeys: Sendable {
  /// Issuers publish a handful; every further one is another signature to try.
  private static let keysMaximum = 64

  private let keys: [(id: String?, key: PublicKey)]

  /// Keys for encryption and of kinds that sign no tokens are passed over.
  init(_ document: JSONValue) {
    keys = document["keys"].elements.prefix(Self.keysMaximum).compactMap { key in
      guard key["use"].isNull || key["use"] == "sig", let parameters = Self.parameters(key),
        let made = try? PublicKey(parameters: parameters)
      else { return nil }
      return (key["kid"].string, made)
    }
  }

  private static func parameters(_ key: JSONValue) -> PublicKey.Parameters? {
    func number(_ member: String) -> [UInt8]? { key[member].string.flatMap { Crypto.decodeBase64URL($0) } }
    switch key["kty"] {
    case "RSA":
      guard let modulus = number("n"), let exponent = number("e") else { return nil }
      return .rsa(modulus: modulus, exponent: exponent)
    case "EC":
      guard let curve = key["crv"].string.flatMap(EllipticCurve.init(rawValue:)), let x = number("x"),
        let y = number("y")
      else { return nil }
      return .ellipticCurve(curve, x: x, y: y)
    default: return nil
    }
  }

  /// Whether one of the keys that the token may mean has signed it.
  func haveSigned(_ token: JSONWebToken) -> Bool {
    keys.contains { (token.keyID == nil || $0.id == nil || $0.id == token.keyID) && token.isSigned(by: $0.key) }
  }
}
