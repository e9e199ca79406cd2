// Deployments, ReplicationControllers, Services and namespaces from beginning to end.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@Suite struct WorkloadStories {
  @Test func aDeploymentBecomesPodsThatRun() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 3))
      try await plane.rolledOut("web")
      let pods = try await plane.pods("app=web")
      #expect(pods.count == 3)
      #expect(pods.allSatisfy { $0.status.phase == "Running" && $0.isReady && !$0.status.podIP.isEmpty })
      #expect(Set(pods.map(\.spec.nodeName)).count == 3, "pods of one set are spread")
      let object = try await plane.deployment("web")
      #expect(object["metadata"]["annotations"]["deployment.kubernetes.io/revision"].string == "1")
      let conditions = object["status"]["conditions"].elements.map(StatusCondition.init(json:))
      #expect(conditions.first { $0.type == "Available" }?.reason == "MinimumReplicasAvailable")
      #expect(conditions.first { $0.type == "Progressing" }?.reason == "NewReplicaSetAvailable")
      let set = try await plane.replicaSets("web")[0]
      #expect(try await plane.events(of: "web") == ["ScalingReplicaSet: Scaled up replica set \(set.name) from 0 to 3"])
      #expect(try await plane.events(of: set.name).allSatisfy { $0.hasPrefix("SuccessfulCreate: Created pod: web-") })
    }
  }

  @Test func scalingFollowsTheScaleSubresource() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 1))
      try await plane.rolledOut("web")
      for size: Int64 in [7, 2, 0, 3] {
        try await plane.admin.patch(
          .deployments, namespace: "default", name: "web", ["spec": ["replicas": .integer(size)]], type: .merge,
          subresource: "scale")
        try await plane.rolledOut("web")
        try await plane.world.eventually("\(size) pods are left") {
          try await plane.pods("app=web").count == Int(size)
        }
      }
    }
  }

  @Test func aNewImageRollsOutWithinItsBoundsAndIsUndone() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 4))
      try await plane.rolledOut("web")
      let before = try await plane.replicaSets("web")[0]
      try await plane.setImage("web", "web:2")
      // 25 %: one more, one less.
      try await plane.world.eventually("rolled out within bounds", within: .seconds(120)) {
        let pods = try await plane.pods("app=web").filter(\.isActive)
        #expect(pods.count <= 5)
        #expect(pods.filter(\.isReady).count >= 3)
        let status = try await plane.deployment("web")["status"]
        return status["observedGeneration"].integer == 2 && status["updatedReplicas"].integer == 4
          && status["replicas"].integer == 4
          && status["availableReplicas"].integer == 4
      }
      #expect(try await plane.replicaSets("web").count == 2)
      #expect(
        try await plane.deployment("web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"].string == "2")

      // kubectl rollout undo: a JSON patch that replaces the template by the old set's, without its hash label.
      var template = before.template.json
      template["metadata"]["labels"]["pod-template-hash"] = .null
      try await plane.admin.patch(
        .deployments, namespace: "default", name: "web",
        [["op": "replace", "path": "/spec/template", "value": template]], type: .json)
      try await plane.rolledOut("web")
      try await plane.world.eventually("the old set runs again") {
        let set = try await plane.replicaSets("web").first { $0.name == before.name }
        return set?.status.availableReplicas == 4
          && set?.metadata.annotations["deployment.kubernetes.io/revision"] == "3"
          && set?.metadata.annotations["deployment.kubernetes.io/revision-history"] == "1"
      }
      #expect(try await plane.replicaSets("web").count == 2)
      #expect(
        try await plane.deployment("web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"].string == "3")
      try await plane.world.eventually("the old image alone") {
        let pods = try await plane.admin.list(.pods, namespace: "default").items
        return Set(pods.map { $0["spec"]["containers"][0]["image"].string }) == ["web:1"]
      }
    }
  }

  @Test func aPausedDeploymentWaitsAndResumes() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 2))
      try await plane.rolledOut("web")
      try await plane.admin.patch(
        .deployments, namespace: "default", name: "web", ["spec": ["paused": true]], type: .merge)
      try await plane.setImage("web", "web:2")
      try await plane.world.eventually("the pause is seen") {
        let object = try await plane.deployment("web")
        let progressing = object["status"]["conditions"].elements.first { $0["type"].string == "Progressing" }
        return progressing?["reason"].string == "DeploymentPaused"
          && object["status"]["observedGeneration"] == object["metadata"]["generation"]
      }
      try await plane.world.sleep(for: .seconds(10))
      #expect(try await plane.replicaSets("web").count == 1)
      try await plane.admin.patch(
        .deployments, namespace: "default", name: "web", ["spec": ["paused": .null]], type: .merge)
      try await plane.world.eventually("two sets") { try await plane.replicaSets("web").count == 2 }
      try await plane.rolledOut("web")
    }
  }

  @Test func recreateStopsAllOldPodsFirst() throws {
    try ControlPlane().tell { plane in
      var object = Fixture.deployment("web", replicas: 3)
      object["spec"]["strategy"] = ["type": "Recreate"]
      try await plane.admin.create(.deployments, namespace: "default", object)
      try await plane.rolledOut("web")
      try await plane.setImage("web", "web:2")
      try await plane.world.eventually("new pods") {
        let pods = try await plane.admin.list(.pods, namespace: "default").items
        let images = Set(pods.map { $0["spec"]["containers"][0]["image"].string })
        #expect(images.count <= 1, "old and new pods never meet")
        return images == ["web:2"]
      }
      try await plane.rolledOut("web")
    }
  }

  @Test func aRolloutThatDoesNotMoveIsReported() throws {
    try ControlPlane(nodes: 1).tell { plane in
      var object = Fixture.deployment("web", replicas: 2)
      object["spec"]["progressDeadlineSeconds"] = 30
      object["spec"]["template"]["spec"]["nodeSelector"] = ["no": "where"]
      try await plane.admin.create(.deployments, namespace: "default", object)
      try await plane.world.eventually("deadline", within: .seconds(60)) {
        let conditions = try await plane.deployment("web")["status"]["conditions"].elements
        return conditions.contains {
          $0["type"].string == "Progressing" && $0["status"].string == "False"
            && $0["reason"].string == "ProgressDeadlineExceeded"
        }
      }
    }
  }

  @Test func deletingADeploymentDeletesWhatItOwns() throws {
    for propagation in [DeleteOptions.Propagation.background, .foreground] {
      try ControlPlane().tell { plane in
        try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 3))
        try await plane.rolledOut("web")
        try await plane.admin.delete(
          .deployments, namespace: "default", name: "web", DeleteOptions(propagation: propagation))
        try await plane.world.eventually("\(propagation): everything is gone", within: .seconds(120)) {
          let deployments = try await plane.admin.list(.deployments, namespace: "default").items
          let sets = try await plane.replicaSets("web")
          let pods = try await plane.pods("app=web")
          if propagation == .foreground && !sets.isEmpty { #expect(!deployments.isEmpty, "the owner goes last") }
          return deployments.isEmpty && sets.isEmpty && pods.isEmpty
        }
      }
    }
  }

  @Test func orphansStayAndAreAdoptedAgain() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 2))
      try await plane.rolledOut("web")
      let uids = Set(try await plane.pods("app=web").map(\.metadata.uid))
      try await plane.admin.delete(.deployments, namespace: "default", name: "web", DeleteOptions(propagation: .orphan))
      try await plane.world.eventually("the deployment is gone, its set nobody's") {
        let gone = try await plane.admin.find(.deployments, namespace: "default", name: "web") == nil
        let owners = try await plane.replicaSets("web").flatMap(\.metadata.ownerReferences)
        return gone && owners.isEmpty
      }
      try await plane.world.sleep(for: .seconds(5))
      #expect(Set(try await plane.pods("app=web").map(\.metadata.uid)) == uids)
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 2))
      try await plane.rolledOut("web")
      #expect(Set(try await plane.pods("app=web").map(\.metadata.uid)) == uids)
    }
  }

  @Test func aReplicationControllerReplacesAPodThatGoes() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(
        .replicationControllers, namespace: "default",
        [
          "apiVersion": "v1", "kind": "ReplicationController", "metadata": ["name": "nifty-rc"],
          "spec": [
            "replicas": 4, "selector": ["App": "Nifty"],
            "template": [
              "metadata": ["labels": ["App": "Nifty"]],
              "spec": ["containers": [["name": "nifty", "image": "nifty:1", "ports": [["containerPort": 9376]]]]],
            ],
          ],
        ])
      try await plane.admin.create(
        .services, namespace: "default", Fixture.service("nifty", selector: ["App": "Nifty"], port: 9376))
      func ready() async throws {
        try await plane.world.eventually("four ready") {
          try await plane.admin.get(.replicationControllers, namespace: "default", name: "nifty-rc")["status"][
            "readyReplicas"
          ].integer == 4
        }
        try await plane.world.eventually("four endpoints") {
          let pods = try await plane.pods("App=Nifty").filter(\.isActive)
          let endpoints = try await plane.admin.find(.endpoints, namespace: "default", name: "nifty")
          let addresses = endpoints?["subsets"][0]["addresses"].elements.compactMap { $0["ip"].string } ?? []
          return addresses.count == 4 && Set(addresses) == Set(pods.map(\.status.podIP))
            && endpoints?["subsets"][0]["ports"][0]["port"].integer == 9376
        }
        try await plane.world.eventually("four in the slice") {
          let slices = try await plane.admin.list(.endpointSlices, namespace: "default").items
          return slices.count == 1 && slices[0]["endpoints"].elements.count == 4
            && slices[0]["metadata"]["labels"]["kubernetes.io/service-name"].string == "nifty"
        }
      }
      try await ready()
      let victim = try await plane.pods("App=Nifty")[0]
      try await plane.admin.delete(.pods, namespace: "default", name: victim.name)
      try await plane.world.eventually("the pod is gone") {
        try await plane.admin.find(.pods, namespace: "default", name: victim.name) == nil
      }
      try await ready()
      // A pod that loses its label is let go, and replaced.
      let stray = try await plane.pods("App=Nifty")[0]
      try await plane.admin.patch(
        .pods, namespace: "default", name: stray.name, ["metadata": ["labels": ["App": "Other"]]], type: .merge)
      try await plane.world.eventually("released") {
        try await plane.admin.get(.pods, namespace: "default", name: stray.name)["metadata"]["ownerReferences"].isNull
      }
      try await ready()
      // The service goes, and its endpoints with it.
      try await plane.admin.delete(.services, namespace: "default", name: "nifty")
      try await plane.world.eventually("no endpoints") {
        let endpoints = try await plane.admin.list(.endpoints, namespace: "default").items
        let slices = try await plane.admin.list(.endpointSlices, namespace: "default").items
        return endpoints.isEmpty && slices.isEmpty
      }
    }
  }

  @Test func aNamespaceIsFurnishedAndEmptied() throws {
    try ControlPlane().tell { plane in
      try await plane.admin.create(
        .namespaces, ["apiVersion": "v1", "kind": "Namespace", "metadata": ["name": "shop"]])
      try await plane.world.eventually("furnished") {
        let account = try await plane.admin.find(.serviceAccounts, namespace: "shop", name: "default")
        let certificate = try await plane.admin.find(.configMaps, namespace: "shop", name: "kube-root-ca.crt")
        return account != nil && certificate?["data"]["ca.crt"].string == "CA"
      }
      try await plane.admin.delete(.configMaps, namespace: "shop", name: "kube-root-ca.crt")
      try await plane.world.eventually("furnished again") {
        try await plane.admin.find(.configMaps, namespace: "shop", name: "kube-root-ca.crt") != nil
      }
      try await plane.admin.create(
        .deployments, namespace: "shop", Fixture.deployment("web", replicas: 3, namespace: "shop"))
      try await plane.admin.create(
        .services, namespace: "shop", Fixture.service("web", selector: ["app": "web"], namespace: "shop"))
      try await plane.world.eventually("pods run") {
        try await plane.pods(namespace: "shop").filter(\.isReady).count == 3
      }
      try await plane.admin.delete(.namespaces, name: "shop")
      try await plane.world.eventually("gone", within: .seconds(120)) {
        try await plane.admin.find(.namespaces, name: "shop") == nil
      }
      #expect(try await plane.pods(namespace: "shop").isEmpty)
    }
  }
}
