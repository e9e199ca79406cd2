// How OpenSSL reads and writes a TLSStream's ciphertext: a BIO without memory of its own.

import COpenSSL

/// OpenSSL's view of a TLSStream.
enum StreamBIO {
  /// A kind of BIO, made once; OpenSSL only reads it.
  nonisolated(unsafe) static let method: OpaquePointer = {
    guard let method = BIO_meth_new(BIO_get_new_index() | Int32(BIO_TYPE_SOURCE_SINK), "trireme stream") else {
      preconditionFailure("out of memory")
    }
    BIO_meth_set_read(method) { bio, bytes, count in
      let stream = StreamBIO.owner(of: bio)
      trireme_BIO_clear_retry_flags(bio)
      let taken = min(Int(count), stream.input.count)
      guard taken > 0, let bytes else {
        trireme_BIO_set_retry_read(bio)
        return -1
      }
      UnsafeMutableRawPointer(bytes).copyMemory(from: stream.input.baseAddress!, byteCount: taken)
      stream.input = UnsafeRawBufferPointer(rebasing: stream.input[taken...])
      return Int32(taken)
    }
    BIO_meth_set_write(method) { bio, bytes, count in
      trireme_BIO_clear_retry_flags(bio)
      StreamBIO.owner(of: bio).send(UnsafeRawBufferPointer(start: bytes, count: Int(count)))
      return count
    }
    BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return method
  }()

  private static func owner(of bio: OpaquePointer?) -> TLSStream {
    Unmanaged<TLSStream>.fromOpaque(BIO_get_data(bio).unsafelyUnwrapped).takeUnretainedValue()
  }
}
