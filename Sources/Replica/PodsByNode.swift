// Which pods are bound to which node. Every kubelet lists and watches the pods of its own node: without this each of
// thousands would look at every pod of the cluster, all at once after a server has gone. The one index that there is,
// as in the reference's watch cache.

import JSON

/// A pod's spec.nodeName: one for all versions of the pod.
final class NodeName: Sendable {
  let text: String

  /// Nil for a pod that has none, and for what is no pod.
  init?(in document: [UInt8], of key: ObjectKey) {
    guard key.resource == PodsByNode.resource else { return nil }
    let text = JSONTape.rawBytes(of: "nodeName", in: JSONTape.rawBytes(of: "spec", in: document[...]))
    guard !text.isEmpty, let name = (try? JSONTape(parsing: Array(text)))?.root.string, !name.isEmpty else {
      return nil
    }
    self.text = name
  }
}

/// Places of pods by node, kept by the map whose pods they are. Copying is O(1) and gives an independent version;
/// updating is O(log n), and nothing for a write that does not bind a pod.
struct PodsByNode: Sendable {
  /// A key whose resource is the node's name.
  private struct Place: Keyed {
    let key: ObjectKey

    init(_ pod: ObjectKey, on node: String) {
      key = ObjectKey(resource: node, namespace: pod.namespace, name: pod.name)
    }
  }
  static let resource = "pods"
  private var places = OrderedTree<Place>()

  /// Takes note of a version in place of another of the same object.
  mutating func replace(_ previous: StoredObject?, by object: StoredObject?) {
    let (before, now) = (previous?.node, object?.node)
    guard before !== now, before?.text != now?.text else { return }
    if let previous, let before { places.remove(Place(previous.key, on: before.text).key) }
    if let object, let now { places.put(Place(object.key, on: now.text)) }
  }

  /// In key order, behind `after` where given; an empty namespace means all of them.
  func keys(onNode node: String, namespace: String, after: ObjectKey?) -> [ObjectKey] {
    let after = after.map { Place($0, on: node).key }
    return places.elements(at: places.positions(resource: node, namespace: namespace, after: after)).map {
      ObjectKey(resource: Self.resource, namespace: $0.key.namespace, name: $0.key.name)
    }
  }
}
