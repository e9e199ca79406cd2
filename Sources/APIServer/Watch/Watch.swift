// WATCH (spec/2 §2.2, §2.3): where it begins, then a session that goes on by itself.
import HTTP
import JSON
import Replica
import Schema
import World

extension APIServer {
  /// A watch whose client names no timeout ends after a random time between this and twice this, as in the reference.
  static let watchLifetimeMinimum = Duration.seconds(1800)

  /// Where a watch begins.
  private enum Beginning {
    /// With the objects of a state, then its changes.
    case state(any StateView)
    /// With changes after a revision.
    case revision(Revision)
    case error(APIStatus)
  }

  func watch(_ request: ResourceRequest) async throws(APIStatus) -> HTTPResponse {
    let options = try ListOptions(request.query, isWatch: true)
    // A list that comes as a watch is for informers: nobody prints it.
    let isList = options.sendInitialEvents == true && options.allowsWatchBookmarks
    let presenter = try request.presenter(isList: true, isWatch: true, allowsTable: !isList)
    let selection = try ObjectSelection(
      kind: request.kind, namespace: request.namespace, name: request.name, labelSelector: options.labelSelector,
      fieldSelector: options.fieldSelector)
    let beginning = try await beginning(options)
    let session = WatchSession(
      events: WatchEvents(selection: selection, presenter: presenter, cache: frames, fields: fieldTexts),
      resource: request.storageResource, world: request.world,
      sendsBookmarks: options.allowsWatchBookmarks, registry: watches, converter: converter(request.kind),
      isInProcess: request.http.version == .inProcess)
    watches.insert(session)
    // The definition may have changed since this request was routed: then nobody would end its watch.
    if let custom = request.kind.custom,
      store.current.object(DefinedKinds.key(custom.definition))?.revision != custom.revision
    {
      session.end()
    }
    begin(session, beginning, request, options, selection)
    let response = HTTPResponse(
      status: 200, headers: ["content-type": presenter.format.streamType], body: .stream(session.pipe))
    guard WebSocketHandshake.isUpgrade(request.http), presenter.format == .json else { return response }
    return BodyOverWebSocket.watch(request.http, response, world: request.world)
  }

  private func converter(_ kind: KindDescriptor) -> WatchSession.Converter? {
    guard kind.isConvertedByWebhook else { return nil }
    return { (changes) async throws(APIStatus) in try await self.inVersion(of: kind, changes) }
  }

  private func beginning(_ options: ListOptions) async throws(APIStatus) -> Beginning {
    let revision = try options.revision()
    switch options.sendInitialEvents {
    case true:
      do { return .state(try await state(for: revision)) } catch {
        guard error.code == 504, let revision, revision > 0 else { throw error }
        return .error(error)
      }
    case false:
      if let revision, revision > 0 { return .revision(revision) }
      return .revision(try await state(for: revision).revision)
    case nil:
      if let revision, revision > 0 { return .revision(revision) }
      return .state(try await state(for: revision))
    }
  }

  private func begin(
    _ session: WatchSession, _ beginning: Beginning, _ request: ResourceRequest, _ options: ListOptions,
    _ selection: ObjectSelection
  ) {
    let chance = Double(request.world.randomBits() >> 11) / Double(1 << 53)
    let lifetime =
      options.timeoutSeconds.flatMap { $0 > 0 ? Duration.seconds(min($0, 1 << 31)) : nil }
      ?? Self.watchLifetimeMinimum * (1 + chance)
    session.start(lifetime: lifetime, jitter: chance)
    let resource = request.storageResource
    switch beginning {
    case .error(let status): session.end(with: status)
    case .revision(let revision): session.follow(store, resource: resource, after: revision)
    case .state(let state):
      let objects: [StoredObject]
      if let key = selection.onlyKey(resource: resource, isNamespaced: request.kind.isNamespaced) {
        objects = state.object(key).map { [$0] } ?? []
      } else {
        objects = state.objects(resource: resource, namespace: selection.namespace, after: nil, limit: 0).objects
      }
      let store = self.store
      let endsWithBookmark = options.sendInitialEvents == true && options.allowsWatchBookmarks
      let kind = request.kind
      request.world.spawn {
        do {
          let objects = try await self.inVersion(of: kind, objects)
          try await session.sendInitialEvents(objects, at: state.revision, endsWithBookmark: endsWithBookmark)
          session.follow(store, resource: resource, after: state.revision)
        } catch let failure as APIStatus {
          session.end(with: failure)
        } catch {
          session.end()
        }
      }
    }
  }
}
