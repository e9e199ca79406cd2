// The API server: one handler for every request, on the loop of its connection.
import HTTP
import JSON
import Kinds
import Logging
import Replica
import Schema
import Synchronization
import World

/// Serves the Kubernetes API over a replicated store. Any number of connections on any loops; a request never leaves
/// the loop it came in on, but for the store's commits.
public final class APIServer: HTTPHandler {
  public struct Configuration: Sendable {
    /// What /version says; kubectl chooses its own version by `minor`.
    public var gitVersion = "v1.32.4"
    public var gitCommit = ""
    public var buildDate = "1970-01-01T00:00:00Z"
    /// Host and port under which clients reach this server, for /api.
    public var advertisedAddress = "127.0.0.1:6443"
    /// Where Services get their addresses from.
    public var serviceNetwork = "10.96.0.0/16"
    public var nodePorts: ClosedRange<Int> = 30000...32767
    /// Requests answered at the same time (spec/2 §2.11): together the seats that priority levels share.
    public var readsMaximum = 400
    public var writesMaximum = 200
    /// Bytes of lists that may wait for slow readers; latecomers get 429.
    public var responseBytesMaximum = 512 << 20
    public init() {}
  }

  /// What the server works with beside its store.
  public struct Dependencies: Sendable {
    public var authenticator: any Authenticator = FixedAuthenticator()
    public var authorizer: any Authorizer = AlwaysAllow()
    public var admission = Admission()
    public var kubelets: any KubeletConnector = UnreachableKubelets()
    /// By resource ("tokenreviews.authentication.k8s.io") or subresource ("serviceaccounts/token").
    public var computed: [String: any ComputedResource] = [:]
    /// By path or, where it ends in "/", path prefix: "/livez", "/livez/".
    public var paths: [String: any PathHandler] = [:]
    /// Nil: nothing is recorded.
    public var audit: AuditLog?
    /// Compiles the rules in the schemas of custom resources.
    public var rules: any RuleCompiler = SchemaRuleCompiler()
    /// The way to the servers of aggregated APIs.
    public var aggregation: any AggregationTransport = UnreachableAPIs()
    /// Where documents of all that is served are made.
    public var background: any BackgroundWork = WorkInPlace()
    /// The way to conversion webhooks.
    public var webhooks = WebhookCaller.unreachable
    /// Why nothing that is stored may be served at present (the disk is being repaired), if so: another server is asked.
    public var refusal: @Sendable () -> String? = { nil }
    /// What is known of the process beyond the server, in the text of metrics; empty or whole lines.
    public var processMetrics: @Sendable () -> String = { "" }
    public var logger = Logger(label: "apiserver")
    public init() {}
  }

  public let store: any ObjectStore
  let configuration: Configuration
  let dependencies: Dependencies
  let metrics = ServerMetrics()
  let frames = WatchFrameCache()
  let fieldTexts = FieldTextCache()
  let convertedObjects = ConvertedObjects()
  let aggregation = Aggregation()
  let watches = WatchRegistry()
  let inFlight = InFlightRequests()
  let flowControl: FlowControl
  let responseBudget: ResponseBudget
  let serviceRanges: ServiceRanges
  private let documents: Mutex<ServerDocuments>
  /// What is served without any CustomResourceDefinition.
  let builtInRegistry: KindRegistry
  /// What was made of the CustomResourceDefinitions of the newest state that was looked at.
  let definitions = Mutex(DefinitionSet())
  /// The loop that runs the caller.
  private let currentWorld: @Sendable () -> any World

  /// `currentWorld` returns the loop of its caller; it is asked once a request.
  public init(
    store: any ObjectStore, registry: KindRegistry = .builtIn, configuration: Configuration = Configuration(),
    dependencies: Dependencies = Dependencies(), currentWorld: @escaping @Sendable () -> any World
  ) {
    self.store = store
    self.configuration = configuration
    self.dependencies = dependencies
    self.currentWorld = currentWorld
    guard let network = CIDR(configuration.serviceNetwork) else {
      preconditionFailure("\(configuration.serviceNetwork) is no network")
    }
    serviceRanges = ServiceRanges(network: network, nodePorts: configuration.nodePorts)
    flowControl = FlowControl(
      store: store, total: configuration.readsMaximum + configuration.writesMaximum, metrics: metrics)
    responseBudget = ResponseBudget(maximum: configuration.responseBytesMaximum)
    builtInRegistry = registry
    documents = Mutex(ServerDocuments(registry: registry, configuration: configuration))
  }

  var admission: Admission { dependencies.admission }

  /// The kinds served, and the documents that describe them.
  var currentDocuments: ServerDocuments { documents.withLock { $0 } }
  public var registry: KindRegistry { currentDocuments.registry }

