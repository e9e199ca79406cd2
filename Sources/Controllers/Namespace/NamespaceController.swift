// Namespaces that are being deleted: everything in them goes first (spec/5 §5.1).
import Client
import HTTP
import JSON
import Logging
import Schema
import World

public final class NamespaceController: Controller {
  public static let serviceAccount = "namespace-controller"
  private static let workers = 10
  private static let finalizer = "kubernetes"
  /// How soon to look again at a namespace that is not empty yet.
  private static let retry = Duration.seconds(1)

  private let world: any World
  private let client: APIClient
  private let logger: Logger
  private let informers: SharedInformers
  private let discovery: ResourceDiscovery
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    logger = context.logger
    self.informers = informers
    discovery = ResourceDiscovery(client: client)
    queue = context.makeQueue("namespace")
    informers.namespaces.onEvent { [queue] event in
      if event.object.metadata.isBeingDeleted { queue.add(event.object.key) }
    }
  }

  public func run() async {
    await informers.namespaces.waitForSync()
    await queue.run(
      workers: Self.workers,
      onError: { [logger] key, error in logger.debug("Namespace \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let json = try await client.find(.namespaces, name: key.name) else { return }
    let namespace = Namespace(json: json)
    guard namespace.metadata.isBeingDeleted, namespace.finalizers.contains(Self.finalizer) else { return }
    var content = NamespaceContent()
    do {
      // Asked now: of a kind that came since there may be objects here already, which nobody would find any more.
      let served = try await discovery.served(notOlderThan: .zero)
      for resource in served.deletable where resource.reference.isNamespaced {
        await empty(resource, key.name, &content)
      }
      // What a server that does not answer holds of the namespace nobody knows.
      if !served.stale.isEmpty {
        let failures = served.stale.map { "\($0): stale GroupVersion discovery: \($0)" }
        content.discoveryFailure =
          "unable to retrieve the complete list of server APIs: " + failures.joined(separator: ", ")
      }
    } catch {
      content.discoveryFailure = "\((error as? APIStatus)?.message ?? "\(error)")"
    }
    try await updateConditions(namespace, content)
    guard content.isEmpty else { return queue.add(key, after: Self.retry) }
    try await finalize(json)
  }

  /// Deletes all objects of one resource and counts what is left, and what it waits for.
  private func empty(_ resource: DiscoveredResource, _ name: String, _ content: inout NamespaceContent) async {
    let path = resource.reference.path(namespace: name)
    do {
      if resource.verbs.contains("deletecollection") {
        try await client.submit(
          "DELETE", path, body: ["kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"])
      }
      let left = try await client.list(path: path, accept: MetadataObject.listAccept).items.map(
        MetadataObject.init(json:))
      if !resource.verbs.contains("deletecollection") {
        for object in left where !object.metadata.isBeingDeleted {
          try await client.delete(
            resource.reference, namespace: name, name: object.name, DeleteOptions(propagation: .background))
        }
      }
      guard !left.isEmpty else { return }
      content.remaining.append((resource.reference.groupResource.description, left.count))
      for finalizer in left.flatMap(\.metadata.finalizers) {
        content.finalizers[finalizer, default: 0] += 1
      }
    } catch let status as APIStatus where status.code == 404 || status.code == 405 {
      return
    } catch {
      content.failures.append("\(resource.reference): \((error as? APIStatus)?.message ?? "\(error)")")
    }
  }

  private func updateConditions(_ namespace: Namespace, _ content: NamespaceContent) async throws {
    let conditions = content.conditions(previous: namespace.conditions, now: world.wallClock)
    guard conditions != namespace.conditions else { return }
    try await client.modify(
      .namespaces, name: namespace.name, uid: namespace.metadata.uid, subresource: "status"
    ) { $0["status"]["conditions"] = .array(conditions.map(\.json)) }
  }

  private func finalize(_ json: JSONValue) async throws {
    guard var live = try await client.find(.namespaces, name: json["metadata"]["name"].string ?? "") else { return }
    live["spec"]["finalizers"] = .array(live["spec"]["finalizers"].elements.filter { $0.string != Self.finalizer })
    do {
      try await client.update(
        .namespaces, name: live["metadata"]["name"].string ?? "", live, subresource: "finalize")
    } catch let status as APIStatus where status.code == 404 { return }
  }
}

/// What is still in a namespace, and the conditions that tell of it.
struct NamespaceContent {
  var remaining: [(resource: String, count: Int)] = []
  var finalizers: [String: Int] = [:]
  var failures: [String] = []
  var discoveryFailure: String?

  var isEmpty: Bool { remaining.isEmpty && failures.isEmpty && discoveryFailure == nil }

  func conditions(previous: [StatusCondition], now: WallTime) -> [StatusCondition] {
    let resources = remaining.sorted { $0.resource < $1.resource }
      .map { "\($0.resource) has \($0.count) resource instances" }.joined(separator: ", ")
    let waiting = finalizers.sorted { $0.key < $1.key }
      .map { "\($0.key) in \($0.value) resource instances" }.joined(separator: ", ")
    let all = [
      condition(
        "NamespaceDeletionDiscoveryFailure", discoveryFailure.map { "Discovery failed for some groups: \($0)" },
        "DiscoveryFailed", "ResourcesDiscovered", "All resources successfully discovered"),
      condition(
        "NamespaceDeletionGroupVersionParsingFailure", nil, "GroupVersionParsingFailed", "ParsedGroupVersions",
        "All legacy kube types successfully parsed"),
      condition(
        "NamespaceDeletionContentFailure",
        failures.isEmpty
          ? nil
          : "Failed to delete all resource types, \(failures.count) remaining: \(failures.joined(separator: ", "))",
        "ContentDeletionFailed", "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization"),
      condition(
        "NamespaceContentRemaining", remaining.isEmpty ? nil : "Some resources are remaining: \(resources)",
        "SomeResourcesRemain", "ContentRemoved", "All content successfully removed"),
      condition(
        "NamespaceFinalizersRemaining",
        finalizers.isEmpty ? nil : "Some content in the namespace has finalizers remaining: \(waiting)",
        "SomeFinalizersRemain", "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    ]
    return all.map { condition in
      var condition = condition
      let old = previous.first { $0.type == condition.type }
      condition.lastTransitionTime =
        old?.status == condition.status
        ? old?.lastTransitionTime : WallTime(secondsSinceEpoch: now.secondsSinceEpoch)
      return condition
    }
  }

  private func condition(
    _ type: String, _ problem: String?, _ badReason: String, _ goodReason: String, _ goodMessage: String
  ) -> StatusCondition {
    StatusCondition(
      type: type, status: problem == nil ? "False" : "True", reason: problem == nil ? goodReason : badReason,
      message: problem ?? goodMessage)
  }
}
