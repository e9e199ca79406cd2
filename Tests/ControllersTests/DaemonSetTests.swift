// What a DaemonSet decides, without an API.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

private let now = WallTime(secondsSinceEpoch: 1_000_000)

private func daemonSet(_ change: (inout JSONValue) -> Void = { _ in }) -> DaemonSet {
  var json: JSONValue = [
    "metadata": [
      "name": "agent", "namespace": "default", "uid": "set", "generation": 2,
      "annotations": ["deprecated.daemonset.template.generation": "2"],
    ],
    "spec": [
      "selector": ["matchLabels": ["app": "agent"]],
      "template": [
        "metadata": ["labels": ["app": "agent"]], "spec": ["containers": [["name": "main", "image": "agent:2"]]],
      ],
      "updateStrategy": ["type": "RollingUpdate", "rollingUpdate": ["maxUnavailable": 1, "maxSurge": 0]],
    ],
  ]
  change(&json)
  return DaemonSet(json: json)
}

private func surging(_ surge: JSONValue = 1) -> DaemonSet {
  daemonSet { $0["spec"]["updateStrategy"]["rollingUpdate"] = ["maxUnavailable": 0, "maxSurge": surge] }
}

private func nodes(_ count: Int, taints: JSONValue = .null) -> [Node] {
  (0..<count).map { index in
    var json = Fixture.node("n\(index)", labels: ["odd": index % 2 == 0 ? "no" : "yes"])
    if index == 0 { json["spec"]["taints"] = taints }
    return Node(json: json)
  }
}

/// A pod "node-hash" of a template: "new" is the set's.
private func pod(
  _ node: Int, _ hash: String = "new", phase: String = "Running", ready: Bool = true, deleted: Bool = false,
  age: Int64 = 100, readyFor: Int64 = 60, bound: Bool = true
) -> Pod {
  var json = DaemonPod.json(of: daemonSet(), node: "n\(node)", hash: hash)
  json["metadata"]["name"] = .string("n\(node)-\(hash)")
  json["metadata"]["uid"] = .string("n\(node)-\(hash)-\(age)")
  json["metadata"]["creationTimestamp"] = .string((now + .seconds(-age)).rfc3339)
  if hash != "new" { json["metadata"]["labels"]["pod-template-generation"] = "1" }
  if deleted { json["metadata"]["deletionTimestamp"] = .string(now.rfc3339) }
  if bound { json["spec"]["nodeName"] = .string("n\(node)") }
  json["status"] = [
    "phase": .string(phase),
    "conditions": [
      [
        "type": "Ready", "status": .string(ready && phase == "Running" ? "True" : "False"),
        "lastTransitionTime": .string((now + .seconds(-readyFor)).rfc3339),
      ]
    ],
  ]
  return Pod(json: json)
}

private func plan(_ set: DaemonSet, _ nodes: [Node], _ pods: [Pod]) -> DaemonSetPlan {
  var backoff = FailedPodBackoff()
  return DaemonSetPlan(
    DaemonSetObservation(set: set, hash: "new", nodes: nodes, pods: pods, now: now), backoff: &backoff)
}

extension DaemonSetPlan {
  fileprivate var text: String {
    (nodesToServe.map { "+\($0)" } + podsToDelete.map { "-\($0.name)" }).joined(separator: " ")
  }
}

