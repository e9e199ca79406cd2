// Declared types of JSON values: what the checker knows of them, how a value is seen in an expression, how large it
// can get.
import JSON

/// The declaration of a JSON value. Objects of one schema are seen lazily through it: only declared members exist, and
/// texts of a format become timestamps, durations or bytes.
public final class CELSchema: Sendable {
  public enum Kind: Sendable, Hashable {
    /// Any value, seen as it is.
    case any
    /// A computed value of that type, no document.
    case declared(CELType)
    case null
    case bool
    case int
    case double
    case string
    /// Base64 text.
    case bytes
    /// RFC 3339 text, a date alone or with a time.
    case date, dateTime
    /// A Go duration text.
    case duration
    /// An integer or a text.
    case intOrString
    case list, map, object
  }

  /// A member of an object.
  public struct Member: Sendable {
    /// As it stands in the document.
    public let name: String
    public let schema: CELSchema
    public init(name: String, schema: CELSchema) {
      self.name = name
      self.schema = schema
    }
  }

  public enum ListKind: Sendable, Hashable {
    case atomic, set
    /// Elements are identified by these members.
    case map(keys: [String])
  }

  public let kind: Kind
  /// Name of an object's type, for messages.
  public let typeName: String
  /// Members of an object by the name expressions use (`CELIdentifier.escape`).
  public let members: [String: Member]
  /// Escaped names by the names in documents.
  private let escapedNames: [String: String]
  /// Elements of a list, values of a map.
  public let element: CELSchema?
  public let listKind: ListKind
  /// Whether null is a value of it.
  public let isNullable: Bool
  /// Most elements of a list or map, most bytes of a text.
  public let elementsMaximum: UInt64
  /// Fewest bytes it takes in a document.
  public let serializedSizeMinimum: UInt64

  public init(
    _ kind: Kind, typeName: String = "object", members: [String: Member] = [:], element: CELSchema? = nil,
    listKind: ListKind = .atomic, isNullable: Bool = false, elementsMaximum: UInt64 = 0,
    serializedSizeMinimum: UInt64 = 1
  ) {
    self.kind = kind
    self.typeName = typeName
    self.members = members
    self.element = element
    self.listKind = listKind
    self.isNullable = isNullable
    self.elementsMaximum = elementsMaximum
    self.serializedSizeMinimum = serializedSizeMinimum
    escapedNames = Dictionary(members.map { ($0.value.name, $0.key) }) { first, _ in first }
  }

  /// The name in expressions of a document's member; nil when it is not declared.
  func escapedName(of member: String) -> String? { escapedNames[member] }

  /// The type expressions see.
  public var type: CELType {
    switch kind {
    case .any, .intOrString: .dyn
    case .declared(let type): type
    case .null: .null
    case .bool: .bool
    case .int: .int
    case .double: .double
    case .string: .string
    case .bytes: .bytes
    case .date, .dateTime: .timestamp
    case .duration: .duration
    case .list: .list(element?.type ?? .dyn)
    case .map: .map(.string, element?.type ?? .dyn)
    case .object: .object(self)
    }
  }

  /// Any value, seen as it is.
  public static let any = CELSchema(.any, isNullable: true)
}

extension CELSchema: Hashable {
  public static func == (left: CELSchema, right: CELSchema) -> Bool { left === right }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// How names of members become identifiers.
public enum CELIdentifier {
  private static let reserved: Set<String> = [
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let",
    "loop", "package", "namespace", "return", "var", "void", "while",
  ]

  /// The identifier of a member: "a-b" is `a__dash__b`, reserved words are `__in__`. nil for names that no
  /// identifier stands for.
  public static func escape(_ name: String) -> String? {
    if reserved.contains(name) { return "__\(name)__" }
    guard let first = name.utf8.first, !(48...57).contains(first) else { return nil }
    var out = ""
    var rest = Substring(name)
    while let scalar = rest.unicodeScalars.first {
      if rest.hasPrefix("__") {
        out += "__underscores__"
        rest = rest.dropFirst(2)
        continue
      }
      switch scalar {
      case ".": out += "__dot__"
      case "-": out += "__dash__"
      case "/": out += "__slash__"
      case _ where scalar.isIdentifierPart: out.unicodeScalars.append(scalar)
      default: return nil
      }
      rest = Substring(rest.unicodeScalars.dropFirst())
    }
    return out
  }
}
