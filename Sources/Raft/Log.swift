// The log in memory: everything after a compaction base.

/// Entries after `baseIndex`, consecutive, with the base's term remembered for the consistency check of §5.3.
struct Log: Sendable {
  private(set) var baseIndex: LogIndex
  private(set) var baseTerm: Term
  private(set) var entries: [Entry] = []

  init(baseIndex: LogIndex, baseTerm: Term) {
    self.baseIndex = baseIndex
    self.baseTerm = baseTerm
  }

  var lastIndex: LogIndex { baseIndex + LogIndex(entries.count) }
  var lastTerm: Term { entries.last?.term ?? baseTerm }

  /// The term at an index, or nil where this log has nothing to say: compacted away or not there yet.
  func term(at index: LogIndex) -> Term? {
    if index == baseIndex { return baseTerm }
    if index < baseIndex || index > lastIndex { return nil }
    return entries[position(of: index)].term
  }

  /// Whether a log that ends like this is at least as up-to-date as ours (§5.4.1).
  func isUpToDate(lastLogIndex: LogIndex, lastLogTerm: Term) -> Bool {
    lastLogTerm > lastTerm || (lastLogTerm == lastTerm && lastLogIndex >= lastIndex)
  }

  mutating func append(_ entry: Entry) {
    precondition(entry.index == lastIndex + 1, "an entry must follow the last one")
    precondition(entry.term >= lastTerm, "terms must not fall along the log")
    entries.append(entry)
  }

  /// Removes the entries from this index on.
  mutating func truncate(from index: LogIndex) {
    precondition(index > baseIndex && index <= lastIndex, "only entries in memory can be truncated")
    entries.removeSubrange(position(of: index)...)
  }

  /// Forgets the entries up to this index, which becomes the base.
  mutating func compact(through index: LogIndex) {
    precondition(index > baseIndex && index <= lastIndex, "only entries in memory can be compacted")
    let count = position(of: index) + 1
    baseTerm = entries[count - 1].term
    baseIndex = index
    entries.removeFirst(count)
  }

  /// Entries from `first` through `last`, as many as cost at most `maxBytes` together and at least one.
  func entries(from first: LogIndex, through last: LogIndex, maxBytes: Int) -> [Entry] {
    if first > last { return [] }
    precondition(first > baseIndex && last <= lastIndex, "entries must be in memory to be handed out")
    let start = position(of: first)
    let limit = position(of: last) + 1
    var end = start + 1
    var bytes = entries[start].cost
    while end < limit {
      bytes += entries[end].cost
      if bytes > maxBytes { break }
      end += 1
    }
    return Array(entries[start..<end])
  }

  /// What the entries in a range cost together.
  func cost(from first: LogIndex, through last: LogIndex) -> Int {
    if first > last { return 0 }
    return entries[position(of: first)...position(of: last)].reduce(0) { $0 + $1.cost }
  }

  /// The last index not after `index` at which the term is at most `term`: where this log and another that has `term` at
  /// `index` can first be equal, going down. Below the base nothing is known: then an index below the base comes back.
  func lastIndexThatCanMatch(index: LogIndex, term: Term) -> LogIndex {
    if index < baseIndex { return index }
    if baseTerm > term { return baseIndex == 0 ? 0 : baseIndex - 1 }
    // Terms never fall along the log: the number of entries up to `index` with a term that is low enough, by bisection.
    var low = 0
    var high = Int(min(index, lastIndex) - baseIndex)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].term <= term { low = middle + 1 } else { high = middle }
    }
    return baseIndex + LogIndex(low)
  }

  private func position(of index: LogIndex) -> Int { Int(index - baseIndex) - 1 }
}
