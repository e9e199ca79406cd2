// What every namespace is given: the default service account, and the certificate by which pods know the servers
// (spec/5 §5.1). Both are restored when somebody takes them away.
import Client
import JSON
import Logging
import Schema

/// Ensures the ServiceAccount `default` in every active namespace.
public final class ServiceAccountController: Controller {
  public static let serviceAccount = "service-account-controller"
  private static let name = "default"

  private let client: APIClient
  private let logger: Logger
  private let informers: SharedInformers
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    logger = context.logger
    self.informers = informers
    queue = context.makeQueue("serviceaccount")
    informers.namespaces.onEvent { [queue] event in queue.add(event.object.key) }
    informers.serviceAccounts.onEvent { [queue] event in
      if case .deleted(let account) = event { queue.add(NamespacedName(name: account.namespace)) }
    }
  }

  public func run() async {
    await informers.namespaces.waitForSync()
    await informers.serviceAccounts.waitForSync()
    await queue.run(
      workers: 1, onError: { [logger] key, error in logger.debug("service account of \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let namespace = informers.namespaces.get(key), !namespace.metadata.isBeingDeleted,
      informers.serviceAccounts.get(namespace: key.name, name: Self.name) == nil
    else { return }
    // What is there already, or a namespace that is said to be going away, fails like anything else: the next try finds what
    // the informers have learned meanwhile. A server may be behind them, and speak of one of that name that has gone since.
    try await client.create(
      .serviceAccounts, namespace: key.name,
      [
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": ["name": .string(Self.name), "namespace": .string(key.name)],
      ])
  }
}

/// Ensures the ConfigMap `kube-root-ca.crt` in every active namespace.
public final class RootCertificateController: Controller {
  public static let serviceAccount = "root-ca-cert-publisher"
  private static let name = "kube-root-ca.crt"
  private static let annotation = "kubernetes.io/description"
  private static let description =
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    + "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    + "clusters."

  private let client: APIClient
  private let logger: Logger
  private let informers: SharedInformers
  private let certificate: String
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    logger = context.logger
    certificate = context.certificateAuthorityPEM
    self.informers = informers
    queue = context.makeQueue("root_ca_cert_publisher")
    informers.namespaces.onEvent { [queue] event in queue.add(event.object.key) }
    informers.rootCertificates.onEvent { [queue] event in queue.add(NamespacedName(name: event.object.namespace)) }
  }

  public func run() async {
    await informers.namespaces.waitForSync()
    await informers.rootCertificates.waitForSync()
    await queue.run(
      workers: 1, onError: { [logger] key, error in logger.debug("root certificate of \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let namespace = informers.namespaces.get(key), !namespace.metadata.isBeingDeleted else { return }
    guard let existing = informers.rootCertificates.get(namespace: key.name, name: Self.name) else {
      try await client.create(
        .configMaps, namespace: key.name,
        [
          "apiVersion": "v1", "kind": "ConfigMap",
          "metadata": [
            "name": .string(Self.name), "namespace": .string(key.name),
            "annotations": .object([Self.annotation: .string(Self.description)]),
          ],
          "data": ["ca.crt": .string(certificate)],
        ])
      return
    }
    guard existing.data != ["ca.crt": certificate] || existing.metadata.annotations[Self.annotation] ?? "" == "" else {
      return
    }
    // What others have written on it stays.
    var annotations = existing.metadata.annotations
    annotations[Self.annotation] = Self.description
    try await client.update(
      .configMaps, namespace: key.name, name: Self.name,
      [
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": [
          "name": .string(Self.name), "namespace": .string(key.name), "uid": .string(existing.metadata.uid),
          "resourceVersion": .string(existing.metadata.resourceVersion), "labels": .object(existing.metadata.labels),
          "annotations": .object(annotations),
        ],
        "data": ["ca.crt": .string(certificate)],
      ])
  }
}
