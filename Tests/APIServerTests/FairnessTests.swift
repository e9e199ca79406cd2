// Priority and fairness: seats and queues as values, then a flood against a server.
import EventLoop
import HTTP
import JSON
import Replica
import Schema
import Synchronization
import Testing
import World

@testable import APIServer

/// The values under test, held where an expectation may change them.
private final class Line {
  private var queues: FairQueues
  init(_ response: PriorityLevelSettings.Response) { queues = FairQueues(response) }
  var count: Int { queues.count }
  func append(id: UInt64, seats: Int, flow: UInt64) -> Bool { queues.append(id: id, seats: seats, flow: flow) }
  func remove(id: UInt64) -> Bool { queues.remove(id: id) }
  func popNext() -> FairQueues.Waiting? { queues.popNext() }
}

private final class Hall {
  private var seats: Seats
  init(total: Int) { seats = Seats(total: total) }
  var levels: [String: Seats.Level] { seats.levels }
  func configure(_ settings: [PriorityLevelSettings]) { seats.configure(settings) }
  func arrive(_ level: String, _ id: UInt64, seats wanted: Int = 1) -> Seats.Outcome {
    seats.arrive(level, id: id, seats: wanted, flow: 0).0
  }
  func leave(_ level: String, seats given: Int = 1) -> [UInt64] { seats.leave(level, seats: given) }
  func giveUp(_ level: String, id: UInt64) -> Bool { seats.giveUp(level, id: id) }
}

@Suite struct FairQueueTests {
  @Test func aFlowIsDealtDifferentQueues() {
    for flow in [0, 1, 77, UInt64.max, flowHash("a", "b")] {
      let hand = FairQueues.hand(of: flow, size: 8, deck: 64)
      #expect(Set(hand).count == 8)
      #expect(hand.allSatisfy { (0..<64).contains($0) })
      #expect(hand == FairQueues.hand(of: flow, size: 8, deck: 64))
    }
    #expect(FairQueues.hand(of: 5, size: 3, deck: 3).sorted() == [0, 1, 2])
  }

  @Test func queuesThatNobodyUsesAreNotKept() {
    let level = PriorityLevelSettings.Response.queue(queues: 10_000_000, handSize: 1, lengthLimit: 50)
    var queues = FairQueues(level)
    for id in UInt64(0)..<5000 {
      _ = queues.append(id: id, seats: 1, flow: id &* 0x9e37_79b9_7f4a_7c15)
      // Ten wait at any time.
      if id >= 10 { _ = queues.popNext() }
    }
    #expect(queues.count == 10)
    #expect(queues.contents.count <= 4000, "\(queues.contents.count) queues are kept for those that wait")
    let waiting = queues.next?.id ?? 0
    let removals = (queues.remove(id: waiting), queues.remove(id: waiting))
    #expect(removals == (true, false))
    while queues.popNext() != nil {}
    #expect(queues.count == 0)
    // A table of a few is written whole.
    #expect(FairQueues(.queue(queues: 64, handSize: 8, lengthLimit: 50)).contents.map(\.index) == Array(0..<64))
  }

  @Test func aSmallFlowDoesNotWaitBehindAFlood() throws {
    let queues = Line(.queue(queues: 64, handSize: 4, lengthLimit: 100))
    let (flood, small) = (flowHash("schema", "flood"), flowHash("schema", "small"))
    for id in 0..<200 {
      #expect(queues.append(id: UInt64(id), seats: 1, flow: flood))
    }
    #expect(queues.append(id: 1000, seats: 1, flow: small))
    var order: [UInt64] = []
    while let next = queues.popNext() { order.append(next.id) }
    #expect(order.count == 201)
    let place = try #require(order.firstIndex(of: 1000))
    #expect(place <= 8, "it has a queue of its own, which is served in turn: \(place)")
  }

  @Test func fullQueuesRefuseAndOthersDoNot() {
    let queues = Line(.queue(queues: 32, handSize: 2, lengthLimit: 5))
    let flood = flowHash("flood")
    let accepted = (0..<100).count { queues.append(id: UInt64($0), seats: 1, flow: flood) }
    #expect(accepted == 10, "a hand of two queues, five places each")
    #expect(queues.remove(id: 3))
    #expect(!queues.remove(id: 3))
    #expect(queues.count == 9)
  }
}

