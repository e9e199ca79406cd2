// Memory of answers that wait for their readers (CVE-2020-8552, list storms): a client that asks for everything and reads
// slowly must not cost the server more than it has.
import Schema
import Synchronization

/// Bytes of lists that are not sent yet: each is a copy made for one client.
final class ResponseBudget: Sendable {
  /// An answer of this size costs no more than a single object may, and whoever fills the room must not keep others from
  /// their small lists.
  private static let smallSize = 64 << 10

  let maximum: Int
  private let used = Atomic<Int>(0)

  init(maximum: Int) { self.maximum = maximum }

  /// Given back when the answer that holds it is sent or dropped.
  final class Charge: Sendable {
    private let budget: ResponseBudget
    private let bytes: Int
    fileprivate init(_ budget: ResponseBudget, _ bytes: Int) { (self.budget, self.bytes) = (budget, bytes) }
    deinit { budget.used.subtract(bytes, ordering: .relaxed) }
  }

  /// Throws 429 when others' answers take the room. An answer larger than all the room is given when nothing else is.
  /// nil for a small one.
  func charge(_ bytes: Int) throws(APIStatus) -> Charge? {
    guard bytes > Self.smallSize else { return nil }
    let before = used.add(bytes, ordering: .relaxed).oldValue
    let charge = Charge(self, bytes)
    guard before == 0 || before + bytes <= maximum else {
      throw .tooManyRequests("too many requests, please try again later", retryAfter: 1)
    }
    return charge
  }
}
