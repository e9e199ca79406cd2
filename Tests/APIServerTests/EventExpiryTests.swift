import APIServer
import EventLoop
import JSON
import Replica
import Testing
import World

@Suite struct EventExpiryTests {
  @Test func eventsThatNobodyTouchedForAnHourGo() async throws {
    let server = TestServer()
    let path = "/api/v1/namespaces/default/events"
    let now = testLoop.wallClock
    for (name, age) in [("old", 7200), ("young", 60), ("series", 60)] {
      let made = try await server.post(
        path,
        [
          "apiVersion": "v1", "kind": "Event", "metadata": ["name": .string(name), "namespace": "default"],
          "involvedObject": ["kind": "Pod", "name": "p", "namespace": "default"], "reason": "R", "message": "m",
          "type": "Normal", "lastTimestamp": .string((now + .seconds(-age)).rfc3339),
        ])
      #expect(made.status == 201, "\(made.message)")
    }
    // The server sets the creation time; an old one is what time does to it.
    let key = ObjectKey(resource: "events", namespace: "default", name: "old")
    let stored = try #require(server.store.current.object(key))
    var tree = stored.tree
    tree["metadata"]["creationTimestamp"] = .string((now + .seconds(-7200)).rfc3339)
    _ = try server.store.commitNow(Command(mutations: [.put(key, UnversionedObject(tree: tree))]))

    #expect(try await server.server.expireEvents() == 1)
    #expect(try await server.get(path).names == ["series", "young"])
    #expect(try await server.server.expireEvents() == 0)
  }
}
