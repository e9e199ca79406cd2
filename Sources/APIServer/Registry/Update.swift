import HTTP
import JSON
import Replica
import Schema
// PUT, PATCH and everything that changes an object that exists: the write pipeline of spec/2 §2.8, tried again when
// others write at the same time.
import World

/// Which part of an object a request may change, and by which rules.
enum UpdateSurface: String, Sendable {
  case object = ""
  case status
  case scale
  /// namespaces/finalize: spec.finalizers.
  case finalize
  /// certificatesigningrequests/approval: the conditions Approved and Denied.
  case approval
  case ephemeralContainers = "ephemeralcontainers"
  /// pods/binding, decided and admitted as a Binding already.
  case binding
}

/// A change of an existing object, not yet tried.
struct UpdatePlan: Sendable {
  var surface = UpdateSurface.object
  var options: WriteOptions
  var optionsKind = "UpdateOptions"
  /// The object the client wants, canonical but not defaulted, given the one that is stored.
  var produce: @Sendable (_ old: JSONValue) async throws(APIStatus) -> JSONValue
  /// `produce` computed managedFields (server-side apply).
  var ownsManagedFields = false
  /// Whether the client's document states the object as a whole (PUT): it decides what an absent resourceVersion means.
  var isReplacement = true
  /// What to write when the object does not exist; nil refuses with 404.
  var draftWhenMissing: (@Sendable () async throws(APIStatus) -> WriteDraft)?
  var retries = APIServer.conflictRetries
}

extension APIServer {
  func update(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    try await update(request, surface: .object)
  }

  /// PUT of the object or of a subresource whose body is the object.
  func update(_ request: ResourceRequest, surface: UpdateSurface) async throws(APIStatus) -> HTTPResponse {
    let presenter = try request.presenter()
    let options = try WriteOptions(request.query, kind: "UpdateOptions", userAgent: request.userAgent)
    let decoded = try await request.decodeBody(
      expected: request.kind.kind, structure: request.kind.structure, validation: options.fieldValidation)
    var object = decoded.object
    try ObjectMetadata.place(&object, request)
    try ObjectMetadata.checkName(object, request.name)
    var plan = UpdatePlan(surface: surface, options: options, produce: { [object] _ in object })
    if surface == .object, request.kind.traits.createsOnUpdate {
      plan.draftWhenMissing = { [object] () async throws(APIStatus) in
        guard object["metadata"]["resourceVersion"].isZero else {
          throw .modified(request.resource, request.name)
        }
        try await self.authorize(request, verb: "create")
        return WriteDraft(object: object, options: options, optionsKind: "UpdateOptions")
      }
    }
    // A client that names no version wants its own, whoever writes meanwhile.
    if object["metadata"]["resourceVersion"].isZero { plan.retries = Self.overtakenRetries }
    var answer: Answer
    do { answer = try await update(request, plan) } catch { throw error.telling(decoded.warnings) }
    answer.warnings = decoded.warnings + answer.warnings
    return try presenter.response(answer)
  }

  /// Carries a plan out, against the newest object that is known, again when that turns out not to be the newest.
  func update(_ request: ResourceRequest, _ plan: UpdatePlan) async throws(APIStatus) -> Answer {
    var base = store.current.object(request.key)
    // Whether `base` is as new as the request; what this server has applied so far may be older.
    var isNewest = base == nil || plan.options.isDryRun
    if isNewest { base = try await linearizableState().object(request.key) }
    var conflicts = 0
    var attempts = 0
    while true {
      guard let current = base else {
        guard let draft = plan.draftWhenMissing else { throw .notFound(request.resource, request.name) }
        do { return try await create(request, try await draft()) } catch {
          // Somebody else created it in between: then it is there to be changed.
          conflicts += 1
          guard error.reason == "AlreadyExists", conflicts <= plan.retries else { throw error }
          base = try await linearizableState().object(request.key)
          continue
        }
      }
      let attempt: Attempt
      do { attempt = try await attemptUpdate(request, plan, base: current) } catch {
        // Only the newest state may refuse a write. (From 500 up it is no refusal: it may have been carried out.)
        guard !isNewest, error.code < 500 else { throw error }
        isNewest = true
        base = try await linearizableState().object(request.key)
        guard base?.revision != current.revision else { throw error }
        continue
      }
      // Whatever comes now was learned from the log.
      isNewest = true
      switch attempt {
      case .done(let answer): return answer
      case .raced(let newer):
        base = newer
        conflicts += 1
        guard conflicts <= plan.retries else { throw .modified(request.resource, request.name) }
      case .overtaken:
        attempts += 1
        base = store.current.object(request.key)
        guard attempts < Self.overtakenRetries else { throw Self.overtakenTooOften(request) }
      }
    }
  }

