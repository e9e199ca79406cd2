// Sends the cases of a fuzzer and judges what comes back: each answer by itself, and what was accepted by reading it back
// and writing it again unchanged.
import HTTP
import JSON
import World

public struct FuzzProblem: Sendable, CustomStringConvertible {
  public var number: Int
  public var what: String
  public var evidence: String
  public init(number: Int, what: String, evidence: String) {
    self.number = number
    self.what = what
    self.evidence = evidence
  }
  public var description: String { "case \(number): \(what)\n  \(evidence)" }
}

public struct FuzzOutcome: Sendable {
  public var told = ""
  /// 0: no answer.
  public var status = 0
  public var took = Duration.zero
  public var problems: [FuzzProblem] = []
}

public struct FuzzDriver: Sendable {
  /// A request that takes longer hangs.
  public var patience = Duration.seconds(20)
  /// Nobody else writes: what was written is there, as it was written.
  public var isAlone = false
  /// What was accepted is read and written again.
  public var readsBack = true
  /// How long a stream is listened to.
  private static let listening = Duration.milliseconds(300)
  private static let bodyMaximum = 64 << 20

  private let fuzzer: RequestFuzzer
  private let transport: any HTTPTransport
  private let world: any World

  public init(fuzzer: RequestFuzzer, transport: any HTTPTransport, world: any World) {
    self.fuzzer = fuzzer
    self.transport = transport
    self.world = world
  }

