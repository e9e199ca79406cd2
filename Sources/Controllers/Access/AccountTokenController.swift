// Secrets that hold a service account's token for good, as they were before tokens were asked for: they are filled in, and
// go with their account (spec/5 §5.1, serviceaccount-token-controller). The token is one that the servers sign on request,
// bound to the Secret: it is worth nothing once the Secret is gone.
import Client
import JSON
import Logging
import Schema
import World

public final class AccountTokenController: Controller {
  /// (As the manager itself: no controller's role may sign tokens.)
  public static let serviceAccount = ""
  static let secretType = "kubernetes.io/service-account-token"
  private static let workers = 2
  /// The longest that servers sign for: 136 years.
  private static let tokenSeconds: Int64 = 1 << 32
  private static let uidAnnotation = "kubernetes.io/service-account.uid"

  private let client: APIClient
  private let logger: Logger
  private let certificateAuthorityPEM: String
  private let secrets: Informer<Secret>
  private let accounts: Informer<ServiceAccount>
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext) {
    client = context.client(Self.serviceAccount)
    logger = context.logger
    certificateAuthorityPEM = context.certificateAuthorityPEM
    secrets = Informer(
      client: client, fieldSelector: "type=\(Self.secretType)",
      indexers: [IndexName.account: { ["\(NamespacedName(namespace: $0.namespace, name: $0.accountName))"] }],
      logger: logger)
    accounts = Informer(client: client, logger: logger)
    queue = context.makeQueue("token")
    secrets.onEvent { [queue] event in queue.add(event.object.key) }
    accounts.onEvent { [queue, secrets] event in
      if case .updated(let old, let new) = event, old.metadata.uid == new.metadata.uid { return }
      for secret in secrets.objects(index: IndexName.account, value: "\(event.object.key)") { queue.add(secret.key) }
    }
  }

  public func run() async {
    secrets.start()
    accounts.start()
    await work(queue, workers: Self.workers, after: [secrets, accounts], logger: logger, "token") {
      try await self.sync($0)
    }
    secrets.stop()
    accounts.stop()
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let secret = secrets.get(key), !secret.metadata.isBeingDeleted, !secret.accountName.isEmpty else { return }
    guard let account = try await account(of: secret) else {
      do {
        try await client.delete(
          .secrets, namespace: secret.namespace, name: secret.name,
          DeleteOptions(uid: secret.metadata.uid, resourceVersion: secret.metadata.resourceVersion))
      } catch let status as APIStatus where status.code == 404 {}
      return
    }
    let wanted = [
      "ca.crt": Base64.encode(Array(certificateAuthorityPEM.utf8)),
      "namespace": Base64.encode(Array(secret.namespace.utf8)),
    ]
    let isFilled = wanted.allSatisfy { secret.data[$0.key] == $0.value } && !(secret.data["token"] ?? "").isEmpty
    guard !isFilled || secret.accountUID != account.metadata.uid else { return }
    var token = secret.data["token"] ?? ""
    if token.isEmpty { token = try await newToken(of: account, for: secret) }
    try await client.modify(.secrets, namespace: secret.namespace, name: secret.name, uid: secret.metadata.uid) {
      object in
      object["metadata"]["annotations"][Self.uidAnnotation] = .string(account.metadata.uid)
      for (name, value) in wanted.sorted(by: { $0.key < $1.key }) { object["data"][name] = .string(value) }
      if (object["data"]["token"].string ?? "").isEmpty { object["data"]["token"] = .string(token) }
    }
  }

  /// The account a Secret names, if it is the one that it was made for. One that the informer does not know may be new.
  private func account(of secret: Secret) async throws -> ServiceAccount? {
    func suits(_ account: ServiceAccount) -> Bool {
      secret.accountUID.isEmpty || secret.accountUID == account.metadata.uid
    }
    if let known = accounts.get(namespace: secret.namespace, name: secret.accountName), suits(known) { return known }
    let live = try await client.find(.serviceAccounts, namespace: secret.namespace, name: secret.accountName)
    return live.map(ServiceAccount.init(json:)).flatMap { suits($0) ? $0 : nil }
  }

  private func newToken(of account: ServiceAccount, for secret: Secret) async throws -> String {
    let answer = try await client.create(
      .serviceAccounts, namespace: account.namespace,
      [
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": [
          "expirationSeconds": .integer(Self.tokenSeconds),
          "boundObjectRef": [
            "kind": "Secret", "apiVersion": "v1", "name": .string(secret.name), "uid": .string(secret.metadata.uid),
          ],
        ],
      ], name: account.name, subresource: "token")
    return Base64.encode(Array((answer["status"]["token"].string ?? "").utf8))
  }
}
