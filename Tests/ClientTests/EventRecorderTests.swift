import JSON
import Logging
import Schema
import TestSupport
import Testing
import World

@testable import Client

@Suite struct EventRecorderTests {
  @Test func repeatsAreFoldedIntoOneObject() throws {
    let cluster = try TestCluster()
    let admin = cluster.client()
    let recorder = EventRecorder(client: admin, component: "kubelet", host: "node-1", logger: cluster.logger)
    let subject = EventRecorder.Subject(reference: .pods, namespace: "default", name: "web", uid: "u1")
    try cluster.world.run {
      for _ in 0..<3 { recorder.record(subject, .warning, reason: "BackOff", message: "again") }
      recorder.record(subject, .normal, reason: "Pulled", message: "here")
      try await cluster.world.sleep(for: .seconds(1))
      let events = try await admin.list(.events, namespace: "default").items
      #expect(events.count == 2)
      let folded = try #require(events.first { $0["reason"].string == "BackOff" })
      #expect(folded["count"].integer == 3)
      #expect(folded["involvedObject"]["uid"].string == "u1")
      #expect(folded["source"]["component"].string == "kubelet" && folded["source"]["host"].string == "node-1")
      // Somebody deleted the event: the next repeat makes another.
      try await admin.delete(.events, namespace: "default", name: folded["metadata"]["name"].string ?? "")
      recorder.record(subject, .warning, reason: "BackOff", message: "again")
      try await cluster.world.sleep(for: .seconds(1))
      let again = try await admin.list(.events, namespace: "default").items.first { $0["reason"].string == "BackOff" }
      #expect(again?["count"].integer == 1)
    }
  }
}
