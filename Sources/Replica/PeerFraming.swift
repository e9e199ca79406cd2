// Frames on a byte stream, and the hello that opens every connection between servers.

import Raft

/// Cuts a byte stream into frames: a length of four bytes, little-endian, then as many bytes.
struct FrameParser {
  /// The largest frame: one Raft message carries a mebibyte of entries, or one entry of the largest size.
  static let maxFrameBytes = 8 << 20
  private var buffer: [UInt8] = []
  private var start = 0

  /// Takes bytes as they came; throws on a frame that is too long, after which the stream is of no use.
  mutating func append(_ bytes: UnsafeRawBufferPointer) throws(CodecError) -> [[UInt8]] {
    buffer.append(contentsOf: bytes)
    var frames: [[UInt8]] = []
    while buffer.count - start >= 4 {
      let length = buffer.withUnsafeBytes {
        Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
      }
      guard length <= Self.maxFrameBytes else { throw CodecError("a frame of \(length) bytes") }
      guard buffer.count - start - 4 >= length else { break }
      frames.append(Array(buffer[(start + 4)..<(start + 4 + length)]))
      start += 4 + length
    }
    if start == buffer.count {
      buffer.removeAll(keepingCapacity: buffer.count <= 256 << 10)
      start = 0
    } else if start > 64 << 10 {
      buffer.removeFirst(start)
      start = 0
    }
    return frames
  }

  /// The bytes of frames on the wire.
  static func wire(_ frames: [[UInt8]]) -> [[UInt8]] {
    var chunks: [[UInt8]] = []
    var small: [UInt8] = []
    for frame in frames {
      precondition(frame.count <= maxFrameBytes, "a frame larger than the peer accepts")
      withUnsafeBytes(of: UInt32(frame.count).littleEndian) { small.append(contentsOf: $0) }
      // Small frames leave in one piece; large ones are not copied.
      if frame.count <= 16 << 10 {
        small += frame
      } else {
        chunks.append(small)
        small = []
        chunks.append(frame)
      }
    }
    if !small.isEmpty { chunks.append(small) }
    return chunks
  }
}

/// The first frame of a connection, in either direction: who speaks, and for which lane.
///
/// A server says which versions of the protocol it speaks; both then use the newest that both speak. Later versions may add
/// fields at the end, which earlier ones ignore.
struct PeerHello: Equatable {
  static let magic = "trireme-raft"
  /// The newest protocol this server speaks, and the oldest.
  static let version: UInt8 = 2
  static let oldestVersion: UInt8 = 2
  var cluster: String
  var node: NodeID
  var name: String
  var lane: PeerLane

  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    writer.string(Self.magic)
    writer.byte(Self.version)
    writer.byte(Self.oldestVersion)
    writer.string(cluster)
    writer.word(node)
    writer.string(name)
    writer.byte(lane.rawValue)
    return writer.bytes
  }

  init(cluster: String, node: NodeID, name: String, lane: PeerLane) {
    self.cluster = cluster
    self.node = node
    self.name = name
    self.lane = lane
  }

  init(decoding frame: [UInt8]) throws(CodecError) {
    var reader = ByteReader(frame)
    guard try reader.string() == Self.magic else { throw CodecError("not a trireme peer") }
    let newest = try reader.byte()
    guard newest >= Self.oldestVersion else {
      throw CodecError("it speaks peer protocol \(newest), this server \(Self.oldestVersion) at least: upgrade it")
    }
    let oldest = try reader.byte()
    guard oldest <= Self.version else {
      throw CodecError(
        "it speaks peer protocol \(oldest) at least, this server \(Self.version) at most: upgrade this one")
    }
    cluster = try reader.string()
    node = try reader.word()
    name = try reader.string()
    guard let lane = PeerLane(rawValue: try reader.byte()) else { throw CodecError("a lane of unknown kind") }
    self.lane = lane
  }
}
