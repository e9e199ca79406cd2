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

  /// What the watcher was told all about: revisions after `from`, up to `to`. Between two of them history was gone, and it
  /// listed anew.
  public var stretches: [(from: Int64, to: Int64)] {
    var stretches: [(from: Int64, to: Int64)] = []
    var (from, seen) = (start, start)
    for item in items {
      switch item {
      case .event(let event): seen = max(seen, event.revision)
      case .bookmark(let revision): seen = max(seen, revision)
      case .resumed: break
      case .relisted(let revision, _):
        stretches.append((from, seen))
        (from, seen) = (revision, revision)
      }
    }
    return stretches + [(from, .max)]
  }

  /// The last revision seen before history was gone; nil when that never was.
  public var seenWithoutGap: Int64? {
    let stretches = stretches
    return stretches.count > 1 ? stretches[0].to : nil
  }

  /// The log up to what goes beyond `revision`.
  public func through(_ revision: Int64) -> WatcherLog {
    var log = self
    log.items = Array(
      items.prefix { item in
        switch item {
        case .event(let event): event.revision <= revision
        case .bookmark(let seen): seen <= revision
        case .resumed: true
        case .relisted(let seen, _): seen <= revision
        }
      })
    return log
  }

  public var events: [WatchedEvent] {
    items.compactMap { if case .event(let event) = $0 { event } else { nil } }
  }
}

public struct WatchChecker {
  private static let evidenceCount = 6
  private typealias Stretches = [(from: Int64, to: Int64)]
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
        if revision < seen {
          anomalies.append(Anomaly("\(log.name): a list goes back", evidence: [last, "listed at \(revision)"]))
        }
        seen = revision
        last += "; listed at \(revision)"
      }
    }
    return anomalies
  }

  /// An object is added when it is not there, changed and deleted when it is.
  func lives(_ log: WatcherLog) -> [Anomaly] {
    var living: [String: String] = [:]
    var anomalies: [Anomaly] = []
    for item in log.items {
      switch item {
      case .event(let event):
        if (event.kind == .added) == (living[event.key] != nil) {
          anomalies.append(
            Anomaly(
              "\(log.name): an event that cannot follow the one before it",
              evidence: [living[event.key] ?? "(no object)", "\(event)"]))
        }
        living[event.key] = event.kind == .deleted ? nil : "\(event)"
      case .relisted(let revision, let items):
        living = Dictionary(
          items.map { ($0.key, "listed at \(revision): \($0.key) \($0.version)") },
          uniquingKeysWith: { first, _ in first })
      case .bookmark, .resumed: break
      }
    }
    return anomalies
  }

  /// Whether who watched then must have been told.
  private func covers(_ stretches: Stretches, _ revision: Int64) -> Bool {
    revision <= end && stretches.contains { $0.from < revision && revision <= $0.to }
  }

  /// Every acknowledged write is there, with its revision.
  func completeness(_ log: WatcherLog) -> [Anomaly] {
    let events = Dictionary(log.events.map { ($0.revision, $0) }, uniquingKeysWith: { first, _ in first })
    let stretches = log.stretches
    var missing: [String] = []
    for operation in operations {
      guard let value = operation.operation.action.writtenValue,
        case .done(let revision?) = operation.operation.action.answer, covers(stretches, revision)
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

  /// As many deletions as were acknowledged (a gap may hide some), and no more than were asked for.
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
    let hasGap = log.seenWithoutGap != nil
    return Set(acknowledged.keys).union(seen.keys).sorted().compactMap { key in
      let count = seen[key] ?? 0
      let high = (acknowledged[key] ?? 0) + (open[key] ?? 0)
      let low = hasGap ? 0 : acknowledged[key] ?? 0
      guard count < low || count > high else { return nil }
      return Anomaly("\(log.name): \(key) was deleted \(count) times; \(low) to \(high) were asked for")
    }
  }

  /// All watchers saw the same, as far as both watched.
  func agreement() -> [Anomaly] {
    guard let first = logs.first else { return [] }
    let known = first.stretches
    return logs.dropFirst().compactMap { log in
      let stretches = log.stretches
      let isCommon = { (event: WatchedEvent) in covers(known, event.revision) && covers(stretches, event.revision) }
      let (left, right) = (first.events.filter(isCommon), log.events.filter(isCommon))
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
