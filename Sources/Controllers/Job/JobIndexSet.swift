/// Completion indexes as a job's status writes them: "0-2,5". Kept as intervals: a job has up to a hundred thousand.
struct JobIndexSet: Hashable, Sendable, CustomStringConvertible {
  /// Ascending, neither overlapping nor adjacent.
  private(set) var intervals: [ClosedRange<Int>] = []
  private(set) var count = 0

  init() {}

  /// `indexes` in any order, also repeated.
  init(_ indexes: some Sequence<Int>) {
    for index in indexes.sorted() { append(index...index) }
  }

  /// What a status says, as far as it lies below `completions`; what cannot be read is passed over.
  init(_ text: String, completions: Int) {
    for part in text.split(separator: ",") {
      let ends = part.split(separator: "-")
      guard let first = ends.first.flatMap({ Int($0) }), let last = ends.last.flatMap({ Int($0) }), first >= 0,
        first <= last, first < completions
      else { continue }
      append(first...min(last, completions - 1))
    }
  }

  var isEmpty: Bool { count == 0 }

  func contains(_ index: Int) -> Bool {
    var (low, high) = (0, intervals.count)
    while low < high {
      let middle = (low + high) / 2
      if intervals[middle].upperBound < index { low = middle + 1 } else { high = middle }
    }
    return low < intervals.count && intervals[low].contains(index)
  }

  func union(_ other: Self) -> Self {
    var result = Self()
    for interval in (intervals + other.intervals).sorted(by: { $0.lowerBound < $1.lowerBound }) {
      result.append(interval)
    }
    return result
  }

  /// How many are in both.
  func countCommon(with other: Self) -> Int {
    var (left, right, common) = (intervals[...], other.intervals[...], 0)
    while let one = left.first, let two = right.first {
      if one.overlaps(two) { common += one.clamped(to: two).count }
      if one.upperBound < two.upperBound { left.removeFirst() } else { right.removeFirst() }
    }
    return common
  }

  /// The first `limit` indexes below `end` that are not in the set.
  func missing(_ limit: Int, below end: Int) -> [Int] {
    var found: [Int] = []
    var next = 0
    for interval in intervals + [end...end] {
      while next < min(interval.lowerBound, end), found.count < limit {
        found.append(next)
        next += 1
      }
      if found.count >= limit { break }
      next = max(next, interval.upperBound + 1)
    }
    return found
  }

  /// Two in a row are written singly, more as a range.
  var description: String {
    intervals.map { interval in
      switch interval.count {
      case 1: "\(interval.lowerBound)"
      case 2: "\(interval.lowerBound),\(interval.upperBound)"
      default: "\(interval.lowerBound)-\(interval.upperBound)"
      }
    }.joined(separator: ",")
  }

  /// `interval` begins nowhere before the last one.
  private mutating func append(_ interval: ClosedRange<Int>) {
    guard let last = intervals.last, interval.lowerBound <= last.upperBound + 1 else {
      intervals.append(interval)
      count += interval.count
      return
    }
    guard interval.upperBound > last.upperBound else { return }
    intervals[intervals.count - 1] = last.lowerBound...interval.upperBound
    count += interval.upperBound - last.upperBound
  }
}