@Suite struct DaemonSetDecisions {
  @Test func everyNodeHasOnePod() {
    #expect(plan(daemonSet(), nodes(3), []).text == "+n0 +n1 +n2")
    #expect(plan(daemonSet(), nodes(3), [pod(1)]).text == "+n0 +n2")
    #expect(plan(daemonSet(), nodes(1), [pod(0, phase: "Pending", bound: false)]).text == "", "it waits to be placed")
    #expect(plan(daemonSet(), nodes(1), [pod(0, deleted: true)]).text == "", "the place is taken until it has gone")
    #expect(plan(daemonSet(), nodes(1), [pod(0, phase: "Failed", deleted: true)]).text == "+n0")
    #expect(
      plan(daemonSet(), nodes(1), [pod(0, age: 10), pod(0, age: 20)]).podsToDelete.map(\.metadata.uid) == ["n0-new-10"])
    #expect(
      plan(daemonSet(), nodes(1), [pod(1, phase: "Pending", bound: false)]).text == "+n0 -n1-new", "its node is gone")
    #expect(plan(daemonSet(), nodes(1), [pod(0), pod(1)]).text == "", "that one is the pod collector's")
  }

  @Test func nodesAreChosenAsTheTemplateSays() {
    let odd = daemonSet { $0["spec"]["template"]["spec"]["nodeSelector"] = ["odd": "yes"] }
    #expect(plan(odd, nodes(4), [pod(0)]).text == "+n1 +n3 -n0-new")
    let affine = daemonSet {
      $0["spec"]["template"]["spec"]["affinity"] = [
        "nodeAffinity": [
          "requiredDuringSchedulingIgnoredDuringExecution": [
            "nodeSelectorTerms": [["matchExpressions": [["key": "odd", "operator": "In", "values": ["no"]]]]]
          ]
        ]
      ]
    }
    #expect(plan(affine, nodes(3), []).text == "+n0 +n2")
    let status = plan(affine, nodes(3), [pod(0), pod(1)]).status(acted: true, collisions: nil)
    #expect(status.desiredNumberScheduled == 2 && status.currentNumberScheduled == 1 && status.numberMisscheduled == 1)
    #expect(status.numberReady == 1 && status.numberUnavailable == 1 && status.observedGeneration == 2)
    #expect(plan(daemonSet { $0["spec"]["template"]["spec"]["nodeName"] = "n1" }, nodes(3), []).text == "+n1")
  }

  @Test func taintsKeepDaemonsAwayUnlessTolerated() {
    func taint(_ key: String, _ effect: String) -> JSONValue { [["key": .string(key), "effect": .string(effect)]] }
    #expect(plan(daemonSet(), nodes(1, taints: taint("own", "NoSchedule")), []).text == "")
    #expect(plan(daemonSet(), nodes(1, taints: taint("own", "NoSchedule")), [pod(0)]).text == "", "it may stay")
    #expect(plan(daemonSet(), nodes(1, taints: taint("own", "NoExecute")), [pod(0)]).text == "-n0-new")
    #expect(plan(daemonSet(), nodes(1, taints: taint("own", "PreferNoSchedule")), []).text == "+n0")
    for (key, effect) in [
      ("not-ready", "NoExecute"), ("unreachable", "NoExecute"), ("unschedulable", "NoSchedule"),
      ("disk-pressure", "NoSchedule"),
    ] {
      #expect(plan(daemonSet(), nodes(1, taints: taint("node.kubernetes.io/\(key)", effect)), []).text == "+n0")
    }
    let network = nodes(1, taints: taint("node.kubernetes.io/network-unavailable", "NoSchedule"))
    #expect(plan(daemonSet(), network, []).text == "")
    #expect(plan(daemonSet { $0["spec"]["template"]["spec"]["hostNetwork"] = true }, network, []).text == "+n0")
  }

  @Test func aPodIsTiedToItsNode() {
    let json = DaemonPod.json(
      of: daemonSet {
        $0["spec"]["template"]["spec"]["tolerations"] = [
          [
            "key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",
            "tolerationSeconds": 5,
          ], ["key": "own", "operator": "Exists"],
        ]
      }, node: "n7", hash: "h")
    #expect(DaemonPod.node(of: Pod(json: json)) == "n7")
    #expect(json["metadata"]["generateName"] == "agent-")
    #expect(json["metadata"]["labels"]["controller-revision-hash"] == "h")
    #expect(json["metadata"]["labels"]["pod-template-generation"] == "2")
    let tolerations = json["spec"]["tolerations"].elements
    #expect(tolerations.count == 7 && tolerations[0]["tolerationSeconds"].isNull, "a daemon tolerates it for ever")
  }

  @Test func finishedPodsGoWithEverLongerPauses() {
    var backoff = FailedPodBackoff()
    var time = now
    func plan(_ phase: String) -> DaemonSetPlan {
      DaemonSetPlan(
        DaemonSetObservation(set: daemonSet(), hash: "new", nodes: nodes(1), pods: [pod(0, phase: phase)], now: time),
        backoff: &backoff)
    }
    #expect(plan("Succeeded").text == "-n0-new")
    #expect(plan("Failed").text == "-n0-new")
    for pause: Int64 in [1, 2, 4, 8] {
      let early = plan("Failed")
      #expect(early.text == "" && early.recheck == .seconds(pause))
      time = time + .seconds(pause)
      #expect(plan("Failed").text == "-n0-new")
    }
    time = time + .seconds(3600)
    #expect(plan("Failed").text == "-n0-new")
    #expect(plan("Failed").recheck == .seconds(1), "what was long ago is forgotten")
  }

  @Test func anUpdateKeepsItsBound() {
    let old = [pod(0, "old"), pod(1, "old"), pod(2, "old"), pod(3, "old")]
    #expect(plan(daemonSet(), nodes(4), old).text == "-n0-old")
    #expect(plan(daemonSet(), nodes(4), [pod(0, ready: false)] + old[1...]).text == "", "one is on its way")
    #expect(plan(daemonSet(), nodes(4), [pod(0)] + old[1...]).text == "-n1-old")
    let half = daemonSet { $0["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = "50%" }
    #expect(plan(half, nodes(4), old).text == "-n0-old -n1-old")
    let unwell = [old[0], pod(1, "old", ready: false), old[2], old[3]]
    #expect(plan(daemonSet(), nodes(4), unwell).text == "-n1-old", "what does not work anyway goes first")
    #expect(plan(daemonSet { $0["spec"]["updateStrategy"] = ["type": "OnDelete"] }, nodes(4), old).text == "")
    let status = plan(daemonSet(), nodes(4), [pod(0)] + old[1...]).status(acted: true, collisions: 3)
    #expect(status.updatedNumberScheduled == 1 && status.numberAvailable == 4 && status.collisionCount == 3)
  }

  @Test func aSurgeMakesTheNewPodFirst() {
    let old = [pod(0, "old"), pod(1, "old"), pod(2, "old")]
    #expect(plan(surging(), nodes(3), old).text == "+n0")
    #expect(plan(surging("100%"), nodes(3), old).text == "+n0 +n1 +n2")
    #expect(plan(surging(), nodes(3), old + [pod(0, ready: false)]).text == "", "both stay until it works")
    #expect(plan(surging(), nodes(3), old + [pod(0)]).text == "-n0-old")
    #expect(plan(surging(), nodes(3), [pod(0, "old", ready: false)] + old[1...]).text == "+n0 +n1")
    #expect(
      plan(surging(), nodes(3), [pod(0, "old", ready: false), pod(0, ready: false)] + old[1...]).text == "-n0-old",
      "neither works: the new one stays")
  }

  @Test func availabilityIsWaitedFor() {
    let set = daemonSet { $0["spec"]["minReadySeconds"] = 10 }
    let young = plan(set, nodes(2), [pod(0, readyFor: 4), pod(1, "old")])
    #expect(young.text == "" && young.recheck == .seconds(6))
    #expect(young.status(acted: true, collisions: nil).numberAvailable == 1)
    #expect(plan(set, nodes(2), [pod(0, readyFor: 10), pod(1, "old")]).text == "-n1-old")
  }
}
