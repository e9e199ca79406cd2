// How many requests are being answered, for the metrics; who may be answered is FlowControl's.
import Synchronization

/// Counts requests in flight, readers and writers apart. Any thread.
final class InFlightRequests: Sendable {
  private let reads = Atomic(0)
  private let writes = Atomic(0)

  func enter(isMutating: Bool) {
    if isMutating { writes.add(1, ordering: .relaxed) } else { reads.add(1, ordering: .relaxed) }
  }

  func leave(isMutating: Bool) {
    if isMutating { writes.subtract(1, ordering: .relaxed) } else { reads.subtract(1, ordering: .relaxed) }
  }

  var current: (reads: Int, writes: Int) { (reads.load(ordering: .relaxed), writes.load(ordering: .relaxed)) }
}
