// What stands around every protobuf object of Kubernetes: four magic bytes and a `runtime.Unknown` (spec/1 §1.3).
import JSON

/// `k8s\0` and a `runtime.Unknown`: a kind and the bytes of its message.
public struct ProtobufEnvelope: Sendable {
  public static let magic: [UInt8] = [0x6b, 0x38, 0x73, 0x00]

  public var apiVersion = ""
  public var kind = ""
  /// The object's own message.
  public var message: [UInt8] = []

  public init(apiVersion: String, kind: String, message: [UInt8]) {
    self.apiVersion = apiVersion
    self.kind = kind
    self.message = message
  }

  public init(parsing bytes: [UInt8]) throws(ProtobufError) {
    guard bytes.starts(with: Self.magic) else {
      throw ProtobufError(
        "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    }
    self = try bytes.withUnsafeBytes { buffer in
      Result { () throws(ProtobufError) in
        try Self(unknown: UnsafeRawBufferPointer(rebasing: buffer.dropFirst(Self.magic.count)))
      }
    }.get()
  }

  private init(unknown: UnsafeRawBufferPointer) throws(ProtobufError) {
    var reader = ProtobufReader(unknown)
    while !reader.atEnd {
      let (number, wire) = try reader.tag()
      switch (number, wire) {
      case (1, .lengthDelimited): try readTypeMeta(try reader.lengthDelimited())
      case (2, .lengthDelimited): message = Array(try reader.lengthDelimited())
      case (3, .lengthDelimited), (4, .lengthDelimited):
        guard try reader.lengthDelimited().isEmpty else {
          throw ProtobufError("content encodings inside the protobuf envelope are not supported")
        }
      default: try reader.skip(wire)
      }
    }
  }

  private mutating func readTypeMeta(_ bytes: UnsafeRawBufferPointer) throws(ProtobufError) {
    var reader = ProtobufReader(bytes)
    while !reader.atEnd {
      let (number, wire) = try reader.tag()
      switch (number, wire) {
      case (1, .lengthDelimited): apiVersion = try ProtobufDecoder.text(try reader.lengthDelimited())
      case (2, .lengthDelimited): kind = try ProtobufDecoder.text(try reader.lengthDelimited())
      default: try reader.skip(wire)
      }
    }
  }

  public var bytes: [UInt8] {
    var writer = head(messageBytes: message.count)
    writer.bytes.reserveCapacity(writer.bytes.count + message.count + 4)
    writer.bytes += message
    writer.putTail()
    return writer.bytes
  }

  /// What stands before a message of this length.
  fileprivate func head(messageBytes: Int) -> ProtobufWriter {
    var type = ProtobufWriter()
    type.put(1, apiVersion)
    type.put(2, kind)
    var writer = ProtobufWriter()
    writer.bytes += Self.magic
    writer.put(1, type.bytes)
    writer.tag(2, .lengthDelimited)
    writer.varint(UInt64(messageBytes))
    return writer
  }

  /// A list (`{1: metadata, 2: items}`) in its envelope, as pieces: items are neither joined nor copied.
  public static func list(
    apiVersion: String, kind: String, metadata: [UInt8], items: [[UInt8]]
  ) -> [[UInt8]] {
    var first = ProtobufWriter()
    first.put(1, metadata)
    let itemHeads = items.map { item in
      var writer = ProtobufWriter()
      writer.tag(2, .lengthDelimited)
      writer.varint(UInt64(item.count))
      return writer.bytes
    }
    let length = zip(itemHeads, items).reduce(first.bytes.count) { $0 + $1.0.count + $1.1.count }
    let head = Self(apiVersion: apiVersion, kind: kind, message: []).head(messageBytes: length)
    var pieces = [head.bytes + first.bytes]
    pieces.reserveCapacity(items.count * 2 + 2)
    for (itemHead, item) in zip(itemHeads, items) {
      pieces.append(itemHead)
      pieces.append(item)
    }
    var tail = ProtobufWriter()
    tail.putTail()
    pieces.append(tail.bytes)
    return pieces
  }

  /// One frame of a protobuf watch: a big-endian length and a `WatchEvent` around an object's envelope.
  public static func watchFrame(type: String, object: [UInt8]) -> [UInt8] {
    var extensionWriter = ProtobufWriter()
    extensionWriter.put(1, object)
    var event = ProtobufWriter()
    event.put(1, type)
    event.put(2, extensionWriter.bytes)
    let length = UInt32(event.bytes.count)
    return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> $0) } + event.bytes
  }
}

extension ProtobufWriter {
  /// The envelope's contentEncoding and contentType, which are always empty and always written.
  fileprivate mutating func putTail() {
    put(3, "")
    put(4, "")
  }
}
