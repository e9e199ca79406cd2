import HTTP
import JSON
import Replica
import Schema
// POST: the write pipeline of spec/2 §2.8 for a new object.
import World

extension APIServer {
  /// A generated name that is taken is replaced this often.
  static let generateNameRetries = 8

  func create(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let presenter = try request.presenter()
    let options = try WriteOptions(request.query, kind: "CreateOptions", userAgent: request.userAgent)
    let decoded = try await request.decodeBody(
      expected: request.kind.kind, structure: request.kind.structure, validation: options.fieldValidation)
    let draft = WriteDraft(object: decoded.object, options: options, optionsKind: "CreateOptions")
    var answer: Answer
    do { answer = try await create(request, draft) } catch { throw error.telling(decoded.warnings) }
    answer.warnings = decoded.warnings + answer.warnings
    return try presenter.response(answer)
  }

  /// Creates `draft.object`, which is canonical but not defaulted.
  func create(_ request: ResourceRequest, _ draft: WriteDraft) async throws(APIStatus) -> Answer {
    var draft = draft
    try ObjectMetadata.place(&draft.object, request)
    // What is no number counts as none, as in the reference.
    let namesVersion = (UInt64(draft.object["metadata"]["resourceVersion"].string ?? "") ?? 0) > 0
    draft.object["metadata"]["resourceVersion"] = .null
    request.applyDefaults(to: &draft.object)
    let generateBase = draft.object["metadata"]["generateName"].string ?? ""
    let isGenerated = draft.object["metadata"]["name"].isZero && !generateBase.isEmpty
    var generations = 0
    for number in 0..<Self.overtakenRetries {
      await Self.stepAside(number, request.world)
      var attempt = try await prepareCreate(request, draft)
      if draft.options.isDryRun { return try await dryRunCreate(request, attempt) }
      guard !namesVersion else { throw Self.versionOfNothing }
      let name = attempt.object["metadata"]["name"].string ?? ""
      let key = request.key(name)
      var write = PendingWrite(
        key: key, condition: APIMutant.createOverwrites.isActive ? nil : .absent(key),
        mutation: .put(key, try await converted(attempt.object, toStorageOf: request.kind)),
        preconditions: attempt.verdict.preconditions, mutations: attempt.verdict.mutations)
      if try allocate(for: &attempt.object, old: nil, key: key, write: &write, request) {
        write.mutation = .put(key, try await converted(attempt.object, toStorageOf: request.kind))
      }
      switch try await commit(write, of: attempt.object, isApplied: draft.ownsManagedFields, request) {
      case .committed(let object?):
        let own = try await inVersion(of: request.kind, object)
        return Answer(code: 201, content: .stored(own), warnings: attempt.warnings)
      case .committed(nil): throw .internalError("a create removed its object")
      case .overtaken: continue
      case .raced:
        generations += 1
        guard isGenerated else { throw .alreadyExists(request.resource, name) }
        guard generations < Self.generateNameRetries else { throw Self.generatedNamesTaken(request, name) }
      }
    }
    throw Self.overtakenTooOften(request)
  }

  /// The reference's store says so, and nobody makes a better code of it (spec/2 §2.7).
  private static let versionOfNothing = APIStatus(
    code: 500, reason: "", message: "resourceVersion should not be set on objects to be created")

  static func overtakenTooOften(_ request: ResourceRequest) -> APIStatus {
    var status = APIStatus(
      code: 500, reason: "ServerTimeout",
      message: "The \(request.info.verb) operation against \(request.resource) could not be completed at this time, "
        + "please try again.")
    status.retryAfterSeconds = 1
    return status.about(request.resource, request.name)
  }

  private static func generatedNamesTaken(_ request: ResourceRequest, _ name: String) -> APIStatus {
    var status = APIStatus.alreadyExists(request.resource, name)
    status.message += ", the server was not able to generate a unique name for the object"
    status.retryAfterSeconds = 1
    return status
  }

  private func dryRunCreate(_ request: ResourceRequest, _ attempt: PreparedWrite) async throws(APIStatus) -> Answer {
    let name = attempt.object["metadata"]["name"].string ?? ""
    if try await linearizableState().object(request.key(name)) != nil {
      throw .alreadyExists(request.resource, name)
    }
    var object = attempt.object
    var write = PendingWrite(key: request.key(name), condition: nil, mutation: .delete(request.key(name)))
    _ = try allocate(for: &object, old: nil, key: request.key(name), write: &write, request)
    return Answer(code: 201, content: .object(object), warnings: attempt.warnings)
  }

