// How long kubelets may believe what they have read of Secrets and ConfigMaps: the longer, the more nodes ask (spec/5 §5.1).
import Client
import JSON
import Logging
import Synchronization
import World

/// The seconds that go with a cluster's size. Sizes overlap, so that one node that comes and goes changes nothing.
struct NodeTTLStep: Hashable {
  private static let steps: [(smallest: Int, largest: Int, seconds: Int)] = [
    (0, 100, 0), (90, 500, 15), (450, 1000, 30), (900, 2000, 60), (1800, .max, 300),
  ]
  private var index = 0

  var seconds: Int { Self.steps[index].seconds }

  /// Moves to the step for so many nodes.
  mutating func follow(_ count: Int) {
    while count > Self.steps[index].largest { index += 1 }
    while count < Self.steps[index].smallest { index -= 1 }
  }
}

/// Writes it on every node.
public final class NodeTTLController: Controller {
  public static let serviceAccount = "ttl-controller"
  static let annotation = "node.alpha.kubernetes.io/ttl"
  private static let workers = 5

  private let client: APIClient
  private let logger: Logger
  private let nodes: Informer<Node>
  private let queue: WorkQueue<NamespacedName>
  private let step = Mutex(NodeTTLStep())

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    logger = context.logger
    nodes = informers.nodes
    queue = context.makeQueue("ttl")
    nodes.onEvent { [weak self] event in self?.nodeChanged(event) }
  }

  public func run() async {
    await nodes.waitForSync()
    await queue.run(
      workers: Self.workers, onError: { [logger] key, error in logger.debug("TTL of node \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func nodeChanged(_ event: InformerEvent<Node>) {
    if case .updated(let old, let new) = event {
      if old.metadata.annotations[Self.annotation] != new.metadata.annotations[Self.annotation] { queue.add(new.key) }
      return
    }
    let hasMoved = step.withLock { step in
      let before = step
      step.follow(nodes.count)
      return step != before
    }
    if hasMoved {
      for node in nodes.all.sorted(by: { $0.name < $1.name }) { queue.add(node.key) }
    } else {
      queue.add(event.object.key)
    }
  }

  private func sync(_ key: NamespacedName) async throws {
    let wanted = step.withLock { "\($0.seconds)" }
    guard let node = nodes.get(key), node.metadata.annotations[Self.annotation] != wanted else { return }
    try await client.patch(
      .nodes, name: node.name,
      ["metadata": ["uid": .string(node.metadata.uid), "annotations": .object([Self.annotation: .string(wanted)])]],
      type: .merge)
  }
}
