// gzip for large answers, to clients that take it (spec/2 §2.9): what the reference compresses, and nothing else.
import HTTP

enum Compression {
  /// Below, the bytes saved are not worth the time; the reference's figure.
  private static let bytesMinimum = 128 << 10
  /// Bytes between two moments in which other requests of the loop get their turn: a millisecond or two of work.
  private static let pieceBytes = 256 << 10

  /// Whether the answer is that of a get or list, large, and the client asked for gzip in so many words.
  static func isWanted(for response: HTTPResponse, _ request: HTTPRequest, _ info: RequestInfo) -> Bool {
    guard response.status == 200, info.isResourceRequest, info.verb == "get" || info.verb == "list",
      let accepted = request.headers["accept-encoding"], let count = response.body.count, count > bytesMinimum,
      response.headers["content-encoding"] == nil
    else { return false }
    switch response.body {
    case .bytes, .pieces: break
    case .empty, .stream: return false
    }
    return accepted.split(separator: ",").contains { AcceptClause.trimmed($0) == "gzip" }
  }

  static func compress(_ response: inout HTTPResponse) async {
    let chunks: BodyPieces
    switch response.body {
    case .bytes(let bytes): chunks = BodyPieces([bytes])
    case .pieces(let pieces): chunks = pieces
    case .empty, .stream: return
    }
    var encoder = GzipEncoder()
    var compressed: [[UInt8]] = []
    var sinceYield = 0
    for chunk in chunks {
      var rest = chunk[...]
      while !rest.isEmpty {
        let piece = rest.prefix(pieceBytes - sinceYield)
        rest = rest.dropFirst(piece.count)
        let written = encoder.compress(piece)
        if !written.isEmpty { compressed.append(written) }
        sinceYield += piece.count
        if sinceYield >= pieceBytes {
          sinceYield = 0
          await Task.yield()
        }
      }
    }
    compressed.append(encoder.finish())
    response.body = .pieces(BodyPieces(compressed))
    response.headers["content-encoding"] = "gzip"
    response.headers.add("vary", "Accept-Encoding")
    // The length that was known is another now.
    response.headers["content-length"] = nil
  }
}
