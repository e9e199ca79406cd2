// The last step of every write: one command, all or nothing.
import JSON
import Replica
import Schema
import World

/// What became of a command, as writers need to know it.
enum CommitResult: Sendable {
  /// The main object as it now stands; nil when the command deleted it.
  case committed(StoredObject?)
  /// The main object is not what the write was based on; it is now this (nil: it does not exist).
  case raced(StoredObject?)
  /// A condition that admission or allocation added does not hold: try the whole write again.
  case overtaken
}

/// A write that is ready to be committed.
struct PendingWrite: Sendable {
  var key: ObjectKey
  /// What must hold of the main object; nil for nothing.
  var condition: Precondition?
  var mutation: Mutation
  /// What admission and allocation add.
  var preconditions: [Precondition] = []
  var mutations: [Mutation] = []
}

extension APIServer {
  /// How often a write is tried again when others write at the same time. The reference gives patches five.
  static let conflictRetries = 5
  /// How often a write is tried again when what its admission relied on changed, or an address was just taken.
  static let overtakenRetries = 16

  /// Who lost several times in a row waits a moment before trying again: a writer that is faster every time would
  /// otherwise win every time.
  static func stepAside(_ attempt: Int, _ world: any World) async {
    guard attempt > 3 else { return }
    try? await world.sleep(for: .microseconds(500 + Int(world.randomBits() % 4000)))
  }

  /// In the words of the reference's metric.
  private static func storeOperation(_ write: PendingWrite) -> String {
    switch (write.mutation, write.condition) {
    case (.delete, _): "delete"
    case (_, .absent): "create"
    default: "update"
    }
  }

  func commit(_ write: PendingWrite, _ request: ResourceRequest) async throws(APIStatus) -> CommitResult {
    var preconditions: [Precondition] = []
    if let condition = write.condition { preconditions.append(condition) }
    let isFenced = !APIMutant.fenceForgotten.isActive && !APIMutant.bindingRepeatable.isActive
    let fenceIndex = (isFenced ? request.fence : nil).map { fence in
      preconditions.append(fence)
      return preconditions.count - 1
    }
    var definitionIndex: Int?
    if let custom = request.kind.custom, case .put = write.mutation {
      // Checked by this schema: it must be the one that holds.
      preconditions.append(.revision(DefinedKinds.key(custom.definition), custom.revision))
      definitionIndex = preconditions.count - 1
    }
    preconditions += write.preconditions
    let command = Command(preconditions: preconditions, mutations: [write.mutation] + write.mutations)
    let outcome: CommandOutcome
    let start = request.world.now
    do { outcome = try await store.commit(command) } catch { throw APIStatus(storeError: error) }
    metrics.storeDurations.observe(
      (request.world.now - start).inSeconds,
      [Self.storeOperation(write), request.kind.groupResource.description])
    switch outcome {
    case .committed(let changes):
      let own = changes.last { $0.key == write.key }
      return .committed(own.flatMap { $0.kind == .put ? $0.object : nil })
    case .failed(let index, let current):
      if index == fenceIndex {
        throw .conflict(
          request.resource, request.name, "the writer no longer holds its lease (it was fenced off by a new leader)")
      }
      if index == definitionIndex { throw Self.definitionChanged }
      return index == 0 && write.condition != nil ? .raced(current) : .overtaken
    }
  }

  /// Commits what puts `object`; should that be too large, without the account of who owns what in it, which may take as
  /// much room as the rest. (Whoever applies wants just that account.)
  func commit(
    _ write: PendingWrite, of object: JSONValue, isApplied: Bool, _ request: ResourceRequest
  ) async throws(APIStatus) -> CommitResult {
    do { return try await commit(write, request) } catch {
      guard error.code == 413, !isApplied, case .put = write.mutation, !object["metadata"]["managedFields"].isNull
      else { throw error }
      var (write, object) = (write, object)
      object["metadata"]["managedFields"] = .null
      write.mutation = .put(write.key, try await converted(object, toStorageOf: request.kind))
      return try await commit(write, request)
    }
  }

  /// Never seen by clients: the request is routed anew.
  static let definitionChanged = APIStatus(code: 503, reason: "DefinitionChanged", message: "the definition changed")

  /// The stored form of an object of the request's kind.
  func storedForm(_ object: JSONValue, _ kind: KindDescriptor) -> UnversionedObject {
    let isLease = kind.kind.group == "coordination.k8s.io" && kind.kind.kind == "Lease"
    let fence = isLease ? UInt64(clamping: object["spec"]["leaseTransitions"].integer ?? 0) : 0
    return UnversionedObject(tree: Conversion.toStorage(object, from: kind, builtInRegistry), fence: fence)
  }
}
