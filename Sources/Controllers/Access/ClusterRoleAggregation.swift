// Cluster roles that gather the rules of others: admin, edit and view, and those of operators (spec/5 §5.1). Whoever labels a
// role of a new kind for them finds its rules there a moment later.
import Client
import JSON
import Logging
import Schema

/// Keeps `rules` of every ClusterRole with an `aggregationRule` what those that it selects say.
public final class ClusterRoleAggregationController: Controller {
  public static let serviceAccount = "clusterrole-aggregation-controller"

  private let client: APIClient
  private let logger: Logger
  private let roles: Informer<ClusterRole>
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    client = context.client(Self.serviceAccount)
    logger = context.logger
    roles = informers.clusterRoles
    queue = context.makeQueue("ClusterRoleAggregator")
    // Any role may be selected, by its labels of now or of before; there are few that gather.
    roles.onEvent { [queue, roles] _ in
      for role in roles.all where role.gathered != nil { queue.add(role.key) }
    }
  }

  public func run() async {
    await roles.waitForSync()
    await queue.run(
      workers: 1, onError: { [logger] key, error in logger.debug("ClusterRole \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let role = roles.get(key), let rules = Self.rules(of: role, among: roles.all), rules != role.rules else {
      return
    }
    try await client.patch(
      .clusterRoles, name: key.name,
      [
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": ["name": .string(key.name)],
        "rules": .array(rules),
      ], type: .apply, fieldManager: Self.serviceAccount, force: true)
  }

  /// The rules of all that it selects, each once: selector by selector, the roles of each by name. Nil for a role that
  /// gathers nothing.
  static func rules(of role: ClusterRole, among roles: [ClusterRole]) -> [JSONValue]? {
    guard let gathered = role.gathered else { return nil }
    let others = roles.filter { $0.name != role.name }.sorted { $0.name < $1.name }
    var rules: [JSONValue] = []
    var seen: Set<JSONValue> = []
    for selector in gathered {
      for other in others where selector.matches(other.metadata.labels) {
        for rule in other.rules where seen.insert(rule).inserted { rules.append(rule) }
      }
    }
    return rules
  }
}
