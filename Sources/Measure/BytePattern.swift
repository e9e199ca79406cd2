// Finding a few bytes in many (Horspool): looks at about one byte in the pattern's length.

public struct BytePattern: Sendable {
  private let bytes: [UInt8]
  private let skips: [Int]

  public init(_ text: String) {
    bytes = Array(text.utf8)
    precondition(!bytes.isEmpty, "nothing is everywhere")
    var skips = [Int](repeating: bytes.count, count: 256)
    for (place, byte) in bytes.dropLast().enumerated() { skips[Int(byte)] = bytes.count - 1 - place }
    self.skips = skips
  }

  /// Where the pattern ends in `text`, the first time that it is there.
  public func end(in text: UnsafeRawBufferPointer) -> Int? {
    let last = bytes.count - 1
    var start = 0
    while start + last < text.count {
      var place = last
      while text[start + place] == bytes[place] {
        guard place > 0 else { return start + bytes.count }
        place -= 1
      }
      start += skips[Int(text[start + last])]
    }
    return nil
  }
}
