// What watches owe their clients: order, uniqueness, completeness, over every break and every server they move to.

public struct WatchedEvent: Hashable, Sendable, CustomStringConvertible {
  public enum Kind: String, Hashable, Sendable { case added = "ADDED", modified = "MODIFIED", deleted = "DELETED" }
  public var kind: Kind
  public var key: String
  public var value: String
  public var revision: Int64

  public init(_ kind: Kind, key: String, value: String, revision: Int64) {
    self.kind = kind
    self.key = key
    self.value = value
    self.revision = revision
  }

  public var description: String { "\(kind.rawValue) \(key) \(value) at \(revision)" }
}

/// One object of a list.
public struct ListedItem: Hashable, Sendable {
  public var key: String
  public var version: Version
  public init(key: String, version: Version) {
    self.key = key
    self.version = version
  }
}

/// All that one watcher saw, over all its connections.
public struct WatcherLog: Sendable {
  public enum Item: Hashable, Sendable {
    case event(WatchedEvent)
    /// A bookmark: everything up to this revision has been seen.
    case bookmark(Int64)
    /// The watch went on at this server from this revision.
    case resumed(server: String, revision: Int64)
    /// History was gone: the watcher listed anew, and goes on from that state.
    case relisted(revision: Int64, items: [ListedItem])
  }
  public var name: String
  /// The watch began after this revision.
  public var start: Int64
  public var items: [Item] = []

  public init(name: String, start: Int64) {
    self.name = name
    self.start = start
  }

  public var events: [WatchedEvent] {
    items.compactMap { if case .event(let event) = $0 { event } else { nil } }
  }
}

public struct WatchChecker {
  private static let evidenceCount = 6
  private let logs: [WatcherLog]
  private let operations: [RegisterOperation]
  /// The revision up to which every watcher has been waited for.
  private let end: Int64

  public init(_ logs: [WatcherLog], operations: [RegisterOperation], end: Int64) {
    self.logs = logs
    self.operations = operations
    self.end = end
  }

  public func check() -> [Anomaly] {
    logs.flatMap { order($0) + lives($0) + completeness($0) + writes($0) + deletions($0) } + agreement()
  }

  /// Revisions rise, also across bookmarks and connections: nothing twice, nothing out of order.
  func order(_ log: WatcherLog) -> [Anomaly] {
    var seen = log.start
    var last = "start at \(log.start)"
    var anomalies: [Anomaly] = []
    for item in log.items {
      switch item {
      case .event(let event):
        if event.revision <= seen {
          anomalies.append(Anomaly("\(log.name): an event twice or out of order", evidence: [last, "\(event)"]))
        }
        seen = max(seen, event.revision)
        last = "\(event)"
      case .bookmark(let revision):
        if revision < seen {
          anomalies.append(
            Anomaly("\(log.name): a bookmark goes back", evidence: [last, "BOOKMARK at \(revision)"]))
        }
        seen = max(seen, revision)
        last = "BOOKMARK at \(revision)"
      case .resumed(let server, let revision): last += "; resumed at \(server) from \(revision)"
      case .relisted(let revision, _):
        seen = revision
        last += "; listed at \(revision)"
      }
    }
    return anomalies
  }

  /// An object is added when it is not there, changed and deleted when it is.
  func lives(_ log: WatcherLog) -> [Anomaly] {
    var living: [String: WatchedEvent] = [:]
    var anomalies: [Anomaly] = []
    for event in log.events {
      if (event.kind == .added) == (living[event.key] != nil) {
        anomalies.append(
          Anomaly(
            "\(log.name): an event that cannot follow the one before it",
            evidence: [living[event.key].map { "\($0)" } ?? "(no object)", "\(event)"]))
      }
      living[event.key] = event.kind == .deleted ? nil : event
    }
    return anomalies
  }

  /// Every acknowledged write is there, with its revision.
  func completeness(_ log: WatcherLog) -> [Anomaly] {
    let events = Dictionary(log.events.map { ($0.revision, $0) }, uniquingKeysWith: { first, _ in first })
    var missing: [String] = []
    for operation in operations {
      guard let value = operation.operation.action.writtenValue,
        case .done(let revision?) = operation.operation.action.answer, revision > log.start, revision <= end
      else { continue }
      if let event = events[revision], event.key == operation.key, event.value == value { continue }
      missing.append("#\(operation.operation.id) \(operation.key): \(operation.operation.action)")
    }
    guard !missing.isEmpty else { return [] }
    return [
      Anomaly(
        "\(log.name): \(missing.count) acknowledged writes are missing",
        evidence: Array(missing.prefix(Self.evidenceCount)))
    ]
  }

  /// Every event comes of a write that was sent, once, and was not refused.
  func writes(_ log: WatcherLog) -> [Anomaly] {
    let sent = Dictionary(
      operations.compactMap { operation in operation.operation.action.writtenValue.map { ($0, operation) } },
      uniquingKeysWith: { first, _ in first })
    var applied: [String: WatchedEvent] = [:]
    var anomalies: [Anomaly] = []
    for event in log.events where event.kind != .deleted {
      if let before = applied.updateValue(event, forKey: event.value) {
        anomalies.append(Anomaly("\(log.name): a write was applied twice", evidence: ["\(before)", "\(event)"]))
      }
      guard let operation = sent[event.value] else {
        anomalies.append(Anomaly("\(log.name): an event that nobody wrote", evidence: ["\(event)"]))
        continue
      }
      switch operation.operation.action.answer {
      case .done, .unknown: break
      case .conflict, .notFound, .alreadyExists, .found:
        anomalies.append(
          Anomaly(
            "\(log.name): a refused write was applied",
            evidence: ["#\(operation.operation.id) \(operation.operation.action)", "\(event)"]))
      }
    }
    return anomalies
  }

  /// As many deletions as were acknowledged, and no more than were asked for.
  func deletions(_ log: WatcherLog) -> [Anomaly] {
    var acknowledged: [String: Int] = [:]
    var open: [String: Int] = [:]
    for operation in operations {
      guard case .delete = operation.operation.action.request else { continue }
      switch operation.operation.action.answer {
      case .done: acknowledged[operation.key, default: 0] += 1
      case .unknown: open[operation.key, default: 0] += 1
      case .found, .notFound, .alreadyExists, .conflict: break
      }
    }
    var seen: [String: Int] = [:]
    for event in log.events where event.kind == .deleted { seen[event.key, default: 0] += 1 }
    return Set(acknowledged.keys).union(seen.keys).sorted().compactMap { key in
      let (low, count) = (acknowledged[key] ?? 0, seen[key] ?? 0)
      let high = low + (open[key] ?? 0)
      guard count < low || count > high else { return nil }
      return Anomaly("\(log.name): \(key) was deleted \(count) times; \(low) to \(high) were asked for")
    }
  }

  /// All watchers saw the same.
  func agreement() -> [Anomaly] {
    guard let first = logs.first else { return [] }
    return logs.dropFirst().compactMap { log in
      let start = max(first.start, log.start)
      let left = first.events.filter { $0.revision > start && $0.revision <= end }
      let right = log.events.filter { $0.revision > start && $0.revision <= end }
      guard left != right else { return nil }
      let at =
        zip(left, right).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(left.count, right.count)
      func show(_ events: [WatchedEvent]) -> String { at < events.count ? "\(events[at])" : "nothing more" }
      return Anomaly(
        "\(first.name) and \(log.name) saw different histories (\(left.count) and \(right.count) events)",
        evidence: ["\(first.name): \(show(left))", "\(log.name): \(show(right))"])
    }
  }
}
