// Generic ephemeral volumes: a claim for each, owned by the pod, and gone with it.
import Client
import JSON
import Logging
import Schema

public final class EphemeralVolumeController: Controller {
  public static let serviceAccount = "ephemeral-volume-controller"
  /// Its events come from here.
  private static let component = "ephemeral_volume"
  private static let workers = 4

  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let informers: SharedInformers
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    recorder = EventRecorder(client: client, component: Self.component, logger: context.logger)
    logger = context.logger
    self.informers = informers
    queue = context.makeQueue("ephemeral_volume")
    informers.pods.onEvent { [queue] event in
      if case .added(let pod) = event, !pod.spec.ephemeralVolumes.isEmpty { queue.add(pod.key) }
    }
    // A claim that was deleted is made again, as long as its pod is there.
    informers.claims.onEvent { [queue] event in
      guard case .deleted(let claim) = event, let owner = claim.metadata.controller, owner.kind == "Pod" else { return }
      queue.add(NamespacedName(namespace: claim.namespace, name: owner.name))
    }
  }

  public func run() async {
    await informers.pods.waitForSync()
    await informers.claims.waitForSync()
    await queue.run(
      workers: Self.workers, onError: { [logger] key, error in logger.debug("claims of pod \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let pod = informers.pods.get(key), !pod.metadata.isBeingDeleted, !pod.spec.ephemeralVolumes.isEmpty else {
      return
    }
    let missing = pod.spec.ephemeralVolumes.filter { volume in
      informers.claims.get(namespace: key.namespace, name: "\(pod.name)-\(volume)")?.metadata.controller?.uid
        != pod.metadata.uid
    }
    guard !missing.isEmpty,
      let live = try await client.find(.pods, namespace: key.namespace, name: key.name),
      live["metadata"]["uid"].string == pod.metadata.uid
    else { return }
    for volume in live["spec"]["volumes"].elements where missing.contains(volume["name"].string ?? "") {
      try await create(volume, of: pod)
    }
  }

  private func create(_ volume: JSONValue, of pod: Pod) async throws {
    let name = "\(pod.name)-\(volume["name"].string ?? "")"
    if let other = informers.claims.get(namespace: pod.namespace, name: name) {
      guard other.metadata.controller?.uid != pod.metadata.uid else { return }
      let message =
        "ephemeral volume \(volume["name"].string ?? ""): PVC \(other.key) was not created for pod \(pod.key) "
        + "(pod is not owner)"
      recorder.record(.init(pod), .warning, reason: "FailedBinding", message: message)
      throw ClaimConflict(description: message)
    }
    let template = volume["ephemeral"]["volumeClaimTemplate"]
    var claim: JSONValue = [
      "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": template["metadata"], "spec": template["spec"],
    ]
    claim["metadata"]["name"] = .string(name)
    claim["metadata"]["namespace"] = .string(pod.namespace)
    claim["metadata"]["ownerReferences"] = [pod.controllerReference.json]
    do {
      try await client.create(.persistentVolumeClaims, namespace: pod.namespace, claim)
    } catch let status as APIStatus where status.isNamespaceTerminating {
      return
    } catch let status as APIStatus where status.reason == "AlreadyExists" {
      // The informer will show whose it is.
      return
    } catch {
      recorder.record(
        .init(pod), .warning, reason: "FailedBinding",
        message: "ephemeral volume \(volume["name"].string ?? ""): create PVC \(name): \(error.eventText)")
      throw error
    }
  }
}

/// A claim of another has the name that a pod's claim must have.
private struct ClaimConflict: Error, CustomStringConvertible {
  let description: String
}
