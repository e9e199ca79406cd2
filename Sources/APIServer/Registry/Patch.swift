import HTTP
import JSON
import Replica
import Schema
// PATCH: four ways to say what should change (spec/2 §2.13), then the pipeline of an update.
import World

enum PatchType: String, Sendable, CaseIterable {
  case json = "application/json-patch+json"
  case merge = "application/merge-patch+json"
  case strategic = "application/strategic-merge-patch+json"
  case apply = "application/apply-patch+yaml"

  /// Custom resources have no strategic merge patch.
  init(contentType: String?, isCustom: Bool = false) throws(APIStatus) {
    let essence = AcceptClause.trimmed((contentType ?? "").prefix { $0 != ";" }).lowercased()
    let accepted = Self.allCases.filter { !isCustom || $0 != .strategic }
    guard let type = PatchType(rawValue: essence), accepted.contains(type) else {
      throw .unsupportedMediaType(accepted.map(\.rawValue))
    }
    self = type
  }
}

/// A decoded patch, to be applied to as many versions of the object as it takes.
enum Patch: Sendable {
  case json(JSONPatch)
  case merge(JSONValue)
  case strategic(JSONValue)

  /// From a body; apply configurations are none of these. `errors`: what is wrong with the patch itself and hurts only
  /// those who asked for it, unless they wanted everything ignored.
  init(
    _ body: [UInt8], _ type: PatchType, _ validation: FieldValidation = .warn, _ errors: inout [String]
  ) throws(APIStatus) {
    // A strategic patch is read by another decoder, which says less.
    let prefix = type == .strategic ? "" : "error decoding patch: "
    var duplicates: [String] = []
    var document: JSONValue
    do { document = try JSONParser.parse(body, reportingDuplicates: &duplicates) } catch {
      throw .badRequest("\(prefix)\(error)")
    }
    errors = []
    if validation != .ignore {
      errors = duplicates.map { "\(type == .json ? "json patch " : "")duplicate field \"\($0)\"" }
      if type == .json { errors += try JSONPatch.strictErrors(of: document) }
    }
    if type == .strategic, document.isNull { document = [:] }
    switch (type, document) {
    case (.json, _): self = .json(try JSONPatch(document))
    case (.merge, .object): self = .merge(document)
    case (.strategic, .object): self = .strategic(document)
    case (.merge, .null): throw .badRequest("Invalid JSON Patch")
    case (.apply, _): preconditionFailure("an apply configuration is no document of this kind")
    default:
      throw .badRequest(
        "\(prefix)json: cannot unmarshal \(document.jsonKind) into Go value of type map[string]interface {}")
    }
  }

  func apply(to object: JSONValue, _ structure: Structure) throws(APIStatus) -> JSONValue {
    switch self {
    case .json(let patch): try patch.apply(to: object)
    case .merge(let patch): MergePatch.apply(patch, to: object)
    case .strategic(let patch): try StrategicMergePatch.apply(patch, to: object, structure: structure)
    }
  }

  /// What it made of an object is none of its kind: the reference shows strategic patches, and the outcome of others.
  func unusable(_ patched: JSONValue, _ error: TypeError) -> APIStatus {
    let detail: FieldError =
      if case .strategic(let patch) = self {
        .invalid("patch", .string(patch.goText), error.conversion)
      } else {
        .invalid("patch", .string(ordered(patched).description), error.description)
      }
    return .invalid(GroupVersionKind(group: "", version: "", kind: ""), "", [detail])
  }

  /// The outcome as the reference's libraries write it: what the patch went through has its members by name.
  private func ordered(_ patched: JSONValue) -> JSONValue {
    if case .merge(let patch) = self { return Self.ordered(patched, along: patch) }
    return Self.ordered(patched, along: .null)
  }

  private static func ordered(_ value: JSONValue, along patch: JSONValue) -> JSONValue {
    guard case .object(let object) = value else { return value }
    let members = object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    return .object(
      JSONObject(
        uniqueMembers: members.map { member in
          (member.key, patch[member.key].object == nil ? member.value : ordered(member.value, along: patch[member.key]))
        }))
  }
}

extension APIServer {
  func patch(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    try await patch(request, surface: .object)
  }

