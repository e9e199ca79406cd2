// WebSocket framing (RFC 6455 §5) as values: bytes in, messages out, and back. No I/O.

/// What a WebSocket carries.
public enum WebSocketMessage: Sendable, Hashable {
  case text(String)
  case binary([UInt8])
  case ping([UInt8])
  case pong([UInt8])
  /// The peer closes; nil code when it gave none.
  case close(code: UInt16?, reason: String)
}

/// A breach of RFC 6455, with the close code that says so (§7.4.1).
public struct WebSocketError: Error, Hashable, CustomStringConvertible {
  public let closeCode: UInt16
  public let reason: String
  public var description: String { "WebSocket protocol error: \(reason)" }

  static func protocolError(_ reason: String) -> Self { Self(closeCode: 1002, reason: reason) }
}

/// Takes messages out of a stream of bytes that may break anywhere; joins fragments, removes masks, is strict.
public struct WebSocketDecoder: Sendable {
  private enum State {
    case header([UInt8])
    case payload(opcode: UInt8, isFinal: Bool, mask: [UInt8], remaining: Int, bytes: [UInt8])
  }
  private let requiresMask: Bool
  private let messageLimit: Int
  private var state = State.header([])
  private var fragments: [UInt8] = []
  private var fragmentOpcode: UInt8?

  private static let continuation: UInt8 = 0

  /// `isServer`: the peer is a client and masks its frames, as it must. `messageLimit`: bytes of one message.
  public init(isServer: Bool, messageLimit: Int = 1 << 20) {
    requiresMask = isServer
    self.messageLimit = messageLimit
  }

  /// Takes bytes from the front of `input`; returns the next message, or nil when all is taken and none is whole.
  /// Throws `WebSocketError`.
  public mutating func next(from input: inout ArraySlice<UInt8>) throws -> WebSocketMessage? {
    while true {
      switch state {
      case .header(var header):
        state = .header([])
        guard try takeHeader(&header, from: &input) else {
          state = .header(header)
          return nil
        }
      case .payload(let opcode, let isFinal, let mask, let remaining, var bytes):
        state = .header([])
        let taken = input.prefix(remaining)
        input = input.dropFirst(taken.count)
        let start = bytes.count
        bytes += taken
        if !mask.isEmpty { for at in start..<bytes.count { bytes[at] ^= mask[at & 3] } }
        guard taken.count == remaining else {
          state = .payload(
            opcode: opcode, isFinal: isFinal, mask: mask, remaining: remaining - taken.count, bytes: bytes)
          return nil
        }
        if let message = try message(opcode: opcode, isFinal: isFinal, bytes) { return message }
      }
    }
  }

  /// Completes a frame's header; false when bytes are missing.
  private mutating func takeHeader(_ header: inout [UInt8], from input: inout ArraySlice<UInt8>) throws -> Bool {
    func fill(to count: Int) -> Bool {
      while header.count < count {
        guard let byte = input.popFirst() else { return false }
        header.append(byte)
      }
      return true
    }
    guard fill(to: 2) else { return false }
    let (first, second) = (header[0], header[1])
    let (opcode, isFinal) = (first & 15, first & 0x80 != 0)
    guard first & 0x70 == 0 else { throw WebSocketError.protocolError("reserved bits are set") }
    guard [0, 1, 2, 8, 9, 10].contains(opcode) else { throw WebSocketError.protocolError("unknown opcode") }
    guard (second & 0x80 != 0) == requiresMask else {
      throw WebSocketError.protocolError(requiresMask ? "a client must mask" : "a server must not mask")
    }
    let short = Int(second & 0x7f)
    if opcode >= 8 {
      guard isFinal, short < 126 else { throw WebSocketError.protocolError("control frame too long or in fragments") }
    }
    let lengthBytes = short == 126 ? 2 : short == 127 ? 8 : 0
    guard fill(to: 2 + lengthBytes) else { return false }
    var length = UInt64(short)
    if lengthBytes > 0 {
      length = header[2..<2 + lengthBytes].reduce(0) { $0 << 8 | UInt64($1) }
      guard length >= (lengthBytes == 2 ? 126 : 65_536) else {
        throw WebSocketError.protocolError("length not in its shortest form")
      }
    }
    guard length <= UInt64(messageLimit - (opcode < 8 ? fragments.count : 0)) || opcode >= 8 else {
      throw WebSocketError(closeCode: 1009, reason: "message too large: limit is \(messageLimit) bytes")
    }
    let maskBytes = requiresMask ? 4 : 0
    guard fill(to: 2 + lengthBytes + maskBytes) else { return false }
    state = .payload(
      opcode: opcode, isFinal: isFinal, mask: Array(header[(2 + lengthBytes)...]), remaining: Int(length), bytes: [])
    return true
  }

