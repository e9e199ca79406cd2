// How fast nodes lose their pods, and which pods nobody else takes away.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct NodeHealthTests {
  private func survey(_ zones: [(ready: Int, unhealthy: Int)]) -> ZoneSurvey {
    var nodes: [(Node, NodeHealth)] = []
    for (index, zone) in zones.enumerated() {
      for number in 0..<zone.ready + zone.unhealthy {
        let node = Fixture.node("n\(index)-\(number)", labels: ["topology.kubernetes.io/zone": "z\(index)"])
        nodes.append((Node(json: node), number < zone.ready ? .ready : .unreachable))
      }
    }
    return ZoneSurvey(nodes.map { (node: $0.0, health: $0.1) })
  }

  @Test func aZoneThatFailsLosesItsPodsSlowlyOrNotAtAll() {
    #expect(survey([(9, 1)]).pace("/z0") == .seconds(10))
    #expect(survey([(1, 2)]).pace("/z0") == .seconds(10), "two may be dead")
    #expect(survey([(2, 3)]).pace("/z0") == nil, "most of a small zone")
    #expect(survey([(20, 40)]).pace("/z0") == .seconds(100), "most of a large one")
    // One zone is down, another is up.
    let half = survey([(0, 5), (5, 0)])
    #expect(half.pace("/z0") == .seconds(10) && half.pace("/z1") == .seconds(10) && !half.isEverythingDown)
    let all = survey([(0, 5), (0, 1)])
    #expect(all.isEverythingDown && all.pace("/z0") == nil)
  }

  @Test func whoFindsEverythingDownEvictsNobody() throws {
    let plane = try ControlPlane(nodes: 2)
    try plane.tell { plane in
      try await plane.world.eventually("ready") {
        try await plane.admin.list(.nodes).items.map(Node.init(json:)).filter(\.isReady).count == 2
      }
      @Sendable func taints() async throws -> [[String]] {
        try await plane.admin.list(.nodes).items.map(Node.init(json:)).map { $0.taints.map(\.effect).sorted() }
      }
      plane.nodes[0].cancel()
      try await plane.world.eventually("one is to lose its pods", within: .seconds(90)) {
        try await taints().contains(["NoExecute", "NoSchedule"])
      }
      plane.nodes[1].cancel()
      try await plane.world.eventually("both are silent: none is", within: .seconds(90)) {
        try await taints() == [["NoSchedule"], ["NoSchedule"]]
      }
      try await plane.world.sleep(for: .seconds(120))
      #expect(try await taints() == [["NoSchedule"], ["NoSchedule"]])
      // One comes back: the other is dead after all.
      let back = ControlPlane.startNode(plane.cluster, "node-1", index: 1)
      try await plane.world.eventually("one is to lose its pods again", within: .seconds(90)) {
        try await taints() == [["NoExecute", "NoSchedule"], []]
      }
      back.cancel()
    }
  }

  @Test func garbageIsWhatNobodyElseTakesAway() {
    func pod(_ name: String, on node: String, phase: String = "Running", deleted: Bool = false, reason: String = "")
      -> Pod
    {
      var json = Fixture.pod(name, node: node)
      json["status"] = ["phase": .string(phase), "reason": .string(reason)]
      json["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
      if deleted { json["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z" }
      return Pod(json: json)
    }
    var off = Fixture.node("off")
    off["spec"]["taints"] = [["key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"]]
    off["status"]["conditions"] = [["type": "Ready", "status": "Unknown"]]
    var on = Fixture.node("on")
    on["spec"]["taints"] = off["spec"]["taints"]
    let garbage = PodGarbage(
      [
        pod("a", on: "on", deleted: true), pod("b", on: "off", deleted: true), pod("c", on: "off"),
        pod("d", on: "", deleted: true), pod("e", on: ""), pod("f", on: "gone"),
        pod("g", on: "on", phase: "Succeeded"), pod("h", on: "on", phase: "Failed", reason: "Evicted"),
        pod("i", on: "on", phase: "Failed"),
      ], [Node(json: off), Node(json: on)], maximumTerminated: 1)
    #expect(garbage.onOutOfServiceNodes.map(\.name) == ["b"])
    #expect(garbage.unscheduled.map(\.name) == ["d"])
    #expect(garbage.onUnknownNodes.map(\.name) == ["f"] && garbage.unknownNodes == ["gone"])
    #expect(garbage.surplus.map(\.name) == ["h", "g"])
  }
}
