import DequeModule
import JSON
import Logging
import Schema
import Synchronization
import World

/// Writes Events about objects, in the background: recording never waits and never fails its caller.
///
/// Repeats of one event are folded into one object whose count goes up; similar ones are combined, and of one object no
/// more is told than `EventCorrelator` allows.
public final class EventRecorder: Sendable {
  public enum EventType: String, Sendable { case normal = "Normal", warning = "Warning" }

  /// The object an event is about.
  public struct Subject: Hashable, Sendable {
    public var reference: ResourceReference
    public var namespace: String
    public var name: String
    public var uid: String
    public var resourceVersion: String
    public var fieldPath: String

    public init<Object: APIObject>(_ object: Object, fieldPath: String = "") {
      reference = Object.reference
      namespace = object.metadata.namespace
      name = object.metadata.name
      uid = object.metadata.uid
      resourceVersion = object.metadata.resourceVersion
      self.fieldPath = fieldPath
    }

    public init(
      reference: ResourceReference, namespace: String, name: String, uid: String, resourceVersion: String = "",
      fieldPath: String = ""
    ) {
      self.reference = reference
      self.namespace = namespace
      self.name = name
      self.uid = uid
      self.resourceVersion = resourceVersion
      self.fieldPath = fieldPath
    }

    var json: JSONValue {
      var value: JSONValue = [
        "kind": .string(reference.kind), "apiVersion": .string(reference.apiVersion), "name": .string(name),
        "uid": .string(uid),
      ]
      if !namespace.isEmpty { value["namespace"] = .string(namespace) }
      if !resourceVersion.isEmpty { value["resourceVersion"] = .string(resourceVersion) }
      if !fieldPath.isEmpty { value["fieldPath"] = .string(fieldPath) }
      return value
    }
  }

  struct Record: Hashable, Sendable {
    var subject: Subject
    var type: EventType
    var reason: String
    var message: String
    /// Stands for many events that differ in their messages.
    var isCombined = false

    /// What repeats have in common.
    fileprivate var foldingKey: Record {
      var key = self
      key.subject.resourceVersion = ""
      if isCombined { key.message = "" }
      return key
    }
  }
  private struct Written {
    var name: String
    var count: Int64
  }
  private struct State {
    var queue: Deque<(Record, WallTime)> = []
    var correlator = EventCorrelator()
    var written = RecentValues<Record, Written>(maximum: EventCorrelator.remembered)
    var isWriting = false
    /// The last name's suffix: names are times, and two events may fall into one.
    var lastSuffix: UInt64 = 0
  }

  /// With room for what stands before the message of a combined event.
  private static let messageMaximum = 1024 - EventCorrelator.combinedPrefix.utf8.count
  /// Events that wait to be written; more are dropped, the oldest first: an event is a remark, not a record.
  private static let maximumQueued = 1000

  private let client: APIClient
  private let component: String
  private let host: String
  private let logger: Logger
  private let state = Mutex(State())

  /// `component` and `host` stand in the event's source: "kubelet", "node-1".
  public init(client: APIClient, component: String, host: String = "", logger: Logger) {
    self.client = client
    self.component = component
    self.host = host
    self.logger = logger
  }

  public func record(_ subject: Subject, _ type: EventType, reason: String, message: String) {
    // The API refuses longer notes; the end of a long message is the part that can be missed.
    let record = Record(
      subject: subject, type: type, reason: reason, message: String(message.prefix(Self.messageMaximum)))
    let now = client.world.wallClock
    let start = state.withLock { state in
      let told = state.correlator.combine(record, at: now)
      guard state.correlator.mayTell(of: told.subject, at: now) else {
        // Not told, but counted where it is known.
        state.written[told.foldingKey]?.count += 1
        return false
      }
      if state.queue.count >= Self.maximumQueued { state.queue.removeFirst() }
      state.queue.append((told, now))
      defer { state.isWriting = true }
      return !state.isWriting
    }
    if start { client.world.spawn { await self.drain() } }
  }

  private func drain() async {
    while true {
      let next = state.withLock { state -> (Record, WallTime)? in
        guard let next = state.queue.popFirst() else {
          state.isWriting = false
          return nil
        }
        return next
      }
      guard let (record, time) = next else { return }
      do {
        try await write(record, at: time)
      } catch {
        logger.debug("event \(record.reason) about \(record.subject.name) not written: \(error)")
      }
    }
  }

  private func write(_ record: Record, at time: WallTime) async throws {
    let key = record.foldingKey
    let namespace = record.subject.namespace.isEmpty ? "default" : record.subject.namespace
    if let known = state.withLock({ $0.written[key] }) {
      do {
        var patch: JSONValue = ["count": .integer(known.count + 1), "lastTimestamp": .string(time.rfc3339)]
        if record.isCombined { patch["message"] = .string(record.message) }
        try await client.submit(
          "PATCH", ResourceReference.events.path(namespace: namespace, name: known.name), body: patch,
          contentType: PatchType.merge.rawValue)
        state.withLock { $0.written[key]?.count += 1 }
        return
      } catch let status as APIStatus where status.code == 404 {
        state.withLock { $0.written[key] = nil }
      }
    }
    let suffix = state.withLock { state in
      state.lastSuffix = max(UInt64(bitPattern: time.nanosecondsSinceEpoch), state.lastSuffix + 1)
      return String(state.lastSuffix, radix: 16)
    }
    let name = "\(record.subject.name).\(suffix)"
    var event: JSONValue = [
      "apiVersion": "v1", "kind": "Event",
      "metadata": ["name": .string(name), "namespace": .string(namespace)],
      "involvedObject": record.subject.json, "reason": .string(record.reason), "message": .string(record.message),
      "type": .string(record.type.rawValue), "count": 1,
      "firstTimestamp": .string(time.rfc3339), "lastTimestamp": .string(time.rfc3339),
      "source": ["component": .string(component)], "reportingComponent": .string(component),
      "reportingInstance": .string(host),
    ]
    if !host.isEmpty { event["source"]["host"] = .string(host) }
    try await client.submit("POST", ResourceReference.events.path(namespace: namespace), body: event)
    state.withLock { $0.written[key] = Written(name: name, count: 1) }
  }
}
