// Claims and volumes in use outlive their deletion until nobody uses them.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@Suite struct StorageProtectionStories {
  private static let claim: JSONValue = [
    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": ["name": "data"],
    "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
  ]
  private static let pod: JSONValue = [
    "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "user"],
    "spec": [
      "nodeName": "node-0", "terminationGracePeriodSeconds": 1, "containers": [["name": "main", "image": "i"]],
      "volumes": [["name": "data", "persistentVolumeClaim": ["claimName": "data"]]],
    ],
  ]

  @Test func aClaimThatAPodUsesStaysUntilThePodHasGone() throws {
    try ControlPlane(nodes: 1).tell { plane in
      let made = try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim)
      #expect(made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"])
      try await plane.world.eventually("the node and the account are there", within: .seconds(30)) {
        let account = try await plane.admin.find(.serviceAccounts, namespace: "default", name: "default")
        return try await plane.admin.find(.nodes, name: "node-0") != nil && account != nil
      }
      try await plane.admin.create(.pods, namespace: "default", Self.pod)
      try await plane.world.eventually("the pod runs", within: .seconds(30)) {
        try await plane.pods().contains { $0.status.phase == "Running" }
      }
      try await plane.admin.delete(.persistentVolumeClaims, namespace: "default", name: "data")
      try await plane.world.sleep(for: .seconds(60))
      let waiting = try await plane.admin.get(.persistentVolumeClaims, namespace: "default", name: "data")
      #expect(!waiting["metadata"]["deletionTimestamp"].isNull)
      try await plane.admin.delete(.pods, namespace: "default", name: "user")
      try await plane.world.eventually("the claim is gone", within: .seconds(60)) {
        try await plane.admin.find(.persistentVolumeClaims, namespace: "default", name: "data") == nil
      }
    }
  }

  @Test func aVolumeThatIsBoundStays() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      let made = try await plane.admin.create(
        .persistentVolumes,
        [
          "apiVersion": "v1", "kind": "PersistentVolume", "metadata": ["name": "disk"],
          "spec": [
            "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteOnce"], "hostPath": ["path": "/disk"],
          ],
        ])
      #expect(made["metadata"]["finalizers"] == ["kubernetes.io/pv-protection"])
      var claim = Self.claim
      claim["spec"]["storageClassName"] = ""
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", claim)
      try await plane.world.eventually("the volume is bound", within: .seconds(30)) {
        try await plane.admin.get(.persistentVolumes, name: "disk")["status"]["phase"] == "Bound"
      }
      try await plane.admin.delete(.persistentVolumes, name: "disk")
      try await plane.world.sleep(for: .seconds(60))
      #expect(try await plane.admin.find(.persistentVolumes, name: "disk") != nil)
      try await plane.admin.delete(.persistentVolumeClaims, namespace: "default", name: "data")
      try await plane.world.eventually("the volume is gone", within: .seconds(60)) {
        try await plane.admin.find(.persistentVolumes, name: "disk") == nil
      }
    }
  }

  @Test func whoTakesTheProtectionAwayGetsItBack() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim)
      try await plane.admin.patch(
        .persistentVolumeClaims, namespace: "default", name: "data", ["metadata": ["finalizers": .null]], type: .merge)
      try await plane.world.eventually("the claim is protected again", within: .seconds(30)) {
        let claim = try await plane.admin.get(.persistentVolumeClaims, namespace: "default", name: "data")
        return claim["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
      }
    }
  }
}
