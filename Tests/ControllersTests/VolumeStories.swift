// Claims and volumes from beginning to end.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@Suite struct VolumeStories {
  private static func volume(_ name: String, size: String = "5Gi", _ spec: JSONValue = [:]) -> JSONValue {
    var all: JSONValue = [
      "capacity": ["storage": .string(size)], "accessModes": ["ReadWriteOnce"], "hostPath": ["path": "/disk"],
      "storageClassName": "manual",
    ]
    for (key, value) in spec.object ?? [:] { all[key] = value }
    return ["apiVersion": "v1", "kind": "PersistentVolume", "metadata": ["name": .string(name)], "spec": all]
  }

  private static func claim(_ name: String, className: String? = "manual", _ spec: JSONValue = [:]) -> JSONValue {
    var all: JSONValue = ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]]
    if let className { all["storageClassName"] = .string(className) }
    for (key, value) in spec.object ?? [:] { all[key] = value }
    return ["apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": ["name": .string(name)], "spec": all]
  }

  private static func read(_ plane: ControlPlane, claim name: String) async throws -> JSONValue {
    try await plane.admin.get(.persistentVolumeClaims, namespace: "default", name: name)
  }

  private static func phases(_ plane: ControlPlane) async throws -> [String: String] {
    try await plane.admin.list(.persistentVolumes).items.reduce(into: [:]) { phases, volume in
      phases[volume["metadata"]["name"].string ?? ""] = volume["status"]["phase"].string ?? ""
    }
  }

  @Test func aClaimAndAVolumeFindEachOtherAndPart() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      // The claim is there first; nothing suits until the second volume comes.
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim("data"))
      try await plane.admin.create(.persistentVolumes, Self.volume("tiny", size: "1Mi"))
      try await plane.world.eventually("told why not") {
        try await plane.events(of: "data").contains {
          $0 == "ProvisioningFailed: storageclass.storage.k8s.io \"manual\" not found"
        }
      }
      try await plane.admin.create(.persistentVolumes, Self.volume("disk"))
      try await plane.world.eventually("bound") {
        try await Self.read(plane, claim: "data")["status"]["phase"] == "Bound"
      }
      let claim = try await Self.read(plane, claim: "data")
      #expect(claim["spec"]["volumeName"] == "disk")
      #expect(claim["status"]["capacity"]["storage"] == "5Gi" && claim["status"]["accessModes"] == ["ReadWriteOnce"])
      #expect(claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes")
      #expect(claim["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] == "yes")
      let volume = try await plane.admin.get(.persistentVolumes, name: "disk")
      #expect(volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"])
      #expect(volume["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"] == "yes")
      #expect(try await Self.phases(plane) == ["tiny": "Available", "disk": "Bound"])
      // The claim goes: the volume keeps its data and is nobody's until somebody decides.
      try await plane.admin.delete(.persistentVolumeClaims, namespace: "default", name: "data")
      try await plane.world.eventually("released") { try await Self.phases(plane)["disk"] == "Released" }
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim("data"))
      try await plane.world.sleep(for: .seconds(30))
      #expect(try await Self.read(plane, claim: "data")["status"]["phase"] == "Pending", "another claim of that name")
      try await plane.admin.patch(.persistentVolumes, name: "disk", ["spec": ["claimRef": .null]], type: .merge)
      try await plane.world.eventually("bound again") {
        try await Self.read(plane, claim: "data")["status"]["phase"] == "Bound"
      }
      // The volume goes under the claim.
      try await plane.admin.delete(.persistentVolumes, name: "disk")
      try await plane.admin.patch(.persistentVolumes, name: "disk", ["metadata": ["finalizers": .null]], type: .merge)
      try await plane.world.eventually("lost") {
        try await Self.read(plane, claim: "data")["status"]["phase"] == "Lost"
      }
    }
  }

  @Test func manyClaimsNeverShareAVolume() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      for index in 0..<12 {
        try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim("data-\(index)"))
      }
      for index in 0..<10 { try await plane.admin.create(.persistentVolumes, Self.volume("disk-\(index)")) }
      try await plane.world.eventually("ten are bound", within: .seconds(120)) {
        let phases = try await Self.phases(plane)
        let claims = try await plane.admin.list(.persistentVolumeClaims, namespace: "default").items
        let bound = claims.filter { $0["status"]["phase"] == "Bound" }
        #expect(Set(bound.map { $0["spec"]["volumeName"] }).count == bound.count)
        return bound.count == 10 && phases.values.allSatisfy { $0 == "Bound" }
      }
    }
  }

  @Test func preboundVolumesAndClaimsAreHonoured() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await plane.admin.create(.persistentVolumes, Self.volume("small", size: "1Gi"))
      try await plane.admin.create(
        .persistentVolumes,
        Self.volume("mine", size: "9Gi", ["claimRef": ["namespace": "default", "name": "data"]]))
      try await plane.admin.create(.persistentVolumes, Self.volume("named", size: "8Gi"))
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim("data"))
      try await plane.admin.create(
        .persistentVolumeClaims, namespace: "default", Self.claim("wish", ["volumeName": "named"]))
      try await plane.world.eventually("both bound") {
        let data = try await Self.read(plane, claim: "data")
        let wish = try await Self.read(plane, claim: "wish")
        return data["spec"]["volumeName"] == "mine" && data["status"]["phase"] == "Bound"
          && wish["status"]["phase"] == "Bound"
      }
      let volume = try await plane.admin.get(.persistentVolumes, name: "mine")
      #expect(volume["metadata"]["annotations"]["pv.kubernetes.io/bound-by-controller"].isNull, "bound by its maker")
      #expect(try await Self.phases(plane)["small"] == "Available")
    }
  }

  @Test func aDefaultClassIsGivenInRetrospectAndItsProvisionerCalled() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      try await plane.admin.delete(.storageClasses, name: "local-path")
      try await plane.admin.create(
        .persistentVolumeClaims, namespace: "default", Self.claim("data", className: nil))
      try await plane.world.eventually("told why not") {
        try await plane.events(of: "data").contains {
          $0 == "FailedBinding: no persistent volumes available for this claim and no storage class is set"
        }
      }
      try await plane.admin.create(
        .storageClasses,
        [
          "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
          "metadata": [
            "name": "standard", "annotations": ["storageclass.kubernetes.io/is-default-class": "true"],
          ], "provisioner": "example.com/disks",
        ])
      try await plane.world.eventually("the provisioner is called") {
        let claim = try await Self.read(plane, claim: "data")
        return claim["spec"]["storageClassName"] == "standard"
          && claim["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"] == "example.com/disks"
      }
      let wait = "ExternalProvisioning: Waiting for a volume to be created either by the external provisioner "
      try await plane.world.eventually("told") {
        try await plane.events(of: "data").contains { $0.hasPrefix(wait) }
      }
      // What a provisioner does.
      let uid = try await Self.read(plane, claim: "data")["metadata"]["uid"]
      try await plane.admin.create(
        .persistentVolumes,
        Self.volume(
          "pvc-1",
          [
            "storageClassName": "standard",
            "claimRef": ["namespace": "default", "name": "data", "uid": uid],
          ]))
      try await plane.world.eventually("bound") {
        try await Self.read(plane, claim: "data")["status"]["phase"] == "Bound"
      }
    }
  }

  @Test func whatCannotBeReclaimedFailsAndSaysSo() throws {
    try ControlPlane(nodes: 0, scheduler: false).tell { plane in
      for (name, policy) in [("old", "Recycle"), ("bare", "Delete")] {
        try await plane.admin.create(
          .persistentVolumes, Self.volume(name, ["persistentVolumeReclaimPolicy": .string(policy)]))
        try await plane.admin.create(
          .persistentVolumeClaims, namespace: "default", Self.claim(name, ["volumeName": .string(name)]))
        try await plane.world.eventually("\(name) is bound") { try await Self.phases(plane)[name] == "Bound" }
        try await plane.admin.delete(.persistentVolumeClaims, namespace: "default", name: name)
        try await plane.world.eventually("\(name) has failed") { try await Self.phases(plane)[name] == "Failed" }
      }
      try await plane.world.eventually("told") {
        let events = try await plane.events(of: "old") + plane.events(of: "bare")
        return events.contains { $0 == "VolumeFailedRecycle: No recycler plugin found for the volume!" }
          && events.contains { $0.hasPrefix("VolumeFailedDelete: ") }
      }
    }
  }

  private static func pod(_ name: String, claim: String) -> JSONValue {
    var pod = Fixture.pod(name)
    pod["spec"]["terminationGracePeriodSeconds"] = 1
    pod["spec"]["volumes"] = [["name": "data", "persistentVolumeClaim": ["claimName": .string(claim)]]]
    return pod
  }

  private static func ready(_ plane: ControlPlane, nodes: Int) async throws {
    try await plane.world.eventually("nodes and the account are there", within: .seconds(30)) {
      let account = try await plane.admin.find(.serviceAccounts, namespace: "default", name: "default")
      return try await plane.admin.list(.nodes).items.count == nodes && account != nil
    }
  }

  @Test func aFolderIsMadeWhereTheFirstPodComesAndGoesWithItsClaim() throws {
    try ControlPlane(nodes: 3).tell { plane in
      try await Self.ready(plane, nodes: 3)
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim("data", className: nil))
      try await plane.world.eventually("it waits for a pod") {
        try await plane.events(of: "data").contains(
          "WaitForFirstConsumer: waiting for first consumer to be created before binding")
      }
      #expect(try await plane.admin.list(.persistentVolumes).items.isEmpty)
      try await plane.admin.create(.pods, namespace: "default", Self.pod("first", claim: "data"))
      try await plane.world.eventually("the pod runs", within: .seconds(60)) {
        try await plane.pods().contains { $0.name == "first" && $0.isReady }
      }
      let node = try await plane.pods()[0].spec.nodeName
      let claim = try await Self.read(plane, claim: "data")
      #expect(claim["spec"]["storageClassName"] == "local-path" && claim["status"]["phase"] == "Bound")
      #expect(claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"].string == node)
      let name = "pvc-\(claim["metadata"]["uid"].string ?? "")"
      #expect(claim["spec"]["volumeName"].string == name)
      try await plane.world.eventually("told") {
        try await plane.events(of: "data").contains("ProvisioningSucceeded: Successfully provisioned volume \(name)")
      }
      // Whoever comes later has to come to that node.
      try await plane.admin.create(.pods, namespace: "default", Self.pod("second", claim: "data"))
      try await plane.world.eventually("beside the first", within: .seconds(60)) {
        try await plane.pods().contains { $0.name == "second" && $0.spec.nodeName == node }
      }
      try await plane.admin.patch(.nodes, name: node, ["spec": ["unschedulable": true]], type: .merge)
      try await plane.admin.create(.pods, namespace: "default", Self.pod("third", claim: "data"))
      try await plane.world.eventually("there is no room elsewhere", within: .seconds(30)) {
        try await plane.pods().first { $0.name == "third" }?.status.condition("PodScheduled")?.message
          .hasPrefix(
            "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) had volume node affinity conflict.")
          == true
      }
      for name in ["first", "second", "third"] {
        try await plane.admin.delete(.pods, namespace: "default", name: name)
      }
      try await plane.admin.delete(.persistentVolumeClaims, namespace: "default", name: "data")
      // Its folder goes first, cordoned as its node is.
      let folder = "\(name)_default_data"
      try await plane.world.eventually("a pod removes the folder", within: .seconds(120)) {
        let helper = try await plane.admin.find(.pods, namespace: "kube-system", name: "helper-pod-delete-\(name)")
        let spec = helper?["spec"] ?? .null
        return spec["nodeName"].string == node
          && spec["containers"][0]["command"] == ["rm", "-rf", .string("/volumes/\(folder)")]
          && spec["volumes"][0]["hostPath"]["path"] == "/var/lib/trireme/volumes"
      }
      try await plane.world.eventually("claim, volume and helper are gone", within: .seconds(120)) {
        let volumes = try await plane.admin.list(.persistentVolumes).items
        let claim = try await plane.admin.find(.persistentVolumeClaims, namespace: "default", name: "data")
        let helpers = try await plane.pods(namespace: "kube-system")
        return volumes.isEmpty && claim == nil && helpers.isEmpty
      }
    }
  }

  /// A volume that somebody deletes before its claim goes after it, and its folder before it (KEP-2644).
  @Test func aVolumeThatIsDeletedByHandLeavesNoFolder() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await Self.ready(plane, nodes: 1)
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim("data", className: nil))
      try await plane.admin.create(.pods, namespace: "default", Self.pod("first", claim: "data"))
      try await plane.world.eventually("the pod runs", within: .seconds(60)) {
        try await plane.pods().contains { $0.name == "first" && $0.isReady }
      }
      let name = try await Self.read(plane, claim: "data")["spec"]["volumeName"].string ?? ""
      try await plane.admin.delete(.persistentVolumes, name: name)
      let deleted = try await plane.admin.get(.persistentVolumes, name: name)
      #expect(
        deleted["metadata"]["finalizers"] == ["kubernetes.io/pv-controller", "kubernetes.io/pv-protection"]
          && deleted["status"]["phase"] == "Bound")
      try await plane.admin.delete(.pods, namespace: "default", name: "first")
      try await plane.admin.delete(.persistentVolumeClaims, namespace: "default", name: "data")
      try await plane.world.eventually("a pod removes the folder", within: .seconds(120)) {
        let helper = try await plane.admin.find(.pods, namespace: "kube-system", name: "helper-pod-delete-\(name)")
        return helper?["spec"]["containers"][0]["command"]
          == ["rm", "-rf", .string("/volumes/\(name)_default_data")]
      }
      try await plane.world.eventually("volume and helper are gone", within: .seconds(120)) {
        let volumes = try await plane.admin.list(.persistentVolumes).items
        let helpers = try await plane.pods(namespace: "kube-system")
        return volumes.isEmpty && helpers.isEmpty
      }
    }
  }

  /// What is to be kept is held by nobody: a class may say Delete, an operator Retain.
  @Test func aVolumeThatIsToBeKeptGoesAtOnce() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await Self.ready(plane, nodes: 1)
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim("data", className: nil))
      try await plane.admin.create(.pods, namespace: "default", Self.pod("first", claim: "data"))
      try await plane.world.eventually("the pod runs", within: .seconds(60)) {
        try await plane.pods().contains { $0.name == "first" && $0.isReady }
      }
      let name = try await Self.read(plane, claim: "data")["spec"]["volumeName"].string ?? ""
      try await plane.admin.patch(
        .persistentVolumes, name: name, ["spec": ["persistentVolumeReclaimPolicy": "Retain"]], type: .merge)
      try await plane.world.eventually("held no more") {
        try await plane.admin.get(.persistentVolumes, name: name)["metadata"]["finalizers"]
          == ["kubernetes.io/pv-protection"]
      }
      try await plane.admin.delete(.pods, namespace: "default", name: "first")
      try await plane.admin.delete(.persistentVolumeClaims, namespace: "default", name: "data")
      try await plane.world.eventually("released", within: .seconds(60)) {
        try await plane.admin.get(.persistentVolumes, name: name)["status"]["phase"] == "Released"
      }
      try await plane.admin.delete(.persistentVolumes, name: name)
      try await plane.world.eventually("gone") {
        try await plane.admin.find(.persistentVolumes, namespace: "", name: name) == nil
      }
      #expect(try await plane.pods(namespace: "kube-system").isEmpty)
    }
  }

  @Test func volumesOfNodesAreSharedOutAmongPodsThatWait() throws {
    try ControlPlane(nodes: 3).tell { plane in
      try await Self.ready(plane, nodes: 3)
      try await plane.admin.create(
        .storageClasses,
        [
          "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": ["name": "disks"],
          "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer",
        ])
      for index in 0..<3 {
        try await plane.admin.create(
          .persistentVolumes,
          Self.volume(
            "disk-\(index)",
            [
              "storageClassName": "disks", "hostPath": .null, "local": ["path": "/disk"],
              "nodeAffinity": [
                "required": [
                  "nodeSelectorTerms": [
                    [
                      "matchExpressions": [
                        ["key": "kubernetes.io/hostname", "operator": "In", "values": [.string("node-\(index)")]]
                      ]
                    ]
                  ]
                ]
              ],
            ]))
      }
      for index in 0..<4 {
        try await plane.admin.create(
          .persistentVolumeClaims, namespace: "default", Self.claim("data-\(index)", className: "disks"))
        try await plane.admin.create(
          .pods, namespace: "default", Self.pod("user-\(index)", claim: "data-\(index)"))
      }
      try await plane.world.eventually("three run, each on another node", within: .seconds(120)) {
        let running = try await plane.pods().filter(\.isReady)
        return running.count == 3 && Set(running.map(\.spec.nodeName)).count == 3
      }
      try await plane.world.eventually("the fourth is told why not", within: .seconds(60)) {
        try await plane.pods().first { !$0.isReady }?.status.condition("PodScheduled")?.message
          .hasPrefix("0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind.") == true
      }
      #expect(try await Self.phases(plane).values.allSatisfy { $0 == "Bound" })
    }
  }

  @Test func aPodWaitsForAClaimThatIsNotBound() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await Self.ready(plane, nodes: 1)
      try await plane.admin.create(.pods, namespace: "default", Self.pod("user", claim: "data"))
      @Sendable func message() async throws -> String {
        try await plane.pods()[0].status.condition("PodScheduled")?.message ?? ""
      }
      try await plane.world.eventually("there is no claim") {
        try await message().hasPrefix("0/1 nodes are available: persistentvolumeclaim \"data\" not found.")
      }
      try await plane.admin.create(.persistentVolumeClaims, namespace: "default", Self.claim("data", className: ""))
      try await plane.world.eventually("there is no volume", within: .seconds(30)) {
        try await message().hasPrefix("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")
      }
      try await plane.admin.create(.persistentVolumes, Self.volume("disk", ["storageClassName": ""]))
      try await plane.world.eventually("it runs", within: .seconds(60)) { try await plane.pods()[0].isReady }
    }
  }

  @Test func anEphemeralVolumeIsMadeForItsPodAndGoesWithIt() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await Self.ready(plane, nodes: 1)
      var pod = Fixture.pod("user")
      pod["spec"]["terminationGracePeriodSeconds"] = 1
      pod["spec"]["volumes"] = [
        [
          "name": "scratch",
          "ephemeral": [
            "volumeClaimTemplate": [
              "metadata": ["labels": ["of": "user"]],
              "spec": ["accessModes": ["ReadWriteOnce"], "resources": ["requests": ["storage": "1Gi"]]],
            ]
          ],
        ]
      ]
      try await plane.admin.create(.pods, namespace: "default", pod)
      try await plane.world.eventually("it runs", within: .seconds(60)) {
        try await plane.pods().first?.isReady == true
      }
      let claim = try await Self.read(plane, claim: "user-scratch")
      #expect(claim["status"]["phase"] == "Bound" && claim["metadata"]["labels"]["of"] == "user")
      #expect(claim["metadata"]["ownerReferences"][0]["kind"] == "Pod")
      try await plane.admin.delete(.pods, namespace: "default", name: "user")
      try await plane.world.eventually("nothing is left", within: .seconds(120)) {
        let claims = try await plane.claims()
        let volumes = try await plane.admin.list(.persistentVolumes).items
        return claims.isEmpty && volumes.isEmpty
      }
    }
  }
}
