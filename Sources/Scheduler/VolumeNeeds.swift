// What a pod's claims ask of its node, as values (spec/6 §6.1, VolumeBinding): volumes that are bound must be reachable from
// it, and those that wait for their first pod must be found, or made, there.
import Client
import Schema

/// The claims, volumes and classes of the cluster, as the scheduler knows them.
protocol VolumeKnowledge: Sendable {
  func claim(_ key: NamespacedName) -> PersistentVolumeClaim?
  func volume(_ name: String) -> PersistentVolume?
  /// Volumes of a class that are nobody's, and those meant for the claim.
  func candidates(for claim: PersistentVolumeClaim) -> [PersistentVolume]
  func storageClass(_ name: String) -> StorageClass?
  /// How many volumes a driver can attach to a node; nil where nobody says.
  func volumeLimits(node: String) -> [String: Int64]
  /// Where there is room for volumes of a class; nil where its provisioner does not tell.
  func capacities(of storageClass: StorageClass) -> [CSIStorageCapacity]?
}

/// What is to be done about a pod's claims before it can be bound to its node.
struct VolumeChoice: Sendable {
  /// Volumes that are there, each for a claim.
  var bindings: [(volume: PersistentVolume, claim: PersistentVolumeClaim)] = []
  /// Claims for which a volume is to be made on the node.
  var toProvision: [PersistentVolumeClaim] = []

  var claims: [PersistentVolumeClaim] { bindings.map(\.claim) + toProvision }
}

struct VolumeNeeds: Sendable {
  private struct Unbound {
    var claim: PersistentVolumeClaim
    var candidates: [PersistentVolume]
    var storageClass: StorageClass
    var capacities: [CSIStorageCapacity]?

    /// Whether there is room for a volume of the claim where the node could use it.
    func hasRoom(_ labels: [String: String]) -> Bool {
      guard let capacities, claim.requested > .zero else { return true }
      return capacities.contains { $0.suffices(for: claim.requested, labels: labels) }
    }
  }

  /// Why no node will do, whichever it is.
  private(set) var obstacle: String?
  private var bound: [PersistentVolume] = []
  private var unbound: [Unbound] = []
  /// Volumes that other pods are about to get.
  private let excluded: Set<String>
  /// Its claims that one pod at a time may use.
  private(set) var exclusiveClaims: [NamespacedName] = []
  private let profile: SchedulerProfile
  private let knowledge: any VolumeKnowledge
  /// What the pod would have attached.
  private var attachments: Set<VolumeAttachment> = []

  /// Nil for a pod without claims.
  init?(
    _ pod: Pod, _ knowledge: some VolumeKnowledge, excluded: Set<String>, profile: SchedulerProfile = .standard
  ) {
    self.profile = profile
    self.knowledge = knowledge
    let ephemeral = pod.spec.ephemeralVolumes.map { "\(pod.name)-\($0)" }
    guard !pod.spec.claims.isEmpty || !ephemeral.isEmpty else { return nil }
    self.excluded = excluded
    for name in pod.spec.claims + ephemeral {
      let key = NamespacedName(namespace: pod.namespace, name: name)
      guard let claim = knowledge.claim(key) else {
        obstacle =
          ephemeral.contains(name)
          ? "waiting for ephemeral volume controller to create the persistentvolumeclaim \"\(name)\""
          : "persistentvolumeclaim \"\(name)\" not found"
        return
      }
      if ephemeral.contains(name), claim.metadata.controller?.uid != pod.metadata.uid {
        obstacle = "PVC \(key) was not created for pod \(pod.key) (pod is not owner)"
        return
      }
      if claim.accessModes.contains("ReadWriteOncePod"), profile.has(.volumeRestrictions, at: .filter) {
        exclusiveClaims.append(key)
      }
      if let attachment = VolumeAttachment(claim, knowledge) { attachments.insert(attachment) }
      guard profile.has(.volumeBinding, at: .filter) || profile.has(.volumeZone, at: .filter) else { continue }
      add(claim, knowledge)
      if obstacle != nil { return }
    }
    // The one with the fewest volumes to choose from chooses first.
    unbound.sort { ($0.claim.requested, $0.claim.name) < ($1.claim.requested, $1.claim.name) }
  }

