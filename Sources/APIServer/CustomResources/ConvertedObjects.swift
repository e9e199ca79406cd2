// Stored objects in the version of a request, where a webhook makes them of the stored version: converted once for all
// readers and watchers, as long as there is room to remember it.
import DequeModule
import JSON
import Replica
import Schema
import Synchronization

/// Conversions of objects that were asked for lately, and those under way. Any thread.
final class ConvertedObjects: Sendable {
  struct Key: Hashable, Sendable {
    /// Of the object: no other write has it.
    var object: Revision
    var version: String
    /// Of the definition.
    var definition: Revision
  }
  enum Place: Sendable {
    case known(StoredObject)
    /// Somebody else is at it.
    case underWay
    /// The caller shall do it, and call `finish`.
    case claimed
  }
  private struct State {
    var objects: [Key: StoredObject] = [:]
    var order: Deque<Key> = []
    var bytes = 0
    var underWay: [Key: [CheckedContinuation<APIStatus?, Never>]] = [:]
  }
  /// Bytes of objects that are kept.
  private static let bytesMaximum = 64 << 20

  private let state = Mutex(State())

  func claim(_ key: Key) -> Place {
    state.withLock { state in
      if let object = state.objects[key] { return .known(object) }
      if state.underWay[key] != nil { return .underWay }
      state.underWay[key] = []
      return .claimed
    }
  }

  /// Returns when whoever has claimed the key is done with it; why it failed, if it did.
  func wait(for key: Key) async -> APIStatus? {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        guard state.underWay[key] != nil else { return true }
        state.underWay[key]?.append(continuation)
        return false
      }
      if isDone { continuation.resume(returning: nil) }
    }
  }

  /// Without an object: it failed, for all who wait when there is a reason; else they try for themselves.
  func finish(_ key: Key, _ object: StoredObject?, failure: APIStatus? = nil) {
    let waiters = state.withLock { state in
      if let object, state.objects.updateValue(object, forKey: key) == nil {
        state.order.append(key)
        state.bytes += object.bytes.count
        while state.bytes > Self.bytesMaximum, let oldest = state.order.popFirst() {
          state.bytes -= state.objects.removeValue(forKey: oldest)?.bytes.count ?? 0
        }
      }
      return state.underWay.removeValue(forKey: key) ?? []
    }
    for waiter in waiters { waiter.resume(returning: failure) }
  }
}

extension StoredObject {
  /// This object with another document in place of its own: the same write, seen in another version.
  func presenting(_ tree: JSONValue) -> StoredObject {
    let form = UnversionedObject(tree: tree, fence: fence)
    let digits = String(revision).utf8
    var bytes: [UInt8] = []
    bytes.reserveCapacity(form.bytes.count + digits.count)
    bytes += form.bytes[..<form.revisionOffset]
    bytes += digits
    bytes += form.bytes[form.revisionOffset...]
    return StoredObject(
      key: key, revision: revision, uid: uid, bytes: bytes, revisionOffset: form.revisionOffset, labels: form.labels,
      fence: fence)
  }

  /// This object as the last state before a deletion: with the revision of that.
  fileprivate func deleted(at revision: Revision) -> StoredObject {
    StoredObject(
      key: key, revision: revision, uid: uid, bytes: bytes(revision: revision), revisionOffset: revisionOffset,
      labels: labels, fence: fence)
  }
}

extension APIServer {
  /// Stored objects as `kind` has them, where a webhook converts; else as they are. Throws 500 when the webhook fails.
  func inVersion(of kind: KindDescriptor, _ objects: [StoredObject]) async throws(APIStatus) -> [StoredObject] {
    guard kind.isConvertedByWebhook, let custom = kind.custom, !objects.isEmpty else { return objects }
    var results: [StoredObject?] = Array(repeating: nil, count: objects.count)
    func key(_ object: StoredObject) -> ConvertedObjects.Key {
      ConvertedObjects.Key(object: object.revision, version: kind.kind.version, definition: custom.revision)
    }
    while true {
      var claimed: [Int] = []
      var awaited: ConvertedObjects.Key?
      for index in objects.indices where results[index] == nil {
        switch convertedObjects.claim(key(objects[index])) {
        case .known(let object): results[index] = object
        case .underWay: awaited = awaited ?? key(objects[index])
        case .claimed: claimed.append(index)
        }
      }
      if !claimed.isEmpty {
        do throws(APIStatus) {
          let converted = try await convert(claimed.map { objects[$0] }, to: kind, custom)
          for (index, object) in zip(claimed, converted) {
            results[index] = object
            convertedObjects.finish(key(objects[index]), object)
          }
        } catch {
          // What ended because its client left says nothing about the webhook.
          let failure = Task.isCancelled ? nil : error
          for index in claimed { convertedObjects.finish(key(objects[index]), nil, failure: failure) }
          throw error
        }
      } else if let awaited {
        if let failure = await convertedObjects.wait(for: awaited) { throw failure }
      } else {
        return results.compactMap { $0 }
      }
    }
  }

  func inVersion(of kind: KindDescriptor, _ object: StoredObject) async throws(APIStatus) -> StoredObject {
    guard kind.isConvertedByWebhook else { return object }
    return try await inVersion(of: kind, [object])[0]
  }

  /// Changes as `kind` has their objects.
  func inVersion(of kind: KindDescriptor, _ changes: [Change]) async throws(APIStatus) -> [Change] {
    // What is deleted is what was there before, under another revision.
    func isLastState(_ change: Change) -> Bool { change.kind == .delete && change.previous != nil }
    let objects = changes.flatMap { change in
      (isLastState(change) ? [] : [change.object]) + (change.previous.map { [$0] } ?? [])
    }
    var converted = try await inVersion(of: kind, objects)[...]
    return changes.map { change in
      let object = isLastState(change) ? nil : converted.popFirst()
      let previous = change.previous == nil ? nil : converted.popFirst()
      guard let new = object ?? previous?.deleted(at: change.revision) else { return change }
      return Change(kind: change.kind, revision: change.revision, object: new, previous: previous)
    }
  }

  private func convert(
    _ objects: [StoredObject], to kind: KindDescriptor, _ custom: CustomKind
  ) async throws(APIStatus) -> [StoredObject] {
    // In the stored version it is made what its schema has it today; then comes the webhook.
    let trees = objects.map { object in
      custom.needsRefresh(object) ? CustomConversion.refreshed(object.tree, custom) : object.tree
    }
    let lookup = ObjectLookup(state: store.current, store: store)
    let converted = try await dependencies.webhooks.converted(trees, to: kind.kind, custom, lookup)
    return zip(objects, converted).map { object, tree in object.presenting(tree) }
  }

  /// A stored object as a tree in the version of a request.
  func tree(_ object: StoredObject, in kind: KindDescriptor) async throws(APIStatus) -> JSONValue {
    if kind.isConvertedByWebhook { return try await inVersion(of: kind, object).tree }
    return Conversion.fromStorage(object.tree, to: kind)
  }

  /// The stored form of an object of a request's kind, whatever it takes to get there.
  func converted(_ object: JSONValue, toStorageOf kind: KindDescriptor) async throws(APIStatus) -> UnversionedObject {
    guard kind.isConvertedByWebhook, let custom = kind.custom, kind.storage != kind.kind else {
      return storedForm(object, kind)
    }
    var object = object
    object["metadata"]["resourceVersion"] = .null
    let lookup = ObjectLookup(state: store.current, store: store)
    let stored = try await dependencies.webhooks.converted([object], to: kind.storage, custom, lookup)
    return UnversionedObject(tree: stored[0])
  }
}
