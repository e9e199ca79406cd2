// One node: it registers, shows that it lives, and runs the pods that are bound to it (spec/7).
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

/// What a node is and how much it has.
public struct NodeDescription: Sendable {
  public var name: String
  /// InternalIP.
  public var address: String
  public var labels: [String: String] = [:]
  /// Quantities by name: "cpu", "memory", "ephemeral-storage", "pods".
  public var capacity: [String: String] = [
    "cpu": "4", "memory": "8Gi", "ephemeral-storage": "64Gi", "pods": "110",
  ]
  public var operatingSystem = "linux"
  public var architecture = "amd64"
  public var kernelVersion = ""
  public var osImage = ""
  public var kubeletVersion: String

  public init(name: String, address: String, kubeletVersion: String) {
    self.name = name
    self.address = address
    self.kubeletVersion = kubeletVersion
  }
}

public final class Kubelet: Sendable {
  private let context: NodeContext
  private let registration: NodeRegistration
  private let pods: Informer<Pod>
  private let workers = Mutex<[String: PodWorker]>([:])

  public init(description: NodeDescription, client: APIClient, runtime: any ContainerRuntime, logger: Logger) {
    context = NodeContext(
      world: client.world, client: client, runtime: runtime,
      recorder: EventRecorder(client: client, component: "kubelet", host: description.name, logger: logger),
      logger: logger, nodeName: description.name, address: description.address)
    registration = NodeRegistration(description: description, context: context)
    pods = Informer(client: client, fieldSelector: "spec.nodeName=\(description.name)", logger: logger)
    pods.onEvent { [weak self] event in self?.podChanged(event) }
  }

  /// Runs the node until the task is cancelled. Pods go on as long as the process does.
  public func run() async {
    await registration.register()
    pods.start()
    await registration.keepAlive()
    pods.stop()
  }

  private func podChanged(_ event: InformerEvent<Pod>) {
    let pod = event.object
    let uid = pod.metadata.uid
    if case .deleted = event {
      workers.withLock { $0.removeValue(forKey: uid) }?.objectVanished()
      return
    }
    let worker = workers.withLock { workers -> PodWorker? in
      if let worker = workers[uid] { return worker }
      // A finished pod needs nobody, but for one who takes its object away.
      guard !pod.isTerminal || pod.metadata.isBeingDeleted else { return nil }
      let worker = PodWorker(pod, context: context) { [weak self] in
        self?.workers.withLock { _ = $0.removeValue(forKey: uid) }
      }
      workers[uid] = worker
      return worker
    }
    worker?.update(pod)
  }
}
