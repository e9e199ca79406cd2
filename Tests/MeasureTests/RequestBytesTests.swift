import Testing

@testable import Measure

@Suite struct RequestBytesTests {
  private let template = RequestTemplate(
    "POST", "/api/v1/things/t-{key}", body: Array(#"{"name":"t-{key}","turn":"{turn}"}"#.utf8),
    headers: [(name: "content-type", value: "application/json")], status: 201)
  private let shared = [(name: "user-agent", value: "bench")]

  private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  @Test func numbersAreWrittenIntoTheBytes() {
    let request = HTTP1Requests.encode(template, authority: "host:1", shared: shared)
    var output: [UInt8] = []
    request.append(to: &output, key: 42, turn: 999_999_999)
    request.append(to: &output, key: 7, turn: 0)
    let body = #"{"name":"t-000000042","turn":"999999999"}"#
    var first = "POST /api/v1/things/t-000000042 HTTP/1.1\r\nhost: host:1\r\nuser-agent: bench\r\n"
    first += "content-type: application/json\r\ncontent-length: \(body.utf8.count)\r\n\r\n"
    first += body
    let sent = text(output)
    #expect(sent.hasPrefix(first))
    #expect(sent.hasSuffix(#"{"name":"t-000000007","turn":"000000000"}"#))
  }

  @Test func aRequestIsAFrameOfHeadersAndFramesOfData() throws {
    let request = HTTP2Requests.encode(template, authority: "host:1", shared: shared, isFirst: false)
    var output: [UInt8] = []
    request.append(to: &output, key: 5, turn: 6, stream: 0x0102_0305)
    var kinds: [UInt8] = []
    var body: [UInt8] = []
    var head: [UInt8] = []
    var reader = HTTP2FrameReader()
    output.withUnsafeBytes { bytes in
      reader.read(bytes) { frame in
        kinds.append(frame.kind)
        #expect(frame.stream == 0x0102_0305)
        if frame.kind == 0 { body += frame.payload } else { head += frame.payload }
      }
    }
    #expect(kinds == [1, 0])
    #expect(text(body) == #"{"name":"t-000000005","turn":"000000006"}"#)
    // POST, https, the path as a literal, then the shared headers by their places: the newest is 62.
    let path = "/api/v1/things/t-000000005"
    var expected: [UInt8] = [0x83, 0x87, 0x04, UInt8(path.utf8.count)]
    expected += Array(path.utf8)
    expected += [0xbf, 0xbe]
    let beginning = Array(head.prefix(expected.count))
    #expect(beginning == expected)
  }

  @Test func theFirstRequestTeachesTheSharedHeaders() {
    let first = HTTP2Requests.encode(template, authority: "host:1", shared: shared, isFirst: true).bytes
    #expect(text(first).contains("host:1"))
    #expect(text(first).contains("user-agent"))
  }

  @Test func aLongBodyIsSentInFramesThatEveryServerTakes() {
    let long = RequestTemplate("POST", "/x", body: [UInt8](repeating: 120, count: 40_000), status: 201)
    let request = HTTP2Requests.encode(long, authority: "a", shared: [], isFirst: true)
    var output: [UInt8] = []
    request.append(to: &output, key: 0, turn: 0, stream: 1)
    var sizes: [Int] = []
    var ends: [Bool] = []
    var reader = HTTP2FrameReader()
    output.withUnsafeBytes {
      reader.read($0) { frame in
        guard frame.kind == 0 else { return }
        sizes.append(frame.payload.count)
        ends.append(frame.endsStream)
      }
    }
    #expect(sizes == [16_384, 16_384, 7232])
    #expect(ends == [false, false, true])
  }

  @Test(arguments: [1, 2, 3, 7, 9, 10, 11, 64])
  func framesAreFoundHoweverTheyAreCut(size: Int) {
    let stream =
      HTTP2Requests.preface.dropFirst(24) + HTTP2Requests.pingAnswer([1, 2, 3, 4, 5, 6, 7, 8])
      + HTTP2Requests.settingsAcknowledgement
    var found: [UInt8] = []
    var payload = 0
    var reader = HTTP2FrameReader()
    var rest = Array(stream)[...]
    while !rest.isEmpty {
      Array(rest.prefix(size)).withUnsafeBytes {
        reader.read($0) { frame in
          found.append(frame.kind)
          payload += frame.payload.count
        }
      }
      rest = rest.dropFirst(size)
    }
    #expect(found == [4, 8, 6, 4])
    #expect(payload == 18 + 4 + 8)
  }

  /// As nghttp2 and Go write it: indexed, literal, with Huffman's code and behind a change of the table's size.
  @Test(
    arguments: [
      ([0x88], 200), ([0x20, 0x88], 200), ([0x8d], 404), ([0x08, 0x03, 0x32, 0x30, 0x31], 201),
      ([0x48, 0x03, 0x34, 0x30, 0x39], 409), ([0x20, 0x08, 0x82, 0x10, 0x03], 201),
      ([0x08, 0x83, 0x68, 0x0f, 0xff], 409), ([0x48, 0x82, 0x64, 0x02], 302), ([0x3f, 0xe1, 0x1f, 0x88], 200),
      ([0x40, 0x01, 0x61, 0x01, 0x62], 0), ([], 0),
    ] as [([UInt8], Int)])
  func theStatusIsRead(block: [UInt8], status: Int) {
    block.withUnsafeBytes { bytes in
      #expect(HTTP2Frame(kind: 1, flags: 4, stream: 1, payload: bytes).status == status)
    }
  }

  @Test(arguments: [1, 2, 5, 17, 1000])
  func answersOfHTTP1AreReadHoweverTheyAreCut(size: Int) {
    let text =
      "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"
      + "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwiki\r\n6;x=y\r\npedia \r\n0\r\n\r\n"
      + "HTTP/1.1 204 No Content\r\n\r\n"
    var log: [String] = []
    var body = ""
    var reader = HTTP1ResponseReader()
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      Array(rest.prefix(size)).withUnsafeBytes {
        reader.read($0) { event in
          switch event {
          case .head(let status): log.append("\(status)")
          case .body(let bytes): body += String(decoding: bytes, as: UTF8.self)
          case .end:
            log.append(body)
            body = ""
          case .malformed: log.append("malformed")
          }
        }
      }
      rest = rest.dropFirst(size)
    }
    #expect(log == ["201", "hello", "200", "wikipedia ", "204", ""])
  }

  @Test func whatIsNotHTTPIsSaid() {
    var reader = HTTP1ResponseReader()
    var isMalformed = false
    Array("nonsense\r\n".utf8).withUnsafeBytes { reader.read($0) { if case .malformed = $0 { isMalformed = true } } }
    #expect(isMalformed)
  }
}

@Suite struct BytePatternTests {
  @Test(
    arguments: [
      ("needle in hay", 6), ("hay needle", 10), ("needl needle e", 12), ("", nil), ("needl", nil), ("nneedle", 7),
      ("eldeen", nil),
    ] as [(String, Int?)])
  func theFirstEndIsFound(text: String, end: Int?) {
    Array(text.utf8).withUnsafeBytes { #expect(BytePattern("needle").end(in: $0) == end) }
  }
}