@Suite struct SeatTests {
  private func level(
    _ name: String, shares: Int64, lendable: Int64 = 0, borrowing: Int64? = nil, queues: Bool = true
  ) -> PriorityLevelSettings {
    var limited: JSONValue = ["nominalConcurrencyShares": .integer(shares), "lendablePercent": .integer(lendable)]
    if let borrowing { limited["borrowingLimitPercent"] = .integer(borrowing) }
    limited["limitResponse"] =
      queues
      ? ["type": "Queue", "queuing": ["queues": 8, "handSize": 2, "queueLengthLimit": 2]] : ["type": "Reject"]
    return PriorityLevelSettings([
      "metadata": ["name": .string(name)], "spec": ["type": "Limited", "limited": limited],
    ])
  }

  @Test func everyLevelIsSureOfItsShare() {
    let seats = Hall(total: 10)
    seats.configure([level("a", shares: 30, borrowing: 0), level("b", shares: 70, queues: false)])
    for id in 1...3 {
      #expect(seats.arrive("a", UInt64(id)) == .seated)
    }
    #expect(seats.arrive("a", 4) == .queued)
    for id in 10..<17 {
      #expect(seats.arrive("b", UInt64(id)) == .seated)
    }
    #expect(seats.arrive("b", 20) == .refused)
    #expect(seats.leave("a") == [4])
    #expect(seats.leave("a") == [])
  }

  @Test func idleSeatsAreLentAndComeBack() {
    let seats = Hall(total: 10)
    seats.configure([level("lender", shares: 50, lendable: 40), level("borrower", shares: 50)])
    // Five of its own, two of the lender's five.
    for id in 1...7 {
      #expect(seats.arrive("borrower", UInt64(id)) == .seated)
    }
    #expect(seats.arrive("borrower", 8) == .queued)
    // The lender is sure of all of its own at once.
    for id in 11...15 {
      #expect(seats.arrive("lender", UInt64(id)) == .seated)
    }
    // What was borrowed goes back: nobody borrows again while the lender needs it.
    #expect(seats.leave("borrower") == [])
    #expect(seats.leave("borrower") == [])
    #expect(seats.leave("borrower") == [8])
  }

  @Test func wideRequestsAreNoWiderThanTheirLevel() {
    let seats = Hall(total: 4)
    seats.configure([level("a", shares: 1)])
    #expect(seats.arrive("a", 1, seats: 10) == .seated)
    #expect(seats.levels["a"]?.inUse == 4)
    #expect(seats.arrive("a", 2) == .queued)
    #expect(seats.giveUp("a", id: 2))
    #expect(seats.leave("a", seats: 4) == [])
    #expect(!seats.giveUp("a", id: 2))
  }

  @Test func aLevelThatIsGoneStaysUntilItIsEmpty() {
    let seats = Hall(total: 4)
    seats.configure([level("a", shares: 1), level("b", shares: 1)])
    _ = seats.arrive("a", 1)
    seats.configure([level("b", shares: 1)])
    #expect(seats.levels["a"] != nil)
    _ = seats.leave("a")
    seats.configure([level("b", shares: 1)])
    #expect(seats.levels["a"] == nil)
    #expect(seats.levels["b"]?.nominal == 4)
  }
}

@Suite struct FloodTests {
  /// Whoever the header says.
  private struct ByHeader: Authenticator {
    func authenticate(_ request: HTTPRequest) async throws(APIStatus) -> RequestUser {
      let groups = request.headers["groups"].map { $0.split(separator: ",").map(String.init) } ?? []
      return RequestUser(name: request.headers["user"] ?? "", groups: groups + ["system:authenticated"])
    }
  }

