// Claims that waited for their first pod are bound before the pod is (spec/6 §6.1, VolumeBinding's PreBind): volumes are
// reserved for them, or the node is written on the claim for whoever makes volumes; then the claims are waited for.
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

/// What the scheduler knows of storage, by informers of its own.
final class StorageInformers: VolumeKnowledge, Sendable {
  private static let use = "use"

  let claims: Informer<PersistentVolumeClaim>
  let volumes: Informer<PersistentVolume>
  let classes: Informer<StorageClass>
  let nodes: Informer<CSINode>
  let drivers: Informer<CSIDriver>
  let capacities: Informer<CSIStorageCapacity>

  init(client: APIClient, logger: Logger) {
    claims = Informer(client: client, logger: logger)
    volumes = Informer(client: client, indexers: [Self.use: { $0.useKeys }], logger: logger)
    classes = Informer(client: client, logger: logger)
    nodes = Informer(client: client, logger: logger)
    drivers = Informer(client: client, logger: logger)
    capacities = Informer(client: client, indexers: [Self.use: { [$0.className] }], logger: logger)
  }

  func claim(_ key: NamespacedName) -> PersistentVolumeClaim? { claims.get(key) }
  func volume(_ name: String) -> PersistentVolume? { volumes.get(name: name) }
  func storageClass(_ name: String) -> StorageClass? { classes.get(name: name) }
  func volumeLimits(node: String) -> [String: Int64] { nodes.get(name: node)?.limits ?? [:] }
  func capacities(of storageClass: StorageClass) -> [CSIStorageCapacity]? {
    guard drivers.get(name: storageClass.provisioner)?.tellsCapacity == true else { return nil }
    return capacities.objects(index: Self.use, value: storageClass.name)
  }
  func candidates(for claim: PersistentVolumeClaim) -> [PersistentVolume] {
    [PersistentVolume.useKey(claim: claim.key), PersistentVolume.useKey(class: claim.className ?? "")]
      .flatMap { volumes.objects(index: Self.use, value: $0) }
  }
}

/// Pods that wait for their claims, and the volumes that are reserved meanwhile.
struct VolumeWaits {
  struct Wait {
    var claims: [NamespacedName]
    var continuation: CheckedContinuation<Bool, Never>
    var timer: any ScheduledTimer
  }
  /// By uid of the pod.
  var waiting: [String: Wait] = [:]
  /// Volumes that are being given to claims, by name, until the informer shows whose they are.
  var reserved: Set<String> = []
}

extension Scheduler {
  // MARK: Observing

  func observeStorage() {
    storage.claims.onEvent { [weak self] event in self?.claimChanged(event) }
    storage.volumes.onEvent { [weak self] event in self?.volumeChanged(event) }
    storage.classes.onEvent { [weak self] _ in self?.storageChanged() }
    storage.nodes.onEvent { [weak self] _ in self?.storageChanged() }
    storage.drivers.onEvent { [weak self] _ in self?.storageChanged() }
    storage.capacities.onEvent { [weak self] _ in self?.storageChanged() }
  }

  private func claimChanged(_ event: InformerEvent<PersistentVolumeClaim>) {
    let claim = event.object
    var isTakenBack = false
    if case .updated(let old, let new) = event, !new.isBound {
      isTakenBack = old.selectedNode != nil && new.selectedNode == nil
    }
    let concerned = state.withLock { state in
      state.volumes.waiting.filter { $0.value.claims.contains(claim.key) }.keys.sorted()
    }
    for uid in concerned { if isTakenBack { endWait(uid, false) } else { judgeWait(uid) } }
    storageChanged()
  }

  private func volumeChanged(_ event: InformerEvent<PersistentVolume>) {
    let volume = event.object
    var isSettled = volume.claim != nil
    if case .deleted = event { isSettled = true }
    if isSettled { state.withLock { _ = $0.volumes.reserved.remove(volume.name) } }
    storageChanged()
  }

  private func storageChanged() {
    let now = world.now
    state.withLock { $0.queue.changed(.volumes, now: now) }
    schedulePending()
  }

  // MARK: Binding

