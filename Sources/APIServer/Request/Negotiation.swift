// Content negotiation (spec/2 §2.9): which encoding and which shape an answer takes, and how a body is to be read.
import Schema

/// One clause of an Accept header: lower-case type and its parameters.
struct AcceptClause: Sendable, Hashable {
  var name: String
  var parameters: [String: String] = [:]
  var quality = 1.0

  init(_ text: some StringProtocol) {
    let parts = text.split(separator: ";", omittingEmptySubsequences: false)
    name = Self.trimmed(parts.first ?? "").lowercased()
    for part in parts.dropFirst() {
      let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard pair.count == 2 else { continue }
      let key = Self.trimmed(pair[0]).lowercased()
      let value = Self.trimmed(pair[1])
      if key == "q" { quality = Double(value) ?? 1 } else { parameters[key] = value }
    }
  }

  static func trimmed(_ text: some StringProtocol) -> String {
    var utf8 = Substring(text).utf8
    let isBlank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x22 }
    while let first = utf8.first, isBlank(first) { utf8.removeFirst() }
    while let last = utf8.last, isBlank(last) { utf8.removeLast() }
    return String(Substring(utf8))
  }

  private static let plainJSON = [AcceptClause("application/json")]

  /// The clauses of an Accept header, best quality first, order kept among equals.
  static func clauses(_ header: String) -> [AcceptClause] {
    // As programs ask that want nothing special.
    if header == "application/json" { return plainJSON }
    let all = header.split(separator: ",").map { AcceptClause($0) }
    return all.enumerated().sorted { left, right in
      left.element.quality != right.element.quality
        ? left.element.quality > right.element.quality : left.offset < right.offset
    }.map { $0.element }
  }
}

/// The shape of an answer.
enum OutputShape: Sendable, Hashable {
  case object
  /// `version`: "v1" or "v1beta1" of meta.k8s.io.
  case table(version: String)
  case partialMetadata(version: String)

  var isTable: Bool { if case .table = self { true } else { false } }
}

/// How an answer is to be written.
struct OutputFormat: Sendable, Hashable {
  var encoding = MediaType.json
  var shape: OutputShape = .object
  var isPretty = false

  static let json = OutputFormat()

  /// The type of a stream of events in this encoding.
  var streamType: String { encoding == .json ? encoding.rawValue : "\(encoding.rawValue);stream=watch" }

  /// What 406 lists: protobuf even where only metadata is to be had in it.
  static let offered = [
    "application/json", "application/yaml", "application/vnd.kubernetes.protobuf",
  ]
  /// What 406 lists for a watch: a stream has no YAML form.
  static let streamsOffered = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"]

  /// Chooses by the Accept header. `shapes`: whether Table and PartialObjectMetadata exist for what is asked;
  /// `isList` distinguishes PartialObjectMetadataList; `allowsProtobuf` is false where there is no encoder; `allowsTable`
  /// is false for a watch that begins as a list; `type` is the answer's type as the reference names it.
  static func negotiate(
    accept: String?, query: Query, userAgent: String?, shapes: Bool, isList: Bool, allowsProtobuf: Bool = true,
    isWatch: Bool = false, allowsTable: Bool = true, type: () -> String = { "" }
  ) throws(APIStatus) -> OutputFormat {
    var format = OutputFormat()
    format.isPretty = !isWatch && wantsPretty(query, userAgent: userAgent)
    guard let accept, !AcceptClause.trimmed(accept).isEmpty else { return format }
    for clause in AcceptClause.clauses(accept) {
      guard let shape = shape(for: clause, shapes: shapes), allowsTable || !shape.isTable,
        let encoding = encoding(for: clause, allowsProtobuf: hasProtobuf(shape, allowsProtobuf))
      else { continue }
      if isWatch && encoding == .yaml { throw .notAcceptable(streamsOffered) }
      if !isWatch, case .partialMetadata = shape, isList != (clause.parameters["as"] == "PartialObjectMetadataList") {
        throw .shapeNotAcceptable(isList: isList, type: type())
      }
      format.encoding = encoding
      format.shape = shape
      return format
    }
    throw .notAcceptable(offered)
  }

  /// Tables have no protobuf form; metadata has one whatever the kind.
  private static func hasProtobuf(_ shape: OutputShape, _ hasObjectForm: Bool) -> Bool {
    switch shape {
    case .object: hasObjectForm
    case .partialMetadata: true
    case .table: false
    }
  }

  private static func encoding(for clause: AcceptClause, allowsProtobuf: Bool) -> MediaType? {
    switch clause.name {
    case "*/*", "application/*", "*": .json
    case "application/vnd.kubernetes.protobuf": allowsProtobuf ? .protobuf : nil
    default: MediaType(rawValue: clause.name)
    }
  }

  /// nil: the clause asks for a shape that is not to be had.
  private static func shape(for clause: AcceptClause, shapes: Bool) -> OutputShape? {
    let parameters = clause.parameters
    guard parameters["as"] != nil || parameters["g"] != nil || parameters["v"] != nil else { return .object }
    guard shapes, parameters["g"] == "meta.k8s.io", let version = parameters["v"],
      version == "v1" || version == "v1beta1"
    else { return nil }
    switch parameters["as"] {
    case "Table": return .table(version: version)
    case "PartialObjectMetadata", "PartialObjectMetadataList": return .partialMetadata(version: version)
    default: return nil
    }
  }

  /// Browsers and curl get indented answers unless they say otherwise, as from the reference.
  private static func wantsPretty(_ query: Query, userAgent: String?) -> Bool {
    if let pretty = query.flag("pretty") { return pretty }
    guard let userAgent else { return false }
    return userAgent.hasPrefix("curl") || userAgent.hasPrefix("Wget") || userAgent.hasPrefix("Mozilla/5.0")
  }
}
