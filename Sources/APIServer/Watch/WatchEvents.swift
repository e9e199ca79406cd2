// From changes to the events of one watch: selector edges, shapes, versions.
import JSON
import Replica
import Schema

/// Turns changes into frames for one watch. A value without I/O.
struct WatchEvents: Sendable {
  let selection: ObjectSelection
  let presenter: Presenter
  let cache: WatchFrameCache
  let fields: FieldTextCache
  /// Names kind, shape and encoding in the cache; "" for stored bytes.
  private let presentation: String
  /// Table columns go out with the first event only.
  private var hasSentColumns = false

  init(
    selection: ObjectSelection, presenter: Presenter, cache: WatchFrameCache, fields: FieldTextCache
  ) {
    self.selection = selection
    self.presenter = presenter
    self.cache = cache
    self.fields = fields
    presentation =
      presenter.usesStoredBytes && !presenter.kind.isConvertedByWebhook
      ? "" : "\(presenter.kind.kind) \(presenter.format.shape) \(presenter.format.encoding) \(presenter.included)"
  }

  private var isProtobuf: Bool { presenter.format.encoding == .protobuf }
  private var isTable: Bool { if case .table = presenter.format.shape { true } else { false } }

  /// The one value that objects must have to be seen, where there is one.
  var watchedValue: WatchedValue? { selection.watchedValue(of: presenter.kind, fields) }

  /// The frame of a change; nil when this watch does not see it.
  mutating func frame(_ change: Change) -> [UInt8]? {
    let isMatch = change.kind == .put && selection.matches(change.object, presenter.kind, fields)
    let wasMatch = change.previous.map { selection.matches($0, presenter.kind, fields) } ?? false
    switch (wasMatch, isMatch) {
    case (false, false): return nil
    case (false, true): return frame(change, .added, change.object, isPrevious: false)
    case (true, true): return frame(change, .modified, change.object, isPrevious: false)
    case (true, false):
      guard change.kind == .put, let previous = change.previous else {
        return frame(change, .deleted, change.object, isPrevious: false)
      }
      // It left the selection: the last state that matched, with the revision of the change.
      return frame(change, .deleted, previous, isPrevious: true)
    }
  }

  /// ADDED for an object that exists when the watch begins.
  mutating func initialFrame(_ object: StoredObject) -> [UInt8]? {
    guard selection.matches(object) else { return nil }
    return isTable ? row(.added, object, revision: nil) : build(.added, object, revision: nil)
  }

  private mutating func frame(
    _ change: Change, _ type: WatchEventType, _ object: StoredObject, isPrevious: Bool
  ) -> [UInt8] {
    // Rows carry ages and the first one columns: tables are made for each watcher.
    let revision = isPrevious ? change.revision : nil
    if isTable { return row(type, object, revision: revision) }
    let form = WatchFrameCache.Form(type: type, isPrevious: isPrevious, presentation: presentation)
    return cache.frame(change.revision, form) { build(type, object, revision: revision) }
  }

  private mutating func row(_ type: WatchEventType, _ object: StoredObject, revision: Revision?) -> [UInt8] {
    defer { hasSentColumns = true }
    return build(type, object, revision: revision, withColumns: !hasSentColumns)
  }

  private func build(
    _ type: WatchEventType, _ object: StoredObject, revision: Revision?, withColumns: Bool = false
  ) -> [UInt8] {
    if presenter.usesStoredBytes(of: object) {
      return WatchFrame.json(type.rawValue, object: revision.map { object.bytes(revision: $0) } ?? object.bytes)
    }
    if case .partialMetadata(let version) = presenter.format.shape, revision == nil, !isProtobuf {
      return WatchFrame.json(type.rawValue, object: Presenter.partialBytes(object, version: version))
    }
    var tree = presenter.tree(object)
    if let revision { tree["metadata"]["resourceVersion"] = .string(String(revision)) }
    return frame(type.rawValue, presenter.shaped(tree, withColumns: withColumns))
  }

  /// BOOKMARK: everything up to `revision` has been sent.
  func bookmark(_ revision: Revision, endsInitialEvents: Bool) -> [UInt8] {
    var metadata: JSONValue = ["resourceVersion": .string(String(revision)), "creationTimestamp": .null]
    if endsInitialEvents { metadata["annotations"] = ["k8s.io/initial-events-end": "true"] }
    let object: JSONValue =
      switch presenter.format.shape {
      case .object:
        [
          "kind": .string(presenter.kind.kind.kind), "apiVersion": .string(presenter.kind.kind.apiVersion),
          "metadata": metadata,
        ]
      case .partialMetadata(let version): TableBuilder.partialObject(["metadata": metadata], version: version)
      case .table(let version):
        [
          "kind": "Table", "apiVersion": .string("meta.k8s.io/\(version)"), "metadata": metadata,
          "columnDefinitions": [], "rows": [],
        ]
      }
    return frame("BOOKMARK", object)
  }

  func error(_ status: APIStatus) -> [UInt8] { frame("ERROR", status.json) }

  /// An event in the encoding of this watch. An object without a protobuf form cannot be here: the watch would have
  /// been refused.
  private func frame(_ type: String, _ object: JSONValue) -> [UInt8] {
    guard isProtobuf, let bytes = try? presenter.codec.encode(object, presenter.format) else {
      return WatchFrame.json(type, object: object.bytes)
    }
    return ProtobufEnvelope.watchFrame(type: type, object: bytes)
  }
}

extension StoredObject {
  /// These bytes with another revision in the place of their own.
  func bytes(revision other: Revision) -> [UInt8] {
    let end = revisionOffset + String(revision).utf8.count
    return Array(bytes[..<revisionOffset]) + Array(String(other).utf8) + Array(bytes[end...])
  }
}
