// StatefulSets from beginning to end: order, claims, updates, history.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

extension ControlPlane {
  /// A StatefulSet with a claim for every pod.
  static func statefulSet(_ name: String, replicas: Int64, image: String = "web:1", _ spec: JSONValue = [:])
    -> JSONValue
  {
    var all: JSONValue = [
      "replicas": .integer(replicas), "serviceName": .string(name),
      "selector": ["matchLabels": ["app": .string(name)]],
      "template": [
        "metadata": ["labels": ["app": .string(name)]],
        "spec": [
          "terminationGracePeriodSeconds": 1, "containers": [["name": "main", "image": .string(image)]],
        ],
      ],
      "volumeClaimTemplates": [
        [
          "metadata": ["name": "data"],
          "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
        ]
      ],
    ]
    for (key, value) in spec.object ?? [:] { all[key] = value }
    return [
      "apiVersion": "apps/v1", "kind": "StatefulSet",
      "metadata": ["name": .string(name), "namespace": "default", "labels": ["app": .string(name)]], "spec": all,
    ]
  }

  func statefulSet(_ name: String) async throws -> JSONValue {
    try await admin.get(.statefulSets, namespace: "default", name: name)
  }

  /// What `kubectl rollout status` waits for.
  func isRolledOut(statefulSet name: String) async throws -> Bool {
    let object = try await statefulSet(name)
    let status = object["status"]
    return status["observedGeneration"] == object["metadata"]["generation"]
      && (status["readyReplicas"].integer ?? 0) == object["spec"]["replicas"].integer
      && status["replicas"].integer == object["spec"]["replicas"].integer
      && status["updateRevision"] == status["currentRevision"]
  }

  func rolledOut(statefulSet name: String, within limit: Duration = .seconds(180)) async throws {
    try await world.eventually("stateful set \(name) rolled out", within: limit) {
      try await isRolledOut(statefulSet: name)
    }
  }

  func claims() async throws -> [String] {
    try await admin.list(.persistentVolumeClaims, namespace: "default").items
      .compactMap { $0["metadata"]["name"].string }.sorted()
  }

  func revisions(_ name: String) async throws -> [ControllerRevision] {
    try await admin.list(.controllerRevisions, namespace: "default", ListOptions(labelSelector: "app=\(name)")).items
      .map(ControllerRevision.init(json:)).sorted { $0.revision < $1.revision }
  }

  func images(_ selector: String) async throws -> [String: String] {
    let pods = try await admin.list(.pods, namespace: "default", ListOptions(labelSelector: selector)).items
    return pods.reduce(into: [:]) { images, pod in
      images[pod["metadata"]["name"].string ?? ""] = pod["spec"]["containers"][0]["image"].string
    }
  }
}

