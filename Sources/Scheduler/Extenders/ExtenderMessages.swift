// What is said to extenders and what they answer, as values (k8s.io/kube-scheduler/extender/v1). Their answers come from
// programs of all kinds: members are found whatever their case, as Go finds them.
import Client
import JSON
import Schema

/// An extender that could not be asked, or answered with an error.
struct ExtenderFailure: Error, CustomStringConvertible {
  var description: String
}

/// What an extender's filter says.
struct ExtenderVerdict: Sendable, Equatable {
  /// In the order in which they were asked about.
  var names: [String]
  /// With its reasons: removing pods may help …
  var failed: [String: String] = [:]
  /// … or will not.
  var unresolvable: [String: String] = [:]
}

enum ExtenderMessages {
  private static func member(_ json: JSONValue, _ name: String) -> JSONValue {
    let exact = json[name]
    guard exact.isNull, let object = json.object else { return exact }
    let wanted = name.lowercased()
    for (key, value) in object where key.lowercased() == wanted { return value }
    return .null
  }

  /// `nodes`: whole objects for extenders that do not know them, else nil.
  static func arguments(_ pod: JSONValue, _ names: [String], nodes: [JSONValue]?) -> JSONValue {
    guard let nodes else {
      return ["Pod": pod, "Nodes": .null, "NodeNames": .array(names.map { .string($0) })]
    }
    return [
      "Pod": pod, "Nodes": ["apiVersion": "v1", "kind": "NodeList", "metadata": [:], "items": .array(nodes)],
      "NodeNames": .null,
    ]
  }

  static func verdict(_ json: JSONValue, about names: [String], of extender: String) throws -> ExtenderVerdict {
    if let error = member(json, "Error").string, !error.isEmpty { throw ExtenderFailure(description: error) }
    let listed = member(json, "NodeNames")
    let nodes = member(json, "Nodes")
    var kept: Set<String> = []
    if !listed.isNull {
      kept = Set(listed.elements.compactMap(\.string))
    } else if !nodes.isNull {
      kept = Set(member(nodes, "items").elements.compactMap { $0["metadata"]["name"].string })
    }
    let asked = Set(names)
    if let stranger = kept.subtracting(asked).min() {
      throw ExtenderFailure(
        description:
          "extender \"\(extender)\" claims a filtered node \"\(stranger)\" which is not found in the input node list")
    }
    var verdict = ExtenderVerdict(names: names.filter(kept.contains))
    verdict.unresolvable = member(json, "FailedAndUnresolvableNodes").stringMap
    verdict.failed = member(json, "FailedNodes").stringMap.filter { verdict.unresolvable[$0.key] == nil }
    return verdict
  }

  /// Scores by node, from 0 to 10.
  static func priorities(_ json: JSONValue) -> [String: Int64] {
    var scores: [String: Int64] = [:]
    for entry in json.elements {
      guard let host = member(entry, "Host").string else { continue }
      // They are multiplied by a weight; what an extender makes up must still be a number then.
      scores[host] = Int64(Int32(clamping: member(entry, "Score").integer ?? 0))
    }
    return scores
  }

  /// `victims` by node; `pods`: whole objects by uid for extenders that do not know them, else nil.
  static func preemption(
    _ pod: JSONValue, _ victims: [VictimChoice], pods: [String: JSONValue]?
  ) -> JSONValue {
    var byNode: JSONValue = [:]
    for choice in victims {
      let list = choice.victims.map { victim in pods.map { $0[victim.uid] ?? .null } ?? ["UID": .string(victim.uid)] }
      byNode[choice.node] = [
        "Pods": .array(list), "NumPDBViolations": .integer(Int64(choice.measures.violations)),
      ]
    }
    return pods == nil
      ? ["Pod": pod, "NodeNameToVictims": .null, "NodeNameToMetaVictims": byNode]
      : ["Pod": pod, "NodeNameToVictims": byNode, "NodeNameToMetaVictims": .null]
  }

  /// The choices that the extender leaves, with those of their victims that it names.
  static func left(_ json: JSONValue, of choices: [VictimChoice]) -> [VictimChoice] {
    let byNode = member(json, "NodeNameToMetaVictims")
    return choices.compactMap { choice in
      let answer = byNode[choice.node]
      guard !answer.isNull else { return nil }
      let uids = Set(member(answer, "Pods").elements.compactMap { member($0, "UID").string })
      let victims = choice.victims.filter { uids.contains($0.uid) }
      guard !victims.isEmpty else { return nil }
      let violations = member(answer, "NumPDBViolations").integer ?? 0
      return VictimChoice(
        node: choice.node, victims: victims, measures: VictimMeasures(victims, violations: Int(clamping: violations)))
    }
  }

  static func binding(_ pod: Pod, _ node: String) -> JSONValue {
    [
      "PodName": .string(pod.name), "PodNamespace": .string(pod.namespace), "PodUID": .string(pod.metadata.uid),
      "Node": .string(node),
    ]
  }

  static func checkBinding(_ json: JSONValue) throws {
    if let error = member(json, "Error").string, !error.isEmpty { throw ExtenderFailure(description: error) }
  }
}
