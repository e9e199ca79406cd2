// Keys: P-256 and RSA, in PEM and DER; signatures as JSON Web Tokens want them (RFC 7518).

import COpenSSL

/// Signature algorithms of JSON Web Signature.
public enum SignatureAlgorithm: String, Sendable {
  /// ECDSA on P-256 with SHA-256; the signature is r and s, 32 bytes each.
  case es256 = "ES256"
  /// RSASSA-PKCS1-v1_5 with SHA-256.
  case rs256 = "RS256"
}

/// Owns one `EVP_PKEY`; immutable after creation, so any thread may use it.
final class KeyHandle: @unchecked Sendable {
  let pointer: OpaquePointer
  init(_ pointer: OpaquePointer) { self.pointer = pointer }
  deinit { EVP_PKEY_free(pointer) }

  var algorithm: SignatureAlgorithm? {
    switch EVP_PKEY_get_base_id(pointer) {
    case EVP_PKEY_EC where EVP_PKEY_get_bits(pointer) == 256: .es256
    case EVP_PKEY_RSA: .rs256
    default: nil
    }
  }
}

/// A private key with its public half.
public struct PrivateKey: Sendable {
  let handle: KeyHandle

  init(_ handle: KeyHandle) { self.handle = handle }

  /// A new key on P-256: what certificates and tokens of the cluster use.
  public static func generateP256() throws(TLSError) -> PrivateKey {
    guard let key = trireme_generate_p256() else { throw ErrorQueue.unusable("cannot make a P-256 key") }
    return PrivateKey(KeyHandle(key))
  }

  /// A new RSA key; costs a tenth of a second or more of CPU.
  public static func generateRSA(bits: Int = 2048) throws(TLSError) -> PrivateKey {
    guard let key = trireme_generate_rsa(bits) else { throw ErrorQueue.unusable("cannot make an RSA key") }
    return PrivateKey(KeyHandle(key))
  }

  /// Reads an unencrypted key: "PRIVATE KEY", "EC PRIVATE KEY" or "RSA PRIVATE KEY".
  public init(pem: String) throws(TLSError) {
    guard let key = withInput(pem.utf8, { trireme_PEM_read_private_key($0) }) else {
      throw ErrorQueue.unusable("not a PEM private key")
    }
    handle = KeyHandle(key)
  }

  /// PKCS #8 in PEM, not encrypted.
  public var pem: String {
    let bytes = output { PEM_write_bio_PKCS8PrivateKey($0, handle.pointer, nil, nil, 0, nil, nil) }
    return String(decoding: bytes ?? [], as: UTF8.self)
  }

  public var publicKey: PublicKey { PublicKey(handle) }

  /// How this key signs tokens; nil for a kind of key that tokens do not use.
  public var algorithm: SignatureAlgorithm? { handle.algorithm }

  /// Signs the SHA-256 of `message` in the form that JSON Web Signature wants for the kind of key.
  public func sign(_ message: some Collection<UInt8>) throws(TLSError) -> [UInt8] {
    guard let algorithm else { throw .unusable("this kind of key signs no tokens") }
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    let message = Array(message)
    var length = 0
    var signature = [UInt8](repeating: 0, count: Int(EVP_PKEY_get_size(handle.pointer)))
    length = signature.count
    guard EVP_DigestSignInit(context, nil, EVP_sha256(), nil, handle.pointer) == 1,
      EVP_DigestSign(context, &signature, &length, message, message.count) == 1
    else { throw ErrorQueue.unusable("cannot sign") }
    signature.removeLast(signature.count - length)
    return algorithm == .es256 ? try ECDSASignature.raw(fromDER: signature) : signature
  }
}

/// A public key.
public struct PublicKey: Sendable {
  let handle: KeyHandle

  init(_ handle: KeyHandle) { self.handle = handle }

  /// Reads a "PUBLIC KEY", or takes the public half of a private key or certificate.
  public init(pem: String) throws(TLSError) {
    if let key = withInput(pem.utf8, { PEM_read_bio_PUBKEY($0, nil, nil, nil) }) {
      handle = KeyHandle(key)
      return
    }
    ERR_clear_error()
    if let key = try? PrivateKey(pem: pem) {
      handle = key.handle
      return
    }
    guard let certificate = try? Certificate(pem: pem) else { throw .unusable("not a PEM public key") }
    handle = certificate.publicKey.handle
  }

  /// SubjectPublicKeyInfo in DER.
  public var der: [UInt8] { encodedDER { i2d_PUBKEY(handle.pointer, $0) } }

  /// SubjectPublicKeyInfo in PEM.
  public var pem: String {
    String(decoding: output { PEM_write_bio_PUBKEY($0, handle.pointer) } ?? [], as: UTF8.self)
  }

  /// What signs with the private half; nil for a kind of key that tokens do not use.
  public var algorithm: SignatureAlgorithm? { handle.algorithm }

