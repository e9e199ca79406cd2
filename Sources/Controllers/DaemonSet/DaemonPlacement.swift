// On which nodes a DaemonSet's pods belong, and what ties each of them to its node.
import Client
import JSON

enum DaemonNames {
  /// On revisions and pods: the hash of the template.
  static let revision = "controller-revision-hash"
  static let templateGeneration = "pod-template-generation"
}

/// The nodes that a DaemonSet's template suits, compiled once for all of them.
struct DaemonPlacement {
  /// What a node is to a daemon.
  struct Verdict: Hashable {
    /// A pod should be made when there is none.
    var shouldRun: Bool
    /// A pod that is there may stay.
    var mayStay: Bool
  }

  private let nodeName: String
  private let nodeSelector: [String: String]
  private let required: NodeSelector?
  private let tolerations: [Toleration]

  init(_ set: DaemonSet) {
    let spec = set.template.json["spec"]
    nodeName = spec["nodeName"].string ?? ""
    nodeSelector = spec["nodeSelector"].stringMap
    required = NodeSelector(
      json: spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"])
    tolerations = DaemonPod.tolerations(of: spec).map(Toleration.init(json:))
  }

  func verdict(_ node: Node) -> Verdict {
    guard nodeName.isEmpty || nodeName == node.name,
      nodeSelector.allSatisfy({ node.metadata.labels[$0.key] == $0.value }),
      required?.matches(name: node.name, labels: node.metadata.labels) ?? true
    else { return Verdict(shouldRun: false, mayStay: false) }
    func tolerates(_ effects: [String]) -> Bool {
      node.taints.allSatisfy { taint in
        !effects.contains(taint.effect) || tolerations.contains { $0.tolerates(taint) }
      }
    }
    if tolerates(["NoExecute", "NoSchedule"]) { return Verdict(shouldRun: true, mayStay: true) }
    return Verdict(shouldRun: false, mayStay: tolerates(["NoExecute"]))
  }
}

/// Pods of DaemonSets.
enum DaemonPod {
  /// Daemons stay where others have to go.
  private static let tolerated: [(key: String, effect: String)] = [
    ("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule"),
  ]
  private static let networkUnavailable = ("node.kubernetes.io/network-unavailable", "NoSchedule")

  /// The tolerations of a pod's spec with those of every daemon.
  static func tolerations(of spec: JSONValue) -> [JSONValue] {
    var tolerations = spec["tolerations"].elements
    let added = tolerated + (spec["hostNetwork"].bool == true ? [networkUnavailable] : [])
    for (key, effect) in added {
      let toleration: JSONValue = ["key": .string(key), "operator": "Exists", "effect": .string(effect)]
      let known = tolerations.firstIndex {
        $0["key"].string == key && $0["effect"].string == effect && $0["operator"] == "Exists"
          && ($0["value"].string ?? "").isEmpty
      }
      if let known { tolerations[known] = toleration } else { tolerations.append(toleration) }
    }
    return tolerations
  }

  /// The pod for a node: no other can take it, by an affinity that the scheduler follows.
  static func json(of set: DaemonSet, node: String, hash: String) -> JSONValue {
    var pod = set.template.pod(ownedBy: set)
    pod["metadata"]["labels"][DaemonNames.revision] = .string(hash)
    if Int64(set.templateGeneration) != nil {
      pod["metadata"]["labels"][DaemonNames.templateGeneration] = .string(set.templateGeneration)
    }
    pod["spec"]["tolerations"] = .array(tolerations(of: pod["spec"]))
    pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] = [
      "nodeSelectorTerms": [
        ["matchFields": [["key": "metadata.name", "operator": "In", "values": [.string(node)]]]]
      ]
    ]
    return pod
  }

  /// The node a pod was made for; nil for one that says nothing of it.
  static func node(of pod: Pod) -> String? {
    if !pod.spec.nodeName.isEmpty { return pod.spec.nodeName }
    let required = pod.spec.affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    for term in required["nodeSelectorTerms"].elements {
      for field in term["matchFields"].elements
      where field["key"] == "metadata.name" && field["operator"] == "In" && field["values"].elements.count == 1 {
        return field["values"][0].string
      }
    }
    return nil
  }
}

extension DaemonSet: RevisedWorkload {
  static let revisionHashLabel = DaemonNames.revision
  var revisionCollisions: Int64? { status.collisionCount }

  /// Whether the pod is of the template that is in force.
  func isUpdated(_ pod: Pod, hash: String) -> Bool {
    if pod.metadata.labels[DaemonNames.revision] == hash { return true }
    guard Int64(templateGeneration) != nil else { return false }
    return pod.metadata.labels[DaemonNames.templateGeneration] == templateGeneration
  }
}

extension ControllerRevision {
  /// The hash that pods of this revision carry.
  var daemonHash: String { metadata.labels[DaemonNames.revision] ?? name }
}