  /// Serves other kinds from now on (CustomResourceDefinitions come and go). Requests that run keep theirs.
  public func replaceRegistry(_ registry: KindRegistry) {
    documents.withLock { $0 = ServerDocuments(registry: registry, configuration: configuration, previous: $0) }
    metrics.meters.clear()
  }

  var currentTime: WallTime { callerWorld.wallClock }
  var callerWorld: any World { currentWorld() }

  /// Ends every watch cleanly: clients resume at another server from what they have seen.
  public func endWatches() { watches.endAll() }

  // MARK: - Requests

  public func respond(to request: HTTPRequest) async -> HTTPResponse {
    let world = currentWorld()
    let id = request.headers["audit-id"].map { String($0.prefix(Self.auditIDMaximum)) } ?? world.uuid()
    guard let audit = dependencies.audit else { return await respond(to: request, id: id, world) }
    let record = AuditRecord(audit, id: id, request: request, registry: registry, world: world)
    return await AuditRecord.$current.withValue(record) { await respond(to: request, id: id, world) }
  }

  private static let auditIDMaximum = 64

  private func respond(to request: HTTPRequest, id: String, _ world: any World) async -> HTTPResponse {
    let started = world.now
    var info: RequestInfo?
    var waited = Duration.zero
    var response: HTTPResponse
    do throws(APIStatus) {
      guard let path = RequestPath(request.target) else { throw .badRequest("the request's path is malformed") }
      let found = RequestInfo(method: request.method, path: path)
      info = found
      response = try await answer(request, path, found, world, &waited)
    } catch {
      response = Self.errorResponse(error, request)
    }
    response.headers["audit-id"] = id
    if response.headers["cache-control"] == nil { response.headers["cache-control"] = "no-cache, private" }
    if request.method == "HEAD" { response.body = .empty }
    record(info, request, response.status, world.now - started, waited: waited)
    AuditRecord.current?.respond(response)
    if let info, Compression.isWanted(for: response, request, info) { await Compression.compress(&response) }
    return response
  }

  private func answer(
    _ request: HTTPRequest, _ path: RequestPath, _ info: RequestInfo, _ world: any World, _ waited: inout Duration
  ) async throws(APIStatus) -> HTTPResponse {
    try Self.checkTimeout(info, path.query)
    if info.isResourceRequest, let reason = dependencies.refusal() { throw .serviceUnavailable(reason) }
    let user = try await dependencies.authenticator.authenticate(request)
    let attributes = authorizationAttributes(info, path.query, user)
    AuditRecord.current?.begin(attributes)
    inFlight.enter(isMutating: info.isMutating)
    defer { inFlight.leave(isMutating: info.isMutating) }
    // The loops inside the server are its own work, not its clients'; what lasts as long as it likes holds no seat.
    if info.isLongRunning(path.query) || request.trusted != nil {
      return try await authorized(request, path, info, attributes, world)
    }
    let asked = world.now
    let ticket: FlowControl.Ticket
    do throws(APIStatus) {
      ticket = try await flowControl.enter(attributes, seats: seats(info, path.query), world: world)
    } catch {
      recordTermination(labels(info, request), error.code)
      throw error
    }
    waited = world.now - asked
    defer { flowControl.leave(ticket, at: world.now) }
    var response: HTTPResponse
    do throws(APIStatus) {
      response = try await authorized(request, path, info, attributes, world)
    } catch {
      response = Self.errorResponse(error, request)
    }
    response.headers["x-kubernetes-pf-flowschema-uid"] = ticket.schemaUID
    response.headers["x-kubernetes-pf-prioritylevel-uid"] = ticket.levelUID
    return response
  }

  /// `?timeout=`: how long a client will wait. Every request ends in time here; what is no duration is told before
  /// anything else is, as in the reference.
  private static func checkTimeout(_ info: RequestInfo, _ query: Query) throws(APIStatus) {
    guard !query.items.isEmpty, let timeout = query["timeout"], !timeout.isEmpty, !info.isLongRunning(query),
      let problem = DurationText.problem(with: timeout)
    else { return }
    throw .badRequest("invalid timeout specified in the request URL - \(problem)")
  }

  private func authorized(
    _ request: HTTPRequest, _ path: RequestPath, _ info: RequestInfo, _ attributes: AuthorizationAttributes,
    _ world: any World
  ) async throws(APIStatus) -> HTTPResponse {
    let decision = await dependencies.authorizer.authorize(attributes)
    AuditRecord.current?.decided(decision)
    guard decision.isAllowed else { throw attributes.forbidden(reason: decision.reason) }
    if !servesItself(info), let api = try await aggregatedAPI(path.segments) {
      return await proxy(request, to: api, path, info, attributes.user, world)
    }
    guard info.isResourceRequest else {
      return try await answerPath(request, path, info, attributes.user, world)
    }
    return try await route(request, path, info, attributes.user, world)
  }

