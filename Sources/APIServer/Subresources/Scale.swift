// …/scale: the number of replicas of anything that has one, in one shape (autoscaling/v1 Scale).
import HTTP
import JSON
import Kinds
import Schema
import World

enum Scale {
  static let kind = GroupVersionKind(group: "autoscaling", version: "v1", kind: "Scale")

  /// The Scale of an object that has spec.replicas.
  static func of(_ object: JSONValue, _ custom: CustomKind? = nil) -> JSONValue {
    if let paths = custom?.scale { return of(object, paths) }
    return of(
      object, replicas: object["spec"]["replicas"].integer ?? 0, current: object["status"]["replicas"].integer ?? 0,
      selector: selectorText(object["spec"]["selector"]))
  }

  private static func of(_ object: JSONValue, _ paths: CustomKind.ScalePaths) -> JSONValue {
    // Objects that were stored before their definition had a scale hold any number there: 32 bits of it are shown, as
    // the reference has it.
    func count(_ path: [String]) -> Int64 { Int64(Int32(truncatingIfNeeded: object[path: path].integer ?? 0)) }
    return of(
      object, replicas: count(paths.specReplicas), current: count(paths.statusReplicas),
      selector: paths.labelSelector.isEmpty ? "" : object[path: paths.labelSelector].string ?? "")
  }

  private static func of(_ object: JSONValue, replicas: Int64, current: Int64, selector: String) -> JSONValue {
    var metadata: JSONValue = [:]
    for member in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
      metadata[member] = object["metadata"][member]
    }
    var status: JSONValue = ["replicas": .integer(current)]
    if !selector.isEmpty { status["selector"] = .string(selector) }
    var spec: JSONValue = [:]
    if replicas != 0 { spec["replicas"] = .integer(replicas) }
    return [
      "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status,
    ]
  }

  /// ReplicationControllers select by a plain map, everything else by a LabelSelector.
  private static func selectorText(_ selector: JSONValue) -> String {
    let isLabelSelector = selector["matchLabels"].object != nil || selector["matchExpressions"].array != nil
    if isLabelSelector { return (try? LabelSelector(selector))?.description ?? "" }
    return LabelSelector(matchLabels: selector.stringMap).description
  }

  static func errors(_ scale: JSONValue) -> [FieldError] {
    let replicas = scale["spec"]["replicas"].integer ?? 0
    return replicas >= 0
      ? [] : [.invalid("spec.replicas", .integer(replicas), "must be greater than or equal to 0")]
  }

  /// The object with the number of replicas of its Scale, and the Scale's conditions on identity.
  static func apply(_ scale: JSONValue, to object: JSONValue, _ custom: CustomKind? = nil) -> JSONValue {
    var result = object
    result[path: custom?.scale?.specReplicas ?? ["spec", "replicas"]] = .integer(scale["spec"]["replicas"].integer ?? 0)
    let revision = scale["metadata"]["resourceVersion"]
    if !revision.isZero { result["metadata"]["resourceVersion"] = revision }
    let uid = scale["metadata"]["uid"]
    if !uid.isZero { result["metadata"]["uid"] = uid }
    return result
  }
}

extension APIServer {
  func scale(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    guard let structure = request.codec.registry.structure(Scale.kind) else { throw .unknownResource }
    let format = try OutputFormat.negotiate(
      accept: request.http.headers["accept"], query: request.query, userAgent: request.userAgent, shapes: true,
      isList: false)
    let presenter = try request.presenter(format)
    let scalePresenter = Presenter(
      kind: Kinds.Scale.printed(of: request.kind), format: format, included: presenter.included, now: request.now,
      codec: request.codec)
    let custom = request.kind.custom
    func respond(_ answer: Answer) throws(APIStatus) -> HTTPResponse {
      let tree: JSONValue =
        switch answer.content {
        case .stored(let object): presenter.tree(object)
        case .object(let tree), .document(let tree): tree
        }
      if let path = custom?.scale?.specReplicas, tree[path: path].isNull, request.info.verb == "get" {
        throw .internalError("the spec replicas field \".\(path.joined(separator: "."))\" does not exist")
      }
      return try scalePresenter.response(
        Answer(code: answer.code, content: .object(Scale.of(tree, custom)), warnings: answer.warnings))
    }
    switch request.info.verb {
    case "get": return try respond(Answer(content: .stored(try await stored(request))))
    case "update": return try respond(try await putScale(request, structure))
    case "patch": return try respond(try await patchScale(request, structure))
    default: throw .methodNotAllowed
    }
  }

