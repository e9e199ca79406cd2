import DequeModule
import JSON
import Logging
import Schema
import Synchronization
import World

/// Writes Events in their newer form (events.k8s.io/v1), in the background: who did what to whom, told once; repeats are a
/// series that is counted here, and written when it begins and when it ends, as client-go's tools/events does.
public final class EventSeriesRecorder: Sendable {
  public typealias Subject = EventRecorder.Subject

  /// What repeats have in common. The note is not part of it: the first one stays.
  private struct Key: Hashable {
    var regarding: Subject
    var related: Subject?
    var type: EventRecorder.EventType
    var reason: String
    var action: String
  }
  private struct Series {
    var name: String
    var count: Int64 = 1
    var last: WallTime
    var isWritten = true
  }
  private enum Task {
    case create(Key, name: String, note: String, at: WallTime)
    case update(Key, Series)
  }
  private struct State {
    var queue: Deque<Task> = []
    var series = RecentValues<Key, Series>(maximum: EventCorrelator.remembered)
    var isWriting = false
    var lastSuffix: UInt64 = 0
  }

  /// A series that was silent for so long has ended.
  private static let silence = Duration.seconds(360)
  private static let noteMaximum = 1024
  /// Events that wait to be written; more are dropped, the oldest first.
  private static let maximumQueued = 1000

  private let client: APIClient
  private let controller: String
  private let instance: String
  private let logger: Logger
  private let state = Mutex(State())

  /// `controller` and `host` stand in the event as who reports it: "default-scheduler", "default-scheduler-server-1".
  public init(client: APIClient, controller: String, host: String, logger: Logger) {
    self.client = client
    self.controller = controller
    instance = "\(controller)-\(host)"
    self.logger = logger
  }

  public func record(
    _ regarding: Subject, related: Subject? = nil, _ type: EventRecorder.EventType, reason: String, action: String,
    note: String
  ) {
    let key = Key(regarding: regarding, related: related, type: type, reason: reason, action: action)
    let now = client.world.wallClock
    let begins = state.withLock { state -> Bool in
      if var known = state.series[key], now - known.last < Self.silence {
        known.count += 1
        known.last = now
        known.isWritten = known.count == 2
        state.series[key] = known
        if known.count == 2 { Self.add(.update(key, known), to: &state) }
        return known.count == 2
      }
      state.lastSuffix = max(UInt64(bitPattern: now.nanosecondsSinceEpoch), state.lastSuffix + 1)
      let name = "\(regarding.name).\(String(state.lastSuffix, radix: 16))"
      state.series[key] = Series(name: name, last: now)
      Self.add(.create(key, name: name, note: Self.cut(note), at: now), to: &state)
      return false
    }
    if begins { awaitEnd(of: key, in: Self.silence) }
    startWriting()
  }

  /// A longer note ends in dots.
  private static func cut(_ note: String) -> String {
    guard note.utf8.count > noteMaximum else { return note }
    return String(decoding: note.utf8.prefix(noteMaximum - 4), as: UTF8.self) + " ..."
  }

  private static func add(_ task: Task, to state: inout State) {
    if state.queue.count >= maximumQueued { state.queue.removeFirst() }
    state.queue.append(task)
  }

  /// Writes what a series came to when it has been silent for long enough.
  private func awaitEnd(of key: Key, in delay: Duration) {
    _ = client.world.schedule(after: delay) { [weak self] in
      guard let self else { return }
      let now = client.world.wallClock
      let rest = state.withLock { state -> Duration? in
        guard let series = state.series[key] else { return nil }
        let rest = Self.silence - (now - series.last)
        if rest > .zero { return rest }
        state.series[key] = nil
        if !series.isWritten { Self.add(.update(key, series), to: &state) }
        return nil
      }
      if let rest { return awaitEnd(of: key, in: rest) }
      startWriting()
    }
  }

  // MARK: Writing

  private func startWriting() {
    let start = state.withLock { state in
      guard !state.queue.isEmpty, !state.isWriting else { return false }
      state.isWriting = true
      return true
    }
    if start { client.world.spawn { await self.drain() } }
  }

  private func drain() async {
    while true {
      let next = state.withLock { state -> Task? in
        let next = state.queue.popFirst()
        if next == nil { state.isWriting = false }
        return next
      }
      guard let next else { return }
      do { try await write(next) } catch { logger.debug("an event was not written: \(error)") }
    }
  }

  private func write(_ task: Task) async throws {
    switch task {
    case .create(let key, let name, let note, let time):
      let namespace = Self.namespace(key)
      var event: JSONValue = [
        "apiVersion": .string(ResourceReference.seriesEvents.apiVersion), "kind": "Event",
        "metadata": ["name": .string(name), "namespace": .string(namespace)],
        "eventTime": .string(time.rfc3339Micro), "reportingController": .string(controller),
        "reportingInstance": .string(instance), "action": .string(key.action), "reason": .string(key.reason),
        "regarding": key.regarding.json, "note": .string(note), "type": .string(key.type.rawValue),
      ]
      if let related = key.related { event["related"] = related.json }
      try await client.submit("POST", ResourceReference.seriesEvents.path(namespace: namespace), body: event)
    case .update(let key, let series):
      let patch: JSONValue = [
        "series": ["count": .integer(series.count), "lastObservedTime": .string(series.last.rfc3339Micro)]
      ]
      try await client.submit(
        "PATCH", ResourceReference.seriesEvents.path(namespace: Self.namespace(key), name: series.name), body: patch,
        contentType: PatchType.merge.rawValue)
    }
  }

  private static func namespace(_ key: Key) -> String {
    key.regarding.namespace.isEmpty ? "default" : key.regarding.namespace
  }
}
