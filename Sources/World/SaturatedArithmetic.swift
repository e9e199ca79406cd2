extension Int64 {
  /// The sum, or the end of the range that it is beyond: numbers that stand in objects are as large as their writers like,
  /// and a sum that does not fit must not end the process.
  public func addingSaturated(_ other: Int64) -> Int64 {
    let (sum, overflows) = addingReportingOverflow(other)
    return overflows ? (other < 0 ? .min : .max) : sum
  }
}
