// One watch: its place in the stream of changes, its timers, its pipe to the client. Everything runs on one loop.
import DequeModule
import HTTP
import Replica
import Schema
import Synchronization
import World

/// The watches of a server: what keeps them alive, and how a stopping server ends them.
final class WatchRegistry: Sendable {
  private let sessions = Mutex<(byNumber: [UInt64: WatchSession], last: UInt64)>(([:], 0))

  var count: Int { sessions.withLock { $0.byNumber.count } }
  /// A number for a session that begins.
  func nextNumber() -> UInt64 {
    sessions.withLock { sessions in
      sessions.last += 1
      return sessions.last
    }
  }
  func insert(_ session: WatchSession) { sessions.withLock { $0.byNumber[session.number] = session } }
  func remove(_ session: WatchSession) { _ = sessions.withLock { $0.byNumber.removeValue(forKey: session.number) } }
  /// Ends the watches of one resource cleanly.
  func endAll(of resource: String) {
    let all = sessions.withLock { $0.byNumber.sorted { $0.key < $1.key } }
    for (_, session) in all where session.resource == resource { session.endAfterDeliveries() }
  }
  /// Ends every watch cleanly: clients resume elsewhere from what they have seen.
  func endAll() {
    let all = sessions.withLock { $0.byNumber.sorted { $0.key < $1.key } }
    for (_, session) in all { session.end() }
  }
}

/// Feeds one watch until the client leaves, its time is up, it is too slow, or the server stops.
///
/// Frames are made as the client takes them. While it has enough of them, changes wait as they are, which the history and
/// other watches share with it: those that happened before the watch began for as long as it takes to read them, and
/// `waitingMaximum` of those that happen meanwhile.
final class WatchSession: Sendable {
  /// Bytes of new objects that may wait for a client before its watch ends; it resumes from what it has seen.
  static let waitingMaximum = 4 << 20
  /// Changes whose frames together are shorter than this are sent as one piece: one TLS record instead of many. Zero for
  /// a reader in this process, who takes each as the array it is.
  private let joinedMaximum: Int
  /// Objects of the beginning that are presented in one go: a few milliseconds.
  private static let presentedAtOnce = 100
  static let bookmarkInterval = Duration.seconds(60)
  /// A last bookmark goes out this long before the end, so that the client resumes from there.
  static let lastBookmarkLead = Duration.seconds(2)

  private struct State {
    var events: WatchEvents
    var subscription: (any WatchSubscription)?
    var lifetimeTimer: (any ScheduledTimer)?
    var lastBookmarkTimer: (any ScheduledTimer)?
    var bookmarkTimer: (any ScheduledTimer)?
    var isEnded = false
    /// Changes that wait until the client has taken what was sent before, and how many bytes of them count.
    var waiting: Deque<Waiting> = []
    var waitingBytes = 0
    var isHeldBack = false
    /// Changes that wait for conversion, and whether somebody is at it.
    var unconverted: Deque<(changes: [Change], revision: Revision)> = []
    var isConverting = false
  }
  private struct Waiting {
    var changes: ArraySlice<Change>
    var revision: Revision
    /// What it counts for.
    var bytes: Int
  }
  let pipe = BytePipe(highWater: 1 << 20)
  let number: UInt64
  private let world: any World
  private let sendsBookmarks: Bool
  /// As storage keys have it.
  let resource: String
  private let state: Mutex<State>
  private let registry: WatchRegistry
  private let record = AuditRecord.current
  /// Makes the objects of changes what the client reads, where that takes a webhook.
  typealias Converter = @Sendable ([Change]) async throws(APIStatus) -> [Change]
  private let converter: Converter?
  /// Batches that may wait for their conversion before the watch ends; its client resumes from what it has seen.
  private static let unconvertedMaximum = 1024

  init(
    events: WatchEvents, resource: String, world: any World, sendsBookmarks: Bool, registry: WatchRegistry,
    converter: Converter? = nil, isInProcess: Bool = false
  ) {
    self.converter = converter
    joinedMaximum = isInProcess ? 0 : 16 << 10
    self.resource = resource
    state = Mutex(State(events: events))
    self.world = world
    self.sendsBookmarks = sendsBookmarks
    self.registry = registry
    number = registry.nextNumber()
  }