  private mutating func add(_ claim: PersistentVolumeClaim, _ knowledge: some VolumeKnowledge) {
    if claim.phase == "Lost" {
      obstacle =
        "persistentvolumeclaim \"\(claim.name)\" bound to non-existent persistentvolume \"\(claim.volumeName)\""
    } else if claim.metadata.isBeingDeleted {
      obstacle = "persistentvolumeclaim \"\(claim.name)\" is being deleted"
    } else if claim.isBound {
      guard let volume = knowledge.volume(claim.volumeName) else {
        obstacle =
          "persistentvolumeclaim \"\(claim.name)\" bound to non-existent persistentvolume \"\(claim.volumeName)\""
        return
      }
      bound.append(volume)
    } else if claim.volumeName.isEmpty, let storageClass = claim.className.flatMap(knowledge.storageClass),
      storageClass.waitsForConsumer
    {
      unbound.append(
        Unbound(
          claim: claim, candidates: knowledge.candidates(for: claim), storageClass: storageClass,
          capacities: knowledge.capacities(of: storageClass)))
    } else {
      obstacle = "pod has unbound immediate PersistentVolumeClaims"
    }
  }

  /// Nil when the node will do, on which these pods stand.
  func refusal(_ node: NodeFacts, _ pods: [PlacedPod]) -> Refusal? {
    if profile.has(.nodeVolumeLimits, at: .filter), exceedsLimits(of: node.name, pods) { return .volumeCount }
    if profile.has(.volumeBinding, at: .filter) {
      if !bound.allSatisfy({ $0.isReachable(from: node.name, labels: node.labels) }) { return .volumeNodeAffinity }
      if !unbound.isEmpty {
        guard let choice = choice(node.name, node.labels) else { return .volumesNotFound }
        // Of what is being made already nobody asks whether there is room.
        let new = Set(choice.toProvision.filter { $0.selectedNode == nil }.map(\.key))
        if !unbound.allSatisfy({ !new.contains($0.claim.key) || $0.hasRoom(node.labels) }) { return .notEnoughStorage }
      }
    }
    return profile.has(.volumeZone, at: .filter) && !bound.allSatisfy({ $0.isInZone(of: node.labels) })
      ? .volumeZone : nil
  }

  /// One of the pod's drivers could not attach what it would have to, with what is attached there already.
  private func exceedsLimits(of node: String, _ pods: [PlacedPod]) -> Bool {
    guard !attachments.isEmpty else { return false }
    let limits = knowledge.volumeLimits(node: node)
    guard attachments.contains(where: { limits[$0.driver] != nil }) else { return false }
    var attached: Set<VolumeAttachment> = []
    for pod in pods {
      for name in pod.claims {
        let claim = knowledge.claim(NamespacedName(namespace: pod.key.namespace, name: name))
        if let attachment = claim.flatMap({ VolumeAttachment($0, knowledge) }) { attached.insert(attachment) }
      }
    }
    let new = attachments.subtracting(attached)
    return Set(new.map(\.driver)).contains { driver in
      guard let limit = limits[driver] else { return false }
      return Int64(attached.count { $0.driver == driver } + new.count { $0.driver == driver }) > limit
    }
  }

  /// What becomes of the claims when the pod goes to the node; nil when they cannot be met there.
  func choice(_ name: String, _ labels: [String: String]) -> VolumeChoice? {
    var choice = VolumeChoice()
    var taken = excluded
    for need in unbound {
      if let selected = need.claim.selectedNode {
        // A volume is being made elsewhere, or here.
        guard selected == name else { return nil }
        choice.toProvision.append(need.claim)
        continue
      }
      let best = VolumeMatch.best(
        for: need.claim, among: need.candidates, node: (name: name, labels: labels), excluded: taken)
      if let best {
        taken.insert(best.name)
        choice.bindings.append((best, need.claim))
      } else if need.storageClass.provisioner != StorageClass.noProvisioner, need.storageClass.allows(labels: labels) {
        choice.toProvision.append(need.claim)
      } else {
        return nil
      }
    }
    return choice
  }
}
