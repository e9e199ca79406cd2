// Keeps up with the servers behind this one: every server asks them what they serve; the one that leads tells in each
// APIService whether it is available, and registers what definitions make.
import HTTP
import JSON
import Kinds
import Logging
import Replica
import Schema
import World

extension APIServer {
  private static let checkTime = Duration.seconds(5)
  /// A server is asked so often, at whatever endpoint, before it counts as failing.
  private static let checkAttempts = 3
  /// What lists resources or documents is held in memory by every server, and merged into what clients poll.
  private static let listMaximum = 2 << 20
  private static let version2Maximum = 16 << 20

  /// What asking one server came to.
  private struct Check: Sendable {
    var api: AggregatedAPI
    var condition: AvailableCondition
    var documents: AggregatedDocuments
  }

  /// One pass: asks every aggregated server. With `isLeader`, writes what it found, and the APIServices of definitions.
  /// Returns whether everything that was to be written has been.
  @discardableResult
  public func reconcileAPIServices(isLeader: Bool) async throws(StoreError) -> Bool {
    var isDone = true
    if isLeader { isDone = try await registerDefinitions() }
    let state = isLeader ? try await store.linearizableState() : store.current
    let apis = aggregation.apis(state)
    guard !apis.isEmpty else {
      aggregation.learn([:])
      return isDone
    }
    let objects = ObjectLookup(state: state, store: store)
    let world = callerWorld
    let checks = await withTaskGroup(of: Check.self) { group in
      for api in apis { group.addTask(on: world) { await self.check(api, objects) } }
      return await group.reduce(into: [Check]()) { $0.append($1) }
    }
    for check in checks {
      let isAvailable = check.condition.status == "True"
      metrics.unavailableAPIs.set(isAvailable ? 0 : 1, [check.api.name])
      if !isAvailable { metrics.unavailableAPIChecks.add(1, [check.api.name, check.condition.reason]) }
    }
    aggregation.learn(
      Dictionary(uniqueKeysWithValues: checks.map { ($0.api.name, $0.documents) }))
    guard isLeader else { return isDone }
    for check in checks where try await !write(check.condition, check.api) { isDone = false }
    return isDone
  }

  private func write(_ condition: AvailableCondition, _ api: AggregatedAPI) async throws(StoreError) -> Bool {
    let key = AggregatedAPI.key(api.name)
    guard let object = store.current.object(key), object.revision == api.revision else { return false }
    var tree = object.tree
    guard condition.set(in: &tree, now: currentTime.rfc3339) else { return true }
    let outcome = try await store.commit(
      Command(preconditions: [.revision(key, object.revision)], mutations: [.put(key, UnversionedObject(tree: tree))]))
    if case .committed = outcome { return true }
    return false
  }

  // MARK: - Definitions

  /// The APIServices of the served versions of definitions: made, mended, removed.
  private func registerDefinitions() async throws(StoreError) -> Bool {
    let state = try await store.linearizableState()
    let planner = BootstrapPlanner(registry: builtInRegistry, options: BootstrapController.Options())
    let context = BootstrapPlanner.Context(state: state, now: currentTime, world: callerWorld)
    var wanted: [String: JSONValue] = [:]
    let definitions = state.objects(
      resource: DefinedKinds.resource.description, namespace: "", after: nil, limit: 0
    ).objects
    for definition in definitions {
      let spec = definition.tree["spec"]
      let group = spec["group"].string ?? ""
      for version in spec["versions"].elements where version["served"] == true {
        let object = LocalAPIService.object(
          group: group, version: version["name"].string ?? "", .custom, isBuiltIn: false)
        wanted[object["metadata"]["name"].string ?? ""] = object
      }
    }
    var writes = wanted.sorted { $0.key < $1.key }.compactMap { _, object in
      planner.ensure(object, context, mend: LocalAPIService.mend)
    }
    let registered = state.objects(
      resource: AggregatedAPI.resource.description, namespace: "", after: nil, limit: 0
    ).objects
    for object in registered where wanted[object.key.name] == nil && object.labels[LocalAPIService.label] == "true" {
      writes.append(
        BootstrapWrite(preconditions: [.revision(object.key, object.revision)], mutations: [.delete(object.key)]))
    }
    var isDone = true
    for write in writes {
      let command = Command(preconditions: write.preconditions, mutations: write.mutations)
      if case .failed = try await store.commit(command) { isDone = false }
    }
    return isDone
  }

  // MARK: - Asking

  private func check(_ api: AggregatedAPI, _ objects: ObjectLookup) async -> Check {
    if let condition = AvailableCondition.judge(api, objects) {
      return Check(api: api, condition: condition, documents: AggregatedDocuments())
    }
    var failure = ""
    for _ in 0..<Self.checkAttempts {
      do throws(AggregationFailure) {
        let list = try await ask(api, "/\(api.path)", objects, upTo: Self.listMaximum) { $0 }
        var documents = AggregatedDocuments(resources: list, isFresh: true)
        documents.openAPI = await openAPIAddresses(api, objects)
        let known = aggregation.documents(of: api)
        // It is large, and says what the others say: asked for again when those differ.
        let isKnown = known.isFresh && known.resources == list && known.openAPI == documents.openAPI
        documents.version2 = isKnown ? known.version2 : await openAPIVersion2(api, objects)
        return Check(api: api, condition: .passed, documents: documents)
      } catch {
        failure = error.description
      }
    }
    return Check(api: api, condition: .failed("FailedDiscoveryCheck", failure), documents: AggregatedDocuments())
  }

