// GET and LIST (spec/2 §2.2): stored bytes, end to end.
import HTTP
import JSON
import Replica
import Schema

extension APIServer {
  /// How long a read waits for this server to reach a revision that the client has seen elsewhere.
  static let revisionWait = Duration.seconds(3)

  /// A state as fresh as the resourceVersion demands: nil most recent, 0 any, else not older than that.
  func state(for revision: Revision?) async throws(APIStatus) -> any StateView {
    switch revision {
    case nil: return APIMutant.listsFromMemory.isActive ? store.current : try await linearizableState()
    case 0: return store.current
    case let revision?:
      if let state = await store.state(atLeast: revision, timeout: Self.revisionWait) { return state }
      throw .tooLargeResourceVersion(revision, current: store.current.revision)
    }
  }

  func linearizableState() async throws(APIStatus) -> any StateView {
    do { return try await store.linearizableState() } catch { throw APIStatus(storeError: error) }
  }

  func get(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let presenter = try request.presenter()
    return try presenter.response(Answer(content: .stored(try await stored(request))))
  }

  /// The object a GET is about, as fresh as its resourceVersion demands.
  func stored(_ request: ResourceRequest) async throws(APIStatus) -> StoredObject {
    let text = request.query["resourceVersion"] ?? ""
    let revision = text.isEmpty ? nil : UInt64(text)
    guard text.isEmpty || revision != nil else {
      let error = ListOptions.malformedRevision(text)
      throw .badRequest("\(error.field): \(error.message)")
    }
    guard let object = try await state(for: revision).object(request.key) else {
      throw .notFound(request.resource, request.name)
    }
    return try await inVersion(of: request.kind, object)
  }

  func list(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let presenter = try request.presenter(isList: true)
    let options = try ListOptions(request.query, isWatch: false)
    let selection = try ObjectSelection(
      kind: request.kind, namespace: request.namespace, labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector)
    let page = try await page(request, options, selection)
    return try await respond(page, presenter)
  }

  /// One page of a list, selected.
  struct Page: Sendable {
    var objects: [StoredObject]
    /// 0 for objects that are not stored.
    var revision: Revision
    var continueToken = ""
    var remaining: Int?

    var position: ListPosition {
      ListPosition(
        resourceVersion: revision == 0 ? "" : String(revision), continueToken: continueToken,
        remainingItemCount: remaining.flatMap { $0 > 0 ? $0 : nil })
    }
  }

  func page(
    _ request: ResourceRequest, _ options: ListOptions, _ selection: ObjectSelection
  ) async throws(APIStatus) -> Page {
    let token = options.continueToken.isEmpty ? nil : try ContinueToken(parsing: options.continueToken)
    let state = try await listState(request, options, token)
    let after = token.map {
      ObjectKey(resource: request.storageResource, namespace: $0.namespace, name: $0.name)
    }
    if let key = selection.onlyKey(resource: request.storageResource, isNamespaced: request.kind.isNamespaced) {
      let object = try await inVersion(of: request.kind, state.object(key).map { [$0] } ?? [])
      return Page(objects: object.filter { selection.matches($0) }, revision: state.revision)
    }
    // Any state will do: the reference answers from its cache, all of it whatever the limit.
    let limit = token == nil && options.resourceVersion == "0" ? 0 : options.limit
    var page = try await collect(state, request, selection: selection, after: after, limit: limit)
    guard let last = page.more else { return Page(objects: page.objects, revision: state.revision) }
    let remaining =
      selection.isEverything
      ? remaining(state, request.storageResource, selection.namespace, page: page, isFirst: after == nil) : nil
    page.more = nil
    return Page(
      objects: page.objects, revision: state.revision,
      continueToken: ContinueToken(revision: state.revision, after: last).text, remaining: remaining)
  }

  private func remaining(
    _ state: any StateView, _ resource: String, _ namespace: String,
    page: (objects: [StoredObject], more: ObjectKey?), isFirst: Bool
  ) -> Int {
    if isFirst { return state.count(resource: resource, namespace: namespace) - page.objects.count }
    return state.objects(resource: resource, namespace: namespace, after: page.more, limit: 0).objects.count
  }

  /// The state a list is served from.
  private func listState(
    _ request: ResourceRequest, _ options: ListOptions, _ token: ContinueToken?
  ) async throws(APIStatus) -> any StateView {
    guard let token else {
      let revision = try options.revision()
      let isExact =
        options.resourceVersionMatch == ResourceVersionMatch.exact.rawValue
        || (options.resourceVersionMatch.isEmpty && options.limit > 0)
      guard isExact, let revision, revision > 0 else { return try await state(for: revision) }
      return try await exactState(revision, expired: .expired(Self.tooOldMessage(revision, store)))
    }
    guard options.resourceVersion.isEmpty || options.resourceVersion == "0" else {
      throw .badRequest("specifying resource version is not allowed when using continue")
    }
    guard let revision = token.revision else { return try await linearizableState() }
    var expired = APIStatus.expired(Self.continueTooOldMessage)
    var inconsistent = token
    inconsistent.revision = nil
    expired.continueToken = inconsistent.text
    return try await exactState(revision, expired: expired)
  }

