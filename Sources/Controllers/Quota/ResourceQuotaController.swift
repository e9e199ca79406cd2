// What resource quotas say is used (spec/5 §5.1). Admission charges what is created; this controller gives back what went
// away, counts what was there before its quota, and says which limits hold.
//
// Counting is exact: a quota is read, then what it limits is listed, and the sum is written under the revision that was
// read. Whatever is created meanwhile changes the quota, and the count is made again.
import Client
import JSON
import Kinds
import Logging
import Schema
import Synchronization
import World

public final class ResourceQuotaController: Controller {
  public static let serviceAccount = "resourcequota-controller"
  private static let workers = 5
  /// All are counted anew this often (--resource-quota-sync-period).
  private static let resyncPeriod = Duration.seconds(300)
  /// Deletions come in crowds: a quota is counted once for those that come within this time.
  private static let replenishDelay = Duration.milliseconds(200)
  /// A kind that nobody serves may be served later.
  private static let discoveryPeriod = Duration.seconds(30)
  private static let pageSize = 500

  private let world: any World
  private let client: APIClient
  private let logger: Logger
  private let informers: SharedInformers
  private let quotas: Informer<ResourceQuota>
  private let discovery: ResourceDiscovery
  private let queue: WorkQueue<NamespacedName>
  /// Kinds that a quota began or ceased to speak of.
  private let kinds: WorkQueue<GroupResource>
  private let followed = Mutex<[GroupResource: Informer<MetadataObject>]>([:])

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    logger = context.logger
    self.informers = informers
    quotas = Informer(
      client: client, indexers: [IndexName.namespace: { [$0.metadata.namespace] }], logger: context.logger)
    discovery = ResourceDiscovery(client: client)
    queue = context.makeQueue("resourcequota_primary")
    kinds = context.makeQueue("resource_quota_controller_resource_changes")
    quotas.onEvent { [weak self] event in self?.quotaChanged(event) }
    observeShared()
  }

  public func run() async {
    quotas.start()
    await quotas.waitForSync()
    await withTaskGroup(of: Void.self) { group in
      group.addTask(on: world) {
        await self.queue.run(
          workers: Self.workers,
          onError: { [logger = self.logger] key, error in logger.debug("quota \(key): \(error)") },
          sync: { try await self.sync($0) })
      }
      group.addTask(on: world) {
        await self.kinds.run(
          workers: 1, onError: { [logger = self.logger] kind, error in logger.debug("quotas of \(kind): \(error)") },
          sync: { try await self.follow($0) })
      }
      group.addTask(on: world) {
        while !Task.isCancelled {
          try? await self.world.sleep(for: Self.resyncPeriod)
          for quota in self.quotas.all.sorted(by: { $0.key < $1.key }) { self.queue.add(quota.key) }
        }
      }
    }
    quotas.stop()
    for informer in followed.withLock({ Array($0.values) }) { informer.stop() }
  }

  // MARK: Observing

  private func quotaChanged(_ event: InformerEvent<ResourceQuota>) {
    var resources = event.object.quota.resources
    switch event {
    case .added(let quota): queue.add(quota.key)
    case .updated(let old, let new):
      // Status is written by this controller and by admission.
      guard old.quota.hard != new.quota.hard else { return }
      queue.add(new.key)
      resources += old.quota.resources
    case .deleted: break
    }
    for resource in resources where !Self.shared.contains(resource) { kinds.add(resource) }
  }

  /// Kinds of which more than a deletion is of interest, followed for others as well.
  private static let shared: Set<GroupResource> = [
    ResourceReference.pods.groupResource, ResourceReference.services.groupResource,
    ResourceReference.persistentVolumeClaims.groupResource,
  ]

  private func observeShared() {
    informers.pods.onEvent { [weak self] event in
      switch event {
      case .added: return
      case .updated(let old, let new):
        guard !old.isTerminal, new.isTerminal else { return }
      case .deleted: break
      }
      self?.replenish(ResourceReference.pods.groupResource, in: event.object.namespace)
    }
    informers.services.onEvent { [weak self] event in
      if case .added = event { return }
      if case .updated(let old, let new) = event, old.type == new.type, old.ports == new.ports { return }
      self?.replenish(ResourceReference.services.groupResource, in: event.object.namespace)
    }
    informers.claims.onEvent { [weak self] event in
      if case .added = event { return }
      self?.replenish(ResourceReference.persistentVolumeClaims.groupResource, in: event.object.namespace)
    }
  }

  private func replenish(_ resource: GroupResource, in namespace: String) {
    for quota in quotas.objects(index: IndexName.namespace, value: namespace).sorted(by: { $0.key < $1.key })
    where !quota.quota.names(of: resource).isEmpty {
      queue.add(quota.key, after: Self.replenishDelay)
    }
  }

  /// Watches a kind's metadata for as long as some quota speaks of it.
  private func follow(_ resource: GroupResource) async throws {
    let isNeeded = quotas.all.contains { $0.quota.counts(resource) }
    guard isNeeded else {
      followed.withLock { $0.removeValue(forKey: resource) }?.stop()
      return
    }
    guard followed.withLock({ $0[resource] }) == nil else { return }
    guard let reference = try await reference(to: resource) else {
      return kinds.add(resource, after: Self.discoveryPeriod)
    }
    let informer = Informer<MetadataObject>(
      resource: reference, client: client, accept: MetadataObject.accept, listAccept: MetadataObject.listAccept,
      logger: logger)
    informer.onEvent { [weak self] event in
      guard case .deleted(let object) = event else { return }
      self?.replenish(resource, in: object.metadata.namespace)
    }
    followed.withLock { $0[resource] = informer }
    informer.start()
    await informer.waitForSync()
    // What went away before the list is not told of.
    for quota in quotas.all.sorted(by: { $0.key < $1.key }) where quota.quota.counts(resource) {
      queue.add(quota.key)
    }
  }

  private func reference(to resource: GroupResource) async throws -> ResourceReference? {
    try await discovery.first { found in
      found.reference.groupResource == resource && found.reference.isNamespaced
        && found.verbs.isSuperset(of: ["list", "watch"])
    }
  }

  // MARK: Counting

  private func sync(_ key: NamespacedName) async throws {
    guard quotas.get(key) != nil, var object = try await read(key) else { return }
    let quota = Quota(object)
    var used = quota.nothing
    var failure: (any Error)?
    for resource in quota.resources {
      do {
        used += try await usage(of: resource, quota, namespace: key.namespace)
      } catch {
        // What cannot be counted now stays as it is on the books.
        failure = error
        for name in quota.names(of: resource) { used[name] = quota.usedInStatus[name] ?? .zero }
      }
    }
    let isWritten = quota.hardInStatus == quota.hard && quota.usedInStatus == used
    if !isWritten || object["status"]["used"].isNull {
      object["status"] = ["hard": quota.hard.json, "used": used.json]
      do {
        try await client.update(
          .resourceQuotas, namespace: key.namespace, name: key.name, object, subresource: "status")
      } catch let status as APIStatus where status.code == 404 {
        return
      } catch let status as APIStatus where status.code == 409 {
        // Something was created meanwhile.
        return queue.add(key, after: Self.replenishDelay)
      }
    }
    if let failure { throw failure }
  }

  /// The quota as it is now: an informer's may be older than what is listed after it. Its role may list, but not get.
  private func read(_ key: NamespacedName) async throws -> JSONValue? {
    try await client.list(
      .resourceQuotas, namespace: key.namespace, ListOptions(fieldSelector: "metadata.name=\(key.name)")
    ).items.first
  }

  private func usage(of resource: GroupResource, _ quota: Quota, namespace: String) async throws -> ResourceAmounts {
    guard let reference = try await reference(to: resource) else { return ResourceAmounts() }
    let path = reference.path(namespace: namespace)
    if quota.countsOnly(resource), let count = try await count(path) {
      var usage = ResourceAmounts()
      for name in quota.names(of: resource) { usage[name] = Quantity(Int64(count)) }
      return usage
    }
    var usage = ResourceAmounts()
    var page = ListOptions(limit: Self.pageSize)
    repeat {
      let list = try await client.list(path: path, page)
      let now = world.wallClock
      for item in list.items { usage += quota.charge(for: QuotaSubject(item, resource, now: now)) }
      page.continueToken = list.continueToken
    } while !page.continueToken.isEmpty
    return usage
  }

  /// How many there are, from the first page alone; nil where the server does not say how many are left.
  private func count(_ path: String) async throws -> Int? {
    let page = try await client.json("GET", path, [("limit", "1")], accept: MetadataObject.listAccept)
    let left = page["metadata"]["remainingItemCount"].integer.map { Int($0) }
    let isWhole = (page["metadata"]["continue"].string ?? "").isEmpty
    return (isWhole ? 0 : left).map { $0 + page["items"].elements.count }
  }
}
