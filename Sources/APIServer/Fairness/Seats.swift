// The seats of a server, shared among its priority levels: what each is sure of, lends and borrows. Pure.

/// Counts seats in use by level, and says whether one more request may sit down.
struct Seats: Sendable {
  struct Level: Sendable {
    var settings: PriorityLevelSettings
    /// Seats that are the level's own.
    var nominal = 0
    /// Of these, what others may use while they are idle.
    var lendable = 0
    /// Seats of others that it may use; nil: as many as there are.
    var borrowingLimit: Int?
    var inUse = 0
    var queues: FairQueues
    /// It is to go as soon as nobody is left.
    var isQuiescing = false
    /// What became of the requests that came so far.
    var dispatched = 0
    var rejected = 0
    var timedOut = 0

    fileprivate var borrowed: Int { max(0, inUse - nominal) }
    fileprivate var idleToLend: Int { max(0, min(lendable, nominal - inUse)) }
  }

  enum Outcome: Sendable, Hashable { case seated, queued, refused }
  /// A level's place, for as long as none is added or removed.
  private typealias Index = Dictionary<String, Level>.Index

  private(set) var levels: [String: Level] = [:]
  private let total: Int
  /// Requests that wait, in all levels.
  private var waiting = 0

  init(total: Int) { self.total = total }

  /// Takes new settings over. Requests that wait or run keep their places; a level that is gone stays until it is empty.
  mutating func configure(_ settings: [PriorityLevelSettings]) {
    let sum = max(1, settings.reduce(0) { $0 + $1.shares })
    let names = Set(settings.map(\.name))
    levels = levels.filter { names.contains($0.key) || $0.value.inUse > 0 || $0.value.queues.count > 0 }
    for name in levels.keys where !names.contains(name) { levels[name]?.isQuiescing = true }
    for one in settings {
      let isRebuilt = levels[one.name].map { $0.settings.response != one.response && $0.queues.count == 0 } ?? true
      var level = levels[one.name] ?? Level(settings: one, queues: FairQueues(one.response))
      if isRebuilt { level.queues = FairQueues(one.response) }
      level.settings = one
      level.isQuiescing = false
      level.nominal = (total * one.shares + sum - 1) / sum
      level.lendable = (level.nominal * one.lendablePercent + 50) / 100
      level.borrowingLimit = one.borrowingLimitPercent.map { (level.nominal * $0 + 50) / 100 }
      levels[one.name] = level
    }
  }

  /// A request of a level asks for seats: it is seated, waits, or is refused.
  mutating func arrive(_ name: String, id: UInt64, seats wanted: Int, flow: UInt64) -> (Outcome, seats: Int) {
    guard let index = levels.index(forKey: name) else { return (.refused, 0) }
    if levels.values[index].settings.isExempt {
      sit(index, wanted)
      return (.seated, wanted)
    }
    // A request wider than its level is as wide as the level; one seat is to be had everywhere.
    let seats = max(1, min(wanted, levels.values[index].nominal))
    // Those who wait already go first.
    if levels.values[index].queues.count == 0, mayStart(index, seats) {
      sit(index, seats)
      return (.seated, seats)
    }
    guard levels.values[index].queues.append(id: id, seats: seats, flow: flow) else {
      levels.values[index].rejected += 1
      return (.refused, seats)
    }
    waiting += 1
    return (.queued, seats)
  }

  private mutating func sit(_ index: Index, _ seats: Int) {
    levels.values[index].inUse += seats
    levels.values[index].dispatched += 1
  }

  /// A request is done: returns those that may sit down now.
  mutating func leave(_ name: String, seats: Int) -> [UInt64] {
    guard let index = levels.index(forKey: name) else { return [] }
    levels.values[index].inUse -= seats
    if waiting == 0 { return [] }
    var seated = fill(index)
    // A seat that was lent, or could be, may be what others wait for.
    for other in levels.keys.sorted() where other != name {
      if let index = levels.index(forKey: other) { seated += fill(index) }
    }
    return seated
  }

  /// One that waited too long leaves the queue; false when it has been seated meanwhile.
  mutating func giveUp(_ name: String, id: UInt64) -> Bool {
    guard levels[name]?.queues.remove(id: id) == true else { return false }
    levels[name]?.timedOut += 1
    waiting -= 1
    return true
  }

  private mutating func fill(_ index: Index) -> [UInt64] {
    var seated: [UInt64] = []
    while let next = levels.values[index].queues.next, mayStart(index, next.seats) {
      _ = levels.values[index].queues.popNext()
      waiting -= 1
      sit(index, next.seats)
      seated.append(next.id)
    }
    return seated
  }

  private func mayStart(_ index: Index, _ seats: Int) -> Bool {
    let borrowing = levels.values[index].inUse + seats - levels.values[index].nominal
    if borrowing <= 0 { return true }
    if let limit = levels.values[index].borrowingLimit, borrowing > limit { return false }
    var lent = borrowing
    var idle = 0
    for other in levels.indices where other != index && !levels.values[other].settings.isExempt {
      lent += levels.values[other].borrowed
      idle += levels.values[other].idleToLend
    }
    return lent <= idle
  }
}
