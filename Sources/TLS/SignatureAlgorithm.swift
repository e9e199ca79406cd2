// The signature algorithms of JSON Web Signature (RFC 7518 §3.1), and the curves and forms of signature they stand on.

import COpenSSL

/// How a token is signed.
public enum SignatureAlgorithm: String, Sendable, CaseIterable {
  /// ECDSA; the signature is r and s side by side, each as wide as a coordinate.
  case es256 = "ES256"
  case es384 = "ES384"
  case es512 = "ES512"
  /// RSASSA-PKCS1-v1_5.
  case rs256 = "RS256"
  case rs384 = "RS384"
  case rs512 = "RS512"
  /// RSASSA-PSS, the salt as long as the digest.
  case ps256 = "PS256"
  case ps384 = "PS384"
  case ps512 = "PS512"

  /// The keys that can.
  enum Family: Hashable {
    case ecdsa(EllipticCurve)
    case rsa

    var usualAlgorithm: SignatureAlgorithm {
      switch self {
      case .rsa: .rs256
      case .ecdsa(.p256): .es256
      case .ecdsa(.p384): .es384
      case .ecdsa(.p521): .es512
      }
    }
  }

  var family: Family {
    switch self {
    case .es256: .ecdsa(.p256)
    case .es384: .ecdsa(.p384)
    case .es512: .ecdsa(.p521)
    case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa
    }
  }

  var digest: OpaquePointer? {
    switch self {
    case .es256, .rs256, .ps256: EVP_sha256()
    case .es384, .rs384, .ps384: EVP_sha384()
    case .es512, .rs512, .ps512: EVP_sha512()
    }
  }

  /// Tells OpenSSL which of RSA's two paddings is meant; false where it cannot.
  func setPadding(of parameters: OpaquePointer?) -> Bool {
    switch self {
    case .ps256, .ps384, .ps512:
      EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1
        && EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1
    case .rs256, .rs384, .rs512: EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PADDING) == 1
    case .es256, .es384, .es512: true
    }
  }
}

/// The curves of NIST that sign tokens, by their names in JSON Web Keys (RFC 7518 §6.2.1.1).
public enum EllipticCurve: String, Sendable, CaseIterable {
  case p256 = "P-256"
  case p384 = "P-384"
  case p521 = "P-521"

  /// OpenSSL calls a key's curve by the names of SECG, and takes either.
  init?(groupName: String) {
    switch groupName {
    case "prime256v1", "P-256": self = .p256
    case "secp384r1", "P-384": self = .p384
    case "secp521r1", "P-521": self = .p521
    default: return nil
    }
  }

  /// For OpenSSL, which keeps the pointer.
  var name: StaticString {
    switch self {
    case .p256: "P-256"
    case .p384: "P-384"
    case .p521: "P-521"
    }
  }

  var coordinateBytes: Int {
    switch self {
    case .p256: 32
    case .p384: 48
    case .p521: 66
    }
  }
}

/// The two forms of an ECDSA signature: OpenSSL's DER, and r and s side by side.
enum ECDSASignature {
  static func raw(fromDER der: [UInt8], _ curve: EllipticCurve) throws(TLSError) -> [UInt8] {
    let numberBytes = curve.coordinateBytes
    var next: UnsafePointer<UInt8>?
    let signature = der.withUnsafeBufferPointer { bytes in
      next = bytes.baseAddress
      return d2i_ECDSA_SIG(nil, &next, bytes.count)
    }
    defer { ECDSA_SIG_free(signature) }
    var raw = [UInt8](repeating: 0, count: 2 * numberBytes)
    let isWritten = raw.withUnsafeMutableBufferPointer { raw in
      BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw.baseAddress, Int32(numberBytes)) == numberBytes
        && BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw.baseAddress! + numberBytes, Int32(numberBytes)) == numberBytes
    }
    guard signature != nil, isWritten else { throw ErrorQueue.unusable("not an ECDSA signature") }
    return raw
  }

  static func der(fromRaw raw: [UInt8], _ curve: EllipticCurve) -> [UInt8]? {
    let numberBytes = curve.coordinateBytes
    guard raw.count == 2 * numberBytes else { return nil }
    let signature = ECDSA_SIG_new()
    defer { ECDSA_SIG_free(signature) }
    raw.withUnsafeBufferPointer { raw in
      let r = BN_bin2bn(raw.baseAddress, Int32(numberBytes), nil)
      let s = BN_bin2bn(raw.baseAddress! + numberBytes, Int32(numberBytes), nil)
      // Takes ownership of both.
      ECDSA_SIG_set0(signature, r, s)
    }
    return encodedDER { i2d_ECDSA_SIG(signature, $0) }
  }
}
