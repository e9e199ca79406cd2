// /debug/api_priority_and_fairness: what flow control holds at this moment, as aligned text. Who asks whether a flood waits
// where it should asks here.
import HTTP
import Schema
import World

enum FlowDumps {
  enum Table: String, Sendable {
    case levels = "dump_priority_levels"
    case queues = "dump_queues"
    case requests = "dump_requests"

    init?(_ segments: [String]) {
      guard segments.count == 3, segments[0] == "debug", segments[1] == "api_priority_and_fairness" else { return nil }
      self.init(rawValue: segments[2])
    }
  }

  typealias Contents = (levels: [String: Seats.Level], admitted: [UInt64: FlowControl.Admitted])

  static func text(
    of table: Table, _ contents: Contents, _ query: Query, now: MonotonicTime, wallClock: WallTime
  ) -> HTTPResponse {
    let rows =
      switch table {
      case .levels: levels(contents)
      case .queues: queues(contents)
      case .requests:
        requests(contents, wantsDetails: !(query["includeRequestDetails"] ?? "").isEmpty) { wallClock + ($0 - now) }
      }
    return HTTPResponse(
      status: 200, headers: ["content-type": "text/plain; charset=utf-8"], body: .bytes(Array(aligned(rows).utf8)))
  }

  // MARK: Tables

  private static func levels(_ contents: Contents) -> [[String]] {
    let header = [
      "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
      "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
    ]
    var executing: [String: Int] = [:]
    for request in contents.admitted.values where request.started != nil { executing[request.level, default: 0] += 1 }
    return [header]
      + contents.levels.sorted { $0.key < $1.key }.map { name, level in
        let active = level.queues.contents.count { !$0.waiting.isEmpty }
        let running = executing[name] ?? 0
        let isIdle = level.queues.count == 0 && running == 0
        // Nobody leaves a queue before its time: a client that goes away is noticed when it is answered.
        let numbers = [level.queues.count, running, level.dispatched, level.rejected, level.timedOut, 0]
        return [name, "\(active)", "\(isIdle)", "\(level.isQuiescing)"] + numbers.map { String($0) }
      }
  }

  private static func queues(_ contents: Contents) -> [[String]] {
    var rows = [
      [
        "PriorityLevelName", "Index", "PendingRequests", "ExecutingRequests", "SeatsInUse", "NextDispatchR",
        "InitialSeatsSum", "MaxSeatsSum", "TotalWorkSum",
      ]
    ]
    for (name, level) in contents.levels.sorted(by: { $0.key < $1.key }) {
      for queue in level.queues.contents {
        let seats = queue.waiting.reduce(0) { $0 + $1.seats }
        // Whoever got a seat has left the queue: what runs is counted by level.
        rows.append([
          name, "\(queue.index)", "\(queue.waiting.count)", "0", "0", work(queue.next), "\(seats)", "\(seats)",
          work(UInt64(seats)),
        ])
      }
    }
    return rows
  }

  /// Seats for seconds, of which virtual time is made.
  private static func work(_ amount: UInt64) -> String { "\(amount).00000000ss" }

  private static func requests(
    _ contents: Contents, wantsDetails: Bool, wall: (MonotonicTime) -> WallTime
  ) -> [[String]] {
    var header = [
      "PriorityLevelName", "FlowSchemaName", "QueueIndex", "RequestIndexInQueue", "FlowDistingsher", "ArriveTime",
      "InitialSeats", "FinalSeats", "AdditionalLatency", "StartTime",
    ]
    if wantsDetails {
      header += ["UserName", "Verb", "APIPath", "Namespace", "Name", "APIVersion", "Resource", "SubResource"]
    }
    func row(_ request: FlowControl.Admitted, _ queue: Int, _ place: Int) -> [String] {
      let started = request.started.map { wall($0).rfc3339Nano } ?? "0001-01-01T00:00:00Z"
      var cells = [
        request.level, request.schema, "\(queue)", "\(place)", request.distinguisher, wall(request.arrived).rfc3339Nano,
        "\(request.seats)", "0", "0s", started,
      ]
      let asked = request.attributes
      if wantsDetails {
        cells += [
          asked.user.name, asked.verb, asked.path, asked.namespace, asked.name,
          asked.apiGroup.isEmpty ? asked.apiVersion : "\(asked.apiGroup)/\(asked.apiVersion)", asked.resource,
          asked.subresource,
        ]
      }
      return cells
    }
    var rows = [header]
    for (name, level) in contents.levels.sorted(by: { $0.key < $1.key }) {
      for queue in level.queues.contents {
        for (place, waiting) in queue.waiting.enumerated() {
          if let request = contents.admitted[waiting.id] { rows.append(row(request, queue.index, place)) }
        }
      }
      for (_, request) in contents.admitted.sorted(by: { $0.key < $1.key })
      where request.level == name && request.started != nil { rows.append(row(request, -1, -1)) }
    }
    return rows
  }

  // MARK: Text

  /// The narrowest that a column is.
  private static let widthMinimum = 8

  /// Cells end in a comma and stand below one another; what follows the last is the end of the line.
  private static func aligned(_ rows: [[String]]) -> String {
    var widths: [Int] = []
    for row in rows {
      for (column, cell) in row.dropLast().enumerated() {
        let width = max(widthMinimum, cell.count + 2)
        if column < widths.count { widths[column] = max(widths[column], width) } else { widths.append(width) }
      }
    }
    var text = ""
    for row in rows {
      for (column, cell) in row.dropLast().enumerated() {
        text += cell + ","
        text += String(repeating: " ", count: widths[column] - cell.count - 1)
      }
      text += (row.last ?? "") + "\n"
    }
    return text
  }
}