  /// Whether `signature` is this key's over `message` by the given algorithm, which the caller chooses from what it
  /// trusts and never from the message itself.
  public func verify(
    _ signature: some Collection<UInt8>, of message: some Collection<UInt8>, algorithm: SignatureAlgorithm
  ) -> Bool {
    guard algorithm == self.algorithm else { return false }
    var signature = Array(signature)
    if algorithm == .es256 {
      guard let der = ECDSASignature.der(fromRaw: signature) else { return false }
      signature = der
    }
    let message = Array(message)
    let context = EVP_MD_CTX_new()
    defer {
      EVP_MD_CTX_free(context)
      ERR_clear_error()
    }
    return EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, handle.pointer) == 1
      && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
  }

  /// The numbers of the key, big-endian, as a JSON Web Key lists them.
  public enum Parameters: Sendable, Hashable {
    case ellipticCurveP256(x: [UInt8], y: [UInt8])
    case rsa(modulus: [UInt8], exponent: [UInt8])
  }

  /// Nil for a kind of key that tokens do not use.
  public var parameters: Parameters? {
    switch algorithm {
    case .es256?:
      guard let x = number(OSSL_PKEY_PARAM_EC_PUB_X, width: 32), let y = number(OSSL_PKEY_PARAM_EC_PUB_Y, width: 32)
      else { return nil }
      return .ellipticCurveP256(x: x, y: y)
    case .rs256?:
      guard let modulus = number(OSSL_PKEY_PARAM_RSA_N), let exponent = number(OSSL_PKEY_PARAM_RSA_E) else {
        return nil
      }
      return .rsa(modulus: modulus, exponent: exponent)
    case nil: return nil
    }
  }

  private func number(_ name: String, width: Int? = nil) -> [UInt8]? {
    var value: OpaquePointer?
    guard EVP_PKEY_get_bn_param(handle.pointer, name, &value) == 1 else { return nil }
    defer { BN_free(value) }
    let count = width ?? Int(BN_num_bits(value) + 7) / 8
    var bytes = [UInt8](repeating: 0, count: count)
    return BN_bn2binpad(value, &bytes, Int32(count)) == count ? bytes : nil
  }
}

extension PublicKey {
  /// The key of a JSON Web Key.
  public init(parameters: Parameters) throws(TLSError) {
    // The builder keeps the pointers it is given until it is asked for the result: names and text are static, numbers
    // and the point are kept here.
    let builder = OSSL_PARAM_BLD_new()
    defer { OSSL_PARAM_BLD_free(builder) }
    switch parameters {
    case .rsa(let modulus, let exponent):
      let numbers = [modulus, exponent].map { (bytes: [UInt8]) in BN_bin2bn(bytes, Int32(clamping: bytes.count), nil) }
      defer { for number in numbers { BN_free(number) } }
      guard OSSL_PARAM_BLD_push_BN(builder, Self.text("n"), numbers[0]) == 1,
        OSSL_PARAM_BLD_push_BN(builder, Self.text("e"), numbers[1]) == 1
      else { throw ErrorQueue.unusable("not an RSA key") }
      handle = try Self.make("RSA", builder)
    case .ellipticCurveP256(let x, let y):
      guard x.count == 32, y.count == 32 else { throw .unusable("a P-256 key has two coordinates of 32 bytes") }
      // An uncompressed point: 4, x, y (SEC 1, 2.3.3).
      let point = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 65)
      defer { point.deallocate() }
      _ = point.initialize(fromContentsOf: [4] + x + y)
      guard OSSL_PARAM_BLD_push_utf8_string(builder, Self.text("group"), Self.text("P-256"), 0) == 1,
        OSSL_PARAM_BLD_push_octet_string(builder, Self.text("pub"), point.baseAddress, point.count) == 1
      else { throw ErrorQueue.unusable("not a P-256 key") }
      handle = try Self.make("EC", builder)
    }
  }

  private static func text(_ text: StaticString) -> UnsafePointer<CChar> {
    UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
  }

  private static func make(_ kind: String, _ builder: OpaquePointer?) throws(TLSError) -> KeyHandle {
    guard let parameters = OSSL_PARAM_BLD_to_param(builder) else {
      throw ErrorQueue.unusable("not a \(kind) key")
    }
    defer { OSSL_PARAM_free(parameters) }
    let context = EVP_PKEY_CTX_new_from_name(nil, kind, nil)
    defer { EVP_PKEY_CTX_free(context) }
    var key: OpaquePointer?
    guard EVP_PKEY_fromdata_init(context) == 1,
      trireme_EVP_PKEY_public_fromdata(context, &key, parameters) == 1, let key
    else { throw ErrorQueue.unusable("not a \(kind) key") }
    return KeyHandle(key)
  }
}

/// The two forms of an ECDSA signature: OpenSSL's DER, and r and s side by side.
private enum ECDSASignature {
  private static let numberBytes = 32

  static func raw(fromDER der: [UInt8]) throws(TLSError) -> [UInt8] {
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

  static func der(fromRaw raw: [UInt8]) -> [UInt8]? {
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
