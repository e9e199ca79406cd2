// What controllers tell of when something goes wrong, as kubectl describe shows it.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct TroubleStories {
  private static func ready(_ plane: ControlPlane) async throws {
    try await plane.world.eventually("the account is there", within: .seconds(30)) {
      try await plane.admin.find(.serviceAccounts, namespace: "default", name: "default") != nil
    }
  }

  @Test func aSetThatCannotBeMadeIsToldOf() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await plane.admin.create(
        .resourceQuotas, namespace: "default",
        [
          "apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "none"],
          "spec": ["hard": ["count/replicasets.apps": "0"]],
        ])
      try await plane.world.eventually("the quota is in force", within: .seconds(30)) {
        try await plane.admin.get(.resourceQuotas, namespace: "default", name: "none")["status"]["hard"].object != nil
      }
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 1))
      try await plane.world.eventually("a condition tells why", within: .seconds(30)) {
        try await plane.deployment("web")["status"]["conditions"].elements.contains {
          $0["type"] == "Progressing" && $0["status"] == "False" && $0["reason"] == "ReplicaSetCreateError"
            && $0["message"].string?.hasPrefix("Failed to create new replica set \"web-") == true
        }
      }
      try await plane.world.eventually("so does an event", within: .seconds(30)) {
        try await plane.events(of: "web").contains {
          $0.hasPrefix("ReplicaSetCreateError: Failed to create new replica set \"web-")
            && $0.contains("exceeded quota")
        }
      }
      // There is room after all: the rollout goes on.
      try await plane.admin.delete(.resourceQuotas, namespace: "default", name: "none")
      try await plane.world.eventually("made", within: .seconds(1200)) {
        try await plane.deployment("web")["status"]["conditions"].elements.contains {
          $0["type"] == "Progressing" && $0["status"] == "True"
        }
      }
    }
  }

  @Test func aStatefulPodThatFailedIsMadeAnewAndToldOf() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await Self.ready(plane)
      var set = Fixture.deployment("db", replicas: 1)
      set["kind"] = "StatefulSet"
      set["spec"]["serviceName"] = "db"
      set["spec"]["minReadySeconds"] = .null
      try await plane.admin.create(.statefulSets, namespace: "default", set)
      for (phase, event) in [
        ("Failed", "RecreatingFailedPod: StatefulSet default/db is recreating failed Pod db-0"),
        ("Succeeded", "RecreatingTerminatedPod: StatefulSet default/db is recreating terminated Pod db-0"),
      ] {
        try await plane.world.eventually("there is a pod", within: .seconds(60)) {
          try await plane.pods().contains { $0.status.phase == "Pending" }
        }
        let uid = try await plane.pods()[0].metadata.uid
        try await plane.admin.patch(
          .pods, namespace: "default", name: "db-0", ["status": ["phase": .string(phase)]], type: .merge,
          subresource: "status")
        try await plane.world.eventually("another", within: .seconds(60)) {
          try await plane.pods().contains { $0.metadata.uid != uid }
        }
        try await plane.world.eventually("told") { try await plane.events(of: "db").contains(event) }
      }
    }
  }

  @Test func anOwnerOfAnotherNamespaceOwnsNothing() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      let owner = try await plane.admin.create(
        .configMaps, namespace: "default",
        ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "owner"]])
      let uid = owner["metadata"]["uid"].string ?? ""
      try await plane.world.sleep(for: .seconds(60))
      try await plane.admin.create(
        .configMaps, namespace: "kube-public",
        [
          "apiVersion": "v1", "kind": "ConfigMap",
          "metadata": [
            "name": "child",
            "ownerReferences": [
              ["apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": .string(uid)]
            ],
          ],
        ])
      try await plane.world.eventually("the child is collected", within: .seconds(60)) {
        try await plane.admin.find(.configMaps, namespace: "kube-public", name: "child") == nil
      }
      let message =
        "ownerRef [v1/ConfigMap, namespace: kube-public, name: owner, uid: \(uid)] does not exist in namespace "
        + "\"kube-public\""
      try await plane.world.eventually("told") {
        try await plane.admin.list(.events, namespace: "kube-public").items.contains {
          $0["reason"] == "OwnerRefInvalidNamespace" && $0["message"].string == message
        }
      }
    }
  }

  @Test func theRootCertificateIsRestoredWithWhatOthersWroteOnIt() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      @Sendable func map() async throws -> JSONValue {
        try await plane.admin.find(.configMaps, namespace: "default", name: "kube-root-ca.crt") ?? .null
      }
      try await plane.world.eventually("there") { try await map()["data"]["ca.crt"] == "CA" }
      try await plane.admin.patch(
        .configMaps, namespace: "default", name: "kube-root-ca.crt",
        [
          "metadata": ["labels": ["of": "ours"], "annotations": ["kubernetes.io/description": .null, "note": "x"]],
          "data": ["ca.crt": "other"],
        ], type: .merge)
      try await plane.world.eventually("restored") {
        let map = try await map()
        return map["data"]["ca.crt"] == "CA" && map["metadata"]["labels"]["of"] == "ours"
          && map["metadata"]["annotations"]["note"] == "x"
          && map["metadata"]["annotations"]["kubernetes.io/description"].string?.hasPrefix("Contains a CA bundle")
            == true
      }
    }
  }

  @Test func aClaimOfAnotherIsNotTakenForAnEphemeralVolume() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await Self.ready(plane)
      let spec: JSONValue = ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]]
      try await plane.admin.create(
        .persistentVolumeClaims, namespace: "default",
        [
          "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": ["name": "user-scratch"], "spec": spec,
        ])
      var pod = Fixture.pod("user")
      pod["spec"]["volumes"] = [["name": "scratch", "ephemeral": ["volumeClaimTemplate": ["spec": spec]]]]
      try await plane.admin.create(.pods, namespace: "default", pod)
      try await plane.world.eventually("told") {
        try await plane.events(of: "user").contains(
          "FailedBinding: ephemeral volume scratch: PVC default/user-scratch was not created for pod default/user "
            + "(pod is not owner)")
      }
    }
  }

  /// A condition that became another is the last of them.
  @Test func theConditionsOfADeploymentComeInTheOrderOfTheirChanges() throws {
    try ControlPlane(nodes: 1).tell { plane in
      @Sendable func conditions() async throws -> [String] {
        try await plane.deployment("web")["status"]["conditions"].elements
          .map { "\($0["type"].string ?? "") \($0["reason"].string ?? "")" }
      }
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 1))
      try await plane.rolledOut("web")
      try await plane.world.eventually("told", within: .seconds(30)) {
        try await conditions() == ["Available MinimumReplicasAvailable", "Progressing NewReplicaSetAvailable"]
      }
      // What becomes of it next is no news of its progress.
      let pod = try await plane.pods("app=web")[0]
      try await plane.admin.patch(
        .nodes, name: pod.spec.nodeName, ["spec": ["unschedulable": true]], type: .merge)
      try await plane.admin.delete(.pods, namespace: "default", name: pod.name)
      try await plane.world.eventually("told", within: .seconds(120)) {
        try await conditions() == ["Progressing NewReplicaSetAvailable", "Available MinimumReplicasUnavailable"]
      }
    }
  }

  /// Given conditions of others about a set, then its own failure comes last, stays where it is, and goes alone.
  @Test func theFailureOfASetIsOneConditionAmongOthers() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await Self.ready(plane)
      try await plane.admin.create(
        .resourceQuotas, namespace: "default",
        ["apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "none"], "spec": ["hard": ["pods": "1"]]])
      try await plane.world.eventually("the quota is in force", within: .seconds(30)) {
        try await plane.admin.get(.resourceQuotas, namespace: "default", name: "none")["status"]["hard"].object != nil
      }
      @Sendable func conditions() async throws -> [String] {
        try await plane.admin.get(.replicaSets, namespace: "default", name: "web")["status"]["conditions"].elements
          .map { "\($0["type"].string ?? "") \($0["reason"].string ?? "")" }
      }
      @Sendable func add(_ type: String) async throws {
        try await plane.admin.patch(
          .replicaSets, namespace: "default", name: "web",
          [["op": "add", "path": "/status/conditions/-", "value": ["type": .string(type), "status": "True"]]],
          type: .json, subresource: "status")
      }
      var set = Fixture.deployment("web", replicas: 3)
      set["kind"] = "ReplicaSet"
      try await plane.admin.create(.replicaSets, namespace: "default", set)
      try await plane.world.eventually("it fails", within: .seconds(60)) {
        try await conditions() == ["ReplicaFailure FailedCreate"]
      }
      try await add("Other")
      // Attempts that fail like the first change nothing.
      try await plane.world.sleep(for: .seconds(600))
      #expect(try await conditions() == ["ReplicaFailure FailedCreate", "Other "])
      try await plane.admin.delete(.resourceQuotas, namespace: "default", name: "none")
      try await plane.world.eventually("it goes alone", within: .seconds(1200)) {
        try await conditions() == ["Other "]
      }
    }
  }

  @Test func endpointsThatCannotBeWrittenAreToldOf() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await plane.admin.create(
        .resourceQuotas, namespace: "default",
        [
          "apiVersion": "v1", "kind": "ResourceQuota", "metadata": ["name": "none"],
          "spec": ["hard": ["count/endpoints": "0"]],
        ])
      try await plane.world.eventually("the quota is in force", within: .seconds(30)) {
        try await plane.admin.get(.resourceQuotas, namespace: "default", name: "none")["status"]["hard"].object != nil
      }
      try await plane.admin.create(
        .services, namespace: "default", Fixture.service("web", selector: ["app": "web"]))
      try await plane.world.eventually("an event tells why", within: .seconds(60)) {
        try await plane.admin.list(.events, namespace: "default").items.contains {
          $0["involvedObject"]["kind"] == "Endpoints" && $0["involvedObject"]["name"] == "web"
            && $0["type"] == "Warning" && $0["reason"] == "FailedToCreateEndpoint"
            && $0["message"].string?.hasPrefix(
              "Failed to create endpoint for service default/web: endpoints \"web\" is forbidden: exceeded quota: none")
              == true
        }
      }
      try await plane.admin.delete(.resourceQuotas, namespace: "default", name: "none")
      try await plane.world.eventually("made after all", within: .seconds(1200)) {
        try await plane.admin.find(.endpoints, namespace: "default", name: "web") != nil
      }
    }
  }

  @Test func endpointsThatCannotBeChangedAreToldOf() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await plane.admin.create(
        .services, namespace: "default", Fixture.service("web", selector: ["app": "web"]))
      try await plane.world.eventually("made", within: .seconds(30)) {
        try await plane.admin.find(.endpoints, namespace: "default", name: "web") != nil
      }
      // Somebody takes the controller's permission; then the service changes.
      let role = ResourceReference.clusterRoles
      var rules = try await plane.admin.get(role, name: "system:controller:endpoint-controller")
      rules["rules"] = .array(
        rules["rules"].elements.map { rule in
          var rule = rule
          if rule["resources"][0] == "endpoints" {
            rule["verbs"] = .array(rule["verbs"].elements.filter { $0 != "update" })
          }
          return rule
        })
      try await plane.admin.update(role, name: "system:controller:endpoint-controller", rules)
      try await plane.admin.patch(
        .services, namespace: "default", name: "web", ["metadata": ["labels": ["of": "shop"]]], type: .merge)
      try await plane.world.eventually("an event tells why", within: .seconds(60)) {
        try await plane.admin.list(.events, namespace: "default").items.contains {
          $0["involvedObject"]["kind"] == "Endpoints" && $0["involvedObject"]["name"] == "web"
            && $0["type"] == "Warning" && $0["reason"] == "FailedToUpdateEndpoint"
            && $0["message"].string?.hasPrefix(
              "Failed to update endpoint default/web: endpoints \"web\" is forbidden: User ") == true
        }
      }
    }
  }
}
