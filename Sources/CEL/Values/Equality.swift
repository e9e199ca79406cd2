// Equality and order: numbers across their types, lists and maps by content.
import JSON
import Schema

extension CELValue {
  /// `==`: values of different types are unequal, numbers compare by value.
  func equals(_ other: CELValue, depth: Int = 0) throws(CELError) -> Bool {
    switch (self, other) {
    case (.null, .null): return true
    case (.bool(let left), .bool(let right)): return left == right
    case (.string(let left), .string(let right)): return left.utf8Equals(right)
    case (.bytes(let left), .bytes(let right)): return left == right
    case (.timestamp(let left), .timestamp(let right)): return left == right
    case (.duration(let left), .duration(let right)): return left == right
    case (.type(let left), .type(let right)): return left.name == right.name
    case (.list(let left), .list(let right)): return try left.equals(right, depth: depth + 1)
    case (.map(let left), .map(let right)): return try left.equals(right, depth: depth + 1)
    case (.optional(let left), .optional(let right)):
      guard let left, let right else { return left == nil && right == nil }
      return try left.equals(right, depth: depth + 1)
    case (.opaque(let left), .opaque(let right)): return left.equals(right)
    default: return compareNumber(to: other) == .equal
    }
  }

  enum Order: Sendable, Hashable { case less, equal, greater }

  /// How two numbers of any types compare; nil when one is no number, or not a number.
  func compareNumber(to other: CELValue) -> Order? {
    switch (self, other) {
    case (.int(let left), .int(let right)): return Self.order(left, right)
    case (.uint(let left), .uint(let right)): return Self.order(left, right)
    case (.double(let left), .double(let right)): return Self.order(left, right)
    case (.int(let left), .uint(let right)): return left < 0 ? .less : Self.order(UInt64(left), right)
    case (.uint, .int), (.int, .double), (.uint, .double): return other.compareNumber(to: self)?.reversed
    case (.double(let left), .int(let right)): return Self.order(left, right)
    case (.double(let left), .uint(let right)): return Self.order(left, right)
    default: return nil
    }
  }

  private static func order<T: Comparable>(_ left: T, _ right: T) -> Order? {
    left < right ? .less : left > right ? .greater : left == right ? .equal : nil
  }

  /// Exact, whatever the integer's width.
  private static func order(_ left: Double, _ right: some FixedWidthInteger) -> Order? {
    guard !left.isNaN else { return nil }
    if left < -9_223_372_036_854_775_808 { return .less }
    if left >= 18_446_744_073_709_551_616 { return .greater }
    let whole = Int128(left.rounded(.down))
    if whole != Int128(right) { return order(whole, Int128(right)) }
    return left.rounded(.down) == left ? .equal : .greater
  }

  /// `<` and its kind; nil for types that have no order or not the same one.
  func compare(to other: CELValue) -> Order? {
    switch (self, other) {
    case (.bool(let left), .bool(let right)): Self.order(left ? 1 : 0, right ? 1 : 0)
    case (.string(let left), .string(let right)): Self.order(left.unicodeScalarsOrder(right), 0)
    case (.bytes(let left), .bytes(let right)):
      left == right ? .equal : left.lexicographicallyPrecedes(right) ? .less : .greater
    case (.timestamp(let left), .timestamp(let right)): Self.order(left, right)
    case (.duration(let left), .duration(let right)): Self.order(left, right)
    default: compareNumber(to: other)
    }
  }
}

extension CELValue.Order {
  var reversed: Self {
    switch self {
    case .less: .greater
    case .equal: .equal
    case .greater: .less
    }
  }
}

extension String {
  /// Texts are equal when their bytes are: no canonical equivalence.
  func utf8Equals(_ other: String) -> Bool {
    utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
  }

  /// -1, 0 or 1 by bytes.
  func unicodeScalarsOrder(_ other: String) -> Int {
    if utf8Equals(other) { return 0 }
    return utf8.lexicographicallyPrecedes(other.utf8) ? -1 : 1
  }
}

extension CELList {
  func equals(_ other: CELList, depth: Int) throws(CELError) -> Bool {
    guard depth < CELLimits.valueDepthMaximum else { throw CELError("value is nested too deeply") }
    guard count == other.count else { return false }
    switch listKind {
    case .set:
      for index in 0..<count where try !other.contains(self[index]) { return false }
      return true
    case .map(let keys):
      for index in 0..<count {
        let element = try self[index]
        guard let match = try other.position(ofKeys: keys, in: element),
          try element.equals(other[match], depth: depth)
        else { return false }
      }
      return true
    case .atomic:
      for index in 0..<count where try !self[index].equals(other[index], depth: depth) { return false }
      return true
    }
  }

  func contains(_ value: CELValue) throws(CELError) -> Bool {
    for index in 0..<count where try self[index].equals(value) { return true }
    return false
  }

  /// The position of the element whose members `keys` are those of `element`.
  func position(ofKeys keys: [String], in element: CELValue) throws(CELError) -> Int? {
    guard case .map(let wanted) = element else { return nil }
    var values: [CELValue?] = []
    for key in keys { values.append(try wanted.member(CELIdentifier.escape(key) ?? key)) }
    for index in 0..<count {
      guard case .map(let candidate) = try self[index] else { continue }
      var matches = true
      for (key, value) in zip(keys, values) where matches {
        let own = try candidate.member(CELIdentifier.escape(key) ?? key)
        guard let own, let value else {
          matches = own == nil && value == nil
          continue
        }
        matches = try own.equals(value)
      }
      if matches { return index }
    }
    return nil
  }

  /// `+`: sets unite; lists of keyed elements merge by key, the right one's elements taking the left one's places.
  func adding(_ other: CELList) throws(CELError) -> CELList {
    guard count + other.count <= CELLimits.listElementsMaximum else { throw .costExceeded }
    var values = try self.values()
    switch listKind {
    case .atomic: values += try other.values()
    case .set:
      for index in 0..<other.count {
        let value = try other[index]
        if try !contains(value) { values.append(value) }
      }
    case .map(let keys):
      for index in 0..<other.count {
        let value = try other[index]
        if let place = try position(ofKeys: keys, in: value) {
          values[place] = value
        } else {
          values.append(value)
        }
      }
    }
    return .values(values)
  }
}

extension CELMap {
  func equals(_ other: CELMap, depth: Int) throws(CELError) -> Bool {
    guard depth < CELLimits.valueDepthMaximum else { throw CELError("value is nested too deeply") }
    guard count == other.count else { return false }
    for key in keys() {
      guard let index = CELKey(key), let own = try value(index), let theirs = try other.value(index),
        try own.equals(theirs, depth: depth)
      else { return false }
    }
    return true
  }
}
