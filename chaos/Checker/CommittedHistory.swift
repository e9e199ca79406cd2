// What really happened: every committed change in order, as only a simulator (or a log that was kept) can know it. With
// it, what clients saw is not merely plausible but right or wrong.

/// One committed change of one object.
public struct CommittedChange: Sendable, Hashable, CustomStringConvertible {
  public var revision: Int64
  public var kind: WatchedEvent.Kind
  public var key: String
  /// The value written; of a deletion, the last one.
  public var value: String

  public init(_ kind: WatchedEvent.Kind, key: String, value: String, revision: Int64) {
    self.kind = kind
    self.key = key
    self.value = value
    self.revision = revision
  }

  public var description: String { "\(kind.rawValue) \(key) \(value) at \(revision)" }
}

/// One list as a client saw it, page by page.
public struct ObservedList: Sendable {
  public struct Page: Sendable {
    /// metadata.resourceVersion of this page.
    public var revision: Int64
    public var items: [(key: String, version: Version)]
    public init(revision: Int64, items: [(key: String, version: Version)]) {
      self.revision = revision
      self.items = items
    }
  }
  public var name: String
  public var pages: [Page]
  /// Whether the last page was reached; a list may be cut short by a fault or by 410.
  public var isComplete: Bool
  /// The highest revision that was acknowledged to anyone before the list was asked for; what was acknowledged must be
  /// in it. Nil where the request allowed an old state.
  public var notOlderThan: Int64?

  public init(name: String, pages: [Page], isComplete: Bool, notOlderThan: Int64?) {
    self.name = name
    self.pages = pages
    self.isComplete = isComplete
    self.notOlderThan = notOlderThan
  }
}

/// The committed changes of the objects under test, in the order of their revisions.
public struct CommittedHistory: Sendable {
  private static let evidenceCount = 6
  public private(set) var changes: [CommittedChange] = []
  /// Keys of objects that others than the clients under test write: nobody needs to have asked for those.
  public var othersWrite: Set<String> = []

  public init() {}

  /// Appends the next change. Revisions rise: returns what is wrong when they do not.
  @discardableResult
  public mutating func append(_ change: CommittedChange) -> Anomaly? {
    defer { changes.append(change) }
    guard let last = changes.last, last.revision >= change.revision else { return nil }
    return Anomaly("revisions do not rise", evidence: ["\(last)", "\(change)"])
  }

  /// What a watch with a selector owes: objects are added to its part when they begin to match, and deleted from it when
  /// they no longer do; then it is told the last state that matched.
  public func filtered(_ matches: (CommittedChange) -> Bool) -> CommittedHistory {
    var part = CommittedHistory()
    var inside: [String: String] = [:]
    for change in changes {
      let before = inside[change.key]
      var seen = change
      if change.kind != .deleted, matches(change) {
        seen.kind = before == nil ? .added : .modified
        inside[change.key] = change.value
      } else {
        guard let before else { continue }
        (seen.kind, seen.value) = (.deleted, before)
        inside[change.key] = nil
      }
      part.append(seen)
    }
    return part
  }

  /// Index of the first change after `revision`.
  private func index(after revision: Int64) -> Int { changes.partitioningIndex { $0.revision > revision } }

  /// The objects as of `revision`, in key order.
  public func state(at revision: Int64) -> [(key: String, version: Version)] {
    var living: [String: Version] = [:]
    for change in changes[..<index(after: revision)] {
      living[change.key] =
        change.kind == .deleted ? nil : Version(value: change.value, revision: change.revision)
    }
    return Self.ordered(living)
  }

  // MARK: Writes

  /// Every acknowledged write happened, once, with the revision that was told; no refused write happened; an unanswered
  /// one happened at most once; nothing happened that nobody asked for.
  public func checkWrites(_ operations: [RegisterOperation]) -> [Anomaly] {
    var anomalies: [Anomaly] = []
    let byValue = Dictionary(
      grouping: changes.lazy.filter { $0.kind != .deleted }, by: { "\($0.key)\u{0}\($0.value)" })
    var asked: Set<String> = []
    for operation in operations {
      guard let value = operation.operation.action.writtenValue else { continue }
      let name = "\(operation.key)\u{0}\(value)"
      asked.insert(name)
      let happened = byValue[name] ?? []
      func report(_ title: String) {
        anomalies.append(
          Anomaly(
            title,
            evidence: ["#\(operation.operation.id) \(operation.key): \(operation.operation.action)"]
              + happened.prefix(Self.evidenceCount).map { "\($0)" }))
      }
      if happened.count > 1 {
        report("a write was applied twice")
        continue
      }
      switch operation.operation.action.answer {
      case .done(let revision):
        if happened.isEmpty {
          report("an acknowledged write was lost")
        } else if let revision, revision != happened[0].revision {
          report("an acknowledged write has another revision")
        }
      case .unknown: break
      case .conflict, .alreadyExists, .notFound, .found: if !happened.isEmpty { report("a refused write was applied") }
      }
    }
    for (name, happened) in byValue.sorted(by: { $0.key < $1.key })
    where !asked.contains(name) && !othersWrite.contains(happened[0].key) {
      anomalies.append(Anomaly("a write that nobody asked for", evidence: happened.prefix(1).map { "\($0)" }))
    }
    return anomalies + checkStaleness(operations)
  }

