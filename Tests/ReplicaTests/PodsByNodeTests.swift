import SeedSupport
import Testing

@testable import Replica

@Suite struct PodsByNodeTests {
  private func version(_ key: ObjectKey, _ revision: Revision, node: String?) -> StoredObject {
    let spec = node.map { #"{"containers":[{"name":"nodeName"}],"nodeName":"\#($0)"}"# } ?? #"{"containers":[]}"#
    return StoredObject(
      key: key, revision: revision, uid: "", bytes: Array(#"{"metadata":{"nodeName":"no"},"spec":\#(spec)}"#.utf8),
      revisionOffset: 0, labels: [:])
  }

  @Test func theNodeIsReadFromPodsAlone() {
    #expect(version(pod("p"), 1, node: "n1").nodeName == "n1")
    #expect(version(pod("p"), 1, node: #"n\u0031"#).nodeName == "n1")
    #expect(version(pod("p"), 1, node: nil).nodeName == "")
    #expect(version(ObjectKey(resource: "things.x", namespace: "", name: "p"), 1, node: "n1").nodeName == "")
  }

  /// Whatever happens to pods, also where it is undone: a node's are those that say so.
  @Test(arguments: 0..<20) func agreesWithALookAtEveryPod(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var map = ObjectMap()
    var changes: [Change] = []
    for revision in 2...600 as ClosedRange<Revision> {
      let key = pod("p\(random.next(below: 40))", "space-\(random.next(below: 3))")
      let node = random.next(below: 3) == 0 ? nil : "node-with-a-long-name-\(random.next(below: 4))"
      let object = version(key, revision, node: node)
      let isRemoved = random.next(below: 3) == 0
      let previous = isRemoved ? map.remove(key) : map.put(object)
      guard !isRemoved || previous != nil else {
        // Every revision is a change of its own.
        map.put(object)
        changes.append(Change(kind: .put, revision: revision, object: object, previous: nil))
        continue
      }
      changes.append(
        Change(kind: isRemoved ? .delete : .put, revision: revision, object: previous ?? object, previous: previous))
    }
    let newest = StateVersion(revision: 600, map: map)
    for state in [newest, newest.undoing(changes[300...]), newest.undoing(changes[1...])] {
      let all = state.objects(resource: "pods", namespace: "", after: nil, limit: 0).objects
      for node in 0..<5 {
        let name = "node-with-a-long-name-\(node)"
        for namespace in ["", "space-1", "space-7"] {
          for after in [nil, all.first?.key, all.randomElement(using: &random)?.key] {
            let expected = all.filter { object in
              object.nodeName == name && (namespace.isEmpty || object.key.namespace == namespace)
                && after.map { $0 < object.key } ?? true
            }
            let found = state.pods(onNode: name, namespace: namespace, after: after)
            #expect(found.map(\.key) == expected.map(\.key))
            #expect(found.map(\.revision) == expected.map(\.revision))
          }
        }
      }
    }
  }
}
