// Two load balancers with one address between them, each on a machine of its own: keepalived gives the address to the one
// that is alive and serves. They stand on a network of their own before the hub, as clients see them.
import EventLoop
import Glibc
import World

struct BalancerPair: Sendable {
  static let names = ["balancer-1", "balancer-2"]
  private static let bridge = "front"
  /// Numbers of the network: the hub's, and the common address.
  private static let (hub, shared) = (254, 100)

  let plan: ClusterPlan
  let scratch: String
  let tool: Tool

  /// A network beside that of the servers.
  static func network(of plan: ClusterPlan) -> String {
    let numbers = plan.network.split(separator: ".").map { Int($0) ?? 0 }
    return "\(numbers[0]).\(numbers[1]).\(numbers[2] ^ 1)"
  }
  static func address(of plan: ClusterPlan) -> String { "\(network(of: plan)).\(shared)" }
  static func keepalived(_ balancer: String) -> String { "keepalived-of-\(balancer)" }
  static func namespace(_ balancer: String) -> String { "/run/netns/\(balancer)" }

  private var network: String { Self.network(of: plan) }
  private func own(_ index: Int) -> String { "\(network).\(index + 1)" }

  /// The machines and their configurations; the hub stands already.
  func build() async throws {
    try await tool.run("ip", ["link", "add", Self.bridge, "type", "bridge"])
    try await tool.run("ip", ["addr", "add", "\(network).\(Self.hub)/24", "dev", Self.bridge])
    try await tool.run("ip", ["link", "set", Self.bridge, "up"])
    for (index, name) in Self.names.enumerated() {
      try await tool.run("ip", ["netns", "add", name])
      try await tool.run(
        "ip", ["link", "add", name, "master", Self.bridge, "type", "veth", "peer", "name", "eth0", "netns", name])
      try await tool.run("ip", ["link", "set", name, "up"])
      for words in [
        ["link", "set", "lo", "up"], ["addr", "add", "\(own(index))/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
        ["route", "add", "default", "via", "\(network).\(Self.hub)"],
      ] {
        try await tool.run("ip", ["-n", name] + words)
      }
      try FileSystem.write(configuration(index), to: file(name))
    }
  }

  func file(_ balancer: String) -> String { "\(plan.home)/\(balancer)-keepalived.conf" }

  /// Words after keepalived's name.
  func arguments(_ balancer: String) -> [String] {
    let own = "\(scratch)/\(balancer)"
    return ["-n", "-l", "-P", "-f", file(balancer)] + pidFiles(own).flatMap { [$0.option, $0.path] }
  }

  private func pidFiles(_ own: String) -> [(option: String, path: String)] {
    [("-p", "\(own)-keepalived.pid"), ("-r", "\(own)-vrrp.pid"), ("-c", "\(own)-checkers.pid")]
  }

  /// keepalived and the process that it speaks through.
  func processes(of keepalived: Int32) -> [Int32] {
    let children = (try? FileSystem.readText("/proc/\(keepalived)/task/\(keepalived)/children")) ?? ""
    return [keepalived] + children.split(separator: " ").compactMap { Int32($0) }
  }

  /// The one that has the common address; the first, where both believe that they have it.
  func holder() async throws -> String? {
    for name in Self.names {
      let shown = try await tool.run("ip", ["-n", name, "-o", "addr", "show", "to", Self.address(of: plan)])
      if !shown.isEmpty { return name }
    }
    return nil
  }

  /// As a machine is after its start: an address and files that a killed keepalived left are gone.
  func forget(_ balancer: String) async {
    for file in pidFiles("\(scratch)/\(balancer)") { try? FileSystem.remove(file.path) }
    _ = try? await tool.run("ip", ["-n", balancer, "addr", "del", "\(Self.address(of: plan))/32", "dev", "eth0"])
  }

  private func configuration(_ index: Int) -> String {
    """
    global_defs {
      script_user root
    }

    vrrp_script serves {
      script "/bin/bash -c '</dev/tcp/127.0.0.1/\(plan.port)'"
      interval 1
      timeout 1
      fall 1
      rise 1
    }

    vrrp_instance kubernetes {
      interface eth0
      state BACKUP
      nopreempt
      virtual_router_id 51
      priority \(100 - index)
      version 3
      advert_int 0.2
      unicast_src_ip \(own(index))
      unicast_peer {
        \(own(1 - index))
      }
      virtual_ipaddress {
        \(Self.address(of: plan))/32
      }
      track_script {
        serves
      }
    }

    """
  }
}
