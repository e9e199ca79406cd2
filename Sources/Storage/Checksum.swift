// The one checksum of the store: XXH64 (Y. Collet, "xxHash fast digest algorithm", specification 0.1.1), 64 bits, so
// that `xxhsum -H1` finds the same value. It guards every log entry and row, and chains the running hash of the state.

/// XXH64 of `bytes` under `seed`. Not cryptographic: it finds damage, not malice.
public func xxh64(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
  var rest = bytes[...]
  var hash: UInt64
  if bytes.count >= 32 {
    var (a, b) = (seed &+ prime1 &+ prime2, seed &+ prime2)
    var (c, d) = (seed, seed &- prime1)
    var offset = 0
    let stripes = bytes.count / 32 * 32
    while offset < stripes {
      a = round(a, word(bytes, offset))
      b = round(b, word(bytes, offset + 8))
      c = round(c, word(bytes, offset + 16))
      d = round(d, word(bytes, offset + 24))
      offset += 32
    }
    hash = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
    for lane in [a, b, c, d] { hash = (hash ^ round(0, lane)) &* prime1 &+ prime4 }
    rest = bytes[stripes...]
  } else {
    hash = seed &+ prime5
  }
  return finish(hash &+ UInt64(bytes.count), UnsafeRawBufferPointer(rebasing: rest))
}

/// XXH64 of an array of bytes.
public func xxh64(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
  bytes.withUnsafeBytes { xxh64($0, seed: seed) }
}

private let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
private let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
private let prime3: UInt64 = 0x1656_67B1_9E37_79F9
private let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
private let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

@inline(__always) private func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 {
  (value &<< bits) | (value &>> (64 - bits))
}

@inline(__always) private func round(_ lane: UInt64, _ input: UInt64) -> UInt64 {
  rotate(lane &+ input &* prime2, 31) &* prime1
}

@inline(__always) private func word(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
  UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
}

/// The last 0 to 31 bytes and the avalanche.
private func finish(_ start: UInt64, _ rest: UnsafeRawBufferPointer) -> UInt64 {
  var hash = start
  var offset = 0
  while offset + 8 <= rest.count {
    hash = rotate(hash ^ round(0, word(rest, offset)), 27) &* prime1 &+ prime4
    offset += 8
  }
  if offset + 4 <= rest.count {
    let half = UInt64(UInt32(littleEndian: rest.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    hash = rotate(hash ^ (half &* prime1), 23) &* prime2 &+ prime3
    offset += 4
  }
  while offset < rest.count {
    hash = rotate(hash ^ (UInt64(rest[offset]) &* prime5), 11) &* prime1
    offset += 1
  }
  hash = (hash ^ (hash &>> 33)) &* prime2
  hash = (hash ^ (hash &>> 29)) &* prime3
  return hash ^ (hash &>> 32)
}
