// DaemonSets from beginning to end: nodes come and go, updates roll, failed pods are replaced.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

extension ControlPlane {
  static func daemonSet(_ name: String, image: String = "agent:1", _ spec: JSONValue = [:]) -> JSONValue {
    var all: JSONValue = [
      "selector": ["matchLabels": ["app": .string(name)]],
      "template": [
        "metadata": ["labels": ["app": .string(name)]],
        "spec": [
          "terminationGracePeriodSeconds": 1, "containers": [["name": "main", "image": .string(image)]],
        ],
      ],
    ]
    for (key, value) in spec.object ?? [:] { all[key] = value }
    return [
      "apiVersion": "apps/v1", "kind": "DaemonSet",
      "metadata": ["name": .string(name), "namespace": "default", "labels": ["app": .string(name)]], "spec": all,
    ]
  }

  /// What `kubectl rollout status` waits for, and that there is a pod on each of so many nodes.
  func rolledOut(daemonSet name: String, nodes: Int64, within limit: Duration = .seconds(180)) async throws {
    try await world.eventually("daemon set \(name) rolled out", within: limit) {
      let object = try await admin.get(.daemonSets, namespace: "default", name: name)
      let status = object["status"]
      return status["observedGeneration"] == object["metadata"]["generation"]
        && status["desiredNumberScheduled"].integer == nodes && status["updatedNumberScheduled"].integer == nodes
        && status["numberAvailable"].integer == nodes && status["numberMisscheduled"].integer == 0
    }
  }

  func setDaemonImage(_ name: String, _ image: String) async throws {
    try await admin.patch(
      .daemonSets, namespace: "default", name: name,
      ["spec": ["template": ["spec": ["containers": [["name": "main", "image": .string(image)]]]]]], type: .strategic)
  }
}