  private enum Attempt {
    case done(Answer)
    case raced(StoredObject?)
    case overtaken
  }

  private func attemptUpdate(
    _ request: ResourceRequest, _ plan: UpdatePlan, base: StoredObject
  ) async throws(APIStatus) -> Attempt {
    let old = try await tree(base, in: request.kind)
    let wanted = try await plan.produce(old)
    try checkIdentity(wanted, base, request, plan)
    let prepared = try await prepareUpdate(request, plan, wanted: wanted, old: old)
    if prepared.object == old || plan.ownsManagedFields && Self.differsOnlyInTime(prepared.object, old) {
      // Nothing changes. That must be true of the newest object, not only of the newest known here.
      let newest = try await linearizableState().object(request.key)
      guard newest?.revision == base.revision else { return .raced(newest) }
      return .done(Answer(content: .stored(try await inVersion(of: request.kind, base)), warnings: prepared.warnings))
    }
    if plan.options.isDryRun { return .done(Answer(content: .object(prepared.object), warnings: prepared.warnings)) }
    return try await commitUpdate(request, plan, prepared, old: old, base: base)
  }

  /// An apply whose outcome is what was there before, once defaults are filled in: that is no write.
  private static func differsOnlyInTime(_ object: JSONValue, _ old: JSONValue) -> Bool {
    let owners = old["metadata"]["managedFields"]
    guard ManagedFieldsUpdater.differOnlyInTime(object["metadata"]["managedFields"], owners) else { return false }
    var object = object
    object["metadata"]["managedFields"] = owners
    return object == old
  }

  private func commitUpdate(
    _ request: ResourceRequest, _ plan: UpdatePlan, _ prepared: PreparedWrite, old: JSONValue, base: StoredObject
  ) async throws(APIStatus) -> Attempt {
    var object = prepared.object
    let key = request.key
    let isComplete =
      ObjectMetadata.deletionIsComplete(object, kind: request.kind) && !APIMutant.lastFinalizerHolds.isActive
    var write = PendingWrite(
      key: key, condition: .revision(key, base.revision), mutation: .delete(key),
      preconditions: prepared.verdict.preconditions, mutations: prepared.verdict.mutations)
    if isComplete {
      release(old, key: key, write: &write, request)
    } else {
      _ = try allocate(for: &object, old: old, key: key, write: &write, request)
      write.mutation = .put(key, try await converted(object, toStorageOf: request.kind))
    }
    switch try await commit(write, of: object, isApplied: plan.ownsManagedFields, request) {
    case .committed(let stored?):
      let own = try await inVersion(of: request.kind, stored)
      return .done(Answer(content: .stored(own), warnings: prepared.warnings))
    case .committed(nil): return .done(Answer(content: .object(object), warnings: prepared.warnings))
    case .raced(let newer): return .raced(newer)
    case .overtaken: return .overtaken
    }
  }