@Suite struct StatefulSetStories {
  @Test func podsComeInOrderWithTheirClaims() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.statefulSets, namespace: "default", ControlPlane.statefulSet("web", replicas: 3))
      try await plane.world.eventually("in order", within: .seconds(120)) {
        let pods = try await plane.pods("app=web").sorted { $0.name < $1.name }
        #expect(pods.map(\.name) == ["web-0", "web-1", "web-2"].prefix(pods.count).map { $0 })
        #expect(pods.dropLast().allSatisfy { $0.isReady }, "each waits for those before it")
        return pods.count == 3
      }
      try await plane.rolledOut(statefulSet: "web")
      #expect(try await plane.claims() == ["data-web-0", "data-web-1", "data-web-2"])
      let pod = try await plane.admin.get(.pods, namespace: "default", name: "web-1")
      #expect(pod["spec"]["hostname"] == "web-1" && pod["spec"]["subdomain"] == "web")
      #expect(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1")
      let status = try await plane.statefulSet("web")["status"]
      #expect(pod["metadata"]["labels"]["controller-revision-hash"] == status["updateRevision"])
      #expect(status["currentReplicas"] == 3 && status["updatedReplicas"] == 3 && status["availableReplicas"] == 3)
      #expect(status["collisionCount"] == 0)
      try await plane.world.eventually("events") {
        let events = try await plane.events(of: "web")
        return events.contains("SuccessfulCreate: create Pod web-0 in StatefulSet web successful")
          && events.contains("SuccessfulCreate: create Claim data-web-0 Pod web-0 in StatefulSet web success")
      }
    }
  }

  @Test func aPodThatGoesComesBackAsItself() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.statefulSets, namespace: "default", ControlPlane.statefulSet("web", replicas: 2))
      try await plane.rolledOut(statefulSet: "web")
      let first = try await plane.admin.get(.pods, namespace: "default", name: "web-0")["metadata"]["uid"]
      try await plane.admin.delete(.pods, namespace: "default", name: "web-0")
      try await plane.world.eventually("another web-0", within: .seconds(60)) {
        let pod = try await plane.admin.find(.pods, namespace: "default", name: "web-0")
        return pod != nil && pod?["metadata"]["uid"] != first
      }
      try await plane.rolledOut(statefulSet: "web")
      // One that has failed is replaced as well.
      try await plane.admin.patch(
        .pods, namespace: "default", name: "web-1", ["status": ["phase": "Failed"]], type: .merge,
        subresource: "status")
      try await plane.world.eventually("web-1 runs again", within: .seconds(60)) {
        try await plane.pods("app=web").contains { $0.name == "web-1" && $0.isReady }
      }
      #expect(try await plane.claims() == ["data-web-0", "data-web-1"])
    }
  }

  @Test func scalingDownKeepsTheClaimsAndGoesFromTheTop() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.statefulSets, namespace: "default", ControlPlane.statefulSet("web", replicas: 3))
      try await plane.rolledOut(statefulSet: "web")
      try await plane.admin.patch(
        .statefulSets, namespace: "default", name: "web", ["spec": ["replicas": 1]], type: .merge,
        subresource: "scale")
      try await plane.world.eventually("one is left", within: .seconds(60)) {
        let names = try await plane.pods("app=web").map(\.name).sorted()
        #expect(names == ["web-0", "web-1", "web-2"].prefix(names.count).map { $0 })
        return names.count == 1
      }
      try await plane.rolledOut(statefulSet: "web")
      #expect(try await plane.claims().count == 3)
      #expect(
        try await plane.events(of: "web").contains("SuccessfulDelete: delete Pod web-2 in StatefulSet web successful"))
    }
  }

  @Test func claimsGoWithTheirPodOrTheirSetWhereThePolicySaysSo() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(
        .statefulSets, namespace: "default",
        ControlPlane.statefulSet(
          "web", replicas: 3,
          ["persistentVolumeClaimRetentionPolicy": ["whenDeleted": "Delete", "whenScaled": "Delete"]]))
      try await plane.rolledOut(statefulSet: "web")
      try await plane.world.eventually("the set owns the claims", within: .seconds(30)) {
        try await plane.admin.list(.persistentVolumeClaims, namespace: "default").items
          .allSatisfy { $0["metadata"]["ownerReferences"][0]["kind"] == "StatefulSet" }
      }
      try await plane.admin.patch(
        .statefulSets, namespace: "default", name: "web", ["spec": ["replicas": 1]], type: .merge)
      try await plane.world.eventually("two claims went with their pods", within: .seconds(120)) {
        try await plane.claims() == ["data-web-0"]
      }
      // Back again, with new claims: the old ones are waited for.
      try await plane.admin.patch(
        .statefulSets, namespace: "default", name: "web", ["spec": ["replicas": 2]], type: .merge)
      try await plane.rolledOut(statefulSet: "web")
      #expect(try await plane.claims() == ["data-web-0", "data-web-1"])
      try await plane.admin.delete(
        .statefulSets, namespace: "default", name: "web", DeleteOptions(propagation: .background))
      try await plane.world.eventually("everything is gone", within: .seconds(120)) {
        let pods = try await plane.pods("app=web")
        let claims = try await plane.claims()
        let revisions = try await plane.revisions("web")
        return pods.isEmpty && claims.isEmpty && revisions.isEmpty
      }
    }
  }

  @Test func anUpdateRollsDownToItsPartitionAndIsUndone() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.statefulSets, namespace: "default", ControlPlane.statefulSet("web", replicas: 3))
      try await plane.rolledOut(statefulSet: "web")
      let first = try await plane.statefulSet("web")["status"]["currentRevision"]
      try await plane.admin.patch(
        .statefulSets, namespace: "default", name: "web",
        [
          "spec": [
            "updateStrategy": ["rollingUpdate": ["partition": 2]],
            "template": ["spec": ["containers": [["name": "main", "image": "web:2"]]]],
          ]
        ], type: .strategic)
      try await plane.world.eventually("the canary runs", within: .seconds(60)) {
        let images = try await plane.images("app=web")
        let status = try await plane.statefulSet("web")["status"]
        return images == ["web-0": "web:1", "web-1": "web:1", "web-2": "web:2"] && status["updatedReplicas"] == 1
          && status["readyReplicas"] == 3
      }
      #expect(try await plane.statefulSet("web")["status"]["currentRevision"] == first)
      // A pod below the partition comes back as it was.
      try await plane.admin.delete(.pods, namespace: "default", name: "web-0")
      try await plane.world.eventually("web-0 is as before", within: .seconds(60)) {
        let status = try await plane.statefulSet("web")["status"]
        return try await plane.images("app=web")["web-0"] == "web:1" && status["readyReplicas"] == 3
      }
      try await plane.admin.patch(
        .statefulSets, namespace: "default", name: "web",
        ["spec": ["updateStrategy": ["rollingUpdate": ["partition": 0]]]], type: .merge)
      try await plane.rolledOut(statefulSet: "web")
      #expect(Set(try await plane.images("app=web").values) == ["web:2"])
      let history = try await plane.revisions("web")
      #expect(history.map(\.revision) == [1, 2])
      // kubectl rollout undo: the revision's patch.
      try await plane.admin.patch(
        .statefulSets, namespace: "default", name: "web", history[0].data, type: .strategic)
      try await plane.rolledOut(statefulSet: "web")
      #expect(Set(try await plane.images("app=web").values) == ["web:1"])
      let after = try await plane.revisions("web")
      #expect(after.map(\.revision) == [2, 3] && after[1].name == history[0].name, "it became the newest")
    }
  }

  @Test func historyIsKeptToItsLimit() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(
        .statefulSets, namespace: "default",
        ControlPlane.statefulSet(
          "web", replicas: 1, ["revisionHistoryLimit": 2, "podManagementPolicy": "Parallel"]))
      for version in 1...5 {
        try await plane.admin.patch(
          .statefulSets, namespace: "default", name: "web",
          [
            "spec": ["template": ["spec": ["containers": [["name": "main", "image": .string("web:\(version)")]]]]]
          ], type: .strategic)
        try await plane.rolledOut(statefulSet: "web")
      }
      try await plane.world.eventually("three revisions are left", within: .seconds(30)) {
        try await plane.revisions("web").map(\.revision) == [3, 4, 5]
      }
    }
  }

  @Test func orphansAreTakenBack() throws {
    try ControlPlane().tell { plane in
      let set = ControlPlane.statefulSet("web", replicas: 2)
      try await plane.admin.create(.statefulSets, namespace: "default", set)
      try await plane.rolledOut(statefulSet: "web")
      let uids = Set(try await plane.pods("app=web").map(\.metadata.uid))
      try await plane.admin.delete(
        .statefulSets, namespace: "default", name: "web", DeleteOptions(propagation: .orphan))
      try await plane.world.eventually("nobody owns them", within: .seconds(30)) {
        let gone = try await plane.admin.find(.statefulSets, namespace: "default", name: "web") == nil
        let owners = try await plane.pods("app=web").flatMap(\.metadata.ownerReferences)
        return gone && owners.isEmpty
      }
      try await plane.admin.create(.statefulSets, namespace: "default", set)
      try await plane.rolledOut(statefulSet: "web")
      #expect(Set(try await plane.pods("app=web").map(\.metadata.uid)) == uids)
      let owner = try await plane.statefulSet("web")["metadata"]["uid"].string
      #expect(try await plane.revisions("web").map { $0.metadata.controller?.uid } == [owner])
    }
  }

  @Test func aRefusedPodIsToldOfAndTriedAgain() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(
        ResourceReference("", "v1", "resourcequotas", "ResourceQuota"), namespace: "default",
        ["metadata": ["name": "none"], "spec": ["hard": ["pods": "0"]], "status": ["hard": ["pods": "0"]]])
      try await plane.admin.patch(
        ResourceReference("", "v1", "resourcequotas", "ResourceQuota"), namespace: "default", name: "none",
        ["status": ["hard": ["pods": "0"], "used": ["pods": "0"]]], type: .merge, subresource: "status")
      try await plane.admin.create(.statefulSets, namespace: "default", ControlPlane.statefulSet("web", replicas: 1))
      try await plane.world.eventually("told", within: .seconds(30)) {
        try await plane.events(of: "web").contains {
          $0.hasPrefix("FailedCreate: create Pod web-0 in StatefulSet web failed error: pods \"web-0\" is forbidden")
        }
      }
      try await plane.admin.delete(
        ResourceReference("", "v1", "resourcequotas", "ResourceQuota"), namespace: "default", name: "none")
      try await plane.rolledOut(statefulSet: "web", within: .seconds(300))
    }
  }
}