  struct Reply: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: [UInt8]
    var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
    var text: String { String(decoding: body.prefix(1500), as: UTF8.self) }
  }

  /// Makes what has to be there; 409 is as good as 201. `establish` is called when the custom resource is defined: it
  /// returns when that is served.
  public func prepare(establish: @Sendable () async throws -> Void) async -> [FuzzProblem] {
    var problems: [FuzzProblem] = []
    for request in fuzzer.preparation {
      let reply = try? await send(request)
      guard let reply, [200, 201, 409].contains(reply.status) else {
        problems.append(
          FuzzProblem(
            number: -1, what: "preparation fails: \(reply?.text ?? "no answer")", evidence: request.description))
        continue
      }
    }
    do { try await establish() } catch {
      problems.append(FuzzProblem(number: -1, what: "the custom resource is not served", evidence: "\(error)"))
    }
    for request in fuzzer.plainCreates() {
      let reply = try? await send(request)
      guard let reply, [200, 201].contains(reply.status) else {
        problems.append(
          FuzzProblem(
            number: -1, what: "a valid object is refused: \(reply?.text ?? "no answer")", evidence: request.description)
        )
        continue
      }
    }
    return problems
  }

  /// What keeps the namespaces small may have been deleted by a request of the run; mostly it is there (409).
  public func keepBounds() async {
    for request in fuzzer.bounds { _ = try? await send(request) }
  }

  public func run(_ number: Int) async -> FuzzOutcome {
    let made = fuzzer.make(number)
    var outcome = FuzzOutcome(told: made.told)
    switch made.flow {
    case .single(let request):
      let reply = await attempt(request, made, &outcome)
      guard let reply, ["POST", "PUT", "PATCH"].contains(request.method), [200, 201].contains(reply.status) else {
        break
      }
      await readBack(made, request, reply, &outcome)
    case .edit(let read, let write):
      guard let found = await attempt(read, made, &outcome), found.status == 200,
        let request = fuzzer.changed(found.body, number: number, request: write),
        let reply = await attempt(request, made, &outcome), reply.status == 200
      else { break }
      await readBack(made, request, reply, &outcome)
    }
    return outcome
  }

  // MARK: Sending

  /// Sends and judges; nil when no answer came, which is a problem.
  private func attempt(_ request: FuzzRequest, _ made: FuzzCase, _ outcome: inout FuzzOutcome) async -> Reply? {
    let start = world.now
    do {
      let reply = try await send(request)
      outcome.took = max(outcome.took, world.now - start)
      outcome.status = reply.status
      if let wrong = FuzzJudge.check(request, status: reply.status, headers: reply.headers, body: reply.body) {
        report(wrong, request, made, &outcome)
      }
      return reply
    } catch {
      outcome.took = world.now - start
      if !Self.isRefusedByTransport(request, error) { report("no answer: \(error)", request, made, &outcome) }
      return nil
    }
  }

  /// Bytes of a header block that nghttp2 still sends for a client, with room for the headers beside the target. That
  /// servers answer 431 to longer ones is shown over HTTP/1.
  private static let sentTargetMaximum = 60_000

  /// What a client of ours does not send, or a server ends a stream over: methods and targets that HTTP has no place for.
  private static func isRefusedByTransport(_ request: FuzzRequest, _ error: any Error) -> Bool {
    ["CONNECT", "TRACE"].contains(request.method) || request.target.utf8.count > sentTargetMaximum
  }

  private func report(_ what: String, _ request: FuzzRequest, _ made: FuzzCase, _ outcome: inout FuzzOutcome) {
    outcome.problems.append(
      FuzzProblem(number: made.number, what: "\(what) (\(made.told))", evidence: request.description))
  }

  private func send(_ request: FuzzRequest) async throws -> Reply {
    let (transport, world) = (transport, world)
    return try await world.withDeadline(patience) {
      let response = try await transport.send(request.http)
      var body: [UInt8] = []
      if case .stream(let pipe) = response.body {
        body = await Self.listen(to: pipe, world, isEndless: request.target.contains("watch"))
      } else {
        body = try await response.body.collect(upTo: Self.bodyMaximum)
      }
      return Reply(status: response.status, headers: response.headers, body: body)
    }
  }

  /// What a stream says until it ends, or for a moment where it may never end.
  private static func listen(to pipe: BytePipe, _ world: any World, isEndless: Bool) async -> [UInt8] {
    let timer = isEndless ? world.schedule(after: listening) { pipe.cancel() } : nil
    defer { timer?.cancel() }
    var body: [UInt8] = []
    do {
      while let chunk = try await pipe.next() {
        body += chunk
        guard body.count <= bodyMaximum else {
          pipe.cancel()
          break
        }
      }
    } catch {}
    return body
  }

  // MARK: Reading back

  /// Members that a server sets: an apply configuration has none of them.
  private static let serversOwn = [
    "managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink",
  ]

  private func readBack(
    _ made: FuzzCase, _ request: FuzzRequest, _ answer: Reply, _ outcome: inout FuzzOutcome
  ) async {
    guard readsBack, !made.objectPath.isEmpty, !request.target.contains("dryRun") else { return }
    var path = made.objectPath
    if request.method == "POST" {
      // The name may have been generated, or changed by the mutation.
      guard let name = answer.json["metadata"]["name"].string, let slash = path.lastIndex(of: "/") else { return }
      path = String(path[...slash]) + RequestTarget(segments: [name]).encoded.dropFirst()
    }
    let read = FuzzRequest("GET", path, ["accept": "application/json"])
    guard let found = await attempt(read, made, &outcome) else { return }
    // Not every subresource can be read; others may have deleted it; what lost its last finalizer is gone.
    guard found.status == 200 else {
      let isGone = found.status == 404 && !answer.json["metadata"]["deletionTimestamp"].isNull
      if found.status != 405, isAlone, !isGone, answer.json["metadata"]["uid"].string != nil {
        report("what was written is not there: \(found.text)", request, made, &outcome)
      }
      return
    }
    let object = found.json
    guard object["metadata"]["resourceVersion"].string != nil else { return }
    await writeUnchanged(found.body, "application/json", path, object, made, &outcome)
    await writeProtobuf(path, object, made, &outcome)
    await applyUnchanged(path, object, made, &outcome)
  }

  private func writeUnchanged(
    _ body: [UInt8], _ type: String, _ path: String, _ object: JSONValue, _ made: FuzzCase, _ outcome: inout FuzzOutcome
  ) async {
    let write = FuzzRequest("PUT", path, ["content-type": type, "accept": "application/json"], body)
    guard let reply = await attempt(write, made, &outcome) else { return }
    if reply.status == 405 || (!isAlone && [404, 409].contains(reply.status)) { return }
    guard reply.status == 200 else {
      if await wasChanged(path, object) { return }
      return report("what was read is refused (\(type)): \(reply.text)", write, made, &outcome)
    }
    let revision = reply.json["metadata"]["resourceVersion"]
    guard revision == object["metadata"]["resourceVersion"] || !isAlone else {
      return report("what was read is written as a change (\(type)): \(reply.text)", write, made, &outcome)
    }
  }

  /// Whether others have written the object since it was read: what it was may not be what it may become.
  private func wasChanged(_ path: String, _ object: JSONValue) async -> Bool {
    guard !isAlone, let now = try? await send(FuzzRequest("GET", path, ["accept": "application/json"])) else {
      return false
    }
    return now.status != 200 || now.json["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"]
  }

  private func writeProtobuf(_ path: String, _ object: JSONValue, _ made: FuzzCase, _ outcome: inout FuzzOutcome) async
  {
    let type = "application/vnd.kubernetes.protobuf"
    let read = FuzzRequest("GET", path, ["accept": type])
    guard let found = await attempt(read, made, &outcome), found.status == 200,
      found.headers["content-type"]?.hasPrefix(type) == true
    else { return }
    await writeUnchanged(found.body, type, path, object, made, &outcome)
  }

  private func applyUnchanged(_ path: String, _ object: JSONValue, _ made: FuzzCase, _ outcome: inout FuzzOutcome) async
  {
    var configuration = object
    for member in Self.serversOwn { configuration["metadata"][member] = .null }
    let apply = FuzzRequest(
      "PATCH", path + "?fieldManager=again&force=true&dryRun=All",
      ["content-type": "application/apply-patch+yaml", "accept": "application/json"], configuration.bytes)
    guard let reply = await attempt(apply, made, &outcome) else { return }
    // Where others delete, it may have been made anew (201).
    if reply.status == 405 || (!isAlone && [201, 404, 409].contains(reply.status)) { return }
    // Updates may store what no configuration may say, in the reference as well: two elements of one key, or none.
    if reply.status == 500, reply.text.contains("failed to create typed patch object") { return }
    guard reply.status == 200 else {
      if await wasChanged(path, object) { return }
      return report("what was read cannot be applied: \(reply.text)", apply, made, &outcome)
    }
    var (before, after) = (object, reply.json)
    for member in ["managedFields", "resourceVersion", "generation"] {
      before["metadata"][member] = .null
      after["metadata"][member] = .null
    }
    guard before == after || !isAlone else {
      return report("applying what was read changes it: \(reply.text)", apply, made, &outcome)
    }
  }
}
