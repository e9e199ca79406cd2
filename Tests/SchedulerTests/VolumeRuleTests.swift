// Zones of volumes, limits of drivers, claims for one pod at a time, and disks that cannot be shared.
import Client
import JSON
import Schema
import TestSupport
import Testing

@testable import Scheduler

/// Claims, volumes and limits of a test.
private struct Storage: VolumeKnowledge {
  var claims: [String: PersistentVolumeClaim] = [:]
  var volumes: [String: PersistentVolume] = [:]
  var limits: [String: [String: Int64]] = [:]
  var classes: [String: StorageClass] = [:]
  var room: [CSIStorageCapacity]?

  func claim(_ key: NamespacedName) -> PersistentVolumeClaim? { claims[key.name] }
  func volume(_ name: String) -> PersistentVolume? { volumes[name] }
  func candidates(for claim: PersistentVolumeClaim) -> [PersistentVolume] { [] }
  func storageClass(_ name: String) -> StorageClass? { classes[name] }
  func capacities(of storageClass: StorageClass) -> [CSIStorageCapacity]? { room }
  func volumeLimits(node: String) -> [String: Int64] { limits[node] ?? [:] }

  /// A claim bound to a volume of its name.
  mutating func bind(_ name: String, modes: JSONValue = ["ReadWriteOnce"], labels: JSONValue = [:]) {
    claims[name] = PersistentVolumeClaim(json: [
      "metadata": [
        "name": .string(name), "namespace": "default", "annotations": ["pv.kubernetes.io/bind-completed": "yes"],
      ],
      "spec": ["volumeName": .string(name), "accessModes": modes], "status": ["phase": "Bound"],
    ])
    volumes[name] = PersistentVolume(json: [
      "metadata": ["name": .string(name), "labels": labels],
      "spec": ["csi": ["driver": "disks.io", "volumeHandle": .string("handle-\(name)")], "accessModes": modes],
    ])
  }
}

@Suite struct VolumeRuleTests {
  private func pod(_ name: String, claims: [String] = [], volume: JSONValue? = nil, priority: Int64 = 0) -> Pod {
    var json = Fixture.pod(name)
    json["metadata"]["uid"] = .string("uid-\(name)")
    json["spec"]["priority"] = .integer(priority)
    json["spec"]["volumes"] = .array(
      claims.map { ["name": .string($0), "persistentVolumeClaim": ["claimName": .string($0)]] }
        + (volume.map { [$0] } ?? []))
    return Pod(json: json)
  }

  /// The node, or the words of the refusal.
  private func decide(_ pod: Pod, _ snapshot: inout ClusterSnapshot, _ storage: Storage) -> String {
    var cycle = SchedulingCycle()
    var chance = Chance()
    let prepared = PodToSchedule(
      pod, defaultSpread: nil, volumes: VolumeNeeds(pod, storage, excluded: []))
    switch cycle.choose(prepared, in: &snapshot, chance: &chance) {
    case .success(let node): return node
    case .failure(var error):
      let preemption = Preemption(prepared, policy: "", budgets: [])
      if case .victims(let victims, let node) = preemption.plan(error, in: &snapshot, chance: &chance) {
        return "room on \(node) of \(victims.map(\.key.name).joined(separator: ", "))"
      }
      error.preemption = ""
      return error.message
    }
  }

  private func snapshot(_ nodes: JSONValue...) -> ClusterSnapshot {
    var snapshot = ClusterSnapshot()
    for node in nodes { snapshot.put(Node(json: node)) }
    return snapshot
  }

