// What is decided fast is what is decided plainly: random clusters, random pods, whatever comes and goes between.
import Client
import JSON
import Schema
import TestSupport
import Testing

@testable import Scheduler

@Suite struct PlainComparison {
  /// A cluster, kept both ways.
  private struct Pair {
    var offline = OfflineScheduler(nodes: [])
    var plain = PlainCluster()
    var chance: Chance
    var names = 0

    mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &chance) }
    mutating func isOne(in count: Int) -> Bool { number(0..<count) == 0 }
    mutating func one<Element>(of list: [Element]) -> Element { list[number(0..<list.count)] }

    mutating func node() -> JSONValue {
      let name = "n\(number(0..<9))"
      var labels: [String: String] = [:]
      if !isOne(in: 6) { labels["zone"] = "z\(number(0..<3))" }
      if isOne(in: 2) { labels["disk"] = one(of: ["ssd", "tape"]) }
      var json = Fixture.node(name, cpu: "\(number(1..<6))", pods: "\(number(3..<9))", labels: labels)
      if isOne(in: 3) { json["status"]["allocatable"]["vendor/thing"] = .string("\(number(0..<4))") }
      var taints: [JSONValue] = []
      if isOne(in: 6) { taints.append(["key": "dedicated", "value": "db", "effect": "NoSchedule"]) }
      if isOne(in: 4) { taints.append(["key": "odd", "value": "", "effect": "PreferNoSchedule"]) }
      if !taints.isEmpty { json["spec"]["taints"] = .array(taints) }
      if isOne(in: 8) { json["spec"]["unschedulable"] = true }
      return json
    }

    mutating func term() -> JSONValue {
      var term: JSONValue = [
        "labelSelector": ["matchLabels": ["app": one(of: ["a", "b", "c"])]],
        "topologyKey": one(of: ["zone", "kubernetes.io/hostname", "disk"]),
      ]
      switch number(0..<5) {
      case 0: term["namespaceSelector"] = [:]
      case 1: term["namespaceSelector"] = ["matchLabels": ["team": "x"]]
      case 2: term["namespaces"] = ["default", "other"]
      default: break
      }
      return term
    }

    mutating func pod() -> Pod {
      names += 1
      var json = Fixture.pod(
        "p\(names)", labels: ["app": one(of: ["a", "b", "c"])], cpu: one(of: ["100m", "500m", "1", "2"]))
      json["metadata"]["uid"] = .string("uid-p\(names)")
      json["metadata"]["namespace"] = one(of: ["default", "default", "other"])
      json["spec"]["priority"] = .integer(Int64(number(0..<4)))
      if isOne(in: 6) { json["spec"]["nodeSelector"] = ["disk": "ssd"] }
      if isOne(in: 4) { json["spec"]["tolerations"] = [["operator": "Exists"]] }
      if isOne(in: 8) {
        json["spec"]["containers"] = [
          ["name": "c", "ports": [["containerPort": 80, "hostPort": .integer(Int64(number(80..<82)))]]]
        ]
      }
      if isOne(in: 8) {
        json["spec"]["containers"] = [["name": "c", "resources": ["requests": ["vendor/thing": "1", "cpu": "1"]]]]
      }
      for kind in ["podAffinity", "podAntiAffinity"] where isOne(in: 5) {
        if isOne(in: 2) {
          json["spec"]["affinity"][kind]["requiredDuringSchedulingIgnoredDuringExecution"] = [term()]
        } else {
          json["spec"]["affinity"][kind]["preferredDuringSchedulingIgnoredDuringExecution"] = [
            ["weight": .integer(Int64(number(1..<100))), "podAffinityTerm": term()]
          ]
        }
      }
      if isOne(in: 4) {
        var constraint: JSONValue = [
          "maxSkew": .integer(Int64(number(1..<3))), "topologyKey": one(of: ["zone", "kubernetes.io/hostname"]),
          "whenUnsatisfiable": one(of: ["DoNotSchedule", "ScheduleAnyway"]),
          "labelSelector": ["matchLabels": ["app": one(of: ["a", "b"])]],
        ]
        if isOne(in: 3) { constraint["nodeTaintsPolicy"] = "Honor" }
        if isOne(in: 3) { constraint["minDomains"] = 3 }
        json["spec"]["topologySpreadConstraints"] = [constraint]
      }
      return Pod(json: json)
    }

    mutating func change() {
      switch number(0..<8) {
      case 0, 1:
        let node = Node(json: node())
        offline.put(node)
        plain.nodes[node.name] = node
      case 2 where isOne(in: 3):
        let name = "n\(number(0..<9))"
        offline.snapshot.remove(node: name)
        plain.nodes[name] = nil
      case 3, 4:
        guard !plain.pods.isEmpty else { return }
        let uid = one(of: plain.pods.keys.sorted())
        offline.remove(uid: uid)
        plain.pods[uid] = nil
      case 5 where isOne(in: 3):
        let (pod, node) = (pod(), "n\(number(0..<9))")
        offline.snapshot.nominate(PlacedPod(pod), to: node)
        plain.nominations[pod.metadata.uid] = (pod, node)
      case 6:
        for uid in plain.nominations.keys { offline.snapshot.withdrawNomination(uid) }
        plain.nominations = [:]
      default: break
      }
    }

    /// Decides both ways. Pods on nodes that have gone are not among what a plain look at the nodes sees.
    mutating func decide(_ seed: UInt64) {
      let pod = pod()
      let outcome = offline.put(pod, using: &chance)
      let uid = pod.metadata.uid
      switch outcome {
      case .placed(let node):
        let best = plain.best(pod)
        #expect(best.contains(node), "seed \(seed): \(uid) to \(node), not \(best.sorted())")
        plain.pods[uid] = (pod, node)
      case .madeRoom(let node, let victims):
        #expect(plain.best(pod).isEmpty, "seed \(seed)")
        #expect(plain.victims(pod)[node] == victims, "seed \(seed): \(uid) on \(node)")
      case .refused(let text):
        #expect(plain.best(pod).isEmpty, "seed \(seed)")
        #expect(plain.victims(pod).isEmpty, "seed \(seed): \(uid), \(text)")
        #expect(text.hasPrefix(plain.message(pod)), "seed \(seed): \(text) instead of \(plain.message(pod))")
      }
    }
  }

  @Test(arguments: Array(1...UInt64(40)))
  func whatIsDecidedFastIsWhatIsDecidedPlainly(seed: UInt64) {
    var pair = Pair(chance: Chance(state: seed))
    for (name, labels) in ["default": [:], "other": ["team": "x"]] as [String: [String: String]] {
      pair.offline.label(namespace: name, labels)
      pair.plain.namespaceLabels[name] = labels
    }
    for _ in 0..<60 {
      pair.change()
      pair.decide(seed)
    }
  }

  @Test func theWeightOfDomainsIsTheNaturalLogarithm() {
    for (domains, logarithm) in [(0, 0.693_147_180_56), (1, 1.098_612_288_67), (8, 2.302_585_092_99)] {
      #expect((SpreadState.weight(of: domains) - logarithm).magnitude < 1e-9)
    }
    #expect((SpreadState.weight(of: 4998) - 8.517_193_191_42).magnitude < 1e-9)
  }
}
