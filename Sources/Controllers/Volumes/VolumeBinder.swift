// Claims and volumes find each other (spec/5 §5.9): claims are bound, provisioned for, or told why not; volumes whose claims
// have gone are released.
import Client
import JSON
import Logging
import Schema
import World

public final class VolumeBinder: Controller {
  public static let serviceAccount = "persistent-volume-binder"
  /// Its events come from here.
  private static let component = "persistentvolume-controller"
  private static let workers = 4

  private enum Key: Hashable, Sendable, CustomStringConvertible {
    case claim(NamespacedName)
    case volume(String)
    var description: String {
      switch self {
      case .claim(let key): "claim \(key)"
      case .volume(let name): "volume \(name)"
      }
    }
  }

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let queue: WorkQueue<Key>

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = EventRecorder(client: client, component: Self.component, logger: context.logger)
    logger = context.logger
    self.informers = informers
    queue = context.makeQueue("volumes")
    informers.claims.onEvent { [weak self] event in self?.claimChanged(event) }
    informers.volumes.onEvent { [weak self] event in self?.volumeChanged(event) }
    informers.storageClasses.onEvent { [weak self] event in self?.classChanged(event.object) }
    informers.pods.onEvent { [weak self] event in self?.podChanged(event) }
  }

  public func run() async {
    await informers.claims.waitForSync()
    await informers.volumes.waitForSync()
    await informers.storageClasses.waitForSync()
    await informers.pods.waitForSync()
    await informers.nodes.waitForSync()
    await queue.run(
      workers: Self.workers, onError: { [logger] key, error in logger.debug("binding of \(key): \(error)") },
      sync: { key in
        switch key {
        case .claim(let key): try await self.syncClaim(key)
        case .volume(let name): try await self.syncVolume(name)
        }
      })
  }

  // MARK: Observing

  private func claimChanged(_ event: InformerEvent<PersistentVolumeClaim>) {
    let claim = event.object
    if case .deleted = event {
      for volume in informers.volumes.objects(
        index: IndexName.volumeUse, value: PersistentVolume.useKey(claim: claim.key))
      {
        queue.add(.volume(volume.name))
      }
    } else {
      queue.add(.claim(claim.key))
    }
    if !claim.volumeName.isEmpty { queue.add(.volume(claim.volumeName)) }
  }

  private func volumeChanged(_ event: InformerEvent<PersistentVolume>) {
    let volume = event.object
    queue.add(.volume(volume.name))
    enqueueClaims(PersistentVolumeClaim.useKey(volume: volume.name))
    if let claim = volume.claim {
      queue.add(.claim(claim.key))
    } else {
      enqueueClaims(PersistentVolumeClaim.useKey(class: volume.className))
    }
  }

  private func classChanged(_ storageClass: StorageClass) {
    enqueueClaims(PersistentVolumeClaim.useKey(class: storageClass.name))
    if storageClass.isDefault { enqueueClaims(PersistentVolumeClaim.unclassed) }
  }

  /// A claim that waits for its first pod tells which one it is.
  private func podChanged(_ event: InformerEvent<Pod>) {
    if let volume = event.object.metadata.labels[FolderCleaning.volumeLabel] { queue.add(.volume(volume)) }
    guard case .added(let pod) = event, pod.spec.nodeName.isEmpty else { return }
    for name in pod.claimNames {
      let key = NamespacedName(namespace: pod.namespace, name: name)
      if informers.claims.get(key)?.isBound == false { queue.add(.claim(key)) }
    }
  }

  private func enqueueClaims(_ use: String) {
    for claim in informers.claims.objects(index: IndexName.claimUse, value: use).sorted(by: { $0.key < $1.key }) {
      queue.add(.claim(claim.key))
    }
  }

  // MARK: Claims

  private func syncClaim(_ key: NamespacedName) async throws {
    guard let claim = informers.claims.get(key) else { return }
    switch ClaimPlan(claim, surroundings(of: claim)) {
    case .nothing: return
    case .bind(let volume): try await bind(volume, to: claim)
    case .assign(let className):
      try await client.revise(.persistentVolumeClaims, key, uid: claim.metadata.uid) { object in
        guard object["spec"]["storageClassName"].isNull else { return false }
        object["spec"]["storageClassName"] = .string(className)
        return true
      }
    case .provision(let storageClass): try await provision(storageClass, for: claim)
    case .wait(let remark):
      if let remark { report(remark, .init(claim)) }
      try await setClaimStatus("Pending", of: claim)
    case .lose(let remark):
      guard claim.phase != "Lost" else { return }
      try await setClaimStatus("Lost", of: claim)
      report(remark, .init(claim))
    }
  }

  private func surroundings(of claim: PersistentVolumeClaim) -> ClaimSurroundings {
    var surroundings = ClaimSurroundings()
    if !claim.volumeName.isEmpty {
      surroundings.named = informers.volumes.get(name: claim.volumeName)
      return surroundings
    }
    let uses = [
      PersistentVolume.useKey(claim: claim.key), PersistentVolume.useKey(class: claim.className ?? ""),
    ]
    surroundings.candidates = uses.flatMap { informers.volumes.objects(index: IndexName.volumeUse, value: $0) }
    if let className = claim.className {
      surroundings.storageClass = informers.storageClasses.get(name: className)
    } else {
      surroundings.defaultClass = VolumeMatch.defaultClass(among: informers.storageClasses.all)
    }
    if surroundings.storageClass?.waitsForConsumer == true && claim.selectedNode == nil {
      surroundings.waitingPods = informers.pods.objects(index: IndexName.claim, value: "\(claim.key)")
        .filter { $0.spec.nodeName.isEmpty && $0.isActive }.map(\.name).sorted()
    }
    return surroundings
  }

  /// The volume is told first: whoever finds it bound knows for whom. Each of the four writes is left out where it has
  /// been made, so that a binding that was interrupted is completed.
  private func bind(_ volume: PersistentVolume, to claim: PersistentVolumeClaim) async throws {
    if volume.claim?.uid != claim.metadata.uid {
      let revised = try await client.revise(.persistentVolumes, volume.key, uid: volume.metadata.uid) { object in
        let live = PersistentVolume(json: object)
        if live.claim?.uid == claim.metadata.uid { return false }
        guard live.claim == nil || live.isFor(claim) else { return false }
        if live.claim == nil { object["metadata"]["annotations"][VolumeAnnotation.boundByController] = "yes" }
        object["spec"]["claimRef"] = claim.referenceJSON
        return true
      }
      // Another was faster, or the volume is gone: look again.
      guard revised.map(PersistentVolume.init(json:))?.claim?.uid == claim.metadata.uid else {
        throw BindingLost(volume: volume.name)
      }
    }
    try await setVolumePhase("Bound", of: volume)
    if claim.volumeName != volume.name || !claim.isBindCompleted {
      try await client.revise(.persistentVolumeClaims, claim.key, uid: claim.metadata.uid) { object in
        if object["spec"]["volumeName"].string ?? "" != volume.name {
          guard (object["spec"]["volumeName"].string ?? "").isEmpty else { return false }
          object["spec"]["volumeName"] = .string(volume.name)
          object["metadata"]["annotations"][VolumeAnnotation.boundByController] = "yes"
        }
        object["metadata"]["annotations"][VolumeAnnotation.bindCompleted] = "yes"
        return true
      }
    }
    try await setClaimStatus("Bound", of: claim, volume)
  }

  private func setClaimStatus(
    _ phase: String, of claim: PersistentVolumeClaim, _ volume: PersistentVolume? = nil
  ) async throws {
    func wanted(_ status: JSONValue) -> JSONValue {
      var wanted = status
      wanted["phase"] = .string(phase)
      wanted["accessModes"] = volume.map { .array($0.accessModes.map { .string($0) }) } ?? .null
      // (What has grown since is the resizer's to tell.)
      if volume == nil || wanted["capacity"]["storage"].isNull {
        wanted["capacity"] = volume?.capacityJSON ?? .null
      }
      return wanted
    }
    guard wanted(claim.status) != claim.status else { return }
    try await client.revise(
      .persistentVolumeClaims, claim.key, uid: claim.metadata.uid, subresource: "status"
    ) { object in
      let status = wanted(object["status"])
      defer { object["status"] = status }
      return object["status"] != status
    }
  }

  // MARK: Provisioning

  private func provision(_ storageClass: StorageClass, for claim: PersistentVolumeClaim) async throws {
    if storageClass.provisioner == LocalPathProvisioner.name {
      return try await provisionFolder(storageClass, for: claim)
    }
    if storageClass.provisioner.hasPrefix("kubernetes.io/") {
      report(
        ClaimPlan.failed("no volume plugin matched name: \(storageClass.provisioner)"), .init(claim))
      return
    }
    try await announceProvisioner(storageClass, of: claim)
    report(
      VolumeRemark(
        reason: "ExternalProvisioning",
        message: "Waiting for a volume to be created either by the external provisioner '\(storageClass.provisioner)' "
          + "or manually by the system administrator. If volume creation is delayed, please verify that the "
          + "provisioner is running and correctly registered."), .init(claim))
  }

  /// By these, provisioners know their claims.
  private func announceProvisioner(_ storageClass: StorageClass, of claim: PersistentVolumeClaim) async throws {
    let names = [VolumeAnnotation.betaStorageProvisioner, VolumeAnnotation.storageProvisioner]
    guard !names.allSatisfy({ claim.metadata.annotations[$0] == storageClass.provisioner }) else { return }
    try await client.revise(.persistentVolumeClaims, claim.key, uid: claim.metadata.uid) { object in
      for name in names { object["metadata"]["annotations"][name] = .string(storageClass.provisioner) }
      return true
    }
  }

  private func provisionFolder(_ storageClass: StorageClass, for claim: PersistentVolumeClaim) async throws {
    let refusal: String
    if let selected = claim.selectedNode {
      guard let node = informers.nodes.get(name: selected) else { return try await reconsider(claim, selected) }
      do {
        let volume = try LocalPathProvisioner.volume(for: claim, storageClass, node: node)
        try await announceProvisioner(storageClass, of: claim)
        try await create(volume, for: claim)
        return
      } catch let error as LocalPathProvisioner.Refusal {
        refusal = error.description
      }
    } else {
      refusal = "no node was chosen: the class needs volumeBindingMode WaitForFirstConsumer"
    }
    report(
      ClaimPlan.failed("failed to provision volume with StorageClass \"\(storageClass.name)\": \(refusal)"),
      .init(claim))
  }

  private func create(_ volume: JSONValue, for claim: PersistentVolumeClaim) async throws {
    do {
      try await client.create(.persistentVolumes, volume)
      report(
        VolumeRemark(
          reason: "ProvisioningSucceeded",
          message: "Successfully provisioned volume \(LocalPathProvisioner.volumeName(claim))"), .init(claim))
    } catch let status as APIStatus where status.reason == "AlreadyExists" {
      // Made a moment ago; the informer will show it.
      return
    }
  }

  /// The chosen node has gone: the scheduler has to choose again.
  private func reconsider(_ claim: PersistentVolumeClaim, _ node: String) async throws {
    try await client.revise(.persistentVolumeClaims, claim.key, uid: claim.metadata.uid) { object in
      guard object["metadata"]["annotations"][VolumeAnnotation.selectedNode].string == node else { return false }
      object["metadata"]["annotations"][VolumeAnnotation.selectedNode] = .null
      return true
    }
  }

  // MARK: Volumes

  private func syncVolume(_ name: String) async throws {
    guard let volume = informers.volumes.get(name: name) else { return try await dismissHelper(of: name) }
    try await holdUntilCleaned(volume)
    if volume.metadata.isBeingDeleted, isHeld(volume), volume.claim == nil { return try await clean(volume) }
    switch VolumePlan(volume, claim: try await claim(of: volume)) {
    case .phase(let phase): try await setVolumePhase(phase, of: volume)
    case .tell(let key): queue.add(.claim(key))
    case .unbind: try await unbind(volume)
    case .release(let reclaim): try await release(volume, reclaim)
    }
  }

  /// On a volume whose content goes with it: it is there until that has happened, whoever deletes it and when
  /// (KEP-2644; the reference's name for volumes that its own plugins make).
  static let contentFinalizer = "kubernetes.io/pv-controller"

  private func isHeld(_ volume: PersistentVolume) -> Bool { volume.metadata.finalizers.contains(Self.contentFinalizer) }

  private func holdUntilCleaned(_ volume: PersistentVolume) async throws {
    guard volume.metadata.annotations[VolumeAnnotation.provisionedBy] == LocalPathProvisioner.name else { return }
    let isWanted = volume.reclaimPolicy == "Delete"
    guard isWanted != isHeld(volume), !(isWanted && volume.metadata.isBeingDeleted) else { return }
    try await client.setFinalizer(
      Self.contentFinalizer, isWanted, of: .persistentVolumes, volume.key, uid: volume.metadata.uid)
  }

  /// The claim that the volume names. One that the informer does not know is looked for: data would be at stake.
  private func claim(of volume: PersistentVolume) async throws -> PersistentVolumeClaim? {
    guard let reference = volume.claim, !reference.uid.isEmpty else { return nil }
    if let known = informers.claims.get(reference.key), known.metadata.uid == reference.uid { return known }
    let live = try await client.find(
      .persistentVolumeClaims, namespace: reference.namespace, name: reference.name)
    return live.map(PersistentVolumeClaim.init(json:)).flatMap { $0.metadata.uid == reference.uid ? $0 : nil }
  }

  private func unbind(_ volume: PersistentVolume) async throws {
    try await client.revise(.persistentVolumes, volume.key, uid: volume.metadata.uid) { object in
      guard PersistentVolume(json: object).claim == volume.claim else { return false }
      if volume.isBoundByController {
        object["spec"]["claimRef"] = .null
        object["metadata"]["annotations"][VolumeAnnotation.boundByController] = .null
      } else {
        object["spec"]["claimRef"]["uid"] = .null
      }
      return true
    }
    try await setVolumePhase("Available", of: volume)
  }

  private func release(_ volume: PersistentVolume, _ reclaim: VolumePlan.Reclaim) async throws {
    if volume.phase != "Released" && volume.phase != "Failed" { try await setVolumePhase("Released", of: volume) }
    switch reclaim {
    case .keep: return
    case .delete:
      if !volume.metadata.isBeingDeleted || isHeld(volume) { try await clean(volume) }
    case .fail(let remark):
      guard volume.phase != "Failed" else { return }
      try await setVolumePhase("Failed", of: volume, message: remark.message)
      report(remark, .init(volume))
    }
  }

  /// Has the folder removed, then the volume; the helper that did it goes when the volume has gone.
  private func clean(_ volume: PersistentVolume) async throws {
    let node = informers.nodes.all.first { volume.isReachable(from: $0.name, labels: $0.metadata.labels) }
    let helper = informers.pods.get(FolderCleaning.helperKey(volume.name))
    switch FolderCleaning(volume, node: node, helper: helper, now: world.wallClock) {
    case .start(let pod):
      do {
        try await client.create(.pods, namespace: FolderCleaning.namespace, pod)
      } catch let status as APIStatus where status.reason == "AlreadyExists" { return }
    case .wait(let delay, let remark):
      if let remark { report(remark, .init(volume)) }
      queue.add(.volume(volume.name), after: delay + .milliseconds(1))
    case .again: try await dismissHelper(of: volume.name)
    case .refuse(let remark): report(remark, .init(volume))
    case .finished:
      do {
        try await client.delete(.persistentVolumes, name: volume.name, DeleteOptions(uid: volume.metadata.uid))
      } catch let status as APIStatus where status.code == 404 || status.code == 409 { return }
      try await client.setFinalizer(
        Self.contentFinalizer, false, of: .persistentVolumes, volume.key, uid: volume.metadata.uid)
    }
  }

  private func dismissHelper(of volume: String) async throws {
    let key = FolderCleaning.helperKey(volume)
    guard let helper = informers.pods.get(key), !helper.metadata.isBeingDeleted,
      helper.metadata.labels[FolderCleaning.volumeLabel] == volume
    else { return }
    do {
      try await client.delete(.pods, namespace: key.namespace, name: key.name, DeleteOptions(uid: helper.metadata.uid))
    } catch let status as APIStatus where status.code == 404 || status.code == 409 { return }
  }

  private func setVolumePhase(_ phase: String, of volume: PersistentVolume, message: String = "") async throws {
    guard volume.phase != phase else { return }
    try await client.revise(.persistentVolumes, volume.key, uid: volume.metadata.uid, subresource: "status") { object in
      guard object["status"]["phase"].string != phase else { return false }
      object["status"]["phase"] = .string(phase)
      object["status"]["message"] = message.isEmpty ? .null : .string(message)
      return true
    }
  }

  private func report(_ remark: VolumeRemark, _ subject: EventRecorder.Subject) {
    recorder.record(
      subject, remark.isWarning ? .warning : .normal, reason: remark.reason, message: remark.message)
  }
}

