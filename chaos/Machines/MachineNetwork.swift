// Each machine on a link of its own to the hub, which routes between them; what the hub is told to drop, vanishes.
import ChaosPlan
import EventLoop
import Synchronization
import World

/// Addresses: machines have .1, .2, … of the network, the hub .254.
final class MachineNetwork: Sendable {
  /// The hub's rules in the order in which it asks them: what vanishes, then its own addresses, then routes.
  private enum Priority: Int {
    case partition = 100
    case loss = 110
    case local = 200
  }
  /// Independent sets of cuts.
  enum Layer: Sendable { case partition, loss }

  private let network: String
  /// Of the load balancers, where they have one.
  private let front: String?
  private let scratch: String
  private let tool: Tool
  private let batches = Mutex(0)
  private let active = Mutex<[Layer: Set<Cut>]>([:])

  init(network: String, front: String?, scratch: String, loop: EventLoop) {
    self.network = network
    self.front = front
    self.scratch = scratch
    tool = Tool(loop: loop)
  }

  func address(of place: Place) -> String {
    switch place {
    case .server(let index): "\(network).\(index + 1)"
    case .hub: "\(network).254"
    }
  }

  static func name(_ index: Int) -> String { "server-\(index + 1)" }
  static func namespace(_ index: Int) -> String { "/run/netns/\(name(index))" }

  /// The hub's side. Names of network namespaces are kept from everybody else.
  func build() async throws {
    try FileSystem.createDirectory("/run/netns")
    try await tool.run("mount", ["-t", "tmpfs", "tmpfs", "/run/netns"])
    try Tool.setKernelVariable("net/ipv4/ip_forward", "1")
    // Packets for established connections ask the rules, too.
    try Tool.setKernelVariable("net/ipv4/ip_early_demux", "0")
    try await ip([
      "link set lo up", "rule add pref \(Priority.local.rawValue) lookup local", "rule del pref 0",
    ])
  }

  /// A machine's namespace and its link.
  func add(_ index: Int) async throws {
    let (name, own, hub) = (Self.name(index), address(of: .server(index)), address(of: .hub))
    try await tool.run("ip", ["netns", "add", name])
    try await ip([
      "link add \(name) type veth peer name eth0 netns \(name)", "addr add \(hub)/32 dev \(name)",
      "link set \(name) up",
      "route add \(own)/32 dev \(name) src \(hub)",
    ])
    try await ip(
      [
        "link set lo up", "addr add \(own)/32 dev eth0", "link set eth0 up", "route add \(hub)/32 dev eth0 src \(own)",
        "route add default via \(hub) dev eth0 src \(own)",
      ], in: name)
  }

  /// From now on exactly these packets vanish (in this layer).
  func set(_ cuts: Set<Cut>, _ layer: Layer = .partition) async throws {
    let before = active.withLock { active in
      let before = active[layer] ?? []
      active[layer] = cuts
      return before
    }
    let commands =
      before.subtracting(cuts).flatMap { rules($0, layer).map { "rule del \($0)" } }
      + cuts.subtracting(before).flatMap { rules($0, layer).map { "rule add \($0)" } }
    if !commands.isEmpty { try await ip(commands.sorted()) }
  }

  private func rules(_ cut: Cut, _ layer: Layer) -> [String] {
    let device: String =
      switch cut.from {
      case .server(let index): Self.name(index)
      case .hub: "lo"
      }
    let priority = layer == .partition ? Priority.partition : .loss
    // Behind the hub are the load balancers.
    let targets = [address(of: cut.to)] + (cut.to == .hub ? front.map { ["\($0).0/24"] } ?? [] : [])
    return targets.map { "pref \(priority.rawValue) iif \(device) to \($0) blackhole" }
  }

  /// All commands by one process.
  private func ip(_ commands: [String], in namespace: String? = nil) async throws {
    let number = batches.withLock { batches in
      batches += 1
      return batches
    }
    let file = "\(scratch)/ip-\(number)"
    try FileSystem.write(commands.joined(separator: "\n") + "\n", to: file)
    try await tool.run("ip", (namespace.map { ["-n", $0] } ?? []) + ["-batch", file])
    try FileSystem.remove(file)
  }
}