  func patch(_ request: ResourceRequest, surface: UpdateSurface) async throws(APIStatus) -> HTTPResponse {
    let presenter = try request.presenter()
    let type = try PatchType(
      contentType: request.http.headers["content-type"], isCustom: request.kind.custom != nil)
    let options = try WriteOptions(
      request.query, kind: "PatchOptions", userAgent: request.userAgent, patchIsApply: type == .apply)
    let body = try await request.bodyBytes()
    let warnings = WarningCollector()
    let plan =
      type == .apply
      ? try applyPlan(request, surface, options, body, warnings)
      : try patchPlan(request, surface, type, options, body, warnings)
    var answer: Answer
    do { answer = try await update(request, plan) } catch { throw error.telling(warnings.all) }
    answer.warnings = warnings.all + answer.warnings
    return try presenter.response(answer)
  }

  private func patchPlan(
    _ request: ResourceRequest, _ surface: UpdateSurface, _ type: PatchType, _ options: WriteOptions,
    _ body: [UInt8], _ warnings: WarningCollector
  ) throws(APIStatus) -> UpdatePlan {
    let kind = request.kind
    var patchErrors: [String] = []
    let patch = try Patch(body, type, options.fieldValidation, &patchErrors)
    return UpdatePlan(
      surface: surface, options: options, optionsKind: "PatchOptions",
      produce: { [patchErrors] (old) throws(APIStatus) in
        let patched = try patch.apply(to: old, kind.structure)
        var object = try PatchedObject.decode(
          patched, from: old, by: patch, request, options, patchErrors, warnings)
        try ObjectMetadata.place(&object, request)
        try ObjectMetadata.checkName(object, request.name)
        return object
      }, isReplacement: false)
  }

  /// Server-side apply: creates what does not exist.
  private func applyPlan(
    _ request: ResourceRequest, _ surface: UpdateSurface, _ options: WriteOptions, _ body: [UInt8],
    _ warnings: WarningCollector
  ) throws(APIStatus) -> UpdatePlan {
    let kind = request.kind
    let applied = try appliedObject(request, options, body, warnings, kind.kind, kind.structure)
    let produce: @Sendable (JSONValue?) async throws(APIStatus) -> JSONValue = { (live) async throws(APIStatus) in
      let merged = try await ServerSideApply.apply(
        live: live, applied: applied, structure: kind.structure, manager: options.fieldManager,
        force: options.force ?? false, apiVersion: kind.kind.apiVersion, subresource: surface.rawValue,
        resetFields: ManagedFieldsUpdater.resetFields(for: kind, subresource: surface.rawValue),
        versions: self.versions(of: kind), now: request.now.rfc3339)
      return TypedDecoder.canonicalized(merged, as: kind.structure)
    }
    var plan = UpdatePlan(
      surface: surface, options: options, optionsKind: "PatchOptions",
      produce: { (old) async throws(APIStatus) in try await produce(old) }, ownsManagedFields: true,
      isReplacement: false)
    guard surface == .object else { return plan }
    plan.draftWhenMissing = { () async throws(APIStatus) in
      let uid = applied["metadata"]["uid"].string ?? ""
      guard uid.isEmpty else {
        throw .conflict(
          request.resource, request.name,
          "uid mismatch: the provided object specified uid \(uid), and no existing "
            + "object was found")
      }
      try await self.authorize(request, verb: "create")
      return WriteDraft(
        object: try await produce(nil), options: options, optionsKind: "PatchOptions", ownsManagedFields: true)
    }
    return plan
  }

  /// The configuration as it was sent, checked as an object of its kind, and at the place the path names.
  func appliedObject(
    _ request: ResourceRequest, _ options: WriteOptions, _ body: [UInt8], _ warnings: WarningCollector,
    _ kind: GroupVersionKind, _ structure: Structure
  ) throws(APIStatus) -> JSONValue {
    var duplicates: [String] = []
    let (sent, isJSON) = Self.configuration(body, reportingDuplicates: &duplicates)
    if let sent, sent.object != nil {
      let given = GroupVersionKind(apiVersion: sent["apiVersion"].string ?? "", kind: sent["kind"].string ?? "")
      guard given == kind else {
        throw .badRequest("invalid object type: \(given.group)/\(given.version), Kind=\(given.kind)")
      }
    }
    if var sent, sent.object != nil {
      if sent["metadata"]["namespace"].isZero { sent["metadata"]["namespace"] = .string(request.namespace) }
      try ServerSideApply.checkTypes(of: sent, structure: structure)
    }
    let decoded = try BodyDecoder.decode(
      body, contentType: (isJSON ? MediaType.json : .yaml).rawValue, expected: kind, structure: structure,
      validation: .ignore)
    // Merging wants what was sent: the decoded object says things that the client did not.
    var applied = sent ?? decoded.object
    applied["kind"] = .string(kind.kind)
    applied["apiVersion"] = .string(kind.apiVersion)
    try ObjectMetadata.place(&applied, request)
    if applied["metadata"]["name"].isZero { applied["metadata"]["name"] = .string(request.name) }
    try ObjectMetadata.checkName(applied, request.name)
    switch options.fieldValidation {
    case .warn: warnings.add(duplicates)
    case .strict where !duplicates.isEmpty:
      throw .badRequest(
        "error strict decoding YAML: error converting YAML to JSON: \(BodyDecoder.yamlErrors(duplicates))")
    default: break
    }
    return applied
  }

