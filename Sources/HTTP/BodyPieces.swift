// A body of known length that is made while it goes out, so that a large answer never lies in memory as a whole.

/// Pieces that follow one another. Making one must not block; it happens on the loop of the connection that sends it.
public struct BodyPieces: Sendable, Sequence {
  /// Length of all of them in bytes.
  public let byteCount: Int
  private let count: Int
  private let make: @Sendable (Int) -> [UInt8]

  /// - Parameters:
  ///   - count: how many pieces there are.
  ///   - byteCount: their length in all; what is announced to the client, hence exact.
  ///   - make: the piece at a place, from 0. Asked for in order, each once for each sender.
  public init(count: Int, byteCount: Int, make: @escaping @Sendable (Int) -> [UInt8]) {
    (self.count, self.byteCount, self.make) = (count, byteCount, make)
  }

  /// Pieces that are there already.
  public init(_ pieces: [[UInt8]]) {
    self.init(count: pieces.count, byteCount: pieces.reduce(0) { $0 + $1.count }) { pieces[$0] }
  }

  /// All of them in one array.
  public func joined() -> [UInt8] {
    var all: [UInt8] = []
    all.reserveCapacity(byteCount)
    for piece in self { all += piece }
    return all
  }

  public struct Iterator: IteratorProtocol, Sendable {
    fileprivate let pieces: BodyPieces
    private var at = 0
    fileprivate init(_ pieces: BodyPieces) { self.pieces = pieces }

    public mutating func next() -> [UInt8]? {
      guard at < pieces.count else { return nil }
      defer { at += 1 }
      return pieces.make(at)
    }
  }
  public func makeIterator() -> Iterator { Iterator(self) }
}
