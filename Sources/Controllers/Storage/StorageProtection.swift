// Claims and volumes that are in use are not taken away from under their users: the API server puts a finalizer on each,
// and it is removed here when a claim is deleted that no pod uses, or a volume that is bound to no claim (spec/3 §3.7).
import Client
import JSON
import Logging
import Schema

/// Removes `kubernetes.io/pvc-protection` from claims that are being deleted, once no pod uses them.
public final class ClaimProtectionController: Controller {
  public static let serviceAccount = "pvc-protection-controller"
  static let finalizer = "kubernetes.io/pvc-protection"

  private let client: APIClient
  private let logger: Logger
  private let claims: Informer<PersistentVolumeClaim>
  private let pods: Informer<Pod>
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    logger = context.logger
    claims = informers.claims
    pods = informers.pods
    queue = context.makeQueue("pvcprotection")
    claims.onEvent { [queue] event in queue.add(event.object.key) }
    // A claim that waits is looked at again when a pod that used it ends, or has gone.
    pods.onEvent { [queue] event in
      for name in event.object.claimNames {
        queue.add(NamespacedName(namespace: event.object.namespace, name: name))
      }
    }
  }

  public func run() async {
    await claims.waitForSync()
    await pods.waitForSync()
    await queue.run(
      workers: 1, onError: { [logger] key, error in logger.debug("protection of claim \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let claim = claims.get(key) else { return }
    let isProtected = claim.metadata.finalizers.contains(Self.finalizer)
    guard claim.metadata.isBeingDeleted else {
      if isProtected { return }
      return try await client.setFinalizer(
        Self.finalizer, true, of: .persistentVolumeClaims, key, uid: claim.metadata.uid)
    }
    guard isProtected,
      !pods.objects(index: IndexName.namespace, value: key.namespace).contains(where: { $0.uses(claim: key.name) })
    else { return }
    // The newest pods decide: the informer may not have heard of one that was bound to a node a moment ago.
    let newest = try await client.list(.pods, namespace: key.namespace).items.map(Pod.init(json:))
    guard !newest.contains(where: { $0.uses(claim: key.name) }) else { return }
    try await client.setFinalizer(
      Self.finalizer, false, of: .persistentVolumeClaims, key, uid: claim.metadata.uid)
  }
}

/// Removes `kubernetes.io/pv-protection` from volumes that are being deleted, once they are bound no more.
public final class VolumeProtectionController: Controller {
  public static let serviceAccount = "pv-protection-controller"
  static let finalizer = "kubernetes.io/pv-protection"

  private let client: APIClient
  private let logger: Logger
  private let volumes: Informer<PersistentVolume>
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    logger = context.logger
    volumes = informers.volumes
    queue = context.makeQueue("pvprotection")
    volumes.onEvent { [queue] event in queue.add(event.object.key) }
  }

  public func run() async {
    await volumes.waitForSync()
    await queue.run(
      workers: 1, onError: { [logger] key, error in logger.debug("protection of volume \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let volume = volumes.get(key) else { return }
    let isWanted = !volume.metadata.isBeingDeleted || volume.phase == "Bound"
    guard isWanted != volume.metadata.finalizers.contains(Self.finalizer),
      !(isWanted && volume.metadata.isBeingDeleted)
    else { return }
    try await client.setFinalizer(Self.finalizer, isWanted, of: .persistentVolumes, key, uid: volume.metadata.uid)
  }
}

extension Pod {
  /// The claims that its volumes name, those of its ephemeral volumes too.
  var claimNames: [String] {
    spec.claims + spec.ephemeralVolumes.map { "\(name)-\($0)" }
  }

  /// A pod that no node has taken yet cannot start with a claim that is being deleted; one that a node has, uses it.
  func uses(claim: String) -> Bool { !spec.nodeName.isEmpty && claimNames.contains(claim) }
}

extension APIClient {
  /// Gives an object a finalizer or takes it away; does nothing when the object is gone, or another of its name.
  func setFinalizer(
    _ finalizer: String, _ isWanted: Bool, of resource: ResourceReference, _ key: NamespacedName, uid: String
  ) async throws {
    guard var object = try await find(resource, namespace: key.namespace, name: key.name),
      object["metadata"]["uid"].string == uid
    else { return }
    var finalizers = object["metadata"]["finalizers"].elements.filter { $0.string != finalizer }
    if isWanted { finalizers.append(.string(finalizer)) }
    object["metadata"]["finalizers"] = finalizers.isEmpty ? .null : .array(finalizers)
    do { try await update(resource, namespace: key.namespace, name: key.name, object) } catch let status as APIStatus
      where status.code == 404
    {
      return
    }
  }
}
