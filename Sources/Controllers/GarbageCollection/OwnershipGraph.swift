// Who owns whom, as a value (spec/5 §5.1, garbage collector). The collector feeds it what informers see and asks it what
// to look at; it decides nothing that needs the API.
import Client
import JSON
import Synchronization

/// A kind whose objects are followed; they share it.
final class FollowedKind: Sendable {
  let resource: ResourceReference
  /// Of the object seen last: the next one is in the same more often than not, and keeps the same string.
  private let lastNamespace = Mutex("")

  init(_ resource: ResourceReference) { self.resource = resource }

  fileprivate func shared(_ namespace: String) -> String {
    lastNamespace.withLock { last in
      if last != namespace { last = namespace }
      return last
    }
  }
}

/// An object that may own or be owned. There is one of every object of a cluster, held by its informer and by the graph:
/// it has what they ask for, once.
final class GraphNode: InformedObject {
  private let kind: FollowedKind
  private let namespace: String
  private let name: String
  let uid: String
  let resourceVersion: String
  let owners: [OwnerReference]
  let isBeingDeleted: Bool
  private let hasForegroundFinalizer: Bool
  private let hasOrphanFinalizer: Bool

  init(_ kind: FollowedKind, _ metadata: JSONTape.Cursor) {
    self.kind = kind
    namespace = kind.shared(metadata["namespace"].string ?? "")
    name = metadata["name"].string ?? ""
    uid = metadata["uid"].string ?? ""
    resourceVersion = metadata["resourceVersion"].string ?? ""
    owners = metadata["ownerReferences"].elements.map { OwnerReference(json: $0) }
    isBeingDeleted = !metadata["deletionTimestamp"].isNull
    let finalizers = metadata["finalizers"].elements
    hasForegroundFinalizer = finalizers.contains { $0.equals(Self.foregroundFinalizer) }
    hasOrphanFinalizer = finalizers.contains { $0.equals(Self.orphanFinalizer) }
  }

  var resource: ResourceReference { kind.resource }
  var key: NamespacedName { NamespacedName(namespace: namespace, name: name) }
  var waitsForDependents: Bool { isBeingDeleted && hasForegroundFinalizer }
  var orphansDependents: Bool { isBeingDeleted && hasOrphanFinalizer }

  static let foregroundFinalizer = "foregroundDeletion"
  static let orphanFinalizer = "orphan"
}

struct OwnershipGraph: Sendable {
  private(set) var nodes: [String: GraphNode] = [:]
  /// Owner uid → uids of objects that name it.
  private var dependents: [String: Set<String>] = [:]

  /// Stores or replaces an object. Returns the uids that should be looked at now: itself if it has owners or waits on
  /// dependents, and owners that wait for what just changed.
  mutating func put(_ node: GraphNode) -> Set<String> {
    var concerned: Set<String> = []
    let old = nodes.updateValue(node, forKey: node.uid)
    let oldOwners = Set(old?.owners.map(\.uid) ?? [])
    let newOwners = Set(node.owners.map(\.uid))
    for owner in oldOwners.subtracting(newOwners) {
      dependents[owner]?.remove(node.uid)
      concerned.insert(owner)
    }
    for owner in newOwners.subtracting(oldOwners) { dependents[owner, default: []].insert(node.uid) }
    // A dependent that stopped blocking lets a foreground deletion go on.
    if let old, old.owners != node.owners { concerned.formUnion(newOwners) }
    let began =
      node.waitsForDependents && old?.waitsForDependents != true
      || node.orphansDependents && old?.orphansDependents != true
    // Most changes of an object (a pod's status) are nothing to its owners.
    if began || !node.owners.isEmpty && old?.owners != node.owners { concerned.insert(node.uid) }
    if node.waitsForDependents, old?.waitsForDependents != true { concerned.formUnion(dependents[node.uid] ?? []) }
    return concerned.filter { nodes[$0] != nil }
  }

  /// Removes an object. Returns its dependents, who may now be without owner, and its owners, who may have waited for it.
  mutating func remove(uid: String) -> Set<String> {
    var concerned = dependents[uid] ?? []
    for owner in nodes.removeValue(forKey: uid)?.owners ?? [] {
      dependents[owner.uid]?.remove(uid)
      if dependents[owner.uid]?.isEmpty == true { dependents[owner.uid] = nil }
      if nodes[owner.uid]?.waitsForDependents == true { concerned.insert(owner.uid) }
    }
    return concerned
  }

  /// Removes all objects of a resource that is followed no longer. Returns whom that concerns, as `remove` does.
  mutating func removeAll(of resource: ResourceReference) -> Set<String> {
    var concerned: Set<String> = []
    for uid in nodes.values.filter({ $0.resource == resource }).map(\.uid) { concerned.formUnion(remove(uid: uid)) }
    return concerned.filter { nodes[$0] != nil }
  }

  /// Objects with an owner of that kind that is not known here.
  func dependentsOfUnknown(_ resource: ResourceReference) -> [String] {
    dependents.filter { nodes[$0.key] == nil }.values.joined().filter { uid in
      nodes[uid]?.owners.contains {
        nodes[$0.uid] == nil && $0.kind == resource.kind && $0.group == resource.group
      } == true
    }
  }

  /// All owners are known to be there, in a place where they may own, and none of them waits for its dependents.
  func ownersArePresent(of node: GraphNode) -> Bool {
    node.owners.allSatisfy { owner in
      guard let known = nodes[owner.uid], !known.waitsForDependents else { return false }
      return known.key.namespace.isEmpty || known.key.namespace == node.key.namespace
    }
  }

  func dependents(of uid: String) -> [GraphNode] { (dependents[uid] ?? []).compactMap { nodes[$0] } }

  /// Dependents that hold up the foreground deletion of their owner.
  func blockingDependents(of uid: String) -> [GraphNode] {
    dependents(of: uid).filter { node in node.owners.contains { $0.uid == uid && $0.blockOwnerDeletion } }
  }
}

/// What to do with an object, given what is known of each of its owners.
enum CollectionDecision: Hashable {
  case keep
  /// All owners are gone: the object goes too.
  case delete(DeleteOptions.Propagation?)
  /// Some owners live: the others are taken off the list.
  case removeOwners([String])

  enum OwnerState: Hashable {
    case present
    /// There, as the API says, but not seen here yet: whether it goes nobody would tell.
    case unseen
    case absent
    /// Being deleted in the foreground, and waiting for this object.
    case waiting
  }

  /// `hasDependents`: whether there are objects that it owns.
  init(owners: [(uid: String, state: OwnerState)], finalizers: Set<String>, hasDependents: Bool) {
    let absent = owners.filter { $0.state == .absent }.map(\.uid)
    let waiting = owners.filter { $0.state == .waiting }.map(\.uid)
    let isOwned = owners.contains { $0.state == .present || $0.state == .unseen }
    if isOwned {
      self = absent.isEmpty && waiting.isEmpty ? .keep : .removeOwners(absent + waiting)
    } else if !waiting.isEmpty && hasDependents {
      // The owner waits until everything below this object is gone, too.
      self = .delete(.foreground)
    } else if owners.isEmpty {
      self = .keep
    } else if finalizers.contains(GraphNode.orphanFinalizer) {
      self = .delete(.orphan)
    } else if finalizers.contains(GraphNode.foregroundFinalizer) {
      self = .delete(.foreground)
    } else {
      self = .delete(.background)
    }
  }
}
