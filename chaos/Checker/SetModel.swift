// A collection of the API as a set: created, deleted, listed. For histories without a record of what really happened.

public enum SetRequest: Hashable, Sendable {
  case add(String)
  case remove(String)
  /// A list of everything.
  case read
}

public enum SetAnswer: Hashable, Sendable {
  case done
  case alreadyThere
  case notThere
  case members(Set<String>)
  /// No answer, or one that leaves the outcome open.
  case unknown
}

public struct SetAction: Hashable, Sendable {
  public var request: SetRequest
  public var answer: SetAnswer

  public init(_ request: SetRequest, _ answer: SetAnswer) {
    self.request = request
    self.answer = answer
  }
}

/// The sequential set.
public struct SetModel: SequentialModel {
  public init() {}
  public var initialState: Set<String> { [] }

  public func step(_ state: Set<String>, _ action: SetAction) -> Set<String>? {
    switch (action.request, action.answer) {
    case (.add(let name), .done): state.contains(name) ? nil : state.union([name])
    case (.add(let name), .alreadyThere): state.contains(name) ? state : nil
    case (.add(let name), .unknown): state.union([name])
    case (.remove(let name), .done): state.contains(name) ? state.subtracting([name]) : nil
    case (.remove(let name), .notThere): state.contains(name) ? nil : state
    case (.remove(let name), .unknown): state.subtracting([name])
    case (.read, .members(let members)): members == state ? state : nil
    case (.read, .unknown): state
    case (.add, _), (.remove, _), (.read, _): nil
    }
  }
}
