// Who a pod of a StatefulSet is: its name and number, its labels, its claims.
import Client
import JSON
import Schema

enum StatefulNames {
  static let podName = "statefulset.kubernetes.io/pod-name"
  static let podIndex = "apps.kubernetes.io/pod-index"
  /// On pods: the name of the revision they were made of.
  static let revision = "controller-revision-hash"
}

extension StatefulSet: RevisedWorkload {
  static let revisionHashLabel = "controller.kubernetes.io/hash"
  var revisionCollisions: Int64? { status.collisionCount }

  /// The ordinals it should have pods for.
  var ordinals: Range<Int64> { startOrdinal..<startOrdinal + replicas }

  func podName(_ ordinal: Int64) -> String { "\(name)-\(ordinal)" }

  /// The number of a pod of this set; nil for a pod that is none, by its name.
  func ordinal(of podName: String) -> Int64? {
    guard podName.hasPrefix("\(name)-") else { return nil }
    let digits = podName.dropFirst(name.count + 1)
    guard let ordinal = Int32(digits), ordinal >= 0, String(ordinal) == digits else { return nil }
    return Int64(ordinal)
  }

  func claimName(_ template: JSONValue, _ ordinal: Int64) -> String {
    "\(template["metadata"]["name"].string ?? "")-\(podName(ordinal))"
  }

  func claimNames(_ ordinal: Int64) -> [String] { claimTemplates.map { claimName($0, ordinal) } }

  /// The claims that a pod needs: what the templates say, under its name, with the set's labels.
  func claims(_ ordinal: Int64) -> [JSONValue] {
    claimTemplates.map { template in
      var claim = template
      claim["apiVersion"] = "v1"
      claim["kind"] = "PersistentVolumeClaim"
      claim["status"] = .null
      claim["metadata"]["name"] = .string(claimName(template, ordinal))
      claim["metadata"]["namespace"] = .string(namespace)
      for (key, value) in matchLabels.sorted(by: { $0.key < $1.key }) {
        claim["metadata"]["labels"][key] = .string(value)
      }
      return claim
    }
  }

  /// The pod of that number, as a revision's template has it.
  func pod(_ ordinal: Int64, of revision: ControllerRevision) -> JSONValue {
    var pod = revision.template.pod(ownedBy: self)
    let name = podName(ordinal)
    pod["metadata"]["name"] = .string(name)
    for (key, value) in identity(ordinal) { pod["metadata"]["labels"][key] = .string(value) }
    pod["metadata"]["labels"][StatefulNames.revision] = .string(revision.name)
    pod["spec"]["hostname"] = .string(name)
    if !serviceName.isEmpty { pod["spec"]["subdomain"] = .string(serviceName) }
    pod["spec"]["volumes"] = volumes(ordinal, beside: pod["spec"]["volumes"].elements)
    return pod
  }

  /// The labels that tell who a pod is.
  func identity(_ ordinal: Int64) -> [(key: String, value: String)] {
    [(StatefulNames.podName, podName(ordinal)), (StatefulNames.podIndex, "\(ordinal)")]
  }

  /// The volumes of its claims, which take the place of others of their names.
  func volumes(_ ordinal: Int64, beside others: [JSONValue]) -> JSONValue {
    let names = Set(claimTemplates.map { $0["metadata"]["name"].string ?? "" })
    let own: [JSONValue] = claimTemplates.map { template in
      [
        "name": template["metadata"]["name"],
        "persistentVolumeClaim": ["claimName": .string(claimName(template, ordinal))],
      ]
    }
    let volumes = own + others.filter { !names.contains($0["name"].string ?? "") }
    return volumes.isEmpty ? .null : .array(volumes)
  }

  func hasIdentity(_ pod: Pod) -> Bool { pod.metadata.labels[StatefulNames.podName] == pod.name }

  /// Whether the pod has all its claims as volumes.
  func hasStorage(_ pod: Pod, _ ordinal: Int64) -> Bool {
    claimNames(ordinal).allSatisfy(pod.spec.claims.contains)
  }
}

extension Pod {
  /// The name of the revision it was made of; "" for none.
  var revisionName: String { metadata.labels[StatefulNames.revision] ?? "" }
  var isRunningAndReady: Bool { status.phase == "Running" && isReady }
}
