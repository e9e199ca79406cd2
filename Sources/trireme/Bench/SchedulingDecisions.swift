// Decisions of the scheduler alone: no API, no disk, one thread.
import Client
import JSON
import Scheduler
import Schema
import World

/// What the pods of a run ask for.
enum DecisionCase: String, CaseIterable {
  /// Room.
  case plain
  /// Room, and no other of theirs on the same node.
  case antiAffinity = "anti-affinity"
  /// The same, meaning all namespaces of a team.
  case namespacedAntiAffinity = "anti-affinity-namespaces"
  /// The zone of the first one.
  case affinity
  /// An even number in every zone.
  case spread = "topology-spread"
  /// The places of less important pods.
  case preemption

  var placesOneANode: Bool { self == .antiAffinity || self == .namespacedAntiAffinity }

  /// What kube-scheduler's own benchmarks (scheduler_perf) must reach in this case, whole lives of pods, in pods/s and on
  /// larger machines: to compare orders of magnitude by.
  var referenceFloor: String {
    switch self {
    case .plain: "680–810"
    case .namespacedAntiAffinity: "24"
    case .affinity: "35"
    case .preemption: "570"
    case .antiAffinity, .spread: ""
    }
  }
}

struct SchedulingDecisions {
  let nodeCount: Int
  let podCount: Int
  private static let zones = 10
  private static let team = "decisions"

  /// The time for all pods, and how many found a place.
  func run(_ decisionCase: DecisionCase, in world: some World) -> (time: Duration, placed: Int) {
    var chance = WorldRandom(world)
    var cluster = OfflineScheduler(nodes: (0..<nodeCount).map(node))
    cluster.label(namespace: Self.team, ["team": "decisions"])
    if decisionCase == .preemption {
      for index in 0..<nodeCount * 4 { cluster.force(pod("low-\(index)", .plain, cpu: "1"), on: "node-\(index / 4)") }
    }
    let pods = (0..<podCount).map { pod("pod-\($0)", decisionCase, cpu: decisionCase == .preemption ? "2" : "100m") }
    var placed = 0
    let start = world.now
    for pod in pods {
      switch cluster.put(pod, using: &chance) {
      case .placed: placed += 1
      case .madeRoom(let node, let victims):
        for victim in victims { cluster.remove(uid: victim) }
        cluster.force(pod, on: node)
        placed += 1
      case .refused: break
      }
    }
    return (world.now - start, placed)
  }

  private func node(_ index: Int) -> Node {
    let room: JSONValue = ["cpu": "4", "memory": "32Gi", "pods": "110"]
    let json: JSONValue = [
      "metadata": [
        "name": .string("node-\(index)"),
        "labels": [
          "kubernetes.io/hostname": .string("node-\(index)"),
          "topology.kubernetes.io/zone": .string("zone-\(index % Self.zones)"),
        ],
      ],
      "status": ["allocatable": room, "capacity": room],
    ]
    return Node(json: json)
  }

  private func pod(_ name: String, _ decisionCase: DecisionCase, cpu: String) -> Pod {
    var json: JSONValue = [
      "metadata": [
        "name": .string(name), "namespace": .string(Self.team), "uid": .string(name), "labels": ["app": "decisions"],
      ],
      "spec": [
        "containers": [
          ["name": "main", "image": "pause:3.10", "resources": ["requests": ["cpu": .string(cpu), "memory": "64Mi"]]]
        ]
      ],
    ]
    var term: JSONValue = [
      "labelSelector": ["matchLabels": ["app": "decisions"]], "topologyKey": "kubernetes.io/hostname",
    ]
    let required = "requiredDuringSchedulingIgnoredDuringExecution"
    switch decisionCase {
    case .plain: break
    case .antiAffinity: json["spec"]["affinity"]["podAntiAffinity"][required] = [term]
    case .namespacedAntiAffinity:
      term["namespaceSelector"] = ["matchLabels": ["team": "decisions"]]
      json["spec"]["affinity"]["podAntiAffinity"][required] = [term]
    case .affinity:
      term["topologyKey"] = "topology.kubernetes.io/zone"
      json["spec"]["affinity"]["podAffinity"][required] = [term]
    case .spread:
      json["spec"]["topologySpreadConstraints"] = [
        [
          "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
          "labelSelector": ["matchLabels": ["app": "decisions"]],
        ]
      ]
    case .preemption: if !name.hasPrefix("low-") { json["spec"]["priority"] = 1000 }
    }
    return Pod(json: json)
  }
}
