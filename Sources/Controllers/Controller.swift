// What every controller has in common: its context, its informers, its workers. Decisions stand beside, as values:
// a controller observes through informers, plans in a pure function, and acts through the API alone (spec/5).
import Client
import HTTP
import JSON
import Logging
import Schema
import World

/// One control loop: runs until its task is cancelled.
public protocol Controller: Sendable {
  /// The service account it acts as: "replicaset-controller".
  static var serviceAccount: String { get }
  func run() async
}

extension Controller {
  /// Works on a queue's keys, each once at a time, from when the informers know what there is. What fails is tried again,
  /// ever later.
  func work(
    _ queue: WorkQueue<NamespacedName>, workers: Int, after informers: [any Following], logger: Logger, _ what: String,
    sync: @escaping @Sendable (NamespacedName) async throws -> Void
  ) async {
    for informer in informers { await informer.waitForSync() }
    await queue.run(workers: workers, onError: { key, error in logger.debug("\(what) \(key): \(error)") }, sync: sync)
  }
}

/// How controllers reach the API: each as its own service account (spec/5, --use-service-account-credentials).
public struct ControllerContext: Sendable {
  public let world: any World
  public let logger: Logger
  /// The certificate authority that pods trust: content of kube-root-ca.crt.
  public let certificateAuthorityPEM: String
  /// The authority itself, where this process holds it: certificate requests are signed with it.
  public let certificateSigner: (any CertificateSigner)?
  /// The networks that nodes get blocks of for their pods; none: nodes have theirs from elsewhere.
  public let podNetworks: [PodNetwork]
  /// What all controllers together have under way.
  public let gate = RequestGate()
  /// What the controllers' queues count.
  public let metrics: LoopMetrics
  private let transport: @Sendable (_ serviceAccount: String) -> any HTTPTransport
  private let reading: SharedReading?

  /// `transport` gives requests the identity of a service account of kube-system; "" for the manager's own. `reading` is
  /// for those whose server is in this process.
  public init(
    world: any World, logger: Logger, certificateAuthorityPEM: String,
    certificateSigner: (any CertificateSigner)? = nil, podNetworks: [PodNetwork] = [],
    metrics: LoopMetrics = LoopMetrics(), reading: SharedReading? = nil,
    transport: @escaping @Sendable (_ serviceAccount: String) -> any HTTPTransport
  ) {
    self.world = world
    self.logger = logger
    self.certificateAuthorityPEM = certificateAuthorityPEM
    self.certificateSigner = certificateSigner
    self.podNetworks = podNetworks
    self.transport = transport
    self.metrics = metrics
    self.reading = reading
  }

  /// A queue whose metrics have that name.
  func makeQueue<Key>(_ name: String) -> WorkQueue<Key> {
    WorkQueue(world: world, measuredBy: metrics, as: name)
  }

  public func client(_ serviceAccount: String) -> APIClient {
    // All of them own fields under the manager's name, which is what stands before the first slash.
    var agent = "kube-controller-manager/v1.32.4 (linux/amd64) kubernetes/unknown"
    if !serviceAccount.isEmpty { agent += "/system:serviceaccount:kube-system:\(serviceAccount)" }
    return APIClient(transport: transport(serviceAccount), world: world, userAgent: agent, gate: gate, reading: reading)
  }

  public func recorder(_ component: String) -> EventRecorder {
    EventRecorder(client: client(component), component: component, logger: logger)
  }
}

/// The names of the indices that shared informers keep.
enum IndexName {
  /// Objects by the uid of the owner that controls them.
  static let controllerUID = "controllerUID"
  /// Objects nobody controls, by namespace.
  static let orphan = "orphan"
  static let namespace = "namespace"
  static let nodeName = "nodeName"
  /// Secrets by the service account they name, "namespace/name".
  static let account = "account"
  /// Slices by the Service they say they are of, "namespace/name".
  static let service = "service"
  /// Pods by the claims they use, "namespace/name".
  static let claim = "claim"
  static let volumeUse = "volumeUse"
  static let claimUse = "claimUse"
}

/// The informers that controllers share: one list and watch per resource.
public final class SharedInformers: Sendable {
  public let pods: Informer<Pod>
  public let nodes: Informer<Node>
  public let namespaces: Informer<Namespace>
  public let services: Informer<Service>
  public let endpoints: Informer<Endpoints>
  public let endpointSlices: Informer<EndpointSlice>
  public let replicaSets: Informer<ReplicaSet>
  public let replicationControllers: Informer<ReplicationController>
  public let deployments: Informer<Deployment>
  public let jobs: Informer<Job>
  public let statefulSets: Informer<StatefulSet>
  public let daemonSets: Informer<DaemonSet>
  public let controllerRevisions: Informer<ControllerRevision>
  public let cronJobs: Informer<CronJob>
  public let autoscalers: Informer<HorizontalPodAutoscaler>
  public let serviceAccounts: Informer<ServiceAccount>
  public let rootCertificates: Informer<ConfigMap>
  public let nodeLeases: Informer<LeaseObject>
  public let claims: Informer<PersistentVolumeClaim>
  public let volumes: Informer<PersistentVolume>
  public let storageClasses: Informer<StorageClass>
  public let budgets: Informer<PodDisruptionBudget>
  public let clusterRoles: Informer<ClusterRole>
  private let all: [any Following]