  /// A replacement that named a resourceVersion took exactly that version's place.
  private func checkStaleness(_ operations: [RegisterOperation]) -> [Anomaly] {
    var before: [Int64: CommittedChange] = [:]
    var living: [String: CommittedChange] = [:]
    for change in changes {
      before[change.revision] = living[change.key]
      living[change.key] = change.kind == .deleted ? nil : change
    }
    return operations.compactMap { operation in
      guard case .update(_, let seen) = operation.operation.action.request, let named = seen.revision,
        case .done(let revision?) = operation.operation.action.answer, before[revision]?.revision != named
      else { return nil }
      return Anomaly(
        "an update of a stale version was accepted",
        evidence: [
          "#\(operation.operation.id) \(operation.key): \(operation.operation.action)",
          "it replaced \(before[revision].map { "\($0)" } ?? "nothing")",
        ])
    }
  }

  // MARK: Lists

  /// Many lists, in one walk through history.
  public func check(_ lists: [ObservedList]) -> [Anomaly] {
    var next = 0
    var living: [String: Version] = [:]
    return lists.sorted { $0.pages.first?.revision ?? 0 < $1.pages.first?.revision ?? 0 }.flatMap { list in
      guard let first = list.pages.first else { return [] as [Anomaly] }
      while next < changes.count, changes[next].revision <= first.revision {
        let change = changes[next]
        living[change.key] =
          change.kind == .deleted ? nil : Version(value: change.value, revision: change.revision)
        next += 1
      }
      return check(list, state: Self.ordered(living))
    }
  }

  private static func ordered(_ living: [String: Version]) -> [(key: String, version: Version)] {
    living.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }.map { ($0.key, $0.value) }
  }

  /// Every page shows the state of one and the same revision, in key order, and is no older than it may be.
  public func check(_ list: ObservedList) -> [Anomaly] {
    guard let first = list.pages.first else { return [] }
    return check(list, state: state(at: first.revision))
  }

  private func check(_ list: ObservedList, state: [(key: String, version: Version)]) -> [Anomaly] {
    guard let first = list.pages.first else { return [] }
    var anomalies: [Anomaly] = []
    if let other = list.pages.first(where: { $0.revision != first.revision }) {
      anomalies.append(
        Anomaly("\(list.name): pages of different revisions: \(first.revision) and \(other.revision)"))
    }
    if let notOlderThan = list.notOlderThan, first.revision < notOlderThan {
      anomalies.append(
        Anomaly(
          "\(list.name): as of \(first.revision), though \(notOlderThan) was acknowledged before it was asked for"))
    }
    let items = list.pages.flatMap(\.items)
    for (left, right) in zip(items, items.dropFirst())
    where !left.key.utf8.lexicographicallyPrecedes(right.key.utf8) {
      anomalies.append(Anomaly("\(list.name): not in key order: \(left.key), then \(right.key)"))
    }
    let expected = list.isComplete ? state[...] : state.prefix(items.count)
    if !expected.elementsEqual(items, by: { $0.key == $1.key && $0.version == $1.version }) {
      let at = zip(expected, items).enumerated().first { $0.element.0 != $0.element.1 }?.offset
      let place = at ?? min(expected.count, items.count)
      func show(_ items: some Collection<(key: String, version: Version)>) -> String {
        items.dropFirst(place).first.map { "\($0.key) \($0.version)" } ?? "nothing more"
      }
      anomalies.append(
        Anomaly(
          "\(list.name): not the state at \(first.revision) (\(items.count) objects, \(expected.count) expected)",
          evidence: ["expected: \(show(expected))", "listed: \(show(items))"]))
    }
    return anomalies
  }

  // MARK: Watches

  /// A watch shows every change after its start, once, in order, over every break, up to the last that it claims to have
  /// seen (an event or a bookmark); a list in between shows the state of its revision. Through `end` where given.
  public func check(_ log: WatcherLog, through end: Int64? = nil) -> [Anomaly] {
    var anomalies: [Anomaly] = []
    var seen = log.start
    var next = index(after: log.start)
    /// The change due next, skipping nothing.
    func due() -> CommittedChange? { next < changes.count ? changes[next] : nil }
    for item in log.items {
      switch item {
      case .event(let event):
        if event.revision <= seen {
          anomalies.append(
            Anomaly("\(log.name): an event twice or out of order", evidence: ["seen to \(seen)", "\(event)"]))
          continue
        }
        guard let change = due(), change.revision <= event.revision else {
          anomalies.append(Anomaly("\(log.name): an event that did not happen", evidence: ["\(event)"]))
          continue
        }
        if change.revision < event.revision {
          anomalies.append(
            Anomaly("\(log.name): changes are missing", evidence: ["missing: \(change)", "seen instead: \(event)"]))
          next = index(after: event.revision - 1)
        }
        if let change = due(), change.revision == event.revision {
          if change.kind != event.kind || change.key != event.key || change.value != event.value {
            anomalies.append(
              Anomaly("\(log.name): an event that says something else", evidence: ["\(change)", "\(event)"]))
          }
          next += 1
        }
        seen = event.revision
      case .bookmark(let revision):
        if revision < seen {
          anomalies.append(Anomaly("\(log.name): a bookmark goes back", evidence: ["from \(seen) to \(revision)"]))
        }
        if let change = due(), change.revision <= revision {
          anomalies.append(
            Anomaly(
              "\(log.name): a bookmark says more than was seen",
              evidence: ["BOOKMARK at \(revision)", "missing: \(change)"]))
          next = index(after: revision)
        }
        seen = max(seen, revision)
      case .resumed: break
      case .relisted(let revision, let items):
        anomalies += check(
          ObservedList(
            name: "\(log.name): a new list",
            pages: [ObservedList.Page(revision: revision, items: items.map { ($0.key, $0.version) })],
            isComplete: true, notOlderThan: nil))
        seen = revision
        next = index(after: revision)
      }
    }
    if let end, let change = due(), change.revision <= end {
      anomalies.append(Anomaly("\(log.name): changes are missing at its end", evidence: ["missing: \(change)"]))
    }
    return anomalies
  }
}
