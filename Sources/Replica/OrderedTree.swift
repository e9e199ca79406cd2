// The tree that the running state is held in: an immutable, structurally shared, ordered map. A B+tree whose nodes are
// Swift arrays: a version is one reference to the root, an update copies the path from root to leaf unless nobody else
// holds it (then it edits in place). Every inner entry counts its subtree, so that positions, ranges and counts cost
// O(log n).

/// What a tree is ordered by.
protocol Keyed: Sendable {
  var key: ObjectKey { get }
}

/// Elements in the order of their keys, no two of them alike. Copying is O(1) and gives an independent version; updating
/// is O(log n).
struct OrderedTree<Element: Keyed>: Sendable {
  private var root: Node<Element> = .leaf([])
  private(set) var count = 0

  /// The element under `key`, nil if absent.
  subscript(key: ObjectKey) -> Element? {
    guard let found = root.first(from: key), found.key.order(against: key) == 0 else { return nil }
    return found
  }

  /// The first element whose key is not below `bound`, if there is any.
  func first(from bound: ObjectKey) -> Element? { root.first(from: bound) }

  /// Inserts the element or replaces the one under its key, which is returned.
  @discardableResult
  mutating func put(_ element: Element) -> Element? {
    let (previous, split) = root.put(element, isRightmost: true)
    if previous == nil { count += 1 }
    if let split {
      root = .inner([Child(first: root.firstKey, count: count - split.count, node: root), split])
    }
    return previous
  }

  /// Removes and returns the element under `key`.
  @discardableResult
  mutating func remove(_ key: ObjectKey) -> Element? {
    guard let removed = root.remove(key) else { return nil }
    count -= 1
    while case .inner(let children) = root, children.count <= 1 { root = children.first?.node ?? .leaf([]) }
    return removed
  }

  /// Number of elements whose key is below `bound`: the position where `bound` stands or would stand.
  func position(of bound: ObjectKey) -> Int { root.position(of: bound) }

  /// The elements at `positions`, in key order.
  func elements(at positions: Range<Int>) -> [Element] {
    precondition(positions.lowerBound >= 0 && positions.upperBound <= count, "positions outside the tree")
    var result: [Element] = []
    result.reserveCapacity(positions.count)
    root.append(positions, to: &result)
    return result
  }

  /// The positions of a resource's elements, behind the key `after` where given; an empty namespace means all of them.
  func positions(resource: String, namespace: String, after: ObjectKey? = nil) -> Range<Int> {
    // A NUL sorts below every byte a name may hold, so `x + NUL` is the first key behind everything named x.
    let lower = ObjectKey(resource: resource, namespace: namespace, name: "")
    let upper =
      namespace.isEmpty
      ? ObjectKey(resource: resource + "\0", namespace: "", name: "")
      : ObjectKey(resource: resource, namespace: namespace + "\0", name: "")
    let all = position(of: lower)..<position(of: upper)
    guard let after else { return all }
    let behind = ObjectKey(resource: after.resource, namespace: after.namespace, name: after.name + "\0")
    return max(all.lowerBound, min(all.upperBound, position(of: behind)))..<all.upperBound
  }
}

/// An entry of an inner node: a subtree, the number of objects in it, and a key that is not above any of them and
/// above all of the subtree before (the first entry's key is never read for routing).
private struct Child<Element: Keyed>: Sendable {
  var first: ObjectKey
  var count: Int
  var node: Node<Element>
}

private enum Node<Element: Keyed>: Sendable {
  case leaf([Element])
  case inner([Child<Element>])

  /// Elements in a leaf: objects take eight bytes each, so that a copied leaf is half a KiB.
  static var leafCapacity: Int { 64 }
  /// Entries in an inner node: 64 bytes each.
  static var innerCapacity: Int { 32 }

  var firstKey: ObjectKey {
    switch self {
    case .leaf(let objects): objects[0].key
    case .inner(let children): children[0].first
    }
  }

  var width: Int {
    switch self {
    case .leaf(let objects): objects.count
    case .inner(let children): children.count
    }
  }