/// The volume went to another claim.
private struct BindingLost: Error {
  let volume: String
}

extension PersistentVolumeClaim {
  /// How a volume names its claim.
  fileprivate var referenceJSON: JSONValue {
    [
      "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": .string(namespace), "name": .string(name),
      "uid": .string(metadata.uid), "resourceVersion": .string(metadata.resourceVersion),
    ]
  }
}

extension APIClient {
  /// Reads the object and writes it back where `edit` changed it, again when another was faster. What is there
  /// afterwards; nil when the object is gone, or is another by now.
  @discardableResult
  fileprivate func revise(
    _ resource: ResourceReference, _ key: NamespacedName, uid: String, subresource: String = "",
    _ edit: (inout JSONValue) -> Bool
  ) async throws -> JSONValue? {
    var attempts = 5
    while true {
      guard var object = try await find(resource, namespace: key.namespace, name: key.name),
        object["metadata"]["uid"].string == uid
      else { return nil }
      guard edit(&object) else { return object }
      do {
        return try await update(
          resource, namespace: key.namespace, name: key.name, object, subresource: subresource)
      } catch let status as APIStatus where status.code == 409 && attempts > 1 {
        attempts -= 1
      } catch let status as APIStatus where status.code == 404 {
        return nil
      }
    }
  }
}
