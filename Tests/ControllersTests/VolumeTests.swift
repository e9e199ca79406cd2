// What becomes of claims and volumes, without an API.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

private func claim(_ spec: JSONValue = [:], annotations: JSONValue = [:], deleted: Bool = false)
  -> PersistentVolumeClaim
{
  var json: JSONValue = [
    "metadata": ["name": "data", "namespace": "default", "uid": "claim", "annotations": annotations],
    "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "2Gi"]]],
    "status": ["phase": "Pending"],
  ]
  for (key, value) in spec.object ?? [:] { json["spec"][key] = value }
  if deleted { json["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z" }
  return PersistentVolumeClaim(json: json)
}

private func volume(
  _ name: String, size: String = "2Gi", _ spec: JSONValue = [:], labels: JSONValue = [:], annotations: JSONValue = [:]
) -> PersistentVolume {
  var json: JSONValue = [
    "metadata": ["name": .string(name), "uid": .string(name), "labels": labels, "annotations": annotations],
    "spec": [
      "capacity": ["storage": .string(size)], "accessModes": ["ReadWriteOnce"], "hostPath": ["path": "/x"],
      "persistentVolumeReclaimPolicy": "Retain",
    ],
    "status": ["phase": "Available"],
  ]
  for (key, value) in spec.object ?? [:] { json["spec"][key] = value }
  return PersistentVolume(json: json)
}

private func storageClass(_ name: String, _ change: JSONValue = [:], isDefault: Bool = false, age: Int64 = 0)
  -> StorageClass
{
  var json: JSONValue = [
    "metadata": [
      "name": .string(name),
      "creationTimestamp": .string(WallTime(secondsSinceEpoch: 1_000_000 - age).rfc3339),
      "annotations": ["storageclass.kubernetes.io/is-default-class": .string("\(isDefault)")],
    ], "provisioner": "example.com/disks",
  ]
  for (key, value) in change.object ?? [:] { json[key] = value }
  return StorageClass(json: json)
}

private func reference(_ name: String = "data", uid: String = "claim") -> JSONValue {
  ["claimRef": ["namespace": "default", "name": .string(name), "uid": .string(uid)]]
}

private func text(_ plan: ClaimPlan) -> String {
  switch plan {
  case .nothing: "nothing"
  case .bind(let volume): "bind \(volume.name)"
  case .assign(let className): "assign \(className)"
  case .provision(let storageClass): "provision \(storageClass.name)"
  case .wait(let remark): "wait: \(remark.map { "\($0.reason) \($0.message)" } ?? "")"
  case .lose(let remark): "lost: \(remark.reason)"
  }
}

private func text(_ plan: VolumePlan) -> String {
  switch plan {
  case .phase(let phase): phase
  case .tell(let key): "tell \(key)"
  case .unbind: "unbind"
  case .release(.keep): "keep"
  case .release(.delete): "delete"
  case .release(.fail(let remark)): "fail: \(remark.reason)"
  }
}

@Suite struct ClaimDecisions {
  @Test func theSmallestVolumeThatWillDoIsTaken() {
    let volumes = [
      volume("large", size: "9Gi"), volume("small", size: "1Gi"), volume("fits", size: "3Gi"),
      volume("shared", size: "2Gi", ["accessModes": ["ReadWriteOnce", "ReadWriteMany"]]),
      volume("taken", reference("other")), volume("block", ["volumeMode": "Block"]),
      volume("classy", ["storageClassName": "fast"]),
    ]
    func best(_ claim: PersistentVolumeClaim) -> String? { VolumeMatch.best(for: claim, among: volumes)?.name }
    #expect(best(claim()) == "fits", "fewest modes first, then size")
    #expect(best(claim(["accessModes": ["ReadWriteMany"]])) == "shared")
    #expect(best(claim(["storageClassName": "fast"])) == "classy")
    #expect(best(claim(["volumeMode": "Block"])) == "block")
    #expect(best(claim(["resources": ["requests": ["storage": "10Gi"]]])) == nil)
    #expect(best(claim(["selector": ["matchLabels": ["a": "b"]]])) == nil)
    #expect(
      VolumeMatch.best(for: claim(), among: volumes + [volume("mine", size: "99Gi", reference(uid: ""))])?.name
        == "mine")
  }

  @Test func aClaimWaitsAndSaysWhy() {
    #expect(
      text(ClaimPlan(claim(), ClaimSurroundings()))
        == "wait: FailedBinding no persistent volumes available for this claim and no storage class is set")
    let classy = claim(["storageClassName": "fast"])
    #expect(
      text(ClaimPlan(classy, ClaimSurroundings()))
        == "wait: ProvisioningFailed storageclass.storage.k8s.io \"fast\" not found")
    #expect(text(ClaimPlan(classy, ClaimSurroundings(storageClass: storageClass("fast")))) == "provision fast")
    let late = storageClass("fast", ["volumeBindingMode": "WaitForFirstConsumer"])
    #expect(
      text(
        ClaimPlan(
          classy, ClaimSurroundings(candidates: [volume("v", ["storageClassName": "fast"])], storageClass: late)))
        == "wait: WaitForFirstConsumer waiting for first consumer to be created before binding")
    #expect(
      text(ClaimPlan(classy, ClaimSurroundings(storageClass: late, waitingPods: ["a", "b"])))
        == "wait: WaitForPodScheduled waiting for pods a, b to be scheduled")
    let chosen = claim(["storageClassName": "fast"], annotations: ["volume.kubernetes.io/selected-node": "n"])
    #expect(text(ClaimPlan(chosen, ClaimSurroundings(storageClass: late))) == "provision fast")
    let mine = volume("v", ["storageClassName": "fast", "claimRef": reference()["claimRef"]])
    #expect(text(ClaimPlan(classy, ClaimSurroundings(candidates: [mine], storageClass: late))) == "bind v", "reserved")
  }

  @Test func aClaimWithoutAClassGetsTheDefault() {
    let classes = [
      storageClass("old", isDefault: true, age: 50), storageClass("new", isDefault: true), storageClass("x"),
    ]
    let found = VolumeMatch.defaultClass(among: classes)
    #expect(text(ClaimPlan(claim(), ClaimSurroundings(defaultClass: found))) == "assign new")
    #expect(text(ClaimPlan(claim(["storageClassName": ""]), ClaimSurroundings())).hasPrefix("wait: FailedBinding"))
  }

  @Test func aVolumeThatIsAskedForByName() {
    let wish = claim(["volumeName": "v"])
    func plan(_ volume: PersistentVolume?) -> String { text(ClaimPlan(wish, ClaimSurroundings(named: volume))) }
    #expect(plan(nil) == "wait: ")
    #expect(plan(volume("v")) == "bind v")
    #expect(plan(volume("v", reference(uid: ""))) == "bind v")
    #expect(
      plan(volume("v", reference("other"))) == "wait: FailedBinding volume \"v\" already bound to a different claim.")
    #expect(
      plan(volume("v", size: "1Gi"))
        == "wait: VolumeMismatch Cannot bind to requested volume \"v\": requested PV is too small")
    #expect(plan(volume("v", ["storageClassName": "fast"])).hasSuffix("storageClassName does not match"))
  }

  @Test func aBoundClaimStaysSoOrIsLost() {
    func plan(_ name: String, _ volume: PersistentVolume?) -> String {
      text(
        ClaimPlan(
          claim(["volumeName": .string(name)], annotations: ["pv.kubernetes.io/bind-completed": "yes"]),
          ClaimSurroundings(named: volume)))
    }
    #expect(plan("v", volume("v", reference())) == "bind v")
    #expect(plan("v", volume("v")) == "bind v")
    #expect(plan("v", nil) == "lost: ClaimLost" && plan("", nil) == "lost: ClaimLost")
    #expect(plan("v", volume("v", reference(uid: "other"))) == "lost: ClaimMisbound")
    #expect(text(ClaimPlan(claim(deleted: true), ClaimSurroundings(candidates: [volume("v")]))) == "nothing")
  }
}

