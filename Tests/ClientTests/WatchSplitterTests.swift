import Testing

@testable import Client

@Suite struct WatchSplitterTests {
  private static let lines = ["{\"a\":1}\n", "{}\n", "{\"b\":\"more than eight bytes\"}\n", "[]\n"]

  /// What comes of bytes that arrive in pieces of `size`.
  private func split(_ text: String, pieces size: Int) -> [String] {
    let splitter = WatchSplitter()
    var seen: [String] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      splitter.append(Array(rest.prefix(size)))
      rest = rest.dropFirst(size)
      while let line = splitter.next() { seen.append(String(decoding: line, as: UTF8.self)) }
    }
    return seen
  }

  @Test func linesAreTheSameHoweverTheyArrive() {
    let text = Self.lines.joined()
    for size in 1...text.utf8.count { #expect(split(text, pieces: size) == Self.lines, "pieces of \(size)") }
  }

  @Test func blankLinesAreNone() {
    for size in 1...8 { #expect(split("\n\n{}\n\n\n[]\n\n", pieces: size) == ["{}\n", "[]\n"]) }
  }

  @Test func whatHasNotEndedIsNoLine() {
    #expect(split("{}\n{\"a\":", pieces: 4) == ["{}\n"])
    #expect(split("", pieces: 1) == [])
  }

  @Test func aLineThatComesAloneIsHandedOnAsItIs() {
    let splitter = WatchSplitter()
    for line in Self.lines {
      let bytes = Array(line.utf8)
      splitter.append(bytes)
      let seen = splitter.next()
      #expect(seen?.withUnsafeBufferPointer { $0.baseAddress } == bytes.withUnsafeBufferPointer { $0.baseAddress })
      #expect(splitter.next() == nil)
    }
  }
}
