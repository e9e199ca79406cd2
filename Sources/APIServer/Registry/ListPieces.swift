// A list in JSON, joined from its objects' stored bytes while it goes out: what a list costs in memory is one piece,
// however many objects it has and however many clients ask at once.
import HTTP

/// The items of a list as they will be sent.
struct ListPieces: Sendable {
  /// Items are joined into pieces of about this size: a few TLS records, and small enough to stay in a processor's cache
  /// until they are encrypted.
  private static let pieceBytes = 64 << 10
  private static let itemsOpen: [UInt8] = Array(",\"items\":[".utf8)
  private static let end: [UInt8] = Array("]}".utf8)

  private let head: [UInt8]
  private let items: [[UInt8]]
  private let typePrefix: [UInt8]
  /// The first item of each piece, and its length. There is one piece even for no item.
  private var starts: [(item: Int, bytes: Int)] = []

  /// - Parameters:
  ///   - head: the list without its items, an object that is not empty.
  ///   - item: the object at a place in JSON; asked for once each, in order.
  ///   - typePrefix: how items begin that say of what kind they are, which a list does not; empty if they may say it.
  ///   - untyped: the item at a place, without its kind; asked for where an item does not begin with the prefix.
  static func body(
    head: [UInt8], count: Int, typePrefix: [UInt8], item: (Int) -> [UInt8], untyped: (Int) -> [UInt8]
  ) -> BodyPieces {
    let list = ListPieces(head: head, count: count, typePrefix: typePrefix, item: item, untyped: untyped)
    return BodyPieces(count: list.starts.count, byteCount: list.starts.reduce(0) { $0 + $1.bytes }) { list.piece($0) }
  }

  private init(
    head: [UInt8], count: Int, typePrefix: [UInt8], item: (Int) -> [UInt8], untyped: (Int) -> [UInt8]
  ) {
    self.head = head.dropLast() + Self.itemsOpen
    self.typePrefix = typePrefix
    // One look at each: with thousands of objects, what it costs is to reach them in memory.
    var items: [[UInt8]] = []
    items.reserveCapacity(count)
    var bytes = self.head.count
    var start = 0
    for at in 0..<count {
      if bytes > Self.pieceBytes {
        starts.append((start, bytes))
        (start, bytes) = (at, 0)
      }
      var item = item(at)
      if Self.begins(item, with: typePrefix) {
        bytes += item.count - typePrefix.count + (typePrefix.isEmpty ? 0 : 1)
      } else {
        item = untyped(at)
        bytes += item.count
      }
      items.append(item)
      if at > 0 { bytes += 1 }
    }
    starts.append((start, bytes + Self.end.count))
    self.items = items
  }

  private func piece(_ number: Int) -> [UInt8] {
    let isLast = number + 1 == starts.count
    var piece: [UInt8] = []
    piece.reserveCapacity(starts[number].bytes)
    if number == 0 { piece += head }
    for at in starts[number].item..<(isLast ? items.count : starts[number + 1].item) {
      if at > 0 { piece.append(UInt8(ascii: ",")) }
      if !typePrefix.isEmpty, Self.begins(items[at], with: typePrefix) {
        piece.append(UInt8(ascii: "{"))
        piece += items[at][typePrefix.count...]
      } else {
        piece += items[at]
      }
    }
    if isLast { piece += Self.end }
    return piece
  }

  private static func begins(_ item: [UInt8], with prefix: [UInt8]) -> Bool {
    guard item.count >= prefix.count else { return false }
    return item.withUnsafeBytes { item in prefix.withUnsafeBytes { item.prefix($0.count).elementsEqual($0) } }
  }
}
