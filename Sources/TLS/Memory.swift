// OpenSSL's memory BIOs as arrays: text and DER in, text and DER out.

import COpenSSL

/// Runs `body` with a BIO that reads `bytes`.
func withInput<Result>(_ bytes: some Sequence<UInt8>, _ body: (OpaquePointer?) -> Result) -> Result {
  let bytes = Array(bytes)
  return bytes.withUnsafeBytes { bytes in
    let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count))
    defer { BIO_free(bio) }
    return body(bio)
  }
}

/// What `body` writes into a BIO; nil if it fails.
func output(_ body: (OpaquePointer?) -> Int32) -> [UInt8]? {
  let bio = BIO_new(BIO_s_mem())
  defer { BIO_free(bio) }
  guard body(bio) == 1 else { return nil }
  var start: UnsafeMutablePointer<CChar>?
  let count = trireme_BIO_get_mem_data(bio, &start)
  return Array(UnsafeRawBufferPointer(start: start, count: count))
}

/// The DER form of an object, by its `i2d` function.
func encodedDER(_ encode: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> Int32) -> [UInt8] {
  let count = encode(nil)
  guard count > 0 else { return [] }
  return [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, written in
    var next = buffer.baseAddress
    written = Int(encode(&next))
  }
}

/// The elements of one of OpenSSL's stacks, borrowed.
func elements(_ stack: OpaquePointer?) -> [OpaquePointer] {
  guard let stack else { return [] }
  return (0..<OPENSSL_sk_num(stack)).compactMap { OPENSSL_sk_value(stack, $0).map { OpaquePointer($0) } }
}
