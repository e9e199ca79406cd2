// YAML documents to trees of JSON, as sigs.k8s.io/yaml reads them (YAML 1.1 scalars), within bounds.
import CYaml
import JSON

/// Why bytes are no YAML.
public struct YAMLError: Error, Sendable, Hashable, CustomStringConvertible {
  public let description: String
  public init(_ description: String) { self.description = description }
}

public enum YAML {
  /// What a document may grow to by its aliases, in nodes and bytes of text: a little more than the largest body.
  static let expansionMaximum = 8 << 20

  /// The first document; null if there is none. Of duplicate keys the last wins.
  public static func parse(_ bytes: [UInt8]) throws(YAMLError) -> JSONValue {
    try YAMLParser.run(bytes, documentsMaximum: 1).documents.first ?? .null
  }

  /// As `parse(_:)`; also tells of duplicate keys: `line 5: key "x" already set in map`.
  public static func parse(
    _ bytes: [UInt8], reportingDuplicates duplicates: inout [String]
  ) throws(YAMLError) -> JSONValue {
    let result = try YAMLParser.run(bytes, documentsMaximum: 1)
    duplicates += result.duplicates
    return result.documents.first ?? .null
  }

  /// Every document of a stream, empty ones left out.
  public static func documents(_ bytes: [UInt8]) throws(YAMLError) -> [JSONValue] {
    try YAMLParser.run(bytes, documentsMaximum: .max).documents.filter { !$0.isNull }
  }
}

/// Builds trees from libyaml's events. No recursion: what is open stands on a stack of its own.
struct YAMLParser {
  /// A finished value and what it costs to repeat it.
  private struct Node {
    var value: JSONValue
    var cost: Int
  }

  private struct Collection {
    enum Shape {
      case sequence([JSONValue])
      case mapping(JSONObjectBuilder, key: String?)
    }
    var shape: Shape
    var anchor: String?
    var cost = 1
    /// Mappings of `<<`: their members count where the mapping has none of its own.
    var merges: [JSONValue] = []
    var isMergeNext = false
  }

  private var stack: [Collection] = []
  private var anchors: [String: Node] = [:]
  private var root: Node?
  private var budget: Int
  private(set) var documents: [JSONValue] = []
  private(set) var duplicates: [String] = []

  static func run(
    _ bytes: [UInt8], documentsMaximum: Int
  ) throws(YAMLError) -> (documents: [JSONValue], duplicates: [String]) {
    var composer = Self(budget: max(YAML.expansionMaximum, 2 * bytes.count))
    try bytes.withUnsafeBufferPointer { buffer in
      Result { () throws(YAMLError) in try composer.compose(buffer, documentsMaximum) }
    }.get()
    return (composer.documents, composer.duplicates)
  }

  private init(budget: Int) { self.budget = budget }

