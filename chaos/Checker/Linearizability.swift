// Linearizability by the algorithm of Wing and Gong with Lowe's cache, as Porcupine has it: is there an order of the
// operations that respects real time and that one sequential object could have produced?

import World

/// What a correct object does, one operation at a time.
public protocol SequentialModel: Sendable {
  associatedtype State: Hashable, Sendable
  /// A request together with its answer.
  associatedtype Action: Sendable

  var initialState: State { get }

  /// The state after `action`, or nil when that answer cannot be given in `state`. An action whose answer never came
  /// must be possible in every state; where it would change nothing it returns `state`.
  func step(_ state: State, _ action: Action) -> State?
}

/// An operation as its client saw it.
public struct Operation<Action: Sendable>: Sendable {
  /// Counted over the whole run, so that reports can name it.
  public var id: Int
  /// "server-2/1": the server asked and the worker that asked.
  public var client: String
  public var invoked: MonotonicTime
  /// nil: no answer came; the operation may take effect at any time after `invoked`, or never.
  public var returned: MonotonicTime?
  public var action: Action

  public init(id: Int, client: String, invoked: MonotonicTime, returned: MonotonicTime?, action: Action) {
    self.id = id
    self.client = client
    self.invoked = invoked
    self.returned = returned
    self.action = action
  }
}

/// The answer of the checker. Indices are positions in the history given.
public enum LinearizabilityVerdict<State: Hashable & Sendable>: Sendable {
  case linearizable
  /// No order exists. The longest that was found ends in `state`; the operation at `blocked` has no place after it.
  case impossible(longestOrder: [Int], state: State, blocked: Int)
  /// Not decided within the limit of steps.
  case undecided
}

public struct LinearizabilityChecker<Model: SequentialModel> {
  /// Steps after which a history is given up: seconds of work; histories of a real run need a few steps an operation.
  public static var defaultStepLimit: Int { 20_000_000 }

  private let model: Model
  private let history: [Operation<Model.Action>]
  private let stepLimit: Int

  public init(model: Model, history: [Operation<Model.Action>], stepLimit: Int = defaultStepLimit) {
    self.model = model
    self.history = history
    self.stepLimit = stepLimit
  }

  /// Calls that were placed, with the state before each.
  private struct Placed {
    var entry: Int
    var stateBefore: Model.State
  }

  private struct Configuration: Hashable {
    var placed: BitSet
    var state: Model.State
  }

  public func check() -> LinearizabilityVerdict<Model.State> {
    var entries = EntryList(history)
    var state = model.initialState
    var placed = BitSet(count: history.count)
    var seen: Set<Configuration> = []
    var stack: [Placed] = []
    var longest: (order: [Int], state: Model.State, blocked: Int) = ([], state, 0)
    var unanswered = 0
    for operation in history where operation.returned == nil { unanswered += 1 }
    var answersLeft = history.count - unanswered
    var entry = entries.first
    var steps = 0

    // Operations without an answer need no place: whatever remains of them happened later, or never.
    while answersLeft > 0 {
      steps += 1
      if steps > stepLimit { return .undecided }
      let operation = entries.operation(entry)
      let hasAnswer = history[operation].returned != nil
      if entries.isCall(entry) {
        // An unanswered operation without effect here is as good as one that comes later.
        if let next = model.step(state, history[operation].action), hasAnswer || next != state {
          placed.insert(operation)
          if seen.insert(Configuration(placed: placed, state: next)).inserted {
            stack.append(Placed(entry: entry, stateBefore: state))
            state = next
            if hasAnswer { answersLeft -= 1 }
            entries.lift(entry)
            entry = entries.first
            continue
          }
          placed.remove(operation)
        }
        entry = entries.after(entry)
        continue
      }
      // The answer of an operation that has not been placed: no order begins like this one.
      if stack.count >= longest.order.count {
        longest = (stack.map { entries.operation($0.entry) }, state, operation)
      }
      guard let last = stack.popLast() else {
        return .impossible(longestOrder: longest.order, state: longest.state, blocked: longest.blocked)
      }
      let undone = entries.operation(last.entry)
      state = last.stateBefore
      placed.remove(undone)
      if history[undone].returned != nil { answersLeft += 1 }
      entries.unlift(last.entry)
      entry = entries.after(last.entry)
    }
    return .linearizable
  }
}

/// Calls and answers in the order of time, as a doubly linked list from which an operation can be taken out and put
/// back. Entry 0 is the head; the call of operation i is entry 2i+1, its answer 2i+2.
private struct EntryList {
  private var next: [Int]
  private var previous: [Int]

  init<Action>(_ history: [Operation<Action>]) {
    let count = 2 * history.count + 1
    let moments = (1..<max(count, 1)).map { entry -> (time: UInt64, isAnswer: Bool, entry: Int) in
      let operation = history[(entry - 1) / 2]
      let isAnswer = entry % 2 == 0
      let time = isAnswer ? operation.returned?.nanoseconds ?? .max : operation.invoked.nanoseconds
      return (time, isAnswer, entry)
    }
    // At equal times calls come first: the operations overlap, which allows more orders.
    let ordered = moments.sorted { left, right in
      (left.time, left.isAnswer ? 1 : 0, left.entry) < (right.time, right.isAnswer ? 1 : 0, right.entry)
    }
    next = Array(repeating: -1, count: count)
    previous = Array(repeating: -1, count: count)
    var last = 0
    for moment in ordered {
      next[last] = moment.entry
      previous[moment.entry] = last
      last = moment.entry
    }
  }

  var first: Int { next[0] }
  func after(_ entry: Int) -> Int { next[entry] }
  func isCall(_ entry: Int) -> Bool { entry % 2 == 1 }
  func operation(_ entry: Int) -> Int { (entry - 1) / 2 }

  /// Takes the operation of this call out of the list.
  mutating func lift(_ call: Int) {
    unlink(call)
    unlink(call + 1)
  }

  /// Puts it back; operations come back in the reverse order of their leaving.
  mutating func unlift(_ call: Int) {
    relink(call + 1)
    relink(call)
  }

  private mutating func unlink(_ entry: Int) {
    next[previous[entry]] = next[entry]
    if next[entry] >= 0 { previous[next[entry]] = previous[entry] }
  }

  private mutating func relink(_ entry: Int) {
    next[previous[entry]] = entry
    if next[entry] >= 0 { previous[next[entry]] = entry }
  }
}

/// A set of small numbers.
struct BitSet: Hashable {
  private var words: [UInt64]
  init(count: Int) { words = Array(repeating: 0, count: (count + 63) / 64) }
  mutating func insert(_ index: Int) { words[index / 64] |= 1 << UInt64(index % 64) }
  mutating func remove(_ index: Int) { words[index / 64] &= ~(1 << UInt64(index % 64)) }
  func contains(_ index: Int) -> Bool { words[index / 64] & (1 << UInt64(index % 64)) != 0 }
}
