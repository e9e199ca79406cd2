// Packets that are late, and load balancers that fail.
import ChaosPlan
import EventLoop
import Glibc
import World

extension Breakage {
  /// From 5 to 150 ms, each way.
  func delayPackets(_ victims: [Int]) async throws -> Mend {
    let machines = try machines
    let delay = PacketDelay(network: machines.network, tool: machines.tool)
    let milliseconds = 5 << (Int(choice >> 8) % 6)
    let program = try Paths.own()
    for victim in victims {
      try await machines.start(
        Self.delayer(victim), program,
        [
          "delay-packets", "--queue", "\(PacketDelay.queue(of: victim))", "--milliseconds", "\(milliseconds)", "--seed",
          "\(seed)",
        ])
      try await delay.set(victim, isDelayed: true)
    }
    return {
      for victim in victims {
        try await delay.set(victim, isDelayed: false)
        try await machines.end(Self.delayer(victim))
      }
    }
  }

  private static func delayer(_ victim: Int) -> String { "delayer-of-\(MachineNetwork.name(victim))" }

  /// HAProxy, keepalived, or both die where the address is; the other load balancer takes it.
  func failOver() async throws -> Mend {
    let machines = try machines
    guard let pair = machines.pair, let holder = try await pair.holder() else {
      throw RunFailure("no load balancer has the address")
    }
    let names = [[holder], [BalancerPair.keepalived(holder)], [holder, BalancerPair.keepalived(holder)]]
    for name in names[Int(choice % 3)] {
      guard let pid = machines.processIdentifier(name) else { throw RunFailure("\(name) does not run") }
      for process in pair.processes(of: pid) { kill(process, SIGKILL) }
    }
    return { [cluster] in try await cluster.up() }
  }
}