  /// resourceVersion and uid of the wanted object against those of the stored one.
  private func checkIdentity(
    _ wanted: JSONValue, _ base: StoredObject, _ request: ResourceRequest, _ plan: UpdatePlan
  ) throws(APIStatus) {
    // Who replaces an object names the one that is meant; who patches it to be another changes what does not change.
    let uid = wanted["metadata"]["uid"].string ?? ""
    guard uid.isEmpty || uid == base.uid || plan.optionsKind == "PatchOptions" else {
      throw .conflict(
        request.resource, request.name,
        StoragePath.invalidObject(
          at: StoragePath.of(request.kind, base.key),
          "Precondition failed: UID in precondition: \(uid), UID in object meta: \(base.uid)"))
    }
    let text = wanted["metadata"]["resourceVersion"].string ?? ""
    if text.isEmpty || text == "0" {
      if plan.isReplacement, plan.surface != .scale, request.kind.traits.requiresResourceVersionOnUpdate {
        throw .invalid(request.kind.kind, request.name, [ObjectMetaValidation.missingResourceVersion])
      }
    } else {
      guard let revision = UInt64(text) else {
        let error = FieldError.invalid("metadata.resourceVersion", .string(text), "must be an unsigned integer")
        throw .invalid(request.kind.kind, request.name, [error])
      }
      guard revision == base.revision || APIMutant.staleUpdateAccepted.isActive else {
        throw .modified(request.resource, request.name)
      }
    }
  }

  /// Defaulting to validating admission.
  private func prepareUpdate(
    _ request: ResourceRequest, _ plan: UpdatePlan, wanted: JSONValue, old: JSONValue
  ) async throws(APIStatus) -> PreparedWrite {
    let kind = request.kind
    if plan.surface == .binding {
      return PreparedWrite(
        object: TypedDecoder.canonicalized(wanted, as: kind.structure), verdict: .allowed, warnings: [])
    }
    let objects = ObjectLookup(state: store.current, store: store)
    var draft = wanted
    let isPatch = plan.optionsKind == "PatchOptions"
    let ownersWarnings = isPatch ? [] : ObjectMetadata.removeRepeatedOwners(&draft, isAdmitted: false)
    request.applyDefaults(to: &draft)
    // What admission changes is nobody's (see `prepareCreate`).
    if !plan.ownsManagedFields {
      ManagedFieldsUpdater.update(
        old: old, new: &draft, structure: kind.structure, manager: plan.options.fieldManager,
        apiVersion: kind.kind.apiVersion, subresource: plan.surface.rawValue,
        resetFields: ManagedFieldsUpdater.resetFields(for: kind, subresource: plan.surface.rawValue),
        others: await versions(of: kind).updates(old: old, new: draft), now: request.now.rfc3339)
    }
    var admitted = request.admissionRequest(
      .update, object: draft, old: old, options: plan.options.tree(kind: plan.optionsKind),
      isDryRun: plan.options.isDryRun)
    admitted.warnings += ownersWarnings
    try await admission.mutateKeepingOwners(&admitted, objects: objects)
    var object = admitted.object
    admitted.warnings += ObjectMetadata.removeRepeatedOwners(&object, isAdmitted: true)
    if object != draft { request.applyDefaults(to: &object) }
    object = UpdateRules.confine(object, old: old, kind: kind, surface: plan.surface, request: request)
    object = TypedDecoder.canonicalized(object, as: kind.structure, editedSince: old)
    let errors =
      ObjectMetadata.immutableErrors(wanted, old: old)
      + UpdateRules.errors(object, old: old, kind: kind, surface: plan.surface)
    guard errors.isEmpty else {
      throw .invalid(kind.kind, request.name, errors).telling(admitted.warnings)
    }
    admitted.object = object
    var warnings = plan.surface == .object ? kind.rules.warnings(for: object, replacing: old) : []
    if kind.custom != nil {
      warnings += ObjectMetaValidation.finalizerWarnings(
        object["metadata"]["finalizers"], old: old["metadata"]["finalizers"])
    }
    return try await validated(admitted, warnings: admitted.warnings + warnings, objects)
  }

  /// Validating admission of what else is ready to be written. What was to be told before is told in any case.
  func validated(
    _ request: AdmissionRequest, warnings: [String], _ objects: ObjectLookup
  ) async throws(APIStatus) -> PreparedWrite {
    let verdict: AdmissionVerdict
    do { verdict = try await admission.validate(request, objects: objects) } catch { throw error.telling(warnings) }
    return PreparedWrite(object: request.object, verdict: verdict, warnings: warnings + verdict.warnings)
  }
}

