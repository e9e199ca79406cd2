import ArgumentParser
import Controllers
import Schema

/// The networks of the pods, as servers and controllers beside them are told of them.
struct NodeNetworkOptions: ParsableArguments {
  @Option(
    name: .customLong("cluster-cidr"),
    help: "Networks of the pods, of which every node gets a block: one, or one a family, separated by a comma.")
  var clusterNetworks: String?
  @Option(name: .customLong("node-cidr-mask-size"), help: "Prefix length of a node's IPv4 block.")
  var nodePrefix = PodNetwork.usualNodePrefix(.v4)
  @Option(name: .customLong("node-cidr-mask-size-ipv6"), help: "Prefix length of a node's IPv6 block.")
  var nodePrefixIPv6 = PodNetwork.usualNodePrefix(.v6)

  func validate() throws { _ = try networks() }

  /// Throws `ValidationError` for what is no network, or cannot be cut so.
  func networks() throws -> [PodNetwork] {
    guard let clusterNetworks else { return [] }
    let networks = try clusterNetworks.split(separator: ",").map { text in
      guard let range = CIDR(String(text)) else { throw ValidationError("--cluster-cidr: \(text) is no network") }
      do {
        return try PodNetwork(range, nodePrefix: range.address.family == .v4 ? nodePrefix : nodePrefixIPv6)
      } catch {
        throw ValidationError("--cluster-cidr: \(error)")
      }
    }
    guard !networks.isEmpty, Set(networks.map(\.range.address.family)).count == networks.count else {
      throw ValidationError("--cluster-cidr: one network, or one of each family")
    }
    return networks
  }
}
