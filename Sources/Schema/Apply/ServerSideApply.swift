// Server-side apply: a client states the fields it has an opinion on, the server merges them and keeps account of who
// wants what (spec/2 §2.12).
import JSON

public enum ServerSideApply {
  /// The live object with the applied configuration merged in and `metadata.managedFields` brought up to date. When
  /// nothing changed it equals `live`. Defaults, immutable metadata and everything else of an update are the caller's
  /// work afterwards; `ManagedFieldsUpdater` must not see the result.
  ///
  /// - Parameters:
  ///   - live: in canonical form (`TypedDecoder`); nil when the object does not exist.
  ///   - applied: the body as it was sent: apiVersion, kind, name, and the fields the manager wants. Neither decoded
  ///     by its schema nor defaulted, for the manager would own what that adds.
  ///   - force: takes fields from other managers instead of failing.
  ///   - resetFields: what this endpoint does not write, see `ManagedFieldsUpdater.resetFields(for:subresource:)`.
  ///   - versions: those that other managers may speak; nil for a kind that has one.
  /// - Throws: 409 naming every conflict; 400 when the body has managedFields; 500 when it does not fit the schema.
  public static func apply(
    live: JSONValue?, applied: JSONValue, structure: Structure, manager: String, force: Bool, apiVersion: String,
    subresource: String = "", resetFields: FieldSet = FieldSet(), versions: (any ObjectVersions)? = nil, now: String
  ) async throws(APIStatus) -> JSONValue {
    guard applied["metadata"]["managedFields"].isNull else {
      throw .badRequest("metadata.managedFields must be nil")
    }
    let wanted = AppliedFields(of: applied, structure: structure)
    guard wanted.problems.isEmpty else { throw misfit(applied, wanted.problems) }

    var operation = Operation(
      live: live, applied: CanonicalScalars.of(applied, .structure(structure)), structure: structure,
      actor: ManagedFieldsEntries.Entry(
        manager: manager, operation: .apply, apiVersion: apiVersion, time: now, subresource: subresource,
        set: wanted.set.subtractingRecursively(resetFields)),
      resetFields: resetFields, versions: versions ?? OneVersion(structure), now: now)
    try await operation.mergeAndPrune()
    if !force {
      let allowed =
        manager == LastApplied.manager ? LastApplied.ownedFields(of: live, structure: structure) : FieldSet()
      try operation.checkConflicts(allowing: allowed)
    }
    var result = operation.takeOwnership()
    if manager == LastApplied.manager { LastApplied.refresh(in: &result, from: applied) }
    return result
  }

  /// Throws when a configuration names what its kind does not have, or gives it another type: before it is decoded,
  /// because the reference answers to that in words of its own.
  public static func checkTypes(of applied: JSONValue, structure: Structure) throws(APIStatus) {
    let problems = AppliedTypes(of: applied, structure: structure).problems
    guard problems.isEmpty else { throw misfit(applied, problems) }
  }

  /// What the reference answers to a configuration that its schema cannot type: 500 without a reason (kubernetes issue
  /// 139253), which the conformance tests see.
  private static func misfit(_ applied: JSONValue, _ problems: [String]) -> APIStatus {
    let (namespace, name) = (applied["metadata"]["namespace"].string ?? "", applied["metadata"]["name"].string ?? "")
    let kind = "\(applied["apiVersion"].string ?? ""), Kind=\(applied["kind"].string ?? "")"
    let list = problems.count == 1 ? problems[0] : "errors:\n" + problems.map { "  \($0)" }.joined(separator: "\n")
    return APIStatus(
      code: 500, reason: "",
      message: "failed to create typed patch object (\(namespace)/\(name); \(kind)): \(list)")
  }
}

/// One apply, step by step.
private struct Operation {
  let live: JSONValue?
  let applied: JSONValue
  let structure: Structure
  /// The applier's entry as it shall be.
  var actor: ManagedFieldsEntries.Entry
  let resetFields: FieldSet
  let versions: any ObjectVersions

  var entries: ManagedFieldsEntries
  var merged: JSONValue = .null
  var comparisons = VersionedComparisons()

  static let beforeFirstApply = "before-first-apply"
  /// Never removed as a whole: it says which object this is.
  private static let metadata = FieldSet.members([["metadata"]])

  init(
    live: JSONValue?, applied: JSONValue, structure: Structure, actor: ManagedFieldsEntries.Entry,
    resetFields: FieldSet, versions: any ObjectVersions, now: String
  ) {
    self.live = live
    self.applied = applied
    self.structure = structure
    self.actor = actor
    self.resetFields = resetFields
    self.versions = versions
    entries = ManagedFieldsEntries(live?["metadata"]["managedFields"] ?? .null) ?? ManagedFieldsEntries()
    guard let live, entries.isEmpty else { return }
    // Whoever wrote the object so far is not known, but that someone did is.
    var existing = FieldComparison(old: nil, new: live, structure: structure)
    existing.subtractRecursively(resetFields)
    entries.entries = [
      ManagedFieldsEntries.Entry(
        manager: Self.beforeFirstApply, operation: .update, apiVersion: actor.apiVersion, time: now, subresource: "",
        set: existing.changed)
    ]
  }

  mutating func mergeAndPrune() async throws(APIStatus) {
    merged = AppliedMerge.merge(applied, into: live, structure: structure)
    merged["metadata"]["managedFields"] = .null
    if let position = entries.index(of: actor) { try await prune(formerly: entries.entries[position]) }
    var own = FieldComparison(old: live, new: merged, structure: structure)
    own.subtractRecursively(resetFields)
    var others: [String: UpdateInVersion] = [:]
    if let live, !own.isEmpty {
      for version in Set(entries.entries.map(\.apiVersion)) where version != actor.apiVersion {
        others[version] = try await versions.update(old: live, new: merged, in: version)
      }
    }
    comparisons = VersionedComparisons(own: own, others: others, resetFields: resetFields)
  }

