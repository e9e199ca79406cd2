// Informers of one process share what they are sent.
import HTTP
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Client

@Suite struct SharedReadingTests {
  private let start = MonotonicTime(nanoseconds: 0)

  private static func frame(_ name: String) -> [UInt8] {
    Array(#"{"type":"ADDED","object":{"metadata":{"name":"\#(name)","uid":"u","resourceVersion":"1"}}}"#.utf8)
  }

  @Test func informersOfOneProcessHaveOneObject() throws {
    let cluster = try TestCluster()
    let (admin, reading) = (cluster.client(), SharedReading())
    let client = APIClient(
      transport: cluster.transport("admin"), world: cluster.world, userAgent: "test", reading: reading)
    let all = Informer<Pod>(client: client, logger: cluster.logger)
    let running = Informer<Pod>(client: client, fieldSelector: "status.phase!=Failed", logger: cluster.logger)
    let apart = Informer<Pod>(client: admin, logger: cluster.logger)
    try cluster.world.run {
      for informer in [all, running, apart] {
        informer.start()
        await informer.waitForSync()
      }
      func settle() async throws { try await cluster.world.sleep(for: .milliseconds(100)) }
      try await admin.create(.serviceAccounts, namespace: "default", ["metadata": ["name": "default"]])
      for number in 0..<200 {
        try await admin.create(.pods, namespace: "default", Fixture.pod("pod-\(number)"))
      }
      try await settle()
      #expect(all.count == 200 && running.count == 200 && apart.count == 200)
      for pod in all.all {
        #expect(running.get(pod.key) === pod)
        #expect(apart.get(pod.key) !== pod && apart.get(pod.key)?.uid == pod.uid)
      }
      let change: JSONValue = ["metadata": ["labels": ["a": "b"]]]
      try await admin.patch(.pods, namespace: "default", name: "pod-1", change, type: .merge)
      try await settle()
      let changed = try #require(all.get(namespace: "default", name: "pod-1"))
      #expect(changed.metadata.labels == ["a": "b"])
      #expect(running.get(changed.key) === changed)
      let failure: JSONValue = ["status": ["phase": "Failed"]]
      try await admin.patch(.pods, namespace: "default", name: "pod-1", failure, type: .merge, subresource: "status")
      try await settle()
      #expect(all.get(changed.key)?.status.phase == "Failed")
      #expect(running.get(changed.key) == nil && running.count == 199)
      for informer in [all, running, apart] { informer.stop() }
    }
  }

  @Test func onlyTheSameArrayIsTheSameEvent() throws {
    let reading = SharedReading()
    let frame = Self.frame("a")
    let tape = try reading.tape(of: frame, now: start)
    #expect(try reading.tape(of: frame, now: start) === tape)
    var copy = frame
    copy[0] = frame[0]
    let other = try reading.tape(of: copy, now: start)
    #expect(other !== tape && other.root["object"]["metadata"]["name"].string == "a")
    let object = other.root["object"]
    let pod = reading.object(object) { Pod(json: $0) }
    #expect(reading.object(object) { Pod(json: $0) } === pod)
    #expect(reading.object(object) { MetadataObject(json: $0) }.name == "a", "another type of object")
  }

  @Test func whatStoodInAPlaceIsNotTakenForWhatStandsThere() throws {
    let reading = SharedReading()
    // Arrays come and go, often at the address of one that went.
    for number in 0..<20_000 {
      let frame = Self.frame("pod-\(number)")
      let object = try reading.tape(of: frame, now: start).root["object"]
      #expect(reading.object(object) { Pod(json: $0) }.metadata.name == "pod-\(number)")
    }
  }

  @Test func whatIsOldIsLetGo() throws {
    let reading = SharedReading()
    weak var first: JSONTape?
    weak var large: JSONTape?
    do {
      first = try reading.tape(of: Self.frame("first"), now: start)
      #expect(first != nil)
      _ = try reading.tape(of: Self.frame("second"), now: start + .milliseconds(900))
      #expect(first != nil)
      large = try reading.tape(of: Self.frame(String(repeating: "x", count: 3 << 20)), now: start + .milliseconds(1100))
      #expect(first == nil && large != nil, "more than a second old")
      _ = try reading.tape(of: Self.frame(String(repeating: "x", count: 3 << 20)), now: start + .milliseconds(1100))
      #expect(large == nil, "too much to be kept beside another")
    }
  }
}
