// Nodes that die, controllers that hand over, and a cluster where nothing happens.
import Client
import HTTP
import JSON
import Kubelet
import Schema
import TestSupport
import Testing
import World

@Suite struct ClusterStories {
  @Test func aClusterWhereNothingHappensWritesHeartbeatsAlone() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 3))
      try await plane.admin.create(.services, namespace: "default", Fixture.service("web", selector: ["app": "web"]))
      try await plane.rolledOut("web")
      try await plane.world.sleep(for: .seconds(20))
      func versions() async throws -> [String: String] {
        var versions: [String: String] = [:]
        for resource: ResourceReference in [
          .pods, .replicaSets, .deployments, .services, .endpoints, .endpointSlices, .namespaces, .nodes, .events,
          .serviceAccounts, .configMaps,
        ] {
          for item in try await plane.admin.list(resource).items {
            let metadata = ObjectMeta(json: item["metadata"])
            versions["\(resource) \(metadata.key)"] = metadata.resourceVersion
          }
        }
        return versions
      }
      let before = try await versions()
      try await plane.world.sleep(for: .seconds(120))
      let after = try await versions()
      let changed = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }
      #expect(changed.isEmpty, "\(changed.sorted())")
    }
  }

  @Test func podsOfADeadNodeAreReplaced() throws {
    try ControlPlane(nodes: 4).tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 4))
      try await plane.admin.create(.services, namespace: "default", Fixture.service("web", selector: ["app": "web"]))
      try await plane.rolledOut("web")
      let dead = "node-1"
      plane.nodes[1].cancel()
      let died = plane.world.now
      try await plane.world.eventually("the node is unknown", within: .seconds(70)) {
        let node = Node(json: try await plane.admin.get(.nodes, name: dead))
        return node.condition("Ready")?.status == "Unknown"
          && node.condition("Ready")?.reason == "NodeStatusUnknown"
          && Set(node.taints.map { "\($0.key):\($0.effect)" }) == [
            "node.kubernetes.io/unreachable:NoSchedule", "node.kubernetes.io/unreachable:NoExecute",
          ]
      }
      #expect(plane.world.now - died >= .seconds(40))
      try await plane.world.eventually("its pod serves nobody") {
        let endpoints = try await plane.admin.get(.endpoints, namespace: "default", name: "web")
        return endpoints["subsets"][0]["addresses"].elements.count == 3
      }
      // Five minutes of tolerance, and then it goes; its replacement stands elsewhere.
      try await plane.world.eventually("replaced", within: .seconds(400)) {
        let pods = try await plane.pods("app=web").filter { $0.isActive && $0.isReady }
        return pods.count == 4 && !pods.contains { $0.spec.nodeName == dead }
      }
      #expect(plane.world.now - died >= .seconds(300))
      // The node's object is removed: its pod, whom nobody will ever end, is collected.
      try await plane.admin.delete(.nodes, name: dead)
      try await plane.world.eventually("collected", within: .seconds(120)) {
        try await plane.pods("app=web").count == 4
      }
    }
  }

  @Test func aNodeThatComesBackIsTakenBack() throws {
    let plane = try ControlPlane(nodes: 2)
    try plane.tell { plane in
      try await plane.world.eventually("ready") {
        try await plane.admin.list(.nodes).items.map(Node.init(json:)).filter { $0.isReady && $0.taints.isEmpty }.count
          == 2
      }
      plane.nodes[0].cancel()
      try await plane.world.eventually("unknown", within: .seconds(70)) {
        Node(json: try await plane.admin.get(.nodes, name: "node-0")).condition("Ready")?.status == "Unknown"
      }
      let back = ControlPlane.startNode(plane.cluster, "node-0", index: 0)
      try await plane.world.eventually("ready again", within: .seconds(15)) {
        let node = Node(json: try await plane.admin.get(.nodes, name: "node-0"))
        return node.isReady && node.taints.isEmpty
      }
      back.cancel()
    }
  }

  @Test func controllersHandOverInTheMiddleOfARollout() throws {
    let plane = try ControlPlane(controllers: false)
    try plane.tell { plane in
      var leading = try await plane.takeOver(1)
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 6))
      try await plane.rolledOut("web")
      for term in 2..<6 {
        try await plane.setImage("web", "web:\(term)")
        try await plane.world.sleep(for: .milliseconds(150))
        // The old term's loops go on for a moment: nothing they do may count.
        let deposed = leading
        leading = try await plane.takeOver(Int64(term))
        try await plane.world.sleep(for: .milliseconds(500))
        deposed.cancel()
        await deposed.wait()
      }
      try await plane.rolledOut("web")
      #expect(try await plane.pods("app=web").filter(\.isActive).count == 6)
      #expect(try await plane.replicaSets("web").count == 5)
      leading.cancel()
      await leading.wait()
      // Nobody leads: nothing happens any more.
      try await plane.admin.delete(.pods, namespace: "default", name: try await plane.pods("app=web")[0].name)
      try await plane.world.sleep(for: .seconds(120))
      #expect(try await plane.pods("app=web").count == 5)
    }
  }
}
