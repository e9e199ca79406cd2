// gzip (RFC 1951, 1952), written for what API servers send: much text that repeats itself, in a hurry. One look back
// for every place, as the fastest level of others does; a code of its own for every block.

/// Compresses a stream in pieces.
public struct GzipEncoder: Sendable {
  /// How far back a repetition may lie.
  private static let window = 32 << 10
  /// Bytes that share one code.
  private static let blockBytes = 128 << 10
  private static let tableBits = 15
  private static let matchMinimum = 4
  private static let matchMaximum = 258
  private static let endOfBlock = 256

  /// The bytes before this block that may be referred to, then the block.
  private var buffer: [UInt8] = []
  /// Where the block begins in `buffer`.
  private var start = 0
  /// Where a sequence of four bytes was seen last, by its hash; a place in `buffer`, -1 for nowhere.
  private var table = [Int32](repeating: -1, count: 1 << tableBits)
  private var checksum = CRC32()
  private var count: UInt32 = 0
  private var writer = BitWriter()

  public init() {
    buffer.reserveCapacity(Self.window + Self.blockBytes)
    // Magic, DEFLATE, no flags, no time, fastest, Unix.
    writer.append([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3])
  }

  /// Compresses further bytes; returns what is ready to be sent, which may be nothing.
  public mutating func compress(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    checksum.update(bytes)
    count = count &+ UInt32(truncatingIfNeeded: bytes.count)
    var rest = bytes
    while !rest.isEmpty {
      let part = rest.prefix(Self.blockBytes - (buffer.count - start))
      buffer += part
      rest = rest.dropFirst(part.count)
      if buffer.count - start == Self.blockBytes { writeBlock(isLast: false) }
    }
    return writer.take()
  }

  /// The end of the stream; nothing may be compressed afterwards.
  public mutating func finish() -> [UInt8] {
    writeBlock(isLast: true)
    writer.align()
    for value in [checksum.value, count] {
      writer.append((0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) })
    }
    return writer.take()
  }

  // MARK: Blocks

  /// A byte as it is, or a repetition: its length less 3 and its distance less 1, with the topmost bit.
  private typealias Token = UInt32

  private mutating func writeBlock(isLast: Bool) {
    var tokens: [Token] = []
    tokens.reserveCapacity((buffer.count - start) / 2 + 16)
    var literals = [UInt32](repeating: 0, count: 286)
    var distances = [UInt32](repeating: 0, count: 30)
    findTokens(&tokens)
    for token in tokens {
      if token < 256 {
        literals[Int(token)] += 1
      } else {
        literals[LengthCode(token).symbol] += 1
        distances[DistanceCode(token).symbol] += 1
      }
    }
    literals[Self.endOfBlock] = 1
    let code = HuffmanCode(frequencies: literals, limit: 15)
    let distanceCode = HuffmanCode(frequencies: distances, limit: 15)
    writer.reserve(for: tokens.count)
    writer.put(isLast ? 0b101 : 0b100, 3)
    BlockHeader(code, distanceCode).write(&writer)
    for token in tokens {
      if token < 256 {
        writer.put(code, Int(token))
        continue
      }
      let length = LengthCode(token)
      writer.put(code, length.symbol)
      writer.put(length.extra, length.extraBits)
      let distance = DistanceCode(token)
      writer.put(distanceCode, distance.symbol)
      writer.put(distance.extra, distance.extraBits)
    }
    writer.put(code, Self.endOfBlock)
    forget()
  }

  /// Keeps what later blocks may refer to.
  private mutating func forget() {
    let kept = min(Self.window, buffer.count)
    let dropped = buffer.count - kept
    if dropped > 0 {
      buffer.removeFirst(dropped)
      table.withUnsafeMutableBufferPointer { table in
        let shift = Int32(dropped)
        for index in table.indices { table[index] = max(-1, table[index] - shift) }
      }
    }
    start = kept
  }

  private mutating func findTokens(_ tokens: inout [Token]) {
    let start = start
    buffer.withUnsafeBufferPointer { bytes in
      table.withUnsafeMutableBufferPointer { table in
        let base = UnsafeRawPointer(bytes.baseAddress.unsafelyUnwrapped)
        let end = bytes.count
        var place = start
        // Four bytes are read at once: the last three stand for themselves.
        let last = end - Self.matchMinimum
        while place <= last {
          let word = base.loadUnaligned(fromByteOffset: place, as: UInt32.self)
          let hash = Int(truncatingIfNeeded: (word &* 2_654_435_761) >> UInt32(32 - Self.tableBits))
          let candidate = Int(table[hash])
          table[hash] = Int32(truncatingIfNeeded: place)
          guard candidate >= 0, place - candidate <= Self.window,
            base.loadUnaligned(fromByteOffset: candidate, as: UInt32.self) == word
          else {
            tokens.append(Token(bytes[place]))
            place += 1
            continue
          }
          let length = Self.matchLength(base, candidate, place, min(Self.matchMaximum, end - place))
          tokens.append(1 << 31 | Token(length - 3) << 16 | Token(place - candidate - 1))
          // The middle of a repetition is remembered too, so that the next may begin there.
          let middle = place + length / 2
          if middle <= last {
            let word = base.loadUnaligned(fromByteOffset: middle, as: UInt32.self)
            table[Int(truncatingIfNeeded: (word &* 2_654_435_761) >> UInt32(32 - Self.tableBits))] = Int32(
              truncatingIfNeeded: middle)
          }
          place += length
        }
        while place < end {
          tokens.append(Token(bytes[place]))
          place += 1
        }
      }
    }
  }

  /// Bytes from `place` that equal those from `candidate`; the first four do.
  private static func matchLength(_ base: UnsafeRawPointer, _ candidate: Int, _ place: Int, _ limit: Int) -> Int {
    var length = matchMinimum
    while length + 8 <= limit {
      let difference =
        base.loadUnaligned(fromByteOffset: candidate + length, as: UInt64.self)
        ^ base.loadUnaligned(fromByteOffset: place + length, as: UInt64.self)
      if difference != 0 { return length + UInt64(littleEndian: difference).trailingZeroBitCount / 8 }
      length += 8
    }
    while length < limit,
      base.load(fromByteOffset: candidate + length, as: UInt8.self)
        == base.load(fromByteOffset: place + length, as: UInt8.self)
    {
      length += 1
    }
    return length
  }
}

