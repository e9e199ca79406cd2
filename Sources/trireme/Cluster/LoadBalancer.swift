// HAProxy before the servers of `trireme up`.
import Client

enum LoadBalancer {
  /// The configuration.
  static func configuration(_ plan: ClusterPlan, folder: String) -> String {
    let spares = plan.places.filter { place in !plan.members.contains { $0.name == place.name } }
    return "# Written by `trireme up` (\(folder)); edits are lost at its next start.\n"
      + HAProxyConfiguration(bind: plan.endpoint, servers: plan.members, spares: spares).text
  }
}