  /// The body is YAML, of which JSON is a part; JSON is what clients send, and quicker to read. But duplicates are told
  /// of as in YAML: by their lines.
  private static func configuration(
    _ body: [UInt8], reportingDuplicates lines: inout [String]
  ) -> (sent: JSONValue?, isJSON: Bool) {
    let isJSON = body.first { $0 != 0x20 && $0 != 0x0a && $0 != 0x0d && $0 != 0x09 } == UInt8(ascii: "{")
    var paths: [String] = []
    if isJSON, let sent = try? JSONParser.parse(body, reportingDuplicates: &paths) {
      if !paths.isEmpty { _ = try? YAML.parse(body, reportingDuplicates: &lines) }
      return (sent, true)
    }
    return (try? YAML.parse(body, reportingDuplicates: &lines), false)
  }
}

enum PatchedObject {
  /// A patched tree as an object of its kind: typed, pruned, unknown fields treated as the client asked. What the patch
  /// left as it was in `old` has been through that.
  static func decode(
    _ tree: JSONValue, from old: JSONValue, by patch: Patch, _ request: ResourceRequest, _ options: WriteOptions,
    _ patchErrors: [String], _ warnings: WarningCollector
  ) throws(APIStatus) -> JSONValue {
    try typed(
      settled(tree, by: patch, request), as: request.kind.structure, from: old, by: patch, options, patchErrors,
      warnings)
  }

  /// A patched tree of which only the members are in question.
  static func typed(
    _ tree: JSONValue, as structure: Structure, from old: JSONValue = .null, by patch: Patch, _ options: WriteOptions,
    _ patchErrors: [String], _ warnings: WarningCollector
  ) throws(APIStatus) -> JSONValue {
    var result: TypedDecoder.Result
    do throws(TypeError) { result = try TypedDecoder.decode(tree, as: structure, editedSince: old) } catch {
      throw patch.unusable(tree, error)
    }
    ManagedFieldsUpdater.keepReset(&result.value, asSentIn: tree, structure: structure)
    let errors = patchErrors + result.strictErrors
    guard !errors.isEmpty else { return result.value }
    switch options.fieldValidation {
    case .strict:
      throw patch.unusable(tree, TypeError("strict decoding error: " + errors.joined(separator: ", ")))
    case .warn: warnings.set(errors)
    case .ignore: break
    }
    return result.value
  }

  /// The tree as one of its kind, whatever the patch did to what it calls itself. A strategic patch cannot make anything
  /// else of it; the outcome of others is read anew.
  private static func settled(
    _ tree: JSONValue, by patch: Patch, _ request: ResourceRequest
  ) throws(APIStatus) -> JSONValue {
    let kind = request.kind.kind
    if tree["kind"].string == kind.kind, tree["apiVersion"].string == kind.apiVersion { return tree }
    guard request.kind.custom == nil, case .object = tree else {
      throw .badRequest("the patch may not change kind or apiVersion of \(request.resource) \"\(request.name)\"")
    }
    var tree = tree
    for (member, own) in [("kind", kind.kind), ("apiVersion", kind.apiVersion)] {
      let text = tree[member].string
      if text == nil, !tree[member].isNull { continue }
      if case .strategic = patch {
        tree[member] = .string(own)
      } else if text?.isEmpty ?? true {
        tree[member] = .string(own)
      }
    }
    guard let name = tree["kind"].string, let version = tree["apiVersion"].string else { return tree }
    let given = GroupVersionKind(apiVersion: version, kind: name)
    if given == kind { return tree }
    guard let why = BodyDecoder.refusal(of: given, as: kind, isRegistered: request.codec.isRegistered) else {
      throw .badRequest(
        "the API version in the data (\(version)) does not match the expected API version (\(kind.apiVersion))")
    }
    throw patch.unusable(tree, TypeError(why))
  }
}