  private mutating func compose(
    _ buffer: UnsafeBufferPointer<UInt8>, _ documentsMaximum: Int
  ) throws(YAMLError) {
    var parser = yaml_parser_t()
    guard yaml_parser_initialize(&parser) == 1 else { throw YAMLError("yaml: out of memory") }
    defer { yaml_parser_delete(&parser) }
    var empty: UInt8 = 0
    withUnsafePointer(to: &empty) { empty in
      yaml_parser_set_input_string(&parser, buffer.baseAddress ?? empty, buffer.count)
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
    while documents.count < documentsMaximum {
      var event = yaml_event_t()
      guard yaml_parser_parse(&parser, &event) == 1 else { throw Self.failure(parser) }
      defer { yaml_event_delete(&event) }
      if event.type == YAML_STREAM_END_EVENT { return }
      try handle(event)
    }
  }

  private static func failure(_ parser: yaml_parser_t) -> YAMLError {
    let problem = parser.problem.map { String(cString: $0) } ?? "unknown problem parsing YAML content"
    // The reader knows no lines.
    let isReader = parser.error == YAML_READER_ERROR
    return YAMLError(isReader ? "yaml: \(problem)" : "yaml: line \(parser.problem_mark.line + 1): \(problem)")
  }

  // MARK: Events

  private mutating func handle(_ event: yaml_event_t) throws(YAMLError) {
    switch event.type {
    case YAML_DOCUMENT_START_EVENT:
      anchors = [:]
      root = nil
    case YAML_DOCUMENT_END_EVENT: documents.append(root?.value ?? .null)
    case YAML_ALIAS_EVENT:
      let name = Self.text(event.data.alias.anchor)
      guard let node = anchors[name] else {
        throw YAMLError("yaml: unknown anchor '\(name)' referenced")
      }
      try finish(node, anchor: nil, event)
    case YAML_SCALAR_EVENT: try scalar(event)
    case YAML_SEQUENCE_START_EVENT: try open(.sequence([]), event.data.sequence_start.anchor)
    case YAML_MAPPING_START_EVENT:
      try open(.mapping(JSONObjectBuilder(), key: nil), event.data.mapping_start.anchor)
    case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: try close(event)
    default: return
    }
  }

  private static func text(_ pointer: UnsafeMutablePointer<UInt8>?) -> String {
    pointer.map { String(cString: $0) } ?? ""
  }

  private mutating func open(
    _ shape: Collection.Shape, _ anchor: UnsafeMutablePointer<UInt8>?
  ) throws(YAMLError) {
    guard stack.count < JSONLimits.depthMaximum else { throw YAMLError("yaml: exceeded max depth") }
    if let last = stack.last, case .mapping(_, key: nil) = last.shape, !last.isMergeNext {
      throw YAMLError("yaml: map keys must be scalars")
    }
    stack.append(Collection(shape: shape, anchor: anchor.map { Self.text($0) }))
  }

  private mutating func close(_ event: yaml_event_t) throws(YAMLError) {
    let collection = stack.removeLast()
    let value: JSONValue
    switch collection.shape {
    case .sequence(let elements): value = .array(elements)
    case .mapping(var builder, _):
      for merged in collection.merges {
        for (key, member) in merged.object ?? [:] where !builder.contains(key) { builder.insert(key, member) }
      }
      value = .object(builder.object)
    }
    try finish(Node(value: value, cost: collection.cost), anchor: collection.anchor, event)
  }

  private mutating func scalar(_ event: yaml_event_t) throws(YAMLError) {
    let scalar = event.data.scalar
    let raw = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
    guard let text = String(validating: raw, as: UTF8.self) else { throw YAMLError("yaml: invalid UTF-8") }
    let anchor = scalar.anchor.map { Self.text($0) }
    let isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE && scalar.tag == nil
    if isPlain, text == "<<", let last = stack.last, case .mapping(_, key: nil) = last.shape {
      stack[stack.count - 1].isMergeNext = true
      return
    }
    let value = isPlain ? try YAMLScalar.resolved(text) : try YAMLScalar.tagged(text, Self.text(scalar.tag))
    try finish(Node(value: value, cost: 1 + scalar.length), anchor: anchor, event)
  }

  /// A value is complete: it becomes the root, an element, a key or a member.
  private mutating func finish(_ node: Node, anchor: String?, _ event: yaml_event_t) throws(YAMLError) {
    if let anchor { anchors[anchor] = node }
    // Collections were paid for piece by piece; an alias pays for the whole.
    if event.type == YAML_ALIAS_EVENT || event.type == YAML_SCALAR_EVENT { budget -= node.cost }
    guard budget >= 0 else { throw YAMLError("yaml: document contains excessive aliasing") }
    guard !stack.isEmpty else {
      root = node
      return
    }
    let top = stack.count - 1
    stack[top].cost += node.cost
    if stack[top].isMergeNext {
      stack[top].isMergeNext = false
      return try merge(node.value, into: top)
    }
    switch stack[top].shape {
    case .sequence(var elements):
      stack[top].shape = .sequence([])
      elements.append(node.value)
      stack[top].shape = .sequence(elements)
    case .mapping(let builder, key: nil):
      stack[top].shape = .mapping(builder, key: try YAMLScalar.key(node.value))
    case .mapping(var builder, let key?):
      stack[top].shape = .sequence([])
      if builder.insert(key, node.value), duplicates.count < JSONLimits.duplicatesReportedMaximum {
        duplicates.append("line \(event.start_mark.line + 1): key \(JSONValue.string(key)) already set in map")
      }
      stack[top].shape = .mapping(builder, key: nil)
    }
  }

  private mutating func merge(_ value: JSONValue, into top: Int) throws(YAMLError) {
    let merged = value.array ?? [value]
    guard merged.allSatisfy({ $0.object != nil }) else {
      throw YAMLError("yaml: map merge requires map or sequence of maps as the value")
    }
    stack[top].merges += merged
  }
}