  private func openAPIAddresses(_ api: AggregatedAPI, _ objects: ObjectLookup) async -> [String: String] {
    let addresses = try? await ask(api, "/openapi/v3", objects, upTo: Self.listMaximum) { index in
      var addresses: [String: String] = [:]
      // Of its own group version alone: what else it serves others answer for.
      for (key, entry) in index["paths"].object ?? [:] where key == api.path || key == "apis/\(api.group)" {
        addresses[key] = entry["serverRelativeURL"].string
      }
      return addresses
    }
    return addresses ?? [:]
  }

  private func openAPIVersion2(_ api: AggregatedAPI, _ objects: ObjectLookup) async -> JSONValue {
    let part = try? await ask(api, "/openapi/v2", objects, upTo: Self.version2Maximum) { tree in
      OpenAPIDocuments.part(of: tree, under: "/\(api.path)")
    }
    return part ?? .null
  }

  /// What `reading` finds in a document of an aggregated server, as the aggregator itself asks. Read in the background:
  /// whoever writes it makes it as large as that server likes.
  private func ask<Content: Sendable>(
    _ api: AggregatedAPI, _ target: String, _ objects: ObjectLookup, upTo maximum: Int,
    _ reading: @escaping @Sendable (JSONValue) -> Content
  ) async throws(AggregationFailure) -> Content {
    let place: (host: String, port: UInt16)
    do throws(ServiceResolution.Failure) {
      place = try ServiceResolution.endpoint(
        namespace: api.namespace, name: api.service, port: api.port, objects: objects,
        choice: callerWorld.randomBits())
    } catch {
      throw AggregationFailure(description: error.description)
    }
    let authority = place.host.contains(":") ? "[\(place.host)]:\(place.port)" : "\(place.host):\(place.port)"
    let url = "https://\(authority)\(target)"
    let request = HTTPRequest(
      method: "GET", target: target,
      headers: [
        "host": authority, "accept": "application/json", "user-agent": "kube-aggregator",
        "x-remote-user": "system:kube-aggregator", "x-remote-group": "system:masters",
      ])
    let address = api.target(host: place.host, port: place.port)
    let response: HTTPResponse
    let bytes: [UInt8]
    do {
      response = try await dependencies.aggregation.send(
        request, to: address, within: Self.checkTime, isWhole: true,
        authority: objects.state.object(FrontProxyAuthority.secret))
      bytes = try await response.body.collect(upTo: maximum)
    } catch {
      throw AggregationFailure(
        description: "failing or missing response from \(url): Get \"\(url)\": \(WebhookCaller.text(error, address))")
    }
    guard (200...299).contains(response.status) else {
      throw AggregationFailure(
        description: "failing or missing response from \(url): bad status from \(url): \(response.status)")
    }
    let content = await dependencies.background.run { (try? JSONValue(parsing: bytes)).map(reading) }
    guard let content else {
      throw AggregationFailure(description: "failing or missing response from \(url): it is no JSON")
    }
    return content
  }

  // MARK: - The loop

  /// Between two passes at least: answers that differ every time must not keep everybody busy.
  private static let passInterval = Duration.seconds(1)

  /// Keeps up with APIServices, definitions, and the services behind them until the task is cancelled.
  public func followAPIServices(on world: any World, isLeader: @escaping @Sendable () -> Bool) async {
    let signal = ChangeSignal(world: world)
    let aggregation = aggregation
    let store = store
    let isBehind: @Sendable (ObjectKey) -> Bool = { key in
      aggregation.apis(store.current).contains { $0.namespace == key.namespace && $0.service == key.name }
    }
    let always: @Sendable (ObjectKey) -> Bool = { _ in true }
    let watched = [
      (resource: AggregatedAPI.resource.description, concerns: always),
      (resource: DefinedKinds.resource.description, concerns: always), (resource: "services", concerns: isBehind),
      (resource: "endpoints", concerns: isBehind),
    ]
    while !Task.isCancelled {
      let subscriptions = watched.map { signal.subscribe(store, resource: $0.resource, concerning: $0.concerns) }
      while !Task.isCancelled, !signal.hasEnded {
        var isDone = false
        do { isDone = try await reconcileAPIServices(isLeader: isLeader()) } catch {
          dependencies.logger.warning("cannot bring API services up to date now: \(error)")
        }
        do {
          try await world.sleep(for: Self.passInterval)
          try await signal.wait(atMost: isDone ? ChangeSignal.pollInterval : ChangeSignal.retryInterval)
        } catch { break }
      }
      for subscription in subscriptions { subscription?.cancel() }
    }
  }
}

/// Why an aggregated server is not available.
struct AggregationFailure: Error, CustomStringConvertible {
  let description: String
}
