// The running state: all objects, what their hashes come to, and which pods are on which node.

extension StoredObject: Keyed {}

/// Objects in key order. Copying is O(1) and gives an independent version; updating is O(log n).
struct ObjectMap: Sendable {
  private var tree = OrderedTree<StoredObject>()
  /// The sum of all objects' hashes, modulo 2^64: it depends on what is here, not on how it came to be, so that it can
  /// be computed again from stored rows.
  private(set) var hash: UInt64 = 0
  /// Follows from the objects; no part of the hash.
  private(set) var podsByNode = PodsByNode()

  init() {}

  var count: Int { tree.count }

  /// The object under `key`, nil if absent.
  subscript(key: ObjectKey) -> StoredObject? { tree[key] }

  /// The first object whose key is not below `bound`, if there is any.
  func first(from bound: ObjectKey) -> StoredObject? { tree.first(from: bound) }

  /// Inserts the object or replaces the one under its key, which is returned.
  @discardableResult
  mutating func put(_ object: StoredObject) -> StoredObject? {
    let previous = tree.put(object)
    hash = hash &+ object.contentHash &- (previous?.contentHash ?? 0)
    podsByNode.replace(previous, by: object)
    return previous
  }

  /// Removes and returns the object under `key`.
  @discardableResult
  mutating func remove(_ key: ObjectKey) -> StoredObject? {
    guard let removed = tree.remove(key) else { return nil }
    hash = hash &- removed.contentHash
    podsByNode.replace(removed, by: nil)
    return removed
  }

  /// Number of objects whose key is below `bound`: the position where `bound` stands or would stand.
  func position(of bound: ObjectKey) -> Int { tree.position(of: bound) }

  /// The objects at `positions`, in key order.
  func objects(at positions: Range<Int>) -> [StoredObject] { tree.elements(at: positions) }

  /// The positions of a resource's objects, behind the key `after` where given; an empty namespace means all of them.
  func positions(resource: String, namespace: String, after: ObjectKey? = nil) -> Range<Int> {
    tree.positions(resource: resource, namespace: namespace, after: after)
  }
}
