// How many requests a process's loops have under way: the memory that they can take of the servers, and the time for which
// others wait behind them, depend on this number alone.
import DequeModule
import Synchronization
import World

/// Lets a bounded number of requests pass at once. The others wait, cheaply: a request is encoded when it has its place.
///
/// kube-controller-manager bounds the same by a rate (20 requests a second for each controller's client); a bound on what
/// is under way adapts itself to the servers instead: as fast as they answer, never faster.
///
/// Places are given to flows in turn (a flow is a client's name), so that a controller with a hundred thousand pods to make
/// does not keep another from marking a node as lost. And a flow with few under way need not wait for a place at all: where
/// an aggregated server does not answer, one flow's requests may hold all of them for as long as they are waited for.
/// Any thread.
public final class RequestGate: Sendable {
  /// Enough to fill the batches of a replicated log, of which each costs one turn of its disk; few enough that the largest
  /// objects there can be (1.5 MiB) do not fill a server's memory.
  public static let defaultMaximum = 128

  private enum Waiter {
    /// The task that waits has not gone to sleep yet.
    case expected
    case admitted
    case parked(CheckedContinuation<Bool, Never>)
  }
  private struct State {
    var underWay = 0
    /// By flow; those with none are not in it.
    var held: [String: Int] = [:]
    /// Flows in which somebody waits, in the order of their turns.
    var turns: Deque<String> = []
    var waiting: [String: Deque<UInt64>] = [:]
    var waiters: [UInt64: Waiter] = [:]
    var lastID: UInt64 = 0
    var highest = 0

    mutating func begin(_ flow: String) {
      underWay += 1
      held[flow, default: 0] += 1
      highest = max(highest, underWay)
    }

    mutating func end(_ flow: String) {
      underWay -= 1
      let left = (held[flow] ?? 1) - 1
      held[flow] = left > 0 ? left : nil
    }
  }
  private let maximum: Int
  /// What a flow may have under way whatever the others have.
  private let ownPlaces: Int
  private let state = Mutex(State())

  public init(maximum: Int = RequestGate.defaultMaximum) {
    precondition(maximum > 0, "a gate that lets nothing pass")
    self.maximum = maximum
    ownPlaces = min(4, maximum / 4)
  }

  /// Requests that have passed and are not answered yet; those that wait; the most that were ever under way at once.
  public var load: (underWay: Int, waiting: Int, highest: Int) {
    state.withLock { ($0.underWay, $0.waiters.count, $0.highest) }
  }

  /// Runs `body` when there is a place for it. Throws `CancellationError` when the task is cancelled before that.
  public func pass<Answer>(_ flow: String, _ body: () async throws -> Answer) async throws -> Answer {
    try await enter(flow)
    defer { leave(flow) }
    return try await body()
  }

  private func enter(_ flow: String) async throws {
    let id = state.withLock { state -> UInt64? in
      if state.underWay < maximum || state.held[flow, default: 0] < ownPlaces {
        state.begin(flow)
        return nil
      }
      state.lastID += 1
      state.waiters[state.lastID] = .expected
      if state.waiting[flow]?.append(state.lastID) == nil {
        state.waiting[flow] = [state.lastID]
        state.turns.append(flow)
      }
      return state.lastID
    }
    guard let id else { return }
    let isAdmitted = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let known: Bool? = state.withLock { state in
          switch state.waiters[id] {
          case .admitted:
            state.waiters[id] = nil
            return true
          case .expected:
            state.waiters[id] = .parked(continuation)
            return nil
          case .parked, nil: return false
          }
        }
        if let known { continuation.resume(returning: known) }
      }
    } onCancel: {
      cancel(id)
    }
    guard isAdmitted else { throw CancellationError() }
  }

  private func leave(_ former: String) {
    let next = state.withLock { state -> CheckedContinuation<Bool, Never>? in
      state.end(former)
      if state.underWay >= maximum {
        // There is no place for everybody, but the flow itself may have one of its own again.
        guard state.held[former, default: 0] < ownPlaces, let index = state.turns.firstIndex(of: former) else {
          return nil
        }
        state.turns.remove(at: index)
        state.turns.prepend(former)
      }
      while let flow = state.turns.popFirst() {
        guard let id = state.waiting[flow]?.popFirst() else {
          state.waiting[flow] = nil
          continue
        }
        if state.waiting[flow]?.isEmpty == true {
          state.waiting[flow] = nil
        } else {
          state.turns.append(flow)
        }
        switch state.waiters[id] {
        case .parked(let continuation):
          state.waiters[id] = nil
          state.begin(flow)
          return continuation
        case .expected:
          state.waiters[id] = .admitted
          state.begin(flow)
          return nil
        case .admitted, nil: continue  // Cancelled: the place is for somebody else.
        }
      }
      return nil
    }
    next?.resume(returning: true)
  }

  /// One that still waits goes away; its number stays in its flow's queue until its turn. One that has its place uses it.
  private func cancel(_ id: UInt64) {
    let waiter = state.withLock { state -> CheckedContinuation<Bool, Never>? in
      switch state.waiters[id] {
      case .parked(let continuation):
        state.waiters[id] = nil
        return continuation
      case .expected:
        state.waiters[id] = nil
        return nil
      case .admitted, nil: return nil
      }
    }
    waiter?.resume(returning: false)
  }
}
