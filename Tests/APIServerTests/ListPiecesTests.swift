// Lists are joined while they go out; here, what comes out is held against joining them at once.
import HTTP
import Testing

@testable import APIServer

@Suite struct ListPiecesTests {
  static let prefix = Array(#"{"kind":"Pod","apiVersion":"v1","#.utf8)
  static let head = Array(#"{"kind":"PodList","apiVersion":"v1","metadata":{}}"#.utf8)

  /// Items of many lengths, one in three without the prefix if told so.
  private func items(
    _ count: Int, _ length: (Int) -> Int, withoutPrefix: Bool
  ) -> (items: [[UInt8]], rests: [[UInt8]]) {
    let rests = (0..<count).map { Array(#""n":\#($0),"s":"\#(String(repeating: "x", count: length($0)))"}"#.utf8) }
    let items = rests.enumerated().map { at, rest in
      (withoutPrefix && at % 3 == 2 ? Array(#"{"apiVersion":"v1","kind":"Pod","#.utf8) : Self.prefix) + rest
    }
    return (items, rests)
  }

  @Test(arguments: [0, 1, 2, 3, 64, 65, 1000], [false, true])
  func whatIsJoinedInPiecesIsWhatIsJoinedAtOnce(count: Int, withoutPrefix: Bool) {
    for length in [{ _ in 0 }, { $0 % 3000 }, { $0 == 2 ? 200_000 : 10 }] as [(Int) -> Int] {
      let (items, rests) = items(count, length, withoutPrefix: withoutPrefix)
      var untyped = 0
      let body = ListPieces.body(
        head: Self.head, count: count, typePrefix: Self.prefix, item: { items[$0] },
        untyped: { at in
          untyped += 1
          return [UInt8(ascii: "{")] + rests[at]
        })
      let expected =
        Self.head.dropLast() + Array(#","items":["#.utf8)
        + rests.map { [UInt8(ascii: "{")] + $0 }.joined(separator: [UInt8(ascii: ",")]) + Array("]}".utf8)
      #expect(body.joined() == expected)
      #expect(body.byteCount == expected.count)
      #expect(untyped == (withoutPrefix ? count / 3 : 0))
      let longest = 1 + (rests.map(\.count).max() ?? 0)
      #expect(body.allSatisfy { $0.count <= 65536 + longest + 3 })
    }
  }

  @Test func itemsThatMaySayOfWhatKindTheyAreGoOutAsTheyAre() {
    let (items, _) = items(300, { $0 * 7 }, withoutPrefix: true)
    let body = ListPieces.body(
      head: Self.head, count: items.count, typePrefix: [], item: { items[$0] },
      untyped: { _ in
        Issue.record("asked for an item without its kind")
        return []
      })
    let expected =
      Self.head.dropLast() + Array(#","items":["#.utf8) + items.joined(separator: [UInt8(ascii: ",")])
      + Array("]}".utf8)
    #expect(body.joined() == expected && body.byteCount == expected.count)
    #expect(Array(body).count > 3)
  }
}