/// The symbol of a length and the bits that follow it (RFC 1951 §3.2.5).
private struct LengthCode {
  let symbol: Int
  let extra: UInt32
  let extraBits: Int

  init(_ token: UInt32) {
    let length = token >> 16 & 0xff
    guard length >= 4, length < 255 else {
      symbol = length == 255 ? 285 : 257 + Int(length)
      extra = 0
      extraBits = 0
      return
    }
    let top = 31 - length.leadingZeroBitCount
    extraBits = top - 2
    symbol = 257 + 4 * (top - 1) + Int(length >> UInt32(extraBits) & 3)
    extra = length & (1 << UInt32(extraBits) - 1)
  }
}

/// The same of a distance.
private struct DistanceCode {
  let symbol: Int
  let extra: UInt32
  let extraBits: Int

  init(_ token: UInt32) {
    let distance = token & 0x7fff
    guard distance >= 4 else {
      symbol = Int(distance)
      extra = 0
      extraBits = 0
      return
    }
    let top = 31 - distance.leadingZeroBitCount
    extraBits = top - 1
    symbol = 2 * top + Int(distance >> UInt32(extraBits) & 1)
    extra = distance & (1 << UInt32(extraBits) - 1)
  }
}

/// The codes of a block, told by their lengths, which are coded themselves (RFC 1951 §3.2.7).
private struct BlockHeader {
  private static let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
  private let literals: Int
  private let distances: Int
  private var runs: [(symbol: Int, extra: UInt32, extraBits: Int)] = []

  init(_ code: HuffmanCode, _ distanceCode: HuffmanCode) {
    func used(_ lengths: [UInt8], atLeast minimum: Int) -> Int {
      max(minimum, (lengths.lastIndex { $0 > 0 } ?? 0) + 1)
    }
    literals = used(code.lengths, atLeast: 257)
    distances = used(distanceCode.lengths, atLeast: 1)
    let lengths = Array(code.lengths[..<literals] + distanceCode.lengths[..<distances])
    var place = 0
    while place < lengths.count {
      let length = lengths[place]
      let run = lengths[place...].prefix { $0 == length }.count
      if length == 0, run >= 3 {
        let count = min(run, 138)
        runs.append(count < 11 ? (17, UInt32(count - 3), 3) : (18, UInt32(count - 11), 7))
        place += count
      } else if run >= 4 {
        let count = min(run - 1, 6)
        runs += [(Int(length), 0, 0), (16, UInt32(count - 3), 2)]
        place += count + 1
      } else {
        runs.append((Int(length), 0, 0))
        place += 1
      }
    }
  }

  func write(_ writer: inout BitWriter) {
    var frequencies = [UInt32](repeating: 0, count: 19)
    for run in runs { frequencies[run.symbol] += 1 }
    let code = HuffmanCode(frequencies: frequencies, limit: 7)
    let count = max(4, (Self.order.lastIndex { code.lengths[$0] > 0 } ?? 0) + 1)
    writer.put(UInt32(literals - 257), 5)
    writer.put(UInt32(distances - 1), 5)
    writer.put(UInt32(count - 4), 4)
    for symbol in Self.order[..<count] { writer.put(UInt32(code.lengths[symbol]), 3) }
    for run in runs {
      writer.put(code, run.symbol)
      writer.put(run.extra, run.extraBits)
    }
  }
}

/// Bits in bytes, the lowest first.
private struct BitWriter {
  private var bytes: [UInt8] = []
  private var pending: UInt64 = 0
  private var pendingBits = 0

  /// Room for so many tokens, most of which take less than three bytes.
  mutating func reserve(for tokens: Int) { bytes.reserveCapacity(bytes.count + 3 * tokens + 512) }

  @inline(__always) mutating func put(_ value: UInt32, _ bits: Int) {
    pending |= UInt64(value) << UInt64(pendingBits)
    pendingBits += bits
    while pendingBits >= 8 {
      bytes.append(UInt8(truncatingIfNeeded: pending))
      pending >>= 8
      pendingBits -= 8
    }
  }
  @inline(__always) mutating func put(_ code: HuffmanCode, _ symbol: Int) {
    put(UInt32(code.codes[symbol]), Int(code.lengths[symbol]))
  }

  mutating func align() { if pendingBits > 0 { put(0, 8 - pendingBits) } }
  /// Whole bytes, between bits that are whole bytes.
  mutating func append(_ more: [UInt8]) { bytes += more }

  mutating func take() -> [UInt8] {
    defer { bytes = [] }
    return bytes
  }
}
