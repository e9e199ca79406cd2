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

  private func told(_ cluster: TestCluster, _ name: String) async throws -> [JSONValue] {
    try await cluster.client().list(.events, namespace: "default").items
      .filter { $0["involvedObject"]["name"].string == name }
  }

  @Test func similarEventsAreCombined() throws {
    let cluster = try TestCluster()
    let recorder = EventRecorder(client: cluster.client(), component: "c", logger: cluster.logger)
    let subject = EventRecorder.Subject(reference: .replicaSets, namespace: "default", name: "web", uid: "u1")
    try cluster.world.run {
      for index in 1...20 {
        recorder.record(subject, .normal, reason: "SuccessfulCreate", message: "Created pod: web-\(index)")
      }
      try await cluster.world.sleep(for: .seconds(1))
      let events = try await told(cluster, "web")
      #expect(events.count == 10)
      let combined = try #require(events.first { $0["message"].string?.hasPrefix("(combined") == true })
      #expect(combined["message"] == "(combined from similar events): Created pod: web-20" && combined["count"] == 11)
      // After ten minutes of silence each is told for itself again.
      try await cluster.world.sleep(for: .seconds(1201))
      recorder.record(subject, .normal, reason: "SuccessfulCreate", message: "Created pod: web-21")
      try await cluster.world.sleep(for: .seconds(1))
      #expect(try await told(cluster, "web").contains { $0["message"] == "Created pod: web-21" })
    }
  }

  @Test func whoSaysTooMuchOfOneObjectIsNotHeard() throws {
    let cluster = try TestCluster()
    let recorder = EventRecorder(client: cluster.client(), component: "c", logger: cluster.logger)
    let noisy = EventRecorder.Subject(reference: .pods, namespace: "default", name: "noisy", uid: "u1")
    let quiet = EventRecorder.Subject(reference: .pods, namespace: "default", name: "quiet", uid: "u2")
    try cluster.world.run {
      for index in 0..<500 { recorder.record(noisy, .warning, reason: "Reason\(index)", message: "again") }
      recorder.record(quiet, .normal, reason: "Started", message: "once")
      try await cluster.world.sleep(for: .seconds(1))
      #expect(try await told(cluster, "noisy").count == 25)
      #expect(try await told(cluster, "quiet").count == 1)
      // One more for every five minutes.
      try await cluster.world.sleep(for: .seconds(601))
      for index in 0..<10 { recorder.record(noisy, .warning, reason: "Later\(index)", message: "again") }
      try await cluster.world.sleep(for: .seconds(1))
      #expect(try await told(cluster, "noisy").count == 27)
    }
  }

  @Test func repeatsOfNewerEventsAreASeries() throws {
    let cluster = try TestCluster()
    let recorder = EventSeriesRecorder(
      client: cluster.client("system:kube-scheduler"), controller: "default-scheduler", host: "server-1",
      logger: cluster.logger)
    let pod = EventRecorder.Subject(reference: .pods, namespace: "default", name: "web", uid: "u1")
    let other = EventRecorder.Subject(reference: .pods, namespace: "default", name: "db", uid: "u2")
    @Sendable func tell(_ note: String) {
      recorder.record(pod, related: other, .warning, reason: "FailedScheduling", action: "Scheduling", note: note)
    }
    @Sendable func seriesCount() async throws -> [Int64?] {
      try await told(cluster, "web").map { $0["series"]["count"].integer }
    }
    try cluster.world.run {
      tell("no room")
      try await cluster.world.eventually("told") { try await seriesCount() == [nil] }
      let event = try #require(try await told(cluster, "web").first)
      #expect(event["message"] == "no room" && event["action"] == "Scheduling" && event["type"] == "Warning")
      #expect(event["reportingComponent"] == "default-scheduler")
      #expect(event["reportingInstance"] == "default-scheduler-server-1")
      #expect(event["source"] == [:] && event["firstTimestamp"].isNull && !event["eventTime"].isNull)
      #expect(event["related"]["name"] == "db" && event["involvedObject"]["uid"] == "u1")
      // The second begins a series, which is written again when it has ended.
      for _ in 0..<4 { tell("still none") }
      try await cluster.world.eventually("a series") { try await seriesCount() == [2] }
      try await cluster.world.sleep(for: .seconds(300))
      #expect(try await seriesCount() == [2])
      try await cluster.world.eventually("its end", within: .seconds(120)) { try await seriesCount() == [5] }
      tell("later")
      try await cluster.world.eventually("another event") {
        try await Set(told(cluster, "web").compactMap { $0["message"].string }) == ["no room", "later"]
      }
    }
  }
}
