// Priority and fairness (spec/2 §2.11): a flood by one client waits in its own queues, while nodes, leader elections
// and people are answered.
import JSON
import Kinds
import Replica
import Schema
import Synchronization
import World

/// Admits requests to a server's seats. Any thread; requests wait on their own loops.
final class FlowControl: Sendable {
  /// A seat taken, to be given back; what the answer's headers name.
  struct Ticket: Sendable {
    fileprivate var id: UInt64
    fileprivate var level: String
    fileprivate var schema: String
    fileprivate var seats: Int
    var schemaUID: String
    var levelUID: String
  }

  /// A request that waits or has its seats.
  struct Admitted: Sendable {
    var level: String
    var schema: String
    var distinguisher: String
    var seats: Int
    var arrived: MonotonicTime
    /// nil while it waits.
    var started: MonotonicTime?
    var attributes: AuthorizationAttributes
  }

  private struct State {
    var schemas: [FlowSchema] = []
    var seats: Seats
    var admitted: [UInt64: Admitted] = [:]
    var fingerprint = Fingerprint()
    var checkedAt: MonotonicTime?
    var lastID: UInt64 = 0
    var waiting: [UInt64: Waiter] = [:]
  }
  /// A queued request: a seat may come free before its task has begun to wait.
  private enum Waiter {
    case expected
    case seated
    case parked(CheckedContinuation<Bool, Never>)
  }
  /// What tells two sets of flow control objects apart.
  private struct Fingerprint: Equatable {
    var newest: Revision = 0
    var count = -1
  }

  /// How long a request waits for a seat: a quarter of what a request may last (spec/2 §2.11).
  static let queueWait = Duration.seconds(15)
  /// How often the objects are looked at for a change.
  private static let refreshInterval = Duration.milliseconds(500)
  private static let schemaResource = "flowschemas.flowcontrol.apiserver.k8s.io"
  private static let levelResource = "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io"

  private let store: any ObjectStore
  private let metrics: ServerMetrics
  private let state: Mutex<State>

  /// `total`: seats of the server, shared out by the levels' shares. Goes by what every cluster begins with until it has
  /// looked at the store, so that the first requests, which come while one of them looks, are not refused.
  init(store: any ObjectStore, total: Int, metrics: ServerMetrics) {
    self.store = store
    self.metrics = metrics
    var seats = Seats(total: total)
    seats.configure(ClusterBootstrap.priorityLevels.map { PriorityLevelSettings($0) })
    state = Mutex(State(schemas: Self.compiled(ClusterBootstrap.flowSchemas), seats: seats))
  }

  /// Waits for a seat. Throws 429 where there is none and no place to wait, or none came in time.
  func enter(
    _ attributes: AuthorizationAttributes, seats wanted: Int, world: any World
  ) async throws(APIStatus) -> Ticket {
    refresh(world.now)
    let question = FlowQuestion(attributes: attributes)
    let arrived = world.now
    let (ticket, outcome) = state.withLock { Self.arrive(question, seats: wanted, at: arrived, &$0) }
    switch outcome {
    case .seated: break
    case .refused: throw refusal(ticket, "queue-full")
    case .queued:
      let isSeated = await wait(ticket.id, ticket, world)
      metrics.queueWaits.observe(
        (world.now - arrived).inSeconds, [ticket.level, ticket.schema, isSeated ? "true" : "false"])
      guard isSeated else { throw refusal(ticket, "time-out") }
    }
    metrics.dispatched.add(1, [ticket.level, ticket.schema])
    return ticket
  }

  private static func arrive(
    _ question: FlowQuestion, seats wanted: Int, at now: MonotonicTime, _ state: inout State
  ) -> (Ticket, Seats.Outcome) {
    let schema = schema(for: question, state)
    state.lastID += 1
    let id = state.lastID
    let distinguisher = schema?.distinguisher(of: question) ?? ""
    let flow = schema.map { flowHash($0.name, distinguisher) } ?? 0
    let name = schema?.level ?? "catch-all"
    let (outcome, seats) = state.seats.arrive(name, id: id, seats: wanted, flow: flow)
    let ticket = Ticket(
      id: id, level: name, schema: schema?.name ?? "catch-all", seats: seats, schemaUID: schema?.uid ?? "",
      levelUID: state.seats.levels[name]?.settings.uid ?? "")
    if outcome != .refused {
      state.admitted[id] = Admitted(
        level: name, schema: ticket.schema, distinguisher: distinguisher, seats: seats, arrived: now,
        started: outcome == .seated ? now : nil, attributes: question.attributes)
    }
    if outcome == .queued { state.waiting[id] = .expected }
    return (ticket, outcome)
  }

  /// Gives the seat back; whoever is next gets it.
  func leave(_ ticket: Ticket, at now: MonotonicTime) {
    let (left, seated) = state.withLock { state in
      let left = state.admitted.removeValue(forKey: ticket.id)
      return (
        left, state.seats.leave(ticket.level, seats: ticket.seats).compactMap { Self.seat($0, at: now, &state) }
      )
    }
    for continuation in seated { continuation.resume(returning: true) }
    if let started = left?.started {
      metrics.executions.observe((now - started).inSeconds, [ticket.level, ticket.schema, "regular"])
    }
  }

