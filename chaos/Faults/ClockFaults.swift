// Wall clocks that jump, and certificates that run out.
import ChaosPlan
import EventLoop
import Glibc
import World

extension Breakage {
  /// Up to a day, in either direction.
  func moveClocks(_ victims: [ClusterPlan.Member]) async throws -> Mend {
    let machines = try machines
    let hours = 1 + Int(choice >> 8) % 24
    let offset = Duration.seconds(choice % 2 == 0 ? hours * 3600 : -hours * 3600)
    for victim in victims { try machines.clock(victim.name).move(by: offset) }
    // The fault begins when it is seen.
    try await loop.sleep(for: MachineClock.delay)
    return { [loop] in
      for victim in victims { try machines.clock(victim.name).move(by: .zero) }
      try await loop.sleep(for: MachineClock.delay)
    }
  }

  /// The server gets a certificate that runs out before the fault is over, as one that nobody renewed; at the end it is
  /// renewed. Both take a restart, as `docs/operations.md` says.
  func expireCertificates(_ victims: [ClusterPlan.Member]) async throws -> Mend {
    for victim in victims { try await restart(victim, certificateLifetime: lasts / 2 + .seconds(2)) }
    return { [self] in
      for victim in victims { try await restart(victim, certificateLifetime: nil) }
    }
  }

  private func restart(_ victim: ClusterPlan.Member, certificateLifetime: Duration?) async throws {
    let machines = try machines
    try cluster.signal(SIGTERM, victim)
    try await machines.waitForEnd(victim.name)
    try machines.folder.renew(
      victim, in: machines.home(victim.name), lifetime: certificateLifetime, now: loop.wallClock)
    try await cluster.up()
  }
}
