// One version of the state, as readers hold it.

/// The objects at one revision: two words, immutable, valid for as long as it is held.
struct StateVersion: StateView {
  let revision: Revision
  let map: ObjectMap

  func object(_ key: ObjectKey) -> StoredObject? { map[key] }

  func objects(
    resource: String, namespace: String, after: ObjectKey?, limit: Int
  ) -> (objects: [StoredObject], isComplete: Bool) {
    // Most that is asked for while a request is admitted is not there: webhooks, policies, limits.
    let start = ObjectKey(resource: resource, namespace: namespace, name: "")
    let bound = after.map { max($0, start) } ?? start
    guard let first = map.first(from: bound), first.key.resource == resource,
      namespace.isEmpty || first.key.namespace == namespace
    else { return ([], true) }
    var positions = map.positions(resource: resource, namespace: namespace, after: after)
    let isComplete = limit <= 0 || positions.count <= limit
    if !isComplete { positions = positions.lowerBound..<positions.lowerBound + limit }
    return (map.objects(at: positions), isComplete)
  }

  func pods(onNode node: String, namespace: String, after: ObjectKey?) -> [StoredObject] {
    map.podsByNode.keys(onNode: node, namespace: namespace, after: after).map { key in
      guard let pod = map[key] else { preconditionFailure("\(key) is among its node's pods and nowhere else") }
      return pod
    }
  }

  func count(resource: String, namespace: String) -> Int {
    map.positions(resource: resource, namespace: namespace).count
  }
}
