// What a StatefulSet decides, without an API.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

private let now = WallTime(secondsSinceEpoch: 1_000_000)

/// A set of three whose template is `image`.
private func statefulSet(
  replicas: Int64 = 3, image: String = "new", _ change: (inout JSONValue) -> Void = { _ in }
) -> StatefulSet {
  var json: JSONValue = [
    "metadata": ["name": "web", "namespace": "default", "uid": "set", "generation": 2],
    "spec": [
      "replicas": .integer(replicas), "serviceName": "web", "selector": ["matchLabels": ["app": "web"]],
      "template": [
        "metadata": ["labels": ["app": "web"]], "spec": ["containers": [["name": "main", "image": .string(image)]]],
      ],
      "updateStrategy": ["type": "RollingUpdate", "rollingUpdate": ["partition": 0]],
    ],
  ]
  change(&json)
  return StatefulSet(json: json)
}

private func revision(_ image: String, _ number: Int64) -> ControllerRevision {
  var json = ControllerRevision.json(of: statefulSet(image: image), number: number, collisions: 0)
  json["metadata"]["name"] = .string("web-\(image)")
  json["metadata"]["uid"] = .string(image)
  return ControllerRevision(json: json)
}

private func pod(
  _ ordinal: Int64, _ image: String = "new", phase: String = "Running", ready: Bool = true, readyFor: Int64 = 60,
  deleted: Bool = false
) -> Pod {
  var json = statefulSet().pod(ordinal, of: revision(image, 1))
  json["metadata"]["uid"] = .string("pod-\(ordinal)")
  if deleted { json["metadata"]["deletionTimestamp"] = .string(now.rfc3339) }
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

private func plan(
  _ set: StatefulSet, _ pods: [Pod], current: String = "new", asked: Set<String> = [],
  claims: [PersistentVolumeClaim] = []
) -> StatefulSetPlan {
  StatefulSetPlan(
    StatefulSetObservation(
      set: set, current: revision(current, current == "new" ? 2 : 1), update: revision("new", 2), pods: pods,
      claim: { name in claims.first { $0.name == name } }, deletionsAsked: asked, now: now))
}

extension StatefulSetPlan {
  /// "+1 old" makes pod 1 of the old template, "-2" deletes pod 2; phases are told apart by nothing here.
  fileprivate var text: String {
    phases.joined().map { step in
      switch step {
      case .create(let ordinal, let revision): "+\(ordinal) \(revision.metadata.uid)"
      case .delete(let pod), .replace(let pod): "-\(pod.name.dropFirst(4))"
      case .provideClaims(_, let ordinal): "claims \(ordinal)"
      case .conform(_, let ordinal): "conform \(ordinal)"
      case .handOverClaims(_, let ordinal): "hand over \(ordinal)"
      }
    }.joined(separator: ", ")
  }
}

@Suite struct StatefulSetDecisions {
  private let parallel: (inout JSONValue) -> Void = { $0["spec"]["podManagementPolicy"] = "Parallel" }

  @Test func podsAreMadeOneAfterTheOther() {
    #expect(plan(statefulSet(), []).text == "+0 new")
    #expect(plan(statefulSet(), [pod(0, ready: false)]).text == "")
    #expect(plan(statefulSet(), [pod(0)]).text == "+1 new")
    #expect(plan(statefulSet(), [pod(0), pod(2)]).text == "+1 new")
    #expect(plan(statefulSet(), [pod(0), pod(1), pod(2)]).text == "")
    #expect(plan(statefulSet(), [pod(0, deleted: true)]).text == "")
  }

  @Test func aParallelSetWaitsForNobody() {
    #expect(plan(statefulSet(parallel), []).text == "+0 new, +1 new, +2 new")
    #expect(plan(statefulSet(parallel), [pod(1, ready: false)]).text == "+0 new, +2 new")
    #expect(plan(statefulSet(replicas: 1, parallel), [pod(0), pod(1), pod(2)]).text == "-2, -1")
  }

  @Test func availabilityIsWaitedFor() {
    let set = statefulSet { $0["spec"]["minReadySeconds"] = 10 }
    let young = plan(set, [pod(0, readyFor: 4)])
    #expect(young.text == "" && young.recheck == .seconds(6))
    #expect(young.status.readyReplicas == 1 && young.status.availableReplicas == 0)
    #expect(plan(set, [pod(0, readyFor: 10)]).text == "+1 new")
  }

  @Test func finishedPodsAreMadeAnew() {
    for phase in ["Failed", "Succeeded"] {
      #expect(plan(statefulSet(), [pod(0), pod(1, phase: phase), pod(2)]).text == "-1")
      #expect(plan(statefulSet(), [pod(0), pod(1, phase: phase, deleted: true), pod(2)]).text == "")
    }
    #expect(plan(statefulSet(parallel), [pod(0, phase: "Failed"), pod(1)]).text == "-0, +2 new")
  }

  @Test func ordinalsStartWhereTheyAreTold() {
    let set = statefulSet(replicas: 2) { $0["spec"]["ordinals"] = ["start": 5] }
    #expect(plan(set, []).text == "+5 new")
    #expect(plan(set, [pod(5), pod(6), pod(0), pod(7)]).text == "-7")
    #expect(plan(set, [pod(5), pod(6), pod(0)]).text == "-0")
  }

  @Test func tooManyGoFromTheHighestAndOneAtATime() {
    let set = statefulSet(replicas: 1)
    #expect(plan(set, [pod(0), pod(1), pod(2)]).text == "-2")
    #expect(plan(set, [pod(0), pod(1), pod(2, deleted: true)]).text == "")
    #expect(plan(set, [pod(0), pod(1), pod(2)], asked: ["pod-2"]).text == "", "asked for, not yet seen")
    #expect(plan(set, [pod(0), pod(1, ready: false), pod(2)]).text == "-2")
    #expect(
      plan(set, [pod(0), pod(1, ready: false), pod(2, ready: false)]).text == "", "the first unwell one goes first")
    #expect(plan(set, [pod(0), pod(1, ready: false)]).text == "-1")
    #expect(plan(set, [pod(0, ready: false), pod(1)]).text == "", "nobody goes while another is unwell")
  }

  @Test func anUpdateGoesDownToThePartition() {
    let all = [pod(0, "old"), pod(1, "old"), pod(2, "old")]
    #expect(plan(statefulSet(), all, current: "old").text == "-2")
    #expect(plan(statefulSet(), [all[0], all[1]], current: "old").text == "+2 new")
    #expect(plan(statefulSet(), [all[0], all[1], pod(2, ready: false)], current: "old").text == "")
    #expect(plan(statefulSet(), [all[0], all[1], pod(2)], current: "old").text == "-1")
    let parted = statefulSet { $0["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 2 }
    #expect(plan(parted, [all[0], all[1], pod(2)], current: "old").text == "")
    #expect(plan(parted, [all[0], pod(2)], current: "old").text == "+1 old", "below the partition nothing changes")
  }

  @Test func aBrokenUpdateBlocks() {
    // The new template never gets ready; rolling back does not help before the pod is deleted by hand.
    let stuck = [pod(0, "old"), pod(1, "old"), pod(2, "broken", phase: "Pending")]
    #expect(plan(statefulSet(), stuck, current: "old").text == "")
    // In parallel it is replaced at once.
    #expect(plan(statefulSet(parallel), stuck, current: "old").text == "-2")
  }

  @Test func onDeletePodsChangeOnlyWhenDeleted() {
    let set = statefulSet { $0["spec"]["updateStrategy"] = ["type": "OnDelete"] }
    let updated = plan(set, [pod(0, "old"), pod(1, "old"), pod(2, "old")], current: "old")
    #expect(updated.text == "" && updated.status.updatedReplicas == 0 && updated.status.currentReplicas == 3)
    #expect(plan(set, [pod(0, "old"), pod(2, "old")], current: "old").text == "+1 new")
    let done = plan(set, [pod(0), pod(1), pod(2)], current: "old")
    #expect(done.status.currentRevision == "web-old", "as in Kubernetes, no update is ever complete")
  }

  @Test func theStatusCountsAndCompletes() {
    let half = plan(statefulSet(), [pod(0, "old"), pod(1, "old"), pod(2)], current: "old").status
    #expect(half.replicas == 3 && half.readyReplicas == 3 && half.updatedReplicas == 1)
    #expect(half.currentReplicas == 1, "one is on its way out")
    #expect(half.currentRevision == "web-old" && half.updateRevision == "web-new")
    let whole = plan(statefulSet(), [pod(0), pod(1), pod(2)], current: "old").status
    #expect(whole.currentRevision == "web-new" && whole.currentReplicas == 3 && whole.observedGeneration == 2)
    let dying = plan(statefulSet(), [pod(0), pod(1, deleted: true), pod(2)]).status
    #expect(dying.replicas == 3 && dying.updatedReplicas == 2)
  }

  @Test func aSetThatIsDeletedOnlyCounts() {
    let set = statefulSet { $0["metadata"]["deletionTimestamp"] = .string(now.rfc3339) }
    let plan = plan(set, [pod(0)])
    #expect(plan.text == "" && plan.status.replicas == 1)
  }

  @Test func podsWithoutTheirLabelsAreCorrected() {
    var json = statefulSet().pod(0, of: revision("new", 2))
    json["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = .null
    json["status"] = ["phase": "Running", "conditions": [["type": "Ready", "status": "True"]]]
    #expect(plan(statefulSet(replicas: 1), [Pod(json: json)]).text == "conform 0")
  }

  @Test func namesAreNumbersAndNothingElse() {
    let set = statefulSet()
    #expect(set.ordinal(of: "web-12") == 12)
    for name in ["web", "web-", "web-01", "web--1", "web-x", "webs-1", "web-1-1", "web-99999999999"] {
      #expect(set.ordinal(of: name) == nil, "\(name)")
    }
  }
}

@Suite struct StatefulIdentity {
  private let set = statefulSet {
    $0["spec"]["volumeClaimTemplates"] = [
      ["metadata": ["name": "data", "labels": ["tier": "db"]], "spec": ["accessModes": ["ReadWriteOnce"]]]
    ]
  }

  @Test func aPodKnowsItsNameAndItsClaims() {
    var old = revision("new", 2)
    old.data["spec"]["template"]["spec"]["volumes"] = [
      ["name": "tmp", "emptyDir": [:]], ["name": "data", "emptyDir": [:]],
    ]
    let pod = set.pod(4, of: old)
    #expect(pod["metadata"]["name"] == "web-4")
    #expect(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "4")
    #expect(pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "web-4")
    #expect(pod["metadata"]["labels"]["controller-revision-hash"] == "web-new")
    #expect(pod["metadata"]["ownerReferences"][0]["controller"] == true)
    #expect(pod["spec"]["hostname"] == "web-4" && pod["spec"]["subdomain"] == "web")
    #expect(
      pod["spec"]["volumes"] == [
        ["name": "data", "persistentVolumeClaim": ["claimName": "data-web-4"]], ["name": "tmp", "emptyDir": [:]],
      ])
    let claim = set.claims(4)[0]
    #expect(claim["metadata"]["name"] == "data-web-4")
    #expect(claim["metadata"]["labels"] == ["tier": "db", "app": "web"])
  }

  @Test(arguments: [
    ("Retain", "Retain", "", ""), ("Delete", "Retain", "set", "set"), ("Retain", "Delete", "", "pod"),
    ("Delete", "Delete", "set", "pod"),
  ])
  func claimsAreOwnedAsThePolicySays(deleted: String, scaled: String, kept: String, condemned: String) {
    let set = statefulSet {
      $0["spec"]["persistentVolumeClaimRetentionPolicy"] = [
        "whenDeleted": .string(deleted), "whenScaled": .string(scaled),
      ]
    }
    let foreign = OwnerReference(
      apiVersion: "v1", kind: "ConfigMap", name: "x", uid: "x", controller: false, blockOwnerDeletion: false)
    for (ordinal, wanted) in [(Int64(0), kept), (3, condemned)] {
      let retention = ClaimRetention(set: set, podName: "web-\(ordinal)", podUID: "pod", ordinal: ordinal)
      let owners = retention.correction([foreign]) ?? [foreign]
      #expect(owners.map(\.uid) == (wanted.isEmpty ? ["x"] : ["x", wanted]))
      #expect(retention.correction(owners) == nil, "and then it is settled")
      // The policy was another before.
      let both = [set.controllerReference, retention.pod]
      #expect((retention.correction(both) ?? both).map(\.uid) == (wanted.isEmpty ? [] : [wanted]))
    }
  }

  @Test func claimsOfOthersAreLeftAlone() {
    let set = statefulSet {
      $0["spec"]["persistentVolumeClaimRetentionPolicy"] = ["whenDeleted": "Delete", "whenScaled": "Delete"]
    }
    let retention = ClaimRetention(set: set, podName: "web-0", podUID: "pod", ordinal: 0)
    let manager = OwnerReference(apiVersion: "v1", kind: "Other", name: "m", uid: "m")
    #expect(retention.correction([manager]) == nil && retention.hasForeignController([manager]))
    #expect(retention.correction([manager, set.controllerReference])?.map(\.uid) == ["m"])
    let earlier = OwnerReference(apiVersion: "v1", kind: "Pod", name: "web-0", uid: "earlier")
    #expect(retention.isStale([earlier]) && retention.correction([earlier]) == nil)
    let claim = PersistentVolumeClaim(
      json: ["metadata": ["name": "data-web-0", "ownerReferences": [earlier.json]]])
    let waiting = statefulSet {
      $0["spec"]["volumeClaimTemplates"] = [["metadata": ["name": "data"]]]
      $0["spec"]["persistentVolumeClaimRetentionPolicy"] = ["whenScaled": "Delete"]
    }
    #expect(plan(waiting, [], claims: [claim]).text == "", "no pod may use what is about to go")
    #expect(plan(waiting, []).text == "+0 new")
  }
}

@Suite struct RevisionDecisions {
  private func text(_ template: String, _ revisions: [ControllerRevision]) -> String {
    switch RevisionPlan(statefulSet(image: template).template, among: revisions) {
    case .keep(let revision): "keep \(revision.metadata.uid)"
    case .renumber(let revision, let number): "\(revision.metadata.uid) is \(number)"
    case .create(let number): "make \(number)"
    }
  }

  @Test func aTemplateHasOneRevision() {
    #expect(text("a", []) == "make 1")
    #expect(text("a", [revision("a", 1)]) == "keep a")
    #expect(text("b", [revision("a", 1)]) == "make 2")
    #expect(text("a", [revision("a", 1), revision("b", 7)]) == "a is 8", "rolled back: it becomes the newest")
  }

  @Test func aRevisionRestoresItsTemplate() {
    let set = statefulSet(image: "a")
    let json = ControllerRevision.json(of: set, number: 3, collisions: nil)
    #expect(ControllerRevision(json: json).template.asRevised == set.template)
    #expect(json["data"]["spec"]["template"]["$patch"] == "replace")
    #expect(json["metadata"]["labels"]["controller.kubernetes.io/hash"].string?.isEmpty == false)
    #expect(json["metadata"]["labels"]["app"] == "web")
    let other = ControllerRevision.json(of: set, number: 3, collisions: 1)
    #expect(json["metadata"]["name"] != other["metadata"]["name"], "a collision leads to another name")
  }

  @Test func theOldestThatNobodyHasGo() {
    let all = RevisionOrder.sorted([revision("c", 3), revision("a", 1), revision("b", 2), revision("d", 4)])
    #expect(all.map(\.revision) == [1, 2, 3, 4])
    #expect(RevisionOrder.surplus(all, limit: 1) { $0.revision == 1 || $0.revision == 4 }.map(\.revision) == [2])
    #expect(RevisionOrder.surplus(all, limit: 0) { $0.revision == 4 }.map(\.revision) == [1, 2, 3])
    #expect(RevisionOrder.surplus(all, limit: 10) { _ in false }.isEmpty)
  }
}
