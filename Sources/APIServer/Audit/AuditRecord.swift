// One request as it is recorded: what it collects on its way, and the events it becomes (spec/8 §8.5).
import HTTP
import JSON
import Kinds
import Schema
import Synchronization
import World

/// Where events go. Called on the loops of requests: it must not block.
public protocol AuditSink: Sendable {
  /// One event as JSON, without a newline.
  func write(_ event: [UInt8])
}

/// What is recorded, and where.
public struct AuditLog: Sendable {
  public var policy: AuditPolicy
  public var sink: any AuditSink
  public init(policy: AuditPolicy, sink: any AuditSink) {
    self.policy = policy
    self.sink = sink
  }
}

/// The record of the request that runs. Reached by whoever has something to add, through the task.
public final class AuditRecord: Sendable {
  /// The record of the request that this task answers; nil where nothing is recorded.
  @TaskLocal public static var current: AuditRecord?

  private struct State {
    var user: RequestUser?
    var impersonated: RequestUser?
    var attributes: AuthorizationAttributes?
    var decision = AuditPolicy.Decision()
    var annotations: [String: String] = [:]
    var body: [UInt8] = []
    var response: Response?
  }
  private struct Response {
    var code: Int
    var status: JSONValue
    var object: JSONValue
  }

  private let log: AuditLog
  private let id: String
  private let request: HTTPRequest
  private let world: any World
  private let receivedAt: WallTime
  private let registry: KindRegistry
  private let state = Mutex(State())

  init(_ log: AuditLog, id: String, request: HTTPRequest, registry: KindRegistry, world: any World) {
    self.log = log
    self.id = id
    self.request = request
    self.registry = registry
    self.world = world
    receivedAt = world.wallClock
  }

  /// Adds a fact to the event; the first value of a key stays, as in the reference.
  public func annotate(_ key: String, _ value: String) {
    state.withLock { if $0.annotations[key] == nil { $0.annotations[key] = value } }
  }

  /// Whether the request is recorded at this level or above.
  func isRecording(_ level: AuditLevel) -> Bool { state.withLock { $0.decision.level >= level } }

  /// The body, read.
  func received(_ body: [UInt8]) { state.withLock { if $0.decision.level >= .request { $0.body = body } } }

  /// Who the credentials belong to, before any impersonation.
  func authenticated(as user: RequestUser) { state.withLock { $0.user = user } }

  /// The request is understood: the policy decides, and the first event is due.
  func begin(_ attributes: AuthorizationAttributes) {
    let level = state.withLock { state in
      var asked = attributes
      asked.user = state.user ?? attributes.user
      if let user = state.user, user != attributes.user { state.impersonated = attributes.user }
      state.user = asked.user
      state.attributes = attributes
      state.decision = log.policy.decide(asked)
      return state.decision.level
    }
    if level > .none { emit(.requestReceived) }
  }

  func decided(_ decision: AuthorizationDecision) {
    annotate("authorization.k8s.io/decision", decision.isAllowed ? "allow" : "forbid")
    annotate("authorization.k8s.io/reason", decision.reason)
  }

  /// The answer stands. What lasts (watches, tunnels) is complete when `complete` is called.
  func respond(_ response: HTTPResponse) {
    if state.withLock({ $0.attributes == nil }) { return refuse(response) }
    let level = state.withLock { $0.decision.level }
    guard level > .none else { return }
    let body = level >= .requestResponse || response.status >= 400 ? object(of: response) : .null
    state.withLock { state in
      let isStatus = body["kind"] == "Status" && body["apiVersion"] == "v1"
      state.response = Response(
        code: response.status, status: isStatus ? body : .null, object: level >= .requestResponse ? body : .null)
    }
    let lasts = if case .stream = response.body { true } else { response.tunnel != nil }
    emit(lasts ? .responseStarted : .responseComplete)
  }

  /// A request that never got as far as the policy: credentials that are wrong, or a path that is none.
  private func refuse(_ response: HTTPResponse) {
    state.withLock { $0.decision = log.policy.decide(unauthenticated) }
    guard response.status == 401, state.withLock({ $0.decision.level > .none }) else { return }
    state.withLock {
      $0.response = Response(
        code: 401,
        status: [
          "status": "Failure", "reason": "Unauthorized",
          "message": "Authentication failed, attempted: x509, bearer",
        ], object: .null)
    }
    emit(.responseStarted)
  }

  private var unauthenticated: AuthorizationAttributes {
    AuthorizationAttributes(
      user: RequestUser(name: "system:anonymous", groups: ["system:unauthenticated"]),
      verb: request.method.lowercased(), isResourceRequest: false,
      path: String(request.target.prefix { $0 != "?" }))
  }

  /// A watch has ended.
  func complete() { emit(.responseComplete) }

  // MARK: Events