@Suite struct DaemonSetStories {
  @Test func everyNodeGetsAPodAndSoDoesALaterOne() throws {
    try ControlPlane(nodes: 2).tell { plane in
      try await plane.admin.create(.daemonSets, namespace: "default", ControlPlane.daemonSet("agent"))
      try await plane.rolledOut(daemonSet: "agent", nodes: 2)
      let pods = try await plane.pods("app=agent")
      #expect(Set(pods.map(\.spec.nodeName)) == ["node-0", "node-1"])
      let revision = try await plane.revisions("agent")[0]
      #expect(pods.allSatisfy { revision.name == "agent-\($0.metadata.labels["controller-revision-hash"] ?? "")" })
      #expect(pods.allSatisfy { $0.metadata.labels["pod-template-generation"] == "1" })
      let late = ControlPlane.startNode(plane.cluster, "node-2", index: 2)
      try await plane.rolledOut(daemonSet: "agent", nodes: 3)
      #expect(
        try await plane.events(of: "agent").filter { $0.hasPrefix("SuccessfulCreate: Created pod: agent-") }.count == 3)
      late.cancel()
    }
  }

  @Test func aCordonedNodeKeepsItsDaemonAndATaintedOneLosesIt() throws {
    try ControlPlane(nodes: 2).tell { plane in
      try await plane.admin.create(.daemonSets, namespace: "default", ControlPlane.daemonSet("agent"))
      try await plane.rolledOut(daemonSet: "agent", nodes: 2)
      try await plane.admin.patch(.nodes, name: "node-0", ["spec": ["unschedulable": true]], type: .merge)
      try await plane.admin.delete(
        .pods, namespace: "default",
        name: try await plane.pods("app=agent").first { $0.spec.nodeName == "node-0" }!.name)
      try await plane.world.eventually("a daemon is back on the cordoned node", within: .seconds(60)) {
        try await plane.pods("app=agent").contains { $0.spec.nodeName == "node-0" && $0.isReady && $0.isActive }
      }
      try await plane.admin.patch(
        .nodes, name: "node-1", ["spec": ["taints": [["key": "own", "effect": "NoExecute"]]]], type: .merge)
      try await plane.world.eventually("the tainted node has none", within: .seconds(60)) {
        let pods = try await plane.pods("app=agent")
        let status = try await plane.admin.get(.daemonSets, namespace: "default", name: "agent")["status"]
        return pods.map(\.spec.nodeName) == ["node-0"] && status["desiredNumberScheduled"] == 1
          && status["numberMisscheduled"] == 0
      }
    }
  }

  @Test func anUpdateRollsAndIsUndone() throws {
    try ControlPlane(nodes: 3).tell { plane in
      try await plane.admin.create(.daemonSets, namespace: "default", ControlPlane.daemonSet("agent"))
      try await plane.rolledOut(daemonSet: "agent", nodes: 3)
      try await plane.setDaemonImage("agent", "agent:2")
      try await plane.world.eventually("updated, one after the other", within: .seconds(120)) {
        let pods = try await plane.pods("app=agent").filter { $0.isActive && $0.isReady }
        #expect(pods.count >= 2)
        let set = try await plane.admin.get(.daemonSets, namespace: "default", name: "agent")
        let status = set["status"]
        return status["observedGeneration"] == set["metadata"]["generation"] && status["updatedNumberScheduled"] == 3
          && status["numberAvailable"] == 3
      }
      #expect(Set(try await plane.images("app=agent").values) == ["agent:2"])
      let history = try await plane.revisions("agent")
      #expect(history.map(\.revision) == [1, 2])
      try await plane.admin.patch(
        .daemonSets, namespace: "default", name: "agent", history[0].data, type: .strategic)
      try await plane.rolledOut(daemonSet: "agent", nodes: 3)
      #expect(Set(try await plane.images("app=agent").values) == ["agent:1"])
      #expect(try await plane.revisions("agent").map(\.revision) == [2, 3])
    }
  }

  @Test func aSurgeNeverLeavesANodeWithout() throws {
    try ControlPlane(nodes: 3).tell { plane in
      try await plane.admin.create(
        .daemonSets, namespace: "default",
        ControlPlane.daemonSet(
          "agent",
          ["updateStrategy": ["type": "RollingUpdate", "rollingUpdate": ["maxUnavailable": 0, "maxSurge": 1]]]))
      try await plane.rolledOut(daemonSet: "agent", nodes: 3)
      try await plane.setDaemonImage("agent", "agent:2")
      try await plane.world.eventually("updated without a gap", within: .seconds(120)) {
        let pods = try await plane.pods("app=agent")
        let served = Set(pods.filter { $0.isActive && $0.isReady }.map(\.spec.nodeName))
        #expect(served.count == 3)
        #expect(pods.filter(\.isActive).count <= 4)
        let images = Set(try await plane.images("app=agent").values)
        return pods.count == 3 && images == ["agent:2"]
      }
      try await plane.rolledOut(daemonSet: "agent", nodes: 3)
    }
  }

  @Test func aFailedDaemonIsReplacedAndToldOf() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.admin.create(.daemonSets, namespace: "default", ControlPlane.daemonSet("agent"))
      try await plane.rolledOut(daemonSet: "agent", nodes: 1)
      let pod = try await plane.pods("app=agent")[0]
      try await plane.admin.patch(
        .pods, namespace: "default", name: pod.name, ["status": ["phase": "Failed"]], type: .merge,
        subresource: "status")
      try await plane.world.eventually("another runs", within: .seconds(60)) {
        let pods = try await plane.pods("app=agent")
        return pods.count == 1 && pods[0].name != pod.name && pods[0].isReady
      }
      #expect(
        try await plane.events(of: "agent").contains(
          "FailedDaemonPod: Found failed daemon pod default/\(pod.name) on node node-0, will try to kill it"))
    }
  }

  @Test func deletingASetDeletesItsPodsAndRevisions() throws {
    try ControlPlane(nodes: 2).tell { plane in
      try await plane.admin.create(.daemonSets, namespace: "default", ControlPlane.daemonSet("agent"))
      try await plane.rolledOut(daemonSet: "agent", nodes: 2)
      try await plane.admin.delete(
        .daemonSets, namespace: "default", name: "agent", DeleteOptions(propagation: .foreground))
      try await plane.world.eventually("everything is gone", within: .seconds(120)) {
        let pods = try await plane.pods("app=agent")
        let revisions = try await plane.revisions("agent")
        let set = try await plane.admin.find(.daemonSets, namespace: "default", name: "agent")
        return pods.isEmpty && revisions.isEmpty && set == nil
      }
    }
  }
}
