// Canonical Huffman codes as DEFLATE wants them (RFC 1951 §3.2.2): lengths from frequencies, codes from lengths.

/// The code of one alphabet.
struct HuffmanCode {
  /// Bits of each symbol's code; 0 for symbols that do not occur.
  private(set) var lengths: [UInt8]
  /// The codes, bits reversed: DEFLATE writes them from the other end.
  private(set) var codes: [UInt16]

  /// Lengths for these frequencies, none above `limit`. At least two symbols get a code, so that a reader has a tree.
  init(frequencies: [UInt32], limit: Int) {
    lengths = [UInt8](repeating: 0, count: frequencies.count)
    codes = [UInt16](repeating: 0, count: frequencies.count)
    var symbols = frequencies.indices.filter { frequencies[$0] > 0 }
    for symbol in frequencies.indices where symbols.count < 2 && frequencies[symbol] == 0 { symbols.append(symbol) }
    symbols.sort { frequencies[$0] < frequencies[$1] }
    let counts = Self.limited(Self.depths(symbols.map { max(1, frequencies[$0]) }), to: limit)
    // The rarest symbols get the longest codes.
    var next = symbols.startIndex
    for length in stride(from: limit, to: 0, by: -1) {
      for _ in 0..<counts[length] {
        lengths[symbols[next]] = UInt8(length)
        next += 1
      }
    }
    assign(counts)
  }

  /// How many leaves of the Huffman tree lie at each depth; `weights` ascend.
  private static func depths(_ weights: [UInt32]) -> [Int] {
    // Leaves come from one queue, inner nodes from another; both ascend, so the two lightest stand at their heads.
    let leaves = weights.count
    var weight = weights.map(UInt64.init)
    var parent = [Int](repeating: 0, count: 2 * leaves - 1)
    weight.reserveCapacity(2 * leaves - 1)
    var (leaf, inner) = (0, leaves)
    for node in leaves..<(2 * leaves - 1) {
      var sum: UInt64 = 0
      for _ in 0..<2 {
        let takesLeaf = leaf < leaves && (inner >= node || weight[leaf] <= weight[inner])
        let child = takesLeaf ? leaf : inner
        if takesLeaf { leaf += 1 } else { inner += 1 }
        sum += weight[child]
        parent[child] = node
      }
      weight.append(sum)
    }
    var depth = [Int](repeating: 0, count: 2 * leaves - 1)
    var counts = [Int](repeating: 0, count: 64)
    for node in stride(from: 2 * leaves - 3, through: 0, by: -1) {
      depth[node] = depth[parent[node]] + 1
      if node < leaves { counts[min(depth[node], 63)] += 1 }
    }
    return counts
  }

  /// Moves leaves that are too deep up to the limit and makes room for them: a complete code again, a little longer.
  private static func limited(_ counts: [Int], to limit: Int) -> [Int] {
    var result = Array(counts[...limit])
    result[limit] += counts[(limit + 1)...].reduce(0, +)
    var used = (1...limit).reduce(0) { $0 + result[$1] << (limit - $1) }
    while used > 1 << limit {
      result[limit] -= 1
      let length = (1..<limit).last { result[$0] > 0 }
      guard let length else { preconditionFailure("a code of \(limit) bits cannot hold its symbols") }
      result[length] -= 1
      result[length + 1] += 2
      used -= 1
    }
    return result
  }

  private mutating func assign(_ counts: [Int]) {
    var next = [UInt16](repeating: 0, count: counts.count + 1)
    var code: UInt16 = 0
    for length in 1..<counts.count {
      code = (code + UInt16(length == 1 ? 0 : counts[length - 1])) << 1
      next[length] = code
    }
    for symbol in lengths.indices where lengths[symbol] > 0 {
      let length = Int(lengths[symbol])
      codes[symbol] = Self.reversed(next[length], length)
      next[length] += 1
    }
  }

  private static func reversed(_ code: UInt16, _ length: Int) -> UInt16 {
    var (code, result) = (code, UInt16(0))
    for _ in 0..<length {
      result = result << 1 | code & 1
      code >>= 1
    }
    return result
  }
}
