/// An invariant that does not hold: the run ends here, and its seed replays it.
public struct InvariantViolation: Error, Sendable, Hashable, CustomStringConvertible {
  /// The invariant's name, as reports and the table of mutants show it: "election safety".
  public var invariant: String
  /// The server at which it showed, 0 where none in particular.
  public var node: UInt64
  /// What was seen.
  public var evidence: String

  public init(_ invariant: String, node: UInt64 = 0, _ evidence: String) {
    self.invariant = invariant
    self.node = node
    self.evidence = evidence
  }

  public var description: String {
    node == 0 ? "\(invariant): \(evidence)" : "\(invariant), at server \(node): \(evidence)"
  }
}