  // MARK: Beginning

  /// Ends the watch cleanly after `lifetime`; calls for bookmarks meanwhile.
  func start(lifetime: Duration, jitter: Double) {
    pipe.onCancel { [weak self] in self?.end() }
    pipe.onDrain { [weak self] in
      guard let self else { return }
      world.execute { self.goOn() }
    }
    schedule(after: lifetime, \.lifetimeTimer) { $0.end() }
    guard sendsBookmarks else { return }
    if lifetime > Self.lastBookmarkLead * 2 {
      schedule(after: lifetime - Self.lastBookmarkLead, \.lastBookmarkTimer) { $0.requestBookmark() }
    }
    scheduleBookmark(after: Self.bookmarkInterval * (0.9 + 0.2 * jitter))
  }

  private func scheduleBookmark(after delay: Duration) {
    schedule(after: delay, \.bookmarkTimer) { session in
      session.requestBookmark()
      session.scheduleBookmark(after: Self.bookmarkInterval)
    }
  }

  private func schedule(
    after delay: Duration, _ slot: any WritableKeyPath<State, (any ScheduledTimer)?> & Sendable,
    _ body: @escaping @Sendable (WatchSession) -> Void
  ) {
    let timer = world.schedule(after: delay) { [weak self] in self.map(body) }
    let late = state.withLock { state in
      if state.isEnded { return true }
      state[keyPath: slot] = timer
      return false
    }
    if late { timer.cancel() }
  }

  private func requestBookmark() { state.withLock { $0.subscription }?.requestProgress() }

  /// Sends ADDED for every selected object, then a bookmark that ends them where the client asked for one. Waits for a
  /// client that reads slowly. Throws when the client has left or the watch has ended meanwhile.
  func sendInitialEvents(_ objects: [StoredObject], at revision: Revision, endsWithBookmark: Bool) async throws {
    var piece: [UInt8] = []
    for (number, object) in objects.enumerated() {
      // To present thousands takes long: others' requests come between.
      if number % Self.presentedAtOnce == Self.presentedAtOnce - 1 { await Task.yield() }
      guard let frame = state.withLock({ $0.events.initialFrame(object) }) else { continue }
      Self.join(frame, to: &piece)
      if piece.count >= joinedMaximum {
        try await pipe.write(piece)
        piece = []
      }
    }
    if endsWithBookmark { piece += state.withLock { $0.events.bookmark(revision, endsInitialEvents: true) } }
    if !piece.isEmpty { try await pipe.write(piece) }
  }

  /// Sends every change after `revision` from here on.
  func follow(_ store: any ObjectStore, resource: String, after revision: Revision) {
    // What is converted first has its fields elsewhere.
    let only = converter == nil ? state.withLock { $0.events.watchedValue } : nil
    let start = store.watch(
      resource: resource, only: only, after: revision, on: world,
      deliver: { [weak self] changes, seen in self?.deliver(changes, through: seen) },
      ended: { [weak self] in
        self?.end(with: .expired("too old resource version: \(revision) (the server was restored from a snapshot)"))
      })
    switch start {
    case .started(let subscription):
      let late = state.withLock { state in
        if state.isEnded { return true }
        state.subscription = subscription
        return false
      }
      if late { subscription.cancel() }
    case .tooOld(let oldest):
      end(with: .expired("too old resource version: \(revision) (\(oldest))"))
    }
  }

  // MARK: Going on

  private func deliver(_ changes: [Change], through revision: Revision) {
    guard let converter else { return take(changes, through: revision) }
    let (begins, count) = state.withLock { state in
      state.unconverted.append((changes, revision))
      defer { state.isConverting = true }
      return (!state.isConverting, state.unconverted.count)
    }
    if count > Self.unconvertedMaximum { return end() }
    if begins { world.spawn { await self.convert(with: converter) } }
  }

  /// Presents what waits, in its order, until nothing does.
  private func convert(with converter: Converter) async {
    while true {
      let next = state.withLock { state in
        let next = state.isEnded ? nil : state.unconverted.popFirst()
        state.isConverting = next != nil
        return next
      }
      guard let (changes, revision) = next else { return }
      do throws(APIStatus) {
        take(try await converter(changes), through: revision)
      } catch {
        return end(with: error)
      }
    }
  }

