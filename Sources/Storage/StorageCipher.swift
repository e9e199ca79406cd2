// Encryption at rest, as Storage needs it: whoever opens the disk supplies it, for Storage knows no cryptography.

/// Seals and opens what is written. Called on the storage's threads and at the opening of a disk; must not block for
/// long.
///
/// Keys are told apart by a number that is stored beside what they sealed; zero: in the clear. `place` names the row:
/// what was sealed for one place must not open in another.
public protocol StorageCipher: Sendable {
  /// The key that the log's entries are sealed with, and the outcomes of requests, for they hold whatever is written;
  /// zero: none are.
  var currentKey: UInt64 { get }
  /// The key that the state's rows of a resource ("secrets", "widgets.example.com") are sealed with; zero: none are.
  func key(for resource: String) -> UInt64
  /// `key` is what one of the two above has just said.
  func seal(_ bytes: [UInt8], key: UInt64, place: [UInt8]) -> [UInt8]
  /// Nil: the key is not there, or these are not the bytes that were sealed for this place.
  func open(_ bytes: [UInt8], key: UInt64, place: [UInt8]) -> [UInt8]?
  /// Whether the key is there.
  func holds(key: UInt64) -> Bool
}

/// No encryption: for tests, and for disks that are encrypted below.
public struct NoCipher: StorageCipher {
  public init() {}
  public var currentKey: UInt64 { 0 }
  public func key(for resource: String) -> UInt64 { 0 }
  public func seal(_ bytes: [UInt8], key: UInt64, place: [UInt8]) -> [UInt8] { bytes }
  public func open(_ bytes: [UInt8], key: UInt64, place: [UInt8]) -> [UInt8]? { nil }
  public func holds(key: UInt64) -> Bool { key == 0 }
}
