// One priority level: its seats, and the queues in which its flows wait for them. Pure: no time, no locks.
import DequeModule
import JSON

/// A PriorityLevelConfiguration, as numbers.
struct PriorityLevelSettings: Sendable, Hashable {
  enum Response: Sendable, Hashable {
    case reject
    case queue(queues: Int, handSize: Int, lengthLimit: Int)
  }
  var name: String
  var uid: String
  /// Never waits and is never refused.
  var isExempt: Bool
  var shares: Int
  var lendablePercent: Int
  /// Nil: no limit.
  var borrowingLimitPercent: Int?
  var response: Response

  init(_ object: JSONValue) {
    name = object["metadata"]["name"].string ?? ""
    uid = object["metadata"]["uid"].string ?? ""
    let spec = object["spec"]
    isExempt = spec["type"] == "Exempt"
    let part = isExempt ? spec["exempt"] : spec["limited"]
    shares = Int(part["nominalConcurrencyShares"].integer ?? (isExempt ? 0 : 30))
    lendablePercent = Int(part["lendablePercent"].integer ?? 0)
    borrowingLimitPercent = part["borrowingLimitPercent"].integer.map { Int($0) }
    let queuing = part["limitResponse"]["queuing"]
    response =
      part["limitResponse"]["type"] == "Queue"
      ? .queue(
        queues: Int(queuing["queues"].integer ?? 64), handSize: Int(queuing["handSize"].integer ?? 8),
        lengthLimit: Int(queuing["queueLengthLimit"].integer ?? 50)) : .reject
  }
}

/// The queues of one level: flows are dealt a hand of queues each (shuffle sharding), requests join the shortest, and
/// whichever flow has had least goes next (start-time fair queueing).
struct FairQueues: Sendable {
  struct Waiting: Sendable {
    var id: UInt64
    var seats: Int
    /// Virtual time at which it may begin.
    var start: UInt64
    /// The queue it stands in.
    var queue = 0
  }
  private struct Queue: Sendable {
    var waiting: Deque<Waiting> = []
    /// Virtual time at which what it was given so far is used up.
    var finish: UInt64 = 0
  }
  /// As many as there are; a level may have ten million.
  private var deck = 0
  /// Those that somebody waits in, or that were given something of late: what nobody uses takes neither room nor time.
  private var queues: [Int: Queue] = [:]
  /// Empty queues that are remembered. What they were given of late is a matter of a few seats.
  private static let idleMaximum = 1024
  /// A longer table of queues is written without those that nobody uses.
  private static let listedMaximum = 4096
  private var handSize = 1
  private var lengthLimit = 0
  private var virtualTime: UInt64 = 0
  private(set) var count = 0

  init(_ response: PriorityLevelSettings.Response) {
    guard case .queue(let queues, let handSize, let lengthLimit) = response else { return }
    deck = max(1, queues)
    self.handSize = max(1, min(handSize, queues))
    self.lengthLimit = lengthLimit
  }

  /// Joins the queue; false when each queue of the flow's hand is full.
  mutating func append(id: UInt64, seats: Int, flow: UInt64) -> Bool {
    guard deck > 0 else { return false }
    let hand = Self.hand(of: flow, size: handSize, deck: deck)
    func length(_ index: Int) -> Int { queues[index]?.waiting.count ?? 0 }
    let index = hand.min { length($0) < length($1) } ?? 0
    guard length(index) < lengthLimit else { return false }
    if queues.count >= 2 * (count + Self.idleMaximum) { forgetIdle() }
    let start = max(virtualTime, queues[index]?.finish ?? 0)
    queues[index, default: Queue()].finish = start + UInt64(seats)
    queues[index]?.waiting.append(Waiting(id: id, seats: seats, start: start, queue: index))
    count += 1
    return true
  }

  private mutating func forgetIdle() { queues = queues.filter { !$0.value.waiting.isEmpty } }

  /// Who is next.
  var next: Waiting? { nextIndex.flatMap { queues[$0]?.waiting.first } }

  mutating func popNext() -> Waiting? {
    guard let index = nextIndex, let first = queues[index]?.waiting.popFirst() else { return nil }
    virtualTime = max(virtualTime, first.start)
    count -= 1
    return first
  }

  /// Takes one that waited too long out; false when it is not here.
  mutating func remove(id: UInt64) -> Bool {
    for (index, queue) in queues {
      guard let position = queue.waiting.firstIndex(where: { $0.id == id }) else { continue }
      queues[index]?.waiting.remove(at: position)
      count -= 1
      return true
    }
    return false
  }

  /// Every queue in turn, or of very many those in use: who waits in it, and the virtual time of its next request (of its
  /// last, when it is empty).
  var contents: [(index: Int, waiting: [Waiting], next: UInt64)] {
    (deck <= Self.listedMaximum ? Array(0..<deck) : queues.keys.sorted()).map { index in
      let queue = queues[index] ?? Queue()
      return (index, Array(queue.waiting), queue.waiting.first?.start ?? queue.finish)
    }
  }

  private var nextIndex: Int? {
    guard count > 0 else { return nil }
    var best: (index: Int, start: UInt64)?
    for (index, queue) in queues {
      guard let start = queue.waiting.first?.start else { continue }
      // Of equals the first queue, whatever the order in which they are looked at.
      if best.map({ (start, index) < ($0.start, $0.index) }) ?? true { best = (index, start) }
    }
    return best?.index
  }

  /// `size` different queues for a flow, from the bits of its hash.
  static func hand(of flow: UInt64, size: Int, deck: Int) -> [Int] {
    var entropy = flow
    var cards: [Int] = []
    for dealt in 0..<size {
      let left = UInt64(deck - dealt)
      var card = Int(entropy % left)
      entropy /= left
      // Cards are numbered among those not dealt yet.
      for taken in cards.sorted() where card >= taken { card += 1 }
      cards.append(card)
    }
    return cards
  }
}

/// FNV-1a over a flow's names: the same on every server and in every run.
func flowHash(_ parts: String...) -> UInt64 {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  for part in parts {
    for byte in part.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    hash = (hash ^ 0xff) &* 0x0000_0100_0000_01b3
  }
  return hash
}
