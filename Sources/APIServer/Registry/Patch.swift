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

  /// From a body; apply configurations are none of these.
  init(_ body: [UInt8], _ type: PatchType) throws(APIStatus) {
    var duplicates: [String] = []
    self = try Patch(body, type, &duplicates)
  }

  init(_ body: [UInt8], _ type: PatchType, _ duplicates: inout [String]) throws(APIStatus) {
    let document: JSONValue
    do { document = try JSONParser.parse(body, reportingDuplicates: &duplicates) } catch {
      throw .badRequest("error decoding patch: \(error)")
    }
    switch type {
    case .json: self = .json(try JSONPatch(document))
    case .merge, .strategic:
      guard case .object = document else {
        throw .badRequest("error decoding patch: json: cannot unmarshal into Go value of type map[string]interface {}")
      }
      self = type == .merge ? .merge(document) : .strategic(document)
    case .apply: preconditionFailure("an apply configuration is no document of this kind")
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
        .invalid("patch", .string(patched.description), error.description)
      }
    return .invalid(GroupVersionKind(group: "", version: "", kind: ""), "", [detail])
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
    var answer = try await update(request, plan)
    answer.warnings = warnings.all + answer.warnings
    return try presenter.response(answer)
  }

  private func patchPlan(
    _ request: ResourceRequest, _ surface: UpdateSurface, _ type: PatchType, _ options: WriteOptions,
    _ body: [UInt8], _ warnings: WarningCollector
  ) throws(APIStatus) -> UpdatePlan {
    let kind = request.kind
    var duplicates: [String] = []
    let patch = try Patch(body, type, &duplicates)
    let duplicateErrors = duplicates.map { "duplicate field \"\($0)\"" }
    return UpdatePlan(
      surface: surface, options: options, optionsKind: "PatchOptions",
      produce: { (old) throws(APIStatus) in
        let patched = try patch.apply(to: old, kind.structure)
        let object = try PatchedObject.decode(patched, by: patch, request, options, duplicateErrors, warnings)
        try ObjectMetadata.checkName(object, request.name)
        try ObjectMetadata.checkNamespace(object, request)
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
    // The body is YAML, of which JSON is a part; JSON is what clients send, and quicker to read.
    let isJSON = body.first { $0 != 0x20 && $0 != 0x0a && $0 != 0x0d && $0 != 0x09 } == UInt8(ascii: "{")
    let sent = isJSON ? try? JSONValue(parsing: body) : try? YAML.parse(body)
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
      validation: options.fieldValidation)
    warnings.add(decoded.warnings)
    // Merging wants what was sent: the decoded object says things that the client did not.
    var applied = sent ?? decoded.object
    applied["kind"] = .string(kind.kind)
    applied["apiVersion"] = .string(kind.apiVersion)
    try ObjectMetadata.place(&applied, request)
    if applied["metadata"]["name"].isZero { applied["metadata"]["name"] = .string(request.name) }
    try ObjectMetadata.checkName(applied, request.name)
    return applied
  }
}

enum PatchedObject {
  /// A patched tree as an object of its kind: typed, pruned, unknown fields treated as the client asked.
  static func decode(
    _ tree: JSONValue, by patch: Patch, _ request: ResourceRequest, _ options: WriteOptions,
    _ duplicateErrors: [String], _ warnings: WarningCollector
  ) throws(APIStatus) -> JSONValue {
    let kind = request.kind.kind
    guard tree["kind"].string == kind.kind, tree["apiVersion"].string == kind.apiVersion else {
      throw .badRequest("the patch may not change kind or apiVersion of \(request.resource) \"\(request.name)\"")
    }
    let result: TypedDecoder.Result
    do throws(TypeError) { result = try TypedDecoder.decode(tree, as: request.kind.structure) } catch {
      throw patch.unusable(tree, error)
    }
    let errors = duplicateErrors + result.strictErrors
    guard !errors.isEmpty else { return result.value }
    switch options.fieldValidation {
    case .strict:
      throw patch.unusable(tree, TypeError("strict decoding error: " + errors.joined(separator: ", ")))
    case .warn: warnings.set(errors)
    case .ignore: break
    }
    return result.value
  }
}