  private func exactState(_ revision: Revision, expired: APIStatus) async throws(APIStatus) -> any StateView {
    let newest = try await state(for: revision)
    if newest.revision == revision || APIMutant.pagesOfNow.isActive { return newest }
    guard let state = store.state(at: revision) else { throw expired }
    return state
  }

  private static func tooOldMessage(_ revision: Revision, _ store: any ObjectStore) -> String {
    "The resourceVersion for the provided list is too old: \(revision) (\(store.current.revision))"
  }
  private static let continueTooOldMessage =
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    + "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
    + "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
    + "modified, or deleted between the time the first chunk was returned and now may show up in the list."

  /// Objects looked at in one go while a selector picks some of them: a few milliseconds, with documents or without.
  private static let scanBatch = (withDocuments: 1000, without: 20_000)

  /// Up to `limit` (0: all) selected objects after a key; `more` is the last key of the page when others follow.
  private func collect(
    _ state: any StateView, _ request: ResourceRequest, selection: ObjectSelection, after: ObjectKey?, limit: Int
  ) async throws(APIStatus) -> (objects: [StoredObject], more: ObjectKey?) {
    let resource = request.storageResource
    if selection.isEverything {
      let found = state.objects(resource: resource, namespace: selection.namespace, after: after, limit: limit)
      let objects = try await inVersion(of: request.kind, found.objects)
      return (objects, found.isComplete ? nil : found.objects.last?.key)
    }
    let atOnce = selection.readsDocuments ? Self.scanBatch.withDocuments : Self.scanBatch.without
    var objects: [StoredObject] = []
    var after = after
    while true {
      let batch =
        if let node = selection.nodeName {
          (objects: state.pods(onNode: node, namespace: selection.namespace, after: after), isComplete: true)
        } else {
          state.objects(resource: resource, namespace: selection.namespace, after: after, limit: atOnce)
        }
      // What is selected by is the object as the client sees it.
      for object in try await inVersion(of: request.kind, batch.objects) where selection.matches(object) {
        // One match beyond the page proves that another page is worth asking for.
        if limit > 0, objects.count == limit { return (objects, objects.last?.key) }
        objects.append(object)
      }
      guard !batch.isComplete, let last = batch.objects.last else { return (objects, nil) }
      after = last.key
      // Others' requests come between: to look at every pod of a large cluster takes a good part of a second.
      await Task.yield()
    }
  }

  /// A page in the client's shape.
  func respond(_ page: Page, _ presenter: Presenter) async throws(APIStatus) -> HTTPResponse {
    let kind = presenter.kind
    let headers: HTTPHeaders = ["content-type": presenter.format.encoding.rawValue]
    let items: ((StoredObject) -> [UInt8])?
    /// How items begin that say of what kind they are, which the list has said already.
    var typePrefix: [UInt8] = []
    let listKind: (kind: String, apiVersion: String)
    switch presenter.format.shape {
    case .partialMetadata(let version) where presenter.format.encoding == .json && !presenter.format.isPretty:
      items = { Presenter.partialBytes($0, version: version) }
      listKind = ("PartialObjectMetadataList", "meta.k8s.io/\(version)")
    default:
      items = presenter.usesStoredBytes ? { presenter.bytes($0) } : nil
      if presenter.kind.custom == nil { typePrefix = presenter.typePrefix }
      listKind = (kind.listKind, kind.kind.apiVersion)
    }
    var response = HTTPResponse(status: 200, headers: headers)
    guard let items else {
      response.retained = try responseBudget.charge(page.objects.reduce(0) { $0 + $1.bytes.count })
      response.body = try await presenter.convertedList(page, background: dependencies.background)
      return response
    }
    let head: JSONValue = [
      "kind": .string(listKind.kind), "apiVersion": .string(listKind.apiVersion), "metadata": page.position.json,
    ]
    let pieces = ListPieces.body(
      head: head.bytes, count: page.objects.count, typePrefix: typePrefix, item: { items(page.objects[$0]) },
      untyped: { Presenter.untyped(presenter.tree(page.objects[$0])).bytes })
    // The objects that it refers to may be replaced or deleted while it goes out.
    response.retained = try responseBudget.charge(pieces.byteCount)
    response.body = .pieces(pieces)
    return response
  }
}
