import Testing

@testable import Replica

@Suite struct ObjectMapTests {
  private func object(_ key: ObjectKey, _ revision: Revision = 1) -> StoredObject {
    StoredObject(key: key, revision: revision, uid: "", bytes: [], revisionOffset: 0, labels: [:])
  }

  @Test func agreesWithADictionaryUnderRandomUpdates() {
    var random = SystemRandomNumberGenerator()
    var map = ObjectMap()
    var model: [ObjectKey: Revision] = [:]
    for step in 1...30_000 {
      let phase = step / 6000  // Grows, shrinks, grows: splits and joins both happen.
      let key = ObjectKey(
        resource: "r\(Int.random(in: 0..<3, using: &random))", namespace: "n\(Int.random(in: 0..<5, using: &random))",
        name: "a-name-of-some-length-\(Int.random(in: 0..<900, using: &random))")
      if Int.random(in: 0..<10, using: &random) < (phase % 2 == 0 ? 8 : 2) {
        let previous = map.put(object(key, UInt64(step)))
        #expect(previous?.revision == model[key])
        model[key] = UInt64(step)
      } else {
        let removed = map.remove(key)
        #expect(removed?.revision == model[key])
        model[key] = nil
      }
      if step % 1000 == 0 {
        let sorted = model.sorted { $0.key < $1.key }
        #expect(map.count == sorted.count)
        #expect(map.objects(at: 0..<map.count).map(\.key) == sorted.map(\.key))
        #expect(map.objects(at: 0..<map.count).map(\.revision) == sorted.map(\.value))
        for (position, entry) in sorted.enumerated() where position % 37 == 0 {
          #expect(map.position(of: entry.key) == position)
          #expect(map[entry.key]?.revision == entry.value)
          let next = position + 1 < sorted.count ? sorted[position + 1] : nil
          let behind = ObjectKey(
            resource: entry.key.resource, namespace: entry.key.namespace, name: entry.key.name + "\0")
          #expect(map.first(from: entry.key)?.revision == entry.value)
          #expect(map.first(from: behind)?.revision == next?.value)
        }
      }
    }
  }

  @Test func aVersionStaysAsItWasWhileTheMapMovesOn() {
    var map = ObjectMap()
    for index in 0..<5000 { map.put(object(pod("p\(index)"), 1)) }
    let before = map
    for index in 0..<5000 where index % 2 == 0 { map.remove(pod("p\(index)")) }
    for index in 0..<5000 where index % 2 == 1 { map.put(object(pod("p\(index)"), 2)) }
    #expect(before.count == 5000)
    #expect(before.objects(at: 0..<5000).allSatisfy { $0.revision == 1 })
    #expect(map.count == 2500)
    #expect(map.objects(at: 0..<2500).allSatisfy { $0.revision == 2 })
  }

  @Test func listsAResourceInOrderAndInPages() {
    var map = ObjectMap()
    for namespace in ["a", "a-b", "b"] {
      for index in 0..<100 {
        map.put(object(ObjectKey(resource: "pods", namespace: namespace, name: "p\(index)")))
        map.put(object(ObjectKey(resource: "podsx", namespace: namespace, name: "p\(index)")))
      }
    }
    let view = StateVersion(revision: 7, map: map)
    #expect(view.count(resource: "pods", namespace: "") == 300)
    #expect(view.count(resource: "pods", namespace: "a") == 100)
    #expect(view.count(resource: "pod", namespace: "") == 0)
    var seen: [ObjectKey] = []
    var after: ObjectKey?
    while true {
      let page = view.objects(resource: "pods", namespace: "", after: after, limit: 7)
      seen += page.objects.map(\.key)
      after = page.objects.last?.key
      if page.isComplete { break }
    }
    #expect(seen == view.objects(resource: "pods", namespace: "", after: nil, limit: 0).objects.map(\.key))
    #expect(seen == seen.sorted())
    #expect(view.objects(resource: "pods", namespace: "a", after: nil, limit: 0).objects.count == 100)
    // Whatever stands between, a list begins behind `after` and no earlier than its resource and namespace do.
    let before = ObjectKey(resource: "pod", namespace: "", name: "")
    #expect(view.objects(resource: "podsx", namespace: "", after: before, limit: 0).objects.count == 300)
    let elsewhere = ObjectKey(resource: "pods", namespace: "a", name: "p5")
    #expect(view.objects(resource: "pods", namespace: "b", after: elsewhere, limit: 0).objects.count == 100)
    #expect(view.objects(resource: "pods", namespace: "a-a", after: nil, limit: 0).objects.isEmpty)
    let other = ObjectKey(resource: "zzz", namespace: "", name: "")
    #expect(view.objects(resource: "pods", namespace: "a", after: other, limit: 0).objects.isEmpty)
  }
}
