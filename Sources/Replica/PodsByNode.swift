// Which pods are bound to which node. Every kubelet lists and watches the pods of its own node: without this each of
// thousands would look at every pod of the cluster, all at once after a server has gone. The one index that there is,
// as in the reference's watch cache.

import HashTreeCollections
import JSON

/// Places of pods by node, kept by the map whose pods they are. Copying is O(1) and gives an independent version;
/// updating is O(log n), and nothing for a write that does not bind a pod.
struct PodsByNode: Sendable {
  private struct Place: Hashable, Sendable {
    let namespace: String
    let name: String
  }
  private static let resource = "pods"
  private var places: TreeDictionary<String, TreeSet<Place>> = [:]

  /// A pod's spec.nodeName; "" where it has none, and for what is no pod.
  static func nodeName(in document: [UInt8], of key: ObjectKey) -> String {
    guard key.resource == resource else { return "" }
    let text = JSONTape.rawBytes(of: "nodeName", in: JSONTape.rawBytes(of: "spec", in: document[...]))
    return text.isEmpty ? "" : (try? JSONTape(parsing: Array(text)))?.root.string ?? ""
  }

  /// Takes note of a version in place of another of the same object.
  mutating func replace(_ previous: StoredObject?, by object: StoredObject?) {
    let (before, now) = (previous?.nodeName ?? "", object?.nodeName ?? "")
    guard before != now else { return }
    if let previous, !before.isEmpty {
      places[before]?.remove(Place(namespace: previous.key.namespace, name: previous.key.name))
      if places[before]?.isEmpty == true { places[before] = nil }
    }
    if let object, !now.isEmpty {
      places[now, default: []].insert(Place(namespace: object.key.namespace, name: object.key.name))
    }
  }

  /// In key order, behind `after` where given; an empty namespace means all of them.
  func keys(onNode node: String, namespace: String, after: ObjectKey?) -> [ObjectKey] {
    (places[node] ?? []).lazy
      .filter { namespace.isEmpty || $0.namespace == namespace }
      .map { ObjectKey(resource: Self.resource, namespace: $0.namespace, name: $0.name) }
      .filter { key in after.map { $0 < key } ?? true }
      .sorted()
  }
}
