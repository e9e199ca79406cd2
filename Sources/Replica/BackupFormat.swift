// The format of a backup file: what both the writer (Backup.swift) and the reader (BackupReader.swift) know.
//
//   TRIREME BACKUP 1\n                      the format, readable by people and by `file`
//   frame: length (4 bytes, little-endian), kind (1), checksum (8), then as many bytes
//   …
//
// A header frame in the clear, frames with pieces of the state's stream (StateStream.swift), a trailer. Every checksum
// is seeded by the one before, so that a frame that is missing, doubled, moved or of another file does not fit; a file
// that was cut short has no trailer. Pieces and trailer are sealed (AES-256-GCM) unless the backup was made without a
// key: they hold Secrets. What is sealed is bound to the header and to its place.

import Storage
import TLS
import World

enum BackupFormat {
  static let magic = Array("TRIREME BACKUP 1\n".utf8)
  /// What every version's magic begins with.
  static let magicPrefix = Array("TRIREME BACKUP ".utf8)
  static let headerVersion: UInt8 = 1
  static let frameHeadBytes = 4 + 1 + 8
  /// The largest frame: a piece of the stream, and what sealing adds.
  static let frameBytes = StateStreamLimits.pieceBytes + 1024

  enum Frame: UInt8 {
    case header = 1
    case piece = 2
    case trailer = 3
  }

  static func checksum(_ payload: [UInt8], _ kind: Frame, after previous: UInt64) -> UInt64 {
    xxh64(payload, seed: previous &+ UInt64(kind.rawValue))
  }

  /// What a sealed frame is bound to: the header (by its digest), its number and its kind.
  static func context(_ header: [UInt8], number: UInt64, _ kind: Frame) -> [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.append(Crypto.sha256(header))
    writer.word(number)
    writer.byte(kind.rawValue)
    return writer.bytes
  }
}

/// The key that backups are sealed with: 32 secret bytes, kept in a file of its own (`pki/backup.key` beside the
/// cluster's authority), one line of text. Whoever restores needs it; it must be kept elsewhere than the backups.
public struct BackupKey: Sendable {
  private static let prefix = "trireme-backup-key-1:"
  let bytes: [UInt8]

  /// A new key of 32 bytes that nobody can guess.
  public init(secret: [UInt8]) {
    precondition(secret.count == 32, "AES-256 has keys of 32 bytes")
    bytes = secret
  }

  /// The key of a file's text; nil if it is none.
  public init?(text: String) {
    let line = text.split(separator: "\n", omittingEmptySubsequences: true).first ?? ""
    guard line.hasPrefix(Self.prefix) else { return nil }
    let digits = Array(line.dropFirst(Self.prefix.count).utf8)
    guard digits.count == 64 else { return nil }
    var bytes: [UInt8] = []
    for pair in stride(from: 0, to: 64, by: 2) {
      guard let byte = UInt8(String(decoding: digits[pair..<pair + 2], as: UTF8.self), radix: 16) else { return nil }
      bytes.append(byte)
    }
    self.bytes = bytes
  }

  /// The text of a key file. Secret.
  public var text: String { "\(Self.prefix)\(Crypto.hexadecimal(bytes))\n" }

  /// Tells keys apart without saying anything of them.
  public var id: String { Crypto.hexadecimal(Crypto.sha256(Array("trireme backup key id".utf8) + bytes).prefix(8)) }
}

/// What a backup says of itself, readable without its key.
public struct BackupHeader: Sendable, Equatable {
  /// The cluster it was taken from, and the server that took it.
  public var cluster: String
  public var node: UInt64
  /// When, by that server's clock.
  public var created: WallTime
  public var revision: Revision
  public var appliedIndex: UInt64
  public var appliedTerm: UInt64
  public var stateHash: UInt64
  public var objects: UInt64
  /// The key it is sealed with; nil when it is not.
  public var keyID: String?

  func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: 160)
    writer.byte(BackupFormat.headerVersion)
    writer.string(cluster)
    writer.word(node)
    writer.word(UInt64(bitPattern: created.nanosecondsSinceEpoch))
    writer.word(revision)
    writer.word(appliedIndex)
    writer.word(appliedTerm)
    writer.word(stateHash)
    writer.word(objects)
    writer.flag(keyID != nil)
    if let keyID { writer.string(keyID) }
    return writer.bytes
  }

  init(decoding bytes: [UInt8]) throws(CodecError) {
    var reader = ByteReader(bytes)
    let version = try reader.byte()
    guard version == BackupFormat.headerVersion else { throw CodecError("backup header of format \(version)") }
    cluster = try reader.string()
    node = try reader.word()
    created = WallTime(nanosecondsSinceEpoch: Int64(bitPattern: try reader.word()))
    revision = try reader.word()
    appliedIndex = try reader.word()
    appliedTerm = try reader.word()
    stateHash = try reader.word()
    objects = try reader.word()
    keyID = try reader.flag() ? try reader.string() : nil
    guard reader.isAtEnd else { throw CodecError("a backup header with bytes behind its end") }
  }

  init(machine: StateMachine, cluster: String, node: UInt64, created: WallTime, key: BackupKey?) {
    self.cluster = cluster
    self.node = node
    self.created = created
    revision = machine.revision
    appliedIndex = machine.appliedIndex
    appliedTerm = machine.appliedTerm
    stateHash = machine.stateHash
    objects = UInt64(machine.map.count)
    keyID = key?.id
  }
}

/// The last frame: what must have come before it.
struct BackupTrailer: Equatable {
  var pieces: UInt64
  var bytes: UInt64
  var stateHash: UInt64

  func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: 32)
    writer.word(pieces)
    writer.word(bytes)
    writer.word(stateHash)
    return writer.bytes
  }

  init(pieces: UInt64 = 0, bytes: UInt64 = 0, stateHash: UInt64) {
    self.pieces = pieces
    self.bytes = bytes
    self.stateHash = stateHash
  }

  init(decoding bytes: [UInt8]) throws(CodecError) {
    var reader = ByteReader(bytes)
    pieces = try reader.word()
    self.bytes = try reader.word()
    stateHash = try reader.word()
    guard reader.isAtEnd else { throw CodecError("a backup trailer with bytes behind its end") }
  }
}

/// Why a backup cannot be used. Nothing was changed.
public enum BackupError: Error, Sendable, Equatable, CustomStringConvertible {
  case notABackup
  /// Made by a newer version of this program.
  case newer(String)
  /// The file ends before its trailer.
  case cutShort(afterBytes: UInt64)
  case damaged(String)
  /// It is sealed with a key that was not given.
  case sealed(keyID: String)
  /// It is sealed with another key than was given.
  case otherKey(sealedWith: String, given: String)

  public var description: String {
    switch self {
    case .notABackup: "this is no backup of trireme"
    case .newer(let format): "the backup has \(format): use a newer version of trireme"
    case .cutShort(let bytes): "the backup was cut short: it ends after \(bytes) bytes, without its trailer"
    case .damaged(let what): "the backup is damaged: \(what)"
    case .sealed(let id): "the backup is sealed: give the backup key \(id) (pki/backup.key of the cluster)"
    case .otherKey(let sealed, let given): "the backup is sealed with the key \(sealed), not with \(given)"
    }
  }
}
