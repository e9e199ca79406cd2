// A simple limit on requests that are being answered: what is over it is refused at once, not queued without bound.
import Synchronization

/// Counts requests in flight, readers and writers apart (spec/2 §2.11: 400 and 200). Any thread.
final class InFlightLimit: Sendable {
  private let reads = Atomic(0)
  private let writes = Atomic(0)
  private let readsMaximum: Int
  private let writesMaximum: Int

  init(reads: Int, writes: Int) {
    readsMaximum = reads
    writesMaximum = writes
  }

  /// Takes a place; false when there is none.
  func enter(isMutating: Bool) -> Bool {
    isMutating ? Self.enter(writes, writesMaximum) : Self.enter(reads, readsMaximum)
  }

  private static func enter(_ counter: borrowing Atomic<Int>, _ maximum: Int) -> Bool {
    if counter.add(1, ordering: .relaxed).newValue <= maximum { return true }
    counter.subtract(1, ordering: .relaxed)
    return false
  }

  func leave(isMutating: Bool) {
    if isMutating { writes.subtract(1, ordering: .relaxed) } else { reads.subtract(1, ordering: .relaxed) }
  }

  var current: (reads: Int, writes: Int) { (reads.load(ordering: .relaxed), writes.load(ordering: .relaxed)) }
}
