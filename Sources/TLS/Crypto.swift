// Digests, authentication codes, authenticated encryption and random bytes, by OpenSSL.

import COpenSSL

public enum Crypto {
  public static func sha256(_ bytes: some Collection<UInt8>) -> [UInt8] { digest(bytes, 32) { SHA256($0, $1, $2) } }
  public static func sha512(_ bytes: some Collection<UInt8>) -> [UInt8] { digest(bytes, 64) { SHA512($0, $1, $2) } }

  private static func digest(
    _ bytes: some Collection<UInt8>, _ size: Int,
    _ function: (UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<UInt8>?) -> UnsafeMutablePointer<UInt8>?
  ) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: size) { digest, written in
      let done: Void? = bytes.withContiguousStorageIfAvailable {
        _ = function($0.baseAddress ?? UnsafePointer(digest.baseAddress!), $0.count, digest.baseAddress)
      }
      if done == nil { _ = function(Array(bytes), bytes.count, digest.baseAddress) }
      written = size
    }
  }

  /// HMAC with SHA-256.
  public static func hmacSHA256(key: [UInt8], _ message: some Collection<UInt8>) -> [UInt8] {
    let message = Array(message)
    return [UInt8](unsafeUninitializedCapacity: 32) { code, written in
      var length: UInt32 = 0
      HMAC(EVP_sha256(), key, Int32(key.count), message, message.count, code.baseAddress, &length)
      written = Int(length)
    }
  }

  /// Bytes nobody can guess, for keys and tokens.
  public static func random(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { bytes, written in
      let isDone = RAND_bytes(bytes.baseAddress, Int32(count)) == 1
      precondition(isDone || count == 0, "OpenSSL has no randomness")
      written = count
    }
  }

  /// A key or salt for data at rest. Never from a seed, not in a simulation either: what it protects may be kept.
  public static func secret(bytes: Int) -> [UInt8] { random(bytes) }

  /// Compares in a time that depends on the lengths alone: for secrets that a stranger offers.
  public static func isEqual(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
  }

  /// Lower-case hexadecimal.
  public static func hexadecimal(_ bytes: some Collection<UInt8>) -> String {
    String(unsafeUninitializedCapacity: bytes.count * 2) { text in
      var at = 0
      for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
          text[at] = nibble < 10 ? 48 + nibble : 87 + nibble
          at += 1
        }
      }
      return at
    }
  }
}

extension Crypto {
  private static let nonceBytes = 12
  private static let tagBytes = 16

  /// The algorithm, looked up once: by its name OpenSSL 3 searches its providers at every use. Shared by all threads;
  /// it never changes.
  private struct FetchedCipher: @unchecked Sendable {
    let cipher = EVP_CIPHER_fetch(nil, "AES-256-GCM", nil)
  }
  private static let aes256GCM = FetchedCipher()

  /// Encrypts with AES-256-GCM under a key of 32 bytes; `context` is authenticated but not contained (a row's key: a
  /// value moved to another row does not open). Returns nonce, ciphertext and tag. A key may seal 2^32 messages.
  public static func seal(_ message: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8] {
    Sealer(key: key).seal(message, nonce: random(nonceBytes), context: context, prefix: [])
  }

  /// Seals one message after the other under a key that nothing else seals with: nonces are counted, so that none comes
  /// twice, and cost no randomness. One thread at a time.
  public final class Sealer {
    private let cipher = EVP_CIPHER_CTX_new()
    /// How many messages it has sealed.
    public private(set) var seals: UInt64 = 0

    /// `key`: 32 bytes, drawn or derived for this sealer alone.
    public init(key: [UInt8]) {
      precondition(key.count == 32, "AES-256 has keys of 32 bytes")
      precondition(EVP_EncryptInit_ex(cipher, aes256GCM.cipher, nil, key, nil) == 1, "AES-256-GCM must work")
    }
    deinit { EVP_CIPHER_CTX_free(cipher) }

    /// `prefix`, and behind it what `Crypto.open` opens.
    public func seal(_ message: [UInt8], context: [UInt8], prefix: [UInt8] = []) -> [UInt8] {
      seals += 1
      let nonce = [0, 0, 0, 0] + withUnsafeBytes(of: seals.bigEndian) { Array($0) }
      return seal(message, nonce: nonce, context: context, prefix: prefix)
    }

    fileprivate func seal(
      _ message: [UInt8], nonce: [UInt8], context: [UInt8], prefix: [UInt8]
    ) -> [UInt8] {
      let head = prefix + nonce
      return [UInt8](unsafeUninitializedCapacity: head.count + message.count + tagBytes) { sealed, written in
        _ = sealed.update(fromContentsOf: head)
        let body = sealed.baseAddress! + head.count
        var count: Int32 = 0
        let isDone =
          EVP_EncryptInit_ex(cipher, nil, nil, nil, nonce) == 1
          && EVP_EncryptUpdate(cipher, nil, &count, context, Int32(context.count)) == 1
          && EVP_EncryptUpdate(cipher, body, &count, message, Int32(message.count)) == 1
          && EVP_EncryptFinal_ex(cipher, body + message.count, &count) == 1
          && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, Int32(tagBytes), body + message.count) == 1
        precondition(isDone, "AES-256-GCM must work")
        written = head.count + message.count + tagBytes
      }
    }
  }

  /// Decrypts what `seal` made; nil if key, context or bytes are not those.
  public static func open(_ sealed: [UInt8], key: [UInt8], context: [UInt8]) -> [UInt8]? {
    guard key.count == 32, sealed.count >= nonceBytes + tagBytes else { return nil }
    let cipher = EVP_CIPHER_CTX_new()
    defer {
      EVP_CIPHER_CTX_free(cipher)
      ERR_clear_error()
    }
    var tag = Array(sealed.suffix(tagBytes))
    let length = sealed.count - nonceBytes - tagBytes
    var message = [UInt8](repeating: 0, count: length + 1)
    var count: Int32 = 0
    let isGenuine = sealed.withUnsafeBufferPointer { sealed in
      message.withUnsafeMutableBufferPointer { message in
        EVP_DecryptInit_ex(cipher, aes256GCM.cipher, nil, key, sealed.baseAddress) == 1
          && EVP_DecryptUpdate(cipher, nil, &count, context, Int32(context.count)) == 1
          && EVP_DecryptUpdate(cipher, message.baseAddress, &count, sealed.baseAddress! + nonceBytes, Int32(length))
            == 1
          && EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, Int32(tagBytes), &tag) == 1
          && EVP_DecryptFinal_ex(cipher, message.baseAddress! + length, &count) == 1
      }
    }
    guard isGenuine else { return nil }
    message.removeLast()
    return message
  }
}
