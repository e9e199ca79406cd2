// Reading and editing a tree without unwrapping at every step.

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
  ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .integer(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(nilLiteral: ()) { self = .null }
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    var object = JSONObject()
    for (key, value) in elements { object[key] = value }
    self = .object(object)
  }
}

extension JSONValue {
  public var isNull: Bool { if case .null = self { true } else { false } }
  public var string: String? { if case .string(let value) = self { value } else { nil } }
  public var integer: Int64? {
    switch self {
    case .integer(let value): value
    case .double(let value): Int64(exactly: value)
    default: nil
    }
  }
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

  /// The elements of an array; none for anything else.
  public var elements: [JSONValue] { array ?? [] }

  /// The member of an object, `.null` when absent or when this is no object. Setting on null makes an object;
  /// setting `.null` removes the member (typed Kubernetes objects do not tell null from absent).
  public subscript(key: String) -> JSONValue {
    get {
      guard case .object(let object) = self else { return .null }
      return object[key] ?? .null
    }
    _modify {
      var object: JSONObject
      var isObject = true
      if case .object(let own) = self {
        object = own
        self = .null
      } else {
        object = JSONObject()
        isObject = false
      }
      var member = JSONValue.null
      let position = object.index(of: key)
      if let position {
        member = object.members[position].value
        object.replaceValue(at: position, with: .null)
      }
      defer {
        switch (position, member.isNull) {
        case (let position?, false): object.replaceValue(at: position, with: member)
        case (_?, true): object[key] = nil
        case (nil, false): object.appendUnique(key, member)
        case (nil, true): break
        }
        // What is no object stays what it is unless a member was given to it.
        if isObject || !object.isEmpty { self = .object(object) }
      }
      yield &member
    }
  }

  /// The element of an array, `.null` when out of range or when this is no array.
  public subscript(index: Int) -> JSONValue {
    get {
      guard case .array(let array) = self, array.indices.contains(index) else { return .null }
      return array[index]
    }
    set {
      guard case .array(var array) = self, array.indices.contains(index) else { return }
      self = .null
      array[index] = newValue
      self = .array(array)
    }
  }

  /// The value at a path of member names; `.null` when any step is absent.
  public subscript(path path: [String]) -> JSONValue {
    get { path.reduce(self) { $0[$1] } }
    set {
      guard let first = path.first else { return self = newValue }
      self[first][path: Array(path.dropFirst())] = newValue
    }
  }

  /// Edits the elements of an array in place; does nothing to anything else.
  public mutating func mutateElements(_ body: (inout JSONValue) throws -> Void) rethrows {
    guard case .array(var array) = self else { return }
    self = .null
    defer { self = .array(array) }
    for index in array.indices { try body(&array[index]) }
  }

  /// Appends to an array; null becomes an array first.
  public mutating func append(_ value: JSONValue) {
    var array = self.array ?? []
    self = .null
    array.append(value)
    self = .array(array)
  }

  /// An object of strings as a dictionary (labels, annotations); members that are no strings are left out.
  public var stringMap: [String: String] {
    guard case .object(let object) = self else { return [:] }
    var map: [String: String] = [:]
    map.reserveCapacity(object.count)
    for (key, value) in object { if let text = value.string { map[key] = text } }
    return map
  }
}