  /// The first position whose key is not below `key`.
  static func lowerBound(of key: ObjectKey, in objects: [Element]) -> Int {
    // Through the buffer: no object looked at on the way is retained. Every processor would write to its count.
    objects.withUnsafeBufferPointer { objects in
      var (low, high) = (0, objects.count)
      while low < high {
        let middle = (low + high) / 2
        if objects[middle].key.order(against: key) < 0 { low = middle + 1 } else { high = middle }
      }
      return low
    }
  }

  /// The entry whose subtree holds `key` if any does: the last whose first key is not above it.
  static func child(of key: ObjectKey, in children: [Child<Element>]) -> Int {
    children.withUnsafeBufferPointer { children in
      var (low, high) = (1, children.count)
      while low < high {
        let middle = (low + high) / 2
        if children[middle].first.order(against: key) <= 0 { low = middle + 1 } else { high = middle }
      }
      return low - 1
    }
  }

  /// The first object whose key is not below `key`.
  func first(from key: ObjectKey) -> Element? {
    switch self {
    case .leaf(let objects):
      let position = Self.lowerBound(of: key, in: objects)
      return position < objects.count ? objects[position] : nil
    case .inner(let children):
      let index = Self.child(of: key, in: children)
      return children.withUnsafeBufferPointer { children in
        // All of a subtree may be below the key: the next one begins behind it.
        children[index].node.first(from: key)
          ?? (index + 1 < children.count ? children[index + 1].node.first(from: key) : nil)
      }
    }
  }

  /// Number of objects whose key is below `key`.
  func position(of key: ObjectKey) -> Int {
    switch self {
    case .leaf(let objects): return Self.lowerBound(of: key, in: objects)
    case .inner(let children):
      let index = Self.child(of: key, in: children)
      return children.withUnsafeBufferPointer { children in
        children[..<index].reduce(children[index].node.position(of: key)) { $0 + $1.count }
      }
    }
  }

  /// Puts the object; when the node was full, also returns the right half that was split off. `isRightmost` keeps the
  /// nodes of a map that is loaded in key order full.
  mutating func put(_ object: Element, isRightmost: Bool) -> (previous: Element?, split: Child<Element>?) {
    switch self {
    case .leaf(var objects):
      self = .leaf([])  // `objects` is now the only reference, unless another version holds the array.
      let result = Self.put(object, into: &objects, isRightmost: isRightmost)
      self = .leaf(objects)
      return result
    case .inner(var children):
      self = .leaf([])
      let result = Self.put(object, into: &children, isRightmost: isRightmost)
      self = .inner(children)
      return result
    }
  }

  private static func put(
    _ object: Element, into objects: inout [Element], isRightmost: Bool
  ) -> (previous: Element?, split: Child<Element>?) {
    let position = lowerBound(of: object.key, in: objects)
    if position < objects.count, objects[position].key.order(against: object.key) == 0 {
      let previous = objects[position]
      objects[position] = object
      return (previous, nil)
    }
    guard objects.count == leafCapacity else {
      objects.insert(object, at: position)
      return (nil, nil)
    }
    let cut = isRightmost && position == objects.count ? objects.count : objects.count / 2
    var right = Array(objects[cut...])
    objects = Array(objects[..<cut])
    if position < cut { objects.insert(object, at: position) } else { right.insert(object, at: position - cut) }
    return (nil, Child(first: right[0].key, count: right.count, node: .leaf(right)))
  }

  private static func put(
    _ object: Element, into children: inout [Child<Element>], isRightmost: Bool
  ) -> (previous: Element?, split: Child<Element>?) {
    let index = child(of: object.key, in: children)
    let isLast = isRightmost && index == children.count - 1
    let (previous, split) = children[index].node.put(object, isRightmost: isLast)
    if previous == nil { children[index].count += 1 }
    guard let split else { return (previous, nil) }
    children[index].count -= split.count
    children.insert(split, at: index + 1)
    guard children.count > innerCapacity else { return (previous, nil) }
    let cut = isLast ? children.count - 1 : children.count / 2
    let right = Array(children[cut...])
    children = Array(children[..<cut])
    let count = right.reduce(0) { $0 + $1.count }
    return (previous, Child(first: right[0].first, count: count, node: .inner(right)))
  }

