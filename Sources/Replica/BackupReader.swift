// Reading a backup back: every checksum, every seal, and in the end the state's hash, computed again from the objects.

import Storage
import TLS

/// Takes the bytes of a backup as they come, in blocks of any size; `finish` says whether it is whole.
public struct BackupReader: Sendable {
  private let key: BackupKey?
  /// Known once the first bytes have come.
  public private(set) var header: BackupHeader?
  private var headerBytes: [UInt8] = []
  private var decoder = StateDecoder(cluster: nil)
  private var trailer: BackupTrailer?
  private var counted = BackupTrailer(stateHash: 0)
  private var checksum: UInt64 = 0
  private var number: UInt64 = 0
  private var hasMagic = false
  private var buffer: [UInt8] = []
  private var bytesTaken: UInt64 = 0
  private var bytesBehindTrailer: UInt64 = 0

  /// `key`: what the backup is sealed with. Not needed for one that is not sealed.
  public init(key: BackupKey?) { self.key = key }

  public mutating func take(_ bytes: [UInt8]) throws(BackupError) {
    bytesTaken += UInt64(bytes.count)
    guard trailer == nil else { return bytesBehindTrailer += UInt64(bytes.count) }
    buffer += bytes
    var start = try takeMagic()
    guard hasMagic else { return }
    while trailer == nil, buffer.count - start >= BackupFormat.frameHeadBytes {
      var reader = ByteReader(Array(buffer[start..<start + BackupFormat.frameHeadBytes]))
      let (length, kind, stored) = try Self.wrapped { () throws(CodecError) in
        (Int(try reader.word32()), try reader.byte(), try reader.word())
      }
      guard length <= BackupFormat.frameBytes, let kind = BackupFormat.Frame(rawValue: kind) else {
        throw .damaged("no frame begins where one should, \(position(start)) bytes from the start")
      }
      let end = start + BackupFormat.frameHeadBytes + length
      guard end <= buffer.count else { break }
      let payload = Array(buffer[(start + BackupFormat.frameHeadBytes)..<end])
      let computed = BackupFormat.checksum(payload, kind, after: checksum)
      guard computed == stored else { throw .damaged("frame \(number), \(position(start)) bytes from the start") }
      checksum = computed
      try take(kind, payload)
      number += 1
      start = end
    }
    buffer.removeFirst(start)
    guard trailer != nil else { return }
    bytesBehindTrailer = UInt64(buffer.count)
    buffer = []
  }

  /// The whole backup, found right. Throws if anything is missing.
  public mutating func finish() throws(BackupError) -> VerifiedBackup {
    if !hasMagic, !BackupFormat.magicPrefix.starts(with: buffer.prefix(BackupFormat.magicPrefix.count)) {
      throw .notABackup
    }
    guard let header, let trailer else { throw .cutShort(afterBytes: bytesTaken) }
    guard bytesBehindTrailer == 0 else {
      throw .damaged("\(bytesBehindTrailer) bytes that do not belong to it follow its end")
    }
    guard trailer.pieces == counted.pieces, trailer.bytes == counted.bytes else { throw .damaged("pieces are missing") }
    let (machine, stream) = try Self.wrapped { () throws(CodecError) in try decoder.finish() }
    guard machine.stateHash == trailer.stateHash, machine.stateHash == header.stateHash else {
      throw .damaged("the objects do not add up to the state's hash")
    }
    guard header.cluster == stream.cluster, header.revision == machine.revision,
      header.appliedIndex == machine.appliedIndex, header.appliedTerm == machine.appliedTerm
    else { throw .damaged("the header is not of these objects") }
    return VerifiedBackup(header: header, machine: machine)
  }

  private func position(_ offset: Int) -> UInt64 { bytesTaken - UInt64(buffer.count) + UInt64(offset) }

  private mutating func takeMagic() throws(BackupError) -> Int {
    if hasMagic { return 0 }
    guard buffer.count >= BackupFormat.magic.count else { return 0 }
    guard buffer.starts(with: BackupFormat.magic) else {
      guard buffer.starts(with: BackupFormat.magicPrefix) else { throw .notABackup }
      let rest = buffer[BackupFormat.magicPrefix.count...].prefix { $0 != UInt8(ascii: "\n") }.prefix(16)
      throw .newer("format \(String(decoding: rest, as: UTF8.self))")
    }
    hasMagic = true
    return BackupFormat.magic.count
  }

  private mutating func take(_ kind: BackupFormat.Frame, _ payload: [UInt8]) throws(BackupError) {
    guard (kind == .header) == (number == 0), trailer == nil else { throw .damaged("frame \(number) is out of place") }
    switch kind {
    case .header:
      if let version = payload.first, version > BackupFormat.headerVersion {
        throw .newer("a header of format \(version)")
      }
      let header = try Self.wrapped { () throws(CodecError) in try BackupHeader(decoding: payload) }
      if let needed = header.keyID {
        guard let key else { throw .sealed(keyID: needed) }
        guard key.id == needed else { throw .otherKey(sealedWith: needed, given: key.id) }
      }
      self.header = header
      headerBytes = payload
    case .piece:
      let piece = try opened(payload, kind)
      counted.pieces += 1
      counted.bytes += UInt64(piece.count)
      try Self.wrapped { () throws(CodecError) in try decoder.take(piece) }
    case .trailer:
      let bytes = try opened(payload, kind)
      trailer = try Self.wrapped { () throws(CodecError) in try BackupTrailer(decoding: bytes) }
    }
  }

  private func opened(_ payload: [UInt8], _ kind: BackupFormat.Frame) throws(BackupError) -> [UInt8] {
    guard let key, header?.keyID != nil else { return payload }
    let context = BackupFormat.context(headerBytes, number: number, kind)
    guard let bytes = Crypto.open(payload, key: key.bytes, context: context) else {
      throw .damaged("the seal of frame \(number) is broken")
    }
    return bytes
  }

  /// A codec's error as a backup's.
  private static func wrapped<Value>(_ body: () throws(CodecError) -> Value) throws(BackupError) -> Value {
    do throws(CodecError) { return try body() } catch { throw .damaged(error.description) }
  }
}

/// A backup that was read whole and found right, in memory.
public struct VerifiedBackup: Sendable {
  public let header: BackupHeader
  let machine: StateMachine

  /// Objects by resource, for a display: what is in it.
  public var objectsByResource: [(resource: String, objects: Int)] {
    var result: [(resource: String, objects: Int)] = []
    var position = 0
    while position < machine.map.count, let first = machine.map.objects(at: position..<position + 1).first {
      let end = machine.map.positions(resource: first.key.resource, namespace: "").upperBound
      result.append((first.key.resource, end - position))
      position = end
    }
    return result
  }
}

extension ByteReader {
  fileprivate mutating func word32() throws(CodecError) -> UInt32 {
    var value: UInt32 = 0
    for shift in stride(from: UInt32(0), to: 32, by: 8) { value |= UInt32(try byte()) << shift }
    return value
  }
}
