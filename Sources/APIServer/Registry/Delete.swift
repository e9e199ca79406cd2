// DELETE of one object and of collections.
import HTTP
import JSON
import Replica
import Schema
import World

/// What an eviction adds to a deletion.
struct DeletionAmendment: Sendable {
  /// Adds conditions and writes to the command, given the object as it is; throws to refuse.
  var conditions: (@Sendable (JSONValue, inout PendingWrite) throws(APIStatus) -> Void)?
  /// Edits an object that is only marked as being deleted.
  var mark: (@Sendable (inout JSONValue) -> Void)?
}

extension APIServer {
  func delete(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let presenter = try request.presenter()
    let options = try await request.deleteOptions()
    return try presenter.response(try await delete(request, name: request.name, options))
  }

  /// Deletes the object of that name; the answer is the object, or a Status, as the kind has it.
  func delete(
    _ request: ResourceRequest, name: String, _ options: DeleteOptions,
    _ amendment: DeletionAmendment = DeletionAmendment()
  ) async throws(APIStatus) -> Answer {
    let key = request.key(name)
    var base = store.current.object(key)
    // Whether `base` is as new as the request; what this server has applied so far may be older.
    var isNewest = base == nil || options.isDryRun
    if isNewest { base = try await linearizableState().object(key) }
    for _ in 0..<Self.overtakenRetries {
      guard let current = base else { throw .notFound(request.resource, name) }
      let attempt: Attempt
      do { attempt = try await attemptDelete(request, key, options, amendment, base: current) } catch {
        // Only the newest state may refuse a deletion. (From 500 up it is no refusal: it may have been carried out.)
        guard !isNewest, error.code < 500 else { throw error }
        isNewest = true
        base = try await linearizableState().object(key)
        guard base?.revision != current.revision else { throw error }
        continue
      }
      // Whatever comes now was learned from the log.
      isNewest = true
      switch attempt {
      case .done(let answer): return answer
      case .raced(let newer): base = newer
      case .overtaken: base = store.current.object(key)
      }
    }
    throw Self.overtakenTooOften(request)
  }

  private enum Attempt {
    case done(Answer)
    case raced(StoredObject?)
    case overtaken
  }

  private func attemptDelete(
    _ request: ResourceRequest, _ key: ObjectKey, _ options: DeleteOptions, _ amendment: DeletionAmendment,
    base: StoredObject
  ) async throws(APIStatus) -> Attempt {
    let kind = request.kind
    let old = try await tree(base, in: kind)
    try checkPreconditions(request, key, options, base)
    let objects = ObjectLookup(state: store.current, store: store)
    var admitted = request.admissionRequest(
      .delete, object: .null, old: old, name: key.name, options: options.tree, isDryRun: options.isDryRun)
    try await admission.mutate(&admitted, objects: objects)
    let verdict = try await admission.validate(admitted, objects: objects)
    let warnings = admitted.warnings + verdict.warnings + deletionWarnings(kind, options)
    let decision = Deletion.decide(old, kind: kind, options: options, now: request.now)
    var write = PendingWrite(
      key: key, condition: .revision(key, base.revision), mutation: .delete(key),
      preconditions: verdict.preconditions, mutations: verdict.mutations)
    try amendment.conditions?(old, &write)
    switch decision {
    case .pending:
      let newest = try await linearizableState().object(key)
      guard newest?.revision == base.revision else { return .raced(newest) }
      return .done(pendingAnswer(.stored(try await inVersion(of: kind, base)), options, warnings))
    case .mark(var marked):
      amendment.mark?(&marked)
      let object = TypedDecoder.canonicalized(marked, as: kind.structure)
      if options.isDryRun { return .done(pendingAnswer(.object(object), options, warnings)) }
      write.mutation = .put(key, try await converted(object, toStorageOf: kind))
    case .remove:
      if options.isDryRun { return .done(removedAnswer(old, request, key, warnings)) }
      release(old, key: key, write: &write, request)
    }
    switch try await commit(write, request) {
    case .committed(let stored?):
      return .done(pendingAnswer(.stored(try await inVersion(of: kind, stored)), options, warnings))
    case .committed(nil): return .done(removedAnswer(old, request, key, warnings))
    case .raced(let newer): return .raced(newer)
    case .overtaken: return .overtaken
    }
  }

  /// The object stays for now.
  private func pendingAnswer(_ content: Answer.Content, _ options: DeleteOptions, _ warnings: [String]) -> Answer {
    // Clients of old read 202 as "dependents are being deleted first"; it is sent only to those who ask that way.
    Answer(code: options.orphanDependents == false ? 202 : 200, content: content, warnings: warnings)
  }

