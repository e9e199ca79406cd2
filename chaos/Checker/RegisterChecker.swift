// The checks of register histories: each object linearizable, and one counter of revisions over all of them.

import World

/// An operation on one named object.
public struct RegisterOperation: Sendable {
  public var key: String
  public var operation: Operation<RegisterAction>

  public init(key: String, operation: Operation<RegisterAction>) {
    self.key = key
    self.operation = operation
  }

  /// "#812 server-1/0 12.345–12.349 s register-3: create v812 → done at 977", times since `start`.
  public func description(since start: MonotonicTime) -> String {
    let operation = operation
    let from = Self.seconds(operation.invoked - start)
    let to = operation.returned.map { Self.seconds($0 - start) } ?? "…"
    return "#\(operation.id) \(operation.client) \(from)–\(to) s \(key): \(operation.action)"
  }

  private static func seconds(_ duration: Duration) -> String {
    let milliseconds = duration.wholeNanoseconds / 1_000_000
    let fraction = String(milliseconds % 1000)
    return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)"
  }
}

public struct RegisterChecker {
  /// Operations shown around the one that has no place.
  private static let evidenceCount = 12

  private let operations: [RegisterOperation]
  private let start: MonotonicTime

  public init(_ operations: [RegisterOperation], start: MonotonicTime) {
    self.operations = operations
    self.start = start
  }

  public func check() -> [Anomaly] { linearizability() + revisions() }

  /// Each object's history on its own: linearizability is local.
  func linearizability() -> [Anomaly] {
    let histories = Dictionary(grouping: operations, by: \.key)
    return histories.keys.sorted().compactMap { key in
      let history = histories[key] ?? []
      let checker = LinearizabilityChecker(model: RegisterModel(), history: history.map(\.operation))
      switch checker.check() {
      case .linearizable: return nil
      case .undecided:
        return Anomaly("\(key): linearizability not decided within the limit (\(history.count) operations)")
      case .impossible(let order, let state, let blocked):
        return impossible(key, history, order, state, blocked)
      }
    }
  }

  private func impossible(
    _ key: String, _ history: [RegisterOperation], _ order: [Int], _ state: RegisterModel.State, _ blocked: Int
  ) -> Anomaly {
    var evidence = order.suffix(Self.evidenceCount).map { "ordered: \(history[$0].description(since: start))" }
    let current = state.current.map { "\($0)" } ?? "no object"
    evidence.append("state then: \(current), highest revision \(state.lastRevision)")
    evidence.append("no place for: \(history[blocked].description(since: start))")
    let placed = Set(order)
    let until = history[blocked].operation.returned ?? history[blocked].operation.invoked
    let open = history.indices.filter {
      !placed.contains($0) && $0 != blocked && history[$0].operation.invoked <= until
    }
    evidence += open.suffix(Self.evidenceCount).map { "also open: \(history[$0].description(since: start))" }
    return Anomaly("\(key) is not linearizable", evidence: evidence)
  }

  /// Revisions are one counter: no two writes share one, and a write that began after another's answer has a higher.
  func revisions() -> [Anomaly] {
    struct Write {
      var revision: Int64
      var operation: RegisterOperation
    }
    let writes = operations.compactMap { operation -> Write? in
      guard operation.operation.action.writtenValue != nil,
        case .done(let revision?) = operation.operation.action.answer
      else { return nil }
      return Write(revision: revision, operation: operation)
    }
    var anomalies: [Anomaly] = []
    for (_, same) in Dictionary(grouping: writes, by: \.revision) where same.count > 1 {
      anomalies.append(
        Anomaly(
          "revision \(same[0].revision) was given to \(same.count) writes",
          evidence: same.map { $0.operation.description(since: start) }))
    }
    let byAnswer = writes.sorted {
      ($0.operation.operation.returned ?? start) < ($1.operation.operation.returned ?? start)
    }
    var answered = byAnswer[...]
    var highest: Write?
    for write in writes.sorted(by: { $0.operation.operation.invoked < $1.operation.operation.invoked }) {
      while let first = answered.first, let returned = first.operation.operation.returned,
        returned < write.operation.operation.invoked
      {
        if first.revision > highest?.revision ?? .min { highest = first }
        answered.removeFirst()
      }
      if let highest, highest.revision >= write.revision {
        anomalies.append(
          Anomaly(
            "a later write has a lower revision",
            evidence: [highest, write].map { $0.operation.description(since: start) }))
      }
    }
    return anomalies
  }
}
