/// Something that must not happen, with the operations or events that show it.
public struct Anomaly: Sendable, Hashable {
  public var title: String
  public var evidence: [String]

  public init(_ title: String, evidence: [String] = []) {
    self.title = title
    self.evidence = evidence
  }
}