  private mutating func message(opcode: UInt8, isFinal: Bool, _ bytes: [UInt8]) throws -> WebSocketMessage? {
    switch opcode {
    case 8: return try Self.close(bytes)
    case 9: return .ping(bytes)
    case 10: return .pong(bytes)
    default: break
    }
    guard (opcode == Self.continuation) == (fragmentOpcode != nil) else {
      throw WebSocketError.protocolError(
        opcode == Self.continuation ? "a continuation of nothing" : "a new message within a fragmented one")
    }
    let whole = fragmentOpcode ?? opcode
    if fragments.isEmpty { fragments = bytes } else { fragments += bytes }
    fragmentOpcode = isFinal ? nil : whole
    guard isFinal else { return nil }
    defer { fragments = [] }
    guard whole == 1 else { return .binary(fragments) }
    guard let text = String(validating: fragments, as: UTF8.self) else {
      throw WebSocketError(closeCode: 1007, reason: "text is not UTF-8")
    }
    return .text(text)
  }

  private static func close(_ bytes: [UInt8]) throws -> WebSocketMessage {
    if bytes.isEmpty { return .close(code: nil, reason: "") }
    guard bytes.count >= 2 else { throw WebSocketError.protocolError("close code cut short") }
    let code = UInt16(bytes[0]) << 8 | UInt16(bytes[1])
    guard (1000...1014).contains(code) && ![1004, 1005, 1006].contains(code) || (3000...4999).contains(code) else {
      throw WebSocketError.protocolError("invalid close code")
    }
    guard let reason = String(validating: bytes.dropFirst(2), as: UTF8.self) else {
      throw WebSocketError(closeCode: 1007, reason: "close reason is not UTF-8")
    }
    return .close(code: code, reason: reason)
  }
}

extension WebSocketMessage {
  /// The message as one frame; a client passes a fresh random mask, a server none.
  public func encoded(mask: UInt32? = nil) -> [UInt8] {
    let (opcode, payload): (UInt8, [UInt8]) =
      switch self {
      case .text(let text): (1, Array(text.utf8))
      case .binary(let bytes): (2, bytes)
      case .ping(let bytes): (9, bytes)
      case .pong(let bytes): (10, bytes)
      case .close(let code?, let reason):
        // A control frame holds 125 bytes at most.
        (8, [UInt8(code >> 8), UInt8(code & 255)] + Array(reason.utf8.prefix(123)))
      case .close(nil, _): (8, [])
      }
    precondition(opcode < 8 || payload.count <= 125, "a WebSocket control frame holds 125 bytes at most")
    var frame: [UInt8] = []
    frame.reserveCapacity(payload.count + 14)
    frame.append(0x80 | opcode)
    let maskBit: UInt8 = mask == nil ? 0 : 0x80
    switch payload.count {
    case 0..<126: frame.append(maskBit | UInt8(payload.count))
    case 126..<65_536:
      frame += [maskBit | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
    default:
      frame.append(maskBit | 127)
      for shift in stride(from: 56, through: 0, by: -8) { frame.append(UInt8(payload.count >> shift & 255)) }
    }
    guard let mask else { return frame + payload }
    let key = (0..<4).map { UInt8(truncatingIfNeeded: mask >> UInt32(24 - $0 * 8)) }
    frame += key
    for (at, byte) in payload.enumerated() { frame.append(byte ^ key[at & 3]) }
    return frame
  }
}