  /// How many seats a request takes: a list takes one for every hundred objects it may have to write, up to ten.
  private func seats(_ info: RequestInfo, _ query: Query) -> Int {
    guard info.verb == "list" else { return 1 }
    let resource = GroupResource(group: info.group, resource: info.resource).description
    let count = store.current.count(resource: resource, namespace: info.namespace)
    let limit = query["limit"].flatMap { Int($0) } ?? 0
    return max(1, min(10, (limit > 0 ? min(limit, count) : count) / 100))
  }

  private func authorizationAttributes(
    _ info: RequestInfo, _ query: Query, _ user: RequestUser
  ) -> AuthorizationAttributes {
    var name = info.name
    let fieldSelector = query["fieldSelector"] ?? ""
    if name.isEmpty, info.verb == "list" || info.verb == "watch" || info.verb == "deletecollection",
      let selector = try? FieldSelector(parsing: fieldSelector)
    {
      name = selector.requiredValue(of: "metadata.name") ?? ""
    }
    return AuthorizationAttributes(
      user: user, verb: info.verb, isResourceRequest: info.isResourceRequest, namespace: info.namespace,
      apiGroup: info.group, apiVersion: info.version, resource: info.resource, subresource: info.subresource,
      name: name, path: info.path, fieldSelector: fieldSelector, labelSelector: query["labelSelector"] ?? "")
  }

  /// A second permission that a request turns out to need (create-on-update).
  func authorize(_ request: ResourceRequest, verb: String) async throws(APIStatus) {
    var attributes = authorizationAttributes(request.info, request.query, request.user)
    attributes.verb = verb
    let decision = await dependencies.authorizer.authorize(attributes)
    guard decision.isAllowed else { throw attributes.forbidden(reason: decision.reason) }
  }

  /// A Status in the encoding the client accepts, JSON when in doubt.
  static func errorResponse(_ status: APIStatus, _ request: HTTPRequest) -> HTTPResponse {
    guard !status.isPlainText else {
      return HTTPResponse(
        status: status.code,
        headers: ["content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff"],
        body: .bytes(Array("\(status.message)\n".utf8)))
    }
    var response = HTTPResponse(
      status: status.code, headers: ["content-type": MediaType.json.rawValue], body: .bytes(status.json.bytes))
    if let seconds = status.retryAfterSeconds { response.headers["retry-after"] = String(seconds) }
    for warning in Warnings.headers(status.warnings) { response.headers.add("warning", warning) }
    return response
  }

  private func labels(_ info: RequestInfo?, _ request: HTTPRequest) -> RequestLabels {
    let kind = info.flatMap { registry.kind(group: $0.group, version: $0.version, resource: $0.resource) }
    return RequestLabels(
      info, group: kind?.kind.group ?? "", version: kind?.kind.version ?? "", resource: kind?.resource ?? "",
      knownSubresource: info.flatMap { kind?.subresource($0.subresource)?.name } ?? "",
      isApply: RequestLabels.isApply(request))
  }

  /// Counts a request. `waited`: time in it that went by while it waited for others.
  private func record(
    _ info: RequestInfo?, _ request: HTTPRequest, _ code: Int, _ duration: Duration, waited: Duration
  ) {
    // A search in the target costs more than all else here: only what can be a dry run is looked at.
    let isDryRun =
      request.method != "GET" && request.target.utf8.contains(UInt8(ascii: "?"))
      && request.target.contains("dryRun=All")
    let key = info.map { RequestMeters.Key($0, request, code: code, isDryRun: isDryRun) }
    let meters = metrics.meters.find(key) {
      let labels = labels(info, request)
      return (
        RequestMeters.make(labels, code: code, isDryRun: isDryRun, metrics), isKept: labels.areAll(of: info)
      )
    }
    meters.requests.add(1)
    if code == 504 { recordTermination(labels(info, request), code) }
    if let end = request.peer?.notAfter, code != 401 {
      metrics.certificateExpirations.observe(max((end - currentTime).inSeconds, 0))
    }
    meters.durations?.observe(duration.inSeconds)
    meters.serviceDurations?.observe((duration - waited).inSeconds)
  }

  private func recordTermination(_ labels: RequestLabels, _ code: Int) {
    metrics.terminations.add(1, [labels.verb] + labels.place + [String(code)])
  }
}
