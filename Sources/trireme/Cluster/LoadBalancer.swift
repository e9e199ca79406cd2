// HAProxy before the servers of `trireme up`.
import Client

enum LoadBalancer {
  /// The configuration.
  static func configuration(_ plan: ClusterPlan, folder: String) -> String {
    "# Written by `trireme up` (\(folder)); edits are lost at its next start.\n"
      + HAProxyConfiguration(bind: plan.endpoint, servers: plan.places.map { ($0.name, $0.address) }).text
  }
}
