// metadata.managedFields: one entry for every manager, operation, version and subresource (spec/2 §2.12).
import JSON

/// The entries of an object. Sets stay the JSON they are stored as until an operation needs to change them.
struct ManagedFieldsEntries: Sendable {
  enum Operation: String, Sendable {
    case apply = "Apply"
    case update = "Update"
  }

  struct Entry: Sendable {
    enum Fields: Sendable {
      case stored(JSONObject)
      case edited(FieldSet)
    }
    var manager: String
    var operation: Operation
    var apiVersion: String
    var time: String?
    var subresource: String
    private var fields: Fields

    init(
      manager: String, operation: Operation, apiVersion: String, time: String?, subresource: String, set: FieldSet
    ) {
      self.manager = manager
      self.operation = operation
      self.apiVersion = apiVersion
      self.time = time
      self.subresource = subresource
      self.fields = .edited(set)
    }

    /// Nil for what is no entry.
    init?(_ value: JSONValue) {
      guard case .object(let object) = value,
        let operation = Operation(rawValue: object["operation"]?.string ?? ""),
        object["fieldsType"]?.string ?? "" == "FieldsV1",
        let apiVersion = object["apiVersion"]?.string, !apiVersion.isEmpty
      else { return nil }
      switch object["fieldsV1"] ?? .null {
      case .object(let fields): self.fields = .stored(fields)
      case .null: fields = .stored(JSONObject())
      default: return nil
      }
      self.operation = operation
      self.apiVersion = apiVersion
      manager = object["manager"]?.string ?? ""
      time = object["time"]?.string
      subresource = object["subresource"]?.string ?? ""
    }

    /// Empty for stored fields that are no set.
    var set: FieldSet {
      get {
        switch fields {
        case .stored(let object): FieldSet(fieldsV1: .object(object)) ?? FieldSet()
        case .edited(let set): set
        }
      }
      set { fields = .edited(newValue) }
    }

    func intersects(_ other: FieldSet) -> Bool {
      switch fields {
      case .stored(let object): other.intersects(fieldsV1: object)
      case .edited(let set): !set.intersection(other).isEmpty
      }
    }
    func contains(all other: FieldSet) -> Bool {
      switch fields {
      case .stored(let object): other.isSubset(ofFieldsV1: object)
      case .edited(let set): other.subtracting(set).isEmpty
      }
    }

    /// Whose entry it is. An applier has one whatever version it speaks.
    struct Actor: Hashable {
      var manager: String
      var operation: Operation
      var subresource: String
      var apiVersion: String
    }
    var actor: Actor {
      Actor(
        manager: manager, operation: operation, subresource: subresource,
        apiVersion: operation == .apply ? "" : apiVersion)
    }
    func belongs(to other: Entry) -> Bool { actor == other.actor }

    var json: JSONValue {
      var members: [JSONObject.Member] = []
      members.reserveCapacity(7)
      if !manager.isEmpty { members.append(("manager", .string(manager))) }
      members.append(("operation", .string(operation.rawValue)))
      members.append(("apiVersion", .string(apiVersion)))
      if let time { members.append(("time", .string(time))) }
      members.append(("fieldsType", "FieldsV1"))
      switch fields {
      case .stored(let object): members.append(("fieldsV1", .object(object)))
      case .edited(let set): members.append(("fieldsV1", set.fieldsV1))
      }
      if !subresource.isEmpty { members.append(("subresource", .string(subresource))) }
      return .object(JSONObject(uniqueMembers: members))
    }

    /// The order in which entries are listed.
    static func precedes(_ left: Entry, _ right: Entry) -> Bool {
      (left.operation.rawValue, left.time ?? "", left.manager, left.apiVersion, left.subresource)
        < (right.operation.rawValue, right.time ?? "", right.manager, right.apiVersion, right.subresource)
    }
  }

  var entries: [Entry] = []
  var isEmpty: Bool { entries.isEmpty }

  init() {}

