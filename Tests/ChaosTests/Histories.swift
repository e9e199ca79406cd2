// A small vocabulary for histories: who asked what when, and what came back.
import ChaosChecker
import World

/// Milliseconds of a story.
func at(_ milliseconds: UInt64) -> MonotonicTime { MonotonicTime(nanoseconds: milliseconds * 1_000_000) }

struct Story {
  var operations: [RegisterOperation] = []

  /// `to` nil: no answer came.
  mutating func client(
    _ client: String, _ from: UInt64, _ to: UInt64?, key: String = "x", _ request: RegisterRequest,
    _ answer: RegisterAnswer
  ) {
    operations.append(
      RegisterOperation(
        key: key,
        operation: Operation(
          id: operations.count, client: client, invoked: at(from), returned: to.map(at),
          action: RegisterAction(request, answer))))
  }

  var anomalies: [Anomaly] { RegisterChecker(operations, start: at(0)).check() }
  var titles: [String] { anomalies.map(\.title) }
}

func version(_ value: String, _ revision: Int64?) -> Version { Version(value: value, revision: revision) }
