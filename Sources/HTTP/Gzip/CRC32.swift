/// The checksum of gzip (RFC 1952 §8), eight bytes at a time.
struct CRC32: Sendable {
  private static let tables: [[UInt32]] = {
    var tables = [[UInt32]](repeating: [UInt32](repeating: 0, count: 256), count: 8)
    for index in 0..<256 {
      var value = UInt32(index)
      for _ in 0..<8 { value = value & 1 == 1 ? 0xedb8_8320 ^ value >> 1 : value >> 1 }
      tables[0][index] = value
    }
    for index in 0..<256 {
      for table in 1..<8 {
        let before = tables[table - 1][index]
        tables[table][index] = tables[0][Int(before & 0xff)] ^ before >> 8
      }
    }
    return tables
  }()
  /// The tables, one after the other.
  private static let flat = tables.flatMap { $0 }

  private var state = UInt32.max
  var value: UInt32 { ~state }

  mutating func update(_ bytes: ArraySlice<UInt8>) {
    var state = state
    Self.flat.withUnsafeBufferPointer { table in
      bytes.withUnsafeBytes { bytes in
        var place = 0
        while place + 8 <= bytes.count {
          let low = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)) ^ state
          let high = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place + 4, as: UInt32.self))
          state = 0
          for byte in 0..<4 {
            state ^= table[(7 - byte) << 8 | Int(low >> UInt32(8 * byte) & 0xff)]
            state ^= table[(3 - byte) << 8 | Int(high >> UInt32(8 * byte) & 0xff)]
          }
          place += 8
        }
        while place < bytes.count {
          state = table[Int((state ^ UInt32(bytes[place])) & 0xff)] ^ state >> 8
          place += 1
        }
      }
    }
    self.state = state
  }
}
