// Kubernetes' conformance suite, line by line: every line that needs no running container has a story here.
import APIServer
import Client
import Controllers
import HTTP
import JSON
import Schema
import TestSupport
import Testing
import World

/// What the stories are told with: one cluster, and who asks it.
struct Conformance: Sendable {
  let cluster: TestCluster
  let client: APIClient
  var world: VirtualWorld { cluster.world }
  /// The namespace of the story.
  let namespace = "e2e-tests"

  typealias Story = @Sendable (Conformance) async throws -> Void

  /// The table: line of the list to its story.
  static let stories: [Int: Story] = {
    var all: [Int: Story] = [:]
    for line in Lifecycle.all { all[line.number] = { try await LifecycleStory(line: line, conformance: $0).tell() } }
    let parts = [
      discoveryStories, definitionStories, definitionDocumentStories, fieldValidationStories, machineryStories,
      watchStories, accountStories, coreStories, podStories, policyStories, garbageStories, quotaStories,
      controllerStories,
    ]
    for part in parts {
      all.merge(part) { _, _ in preconditionFailure("a line has two stories") }
    }
    return all
  }()

  /// An answer as it came.
  struct Reply: Sendable {
    var code: Int
    var headers: HTTPHeaders
    var body: [UInt8]
    var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
    var text: String { String(decoding: body, as: UTF8.self) }
    var message: String { json["message"].string ?? "" }
  }

  func ask(
    _ method: String, _ path: String, _ body: JSONValue? = nil, text: String? = nil,
    contentType: String = "application/json", accept: String = "application/json"
  ) async throws -> Reply {
    var headers: HTTPHeaders = ["accept": accept, "user-agent": "e2e.test/1"]
    let bytes = text.map { Array($0.utf8) } ?? body?.bytes
    if bytes != nil { headers.add("content-type", contentType) }
    let response = try await client.transport.send(
      HTTPRequest(method: method, target: path, headers: headers, body: bytes.map { .bytes($0) } ?? .empty))
    return Reply(code: response.status, headers: response.headers, body: try await response.body.collect(upTo: 1 << 24))
  }

  /// The error that a request ends in.
  func refusal(_ work: () async throws -> Void, _ location: SourceLocation = #_sourceLocation) async -> APIStatus? {
    await #expect(throws: APIStatus.self, sourceLocation: location) { try await work() }
  }

  func makeNamespace(_ name: String? = nil, labels: JSONValue = [:]) async throws {
    try await client.create(
      .namespaces,
      [
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": ["name": .string(name ?? namespace), "labels": labels],
      ])
  }

  /// What controllers would have made: pods run as it.
  func makeAccount(_ name: String = "default") async throws {
    try await client.create(.serviceAccounts, namespace: namespace, ["metadata": ["name": .string(name)]])
  }

  @discardableResult
  func make(_ resource: ResourceReference, _ object: JSONValue) async throws -> JSONValue {
    try await client.create(resource, namespace: resource.isNamespaced ? namespace : "", object)
  }

  func read(_ resource: ResourceReference, _ name: String) async throws -> JSONValue {
    try await client.get(resource, namespace: resource.isNamespaced ? namespace : "", name: name)
  }

  func names(_ resource: ResourceReference, _ options: ListOptions = ListOptions()) async throws -> [String] {
    try await client.list(resource, namespace: resource.isNamespaced ? namespace : "", options).items
      .compactMap { $0["metadata"]["name"].string }
  }

  /// The control loops, until the cluster ends.
  @discardableResult
  func startControllers() -> SpawnedTask { cluster.startControllers() }

  func eventually(
    _ what: String, within limit: Duration = .seconds(120), _ condition: @escaping @Sendable () async throws -> Bool
  ) async throws {
    try await world.eventually(what, within: limit, condition)
  }

  /// Makes a definition and lets the server take it up.
  func define(_ definition: JSONValue) async throws {
    try await client.create(.definitions, definition)
    try await reconcile()
  }

  /// Lets the server take up what became of definitions.
  func reconcile() async throws { try await cluster.server.reconcileDefinitions() }

  static func pod(_ name: String, labels: JSONValue = [:], _ spec: JSONValue = [:]) -> JSONValue {
    var all: JSONValue = ["containers": [["name": "pause", "image": "registry.k8s.io/pause:3.10"]]]
    for (key, value) in spec.object ?? [:] { all[key] = value }
    return [
      "apiVersion": "v1", "kind": "Pod", "metadata": ["name": .string(name), "labels": labels], "spec": all,
    ]
  }

  /// Whether everything that was asked for is there; servers add defaults.
  static func contains(_ value: JSONValue, _ part: JSONValue) -> Bool {
    switch (value, part) {
    case (.object(let value), .object(let part)):
      part.members.allSatisfy { contains(value[$0.key] ?? .null, $0.value) }
    case (.array(let value), .array(let part)):
      value.count == part.count && zip(value, part).allSatisfy { contains($0, $1) }
    default: value == part
    }
  }
}

extension ResourceReference {
  static let definitions = Self(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced: false)
  static let limitRanges = Self("", "v1", "limitranges", "LimitRange")
  static let podTemplates = Self("", "v1", "podtemplates", "PodTemplate")
  static let disruptionBudgets = Self("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
  static let runtimeClasses = Self("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", namespaced: false)
  static let volumes = Self("", "v1", "persistentvolumes", "PersistentVolume", namespaced: false)
  static let claims = Self("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
  static let newEvents = Self("events.k8s.io", "v1", "events", "Event")
  static let volumeAttachments = Self(
    "storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", namespaced: false)
  static let admissionPolicies = Self(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy",
    namespaced: false)
  static let admissionPolicyBindings = Self(
    "admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding",
    namespaced: false)
}

@Suite struct ConformanceLines {
  @Test(arguments: ConformanceLine.all)
  func line(_ line: ConformanceLine) throws {
    let story = try #require(Conformance.stories[line.number], "line \(line.number) has no test")
    let cluster = try TestCluster(seed: UInt64(line.number))
    let conformance = Conformance(cluster: cluster, client: cluster.client())
    try cluster.world.run {
      try await conformance.makeNamespace(labels: ["e2e-run": "1"])
      try await story(conformance)
    }
  }

  @Test func everyLineHasATestAndEveryTestALine() {
    let lines = Set(ConformanceLine.all.map(\.number))
    #expect(ConformanceLine.all.count == 132 && lines.count == 132)
    #expect(lines.subtracting(Conformance.stories.keys).sorted() == [])
    #expect(Set(Conformance.stories.keys).subtracting(lines).sorted() == [])
    for line in ConformanceLine.all {
      print("conformance \(line.level.rawValue) #\(line.number) \(line.name): ConformanceLines/line(_:)")
    }
  }
}
