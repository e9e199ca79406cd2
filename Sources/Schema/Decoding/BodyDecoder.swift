// A request's body to an object of the kind its URL names, or to the error the reference gives.
import JSON

/// What becomes of members that a kind does not know, or that occur twice (`fieldValidation`).
public enum FieldValidation: String, Sendable, CaseIterable {
  case ignore = "Ignore"
  case warn = "Warn"
  case strict = "Strict"

  /// The query parameter; absent is Warn. nil for anything else: 422 `fieldValidation: Unsupported value`.
  public init?(query: String?) {
    guard let query, !query.isEmpty else {
      self = .warn
      return
    }
    self.init(rawValue: query)
  }
}

/// The encodings of bodies.
public enum MediaType: String, Sendable, CaseIterable {
  case json = "application/json"
  case yaml = "application/yaml"
  case protobuf = "application/vnd.kubernetes.protobuf"

  /// From a Content-Type; parameters are ignored, absent is JSON, nil is 415.
  public init?(contentType: String?) {
    // What nearly every request says needs no look at its parameters.
    guard let contentType, contentType != Self.json.rawValue else {
      self = .json
      return
    }
    let essence = String(contentType.prefix { $0 != ";" }).filter { $0 != " " }.lowercased()
    if essence.isEmpty {
      self = .json
    } else {
      self.init(rawValue: essence)
    }
  }
}

public struct BodyDecoder: Sendable {
  /// Bodies beyond this are refused before they are read (spec/2 §2.14).
  public static let bodyMaximum = 3 << 20

  public struct Decoded: Sendable {
    /// Canonical, with `kind` and `apiVersion` where the structure has them; not defaulted.
    public var object: JSONValue
    /// One `Warning` header each.
    public var warnings: [String]
  }

  private struct Raw {
    var tree: JSONValue
    var duplicates: [String] = []
    /// Of YAML, which names lines instead of paths.
    var lines: [String] = []
  }

  /// Decodes the body of a create or an update.
  /// - Parameters:
  ///   - kind: what the URL expects; fills in `kind` and `apiVersion` where the body does not say.
  ///   - structure: the type of `kind`.
  ///   - acceptsAnyGroupVersion: for options and reviews that clients send in the version of the resource they go to
  ///     (DeleteOptions in apps/v1).
  ///   - otherVersions: more apiVersions in which the same may be said, such as "policy/v1beta1" of an Eviction.
  ///   - isRegistered: whether the server knows a kind that is not the expected one; both are refused, in other words.
  public static func decode(
    _ body: [UInt8], contentType: String?, expected kind: GroupVersionKind, structure: Structure,
    validation: FieldValidation = .warn, acceptsAnyGroupVersion: Bool = false, otherVersions: Set<String> = [],
    isRegistered: (GroupVersionKind) -> Bool = { _ in false }
  ) throws(APIStatus) -> Decoded {
    let accepted = structure.custom == nil ? MediaType.allCases : [.json, .yaml]
    guard let mediaType = MediaType(contentType: contentType), accepted.contains(mediaType) else {
      throw .unsupportedMediaType(accepted.map(\.rawValue))
    }
    guard body.count <= bodyMaximum else { throw .tooLarge(limit: bodyMaximum) }
    let accepts: (GroupVersionKind) -> Bool = { given in
      given.kind == kind.kind && (acceptsAnyGroupVersion || otherVersions.contains(given.apiVersion))
    }
    let given: GroupVersionKind
    var raw: Raw
    if mediaType == .protobuf {
      (raw, given) = try protobuf(body, kind, structure, accepts, isRegistered)
    } else {
      raw = try tree(body, mediaType, kind, wantsDuplicates: validation != .ignore)
      given =
        structure.custom == nil
        ? try settleKind(&raw.tree, kind, body, accepts, isRegistered)
        : try customKind(raw.tree, kind, body)
    }
    if structure.member("kind") == nil {
      raw.tree["kind"] = .null
      raw.tree["apiVersion"] = .null
    }
    var typed: TypedDecoder.Result
    do throws(TypeError) {
      typed = try TypedDecoder.decode(raw.tree, as: structure, duplicates: raw.duplicates)
    } catch {
      throw unusable(given, kind, error.description)
    }
    ManagedFieldsUpdater.keepReset(&typed.value, asSentIn: raw.tree, structure: structure)
    switch validation {
    case .strict where !(raw.lines.isEmpty && typed.strictErrors.isEmpty):
      let strictErrors = (raw.lines.isEmpty ? [] : [yamlErrors(raw.lines)]) + typed.strictErrors
      throw unusable(given, kind, "strict decoding error: \(strictErrors.joined(separator: ", "))")
    case .warn: return Decoded(object: typed.value, warnings: raw.lines + typed.strictErrors)
    default: return Decoded(object: typed.value, warnings: [])
    }
  }

