// Where pods go, and in which words they are refused.
import Client
import JSON
import Schema
import TestSupport
import Testing

@testable import Scheduler

@Suite struct DecisionTests {
  @Test func noNodesHasItsOwnWords() {
    var bench = Bench(nodes: [])
    #expect(bench.put(Bench.pod("a")) == "no nodes available to schedule pods")
  }

  @Test func refusalsAreCountedAndSortedByText() {
    var small = Fixture.node("small", cpu: "100m")
    small["metadata"]["labels"]["disk"] = "ssd"
    var tainted = Fixture.node("tainted")
    tainted["spec"]["taints"] = [["key": "dedicated", "value": "db", "effect": "NoSchedule"]]
    var cordoned = Fixture.node("cordoned")
    cordoned["spec"]["unschedulable"] = true
    var bench = Bench(nodes: [small, tainted, cordoned, Fixture.node("full", pods: "0")])
    let pod = Bench.pod(
      "a", spec: ["containers": [["name": "c", "resources": ["requests": ["cpu": "1", "memory": "16Gi"]]]]])
    #expect(
      bench.put(pod)
        == "0/4 nodes are available: 1 Insufficient cpu, 1 Too many pods, 1 node(s) had untolerated taint {dedicated: db}, "
        + "1 node(s) were unschedulable, 2 Insufficient memory.")
  }

  @Test func selectorsAndAffinityChooseTheNode() {
    var bench = Bench(nodes: [
      Fixture.node("a", labels: ["zone": "1"]), Fixture.node("b", labels: ["zone": "2", "disk": "ssd"]),
    ])
    #expect(bench.put(Bench.pod("p1", spec: ["nodeSelector": ["disk": "ssd"]])) == "b")
    #expect(
      bench.put(Bench.pod("p2", spec: ["nodeSelector": ["disk": "tape"]]))
        == "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")
    let preferred: JSONValue = [
      "affinity": [
        "nodeAffinity": [
          "preferredDuringSchedulingIgnoredDuringExecution": [
            [
              "weight": 100,
              "preference": ["matchExpressions": [["key": "zone", "operator": "In", "values": ["1"]]]],
            ]
          ]
        ]
      ]
    ]
    #expect(bench.put(Bench.pod("p3", spec: preferred)) == "a")
  }

  /// What a DaemonSet asks for its pods: one node, by its name.
  @Test func whoNamesItsNodesAsksNoOthers() {
    var bench = Bench(nodes: [Fixture.node("a", cpu: "1"), Fixture.node("b"), Fixture.node("c")])
    func pod(_ name: String, _ nodes: [[String]], cpu: String = "100m") -> Pod {
      let fields = nodes.map { values -> JSONValue in
        ["key": "metadata.name", "operator": "In", "values": .array(values.map { .string($0) })]
      }
      let selector: JSONValue = ["nodeSelectorTerms": [["matchFields": .array(fields)]]]
      return Bench.pod(
        name,
        spec: [
          "containers": [["name": "c", "resources": ["requests": ["cpu": .string(cpu)]]]],
          "affinity": ["nodeAffinity": ["requiredDuringSchedulingIgnoredDuringExecution": selector]],
        ])
    }
    #expect(bench.put(pod("p1", [["a"]])) == "a")
    #expect(
      bench.outcome(pod("p2", [["a"]], cpu: "2"))
        == .refused(
          "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
            + "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."))
    #expect(
      bench.outcome(pod("p3", [["a"]], cpu: "950m"))
        == .refused(
          "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
            + "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, "
            + "2 Preemption is not helpful for scheduling."))
    #expect(
      bench.put(pod("p4", [["gone"]]))
        == "0/3 nodes are available: 3 node(s) didn't satisfy plugin(s) [NodeAffinity].")
    #expect(
      bench.outcome(pod("p5", [["a"], ["b"]]))
        == .refused(
          "0/3 nodes are available: pod affinity terms conflict. preemption: 0/3 nodes are available: "
            + "3 Preemption is not helpful for scheduling."))
  }

  @Test func hostPortsAreGivenOnce() {
    var bench = Bench(nodes: [Fixture.node("a"), Fixture.node("b")])
    let spec: JSONValue = ["containers": [["name": "c", "ports": [["containerPort": 80, "hostPort": 80]]]]]
    #expect(Set([bench.put(Bench.pod("p1", spec: spec)), bench.put(Bench.pod("p2", spec: spec))]) == ["a", "b"])
    #expect(
      bench.put(Bench.pod("p3", spec: spec))
        == "0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports.")
  }

  @Test func podsOfOneServiceSpread() {
    var bench = Bench(nodes: (0..<4).map { Fixture.node("n\($0)") })
    let selector = LabelSelector(matchLabels: ["app": "web"])
    let nodes = (0..<8).map { bench.put(Bench.pod("p\($0)", labels: ["app": "web"]), spread: selector) }
    for node in (0..<4).map({ "n\($0)" }) { #expect(nodes.filter { $0 == node }.count == 2) }
  }

  @Test func aHardSpreadConstraintHolds() {
    var bench = Bench(nodes: [
      Fixture.node("a", labels: ["zone": "1"]), Fixture.node("b", labels: ["zone": "2"]), Fixture.node("bare"),
    ])
    let spec: JSONValue = [
      "topologySpreadConstraints": [
        [
          "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
          "labelSelector": ["matchLabels": ["app": "web"]],
        ]
      ]
    ]
    let nodes = (0..<4).map { bench.put(Bench.pod("p\($0)", labels: ["app": "web"], spec: spec)) }
    #expect(nodes.filter { $0 == "a" }.count == 2 && nodes.filter { $0 == "b" }.count == 2)
    // With one zone full the other must not run ahead.
    var full = Fixture.node("b", pods: "2", labels: ["zone": "2"])
    full["status"]["allocatable"]["pods"] = "2"
    bench.snapshot.put(Node(json: full))
    bench.put(Bench.pod("p4", labels: ["app": "web"], spec: spec))
    #expect(
      bench.put(Bench.pod("p5", labels: ["app": "web"], spec: spec))
        == "0/3 nodes are available: 1 Too many pods, 1 node(s) didn't match pod topology spread constraints, "
        + "1 node(s) didn't match pod topology spread constraints (missing required label).")
  }

  @Test func podsKeepTogetherAndApart() {
    var bench = Bench(nodes: (0..<3).map { Fixture.node("n\($0)") })
    func rule(_ kind: String, _ app: String) -> JSONValue {
      [
        "affinity": [
          .init(stringLiteral: kind): [
            "requiredDuringSchedulingIgnoredDuringExecution": [
              ["labelSelector": ["matchLabels": ["app": .string(app)]], "topologyKey": "kubernetes.io/hostname"]
            ]
          ]
        ]
      ]
    }
    // The first of a group that wants to be together may start it anywhere; the others follow.
    let first = bench.put(Bench.pod("t1", labels: ["app": "team"], spec: rule("podAffinity", "team")))
    #expect(bench.put(Bench.pod("t2", labels: ["app": "team"], spec: rule("podAffinity", "team"))) == first)
    #expect(
      bench.put(Bench.pod("lost", labels: ["app": "x"], spec: rule("podAffinity", "nobody")))
        == "0/3 nodes are available: 3 node(s) didn't match pod affinity rules.")
    let alone = (0..<3).map {
      bench.put(Bench.pod("s\($0)", labels: ["app": "solo"], spec: rule("podAntiAffinity", "solo")))
    }
    #expect(Set(alone).count == 3)
    #expect(
      bench.put(Bench.pod("s3", labels: ["app": "solo"], spec: rule("podAntiAffinity", "solo")))
        == "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.")
    // One that says nothing itself is kept out by those that do.
    #expect(
      bench.put(Bench.pod("s4", labels: ["app": "solo"]))
        == "0/3 nodes are available: 3 node(s) didn't satisfy existing pods anti-affinity rules.")
    // Its leaving makes room.
    bench.snapshot.remove(pod: "uid-s0")
    #expect(bench.put(Bench.pod("s5", labels: ["app": "solo"])) == alone[0])
  }

  @Test func initContainersCountByTheirLargestMoment() {
    let pod = Bench.pod(
      "a",
      spec: [
        "initContainers": [
          ["name": "side", "restartPolicy": "Always", "resources": ["requests": ["cpu": "100m"]]],
          ["name": "big", "resources": ["requests": ["cpu": "3"]]],
        ],
        "containers": [["name": "c", "resources": ["requests": ["cpu": "1"]]]],
        "overhead": ["cpu": "50m"],
      ])
    #expect(PodRequest(pod.spec).resources.milliCPU == 3150)
  }

  @Test func aPartOfALargeClusterIsEnough() {
    #expect(SchedulingCycle.feasibleNodesToFind(80) == 80)
    #expect(SchedulingCycle.feasibleNodesToFind(1000) == 420)
    #expect(SchedulingCycle.feasibleNodesToFind(6000) == 300)
  }

  @Test func manyPodsOnManyNodesStayEven() {
    var bench = Bench(nodes: (0..<200).map { Fixture.node("n\($0)", cpu: "16") })
    let selector = LabelSelector(matchLabels: ["app": "web"])
    for index in 0..<1000 { bench.put(Bench.pod("p\(index)", labels: ["app": "web"]), spread: selector) }
    let counts = bench.snapshot.nodes.map(\.pods.count)
    #expect(counts.reduce(0, +) == 1000)
    #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 4)
  }

  @Test func aTermOfAffinityIsMetByPodsThatMeetAllTerms() {
    var bench = Bench(nodes: [
      Fixture.node("a", labels: ["zone": "1"]), Fixture.node("b", labels: ["zone": "2"]),
    ])
    bench.force(Bench.pod("front", labels: ["app": "front"]), on: "a")
    bench.force(Bench.pod("both", labels: ["app": "front", "tier": "web"]), on: "b")
    func near(_ labels: JSONValue) -> JSONValue { ["labelSelector": ["matchLabels": labels], "topologyKey": "zone"] }
    let spec: JSONValue = [
      "affinity": [
        "podAffinity": [
          "requiredDuringSchedulingIgnoredDuringExecution": [near(["app": "front"]), near(["tier": "web"])]
        ]
      ]
    ]
    #expect(bench.put(Bench.pod("p", spec: spec)) == "b")
  }

  @Test func namespacesAreChosenByTheirLabels() {
    var bench = Bench(nodes: [Fixture.node("a"), Fixture.node("b")])
    bench.snapshot.namespaceLabels = ["default": [:], "other": ["team": "x"]]
    var theirs = Fixture.pod("theirs", labels: ["app": "web"])
    theirs["metadata"]["namespace"] = "other"
    theirs["metadata"]["uid"] = "uid-theirs"
    bench.force(Pod(json: theirs), on: "a")
    func apart(_ selector: JSONValue) -> JSONValue {
      [
        "affinity": [
          "podAntiAffinity": [
            "requiredDuringSchedulingIgnoredDuringExecution": [
              [
                "labelSelector": ["matchLabels": ["app": "web"]], "topologyKey": "kubernetes.io/hostname",
                "namespaceSelector": selector,
              ]
            ]
          ]
        ]
      ]
    }
    let team = apart(["matchLabels": ["team": "x"]])
    #expect(bench.put(Bench.pod("p1", spec: team)) == "b")
    // What it wants of others holds against them, too: a pod of that namespace is kept out of b and finds no other node.
    bench.force(Bench.pod("everywhere", spec: apart([:])), on: "a")
    var late = theirs
    late["metadata"]["name"] = "late"
    late["metadata"]["uid"] = "uid-late"
    #expect(
      bench.put(Pod(json: late))
        == "0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules.")
    #expect(bench.put(Bench.pod("ours", labels: ["app": "web"])) == "b")
  }

  @Test func nodesThatThePodCannotGoToAreNoDomainsUnlessAskedFor() {
    func bench() -> Bench {
      Bench(nodes: [
        Fixture.node("a", labels: ["zone": "1", "disk": "ssd"]), Fixture.node("b", labels: ["zone": "2"]),
      ])
    }
    func spec(_ policy: String?) -> JSONValue {
      var constraint: JSONValue = [
        "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": ["matchLabels": ["app": "web"]],
      ]
      if let policy { constraint["nodeAffinityPolicy"] = .string(policy) }
      return ["nodeSelector": ["disk": "ssd"], "topologySpreadConstraints": [constraint]]
    }
    var honest = bench()
    for index in 0..<3 {
      #expect(honest.put(Bench.pod("p\(index)", labels: ["app": "web"], spec: spec(nil))) == "a")
    }
    var ignoring = bench()
    #expect(ignoring.put(Bench.pod("p0", labels: ["app": "web"], spec: spec("Ignore"))) == "a")
    #expect(
      ignoring.put(Bench.pod("p1", labels: ["app": "web"], spec: spec("Ignore")))
        == "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
        + "1 node(s) didn't match pod topology spread constraints.")
  }

  @Test func tooFewDomainsCountAsEmptyOnes() {
    var bench = Bench(nodes: [Fixture.node("a", labels: ["zone": "1"])])
    let spec: JSONValue = [
      "topologySpreadConstraints": [
        [
          "maxSkew": 1, "minDomains": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
          "labelSelector": ["matchLabels": ["app": "web"]],
        ]
      ]
    ]
    #expect(bench.put(Bench.pod("p0", labels: ["app": "web"], spec: spec)) == "a")
    #expect(bench.put(Bench.pod("p1", labels: ["app": "web"], spec: spec)).contains("topology spread"))
    bench.snapshot.put(Node(json: Fixture.node("b", labels: ["zone": "2"])))
    #expect(bench.put(Bench.pod("p1", labels: ["app": "web"], spec: spec)) == "b")
  }

  /// What is kept by deltas is what counting anew gives, whatever came and went.
  @Test func countsStayTrueWhateverComesAndGoes() {
    var bench = Bench(nodes: [])
    var chance = Chance(state: 42)
    let selector = LabelSelector(matchLabels: ["app": "a1"])
    let questions = ["zone", "kubernetes.io/hostname", nil].map { key in
      Tallies.Question(
        matchers: [PodMatcher(namespaces: ["default"], selector: selector)], topologyKey: key, includingDeleted: true)
    }
    for question in questions { _ = bench.snapshot.tally(question) }
    for step in 0..<2000 {
      let node = "n\(Int.random(in: 0..<6, using: &chance))"
      let uid = "p\(Int.random(in: 0..<30, using: &chance))"
      switch Int.random(in: 0..<6, using: &chance) {
      case 0:
        let zone = "z\(Int.random(in: 0..<3, using: &chance))"
        bench.snapshot.put(Node(json: Fixture.node(node, labels: zone == "z0" ? [:] : ["zone": zone])))
      case 1 where step % 5 == 0: bench.snapshot.remove(node: node)
      case 2: bench.snapshot.remove(pod: "uid-\(uid)")
      default:
        bench.force(
          Bench.pod(uid, labels: ["app": .string("a\(Int.random(in: 0..<3, using: &chance))")]), on: node)
      }
      var zones: [Int32: Int64] = [:]
      var total = 0
      let domains = bench.snapshot.know("zone")
      for index in bench.snapshot.order {
        let count = bench.snapshot.table[index].pods.count { selector.matches($0.labels) }
        #expect(bench.snapshot.tally(questions[2])[Int32(index)] == Int64(count))
        total += count
        zones[domains.domain(of: index), default: 0] += Int64(count)
      }
      for (zone, count) in zones where zone >= 0 { #expect(bench.snapshot.tally(questions[0])[zone] == count) }
      #expect(bench.snapshot.tally(questions[1]).total == total)
    }
  }
}
