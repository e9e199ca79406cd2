// The store as the API server sees it: immutable versions of the state, commands that commit or fail as one, changes
// in order. Replica implements it over Raft; LocalStore, for tests, over nothing.

import Storage
import World

/// One number for every committed change of the cluster: the `resourceVersion`. Strictly increasing, equal everywhere.
public typealias Revision = UInt64

/// Names one object: resource ("pods", "deployments.apps": GroupResource's description), namespace ("" for cluster scope), name.
/// Ordered by resource, then namespace, then name, bytewise: the order of lists.
public struct ObjectKey: Hashable, Comparable, Sendable, CustomStringConvertible {
  public var resource: String
  public var namespace: String
  public var name: String

  public init(resource: String, namespace: String, name: String) {
    self.resource = resource
    self.namespace = namespace
    self.name = name
  }

  public static func < (left: Self, right: Self) -> Bool {
    if left.resource != right.resource { return left.resource.utf8.lexicographicallyPrecedes(right.resource.utf8) }
    if left.namespace != right.namespace { return left.namespace.utf8.lexicographicallyPrecedes(right.namespace.utf8) }
    return left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
  }
  public var description: String { namespace.isEmpty ? "\(resource)/\(name)" : "\(resource)/\(namespace)/\(name)" }
}

/// A committed object: the very bytes that are stored, listed and watched. Immutable and shared.
public final class StoredObject: Sendable {
  public let key: ObjectKey
  /// The revision of the write that made this version; stands in `bytes` as metadata.resourceVersion.
  public let revision: Revision
  public let uid: String
  /// The complete JSON document.
  public let bytes: [UInt8]
  /// Where in `bytes` the digits of resourceVersion begin.
  public let revisionOffset: Int
  public let labels: [String: String]
  /// Where a pod runs.
  let node: NodeName?
  /// For leases: the transition count that fences the writes of the holder.
  public let fence: UInt64
  /// XXH64 of key, revision, fence and bytes: this object's share of the state's hash.
  let contentHash: UInt64

  public convenience init(
    key: ObjectKey, revision: Revision, uid: String, bytes: [UInt8], revisionOffset: Int, labels: [String: String],
    fence: UInt64 = 0
  ) {
    self.init(
      key: key, revision: revision, uid: uid, bytes: bytes, revisionOffset: revisionOffset, labels: labels,
      fence: fence, node: NodeName(in: bytes, of: key))
  }

  init(
    key: ObjectKey, revision: Revision, uid: String, bytes: [UInt8], revisionOffset: Int, labels: [String: String],
    fence: UInt64, node: NodeName?
  ) {
    self.key = key
    self.revision = revision
    self.uid = uid
    self.bytes = bytes
    self.revisionOffset = revisionOffset
    self.labels = labels
    self.node = node
    self.fence = fence
    contentHash = Self.hash(key: key, revision: revision, fence: fence, bytes: bytes)
  }

  /// A pod's spec.nodeName, by which every kubelet selects; "" where it has none, and for all else. Costs nothing.
  public var nodeName: String { node?.text ?? "" }

  /// The hash of what is held now: another than `contentHash` when memory has changed by itself.
  func recomputedHash() -> UInt64 { Self.hash(key: key, revision: revision, fence: fence, bytes: bytes) }

  private static func hash(key: ObjectKey, revision: Revision, fence: UInt64, bytes: [UInt8]) -> UInt64 {
    var words = (revision.littleEndian, fence.littleEndian)
    var seed = withUnsafeBytes(of: &words) { xxh64($0) }
    for part in [key.resource, key.namespace, key.name] {
      var part = part
      seed = part.withUTF8 { xxh64(UnsafeRawBufferPointer($0), seed: seed) }
    }
    return xxh64(bytes, seed: seed)
  }
}

/// An object to be written: final bytes but for the digits of its resourceVersion, which belong at `revisionOffset`
/// (`"resourceVersion":""` stands in `bytes`, and the offset points between the quotes).
public struct UnversionedObject: Sendable {
  public var uid: String
  public var bytes: [UInt8]
  public var revisionOffset: Int
  public var labels: [String: String]
  public var fence: UInt64

  public init(uid: String, bytes: [UInt8], revisionOffset: Int, labels: [String: String] = [:], fence: UInt64 = 0) {
    self.uid = uid
    self.bytes = bytes
    self.revisionOffset = revisionOffset
    self.labels = labels
    self.fence = fence
  }
}

public enum Mutation: Sendable {
  case put(ObjectKey, UnversionedObject)
  /// Removes the object; watchers see its last state with the revision of the deletion.
  case delete(ObjectKey)
}

/// What must hold, when the command is applied, for any of it to happen.
public enum Precondition: Sendable, Hashable {
  /// The object exists at exactly this revision.
  case revision(ObjectKey, Revision)
  case absent(ObjectKey)
  case exists(ObjectKey)
  /// The object exists and its `fence` equals the value: the writer still holds the lease.
  case fence(ObjectKey, UInt64)
  /// So many objects of the resource are in the namespace: none that this server has not seen yet.
  case count(resource: String, namespace: String, UInt64)
}

/// All or nothing. Every mutation gets a revision of its own, in order.
public struct Command: Sendable {
  public var preconditions: [Precondition]
  public var mutations: [Mutation]
  public init(preconditions: [Precondition] = [], mutations: [Mutation]) {
    self.preconditions = preconditions
    self.mutations = mutations
  }
}