  private func emit(_ stage: AuditStage) {
    let state = state.withLock { $0 }
    guard state.decision.level > .none, !state.decision.omittedStages.contains(stage) else { return }
    var event = JSONObjectBuilder()
    func put(_ key: String, _ value: JSONValue) { _ = event.insert(key, value) }
    put("kind", "Event")
    put("apiVersion", "audit.k8s.io/v1")
    put("level", .string(state.decision.level.rawValue))
    put("auditID", .string(id))
    put("stage", .string(stage.rawValue))
    put("requestURI", .string(request.target))
    put("verb", .string(state.attributes?.verb ?? request.method.lowercased()))
    put("user", Self.json(state.user ?? RequestUser(name: "system:anonymous")))
    if let impersonated = state.impersonated { put("impersonatedUser", Self.json(impersonated)) }
    put("sourceIPs", .array(sourceAddresses.map { .string($0) }))
    if let agent = request.headers["user-agent"] { put("userAgent", .string(agent)) }
    if let attributes = state.attributes, attributes.isResourceRequest { put("objectRef", Self.reference(attributes)) }
    if stage != .requestReceived, let response = state.response {
      put("responseStatus", Self.responseStatus(response))
    }
    if state.decision.level >= .request, stage != .requestReceived {
      let object = trimmed(tree(state.body, contentType: request.headers["content-type"]), state.decision)
      if !object.isNull { put("requestObject", object) }
    }
    if let response = state.response, stage == .responseComplete, !response.object.isNull {
      put("responseObject", trimmed(response.object, state.decision))
    }
    put("requestReceivedTimestamp", .string(receivedAt.rfc3339Micro))
    put("stageTimestamp", .string(world.wallClock.rfc3339Micro))
    if !state.annotations.isEmpty, stage != .requestReceived {
      let pairs = state.annotations.sorted { $0.key < $1.key }.map { (key: $0.key, value: JSONValue.string($0.value)) }
      put("annotations", .object(JSONObject(uniqueMembers: pairs)))
    }
    log.sink.write(JSONValue.object(event.object).bytes)
  }

  private static func json(_ user: RequestUser) -> JSONValue {
    var json: JSONValue = ["username": .string(user.name)]
    if !user.uid.isEmpty { json["uid"] = .string(user.uid) }
    if !user.groups.isEmpty { json["groups"] = .array(user.groups.map { .string($0) }) }
    if !user.extra.isEmpty {
      let pairs = user.extra.sorted { $0.key < $1.key }.map { pair in
        (key: pair.key, value: JSONValue.array(pair.value.map { .string($0) }))
      }
      json["extra"] = .object(JSONObject(uniqueMembers: pairs))
    }
    return json
  }

  private static func reference(_ attributes: AuthorizationAttributes) -> JSONValue {
    var reference = JSONObjectBuilder()
    for (key, value) in [
      ("resource", attributes.resource), ("namespace", attributes.namespace), ("name", attributes.name),
      ("apiGroup", attributes.apiGroup), ("apiVersion", attributes.apiVersion),
      ("subresource", attributes.subresource),
    ] where !value.isEmpty {
      _ = reference.insert(key, .string(value))
    }
    return .object(reference.object)
  }

  private static func responseStatus(_ response: Response) -> JSONValue {
    var status: JSONValue = ["metadata": [:]]
    for key in ["status", "message", "reason", "details"] where !response.status[key].isNull {
      status[key] = response.status[key]
    }
    status["code"] = .integer(Int64(response.code))
    return status
  }

  /// The client and the proxies it names before it.
  private var sourceAddresses: [String] {
    var addresses = (request.headers["x-forwarded-for"] ?? "").split(separator: ",").map { AcceptClause.trimmed($0) }
    let remote = request.remoteAddress
    let host = remote.lastIndex(of: ":").map { String(remote[..<$0]) } ?? remote
    let bare = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
    if !bare.isEmpty, addresses.last != bare { addresses.append(bare) }
    return addresses.filter { !$0.isEmpty }
  }

  private func trimmed(_ object: JSONValue, _ decision: AuditPolicy.Decision) -> JSONValue {
    guard decision.omitsManagedFields, !object["metadata"]["managedFields"].isNull else { return object }
    var object = object
    object["metadata"]["managedFields"] = .null
    return object
  }

  private func object(of response: HTTPResponse) -> JSONValue {
    let bytes: [UInt8]
    switch response.body {
    case .bytes(let all): bytes = all
    case .pieces(let pieces): bytes = pieces.joined()
    case .empty, .stream: return .null
    }
    return tree(bytes, contentType: response.headers["content-type"])
  }

  /// A body as a tree, whatever its encoding; null for what cannot be read.
  private func tree(_ bytes: [UInt8], contentType: String?) -> JSONValue {
    if bytes.isEmpty { return .null }
    switch MediaType(contentType: contentType) {
    case .yaml: return (try? YAML.parse(bytes)) ?? .null
    case .protobuf:
      guard let envelope = try? ProtobufEnvelope(parsing: bytes),
        let structure = registry.structure(
          GroupVersionKind(apiVersion: envelope.apiVersion, kind: envelope.kind)),
        var tree = try? ProtobufDecoder.decode(envelope.message, as: structure)
      else { return .null }
      tree["kind"] = .string(envelope.kind)
      tree["apiVersion"] = .string(envelope.apiVersion)
      return tree
    default: return (try? JSONValue(parsing: bytes)) ?? .null
    }
  }
}
