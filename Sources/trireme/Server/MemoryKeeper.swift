// Gives memory back to the operating system that a server has needed and does not need any more.
import EventLoop
import Logging
import Replica
import World

enum MemoryKeeper {
  /// Older changes than this are forgotten: as long as Kubernetes keeps them in etcd. Who watched before lists again.
  private static let historyAge = Duration.seconds(300)

  private static let period = Duration.seconds(20)
  /// Giving back holds threads up for a moment and costs page faults later: it must be worth it, and it is not done for
  /// what the next burst would take again.
  private static let worthwhileBytes = 32 << 20

  /// Whether so much is held in vain that it is given back: more than is worth the while, and a quarter of what is used.
  static func isWorthwhile(resident: Int, used: Int) -> Bool { resident - used > max(worthwhileBytes, used / 4) }

  /// Until the task is cancelled.
  static func run(on loop: EventLoop, _ replica: Replica, logger: Logger) async {
    var revisions: [(revision: Revision, at: MonotonicTime)] = []
    while !Task.isCancelled {
      try? await loop.sleep(for: period)
      revisions.append((replica.current.revision, loop.now))
      while let oldest = revisions.first, loop.now - oldest.at >= historyAge {
        replica.forgetHistory(through: oldest.revision)
        revisions.removeFirst()
      }
      let (resident, used) = (Allocator.residentBytes, Allocator.usedBytes)
      guard isWorthwhile(resident: resident, used: used) else { continue }
      let start = loop.now
      Allocator.giveBack()
      logger.debug(
        "memory given back",
        metadata: [
          "resident": "\(resident >> 20) MiB", "used": "\(used >> 20) MiB",
          "now": "\(Allocator.residentBytes >> 20) MiB", "took": "\(loop.now - start)",
        ])
    }
  }
}