  public init(client: APIClient, logger: Logger) {
    func owned<Object: APIObject>(_ type: Object.Type) -> [String: Informer<Object>.Indexer] {
      [
        IndexName.controllerUID: { $0.metadata.controller.map { [$0.uid] } ?? [] },
        IndexName.orphan: { $0.metadata.controller == nil ? [$0.metadata.namespace] : [] },
        IndexName.namespace: { [$0.metadata.namespace] },
      ]
    }
    var podIndexers = owned(Pod.self)
    podIndexers[IndexName.nodeName] = { $0.spec.nodeName.isEmpty ? [] : [$0.spec.nodeName] }
    podIndexers[IndexName.claim] = { pod in
      pod.claimNames.map { "\(NamespacedName(namespace: pod.namespace, name: $0))" }
    }
    pods = Informer(client: client, indexers: podIndexers, logger: logger)
    nodes = Informer(client: client, logger: logger)
    namespaces = Informer(client: client, logger: logger)
    services = Informer(client: client, indexers: [IndexName.namespace: { [$0.metadata.namespace] }], logger: logger)
    endpoints = Informer(client: client, logger: logger)
    let sliceIndexers: [String: Informer<EndpointSlice>.Indexer] = [
      IndexName.controllerUID: { $0.metadata.controller.map { [$0.uid] } ?? [] },
      IndexName.service: { slice in
        slice.metadata.labels[SliceLabels.service].map { ["\(NamespacedName(namespace: slice.namespace, name: $0))"] }
          ?? []
      },
    ]
    endpointSlices = Informer(client: client, indexers: sliceIndexers, logger: logger)
    replicaSets = Informer(client: client, indexers: owned(ReplicaSet.self), logger: logger)
    replicationControllers = Informer(client: client, indexers: owned(ReplicationController.self), logger: logger)
    deployments = Informer(client: client, indexers: owned(Deployment.self), logger: logger)
    autoscalers = Informer(client: client, logger: logger)
    cronJobs = Informer(client: client, logger: logger)
    jobs = Informer(client: client, indexers: owned(Job.self), logger: logger)
    statefulSets = Informer(client: client, indexers: owned(StatefulSet.self), logger: logger)
    daemonSets = Informer(client: client, indexers: owned(DaemonSet.self), logger: logger)
    controllerRevisions = Informer(client: client, indexers: owned(ControllerRevision.self), logger: logger)
    serviceAccounts = Informer(client: client, fieldSelector: "metadata.name=default", logger: logger)
    rootCertificates = Informer(client: client, fieldSelector: "metadata.name=kube-root-ca.crt", logger: logger)
    nodeLeases = Informer(client: client, namespace: "kube-node-lease", logger: logger)
    claims = Informer(client: client, indexers: [IndexName.claimUse: { $0.useKeys }], logger: logger)
    volumes = Informer(client: client, indexers: [IndexName.volumeUse: { $0.useKeys }], logger: logger)
    storageClasses = Informer(client: client, logger: logger)
    budgets = Informer(client: client, indexers: [IndexName.namespace: { [$0.metadata.namespace] }], logger: logger)
    clusterRoles = Informer(client: client, logger: logger)
    all = [
      pods, nodes, namespaces, services, endpoints, endpointSlices, replicaSets, replicationControllers, deployments,
      jobs, serviceAccounts, rootCertificates, nodeLeases, claims, volumes, budgets, clusterRoles, statefulSets,
      daemonSets, controllerRevisions, storageClasses, cronJobs, autoscalers,
    ]
  }

  /// What is followed here without a selection.
  var whole: Set<ResourceReference> { Set(all.filter { !$0.isSelective }.map(\.resource)) }

  public func start() { for informer in all { informer.start() } }
  public func stop() { for informer in all { informer.stop() } }
}

/// An informer of whatever kind.
protocol Following: Sendable {
  var resource: ResourceReference { get }
  var isSelective: Bool { get }
  func start()
  func stop()
  func waitForSync() async
}
extension Informer: Following {}

/// Runs `body` for each of `count` numbers in batches that double from one (1, 2, 4, …) while all goes well, so that a
/// failure that would meet every one of them (a quota, a webhook) is met once. Returns how many were tried, how many of
/// those succeeded, and the first error.
func slowStart(
  _ count: Int, on world: any World, _ body: @escaping @Sendable (Int) async throws -> Void
) async -> (tried: Int, succeeded: Int, error: (any Error)?) {
  var tried = 0
  var batch = 1
  while tried < count {
    let size = min(batch, count - tried)
    let start = tried
    let results = await withTaskGroup(of: (any Error)?.self) { group in
      for index in start..<start + size {
        group.addTask(on: world) {
          do {
            try await body(index)
            return nil
          } catch {
            return error
          }
        }
      }
      return await group.reduce(into: [(any Error)?]()) { $0.append($1) }
    }
    let failures = results.compactMap { $0 }
    tried += size
    if let error = failures.first { return (tried, tried - failures.count, error) }
    batch *= 2
  }
  return (tried, tried, nil)
}
