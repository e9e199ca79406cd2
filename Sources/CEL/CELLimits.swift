// CEL: the Common Expression Language as Kubernetes uses it: parser, type checker, cost, libraries.
// Values in, values out: nothing here knows an object kind, a store or a clock.

/// What an expression may cost to read, to check and to run. The first five are the reference's own figures.
public enum CELLimits {
  /// Actual cost of one evaluation.
  public static let costPerCall: UInt64 = 1_000_000
  /// Actual cost of all evaluations made for one object (custom resource, or policy and request).
  public static let costPerObject: UInt64 = 10_000_000
  /// Actual cost of all match conditions of one webhook or policy.
  public static let costOfMatchConditions: UInt64 = 2_500_000
  /// Code points of an expression.
  public static let expressionCodePointsMaximum = 100_000
  /// Nesting of an expression.
  public static let expressionDepthMaximum = 250
  /// Errors reported of one expression.
  public static let issuesMaximum = 100
  /// Longest text or bytes a function may build: a request is at most 3 MiB, ten times that is nobody's intention, and
  /// functions that multiply lengths are charged only for their arguments.
  static let textBytesMaximum = 32 << 20
  /// Most elements of a list built by concatenation, which costs the same whatever the length.
  static let listElementsMaximum = 1 << 20
  /// Deepest nesting of values compared or converted; JSON documents are bounded far below.
  static let valueDepthMaximum = 512
}