  /// What a strict YAML parser says of duplicate keys: all of them as one error.
  public static func yamlErrors(_ lines: [String]) -> String {
    "yaml: unmarshal errors:\n  " + lines.joined(separator: "\n  ")
  }

  /// The bytes as a tree, whatever they hold.
  private static func tree(
    _ body: [UInt8], _ mediaType: MediaType, _ kind: GroupVersionKind, wantsDuplicates: Bool
  ) throws(APIStatus) -> Raw {
    var raw = Raw(tree: .null)
    // JSON is YAML too, and most of what is sent as YAML is JSON: server-side apply of kubectl.
    // (But only JSON is repaired where it is no UTF-8.)
    if mediaType == .json || body.first == UInt8(ascii: "{") && String(validating: body, as: UTF8.self) != nil {
      do throws(JSONParseError) {
        raw.tree =
          wantsDuplicates
          ? try JSONParser.parse(body, reportingDuplicates: &raw.duplicates) : try JSONParser.parse(body)
        return raw
      } catch {
        guard mediaType == .yaml else {
          throw unrecognized(kind, "couldn't get version/kind; json parse error: \(error)", body)
        }
        raw.duplicates = []
      }
    }
    do throws(YAMLError) {
      raw.tree = try YAML.parse(body, reportingDuplicates: &raw.lines)
    } catch {
      throw unrecognized(kind, "error converting YAML to JSON: \(error)", body)
    }
    return raw
  }

  /// The kind stands in the envelope, so that it is settled before the message is read as something it is not.
  private static func protobuf(
    _ body: [UInt8], _ kind: GroupVersionKind, _ structure: Structure, _ accepts: (GroupVersionKind) -> Bool,
    _ isRegistered: (GroupVersionKind) -> Bool
  ) throws(APIStatus) -> (Raw, GroupVersionKind) {
    let envelope: ProtobufEnvelope
    do throws(ProtobufError) {
      envelope = try ProtobufEnvelope(parsing: body)
    } catch {
      throw unrecognized(kind, error.description, body)
    }
    var type: JSONValue = ["kind": .string(envelope.kind), "apiVersion": .string(envelope.apiVersion)]
    let given = try settleKind(&type, kind, body, accepts, isRegistered)
    do throws(ProtobufError) {
      var tree = try ProtobufDecoder.rawTree(envelope.message, as: structure)
      tree["kind"] = type["kind"]
      tree["apiVersion"] = type["apiVersion"]
      return (Raw(tree: tree), given)
    } catch {
      throw unusable(given, kind, error.description)
    }
  }

  /// Checks the kind that the body claims, fills in what it leaves out.
  private static func settleKind(
    _ tree: inout JSONValue, _ kind: GroupVersionKind, _ body: [UInt8], _ accepts: (GroupVersionKind) -> Bool,
    _ isRegistered: (GroupVersionKind) -> Bool
  ) throws(APIStatus) -> GroupVersionKind {
    if tree.isNull { tree = [:] }
    guard case .object = tree else {
      throw unrecognized(
        kind,
        "couldn't get version/kind; json parse error: json: cannot unmarshal \(tree.jsonKind) into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }",
        body)
    }
    for member in ["apiVersion", "kind"] {
      let value = tree[member]
      guard value.isNull || value.string != nil else {
        throw unrecognized(
          kind,
          "couldn't get version/kind; json parse error: json: cannot unmarshal \(value.jsonKind) into Go struct field .\(member) of type string",
          body)
      }
      if value.isZero { tree[member] = .string(member == "kind" ? kind.kind : kind.apiVersion) }
    }
    let given = GroupVersionKind(
      apiVersion: tree["apiVersion"].string ?? "", kind: tree["kind"].string ?? "")
    guard given != kind else { return given }
    if let version = tree["apiVersion"].string, version.utf8.count(where: { $0 == UInt8(ascii: "/") }) > 1 {
      throw unrecognized(kind, "unexpected GroupVersion string: \(version)", body)
    }
    if accepts(given) { return given }
    if let why = refusal(of: given, as: kind, isRegistered: isRegistered) { throw unusable(given, kind, why) }
    throw .badRequest(
      "the API version in the data (\(given.apiVersion)) does not match the expected API version (\(kind.apiVersion))"
    )
  }

