// Which pods are bound to which node: what the rights of nodes are derived from.
import JSON
import Replica
import Schema
import Synchronization
import World

/// An index over the pods in the store, kept current by a watch. Without it every secret a kubelet reads would cost a
/// pass over all pods of its namespace.
final class PodsByNode: Sendable {
  private struct State {
    var pods: [String: Set<ObjectKey>] = [:]
    var nodes: [ObjectKey: String] = [:]
    var subscription: (any WatchSubscription)?
    /// What is not newer is in the index.
    var seen: Revision = 0
    /// Deliveries of a watch that was given up are ignored.
    var generation: UInt64 = 0
    /// What the watch delivers before the first filling is done.
    var early: [Note] = []

    mutating func apply(_ note: Note) {
      for (key, node) in note.bound where nodes[key] != node {
        if let old = nodes[key] {
          pods[old]?.remove(key)
          if pods[old]?.isEmpty == true { pods[old] = nil }
        }
        nodes[key] = node
        if let node { pods[node, default: []].insert(key) }
      }
      seen = max(seen, note.seen)
    }
  }
  /// The nodes that pods are bound to after some changes.
  private struct Note {
    var bound: [(key: ObjectKey, node: String?)]
    var seen: Revision
  }
  private static let resource = "pods"

  private let store: any ObjectStore
  private let world: any World
  private let state = Mutex(State())

  /// `world`: the loop on which changes are noted.
  init(store: any ObjectStore, world: any World) {
    self.store = store
    self.world = world
  }

  deinit { state.withLock { $0.subscription }?.cancel() }

  /// The pods of a namespace that are bound to the node in `view`.
  func pods(on node: String, namespace: String, in view: any StateView) -> [JSONValue] {
    guard !namespace.isEmpty else { return [] }
    start()
    let (known, seen) = state.withLock { state in
      (state.pods[node, default: []].filter { $0.namespace == namespace }, state.seen)
    }
    var found = known.compactMap { view.object($0) }
    if view.revision > seen {
      // Few: what changed since the loop last turned.
      found += view.objects(resource: Self.resource, namespace: namespace, after: nil, limit: 0).objects
        .filter { $0.revision > seen && !known.contains($0.key) }
    }
    return found.filter { Self.node(of: $0) == node }.map(\.tree)
  }

  static func node(of pod: StoredObject) -> String? {
    guard let tape = try? JSONTape(parsing: pod.bytes) else { return nil }
    return tape.root["spec"]["nodeName"].string
  }

  private func start() {
    let generation: UInt64? = state.withLock { state in
      guard state.subscription == nil else { return nil }
      state.generation += 1
      state.early = []
      return state.generation
    }
    guard let generation else { return }
    let view = store.current
    let start = store.watch(resource: Self.resource, after: view.revision, on: world) { [weak self] changes, seen in
      self?.note(changes, seen, generation)
    } ended: { [weak self] in
      self?.state.withLock { state in
        if state.generation == generation { state.subscription = nil }
      }
    }
    guard case .started(let subscription) = start else { return }
    var pods: [String: Set<ObjectKey>] = [:]
    var nodes: [ObjectKey: String] = [:]
    for pod in view.objects(resource: Self.resource, namespace: "", after: nil, limit: 0).objects {
      guard let node = Self.node(of: pod) else { continue }
      pods[node, default: []].insert(pod.key)
      nodes[pod.key] = node
    }
    let (filledPods, filledNodes) = (pods, nodes)
    let isTooLate = state.withLock { state in
      guard state.generation == generation else { return true }
      state.pods = filledPods
      state.nodes = filledNodes
      state.seen = view.revision
      state.subscription = subscription
      for note in state.early { state.apply(note) }
      state.early = []
      return false
    }
    if isTooLate { subscription.cancel() }
  }

  private func note(_ changes: [Change], _ seen: Revision, _ generation: UInt64) {
    let note = Note(
      bound: changes.map { ($0.key, $0.kind == .put ? Self.node(of: $0.object) : nil) }, seen: seen)
    state.withLock { state in
      guard state.generation == generation else { return }
      if state.subscription == nil { state.early.append(note) } else { state.apply(note) }
    }
  }
}