@Suite struct VolumeDecisions {
  @Test func phasesFollowTheClaim() {
    #expect(text(VolumePlan(volume("v"), claim: nil)) == "Available")
    #expect(text(VolumePlan(volume("v", reference(uid: "")), claim: nil)) == "Available")
    #expect(text(VolumePlan(volume("v", reference()), claim: claim(["volumeName": "v"]))) == "Bound")
    #expect(text(VolumePlan(volume("v", reference()), claim: claim())) == "tell default/data")
    #expect(text(VolumePlan(volume("v", reference()), claim: claim(["volumeName": "w"]))) == "unbind")
  }

  @Test func aReleasedVolumeGoesAsItsPolicySays() {
    func plan(_ policy: String, by provisioner: String? = nil) -> String {
      var annotations: JSONValue = [:]
      if let provisioner { annotations["pv.kubernetes.io/provisioned-by"] = .string(provisioner) }
      var spec = reference()
      spec["persistentVolumeReclaimPolicy"] = .string(policy)
      return text(VolumePlan(volume("v", spec, annotations: annotations), claim: nil))
    }
    #expect(plan("Retain") == "keep")
    #expect(plan("Recycle") == "fail: VolumeFailedRecycle")
    #expect(plan("Delete") == "fail: VolumeFailedDelete")
    #expect(plan("Delete", by: LocalPathProvisioner.name) == "delete")
    #expect(plan("Retain", by: LocalPathProvisioner.name) == "keep")
    #expect(plan("Delete", by: "example.com/disks") == "keep", "its provisioner deletes it")
  }

