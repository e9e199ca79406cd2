// One way to read a tree and a tape: types that are read from JSON need not know which it is.

/// A value of a JSON document, or the absence of one.
public protocol JSONReadable: Sendable {
  /// The member of an object; absent (null, in a tree) if there is none.
  subscript(key: String) -> Self { get }
  /// Null or absent.
  var isNull: Bool { get }
  var string: String? { get }
  var bool: Bool? { get }
  /// A number that is a 64-bit integer, however it is written.
  var integer: Int64? { get }
  /// The elements of an array; none for anything else.
  var elements: [Self] { get }
  /// An object of strings; members that are no strings are left out.
  var stringMap: [String: String] { get }
  /// The value as a tree; null when absent.
  var value: JSONValue { get }
}

extension JSONValue: JSONReadable {
  public var value: JSONValue { self }
}

extension JSONTape.Cursor: JSONReadable {
  public var isNull: Bool { kind == nil || kind == .null }
}
