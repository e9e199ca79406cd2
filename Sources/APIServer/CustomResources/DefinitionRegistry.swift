// The kinds of CustomResourceDefinitions, served as the store has them.
//
// The rule that makes a definition served everywhere as soon as anybody sees it Established: what a server serves is a
// function of the state it has applied. A definition that a request needs and that this server does not know is looked
// for in a state as new as the request, so a client that has seen the condition, at whatever server, finds the kind at
// every other. And a write of a custom resource holds only if its definition is still the one it was checked by.
import HTTP
import JSON
import Kinds
import Logging
import Replica
import Schema
import Synchronization
import World

/// What was made of the definitions in one state.
struct DefinitionSet: Sendable {
  /// Tells two sets of definitions apart: every change raises the newest revision or lowers the count.
  struct Fingerprint: Equatable, Sendable {
    var newest: Revision = 0
    var count = 0
  }
  var fingerprint = Fingerprint()
  var revision: Revision = 0
  /// By name of the definition.
  var definitions: [String: DefinedKinds] = [:]
}

extension APIServer {
  /// The kind that a request is about, as the newest state applied here has it, or a newer one if that has none.
  func kind(for info: RequestInfo) async throws(APIStatus) -> KindDescriptor? {
    func find() -> KindDescriptor? {
      registry.kind(group: info.group, version: info.version, resource: info.resource)
    }
    if let found = find() {
      guard let custom = found.custom else { return found }
      let definition = store.current.object(DefinedKinds.key(custom.definition))
      if definition?.revision == custom.revision { return found }
      refreshDefinitions(store.current)
      if let found = find() { return found }
    }
    // Only names of definitions have a dot in their group.
    guard info.group.contains(".") else { return nil }
    let key = DefinedKinds.key("\(info.resource).\(info.group)")
    for isNewest in [false, true] {
      let state = isNewest ? try await linearizableState() : store.current
      guard state.object(key) != nil else { continue }
      refreshDefinitions(state)
      if let found = find() { return found }
    }
    return nil
  }

  /// Brings discovery to a state as new as the request; without a quorum it says what is known here.
  func refreshDiscovery() async {
    let state = (try? await store.linearizableState()) ?? store.current
    refreshDefinitions(state)
  }

  /// Serves the definitions of this state, unless those of a newer one are served already.
  func refreshDefinitions(_ state: any StateView) {
    let known = definitions.withLock { $0 }
    guard state.revision > known.revision else { return }
    let objects = state.objects(
      resource: DefinedKinds.resource.description, namespace: "", after: nil, limit: 0
    ).objects
    let fingerprint = DefinitionSet.Fingerprint(
      newest: objects.reduce(0) { max($0, $1.revision) }, count: objects.count)
    guard fingerprint != known.fingerprint else {
      return definitions.withLock { $0.revision = max($0.revision, state.revision) }
    }
    var new = DefinitionSet(fingerprint: fingerprint, revision: state.revision)
    for object in objects {
      let previous = known.definitions[object.key.name]
      new.definitions[object.key.name] =
        previous?.revision == object.revision
        ? previous
        : DefinedKinds(object, previous: previous, types: builtInRegistry.types, rules: dependencies.rules)
    }
    let isNewer = definitions.withLock { current in
      guard new.revision > current.revision else { return false }
      current = new
      // Within the lock: an older registry must not take the place of a newer one.
      replaceRegistry(registry(of: new))
      return true
    }
    if isNewer { endWatches(of: known, now: new) }
  }

  private func registry(of set: DefinitionSet) -> KindRegistry {
    let kinds = set.definitions.values.flatMap(\.kinds).filter {
      // What is built in stays what it is.
      builtInRegistry.kind(group: $0.kind.group, version: $0.kind.version, resource: $0.resource) == nil
    }
    return kinds.isEmpty
      ? builtInRegistry
      : builtInRegistry.adding(kinds.sorted { ($0.kind.group, $0.resource) < ($1.kind.group, $1.resource) })
  }

  /// Watches of kinds that are no longer what they were end cleanly; their clients come back.
  private func endWatches(of old: DefinitionSet, now new: DefinitionSet) {
    for (name, former) in old.definitions where !former.kinds.isEmpty {
      if let current = new.definitions[name], current.servesLike(former) { continue }
      // A definition's name is its resource and group, as storage keys have them.
      watches.endAll(of: name)
    }
  }

  /// Keeps up with definitions until the task is cancelled: what is no longer served must not be watched. The server
  /// that leads decides about names, and removes what deleted definitions leave.
  public func followDefinitions(on world: any World, isLeader: @escaping @Sendable () -> Bool) async {
    let signal = ChangeSignal(world: world)
    while !Task.isCancelled {
      let subscription = signal.subscribe(store)
      while !Task.isCancelled, !signal.hasEnded {
        refreshDefinitions(store.current)
        var isDone = true
        if isLeader() {
          do { isDone = try await reconcileDefinitions() } catch {
            dependencies.logger.warning("cannot bring custom resource definitions up to date now: \(error)")
            isDone = false
          }
        }
        do {
          try await signal.wait(atMost: isDone ? ChangeSignal.pollInterval : ChangeSignal.retryInterval)
        } catch { break }
      }
      subscription?.cancel()
    }
  }
}
