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
    let plan = PodGarbage(informers.pods.all, informers.nodes.all, maximumTerminated: Self.maximumTerminated)
    for pod in plan.surplus + plan.onOutOfServiceNodes { await delete(pod) }
    let gone = await missingNodes(plan.unknownNodes)
    for pod in plan.onUnknownNodes where gone.contains(pod.spec.nodeName) {
      await delete(pod, because: "PodGC: node no longer exists")
    }
    for pod in plan.unscheduled { await delete(pod) }
  }

  /// Those that have been missing for long, and that the server does not know either.
  private func missingNodes(_ unknown: Set<String>) async -> Set<String> {
    let now = world.now
    let overdue = missingSince.withLock { missing in
      missing = missing.filter { unknown.contains($0.key) }
      for name in unknown where missing[name] == nil { missing[name] = now }
      return missing.filter { now - $0.value >= Self.quarantine }.keys.sorted()
    }
    var gone: Set<String> = []
    for name in overdue {
      do {
        if try await client.find(.nodes, name: name) == nil { gone.insert(name) }
      } catch {
        logger.debug("looking for node \(name): \(error)")
      }
    }
    return gone
  }

  private func delete(_ pod: Pod, because message: String? = nil) async {
    do {
      if !pod.isTerminal {
        var status: JSONValue = ["phase": "Failed"]
        if let message {
          status["conditions"] = [
            [
              "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": .string(message),
              "lastTransitionTime": .string(world.wallClock.rfc3339),
            ]
          ]
        }
        try await client.patchUnlessGone(pod, ["status": status])
      }
      try await client.delete(
        .pods, namespace: pod.namespace, name: pod.name,
        DeleteOptions(gracePeriodSeconds: 0, uid: pod.metadata.uid))
    } catch {
      logger.debug("collecting pod \(pod.key): \(error)")
    }
  }
}

/// Pods that nobody else will ever take away, as values.
struct PodGarbage {
  private static let outOfService = "node.kubernetes.io/out-of-service"

  /// Finished ones beyond the number that is kept: first those that their node sent away, then the oldest.
  private(set) var surplus: [Pod] = []
  /// On their way out, on nodes of which an administrator says that they are switched off.
  private(set) var onOutOfServiceNodes: [Pod] = []
  private(set) var onUnknownNodes: [Pod] = []
  private(set) var unknownNodes: Set<String> = []
  /// Deleted before they had a node.
  private(set) var unscheduled: [Pod] = []

  init(_ pods: [Pod], _ nodes: [Node], maximumTerminated: Int) {
    let terminated = pods.filter(\.isTerminal)
    if terminated.count > maximumTerminated {
      surplus = Array(terminated.sorted(by: Self.goesBefore).prefix(terminated.count - maximumTerminated))
    }
    let known = Set(nodes.map(\.name))
    let switchedOff = Set(
      nodes.filter { !$0.isReady && $0.taints.contains { $0.key == Self.outOfService } }.map(\.name))
    for pod in pods {
      let node = pod.spec.nodeName
      if node.isEmpty {
        if pod.metadata.isBeingDeleted { unscheduled.append(pod) }
      } else if !known.contains(node) {
        onUnknownNodes.append(pod)
        unknownNodes.insert(node)
      } else if pod.metadata.isBeingDeleted && switchedOff.contains(node) {
        onOutOfServiceNodes.append(pod)
      }
    }
  }

  private static func goesBefore(_ one: Pod, _ other: Pod) -> Bool {
    func isEvicted(_ pod: Pod) -> Bool { pod.status.phase == "Failed" && pod.status.reason == "Evicted" }
    if isEvicted(one) != isEvicted(other) { return isEvicted(one) }
    let never = WallTime(secondsSinceEpoch: 0)
    let (first, second) = (one.metadata.creationTimestamp ?? never, other.metadata.creationTimestamp ?? never)
    return first == second ? one.name < other.name : first < second
  }
}