  /// Nil when any entry is malformed, or there is none.
  init?(_ value: JSONValue) {
    guard case .array(let elements) = value, !elements.isEmpty else { return nil }
    entries.reserveCapacity(elements.count)
    var positions: [Entry.Actor: Int] = [:]
    for element in elements {
      guard let entry = Entry(element) else { return nil }
      // Of twins the last wins, as in a map.
      if let twin = positions[entry.actor] {
        entries[twin] = entry
      } else {
        positions[entry.actor] = entries.count
        entries.append(entry)
      }
    }
  }

  /// Whether a client asks for ownership to be forgotten: an empty list, or one empty entry.
  static func isReset(_ value: JSONValue) -> Bool {
    guard case .array(let elements) = value else { return false }
    return elements.isEmpty || (elements.count == 1 && elements[0].object?.isEmpty ?? false)
  }

  /// Null when there is no entry.
  var json: JSONValue {
    guard !entries.isEmpty else { return .null }
    return .array(entries.sorted(by: Entry.precedes).map(\.json))
  }

  func index(of entry: Entry) -> Int? { entries.firstIndex { $0.belongs(to: entry) } }

  /// Takes what changed from every entry but one; entries left without any go, and so do those of versions that the
  /// kind does not have (any more).
  mutating func remove(_ comparisons: VersionedComparisons, exceptFrom actor: Entry) {
    entries.removeAll { !$0.belongs(to: actor) && comparisons[$0.apiVersion] == nil }
    for index in entries.indices where !entries[index].belongs(to: actor) {
      guard let comparison = comparisons[entries[index].apiVersion], !comparison.isEmpty else { continue }
      let paths = comparison.changed.union(comparison.removed)
      if entries[index].intersects(paths) { entries[index].set = entries[index].set.subtracting(paths) }
    }
  }

  mutating func removeEmpty() {
    entries.removeAll { $0.isWithoutFields }
  }

  /// Entries of updaters beyond this are merged, oldest first: every client that ever touched an object would leave
  /// one behind.
  static let maximumUpdateEntries = 10
  static let ancientChanges = "ancient-changes"

  mutating func cap() {
    var count = entries.count { $0.operation == .update }
    let applierCount = entries.count - count
    guard count > Self.maximumUpdateEntries else { return }
    let oldestFirst = entries.filter { $0.operation == .update }.sorted {
      ($0.time ?? "", $0.manager) < ($1.time ?? "", $1.manager)
    }
    /// By version: the entries seen, merged into one as soon as there are two.
    var buckets: [String: [Entry]] = [:]
    var kept = Dictionary(entries.map { ($0.actor, $0) }) { $1 }
    for entry in oldestFirst where count > Self.maximumUpdateEntries {
      buckets[entry.apiVersion, default: []].append(entry)
      guard let first = buckets[entry.apiVersion]?.first, first.actor != entry.actor else { continue }
      kept[first.actor] = nil
      kept[entry.actor] = nil
      // It stands for all of them; what it holds is put together at the end.
      let merged = Self.ancient(entry)
      kept[merged.actor] = merged
      count = kept.count - applierCount
    }
    for (_, bucket) in buckets where bucket.count > 1 {
      var merged = Self.ancient(bucket[bucket.count - 1])
      merged.set = .union(of: bucket.map(\.set))
      kept[merged.actor] = merged
    }
    // In the order in which they stood, what is new last.
    let left = entries.compactMap { kept.removeValue(forKey: $0.actor) }
    entries = left + kept.values.sorted(by: Entry.precedes)
  }

  /// An entry that stands for many, of the time of the last.
  private static func ancient(_ entry: Entry) -> Entry {
    Entry(
      manager: ancientChanges, operation: .update, apiVersion: entry.apiVersion, time: entry.time, subresource: "",
      set: FieldSet())
  }
}

extension ManagedFieldsEntries.Entry {
  var isWithoutFields: Bool {
    switch fields {
    case .stored(let object): object.isEmpty
    case .edited(let set): set.isEmpty
    }
  }
}
