// A look at the log, for those who check it from outside.

extension Raft {
  /// An entry in memory; nil if it was compacted away or is not there.
  public func entry(at index: LogIndex) -> Entry? {
    guard index > baseIndex, index <= lastIndex else { return nil }
    return log.entries(from: index, through: index, maxBytes: 1).first
  }
}
