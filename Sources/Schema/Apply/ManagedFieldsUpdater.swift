// Ownership after a create, an update or a patch that is no apply: who changes a value owns it.
import JSON

public enum ManagedFieldsUpdater {
  /// Sets `new.metadata.managedFields` from those of `old` and from what differs between the two.
  ///
  /// - Parameters:
  ///   - old: the stored object; nil when `new` is created.
  ///   - new: the object to write, defaulted, as the client wants it: fields that the server itself sets afterwards
  ///     have no owner. What the client wrote into managedFields counts on the main resource only.
  ///   - manager: who writes, see `FieldManagerName`.
  ///   - apiVersion: of the structure.
  ///   - resetFields: what this endpoint does not write, see `resetFields(for:subresource:)`.
  ///   - others: both objects in the other versions that managers speak, see `otherVersions`. Versions that are not
  ///     among them are taken for this one.
  ///   - now: RFC 3339 in seconds; used only where a manager's set changes.
  public static func update(
    old: JSONValue?, new: inout JSONValue, structure: Structure, manager: String, apiVersion: String,
    subresource: String = "", resetFields: FieldSet = FieldSet(),
    others: [String: UpdateInVersion] = [:], now: String
  ) {
    let stored = old?["metadata"]["managedFields"] ?? .null
    let requested = new["metadata"]["managedFields"]
    let base = base(stored: stored, requested: requested, isSubresource: !subresource.isEmpty)
    guard var entries = ManagedFieldsEntries(base) else {
      // Nothing is tracked, be it that a client asked for it: that stays so until the next apply.
      guard old == nil else { return setManagedFields(.null, of: &new, from: requested) }
      return create(
        &new, structure, manager: manager, apiVersion: apiVersion, subresource: subresource, resetFields, now: now)
    }
    var comparison = FieldComparison(old: old, new: new, structure: structure)
    comparison.subtractRecursively(resetFields)
    guard !comparison.isEmpty else { return setManagedFields(base, of: &new, from: requested) }

    // (See `ScaleOwnership.ofObject`.)
    let isScale = subresource == "scale"
    var actor = ManagedFieldsEntries.Entry(
      manager: manager, operation: .update, apiVersion: apiVersion, time: isScale ? nil : now, subresource: subresource,
      set: comparison.changed)
    let position = entries.index(of: actor)
    let comparisons = VersionedComparisons(own: comparison, others: others, resetFields: resetFields)
    let isOwnSame = position.map { entries.entries[$0].contains(all: comparison.changed) } ?? comparison.changed.isEmpty
    let isKept = entries.entries.enumerated().allSatisfy { index, entry in
      guard let comparison = comparisons[entry.apiVersion] else { return false }
      return !entry.intersects(comparison.removed) && (index == position || !entry.intersects(comparison.changed))
    }
    if isOwnSame, isKept { return setManagedFields(base, of: &new, from: requested) }

    entries.remove(comparisons, exceptFrom: actor)
    // Entries before its own may have gone.
    if let position = entries.index(of: actor) {
      let before = entries.entries[position].set
      actor.set = before.subtracting(comparison.removed).union(comparison.changed)
      if isScale || actor.set == before { actor.time = entries.entries[position].time }
      entries.entries[position] = actor
    } else {
      entries.entries.append(actor)
    }
    entries.removeEmpty()
    entries.cap()
    setManagedFields(entries.json, of: &new, from: requested)
  }

  /// The versions beside `apiVersion` that managers of either object speak.
  public static func otherVersions(old: JSONValue, new: JSONValue, apiVersion: String) -> Set<String> {
    var versions: Set<String> = []
    let (stored, requested) = (old["metadata"]["managedFields"], new["metadata"]["managedFields"])
    for entry in stored.elements { versions.insert(entry["apiVersion"].string ?? "") }
    if requested != stored { for entry in requested.elements { versions.insert(entry["apiVersion"].string ?? "") } }
    versions.subtract([apiVersion, ""])
    return versions
  }

  /// The fields that an endpoint does not write: the main one not the status, the status one not the spec.
  public static func resetFields(for descriptor: KindDescriptor, subresource: String = "") -> FieldSet {
    switch subresource {
    case "" where descriptor.traits.hasStatus: .members([["status"]])
    case "status": .members([["spec"]] + descriptor.rules.keptByStatus)
    default: FieldSet()
    }
  }

  /// Why entries make no sense, in the reference's words; nil when they do, or when there are none.
  public static func problem(of value: JSONValue) -> String? {
    for (index, entry) in value.elements.enumerated() {
      let type = entry["fieldsType"].string ?? ""
      switch entry["operation"].string {
      case "Apply", "Update": break
      default: return "operation must be `Apply` or `Update`"
      }
      if (entry["apiVersion"].string ?? "").isEmpty { return "apiVersion must not be empty" }
      if type.isEmpty { return "missing fieldsType in managed fields entry \(index)" }
      if type != "FieldsV1" { return "invalid fieldsType \"\(type)\" in managed fields entry \(index)" }
    }
    return nil
  }

  /// The entries that hold before the write. A client that knows nothing of managedFields does not delete them by
  /// leaving them out.
  private static func base(stored: JSONValue, requested: JSONValue, isSubresource: Bool) -> JSONValue {
    if isSubresource || requested.isNull || requested == stored { return stored }
    if ManagedFieldsEntries.isReset(requested) { return .null }
    // Whoever renames entries may have made twins of them.
    return ManagedFieldsEntries(requested)?.json ?? stored
  }

  /// Whether two lists of entries tell apart nothing but when.
  public static func differOnlyInTime(_ left: JSONValue, _ right: JSONValue) -> Bool {
    let (left, right) = (left.elements, right.elements)
    return left.count == right.count
      && zip(left, right).allSatisfy { left, right in
        var left = left
        left["time"] = right["time"]
        return left == right
      }
  }

  /// An empty list asks for ownership to be forgotten just as one empty entry does, but would be dropped by the
  /// canonical form: it becomes that entry. (Custom resources have lost it by then in the reference, too.)
  public static func keepReset(_ object: inout JSONValue, asSentIn tree: JSONValue, structure: Structure) {
    guard structure.custom == nil, case .array(let entries) = tree["metadata"]["managedFields"], entries.isEmpty
    else { return }
    object["metadata"]["managedFields"] = [[:]]
  }

  private static func create(
    _ new: inout JSONValue, _ structure: Structure, manager: String, apiVersion: String, subresource: String,
    _ resetFields: FieldSet, now: String
  ) {
    var comparison = FieldComparison(old: nil, new: new, structure: structure)
    comparison.subtractRecursively(resetFields)
    var entries = ManagedFieldsEntries()
    entries.entries = [
      ManagedFieldsEntries.Entry(
        manager: manager, operation: .update, apiVersion: apiVersion, time: now, subresource: subresource,
        set: comparison.changed)
    ]
    entries.removeEmpty()
    setManagedFields(entries.json, of: &new, from: new["metadata"]["managedFields"])
  }

  /// Writes only what differs: most updates come with the entries they were read with.
  static func setManagedFields(_ value: JSONValue, of object: inout JSONValue, from current: JSONValue) {
    if value == current { return }
    object["metadata"]["managedFields"] = value
  }
}