  @Test func aFolderIsTiedToItsNode() throws {
    let node = Node(json: Fixture.node("n7"))
    let local = storageClass(
      "local-path", ["provisioner": .string(LocalPathProvisioner.name), "parameters": ["path": "/data"]])
    let made = try LocalPathProvisioner.volume(for: claim(["storageClassName": "local-path"]), local, node: node)
    let volume = PersistentVolume(json: made)
    #expect(volume.name == "pvc-claim" && volume.isFor(claim()) && volume.reclaimPolicy == "Delete")
    #expect(made["spec"]["hostPath"]["path"] == "/data/pvc-claim_default_data")
    #expect(made["spec"]["capacity"]["storage"] == "2Gi")
    #expect(volume.isReachable(from: "n7", labels: node.metadata.labels))
    #expect(!volume.isReachable(from: "n8", labels: ["kubernetes.io/hostname": "n8"]))
    for wish: JSONValue in [["accessModes": ["ReadWriteMany"]], ["volumeMode": "Block"], ["selector": [:]]] {
      #expect(throws: LocalPathProvisioner.Refusal.self) {
        try LocalPathProvisioner.volume(for: claim(wish), local, node: node)
      }
    }
  }

  @Test func aFolderIsRemovedBeforeItsVolumeAndOnlyIfItWasMadeForIt() throws {
    let node = Node(json: Fixture.node("n7"))
    let local = storageClass(
      "local-path",
      [
        "provisioner": .string(LocalPathProvisioner.name), "parameters": ["path": "/data", "helperImage": "tools:1"],
      ])
    var json = try LocalPathProvisioner.volume(for: claim(["storageClassName": "local-path"]), local, node: node)
    let now = WallTime(secondsSinceEpoch: 1_000_000)
    func helper(_ phase: String, age: Int64) -> Pod {
      var pod = Fixture.pod("helper-pod-delete-pvc-claim", node: "n7", namespace: "kube-system")
      pod["metadata"]["creationTimestamp"] = .string((now + .seconds(-age)).rfc3339)
      pod["status"] = ["phase": .string(phase)]
      return Pod(json: pod)
    }
    func step(_ helper: Pod?, on node: Node?) -> String {
      switch FolderCleaning(PersistentVolume(json: json), node: node, helper: helper, now: now) {
      case .start(let pod):
        "\(pod["spec"]["containers"][0]["image"].string ?? "") \(pod["spec"]["volumes"][0]["hostPath"]["path"].string ?? "")"
      case .wait(let delay, let remark): "wait \(delay.components.seconds)\(remark == nil ? "" : " and tell")"
      case .again: "again"
      case .finished: "finished"
      case .refuse(let remark): remark.message
      }
    }
    #expect(step(nil, on: node) == "tools:1 /data")
    #expect(step(helper("Pending", age: 20), on: node) == "wait 100")
    #expect(step(helper("Pending", age: 500), on: node) == "wait 120 and tell")
    #expect(step(helper("Failed", age: 10), on: node) == "wait 290 and tell")
    #expect(step(helper("Failed", age: 300), on: node) == "again")
    #expect(step(helper("Succeeded", age: 10), on: node) == "finished")
    #expect(step(nil, on: nil) == "finished", "it went with its node")
    for path in ["/etc", "/", "/pvc-claim_default_data", "data/pvc-claim_default_data", "/data/..", "/data/"] {
      json["spec"]["hostPath"]["path"] = .string(path)
      #expect(
        step(nil, on: node)
          == "failed to delete volume pvc-claim: \(path) is not a folder that was made for it")
    }
  }
}
