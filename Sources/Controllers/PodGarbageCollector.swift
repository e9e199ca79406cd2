import Client
import JSON
import Logging
import Schema
import Synchronization
import World

/// Pods that nobody else will ever take away: on nodes that are gone, or deleted before they had one (spec/5 §5.1).
public final class PodGarbageCollector: Controller {
  public static let serviceAccount = "pod-garbage-collector"
  private static let period = Duration.seconds(20)
  /// A node that is missing may only be about to register again.
  private static let quarantine = Duration.seconds(40)
  private static let maximumTerminated = 12_500

  private let world: any World
  private let client: APIClient
  private let logger: Logger
  private let informers: SharedInformers
  private let missingSince = Mutex<[String: MonotonicTime]>([:])

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    logger = context.logger
    self.informers = informers
  }

  public func run() async {
    await informers.pods.waitForSync()
    await informers.nodes.waitForSync()
    while !Task.isCancelled {
      await collect()
      try? await world.sleep(for: Self.period)
    }
  }

  private func collect() async {
    let pods = informers.pods.all
    let terminated = pods.filter(\.isTerminal)
    let surplus = terminated.sorted {
      ($0.metadata.creationTimestamp ?? .init(secondsSinceEpoch: 0))
        < ($1.metadata.creationTimestamp ?? .init(secondsSinceEpoch: 0))
    }.prefix(max(0, terminated.count - Self.maximumTerminated))
    for pod in surplus { await delete(pod) }
    let known = Set(informers.nodes.all.map(\.name))
    for pod in pods where isOrphaned(pod, known) { await delete(pod) }
    for pod in pods where pod.metadata.isBeingDeleted && pod.spec.nodeName.isEmpty { await delete(pod) }
  }

  private func isOrphaned(_ pod: Pod, _ nodes: Set<String>) -> Bool {
    let name = pod.spec.nodeName
    guard !name.isEmpty else { return false }
    let now = world.now
    return missingSince.withLock { missing in
      if nodes.contains(name) {
        missing[name] = nil
        return false
      }
      let since = missing[name] ?? now
      missing[name] = since
      return now - since >= Self.quarantine
    }
  }

  private func delete(_ pod: Pod) async {
    do {
      if !pod.isTerminal {
        try await client.patchUnlessGone(
          pod,
          [
            "status": [
              "phase": "Failed",
              "conditions": [
                [
                  "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC",
                  "message": "PodGC: node no longer exists",
                  "lastTransitionTime": .string(world.wallClock.rfc3339),
                ]
              ],
            ]
          ])
      }
      try await client.delete(
        .pods, namespace: pod.namespace, name: pod.name,
        DeleteOptions(gracePeriodSeconds: 0, uid: pod.metadata.uid))
    } catch {
      logger.debug("collecting pod \(pod.key): \(error)")
    }
  }
}
