// Reflector and informer: a local, indexed copy of a resource that follows the server by list and watch (spec/2 §2.4).
import JSON
import Logging
import Schema
import Synchronization
import World

/// What happened to an object, as an informer tells its handlers.
public enum InformerEvent<Object: InformedObject>: Sendable {
  case added(Object)
  case updated(old: Object, new: Object)
  /// The last state seen; a relist may have found the object gone without its deletion having been seen.
  case deleted(Object)

  /// The newest state known.
  public var object: Object {
    switch self {
    case .added(let object), .updated(_, let object), .deleted(let object): object
    }
  }
}

/// A local copy of all objects of a kind (or of those that match a selector), kept current.
///
/// Reads are synchronous and may come from any thread; handlers run one event at a time, in order, on the informer's
/// loop. Objects are immutable values.
public final class Informer<Object: InformedObject>: Sendable {
  public typealias Handler = @Sendable (InformerEvent<Object>) -> Void
  /// Extracts the values under which an object is found; used with `objects(index:value:)`.
  public typealias Indexer = @Sendable (Object) -> [String]

  private struct State {
    var objects: [NamespacedName: Object] = [:]
    var indices: [String: [String: Set<NamespacedName>]] = [:]
    var hasSynced = false
    var resourceVersion = ""
    var handlers: [Handler] = []
    var syncWaiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    var nextWaiter: UInt64 = 0
    var isStopped = false
    var task: SpawnedTask?
  }

  /// Client-go's reflector constants (spec/2 §2.4): relist back-off 0.8 s doubling to 30 s; a watch lives 300–600 s.
  private static var firstBackoff: Duration { .milliseconds(800) }
  private static var lastBackoff: Duration { .seconds(30) }
  private static var pageSize: Int { 500 }
  /// A list of more pages or objects than these (an aggregated server makes what it likes of both) is not read to its end:
  /// it may have none.
  private static var pagesMaximum: Int { 4000 }
  private static var objectsMaximum: Int { 2_000_000 }
  /// Structures would be copied, which is no better than to read them again.
  private static var isShareable: Bool { Object.self is AnyObject.Type }
  /// A watch that ends sooner did not work; the server may be about to go.
  private static var shortWatch: Duration { .seconds(1) }

  public let resource: ResourceReference
  private let client: APIClient
  private let options: ListOptions
  private let namespace: String
  private let indexers: [String: Indexer]
  private let accept: String
  private let listAccept: String
  private let read: @Sendable (JSONTape.Cursor) -> Object
  private let logger: Logger
  private let state = Mutex(State())

  /// Follows `resource`; `accept` and `listAccept` ask for another form of its objects, `read` takes from one what is
  /// to be kept of it.
  public init(
    resource: ResourceReference, client: APIClient, namespace: String = "", labelSelector: String = "",
    fieldSelector: String = "", indexers: [String: Indexer] = [:], accept: String = "application/json",
    listAccept: String = "application/json", logger: Logger,
    read: @escaping @Sendable (JSONTape.Cursor) -> Object
  ) {
    self.resource = resource
    self.client = client
    self.namespace = namespace
    options = ListOptions(labelSelector: labelSelector, fieldSelector: fieldSelector)
    self.indexers = indexers
    self.accept = accept
    self.listAccept = listAccept
    self.read = read
    self.logger = logger
  }

  /// Follows only objects that a selector matches. (A namespace is none.)
  public var isSelective: Bool { !options.labelSelector.isEmpty || !options.fieldSelector.isEmpty }

  // MARK: Reading

  public func get(_ key: NamespacedName) -> Object? { state.withLock { $0.objects[key] } }
  public func get(namespace: String = "", name: String) -> Object? {
    get(NamespacedName(namespace: namespace, name: name))
  }
  /// All objects, in no order.
  public var all: [Object] { state.withLock { Array($0.objects.values) } }
  public var count: Int { state.withLock { $0.objects.count } }
  public var hasSynced: Bool { state.withLock { $0.hasSynced } }

  /// The objects for which the indexer named `index` gave `value`.
  public func objects(index: String, value: String) -> [Object] {
    state.withLock { state in
      guard let keys = state.indices[index]?[value] else { return [] }
      return keys.compactMap { state.objects[$0] }
    }
  }