/// What an endpoint lets through of a wanted object, and what is wrong with the result. Pure.
enum UpdateRules {
  /// Kinds whose own checks of an update do not look at the metadata as at new ones.
  private static let metadataIsLeftToOthers: Set<String> = ["Deployment", "CronJob", "HorizontalPodAutoscaler"]

  static func confine(
    _ wanted: JSONValue, old: JSONValue, kind: KindDescriptor, surface: UpdateSurface, request: ResourceRequest
  ) -> JSONValue {
    var object = wanted
    let context = request.ruleContext(subresource: surface.rawValue)
    switch surface {
    case .object, .scale:
      if kind.traits.hasStatus, object["status"] != old["status"] { object["status"] = old["status"] }
      ObjectMetadata.prepareForUpdate(&object, old: old)
      kind.rules.prepareForUpdate(&object, old: old, context: context)
      if kind.traits.tracksGeneration, kind.rules.generationChanged(object, old: old) {
        object["metadata"]["generation"] = .integer((old["metadata"]["generation"].integer ?? 0) + 1)
      }
    case .status, .approval:
      object = old
      object["status"] = wanted["status"]
      object["metadata"] = wanted["metadata"]
      ObjectMetadata.prepareForUpdate(&object, old: old)
      if surface == .approval {
        object["status"]["certificate"] = old["status"]["certificate"]
      }
      kind.rules.prepareForStatusUpdate(&object, old: old, context: context)
    case .finalize:
      object = old
      object["spec"]["finalizers"] = wanted["spec"]["finalizers"]
      object["metadata"] = wanted["metadata"]
      ObjectMetadata.prepareForUpdate(&object, old: old)
    case .ephemeralContainers:
      object = old
      object["spec"]["ephemeralContainers"] = wanted["spec"]["ephemeralContainers"]
      object["metadata"]["managedFields"] = wanted["metadata"]["managedFields"]
    case .binding: break
    }
    return object
  }

  static func errors(
    _ object: JSONValue, old: JSONValue, kind: KindDescriptor, surface: UpdateSurface
  ) -> [FieldError] {
    var errors = ObjectMetaValidation.updateAsToldOf(
      object["metadata"], old: old["metadata"],
      isCheckedByKind: surface == .object && kind.custom == nil && !metadataIsLeftToOthers.contains(kind.kind.kind),
      knowsFinalizers: ObjectMetaValidation.knowsFinalizers(kind.kind, isCustom: kind.custom != nil))
    switch surface {
    case .object, .scale:
      errors += kind.rules.validate(object, replacing: old) + kind.rules.validateUpdate(object, old: old)
    case .status: errors += kind.rules.validateStatusUpdate(object, old: old)
    case .approval: errors += kind.rules.validateApproval(object, old: old)
    case .finalize:
      errors += ObjectMetaValidation.finalizerNames(object["spec"]["finalizers"], "spec.finalizers")
    case .binding: break
    case .ephemeralContainers: errors += kind.rules.validate(object) + ephemeralErrors(object, old: old)
    }
    return errors
  }

  /// Ephemeral containers are only ever added (spec/3 §3.7).
  private static func ephemeralErrors(_ object: JSONValue, old: JSONValue) -> [FieldError] {
    let path = "spec.ephemeralContainers"
    if !old["metadata"]["annotations"]["kubernetes.io/config.mirror"].isNull {
      return [.forbidden("[]", "static pods do not support ephemeral containers")]
    }
    let added = object["spec"]["ephemeralContainers"].elements
    return old["spec"]["ephemeralContainers"].elements.compactMap { before in
      guard let now = added.first(where: { $0["name"] == before["name"] }) else {
        return .forbidden(path, "existing ephemeral containers \(before["name"]) may not be removed\n")
      }
      return now == before
        ? nil : .forbidden(path, "existing ephemeral containers \(before["name"]) may not be changed\n")
    }
  }
}
