// Keys: RSA and NIST's curves, in PEM, DER and numbers; signatures as JSON Web Tokens want them (RFC 7518).

import COpenSSL

/// Owns one `EVP_PKEY`; immutable after creation, so any thread may use it.
final class KeyHandle: @unchecked Sendable {
  let pointer: OpaquePointer
  init(_ pointer: OpaquePointer) { self.pointer = pointer }
  deinit { EVP_PKEY_free(pointer) }

  /// Nil for a kind of key that tokens do not use.
  var family: SignatureAlgorithm.Family? {
    switch EVP_PKEY_get_base_id(pointer) {
    case EVP_PKEY_RSA: .rsa
    case EVP_PKEY_EC: groupName.flatMap(EllipticCurve.init(groupName:)).map { .ecdsa($0) }
    default: nil
    }
  }

  private var groupName: String? {
    var name = [CChar](repeating: 0, count: 64)
    var length = 0
    guard EVP_PKEY_get_utf8_string_param(pointer, OSSL_PKEY_PARAM_GROUP_NAME, &name, name.count, &length) == 1 else {
      return nil
    }
    return String(decoding: name.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
}

/// A private key with its public half.
public struct PrivateKey: Sendable {
  let handle: KeyHandle

  init(_ handle: KeyHandle) { self.handle = handle }

  /// A new key on P-256: what certificates and tokens of the cluster use.
  public static func generateP256() throws(TLSError) -> PrivateKey { try generate(on: .p256) }

  /// A new key on a curve.
  public static func generate(on curve: EllipticCurve) throws(TLSError) -> PrivateKey {
    guard let key = trireme_generate_ec(curve.rawValue) else {
      throw ErrorQueue.unusable("cannot make a \(curve.rawValue) key")
    }
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

  /// How this key signs tokens unless told otherwise; nil for a kind of key that tokens do not use.
  public var algorithm: SignatureAlgorithm? { publicKey.algorithm }

  /// Signs `message` in the form that JSON Web Signature wants; by the key's usual algorithm unless another is given.
  /// Throws where the key is of another family.
  public func sign(
    _ message: some Collection<UInt8>, algorithm given: SignatureAlgorithm? = nil
  ) throws(TLSError) -> [UInt8] {
    guard let algorithm = given ?? self.algorithm, algorithm.family == handle.family else {
      throw .unusable("this kind of key signs no tokens\(given.map { " by \($0.rawValue)" } ?? "")")
    }
    let context = EVP_MD_CTX_new()
    defer { EVP_MD_CTX_free(context) }
    let message = Array(message)
    var signature = [UInt8](repeating: 0, count: Int(EVP_PKEY_get_size(handle.pointer)))
    var length = signature.count
    var parameters: OpaquePointer?
    guard EVP_DigestSignInit(context, &parameters, algorithm.digest, nil, handle.pointer) == 1,
      algorithm.setPadding(of: parameters), EVP_DigestSign(context, &signature, &length, message, message.count) == 1
    else { throw ErrorQueue.unusable("cannot sign") }
    signature.removeLast(signature.count - length)
    guard case .ecdsa(let curve) = algorithm.family else { return signature }
    return try ECDSASignature.raw(fromDER: signature, curve)
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

  /// How the private half signs tokens unless told otherwise; nil for a kind of key that tokens do not use.
  public var algorithm: SignatureAlgorithm? { handle.family?.usualAlgorithm }

  /// Whether `signature` is this key's over `message` by the given algorithm, which the caller chooses from what it
  /// trusts and never from the message itself.
  public func verify(
    _ signature: some Collection<UInt8>, of message: some Collection<UInt8>, algorithm: SignatureAlgorithm
  ) -> Bool {
    guard algorithm.family == handle.family else { return false }
    var signature = Array(signature)
    if case .ecdsa(let curve) = algorithm.family {
      guard let der = ECDSASignature.der(fromRaw: signature, curve) else { return false }
      signature = der
    }
    let message = Array(message)
    let context = EVP_MD_CTX_new()
    defer {
      EVP_MD_CTX_free(context)
      ERR_clear_error()
    }
    var parameters: OpaquePointer?
    return EVP_DigestVerifyInit(context, &parameters, algorithm.digest, nil, handle.pointer) == 1
      && algorithm.setPadding(of: parameters)
      && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
  }

  /// The numbers of the key, big-endian, as a JSON Web Key lists them.
  public enum Parameters: Sendable, Hashable {
    case ellipticCurve(EllipticCurve, x: [UInt8], y: [UInt8])
    case rsa(modulus: [UInt8], exponent: [UInt8])
  }

  /// Nil for a kind of key that tokens do not use.
  public var parameters: Parameters? {
    switch handle.family {
    case .ecdsa(let curve)?:
      let width = curve.coordinateBytes
      guard let x = number(OSSL_PKEY_PARAM_EC_PUB_X, width: width),
        let y = number(OSSL_PKEY_PARAM_EC_PUB_Y, width: width)
      else { return nil }
      return .ellipticCurve(curve, x: x, y: y)
    case .rsa?:
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
    case .ellipticCurve(let curve, let x, let y):
      let width = curve.coordinateBytes
      guard x.count == width, y.count == width else {
        throw .unusable("a \(curve.rawValue) key has two coordinates of \(width) bytes")
      }
      // An uncompressed point: 4, x, y (SEC 1, 2.3.3).
      let point = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 1 + 2 * width)
      defer { point.deallocate() }
      _ = point.initialize(fromContentsOf: [4] + x + y)
      guard OSSL_PARAM_BLD_push_utf8_string(builder, Self.text("group"), Self.text(curve.name), 0) == 1,
        OSSL_PARAM_BLD_push_octet_string(builder, Self.text("pub"), point.baseAddress, point.count) == 1
      else { throw ErrorQueue.unusable("not a \(curve.rawValue) key") }
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