  private func putScale(_ request: ResourceRequest, _ structure: Structure) async throws(APIStatus) -> Answer {
    let options = try WriteOptions(request.query, kind: "UpdateOptions", userAgent: request.userAgent)
    let decoded = try await request.decodeBody(
      expected: Scale.kind, structure: structure, validation: options.fieldValidation)
    var scale = decoded.object
    try ObjectMetadata.place(&scale, request)
    try ObjectMetadata.checkName(scale, request.name)
    let errors = Scale.errors(scale)
    guard errors.isEmpty else { throw .invalid(Scale.kind, request.name, errors) }
    let plan = UpdatePlan(
      surface: .scale, options: options, produce: { [scale] old in Scale.apply(scale, to: old, request.kind.custom) },
      isReplacement: false)
    var answer = try await update(request, plan)
    answer.warnings = decoded.warnings + answer.warnings
    return answer
  }

  private func patchScale(_ request: ResourceRequest, _ structure: Structure) async throws(APIStatus) -> Answer {
    let type = try PatchType(
      contentType: request.http.headers["content-type"], isCustom: request.kind.custom != nil)
    let options = try WriteOptions(
      request.query, kind: "PatchOptions", userAgent: request.userAgent, patchIsApply: type == .apply)
    let body = try await request.bodyBytes()
    if type == .apply { return try await applyScale(request, structure, options, body) }
    var patchErrors: [String] = []
    let patch = try Patch(body, type, options.fieldValidation, &patchErrors)
    let warnings = WarningCollector()
    let plan = UpdatePlan(
      surface: .scale, options: options, optionsKind: "PatchOptions",
      produce: { [patchErrors] (old) throws(APIStatus) in
        let patched = try patch.apply(to: Scale.of(old, request.kind.custom), structure)
        let scale = try PatchedObject.typed(patched, as: structure, by: patch, options, patchErrors, warnings)
        try ObjectMetadata.checkName(scale, request.name)
        let errors = Scale.errors(scale)
        guard errors.isEmpty else { throw .invalid(Scale.kind, request.name, errors) }
        return Scale.apply(scale, to: old, request.kind.custom)
      }, isReplacement: false)
    var answer = try await update(request, plan)
    answer.warnings = warnings.all + answer.warnings
    return answer
  }

  /// Server-side apply of a Scale: merged into the object's Scale, whose owners are those of the object's own field.
  private func applyScale(
    _ request: ResourceRequest, _ structure: Structure, _ options: WriteOptions, _ body: [UInt8]
  ) async throws(APIStatus) -> Answer {
    let kind = request.kind
    let warnings = WarningCollector()
    let applied = try appliedObject(request, options, body, warnings, Scale.kind, structure)
    let path = kind.custom?.scale?.specReplicas ?? ["spec", "replicas"]
    let plan = UpdatePlan(
      surface: .scale, options: options, optionsKind: "PatchOptions",
      produce: { (old) async throws(APIStatus) in
        let owners = old["metadata"]["managedFields"]
        var live = Scale.of(old, kind.custom)
        live["metadata"]["managedFields"] = ScaleOwnership.ofScale(owners, replicas: path)
        let merged = try await ServerSideApply.apply(
          live: live, applied: applied, structure: structure, manager: options.fieldManager,
          force: options.force ?? false, apiVersion: Scale.kind.apiVersion, subresource: UpdateSurface.scale.rawValue,
          now: request.now.rfc3339)
        let errors = Scale.errors(merged)
        guard errors.isEmpty else { throw .invalid(Scale.kind, request.name, errors) }
        var object = Scale.apply(merged, to: old, kind.custom)
        object["metadata"]["managedFields"] = ScaleOwnership.ofObject(
          owners, scale: merged["metadata"]["managedFields"], replicas: path, apiVersion: kind.kind.apiVersion)
        return object
      }, ownsManagedFields: true, isReplacement: false)
    var answer = try await update(request, plan)
    answer.warnings = warnings.all + answer.warnings
    return answer
  }
}
