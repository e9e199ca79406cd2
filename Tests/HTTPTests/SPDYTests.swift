import Testing

@testable import HTTP

@Suite struct SPDYTests {
  private static let reply: [UInt8] = [0x80, 3, 0, 2, 0, 0, 0, 6, 0, 0, 0, 5, 9, 9]
  private static let data: [UInt8] = [0, 0, 0, 5, 0, 0, 0, 2, 0x68, 0x69]
  private static let last: [UInt8] = [0, 0, 0, 5, 1, 0, 0, 0]
  private static let reset: [UInt8] = [0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0, 3]
  private static let ping: [UInt8] = [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 2]
  private static let goAway: [UInt8] = [0x80, 3, 0, 7, 0, 0, 0, 8, 0, 0, 0, 5, 0, 0, 0, 0]
  private static let window: [UInt8] = [0x80, 3, 0, 9, 0, 0, 0, 8, 0, 0, 0, 5, 0, 1, 0, 0]

  /// Draft 3.1 of the protocol, §2.2 and §2.6, however the bytes come.
  @Test(arguments: [1, 2, 3, 7, 1000]) func framesAreFoundInPiecesOfAnySize(size: Int) throws {
    let bytes = Self.reply + Self.data + Self.reset + Self.ping + Self.window + Self.goAway + Self.last
    var decoder = SPDYDecoder()
    var frames: [SPDYFrame] = []
    for start in stride(from: 0, to: bytes.count, by: size) {
      decoder.append(Array(bytes[start..<min(start + size, bytes.count)]))
      while let frame = try decoder.next() { frames.append(frame) }
    }
    #expect(
      frames == [
        .reply(stream: 5, isFinal: false), .data(stream: 5, bytes: [0x68, 0x69], isFinal: false),
        .reset(stream: 7, status: 3), .ping(2), .other(type: 9), .goAway(status: 0),
        .data(stream: 5, bytes: [], isFinal: true),
      ])
  }

  @Test(
    arguments: [
      [0x80, 2, 0, 2, 0, 0, 0, 4, 0, 0, 0, 5], [0x80, 3, 0, 2, 0, 0, 0, 2, 0, 0], [0, 0, 0, 1, 0, 0xFF, 0xFF, 0xFF],
      [0x80, 3, 0, 1, 0, 0, 0, 0], [0x80, 3, 0, 7, 0, 0, 0, 4, 0, 0, 0, 1],
    ] as [[UInt8]])
  func breachesOfTheProtocolAreErrors(bytes: [UInt8]) {
    var decoder = SPDYDecoder()
    decoder.append(bytes)
    #expect(throws: SPDYError.self) { try decoder.next() }
  }

  /// A block of headers is stored, not compressed: zlib's own check of dictionary and lengths is in the clients' tests.
  @Test func aStreamIsOpenedWithHeadersThatAnyDecompressorReads() {
    var encoder = SPDYEncoder()
    let (stream, frame) = encoder.open([("streamtype", "error")])
    let plain: [UInt8] = [0, 0, 0, 1, 0, 0, 0, 10] + Array("streamtype".utf8) + [0, 0, 0, 5] + Array("error".utf8)
    let stored: [UInt8] = [0, UInt8(plain.count), 0, ~UInt8(plain.count), 0xFF] + plain + [0, 0, 0, 0xFF, 0xFF]
    let first: [UInt8] = [0x78, 0x20, 0xE3, 0xC6, 0xA7, 0xC2] + stored
    #expect(stream == 1)
    #expect(frame == [0x80, 3, 0, 1, 0, 0, 0, UInt8(first.count + 10), 0, 0, 0, 1, 0, 0, 0, 0, 0, 0] + first)
    // The dictionary is named once.
    let (second, next) = encoder.open([("streamtype", "error")])
    #expect(second == 3 && Array(next[18...]) == stored)
    #expect(SPDYEncoder.data([1, 2], on: 3) == [0, 0, 0, 3, 0, 0, 0, 2, 1, 2])
    #expect(SPDYEncoder.data([], on: 3, isFinal: true) == [0, 0, 0, 3, 1, 0, 0, 0])
    #expect(SPDYEncoder.ping(2) == Self.ping)
  }
}