  /// Why an object that says it is of another kind cannot be taken for one of this kind, in the reference's words; nil
  /// when it is the same kind in another version.
  public static func refusal(
    of given: GroupVersionKind, as kind: GroupVersionKind, isRegistered: (GroupVersionKind) -> Bool
  ) -> String? {
    guard isRegistered(given) else {
      return
        "no kind \"\(given.kind)\" is registered for version \"\(given.apiVersion)\" in scheme \"\(schemeName)\""
    }
    guard given.kind != kind.kind || internalPackage(given.group) != internalPackage(kind.group) else { return nil }
    let target = "\(internalPackage(kind.group)).\(kind.kind)"
    return "converting (\(given.version).\(given.kind)) to (\(target)): unknown conversion"
  }

  /// What the reference calls its table of all kinds.
  private static let schemeName = "pkg/api/legacyscheme/scheme.go:30"

  /// Where the reference keeps the form of a group's kinds that all versions are converted to.
  private static func internalPackage(_ group: String) -> String {
    if group.isEmpty || group == "events.k8s.io" { return "core" }
    return String(group.prefix { $0 != "." })
  }

  /// Custom resources must say what they are; whether it is the right kind is a question of validation.
  private static func customKind(
    _ tree: JSONValue, _ kind: GroupVersionKind, _ body: [UInt8]
  ) throws(APIStatus) -> GroupVersionKind {
    if !tree.isNull {
      guard case .object = tree else {
        throw unrecognized(
          kind, "couldn't get version/kind; json parse error: json: cannot unmarshal \(tree.jsonKind) into Go value",
          body)
      }
    }
    let given = GroupVersionKind(apiVersion: tree["apiVersion"].string ?? "", kind: tree["kind"].string ?? "")
    if given.kind.isEmpty {
      throw .badRequest("Object 'Kind' is missing in '\(String(decoding: body, as: UTF8.self))'")
    }
    if given.version.isEmpty {
      throw .badRequest("Object 'apiVersion' is missing in '\(String(decoding: body, as: UTF8.self))'")
    }
    guard given.group == kind.group, given.version == kind.version else {
      throw .badRequest(
        "the API version in the data (\(given.apiVersion)) does not match the expected API version (\(kind.apiVersion))"
      )
    }
    return given
  }

  /// `Deployment in version "v1" cannot be handled as a Deployment: …`
  private static func unusable(_ given: GroupVersionKind, _ kind: GroupVersionKind, _ why: String) -> APIStatus {
    .badRequest("\(given.kind) in version \"\(given.version)\" cannot be handled as a \(kind.kind): \(why)")
  }

  private static func unrecognized(_ kind: GroupVersionKind, _ why: String, _ body: [UInt8]) -> APIStatus {
    .badRequest("the object provided is unrecognized (must be of type \(kind.kind)): \(why) (\(summary(body)))")
  }

  /// The first 30 bytes, as text where they look like JSON.
  private static func summary(_ body: [UInt8]) -> String {
    guard let first = body.first else { return "<empty>" }
    let head = body.prefix(30)
    let more = body.count > head.count ? " ..." : ""
    if first == UInt8(ascii: "{") { return String(decoding: head, as: UTF8.self) + more }
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: head.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self) + more
  }
}

extension GroupVersionKind {
  /// From "apps/v1" and "Deployment".
  public init(apiVersion: String, kind: String) {
    let parts = apiVersion.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    self.init(
      group: parts.count == 2 ? String(parts[0]) : "", version: String(parts.last ?? ""), kind: kind)
  }
}
