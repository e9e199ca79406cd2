// A rollout whose controllers lose their leader in the middle of it: no pod too many beyond the surge, none that must be
// there is missing, no identity twice.

import ChaosChecker
import Client
import JSON
import Raft
import Replica
import Schema
import World

/// A large Deployment and a StatefulSet that get new images all the time. How large follows from the number of nodes.
public final class RolloutWorkload: Workload, @unchecked Sendable {
  public static let name = "rollouts"
  public static let nodes = 1
  public static let followed: Set<String> = ["pods"]
  private static let namespace = "rollouts"
  private static let deployment = "web"
  private static let statefulSet = "db"
  /// Of the 110 that a node takes: room for the surge, and for what ends slowly.
  private static let podsPerNode = 80
  private static let largest = 1000
  /// Beside other workloads.
  private static let smallest = 20
  private static let members = 5

  private let environment: WorkloadEnvironment
  private var image = "web:0"

  public init(_ environment: WorkloadEnvironment) { self.environment = environment }

  private var replicas: Int {
    let nodes = environment.cluster.options.nodes
    return nodes <= Self.nodes ? Self.smallest : min(Self.largest, nodes * Self.podsPerNode)
  }
  /// A quarter, as both bounds are by default: up for the surge, down for what may be missing.
  private var surge: Int { (replicas + 3) / 4 }
  private var missingAllowed: Int { replicas / 4 }

  public func prepare() async throws {
    try await environment.ensureNamespace(Self.namespace)
    for (resource, object) in [(ResourceReference.deployments, web), (.statefulSets, db)] {
      do {
        try await environment.client(0).create(resource, namespace: Self.namespace, object)
      } catch let status as APIStatus where status.reason == "AlreadyExists" {}
    }
  }

  private var web: JSONValue {
    [
      "apiVersion": "apps/v1", "kind": "Deployment", "metadata": ["name": .string(Self.deployment)],
      "spec": [
        "replicas": .integer(Int64(replicas)), "selector": ["matchLabels": ["app": .string(Self.deployment)]],
        "template": template(Self.deployment),
      ],
    ]
  }

  private var db: JSONValue {
    [
      "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": ["name": .string(Self.statefulSet)],
      "spec": [
        "replicas": .integer(Int64(Self.members)), "serviceName": .string(Self.statefulSet),
        "selector": ["matchLabels": ["app": .string(Self.statefulSet)]], "template": template(Self.statefulSet),
      ],
    ]
  }

  private func template(_ app: String) -> JSONValue {
    [
      "metadata": ["labels": ["app": .string(app)]],
      "spec": [
        "terminationGracePeriodSeconds": 1, "containers": [["name": "main", "image": .string(image)]],
      ],
    ]
  }

  public func run() async {
    while !environment.isOver {
      if (try? await unfinished()) == .some(nil) {
        image = "web:\(environment.newValue())"
        for resource in [ResourceReference.deployments, .statefulSets] { try? await setImage(resource) }
      }
      await environment.pause(.milliseconds(500)...(.seconds(2)))
    }
  }

  private func setImage(_ resource: ResourceReference) async throws {
    let name = resource == .deployments ? Self.deployment : Self.statefulSet
    try await environment.client(environment.anyServer()).patch(
      resource, namespace: Self.namespace, name: name,
      ["spec": ["template": ["spec": ["containers": [["name": "main", "image": .string(image)]]]]]], type: .strategic)
  }

  /// What the rollouts still have to do; nil when they are through.
  private func unfinished() async throws -> String? {
    let client = environment.client(0)
    for (resource, name, wanted) in [
      (ResourceReference.deployments, Self.deployment, replicas), (.statefulSets, Self.statefulSet, Self.members),
    ] {
      let object = try await client.get(resource, namespace: Self.namespace, name: name)
      let status = object["status"]
      guard status["observedGeneration"] == object["metadata"]["generation"] else { return "\(name): not observed" }
      for count in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]
      where status[count].integer != Int64(wanted) {
        return "\(name): \(count) is \(status[count].integer ?? 0), not \(wanted)"
      }
    }
    return nil
  }

  public func missing() async throws -> String? {
    // The last change may not have been carried out: of both, or of one.
    for resource in [ResourceReference.deployments, .statefulSets] { try await setImage(resource) }
    if let unfinished = try await unfinished() { return unfinished }
    let pods = try await environment.client(0).list(.pods, namespace: Self.namespace).items
    let expected = replicas + Self.members
    guard pods.count == expected else { return "\(pods.count) pods, not \(expected)" }
    let old = pods.first { $0["spec"]["containers"][0]["image"].string != image }
    if let old { return "\(old["metadata"]["name"].string ?? "") is not of \(image)" }
    let names = Set(pods.compactMap { $0["metadata"]["name"].string })
    let lost = (0..<Self.members).first { !names.contains("\(Self.statefulSet)-\($0)") }
    return lost.map { "\(Self.statefulSet)-\($0) is not there" }
  }

  // MARK: The verdict

  private struct PodView {
    var isActive: Bool
    var isReady: Bool
  }

  /// Every committed change of a pod, in order: at no time were there too many, or too few.
  public func verdict(_ monitor: InvariantMonitor) -> [Anomaly] {
    var web = Crowd()
    var db = Crowd()
    var anomalies: [Anomaly] = []
    for change in monitor.changes["pods"] ?? [] where change.key.namespace == Self.namespace {
      let isMember = change.key.name.hasPrefix("\(Self.statefulSet)-")
      if isMember { db.take(change) } else { web.take(change) }
      let evidence = ["\(change.key) at \(change.revision)"]
      if web.active > replicas + surge {
        anomalies.append(
          Anomaly("\(web.active) pods, of \(replicas) and \(surge) more at the most", evidence: evidence))
      }
      if web.wasComplete(replicas), web.ready < replicas - missingAllowed {
        anomalies.append(
          Anomaly("\(web.ready) pods are ready of \(replicas), \(missingAllowed) may be missing", evidence: evidence))
      }
      if db.wasComplete(Self.members), db.ready < Self.members - 1 {
        anomalies.append(Anomaly("more than one member was updated at a time", evidence: evidence))
      }
      if isMember, !(0..<Self.members).contains(where: { change.key.name == "\(Self.statefulSet)-\($0)" }) {
        anomalies.append(Anomaly("a member of a number that was not asked for", evidence: evidence))
      }
      if !anomalies.isEmpty { break }
    }
    return anomalies
  }

  /// The pods of one owner as they stand at a revision.
  private struct Crowd {
    private var pods: [String: PodView] = [:]
    private(set) var active = 0
    private(set) var ready = 0
    private var hasBeenComplete = false

    mutating func wasComplete(_ wanted: Int) -> Bool {
      hasBeenComplete = hasBeenComplete || ready >= wanted
      return hasBeenComplete
    }

    mutating func take(_ change: Change) {
      count(pods[change.key.name], by: -1)
      pods[change.key.name] = change.kind == .put ? Self.view(of: change.object) : nil
      count(pods[change.key.name], by: 1)
    }

    private mutating func count(_ pod: PodView?, by step: Int) {
      guard let pod, pod.isActive else { return }
      active += step
      if pod.isReady { ready += step }
    }

    private static func view(of object: StoredObject) -> PodView? {
      guard let tree = try? JSONValue(parsing: object.bytes) else { return nil }
      let pod = Pod(json: tree)
      return PodView(isActive: pod.isActive, isReady: pod.isReady)
    }
  }
}