  /// Mutating admission to validating admission: the object as it is to be written.
  private func prepareCreate(_ request: ResourceRequest, _ draft: WriteDraft) async throws(APIStatus) -> PreparedWrite {
    let kind = request.kind
    let objects = ObjectLookup(state: store.current, store: store)
    // What admission adds is nobody's, as in the reference: it stands in no manager's fields, and plugins see who is to
    // own what.
    var wanted = draft.object
    let isPatch = draft.optionsKind == "PatchOptions"
    let ownersWarnings = isPatch ? [] : ObjectMetadata.removeRepeatedOwners(&wanted, isAdmitted: false)
    if !draft.ownsManagedFields {
      ManagedFieldsUpdater.update(
        old: nil, new: &wanted, structure: kind.structure, manager: draft.options.fieldManager,
        apiVersion: kind.kind.apiVersion, resetFields: ManagedFieldsUpdater.resetFields(for: kind),
        now: request.now.rfc3339)
    }
    var admitted = request.admissionRequest(
      .create, object: wanted, name: wanted["metadata"]["name"].string ?? "", options: draft.optionsTree,
      isDryRun: draft.options.isDryRun)
    admitted.warnings += ownersWarnings
    try await admission.mutateKeepingOwners(&admitted, objects: objects)
    var object = admitted.object
    admitted.warnings += ObjectMetadata.removeRepeatedOwners(&object, isAdmitted: true)
    if object != wanted { request.applyDefaults(to: &object) }
    if object["metadata"]["name"].isZero, let base = object["metadata"]["generateName"].string, !base.isEmpty {
      object["metadata"]["name"] = .string(ObjectMetadata.generateName(base, request.world))
    }
    let isNode = kind.kind == GroupVersionKind(group: "", version: "v1", kind: "Node")
    // A kubelet registers its node together with its status.
    if kind.traits.hasStatus, !isNode { object["status"] = .null }
    ObjectMetadata.prepareForCreate(&object, kind: kind, now: request.now, world: request.world)
    // What the client wrote is what it is warned of.
    let isCustom = kind.custom != nil
    let warnings =
      kind.rules.warnings(for: object, replacing: .null)
      + (isCustom ? ObjectMetaValidation.finalizerWarnings(object["metadata"]["finalizers"], old: .null) : [])
    kind.rules.prepareForCreate(&object, context: request.ruleContext())
    object = TypedDecoder.canonicalized(object, as: kind.structure)
    let errors =
      ObjectMetaValidation.create(
        object["metadata"], isNamespaced: kind.isNamespaced,
        knowsFinalizers: ObjectMetaValidation.knowsFinalizers(kind.kind, isCustom: isCustom)
      ) { name, isPrefix in
        kind.rules.validateName(name, isGeneratePrefix: isPrefix).map { [$0] } ?? []
      } + kind.rules.validate(object) + kind.rules.validateCreate(object)
    guard errors.isEmpty else {
      throw .invalid(kind.kind, object["metadata"]["name"].string ?? "", errors).telling(admitted.warnings)
    }
    admitted.object = object
    return try await validated(admitted, warnings: admitted.warnings + warnings, objects)
  }
}

/// What a client wants written, before the server has its say.
struct WriteDraft: Sendable {
  /// Canonical, in the version of the request.
  var object: JSONValue
  var options: WriteOptions
  var optionsKind: String
  /// managedFields were computed already (server-side apply).
  var ownsManagedFields = false

  var optionsTree: JSONValue { options.tree(kind: optionsKind) }
}

/// A write that passed admission and validation.
struct PreparedWrite: Sendable {
  var object: JSONValue
  var verdict: AdmissionVerdict
  var warnings: [String]
}

extension ResourceRequest {
  func applyDefaults(to object: inout JSONValue) {
    kind.structure.applyDefaults(to: &object)
    kind.rules.applyDefaults(to: &object)
  }

  func ruleContext(subresource: String = "") -> RuleContext {
    RuleContext(user: user, now: now.rfc3339, subresource: subresource)
  }

  func admissionRequest(
    _ operation: AdmissionOperation, object: JSONValue, old: JSONValue = .null, name: String? = nil,
    options: JSONValue, isDryRun: Bool
  ) -> AdmissionRequest {
    AdmissionRequest(
      operation: operation, descriptor: kind, subresource: info.subresource, namespace: info.namespace,
      name: name ?? self.name, user: user, isDryRun: isDryRun, options: options, now: now, object: object,
      oldObject: old)
  }

  /// The body as an object of `expected`.
  func decodeBody(
    expected: GroupVersionKind, structure: Structure, validation: FieldValidation, otherVersions: Set<String> = []
  ) async throws(APIStatus) -> BodyDecoder.Decoded {
    try BodyDecoder.decode(
      try await bodyBytes(), contentType: http.headers["content-type"], expected: expected, structure: structure,
      validation: validation, otherVersions: otherVersions, isRegistered: codec.isRegistered)
  }

  func bodyBytes() async throws(APIStatus) -> [UInt8] {
    let bytes = try await http.wholeBody()
    AuditRecord.current?.received(bytes)
    return bytes
  }
}

extension HTTPRequest {
  /// The body, as long as a body may be.
  func wholeBody() async throws(APIStatus) -> [UInt8] {
    do { return try await body.collect(upTo: BodyDecoder.bodyMaximum) } catch {
      if case HTTPError.bodyTooLarge(let limit) = error { throw .tooLarge(limit: limit) }
      throw .badRequest("the body of the request could not be read: \(error)")
    }
  }
}