  /// Holds every request until it is opened.
  private final class Gate: PathHandler {
    private struct State {
      var isOpen = false
      var entered = 0
      var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())
    var entered: Int { state.withLock { $0.entered } }
    func respond(to request: HTTPRequest, context: RequestContext) async -> HTTPResponse {
      await withCheckedContinuation { continuation in
        let isOpen = state.withLock { state in
          state.entered += 1
          if !state.isOpen { state.waiting.append(continuation) }
          return state.isOpen
        }
        if isOpen { continuation.resume() }
      }
      return HTTPResponse(status: 200, headers: [:], body: .bytes(Array("ok".utf8)))
    }
    func open() {
      let waiting = state.withLock { state in
        state.isOpen = true
        defer { state.waiting = [] }
        return state.waiting
      }
      for continuation in waiting { continuation.resume() }
    }
  }

  private func request(_ target: String, user: String, groups: String = "") -> HTTPRequest {
    HTTPRequest(method: "GET", target: target, headers: ["user": user, "groups": groups])
  }

  /// A server of thirty seats with a path whose requests wait for the gate.
  private func slowServer() -> (server: APIServer, gate: Gate) {
    let gate = Gate()
    var configuration = APIServer.Configuration()
    configuration.readsMaximum = 30
    configuration.writesMaximum = 0
    let server = TestServer(configuration: configuration) {
      $0.authenticator = ByHeader()
      $0.paths["/slow"] = gate
    }.server
    return (server, gate)
  }

  @Test func aFloodByOneClientStarvesNobodyElse() async throws {
    let (server, gate) = slowServer()
    // global-default has three seats of its own and some that others lend; a hand of six queues, fifty places each.
    let flood = (0..<1000).map { _ in
      Task { await server.respond(to: request("/slow", user: "flood")).status }
    }
    try await testLoop.withDeadline(.seconds(20)) {
      while server.flowControl.state(of: "global-default").inQueue < 300 {
        try await testLoop.sleep(for: .milliseconds(5))
      }
    }
    #expect(gate.entered < 30)
    // Nodes, the loops' accounts and people with full rights are answered at once.
    for (user, groups) in [
      ("system:node:n1", "system:nodes"), ("admin", "system:masters"),
      ("system:serviceaccount:kube-system:x", "system:serviceaccounts"), ("system:kube-scheduler", ""),
    ] {
      let response = try await testLoop.withDeadline(.seconds(5)) {
        await server.respond(to: request("/api/v1/namespaces/kube-system/configmaps", user: user, groups: groups))
      }
      #expect(response.status == 200, "\(user)")
      #expect(response.headers["x-kubernetes-pf-flowschema-uid"] != nil)
    }
    gate.open()
    var codes: [Int: Int] = [:]
    for task in flood { codes[await task.value, default: 0] += 1 }
    #expect(codes[200, default: 0] >= 300)
    #expect(codes[429, default: 0] > 0)
    #expect(codes.count == 2)
    let metrics = try await TestServer(store: LocalStore(world: testLoop)).get("/metrics")
    #expect(metrics.status == 200)
    let refused = server.metrics.render()
    #expect(refused.contains(#"priority_level="global-default",flow_schema="global-default",reason="queue-full"}"#))
  }

  @Test func levelsAreThereBeforeTheFirstRequest() {
    let flowControl = TestServer().server.flowControl
    let levels = flowControl.contents.levels
    #expect(levels["global-default"].map { $0.nominal > 0 } == true)
    #expect(levels["exempt"]?.settings.isExempt == true)
  }

