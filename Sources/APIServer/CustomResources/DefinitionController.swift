// Brings definitions up to date: names and conditions, and the objects of those that are deleted. The server that leads
// does this; every write holds only if what it was decided from still stands.
import JSON
import Replica
import Schema
import World

extension APIServer {
  /// Objects removed in one command.
  private static let removalBatch = 64

  /// One pass over all definitions. Returns whether nothing is left to wait for.
  @discardableResult
  public func reconcileDefinitions() async throws(StoreError) -> Bool {
    let state = try await store.linearizableState()
    let objects = state.objects(
      resource: DefinedKinds.resource.description, namespace: "", after: nil, limit: 0
    ).objects
    var isDone = true
    var groups: [String: [(object: StoredObject, tree: JSONValue)]] = [:]
    for object in objects {
      let tree = object.tree
      groups[tree["spec"]["group"].string ?? "", default: []].append((object, tree))
    }
    for members in groups.values {
      // Who came first has the better claim to a name.
      var members = members.sorted { left, right in
        (left.tree["metadata"]["creationTimestamp"].string ?? "", left.object.key.name)
          < (right.tree["metadata"]["creationTimestamp"].string ?? "", right.object.key.name)
      }
      for index in members.indices {
        let (object, tree) = members[index]
        if ObjectMetadata.isBeingDeleted(tree) {
          if try await !finishDeletion(object, tree) { isDone = false }
          continue
        }
        let others = members.indices.filter { $0 != index }.map { members[$0].tree }
        let named = DefinitionStatus.named(tree, used: DefinitionStatus.UsedNames(others), now: currentTime)
        members[index].tree = named
        if try await !replace(object, tree, by: named) { isDone = false }
      }
    }
    refreshDefinitions(store.current)
    return isDone
  }

  /// Whether the definition is now as it shall be; false when somebody else wrote it meanwhile.
  private func replace(
    _ object: StoredObject, _ tree: JSONValue, by new: JSONValue, removing: Bool = false
  ) async throws(StoreError) -> Bool {
    if new == tree, !removing { return true }
    let mutation: Mutation = removing ? .delete(object.key) : .put(object.key, UnversionedObject(tree: new))
    let outcome = try await store.commit(
      Command(preconditions: [.revision(object.key, object.revision)], mutations: [mutation]))
    if case .committed = outcome { return true }
    return false
  }

  /// Removes the objects of a deleted definition, then the definition. Returns whether it is gone, or not held by what
  /// is done here. Since the deletion began, writes that would create objects have been refused by their condition on
  /// the definition: there are only ever fewer of them.
  private func finishDeletion(_ object: StoredObject, _ tree: JSONValue) async throws(StoreError) -> Bool {
    guard ObjectMetadata.finalizers(tree).contains(DefinitionStatus.finalizer) else { return true }
    var marked = tree
    DefinitionStatus.set(
      DefinitionCondition(
        type: "Terminating", isTrue: true, reason: "InstanceDeletionInProgress",
        message: "CustomResource deletion is in progress"), in: &marked, now: currentTime)
    // The name of a definition is the resource of its objects, as storage keys have it.
    guard try await removeObjects(object.key.name) else {
      _ = try await replace(object, tree, by: marked)
      return false
    }
    DefinitionStatus.set(
      DefinitionCondition(
        type: "Terminating", isTrue: false, reason: "InstanceDeletionCompleted", message: "removed all instances"),
      in: &marked, now: currentTime)
    let rest = ObjectMetadata.finalizers(marked).filter { $0 != DefinitionStatus.finalizer }
    marked["metadata"]["finalizers"] = rest.isEmpty ? .null : .array(rest.map { .string($0) })
    return try await replace(object, tree, by: marked, removing: rest.isEmpty)
  }

  /// Whether no object is left. Those with finalizers are marked and wait for whoever set them.
  private func removeObjects(_ resource: String) async throws(StoreError) -> Bool {
    let objects = store.current.objects(resource: resource, namespace: "", after: nil, limit: 0).objects
    var areGone = true
    for start in stride(from: 0, to: objects.count, by: Self.removalBatch) {
      var command = Command(mutations: [])
      for object in objects[start..<min(start + Self.removalBatch, objects.count)] {
        var tree = object.tree
        if ObjectMetadata.finalizers(tree).isEmpty {
          command.mutations.append(.delete(object.key))
        } else {
          areGone = false
          guard !ObjectMetadata.isBeingDeleted(tree) else { continue }
          ObjectMetadata.markDeleted(&tree, at: currentTime, gracePeriodSeconds: 0)
          command.mutations.append(.put(object.key, UnversionedObject(tree: tree)))
        }
        command.preconditions.append(.revision(object.key, object.revision))
      }
      guard !command.mutations.isEmpty else { continue }
      if case .failed = try await store.commit(command) { areGone = false }
    }
    return areGone
  }
}