  /// Returns when the first list has been delivered to the handlers; at once if it has been already, if the informer was
  /// stopped, or when the waiting task is cancelled.
  public func waitForSync() async {
    let id = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let now = state.withLock { state in
          if state.hasSynced || state.isStopped || Task.isCancelled { return true }
          state.syncWaiters[id] = continuation
          return false
        }
        if now { continuation.resume() }
      }
    } onCancel: {
      state.withLock { $0.syncWaiters.removeValue(forKey: id) }?.resume()
    }
  }

  // MARK: Running

  /// Adds a handler; to be called before `start`.
  public func onEvent(_ handler: @escaping Handler) { state.withLock { $0.handlers.append(handler) } }

  /// Starts following the server; `stop` ends it.
  public func start() {
    state.withLock { state in
      precondition(state.task == nil, "an informer starts once")
      guard !state.isStopped else { return }
      state.task = client.world.spawn { await self.run() }
    }
  }

  /// Follows the server no longer; what is known stays readable. Handlers are not called again.
  public func stop() {
    let (task, waiters) = state.withLock { state in
      state.isStopped = true
      state.handlers = []
      defer { state.syncWaiters = [:] }
      return (state.task, state.syncWaiters)
    }
    task?.cancel()
    for waiter in waiters.sorted(by: { $0.key < $1.key }) { waiter.value.resume() }
  }

  private func run() async {
    var backoff = Self.firstBackoff
    var chance = WorldRandom(client.world)
    while !Task.isCancelled {
      do {
        try await relist()
        backoff = Self.firstBackoff
        try await follow()
      } catch let expired as WatchExpired {
        logger.debug("\(resource): \(expired.status.message); listing again")
      } catch {
        if Task.isCancelled { return }
        logger.debug("\(resource): \(error); listing again in \(backoff)")
        try? await client.world.sleep(for: backoff * Double.random(in: 1...1.5, using: &chance))
        backoff = min(backoff * 2, Self.lastBackoff)
      }
    }
  }

  /// The server has forgotten the revision to go on from: everything must be listed again.
  private struct WatchExpired: Error {
    var status: APIStatus
  }

  private struct EndlessList: Error, CustomStringConvertible {
    var objects: Int
    var description: String { "the list does not end: it was left after \(objects) objects" }
  }

  /// Lists everything, page by page, and tells handlers the difference to what was known.
  private func relist() async throws {
    var page = options
    page.limit = Self.pageSize
    var objects: [NamespacedName: Object] = [:]
    var resourceVersion = ""
    var pages = 0
    repeat {
      pages += 1
      guard pages <= Self.pagesMaximum, objects.count <= Self.objectsMaximum else {
        throw EndlessList(objects: objects.count)
      }
      let list = try await client.tape(resource.path(namespace: namespace), page.query, accept: listAccept).root
      for item in list["items"].elements {
        let object = read(item)
        objects[object.key] = object
      }
      resourceVersion = list["metadata"]["resourceVersion"].string ?? ""
      page.continueToken = list["metadata"]["continue"].string ?? ""
    } while !page.continueToken.isEmpty
    replace(with: objects, resourceVersion: resourceVersion)
  }

  /// Watches on from where the list or the last watch ended, over as many watches as that takes.
  private func follow() async throws {
    var chance = WorldRandom(client.world)
    // Watches in a row that brought nothing and did not last: 0 and 1 go on at once, on whichever server answers.
    var fruitless = 0
    while true {
      try Task.checkCancellation()
      var watch = options
      watch.resourceVersion = state.withLock { $0.resourceVersion }
      let begun = client.world.now
      do {
        let stream = try await client.watch(
          path: resource.path(namespace: namespace), watch, timeoutSeconds: Int.random(in: 300...600, using: &chance),
          accept: accept)
        defer { stream.cancel() }
        while let event = try await stream.next() {
          fruitless = 0
          apply(event)
        }
      } catch let status as APIStatus where status.code == 410 {
        throw WatchExpired(status: status)
      } catch {
        logger.debug("\(resource): \(error); watching again")
      }
      try Task.checkCancellation()
      fruitless = client.world.now - begun < Self.shortWatch ? fruitless + 1 : 0
      if fruitless > 1 { try await client.world.sleep(for: min(.milliseconds(50 << min(fruitless, 10)), .seconds(5))) }
    }
  }

  private func apply(_ event: WatchEvent) {
    switch event {
    case .bookmark(let resourceVersion, _):
      state.withLock { $0.resourceVersion = resourceVersion }
    case .added(let json), .modified(let json): store(object(json))
    case .deleted(let json):
      let object = object(json)
      state.withLock { $0.resourceVersion = object.resourceVersion }
      remove(object.key, last: object)
    }
  }

  private func object(_ json: JSONTape.Cursor) -> Object {
    guard Self.isShareable, let reading = client.reading else { return read(json) }
    return reading.object(json, read)
  }

  private func replace(with objects: [NamespacedName: Object], resourceVersion: String) {
    let gone = state.withLock { state in
      state.resourceVersion = resourceVersion
      return state.objects.values.filter { objects[$0.key] == nil }
    }
    // In the order of names, not of a hash table: handlers see the same twice.
    for object in gone.sorted(by: { $0.key < $1.key }) where !ClientMutant.relistForgetsDeletions.isActive {
      remove(object.key, last: object)
    }
    for (_, object) in objects.sorted(by: { $0.key < $1.key }) { store(object, advancing: false) }
    let waiters = state.withLock { state in
      state.hasSynced = true
      defer { state.syncWaiters = [:] }
      return state.syncWaiters
    }
    for waiter in waiters.sorted(by: { $0.key < $1.key }) { waiter.value.resume() }
  }

  private func store(_ object: Object, advancing: Bool = true) {
    let (events, handlers) = state.withLock { state -> ([InformerEvent<Object>], [Handler]) in
      let old = state.objects.updateValue(object, forKey: object.key)
      if advancing { state.resourceVersion = object.resourceVersion }
      if let old { updateIndices(&state, old, insert: false) }
      updateIndices(&state, object, insert: true)
      guard let old else { return ([.added(object)], state.handlers) }
      if old.uid != object.uid { return ([.deleted(old), .added(object)], state.handlers) }
      if old.resourceVersion == object.resourceVersion { return ([], []) }
      return ([.updated(old: old, new: object)], state.handlers)
    }
    for event in events { for handler in handlers { handler(event) } }
  }

  private func remove(_ key: NamespacedName, last: Object) {
    let handlers = state.withLock { state -> [Handler] in
      guard let old = state.objects.removeValue(forKey: key) else { return [] }
      updateIndices(&state, old, insert: false)
      return state.handlers
    }
    for handler in handlers { handler(.deleted(last)) }
  }

  private func updateIndices(_ state: inout State, _ object: Object, insert: Bool) {
    for (name, indexer) in indexers {
      for value in indexer(object) {
        if insert {
          state.indices[name, default: [:]][value, default: []].insert(object.key)
        } else if state.indices[name]?[value]?.remove(object.key) != nil,
          state.indices[name]?[value]?.isEmpty == true
        {
          state.indices[name]?[value] = nil
        }
      }
    }
  }
}

extension Informer where Object: ObjectWithMetadata {
  public convenience init(
    resource: ResourceReference, client: APIClient, namespace: String = "", labelSelector: String = "",
    fieldSelector: String = "", indexers: [String: Indexer] = [:], accept: String = "application/json",
    listAccept: String = "application/json", logger: Logger
  ) {
    self.init(
      resource: resource, client: client, namespace: namespace, labelSelector: labelSelector,
      fieldSelector: fieldSelector, indexers: indexers, accept: accept, listAccept: listAccept, logger: logger,
      read: Object.read)
  }
}

extension Informer where Object: APIObject {
  public convenience init(
    _ type: Object.Type = Object.self, client: APIClient, namespace: String = "", labelSelector: String = "",
    fieldSelector: String = "", indexers: [String: Indexer] = [:], logger: Logger
  ) {
    self.init(
      resource: Object.reference, client: client, namespace: namespace, labelSelector: labelSelector,
      fieldSelector: fieldSelector, indexers: indexers, logger: logger)
  }
}
