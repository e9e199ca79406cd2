// One object of the API as a register: created, replaced by resourceVersion, deleted, read.

/// What an object holds, and since which revision.
public struct Version: Hashable, Sendable, CustomStringConvertible {
  /// No two writes of a run write the same value.
  public var value: String
  /// nil: written by an operation whose answer never came.
  public var revision: Int64?

  public init(value: String, revision: Int64?) {
    self.value = value
    self.revision = revision
  }

  public var description: String { "\(value)@\(revision.map(String.init) ?? "?")" }
}

public enum RegisterRequest: Hashable, Sendable {
  case read
  case create(value: String)
  /// PUT with the resourceVersion of what was seen.
  case update(value: String, seen: Version)
  /// DELETE, where `seen` is given with its resourceVersion as precondition.
  case delete(seen: Version?)
}

public enum RegisterAnswer: Hashable, Sendable {
  case found(Version)
  /// Created, replaced or deleted. A deletion's answer does not tell the revision.
  case done(revision: Int64?)
  case notFound
  case alreadyExists
  case conflict
  /// No answer, or one that leaves the outcome open.
  case unknown
}

public struct RegisterAction: Hashable, Sendable, CustomStringConvertible {
  public var request: RegisterRequest
  public var answer: RegisterAnswer

  public init(_ request: RegisterRequest, _ answer: RegisterAnswer) {
    self.request = request
    self.answer = answer
  }

  /// The value that this operation writes, if it writes one.
  public var writtenValue: String? {
    switch request {
    case .create(let value), .update(let value, _): value
    case .read, .delete: nil
    }
  }

  public var description: String {
    let asked =
      switch request {
      case .read: "read"
      case .create(let value): "create \(value)"
      case .update(let value, let seen): "update \(seen) to \(value)"
      case .delete(let seen): "delete\(seen.map { " \($0)" } ?? "")"
      }
    let answered =
      switch answer {
      case .found(let version): "\(version)"
      case .done(let revision): "done\(revision.map { " at \($0)" } ?? "")"
      case .notFound: "404"
      case .alreadyExists: "409 AlreadyExists"
      case .conflict: "409 Conflict"
      case .unknown: "no answer"
      }
    return "\(asked) → \(answered)"
  }
}

/// The sequential register. Beside values it holds revisions to their rule: every write's is higher than all before.
public struct RegisterModel: SequentialModel {
  public struct State: Hashable, Sendable {
    /// nil: the object does not exist.
    public var current: Version?
    /// The highest revision known to have been given to this object.
    public var lastRevision: Int64 = 0
  }

  public init() {}
  public var initialState: State { State() }

  public func step(_ state: State, _ action: RegisterAction) -> State? {
    switch action.request {
    case .read: read(state, action.answer)
    case .create(let value): create(state, value, action.answer)
    case .update(let value, let seen): update(state, value, seen, action.answer)
    case .delete(let seen): delete(state, seen, action.answer)
    }
  }

  private func read(_ state: State, _ answer: RegisterAnswer) -> State? {
    switch answer {
    case .notFound: return state.current == nil ? state : nil
    case .unknown: return state
    case .found(let version):
      guard let current = state.current, Self.same(current, version), let revision = version.revision else {
        return nil
      }
      // The revision of a write that was not answered becomes known here.
      if current.revision == nil && revision <= state.lastRevision { return nil }
      return State(current: version, lastRevision: max(state.lastRevision, revision))
    case .done, .alreadyExists, .conflict: return nil
    }
  }

  private func create(_ state: State, _ value: String, _ answer: RegisterAnswer) -> State? {
    switch answer {
    case .done(let revision): state.current == nil ? write(state, value, revision) : nil
    case .alreadyExists: state.current != nil ? state : nil
    case .unknown: state.current == nil ? write(state, value, nil) : state
    case .found, .notFound, .conflict: nil
    }
  }

  private func update(_ state: State, _ value: String, _ seen: Version, _ answer: RegisterAnswer) -> State? {
    let matches = state.current.map { Self.same($0, seen) } ?? false
    return switch answer {
    case .done(let revision): matches ? write(state, value, revision) : nil
    case .conflict: state.current != nil && !matches ? state : nil
    case .notFound: state.current == nil ? state : nil
    case .unknown: matches ? write(state, value, nil) : state
    case .found, .alreadyExists: nil
    }
  }

  private func delete(_ state: State, _ seen: Version?, _ answer: RegisterAnswer) -> State? {
    let matches = state.current.map { current in seen.map { Self.same(current, $0) } ?? true } ?? false
    let gone = State(current: nil, lastRevision: state.lastRevision)
    return switch answer {
    case .done: matches ? gone : nil
    case .conflict: state.current != nil && !matches ? state : nil
    case .notFound: state.current == nil ? state : nil
    case .unknown: matches ? gone : state
    case .found, .alreadyExists: nil
    }
  }

  private func write(_ state: State, _ value: String, _ revision: Int64?) -> State? {
    guard let revision else {
      return State(current: Version(value: value, revision: nil), lastRevision: state.lastRevision)
    }
    guard revision > state.lastRevision else { return nil }
    return State(current: Version(value: value, revision: revision), lastRevision: revision)
  }

  /// Values are unique, so equal values are the same write; revisions must then agree where both are known.
  private static func same(_ left: Version, _ right: Version) -> Bool {
    left.value == right.value && (left.revision == nil || right.revision == nil || left.revision == right.revision)
  }
}
