// Gives every node its block of the pods' networks (spec/5 §5.1, node-ipam). Only where a network of pods is named: nodes
// may have theirs from elsewhere.
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

public final class NodeNetworkController: Controller {
  public static let serviceAccount = "node-controller"
  /// Its events come from here.
  private static let component = "cidrAllocator"
  private static let workers = 5

  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let nodes: Informer<Node>
  private let queue: WorkQueue<NamespacedName>
  private let networks: Mutex<NodeNetworks>

  /// Nil where there is no network to give blocks of.
  public init?(context: ControllerContext, informers: SharedInformers) {
    guard !context.podNetworks.isEmpty else { return nil }
    client = context.client(Self.serviceAccount)
    recorder = EventRecorder(client: client, component: Self.component, logger: context.logger)
    logger = context.logger
    nodes = informers.nodes
    queue = context.makeQueue("node_ipam")
    networks = Mutex(NodeNetworks(context.podNetworks))
    nodes.onEvent { [weak self] event in self?.nodeChanged(event) }
  }

  public func run() async {
    // What nodes have is known before anything is given away.
    await work(queue, workers: Self.workers, after: [nodes], logger: logger, "network of node") {
      try await self.sync($0)
    }
  }

  private func nodeChanged(_ event: InformerEvent<Node>) {
    let node = event.object
    if case .deleted = event {
      networks.withLock { $0.release(node.name) }
      // There is room again.
      for waiting in nodes.all.sorted(by: { $0.name < $1.name }) where waiting.podCIDRs.isEmpty {
        queue.add(waiting.key)
      }
    } else if node.podCIDRs.isEmpty {
      if case .added = event { queue.add(node.key) }
    } else {
      networks.withLock { $0.note(node.name, has: node.podCIDRs.compactMap { CIDR($0) }) }
    }
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let node = nodes.get(key), node.podCIDRs.isEmpty, !node.metadata.isBeingDeleted else { return }
    guard let given = networks.withLock({ $0.assign(node.name) }) else {
      recorder.record(
        .init(node), .normal, reason: "CIDRNotAvailable",
        message: "Node \(node.name) status is now: CIDRNotAvailable")
      throw PodNetwork.Unusable(description: "no block is left")
    }
    let texts = given.map { JSONValue.string("\($0)") }
    // A block stays the node's until the node goes, whatever becomes of the answer.
    try await client.patch(
      .nodes, name: node.name,
      [
        "metadata": ["uid": .string(node.metadata.uid)],
        "spec": ["podCIDR": texts.first ?? .null, "podCIDRs": .array(texts)],
      ], type: .strategic)
  }
}
