// Requests as bytes that are made once: all that differs from one to the next is digits of a fixed number of places.

/// Where a number stands in a template's bytes, in decimal with leading zeros.
public struct NumberSlot: Sendable, Hashable {
  public enum Source: Sendable { case key, turn }
  public static let digits = 9

  public var offset: Int
  public var source: Source
}

/// What a client asks, with `{key}` and `{turn}` where numbers go.
public struct RequestTemplate: Sendable {
  public var method: String
  public var path: String
  public var body: [UInt8]
  /// Beyond those of the connection.
  public var headers: [(name: String, value: String)]
  /// The status of a right answer.
  public var status: Int
  /// A right answer has at least so many bytes: a gRPC error has none.
  public var minimumBytes = 0

  public init(
    _ method: String, _ path: String, body: [UInt8] = [], headers: [(name: String, value: String)] = [], status: Int
  ) {
    self.method = method
    self.path = path
    self.body = body
    self.headers = headers
    self.status = status
  }

  /// Replaces the marks by zeros, and says where they were, counted from `origin`.
  static func fill(_ text: [UInt8], origin: Int, _ slots: inout [NumberSlot]) -> [UInt8] {
    var filled: [UInt8] = []
    filled.reserveCapacity(text.count + 32)
    var rest = text[...]
    let marks: [([UInt8], NumberSlot.Source)] = [(Array("{key}".utf8), .key), (Array("{turn}".utf8), .turn)]
    while let byte = rest.first {
      if byte == UInt8(ascii: "{"), let mark = marks.first(where: { rest.starts(with: $0.0) }) {
        slots.append(NumberSlot(offset: origin + filled.count, source: mark.1))
        filled += [UInt8](repeating: UInt8(ascii: "0"), count: NumberSlot.digits)
        rest = rest.dropFirst(mark.0.count)
      } else {
        filled.append(byte)
        rest = rest.dropFirst()
      }
    }
    return filled
  }
}

/// A template in the bytes of one protocol.
public struct EncodedRequest: Sendable {
  public var bytes: [UInt8] = []
  public var slots: [NumberSlot] = []
  /// Places of a stream's number (HTTP/2).
  public var streamOffsets: [Int] = []
  /// Bytes that count for flow control.
  public var bodyBytes = 0

  /// Appends the request to `output`.
  @inline(__always)
  public func append(to output: inout [UInt8], key: Int, turn: Int, stream: UInt32 = 0) {
    let base = output.count
    output.append(contentsOf: bytes)
    output.withUnsafeMutableBufferPointer { output in
      for slot in slots {
        Self.write(slot.source == .key ? key : turn, at: base + slot.offset, output)
      }
      for offset in streamOffsets {
        for place in 0..<4 {
          output[base + offset + place] = UInt8(truncatingIfNeeded: stream >> UInt32(24 - 8 * place))
        }
      }
    }
  }

  @inline(__always)
  private static func write(_ number: Int, at offset: Int, _ output: UnsafeMutableBufferPointer<UInt8>) {
    var rest = UInt32(truncatingIfNeeded: number)
    var place = offset + NumberSlot.digits - 1
    while rest > 0, place >= offset {
      output[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
      place -= 1
    }
  }
}