  /// Sends the changes, or keeps them while the client has enough to take.
  private func take(_ changes: [Change], through revision: Revision) {
    enum Next {
      case nothing, present, end
      case send([UInt8])
    }
    let next: Next = state.withLock { state in
      guard !state.isEnded else { return .nothing }
      guard state.isHeldBack else {
        // What thousands of watchers get most often is one change: they take one lock for it.
        guard changes.count == 1, !APIMutant.deletedEventsMissing.isActive else { return .present }
        return state.events.frame(changes[0]).map { .send($0) } ?? .nothing
      }
      let bytes = changes.reduce(0) { $0 + $1.object.bytes.count }
      state.waiting.append(Waiting(changes: changes[...], revision: revision, bytes: bytes))
      state.waitingBytes += bytes
      return state.waitingBytes > Self.waitingMaximum ? .end : .nothing
    }
    switch next {
    case .nothing: break
    case .send(let frame): send(frame)
    case .present: present(changes[...], through: revision)
    case .end: end()
    }
  }

  /// The client has taken most of what was sent.
  private func goOn() {
    state.withLock { $0.isHeldBack = false }
    while true {
      let next = state.withLock { state in
        guard !state.isHeldBack, !state.isEnded, let next = state.waiting.popFirst() else { return nil as Waiting? }
        state.waitingBytes -= next.bytes
        return next
      }
      guard let next else { return }
      present(next.changes, through: next.revision)
    }
  }

  private func present(_ changes: ArraySlice<Change>, through revision: Revision) {
    if changes.isEmpty {
      guard sendsBookmarks else { return }
      let revision = APIMutant.bookmarkTooHigh.isActive ? revision + 5 : revision
      send(state.withLock { $0.events.bookmark(revision, endsInitialEvents: false) })
      return
    }
    var joined: [UInt8] = []
    var isEnough = false
    for index in changes.indices {
      if APIMutant.deletedEventsMissing.isActive, changes[index].kind != .put, changes[index].revision % 8 == 0 {
        continue
      }
      guard let frame = state.withLock({ $0.events.frame(changes[index]) }) else { continue }
      if joined.count + frame.count > joinedMaximum, !joined.isEmpty {
        isEnough = send(joined)
        joined = []
      }
      Self.join(frame, to: &joined)
      if isEnough {
        send(joined)
        return keep(changes[(index + 1)...], through: revision)
      }
    }
    if !joined.isEmpty { send(joined) }
  }

  /// Comes first when the client has taken enough. It counts for nothing: it may be all that happened before the watch.
  private func keep(_ changes: ArraySlice<Change>, through revision: Revision) {
    guard !changes.isEmpty else { return }
    state.withLock { $0.waiting.prepend(Waiting(changes: changes, revision: revision, bytes: 0)) }
  }

  /// What is alone stays the array that other watches have, too.
  private static func join(_ frame: [UInt8], to piece: inout [UInt8]) {
    if piece.isEmpty { piece = frame } else { piece += frame }
  }

  /// True: the client has enough for now.
  @discardableResult
  private func send(_ frame: [UInt8]) -> Bool {
    do {
      guard try pipe.offer(frame) else { return false }
      state.withLock { $0.isHeldBack = true }
      return true
    } catch {
      end()
      return false
    }
  }

  // MARK: Ending

  /// Ends with one ERROR event.
  func end(with status: APIStatus) {
    send(state.withLock { $0.events.error(status) })
    end()
  }

  /// Ends once the changes that are on their way here have been delivered: they were put on the loop before this.
  func endAfterDeliveries() { world.execute { [weak self] in self?.end() } }

  /// Ends cleanly, as the reference does whatever the reason.
  func end() {
    let ended: ((any WatchSubscription)?, [(any ScheduledTimer)?])? = state.withLock { state in
      guard !state.isEnded else { return nil }
      state.isEnded = true
      defer {
        state.subscription = nil
        state.waiting = []
      }
      return (state.subscription, [state.lifetimeTimer, state.lastBookmarkTimer, state.bookmarkTimer])
    }
    guard let (subscription, timers) = ended else { return }
    subscription?.cancel()
    for timer in timers { timer?.cancel() }
    pipe.finish()
    registry.remove(self)
    record?.complete()
  }
}