  mutating func remove(_ key: ObjectKey) -> Element? {
    switch self {
    case .leaf(var objects):
      let position = Self.lowerBound(of: key, in: objects)
      guard position < objects.count, objects[position].key.order(against: key) == 0 else { return nil }
      self = .leaf([])
      let removed = objects.remove(at: position)
      self = .leaf(objects)
      return removed
    case .inner(var children):
      self = .leaf([])
      defer { self = .inner(children) }
      let index = Self.child(of: key, in: children)
      guard let removed = children[index].node.remove(key) else { return nil }
      children[index].count -= 1
      Self.rebalance(&children, at: index)
      return removed
    }
  }

  /// After a removal: drops an empty entry, joins a thin one with a neighbour when both fit comfortably into one.
  private static func rebalance(_ children: inout [Child<Element>], at index: Int) {
    guard children[index].count > 0 else {
      children.remove(at: index)
      return
    }
    let capacity: Int
    switch children[index].node {
    case .leaf: capacity = leafCapacity
    case .inner: capacity = innerCapacity
    }
    guard children[index].node.width < capacity / 4, children.count > 1 else { return }
    let left = index + 1 < children.count ? index : index - 1
    guard children[left].node.width + children[left + 1].node.width <= capacity * 3 / 4 else { return }
    let right = children.remove(at: left + 1)
    children[left].count += right.count
    switch (children[left].node, right.node) {
    case (.leaf(let first), .leaf(let second)): children[left].node = .leaf(first + second)
    case (.inner(let first), .inner(var second)):
      second[0].first = right.first  // The first entry's own key may be stale; its node's bound is not.
      children[left].node = .inner(first + second)
    default: preconditionFailure("a B+tree has all leaves at one depth")
    }
  }

  func append(_ positions: Range<Int>, to result: inout [Element]) {
    guard !positions.isEmpty else { return }
    switch self {
    case .leaf(let objects): result += objects[positions]
    case .inner(let children):
      var start = 0
      for child in children {
        let end = start + child.count
        if end > positions.lowerBound {
          guard start < positions.upperBound else { return }
          let part = positions.clamped(to: start..<end)
          child.node.append(part.lowerBound - start..<part.upperBound - start, to: &result)
        }
        start = end
      }
    }
  }
}

extension ObjectKey {
  /// Negative, zero or positive as this key stands before, at or behind `other`: the order of `<`, in one pass.
  func order(against other: ObjectKey) -> Int {
    let byResource = Self.order(resource, other.resource)
    if byResource != 0 { return byResource }
    let byNamespace = Self.order(namespace, other.namespace)
    return byNamespace != 0 ? byNamespace : Self.order(name, other.name)
  }

  private static func order(_ left: String, _ right: String) -> Int {
    let result = left.utf8.withContiguousStorageIfAvailable { left in
      right.utf8.withContiguousStorageIfAvailable { right in
        order(UnsafeRawBufferPointer(left), UnsafeRawBufferPointer(right))
      }
    }
    if case .some(.some(let order)) = result { return order }
    return left.utf8.elementsEqual(right.utf8) ? 0 : left.utf8.lexicographicallyPrecedes(right.utf8) ? -1 : 1
  }

  /// Bytewise, eight bytes at a time.
  private static func order(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
    let common = min(left.count, right.count)
    var offset = 0
    while offset + 8 <= common {
      let (a, b) = (
        left.loadUnaligned(fromByteOffset: offset, as: UInt64.self),
        right.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
      )
      if a != b { return a.bigEndian < b.bigEndian ? -1 : 1 }
      offset += 8
    }
    while offset < common {
      if left[offset] != right[offset] { return left[offset] < right[offset] ? -1 : 1 }
      offset += 1
    }
    return left.count - right.count
  }
}
