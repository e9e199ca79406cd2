// Encryption at rest: a server's keys, and which of them seals what.
//
// Each server has keys of its own, in a file beside its data folder that only it may read. Everything in the log is
// sealed, for the log holds whatever is written; of the state, the rows of the resources that are named, secrets by
// default. A key has a number, which is stored with what it sealed. To rotate is to add a key, seal all that is stored
// anew with it in small steps, and to forget the old one: nothing waits meanwhile, and a crash anywhere is made good at
// the next start.

import Storage
import Synchronization
import TLS

/// The keys of one server's disk. Any thread may use it.
///
/// An entry of the file is a number and 32 bytes. (Kubernetes' EncryptionConfiguration names providers and keys for
/// each resource, the first of which seals: each would be a number here, and `key(for:)` what differs.)
public final class EncryptionKeyring: StorageCipher {
  /// What is sealed of the state unless told otherwise.
  public static let defaultResources: Set<String> = ["secrets"]
  /// Its name, beside the data folder.
  public static let fileName = "encryption-keys"

  /// Messages sealed under one derived key.
  private static let sealsPerDerivedKey: UInt64 = 1 << 30
  private static let saltBytes = 16
  /// Derived keys kept at hand: one of every start whose entries are still in the log.
  private static let derivedKeysLimit = 256
  private static let firstLine = "trireme encryption keys 1"

  private struct State {
    var keys: [UInt64: [UInt8]]
    var current: UInt64
    /// What seals now: under a key derived from one of these and a salt, drawn for it, that is stored with every message.
    var sealing: (number: UInt64, salt: [UInt8], sealer: Crypto.Sealer)?
    var derived: [[UInt8]: [UInt8]] = [:]
  }
  private let state: Mutex<State>
  let resources: Set<String>
  private let path: String
  private let files: any FileSystem

  private init(keys: [UInt64: [UInt8]], resources: Set<String>, path: String, files: any FileSystem) {
    state = Mutex(State(keys: keys, current: keys.keys.max() ?? 0))
    self.resources = resources
    self.path = path
    self.files = files
  }

  /// Reads the keys in the file at `path`, or makes the first. Blocks.
  public static func open(
    path: String, resources: Set<String> = defaultResources, files: any FileSystem = OperatingSystemFiles()
  ) throws(StorageError) -> EncryptionKeyring {
    if let keyring = try existing(path: path, resources: resources, files: files) { return keyring }
    let keyring = EncryptionKeyring(keys: [1: Crypto.secret(bytes: 32)], resources: resources, path: path, files: files)
    try keyring.store(keyring.state.withLock { $0.keys })
    return keyring
  }

  /// The keys in the file at `path`; nil where there is none. For tools that open a server's disk.
  public static func existing(
    path: String, resources: Set<String> = defaultResources, files: any FileSystem = OperatingSystemFiles()
  ) throws(StorageError) -> EncryptionKeyring? {
    let text: [UInt8]
    do throws(FileError) {
      guard try files.exists(path) else { return nil }
      let file = try files.open(path, create: false).file
      defer { file.close() }
      text = try file.contents()
    } catch {
      throw .system(operation: "read \(path)", code: error.code)
    }
    guard let keys = parse(text) else { throw .damaged("\(path) holds no encryption keys") }
    return EncryptionKeyring(keys: keys, resources: resources, path: path, files: files)
  }

  // MARK: StorageCipher

  public var currentKey: UInt64 { state.withLock { $0.current } }

  public func key(for resource: String) -> UInt64 { resources.contains(resource) ? currentKey : 0 }

  public func holds(key: UInt64) -> Bool { key == 0 || state.withLock { $0.keys[key] != nil } }

  public func seal(_ bytes: [UInt8], key: UInt64, place: [UInt8]) -> [UInt8] {
    let context = Self.context(key, place)
    return state.withLock { state in
      if let sealing = state.sealing, sealing.number == key, sealing.sealer.seals < Self.sealsPerDerivedKey {
        return sealing.sealer.seal(bytes, context: context, prefix: sealing.salt)
      }
      guard let master = state.keys[key] else { preconditionFailure("sealing with a key that is not there") }
      let salt = Crypto.secret(bytes: Self.saltBytes)
      let sealer = Crypto.Sealer(key: Self.derive(master, salt))
      state.sealing = (key, salt, sealer)
      return sealer.seal(bytes, context: context, prefix: salt)
    }
  }