  private func removedAnswer(
    _ old: JSONValue, _ request: ResourceRequest, _ key: ObjectKey, _ warnings: [String]
  ) -> Answer {
    if request.kind.traits.deleteReturnsObject { return Answer(content: .object(old), warnings: warnings) }
    var details: JSONValue = ["name": .string(key.name)]
    if !request.resource.group.isEmpty { details["group"] = .string(request.resource.group) }
    details["kind"] = .string(request.resource.resource)
    details["uid"] = old["metadata"]["uid"]
    var answer = Answer.success(details: details)
    answer.warnings = warnings
    return answer
  }

  private func deletionWarnings(_ kind: KindDescriptor, _ options: DeleteOptions) -> [String] {
    guard kind.kind.group == "batch", kind.kind.kind == "Job", options.propagationPolicy == nil,
      options.orphanDependents == nil
    else { return [] }
    return [
      "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
        + "set propagationPolicy=Orphan to suppress this warning"
    ]
  }

  private func checkPreconditions(
    _ request: ResourceRequest, _ key: ObjectKey, _ options: DeleteOptions, _ base: StoredObject
  ) throws(APIStatus) {
    // The reference names the kind here, where it names the resource elsewhere.
    let kind = GroupResource(group: request.kind.kind.group, resource: request.kind.kind.kind)
    if let uid = options.preconditionUID, uid != base.uid {
      throw .conflict(
        kind, key.name,
        "the UID in the precondition (\(uid)) does not match the UID in record (\(base.uid)). The object might have been "
          + "deleted and then recreated")
    }
    if let text = options.preconditionResourceVersion, text != String(base.revision),
      !APIMutant.deletionIgnoresConditions.isActive
    {
      throw .conflict(
        kind, key.name,
        "the ResourceVersion in the precondition (\(text)) does not match the ResourceVersion in record "
          + "(\(base.revision)). The object might have been modified")
    }
  }

  // MARK: - Collections

  /// Deletes every selected object and answers with the list of them as they were, or a Status when there is no room for it.
  func deleteCollection(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let presenter = try request.presenter(isList: true)
    let options = try await request.deleteOptions()
    let listOptions = try ListOptions(request.query, isWatch: false)
    let selection = try ObjectSelection(
      kind: request.kind, namespace: request.namespace, labelSelector: listOptions.labelSelector,
      fieldSelector: listOptions.fieldSelector)
    let page = try await page(request, listOptions, selection)
    if let failure = await deleteMembers(page.objects, request, options) { throw failure }
    do { return try await respond(page, presenter) } catch {
      // They are gone, and no refusal may say otherwise.
      return try presenter.response(.success())
    }
  }

  /// Members of a collection deleted at the same time: they share commits.
  private static let collectionParallelism = 256

  /// Deletes the objects, some at a time, in their order; begins no other after one has failed, and returns why.
  private func deleteMembers(
    _ objects: [StoredObject], _ request: ResourceRequest, _ options: DeleteOptions
  ) async -> APIStatus? {
    let world = callerWorld
    return await withTaskGroup(of: APIStatus?.self) { group in
      var rest = objects[...]
      func next() {
        guard let object = rest.popFirst() else { return }
        group.addTask(on: world) { await self.deleteMember(object, request, options) }
      }
      for _ in 0..<Self.collectionParallelism { next() }
      var failure: APIStatus?
      while let outcome = await group.next() {
        failure = failure ?? outcome
        if failure == nil { next() }
      }
      return failure
    }
  }

  private func deleteMember(
    _ object: StoredObject, _ request: ResourceRequest, _ options: DeleteOptions
  ) async -> APIStatus? {
    var own = request
    own.info.namespace = object.key.namespace
    own.info.name = object.key.name
    do {
      _ = try await delete(own, name: object.key.name, options)
      return nil
    } catch {
      // 404: somebody else was quicker.
      return error.code == 404 ? nil : error
    }
  }
}

extension ResourceRequest {
  /// DeleteOptions from the body where there is one, else from the query.
  func deleteOptions() async throws(APIStatus) -> DeleteOptions {
    let body = try await bodyBytes()
    guard !body.isEmpty else { return try DeleteOptions(body: nil, query: query) }
    return try DeleteOptions(
      body: try codec.decodeOptions(body, contentType: http.headers["content-type"]), query: query)
  }
}