  /// Has the claims bound, then the pod. When that fails the pod is tried again.
  func bind(_ entry: SchedulingQueue.Entry, to node: String, _ choice: VolumeChoice) async {
    let pod = entry.pod
    // Whoever waits for volumes keeps nobody else from being bound.
    state.withLock { $0.bindings -= 1 }
    schedulePending()
    var failure = "binding volumes: context deadline exceeded"
    var isBound = false
    do {
      for (volume, claim) in choice.bindings { try await reserve(volume, for: claim) }
      for claim in choice.toProvision where claim.selectedNode != node { try await select(node, for: claim) }
      isBound = await claimsAreBound(choice.claims.map(\.key), for: pod)
    } catch {
      failure = "binding volumes: \((error as? APIStatus)?.message ?? "\(error)")"
    }
    state.withLock { $0.bindings += 1 }
    guard !isBound else { return await bind(entry, to: node) }
    let now = world.now
    let isStillWanted = state.withLock { state in
      state.bindings -= 1
      state.volumes.reserved.subtract(choice.bindings.map(\.volume.name))
      guard state.assumed.remove(pod.metadata.uid) != nil else { return false }
      state.snapshot.remove(pod: pod.metadata.uid)
      state.queue.changed(.podRemoved, now: now)
      state.queue.retryLater(entry, now: now)
      return true
    }
    if isStillWanted {
      await report(
        pod, "running PreBind plugin \"VolumeBinding\": \(failure)", reason: "SchedulerError", nomination: nil)
    }
    schedulePending()
  }

  /// Writes on a volume whose it is; the binder of volumes does the rest.
  private func reserve(_ volume: PersistentVolume, for claim: PersistentVolumeClaim) async throws {
    if volume.claim?.uid == claim.metadata.uid { return }
    var patch: JSONValue = [
      "metadata": [
        "uid": .string(volume.metadata.uid), "resourceVersion": .string(volume.metadata.resourceVersion),
      ],
      "spec": [
        "claimRef": [
          "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": .string(claim.namespace),
          "name": .string(claim.name), "uid": .string(claim.metadata.uid),
        ]
      ],
    ]
    if volume.claim == nil { patch["metadata"]["annotations"][VolumeAnnotation.boundByController] = "yes" }
    try await client.patch(.persistentVolumes, name: volume.name, patch, type: .merge)
  }

  /// Writes on a claim where its volume is to be made.
  private func select(_ node: String, for claim: PersistentVolumeClaim) async throws {
    try await client.patch(
      .persistentVolumeClaims, namespace: claim.namespace, name: claim.name,
      [
        "metadata": [
          "uid": .string(claim.metadata.uid), "resourceVersion": .string(claim.metadata.resourceVersion),
          "annotations": .object([VolumeAnnotation.selectedNode: .string(node)]),
        ]
      ], type: .merge)
  }

  // MARK: Waiting

  private func claimsAreBound(_ claims: [NamespacedName], for pod: Pod) async -> Bool {
    let uid = pod.metadata.uid
    let limit = profile(of: pod).bindTimeout
    return await withCheckedContinuation { continuation in
      let timer = world.schedule(after: limit) { [weak self] in self?.endWait(uid, false) }
      state.withLock { state in
        state.volumes.waiting[uid] = VolumeWaits.Wait(
          claims: claims, continuation: continuation, timer: timer)
      }
      judgeWait(uid)
    }
  }

  /// Ends a wait whose claims are all bound, or of which one will not be.
  private func judgeWait(_ uid: String) {
    guard let wait = state.withLock({ $0.volumes.waiting[uid] }) else { return }
    var isComplete = true
    for key in wait.claims {
      guard let claim = storage.claims.get(key), !claim.metadata.isBeingDeleted, claim.phase != "Lost" else {
        return endWait(uid, false)
      }
      if !claim.isBound { isComplete = false }
    }
    if isComplete { endWait(uid, true) }
  }

  func endWait(_ uid: String, _ isBound: Bool) {
    guard let wait = state.withLock({ $0.volumes.waiting.removeValue(forKey: uid) }) else { return }
    wait.timer.cancel()
    wait.continuation.resume(returning: isBound)
  }

  /// The scheduler stops, or the pods are no longer its own.
  func endAllWaits() {
    for uid in state.withLock({ $0.volumes.waiting.keys.sorted() }) { endWait(uid, false) }
  }
}
