// Tokens that were made for service accounts without anybody asking, and that nobody has used for a year: first they are
// marked, a year later they go (spec/5 §5.1, legacy-serviceaccount-token-cleaner).
import Client
import JSON
import Logging
import Schema
import World

/// What is to be done about one Secret with a token.
enum LegacyTokenVerdict: Hashable {
  case keep
  /// Mark it: unused since this day.
  case mark(String)
  case delete

  static let lastUsedLabel = "kubernetes.io/legacy-token-last-used"
  static let invalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"
  static let cleanUpPeriod = Duration.seconds(365 * 86_400)

  static func day(_ time: WallTime) -> String { String(time.rfc3339.prefix(10)) }

  /// `account`: whose token it is; nil if there is none. (What a pod mounts is kept whatever this says.)
  init(_ secret: Secret, account: ServiceAccount?, now: WallTime) {
    self = .keep
    let threshold = now + (.zero - Self.cleanUpPeriod)
    guard let created = secret.metadata.creationTimestamp, created < threshold, !secret.metadata.isBeingDeleted,
      let account, account.secretNames.contains(secret.name)
    else { return }
    if let used = secret.metadata.labels[Self.lastUsedLabel], used >= Self.day(threshold) { return }
    guard let since = secret.metadata.labels[Self.invalidSinceLabel],
      let day = WallTime(rfc3339: "\(since)T00:00:00Z")
    else {
      self = .mark(Self.day(now))
      return
    }
    if day < threshold { self = .delete }
  }
}

public final class LegacyTokenCleaner: Controller {
  public static let serviceAccount = "legacy-service-account-token-cleaner"
  private static let interval = Duration.seconds(86_400)
  private static let tracking = "kube-apiserver-legacy-service-account-token-tracking"

  private let world: any World
  private let client: APIClient
  /// Lists what the role above does not let it list.
  private let reader: APIClient
  private let logger: Logger

  public init(context: ControllerContext) {
    world = context.world
    client = context.client(Self.serviceAccount)
    reader = context.client("")
    logger = context.logger
  }

  public func run() async {
    while !Task.isCancelled {
      do { try await clean() } catch { logger.debug("legacy tokens: \(error)") }
      try? await world.sleep(for: Self.interval)
    }
  }

  private func clean() async throws {
    let now = world.wallClock
    // Before the servers took note of who uses what, nothing is known.
    guard let map = try await client.find(.configMaps, namespace: "kube-system", name: Self.tracking),
      let since = map["data"]["since"].string.flatMap({ WallTime(rfc3339: "\($0)T00:00:00Z") }),
      now - since > LegacyTokenVerdict.cleanUpPeriod + .seconds(86_400)
    else { return }
    let list = try await reader.list(
      .secrets, ListOptions(fieldSelector: "type=\(AccountTokenController.secretType)"))
    for secret in list.items.map(Secret.init(json:)) {
      let account = try await reader.find(.serviceAccounts, namespace: secret.namespace, name: secret.accountName)
        .map(ServiceAccount.init(json:))
        .flatMap { $0.metadata.uid == secret.accountUID ? $0 : nil }
      let verdict = LegacyTokenVerdict(secret, account: account, now: now)
      if verdict != .keep, try await !isMounted(secret) { try await apply(verdict, to: secret) }
    }
  }

  private func isMounted(_ secret: Secret) async throws -> Bool {
    try await reader.list(.pods, namespace: secret.namespace).items.contains { pod in
      pod["spec"]["volumes"].elements.contains { $0["secret"]["secretName"].string == secret.name }
    }
  }

  private func apply(_ verdict: LegacyTokenVerdict, to secret: Secret) async throws {
    do {
      switch verdict {
      case .keep: return
      case .mark(let day):
        try await client.patch(
          .secrets, namespace: secret.namespace, name: secret.name,
          [
            "metadata": [
              "uid": .string(secret.metadata.uid),
              "labels": .object([LegacyTokenVerdict.invalidSinceLabel: .string(day)]),
            ]
          ], type: .merge)
      case .delete:
        try await client.delete(
          .secrets, namespace: secret.namespace, name: secret.name,
          DeleteOptions(uid: secret.metadata.uid, resourceVersion: secret.metadata.resourceVersion))
      }
    } catch let status as APIStatus where status.code == 404 || status.code == 409 {
      return
    }
  }
}
