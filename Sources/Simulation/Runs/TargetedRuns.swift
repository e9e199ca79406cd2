// Runs that aim at one thing: a kind of bug that the storm meets once in many hours. Each says which.

extension RunDescription {
  static let targetedTexts: [(String, String)] = [
    (
      "spares",
      """
      # Learners that stand by: they get everything, and their word counts for nothing.
      servers 3
      nodes 0
      loops remote
      safety 30s
      workloads 2 registers counters generated-names
      fault spare every 2s lasting 1ms
      fault split every 6s lasting 200ms..3s
      fault isolate every 6s lasting 200ms..3s
      fault kill every 10s lasting 100ms..3s
      fault slow-disk every 10s lasting 500ms..4s
      fault transfer every 10s lasting 1ms
      """
    ),
    (
      "narrow",
      """
      # Messages with one entry each: when a leader dies, the logs differ by much.
      servers 3
      nodes 0
      loops remote
      tight messages
      safety 30s
      workloads registers counters
      think 2ms..40ms
      fault kill every 3s lasting 50ms..2s
      fault kill-at-await every 4s lasting 50ms..1s
      fault isolate every 5s lasting 200ms..3s
      fault reset every 4s lasting 1ms
      fault slow-network every 8s lasting 500ms..4s
      """
    ),
    (
      "snapshots",
      """
      # Little log is kept: whoever was away gets the whole state, while its own disk may die any moment.
      servers 3
      nodes 0
      loops remote
      disks memory sqlite
      tight log history
      safety 30s
      workloads 2 registers counters collections watches deletions
      fault isolate every 4s lasting 500ms..4s
      fault kill every 4s lasting 500ms..4s
      fault kill-at-await every 3s lasting 50ms..2s
      fault power-loss every 5s lasting 100ms..3s
      fault power-loss-at-write every 5s lasting 100ms..3s
      fault power-loss-at-opening every 5s lasting 100ms..3s
      fault kill-at-snapshot every 2s lasting 100ms..3s
      fault slow-disk every 8s lasting 500ms..4s
      """
    ),
    (
      "remote",
      """
      # Scheduler and controllers beside the servers, over a network that is late and breaks, with little history.
      servers 3
      nodes 3
      loops remote
      tight history
      safety 60s
      workloads remote-loops replicas mirrors
      latency 1ms..20ms
      fault client-cut every 8s lasting 200ms..4s
      fault reset every 5s lasting 1ms
      fault slow-network every 6s lasting 500ms..5s
      fault kill every 20s lasting 100ms..4s
      fault transfer every 15s lasting 1ms
      """
    ),
    (
      "rollout",
      """
      # A thousand pods get new images, and the server whose controllers do it is killed again and again. By name only, for its
      # size: `rollouts` takes part in the others with fewer.
      in-turn off
      servers 3
      nodes 13
      safety 60s
      liveness 300s
      workloads rollouts
      fault kill-elected every 6s lasting 500ms..4s
      """
    ),
    (
      "races",
      """
      # Many want the same thing at the same moment, at different servers.
      servers 3 5
      nodes 0
      safety 30s
      workloads addresses quotas
      fault slow-network every 6s lasting 500ms..4s
      fault isolate every 10s lasting 200ms..3s
      fault transfer every 6s lasting 1ms
      """
    ),
    (
      "elections",
      """
      # Leaders change while the membership does: what is asked for waits at every new leader.
      servers 3 5
      nodes 0
      loops remote
      safety 30s
      workloads registers
      fault resize every 3s lasting 1ms
      fault transfer every 1s lasting 1ms
      fault isolate every 5s lasting 200ms..2s
      fault slow-network every 4s lasting 1s..4s
      fault slow-disk every 4s lasting 1s..4s
      fault kill every 8s lasting 100ms..2s
      """
    ),
  ]
}
