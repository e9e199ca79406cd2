// A store that does what another does: tests override what they want to see, or to be otherwise.
import Replica
import Synchronization
import World

class ForwardingStore: ObjectStore, @unchecked Sendable {
  let store: LocalStore
  init(_ store: LocalStore) { self.store = store }

  var current: any StateView { store.current }
  func state(at revision: Revision) -> (any StateView)? { store.state(at: revision) }
  func commit(_ command: Command) async throws(StoreError) -> CommandOutcome { try await store.commit(command) }
  func linearizableState() async throws(StoreError) -> any StateView { try await store.linearizableState() }
  func state(atLeast revision: Revision, timeout: Duration) async -> (any StateView)? {
    await store.state(atLeast: revision, timeout: timeout)
  }
  func watch(
    resource: String, only: WatchedValue?, after revision: Revision, on world: any World,
    deliver: @escaping @Sendable ([Change], Revision) -> Void, ended: @escaping @Sendable () -> Void
  ) -> WatchStart {
    store.watch(resource: resource, only: only, after: revision, on: world, deliver: deliver, ended: ended)
  }
}

/// Counts how often all objects of a resource are looked through, whatever is looked for.
final class ScanCountingStore: ForwardingStore, @unchecked Sendable {
  private let resource: String
  private let count = Atomic<Int>(0)
  var scans: Int { count.load(ordering: .relaxed) }

  init(_ store: LocalStore, counting resource: String) {
    self.resource = resource
    super.init(store)
  }

  override var current: any StateView { watched(store.current) }
  override func state(at revision: Revision) -> (any StateView)? { store.state(at: revision).map(watched) }
  override func linearizableState() async throws(StoreError) -> any StateView {
    watched(try await store.linearizableState())
  }
  override func state(atLeast revision: Revision, timeout: Duration) async -> (any StateView)? {
    await store.state(atLeast: revision, timeout: timeout).map(watched)
  }
  private func watched(_ view: any StateView) -> any StateView { View(inner: view, store: self) }

  private struct View: StateView {
    let inner: any StateView
    let store: ScanCountingStore
    var revision: Revision { inner.revision }
    func object(_ key: ObjectKey) -> StoredObject? { inner.object(key) }
    func objects(
      resource: String, namespace: String, after: ObjectKey?, limit: Int
    ) -> (objects: [StoredObject], isComplete: Bool) {
      if resource == store.resource { store.count.add(1, ordering: .relaxed) }
      return inner.objects(resource: resource, namespace: namespace, after: after, limit: limit)
    }
    func pods(onNode node: String, namespace: String, after: ObjectKey?) -> [StoredObject] {
      inner.pods(onNode: node, namespace: namespace, after: after)
    }
    func count(resource: String, namespace: String) -> Int { inner.count(resource: resource, namespace: namespace) }
  }
}