  @Test func whatWaitsAndRunsCanBeLookedAt() async throws {
    let (server, gate) = slowServer()
    func dump(_ table: String) async throws -> [[String]] {
      let response = await server.respond(
        to: request("/debug/api_priority_and_fairness/\(table)", user: "admin", groups: "system:masters"))
      #expect(response.status == 200)
      #expect(response.headers["content-type"] == "text/plain; charset=utf-8")
      let text = String(decoding: try await response.body.collect(), as: UTF8.self)
      let lines = text.split(separator: "\n")
      // Columns stand below one another.
      #expect(Set(lines.compactMap { $0.firstIndex(of: ",")?.utf16Offset(in: $0) }).count >= 1)
      return lines.map { $0.split(separator: ",", omittingEmptySubsequences: false).map { $0.filter { $0 != " " } } }
    }
    let flood = (0..<60).map { _ in Task { await server.respond(to: request("/slow", user: "flood")).status } }
    try await testLoop.withDeadline(.seconds(20)) {
      while server.flowControl.contents.admitted.count < 60 {
        try await testLoop.sleep(for: .milliseconds(5))
      }
    }
    let levels = try await dump("dump_priority_levels")
    #expect(
      levels[0] == [
        "PriorityLevelName", "ActiveQueues", "IsIdle", "IsQuiescing", "WaitingRequests", "ExecutingRequests",
        "DispatchedRequests", "RejectedRequests", "TimedoutRequests", "CancelledRequests",
      ])
    #expect(levels.dropFirst().map { $0[0] } == levels.dropFirst().map { $0[0] }.sorted())
    let busy = try #require(levels.first { $0[0] == "global-default" })
    #expect(busy[2] == "false")
    #expect((Int(busy[4]) ?? 0) + (Int(busy[5]) ?? 0) == 60)
    let idle = try #require(levels.first { $0[0] == "node-high" })
    #expect(Array(idle[1...5]) == ["0", "true", "false", "0", "0"])
    let queues = try await dump("dump_queues").filter { $0[0] == "global-default" }
    #expect(queues.count == 128)
    #expect(queues.reduce(0) { $0 + (Int($1[2]) ?? 0) } == Int(busy[4]))
    let requests = try await dump("dump_requests?includeRequestDetails=1")
    #expect(requests[0].last == "SubResource" && requests[0].count == 18)
    #expect(requests.filter { $0[1] == "global-default" && $0[10] == "flood" && $0[12] == "/slow" }.count == 60)
    // The one that asks.
    #expect(requests.contains { $0[1] == "exempt" && $0[2] == "-1" && $0[11] == "get" })
    server.flowControl.measure()
    gate.open()
    for task in flood { #expect(await task.value == 200) }
    server.flowControl.measure()
    let metrics = server.metrics.render()
    #expect(
      metrics.contains(
        #"current_inqueue_requests{priority_level="global-default",flow_schema="global-default"} 0"#))
    #expect(metrics.contains(#"request_execution_seconds_count{priority_level="global-default""#))
  }

  @Test func aRefusalSaysWhenToComeBack() async throws {
    let gate = Gate()
    var configuration = APIServer.Configuration()
    configuration.readsMaximum = 1
    configuration.writesMaximum = 0
    let server = TestServer(configuration: configuration) {
      $0.authenticator = ByHeader()
      $0.paths["/slow"] = gate
    }.server
    // Nobody but catch-all has these two groups' leftovers: it rejects instead of queueing.
    let level: JSONValue = [
      "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
      "metadata": ["name": "tiny"],
      "spec": ["type": "Limited", "limited": ["nominalConcurrencyShares": 1, "limitResponse": ["type": "Reject"]]],
    ]
    let schema: JSONValue = [
      "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": ["name": "tiny"],
      "spec": [
        "priorityLevelConfiguration": ["name": "tiny"], "matchingPrecedence": 5,
        "rules": [
          [
            "subjects": [["kind": "User", "user": ["name": "small"]]],
            "nonResourceRules": [["verbs": ["*"], "nonResourceURLs": ["*"]]],
          ]
        ],
      ],
    ]
    let admin = InProcessTransport(handler: server, identity: TrustedContext(user: "a", groups: ["system:masters"]))
    for (path, object) in [("prioritylevelconfigurations", level), ("flowschemas", schema)] {
      let made = try await admin.send(
        HTTPRequest(
          method: "POST", target: "/apis/flowcontrol.apiserver.k8s.io/v1/\(path)", body: .bytes(object.bytes)))
      #expect(made.status == 201)
    }
    let first = Task { await server.respond(to: request("/slow", user: "small")).status }
    try await testLoop.withDeadline(.seconds(5)) {
      while gate.entered == 0 { try await testLoop.sleep(for: .milliseconds(2)) }
    }
    let second = await server.respond(to: request("/slow", user: "small"))
    #expect(second.status == 429)
    #expect(second.headers["retry-after"] == "1")
    let body = try JSONValue(parsing: try await second.body.collect())
    #expect(body["reason"] == "TooManyRequests")
    #expect(body["message"] == "too many requests, please try again later")
    gate.open()
    #expect(await first.value == 200)
    #expect(await server.respond(to: request("/slow", user: "small")).status == 200)
  }
}