public enum CommandOutcome: Sendable {
  /// The changes made, one per mutation (a delete of an absent object makes none).
  case committed([Change])
  /// Index of the precondition that did not hold, and the object as it is (nil if absent). Nothing was changed.
  case failed(precondition: Int, current: StoredObject?)
}

/// One change of one object. Shared by all watchers.
public final class Change: Sendable {
  public enum Kind: Sendable { case put, delete }
  public let kind: Kind
  public let revision: Revision
  /// The new version; for a deletion the last state with the revision of the deletion.
  public let object: StoredObject
  /// What was there before; nil when the object was created.
  public let previous: StoredObject?

  public init(kind: Kind, revision: Revision, object: StoredObject, previous: StoredObject?) {
    self.kind = kind
    self.revision = revision
    self.object = object
    self.previous = previous
  }
  public var key: ObjectKey { object.key }
}

/// Why the store could not do what was asked; the request's outcome is unknown for `timedOut` only.
public enum StoreError: Error, Sendable {
  /// No quorum within the deadline; the command may still commit.
  case timedOut
  /// This server is stopping or its storage failed.
  case stopped(String)
  /// The command exceeds the size limit of an entry.
  case tooLarge(limit: Int)
  /// Too many servers have a full disk for anything to be written; nothing was. Reads go on, and writes will when there
  /// is room.
  case noRoom(String)
  /// The command is of a version that a member of the group does not understand; nothing was written.
  case notUnderstood(String)
}

/// The state at one revision. Immutable; holding one keeps a consistent view for paging.
public protocol StateView: Sendable {
  var revision: Revision { get }
  func object(_ key: ObjectKey) -> StoredObject?
  /// Objects of a resource in key order, beginning after `after` where given, `limit` at most (0: no limit). An empty
  /// namespace means all of them. `isComplete` is false when more follow.
  func objects(resource: String, namespace: String, after: ObjectKey?, limit: Int) -> (
    objects: [StoredObject], isComplete: Bool
  )
  /// The pods that are bound to a node (not ""), in key order, beginning after `after` where given. An empty namespace
  /// means all of them.
  func pods(onNode node: String, namespace: String, after: ObjectKey?) -> [StoredObject]
  /// Number of objects of a resource (in a namespace, where given).
  func count(resource: String, namespace: String) -> Int
}

/// A place in the stream of changes. Cancelling it stops deliveries; idempotent, any thread.
public protocol WatchSubscription: AnyObject, Sendable {
  func cancel()
  /// Asks for one delivery with an empty batch: the revision up to which everything has been delivered (bookmarks).
  func requestProgress()
}

public enum WatchStart: Sendable {
  /// Deliveries begin with every change after the requested revision.
  case started(any WatchSubscription)
  /// The history does not reach back that far.
  case tooOld(oldest: Revision)
}

/// The replicated store. Any thread may call any member.
public protocol ObjectStore: AnyObject, Sendable {
  /// The newest state applied on this server.
  var current: any StateView { get }
  /// An older state if it is still held (paging); nil when it is gone (410).
  func state(at revision: Revision) -> (any StateView)?
  /// Commits a command: returns when it is durable on a quorum and applied here: the caller reads what it wrote.
  func commit(_ command: Command) async throws(StoreError) -> CommandOutcome
  /// Returns a state that includes everything committed anywhere before the call (ReadIndex).
  func linearizableState() async throws(StoreError) -> any StateView
  /// Waits until this server has applied `revision`; nil when it has not within `timeout`.
  func state(atLeast revision: Revision, timeout: Duration) async -> (any StateView)?
  /// Subscribes to changes of one resource after `revision`. `deliver` is called on the loop of `world`, in order, with
  /// batches that are never empty (but for answers to `requestProgress`) and the revision up to which the subscriber
  /// has now seen everything; it must not block. `ended` is called there at most once, when the stream cannot go on
  /// without a gap (this server fell so far behind that it received a snapshot): the client must list again.
  /// `only`: changes of objects that neither have that value nor had it are not delivered (but may be, now and then).
  func watch(
    resource: String, only: WatchedValue?, after revision: Revision, on world: any World,
    deliver: @escaping @Sendable ([Change], Revision) -> Void, ended: @escaping @Sendable () -> Void
  ) -> WatchStart
}

/// One value of one field: of thousands of subscribers that look at a node's pods each, only those are asked whom a
/// change concerns.
public struct WatchedValue: Sendable {
  /// What is looked at, the same for all subscribers with the same `text`.
  public var field: String
  public var value: String
  /// The field's value in an object. Any thread; must be cheap when asked for again.
  public var text: @Sendable (StoredObject) -> String

  public init(field: String, value: String, text: @escaping @Sendable (StoredObject) -> String) {
    self.field = field
    self.value = value
    self.text = text
  }
}

extension ObjectStore {
  /// A watch of a whole resource.
  public func watch(
    resource: String, after revision: Revision, on world: any World,
    deliver: @escaping @Sendable ([Change], Revision) -> Void, ended: @escaping @Sendable () -> Void
  ) -> WatchStart {
    watch(resource: resource, only: nil, after: revision, on: world, deliver: deliver, ended: ended)
  }

  /// A watch for those who need not know that it ended (tests).
  public func watch(
    resource: String, after revision: Revision, on world: any World,
    deliver: @escaping @Sendable ([Change], Revision) -> Void
  ) -> WatchStart {
    watch(resource: resource, after: revision, on: world, deliver: deliver, ended: {})
  }
}