  public func open(_ bytes: [UInt8], key: UInt64, place: [UInt8]) -> [UInt8]? {
    guard bytes.count >= Self.saltBytes else { return nil }
    let salt = Array(bytes.prefix(Self.saltBytes))
    let derived = state.withLock { state -> [UInt8]? in
      guard let master = state.keys[key] else { return nil }
      if let known = state.derived[salt] { return known }
      if state.derived.count >= Self.derivedKeysLimit { state.derived = [:] }
      let derived = Self.derive(master, salt)
      state.derived[salt] = derived
      return derived
    }
    guard let derived else { return nil }
    return Crypto.open(Array(bytes.dropFirst(Self.saltBytes)), key: derived, context: Self.context(key, place))
  }

  private static func derive(_ master: [UInt8], _ salt: [UInt8]) -> [UInt8] {
    Crypto.hmacSHA256(key: master, Array("trireme encryption at rest".utf8) + salt)
  }

  private static func context(_ key: UInt64, _ place: [UInt8]) -> [UInt8] {
    withUnsafeBytes(of: key.littleEndian) { Array($0) } + place
  }

  // MARK: Rotation

  /// Whether there are keys beside the current one: a rotation has not come to its end.
  public var hasOldKeys: Bool { state.withLock { $0.keys.count > 1 } }

  /// The number of the current key, and those of the others in ascending order.
  var numbers: (current: UInt64, old: [UInt64]) {
    state.withLock { state in (state.current, state.keys.keys.filter { $0 != state.current }.sorted()) }
  }

  /// Makes a new key, durably, and seals with it from here on. Returns its number. Blocks.
  func addKey() throws(StorageError) -> UInt64 {
    var keys = state.withLock { $0.keys }
    let number = (keys.keys.max() ?? 0) + 1
    keys[number] = Crypto.secret(bytes: 32)
    // Durable before anything is sealed with it.
    try store(keys)
    state.withLock { state in
      state.keys = keys
      state.current = number
      state.sealing = nil
      state.derived = [:]
    }
    return number
  }

  /// Forgets every key but the current one: nothing that is stored needs them any more. Blocks.
  func dropOldKeys() throws(StorageError) {
    let keys = state.withLock { state in state.keys.filter { $0.key == state.current } }
    try store(keys)
    state.withLock { state in
      state.keys = keys
      state.derived = [:]
    }
  }

  private func store(_ keys: [UInt64: [UInt8]]) throws(StorageError) {
    var text = Self.firstLine + "\n"
    for (number, key) in keys.sorted(by: { $0.key < $1.key }) { text += "\(number) \(Crypto.hexadecimal(key))\n" }
    let new = "\(path).new"
    do throws(FileError) {
      if try files.exists(new) { try files.delete(new) }
      let file = try files.open(new, create: true).file
      defer { file.close() }
      try file.write(Array(text.utf8))
      try file.sync()
      try files.rename(new, to: path)
      try files.syncDirectory(directory(of: path))
    } catch {
      throw .system(operation: "write \(path)", code: error.code)
    }
  }

  private static func parse(_ bytes: [UInt8]) -> [UInt64: [UInt8]]? {
    var keys: [UInt64: [UInt8]] = [:]
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    guard lines.first == firstLine[...] else { return nil }
    for line in lines.dropFirst() {
      let parts = line.split(separator: " ")
      guard parts.count == 2, let number = UInt64(parts[0]), number > 0, parts[1].utf8.count == 64 else { return nil }
      let digits = parts[1].compactMap(\.hexDigitValue)
      guard digits.count == 64 else { return nil }
      keys[number] = stride(from: 0, to: 64, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
    return keys.isEmpty ? nil : keys
  }

  /// Where a data folder's keys are: beside it.
  public static func path(besides dataFolder: String) -> String {
    let parent = directory(of: dataFolder)
    return parent == "/" ? "/\(fileName)" : "\(parent)/\(fileName)"
  }
}