  @Test func podsGoWhereTheirVolumesZonesAre() {
    var storage = Storage()
    storage.bind("data", labels: ["topology.kubernetes.io/zone": "z1__z2"])
    storage.bind("old", labels: ["failure-domain.beta.kubernetes.io/zone": "z3"])
    var nodes = snapshot(
      Fixture.node("a", labels: ["topology.kubernetes.io/zone": "z3"]),
      Fixture.node("b", labels: ["topology.kubernetes.io/zone": "z2"]))
    #expect(decide(pod("p", claims: ["data"]), &nodes, storage) == "b")
    // The label's former name means the same.
    #expect(decide(pod("p", claims: ["old"]), &nodes, storage) == "a")
    #expect(
      decide(pod("p", claims: ["data", "old"]), &nodes, storage)
        == "0/2 nodes are available: 2 node(s) had no available volume zone.")
    var bare = snapshot(Fixture.node("nowhere"))
    #expect(decide(pod("p", claims: ["data"]), &bare, storage) == "nowhere")
  }

  @Test func driversAttachNoMoreThanTheyCan() {
    var storage = Storage()
    for name in ["v1", "v2", "v3"] { storage.bind(name) }
    storage.limits = ["a": ["disks.io": 2]]
    var nodes = snapshot(Fixture.node("a"))
    nodes.place(PlacedPod(pod("x", claims: ["v1", "v2"])), on: "a")
    // One that is attached already costs nothing.
    #expect(decide(pod("p", claims: ["v2"]), &nodes, storage) == "a")
    #expect(
      decide(pod("p", claims: ["v3"]), &nodes, storage)
        == "0/1 nodes are available: 1 node(s) exceed max volume count.")
    #expect(decide(pod("p", claims: ["v3"], priority: 1), &nodes, storage) == "room on a of x")
    storage.limits = [:]
    #expect(decide(pod("p", claims: ["v3"]), &nodes, storage) == "a")
  }

  @Test func volumesAreMadeWhereThereIsRoomForThem() {
    var storage = Storage()
    storage.classes["disks"] = StorageClass(json: [
      "metadata": ["name": "disks"], "provisioner": "disks.io", "volumeBindingMode": "WaitForFirstConsumer",
    ])
    storage.claims["data"] = PersistentVolumeClaim(json: [
      "metadata": ["name": "data", "namespace": "default"],
      "spec": ["storageClassName": "disks", "resources": ["requests": ["storage": "5Gi"]]],
      "status": ["phase": "Pending"],
    ])
    func room(_ node: String, _ capacity: String, largest: String? = nil) -> CSIStorageCapacity {
      var json: JSONValue = [
        "storageClassName": "disks", "capacity": .string(capacity),
        "nodeTopology": ["matchLabels": ["kubernetes.io/hostname": .string(node)]],
      ]
      if let largest { json["maximumVolumeSize"] = .string(largest) }
      return CSIStorageCapacity(json: json)
    }
    var nodes = snapshot(Fixture.node("a"), Fixture.node("b"))
    storage.room = [room("a", "4Gi"), room("b", "5Gi")]
    for _ in 0..<8 { #expect(decide(pod("p", claims: ["data"]), &nodes, storage) == "b") }
    // In pieces too small for it there is no room.
    storage.room = [room("a", "4Gi"), room("b", "100Gi", largest: "2Gi")]
    #expect(
      decide(pod("p", claims: ["data"]), &nodes, storage)
        == "0/2 nodes are available: 2 node(s) did not have enough free storage.")
    storage.room = []
    #expect(decide(pod("p", claims: ["data"]), &nodes, storage).contains("2 node(s) did not have enough free storage"))
    // A driver that does not tell is believed to have room.
    storage.room = nil
    #expect(["a", "b"].contains(decide(pod("p", claims: ["data"]), &nodes, storage)))
  }

  @Test func roomForAPodIsMadeWhereItsVolumeIs() {
    var storage = Storage()
    storage.bind("data")
    storage.volumes["data"] = PersistentVolume(json: [
      "metadata": ["name": "data"],
      "spec": [
        "local": ["path": "/disk"],
        "nodeAffinity": [
          "required": [
            "nodeSelectorTerms": [
              ["matchExpressions": [["key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]]]]
            ]
          ]
        ],
      ],
    ])
    var nodes = snapshot(Fixture.node("a", pods: "1"), Fixture.node("b", pods: "1"))
    // Whoever is less important there has to go, though others elsewhere are less important still.
    nodes.place(PlacedPod(pod("cheap")), on: "a")
    nodes.place(PlacedPod(pod("holder", priority: 5)), on: "b")
    #expect(decide(pod("p", claims: ["data"], priority: 10), &nodes, storage) == "room on b of holder")
    #expect(
      decide(pod("p", claims: ["data"], priority: 5), &nodes, storage)
        == "0/2 nodes are available: 2 Too many pods.")
    // It was a thought: all stand where they stood.
    #expect(nodes.nodes.map(\.pods.count) == [1, 1])
  }

  @Test func aClaimForOnePodIsGivenOnce() {
    var storage = Storage()
    storage.bind("mine", modes: ["ReadWriteOncePod"])
    var nodes = snapshot(Fixture.node("a"), Fixture.node("b"))
    nodes.place(PlacedPod(pod("holder", claims: ["mine"])), on: "a")
    nodes.place(PlacedPod(pod("bystander")), on: "b")
    let why = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
    #expect(decide(pod("p", claims: ["mine"]), &nodes, storage) == "0/2 nodes are available: 2 \(why).")
    // Only where its holder is does it help to remove somebody.
    #expect(decide(pod("p", claims: ["mine"], priority: 1), &nodes, storage) == "room on a of holder")
    nodes.remove(pod: "uid-holder")
    #expect(["a", "b"].contains(decide(pod("p", claims: ["mine"]), &nodes, storage)))
    #expect(nodes.claimUsers.isEmpty)
  }

  @Test func disksAreSharedOnlyToReadFrom() {
    func gce(_ isReadOnly: JSONValue) -> JSONValue {
      ["name": "v", "gcePersistentDisk": ["pdName": "disk", "readOnly": isReadOnly]]
    }
    func disk(_ json: JSONValue) -> ExclusiveDisk? { ExclusiveDisk(json: json) }
    var nodes = snapshot(Fixture.node("a"))
    nodes.place(PlacedPod(pod("x", volume: gce(true))), on: "a")
    #expect(decide(pod("p", volume: gce(true)), &nodes, Storage()) == "a")
    #expect(
      decide(pod("p", volume: gce(false)), &nodes, Storage())
        == "0/1 nodes are available: 1 node(s) had no available disk.")
    #expect(decide(pod("p", volume: gce(false), priority: 1), &nodes, Storage()) == "room on a of x")
    func conflict(_ one: JSONValue, _ other: JSONValue) -> Bool? {
      guard let one = disk(one), let other = disk(other) else { return nil }
      return one.conflicts(with: other)
    }
    let ebs: JSONValue = ["awsElasticBlockStore": ["volumeID": "v", "readOnly": true]]
    #expect(conflict(ebs, ebs) == true && conflict(ebs, gce(false)) == false)
    func rbd(_ monitors: JSONValue) -> JSONValue { ["rbd": ["monitors": monitors, "image": "i"]] }
    #expect(conflict(rbd(["m1", "m2"]), rbd(["m2"])) == true && conflict(rbd(["m1"]), rbd(["m2"])) == false)
    let iscsi: JSONValue = ["iscsi": ["targetPortal": "p", "iqn": "q", "lun": 0]]
    #expect(conflict(iscsi, iscsi) == true)
    #expect(disk(["emptyDir": [:]]) == nil)
  }
}
