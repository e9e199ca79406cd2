// The runs that come with the program: `trireme sim --list`.

extension RunDescription {
  /// Every built-in run, the usual one first.
  public static let builtIn: [RunDescription] = (texts + targetedTexts).map { name, text in
    do { return try RunDescription(name: name, parsing: text) } catch { preconditionFailure("\(error)") }
  }

  public static func builtIn(named name: String) -> RunDescription? { builtIn.first { $0.name == name } }

  private static let everything =
    "registers counters collections watches leases replicas deletions generated-names finalizers quotas services"

  private static let texts: [(String, String)] = [
    (
      "storm",
      """
      # Every fault there is, all at once, but for disks that lie (liars).
      servers 3 3 5
      nodes 2
      disks memory memory sqlite
      workloads 3 \(everything)
      safety 40s
      fault kill every 12s lasting 100ms..6s
      fault kill-at-await every 12s lasting 50ms..4s
      fault kill-at-snapshot every 15s lasting 100ms..3s
      fault power-loss every 20s lasting 200ms..6s
      fault power-loss-at-write every 20s lasting 200ms..6s
      fault power-loss-at-opening every 20s lasting 200ms..6s
      fault blackout every 90s lasting 100ms..2s
      fault pause every 15s lasting 50ms..5s
      fault isolate every 15s lasting 200ms..8s
      fault split every 25s lasting 200ms..6s
      fault one-way every 20s lasting 200ms..6s
      fault partial every 20s lasting 200ms..6s
      fault bridge every 30s lasting 200ms..6s
      fault reset every 10s lasting 1ms
      fault client-cut every 20s lasting 200ms..6s
      fault raw every 15s lasting 500ms..6s
      fault slow-network every 20s lasting 500ms..6s
      fault slow-disk every 20s lasting 500ms..6s
      fault sync-failure every 30s lasting 200ms..4s
      fault disk-full every 25s lasting 500ms..6s
      fault rot every 15s lasting 100ms..5s
      fault rot-everywhere every 40s lasting 100ms..4s
      fault misdirect every 25s lasting 100ms..4s
      fault read-failure every 25s lasting 100ms..2s
      fault wipe every 60s lasting 1s..6s
      fault restore-copy every 40s lasting 1s..8s
      fault clock-jump every 20s lasting 1s..20s
      fault clock-drift every 20s lasting 1s..20s
      fault transfer every 10s lasting 1ms
      fault replace every 30s lasting 1ms
      fault resize every 25s lasting 1ms
      fault spare every 25s lasting 1ms
      """
    ),
    (
      "calm",
      """
      # Nothing happens: a light load, to measure the simulator by.
      in-turn off
      servers 3
      nodes 3
      workloads registers
      safety 600s
      think 1s..3s
      """
    ),
    (
      "partitions",
      """
      # A network that cannot be trusted, under machines that can.
      servers 3 5
      nodes 1
      workloads 3 \(everything)
      safety 40s
      latency 100us..5ms
      fault isolate every 8s lasting 200ms..8s
      fault split every 10s lasting 200ms..6s
      fault one-way every 8s lasting 200ms..6s
      fault partial every 8s lasting 200ms..6s
      fault bridge every 10s lasting 200ms..6s
      fault reset every 5s lasting 1ms
      fault client-cut every 10s lasting 200ms..6s
      fault raw every 8s lasting 500ms..6s
      fault slow-network every 10s lasting 500ms..6s
      """
    ),
    (
      "crashes",
      """
      # Processes and machines that die at any moment, over the production stores.
      servers 3 1
      nodes 1
      disks sqlite
      workloads 2 registers counters collections watches leases generated-names
      safety 30s
      fault kill every 6s lasting 50ms..3s
      fault kill-at-await every 3s lasting 50ms..2s
      fault power-loss every 5s lasting 100ms..3s
      fault power-loss-at-write every 4s lasting 100ms..3s
      fault power-loss-at-opening every 5s lasting 100ms..3s
      fault blackout every 20s lasting 100ms..2s
      fault sync-failure every 20s lasting 200ms..4s
      fault slow-disk every 10s lasting 500ms..6s
      """
    ),
    (
      "members",
      """
      # Servers are lost and replaced, added and removed, while others fail.
      servers 3 3 5
      nodes 1
      safety 40s
      workloads 2 registers counters watches leases
      fault replace every 12s lasting 1ms
      fault resize every 10s lasting 1ms
      fault kill every 12s lasting 100ms..4s
      fault isolate every 12s lasting 200ms..4s
      fault reset every 10s lasting 1ms
      fault slow-network every 15s lasting 500ms..6s
      fault transfer every 10s lasting 1ms
      """
    ),
    (
      "clocks",
      """
      # Machines that stand still, and clocks that cannot be trusted.
      servers 3
      nodes 2
      workloads 3 leases replicas registers watches finalizers
      safety 60s
      fault pause every 6s lasting 50ms..12s
      fault clock-jump every 8s lasting 1s..20s
      fault clock-drift every 8s lasting 1s..20s
      fault slow-disk every 10s lasting 500ms..6s
      fault transfer every 8s lasting 1ms
      """
    ),
    (
      "rot",
      """
      # Disks that rot, run full, are wiped, under stores in memory: how a group repairs itself.
      servers 3 3 5
      nodes 1
      disks memory
      workloads 2 registers counters collections watches leases
      safety 60s
      fault rot every 6s lasting 100ms..5s
      fault rot-everywhere every 15s lasting 100ms..4s
      fault wipe every 25s lasting 1s..6s
      fault disk-full every 12s lasting 500ms..8s
      fault sync-failure every 20s lasting 200ms..4s
      fault kill every 10s lasting 50ms..4s
      fault power-loss every 10s lasting 100ms..4s
      fault isolate every 15s lasting 200ms..5s
      fault slow-disk every 15s lasting 500ms..6s
      fault transfer every 15s lasting 1ms
      """
    ),
    (
      "disks",
      """
      # Disks that rot, misdirect, fail, run full, are wiped or set back, under the production stores.
      servers 3 3 5
      nodes 1
      disks sqlite
      workloads 2 registers counters collections watches leases
      safety 40s
      fault rot every 5s lasting 100ms..5s
      fault misdirect every 8s lasting 100ms..4s
      fault read-failure every 10s lasting 100ms..2s
      fault wipe every 30s lasting 1s..6s
      fault restore-copy every 15s lasting 1s..8s
      fault disk-full every 12s lasting 500ms..8s
      fault sync-failure every 20s lasting 200ms..4s
      fault kill every 10s lasting 50ms..4s
      fault power-loss every 15s lasting 100ms..4s
      fault power-loss-at-write every 15s lasting 100ms..4s
      fault power-loss-at-opening every 12s lasting 100ms..4s
      fault isolate every 20s lasting 200ms..5s
      """
    ),
    (
      "liars",
      """
      # Disks that say that they have synced and have not, and disks that are set back to an earlier day.
      servers 3
      nodes 1
      disks memory sqlite
      workloads 2 registers counters collections watches leases
      safety 60s
      fault lying-sync every 10s lasting 500ms..8s
      fault set-back every 15s lasting 500ms..8s
      """
    ),
  ]
}