  /// The object in one version, and what it holds there.
  private struct Seen {
    let apiVersion: String
    let object: JSONValue
    let structure: Structure

    func named(_ set: FieldSet) -> FieldSet {
      set.includingNamedFields(.structure(structure)).subtracting(Operation.metadata)
    }
    var everything: FieldSet { named(AppliedFields(of: object, structure: structure).set) }
    func removing(_ paths: FieldSet) -> Seen {
      Seen(
        apiVersion: apiVersion, object: AppliedMerge.removing(paths, from: object, structure: structure),
        structure: structure)
    }
  }

  /// Nil where the kind has no such version.
  private func seen(_ seen: Seen, in apiVersion: String) async throws(APIStatus) -> Seen? {
    if seen.apiVersion == apiVersion { return seen }
    guard let structure = versions.structure(of: apiVersion) else { return nil }
    return Seen(
      apiVersion: apiVersion, object: try await versions.converted(seen.object, to: apiVersion), structure: structure)
  }

  /// Removes what the manager applied before and does not apply now, unless someone else owns it, or it holds
  /// something the manager never owned: all of it in the version in which the manager applied before.
  private mutating func prune(formerly last: ManagedFieldsEntries.Entry) async throws(APIStatus) {
    guard last.apiVersion != actor.apiVersion || !last.set.subtracting(actor.set).isEmpty else { return }
    let now = Seen(apiVersion: actor.apiVersion, object: merged, structure: structure)
    guard let whole = try await seen(now, in: last.apiVersion) else { return }
    let lastSet = whole.named(last.set)
    var kept = (whole: whole, pruned: whole.removing(lastSet))
    for (version, owned) in ownedByVersion(first: last.apiVersion) {
      guard let whole = try await seen(kept.whole, in: version), let pruned = try await seen(kept.pruned, in: version)
      else { continue }
      kept.whole = whole
      kept.pruned = whole.removing(whole.everything.subtracting(pruned.everything.union(whole.named(owned))))
    }
    guard let withOwned = try await seen(kept.pruned, in: last.apiVersion) else { return }
    let pruned = whole.removing(whole.everything.subtracting(withOwned.everything).intersection(lastSet))
    if let result = try await seen(pruned, in: actor.apiVersion) { merged = result.object }
  }

  /// What is owned by anybody after this apply, for each version that is spoken.
  private func ownedByVersion(first: String) -> [(version: String, owned: FieldSet)] {
    var sets = [actor.apiVersion: [actor.set]]
    for entry in entries.entries where !entry.belongs(to: actor) {
      sets[entry.apiVersion, default: []].append(entry.set)
    }
    // What the conversion out of the pruned version may need is put back first.
    return sets.sorted { ($0.key == first ? 0 : 1, $0.key) < ($1.key == first ? 0 : 1, $1.key) }
      .map { ($0.key, FieldSet.union(of: $0.value)) }
  }

  /// Throws when other managers own fields whose value would change.
  func checkConflicts(allowing allowed: FieldSet) throws(APIStatus) {
    var conflicts: [ApplyConflict] = []
    for entry in entries.entries.sorted(by: ManagedFieldsEntries.Entry.precedes) where !entry.belongs(to: actor) {
      guard let changed = comparisons[entry.apiVersion]?.changed, entry.intersects(changed) else { continue }
      entry.set.intersection(changed).subtracting(allowed).forEachPath { path in
        conflicts.append(ApplyConflict(entry: entry, path: path.map(PathElement.text).joined()))
      }
    }
    if !conflicts.isEmpty { throw ApplyConflict.status(conflicts) }
  }

  /// The merged object with its ownership; `live` itself where nothing changed.
  mutating func takeOwnership() -> JSONValue {
    var object = TypedDecoder.canonicalized(merged, as: structure)
    var former = live ?? .null
    former["metadata"]["managedFields"] = .null
    entries.remove(comparisons, exceptFrom: actor)
    if let position = entries.index(of: actor) {
      let before = entries.entries[position]
      // The configuration may say what the canonical form leaves out; that is no change.
      if object == former, before.apiVersion == actor.apiVersion, before.set == actor.set { actor.time = before.time }
      entries.entries[position] = actor
    } else {
      entries.entries.append(actor)
    }
    entries.removeEmpty()
    object["metadata"]["managedFields"] = entries.json
    return object
  }
}

/// A field that another manager owns with another value.
private struct ApplyConflict {
  var entry: ManagedFieldsEntries.Entry
  var path: String

  private var manager: String {
    var text = JSONValue.string(entry.manager).description
    if !entry.subresource.isEmpty { text += " with subresource \"\(entry.subresource)\"" }
    return entry.operation == .update ? "\(text) using \(entry.apiVersion)" : text
  }

  static func status(_ conflicts: [ApplyConflict]) -> APIStatus {
    var message: String
    if conflicts.count == 1 {
      message = "Apply failed with 1 conflict: conflict with \(conflicts[0].manager): \(conflicts[0].path)"
    } else {
      message = "Apply failed with \(conflicts.count) conflicts: "
      var lines: [String] = []
      var previous: String?
      for conflict in conflicts {
        if conflict.manager != previous { lines.append("conflicts with \(conflict.manager):") }
        previous = conflict.manager
        lines.append("- \(conflict.path)")
      }
      message += lines.joined(separator: "\n")
    }
    var status = APIStatus(code: 409, reason: "Conflict", message: message)
    status.causes = conflicts.map { conflict in
      APIStatus.Cause(
        reason: "FieldManagerConflict", message: "conflict with \(conflict.manager)", field: conflict.path)
    }
    return status
  }
}