  private static func seat(
    _ id: UInt64, at now: MonotonicTime, _ state: inout State
  ) -> CheckedContinuation<Bool, Never>? {
    state.admitted[id]?.started = now
    guard case .parked(let continuation) = state.waiting.removeValue(forKey: id) else {
      state.waiting[id] = .seated
      return nil
    }
    return continuation
  }

  private func wait(_ id: UInt64, _ ticket: Ticket, _ world: any World) async -> Bool {
    let timer = world.schedule(after: Self.queueWait) { [weak self] in self?.giveUp(id, ticket) }
    defer { timer.cancel() }
    return await withCheckedContinuation { continuation in
      let isSeated = state.withLock { state in
        if case .seated = state.waiting[id] {
          state.waiting[id] = nil
          return true
        }
        state.waiting[id] = .parked(continuation)
        return false
      }
      if isSeated { continuation.resume(returning: true) }
    }
  }

  private func giveUp(_ id: UInt64, _ ticket: Ticket) {
    let continuation = state.withLock { state -> CheckedContinuation<Bool, Never>? in
      guard state.seats.giveUp(ticket.level, id: id),
        case .parked(let continuation) = state.waiting.removeValue(forKey: id)
      else { return nil }
      state.admitted[id] = nil
      return continuation
    }
    continuation?.resume(returning: false)
  }

  private func refusal(_ ticket: Ticket, _ reason: String) -> APIStatus {
    metrics.rejected.add(1, [ticket.level, ticket.schema, reason])
    return .tooManyRequests("too many requests, please try again later", retryAfter: 1)
  }

  // MARK: Configuration

  private static func schema(for question: FlowQuestion, _ state: State) -> FlowSchema? {
    state.schemas.first { state.seats.levels[$0.level] != nil && $0.matches(question) }
  }

  /// In the order in which they are asked.
  private static func compiled(_ schemas: [JSONValue]) -> [FlowSchema] {
    schemas.map { FlowSchema($0) }.sorted { ($0.precedence, $0.name) < ($1.precedence, $1.name) }
  }

  /// Follows the objects in the store; before there are any, those every cluster begins with.
  private func refresh(_ now: MonotonicTime) {
    let isDue = state.withLock { state in
      if let checked = state.checkedAt, now - checked < Self.refreshInterval { return false }
      state.checkedAt = now
      return true
    }
    guard isDue else { return }
    let view = store.current
    let objects = { (resource: String) in
      view.objects(resource: resource, namespace: "", after: nil, limit: 0).objects
    }
    let (schemas, levels) = (objects(Self.schemaResource), objects(Self.levelResource))
    let found = Fingerprint(
      newest: (schemas + levels).reduce(0) { max($0, $1.revision) }, count: schemas.count + levels.count)
    guard state.withLock({ $0.fingerprint != found }) else { return }
    let schemaTrees = schemas.isEmpty ? ClusterBootstrap.flowSchemas : schemas.map(\.tree)
    let levelTrees = levels.isEmpty ? ClusterBootstrap.priorityLevels : levels.map(\.tree)
    let compiled = Self.compiled(schemaTrees)
    let settings = levelTrees.map { PriorityLevelSettings($0) }
    state.withLock { state in
      state.fingerprint = found
      state.schemas = compiled
      state.seats.configure(settings)
    }
  }

  /// Seats in use and requests that wait, of one level.
  func state(of level: String) -> (inUse: Int, inQueue: Int) {
    state.withLock { ($0.seats.levels[level]?.inUse ?? 0, $0.seats.levels[level]?.queues.count ?? 0) }
  }

  /// What the gauges and dumps are made of: the levels and every request that waits or runs, by number.
  var contents: (levels: [String: Seats.Level], admitted: [UInt64: Admitted]) {
    state.withLock { ($0.seats.levels, $0.admitted) }
  }

  /// Sets the gauges of every level.
  func measure() {
    let (levels, admitted) = contents
    for (name, level) in levels {
      metrics.nominalSeats.set(Double(level.nominal), [name])
      metrics.lowerSeats.set(Double(level.nominal - level.lendable), [name])
      let total = levels.values.reduce(0) { $0 + $1.nominal }
      metrics.upperSeats.set(Double(level.borrowingLimit.map { level.nominal + $0 } ?? total), [name])
      metrics.currentSeats.set(Double(max(level.nominal, level.inUse)), [name])
    }
    // Flows that nobody is in any more keep their series, at nothing.
    for gauge in [metrics.executing, metrics.executingSeats, metrics.inQueue] { gauge.zero() }
    for request in admitted.values {
      let labels = [request.level, request.schema]
      if request.started == nil {
        metrics.inQueue.add(1, labels)
      } else {
        metrics.executing.add(1, labels)
        metrics.executingSeats.add(Double(request.seats), labels)
      }
    }
  }
}
