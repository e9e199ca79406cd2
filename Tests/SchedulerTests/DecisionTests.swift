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
    let counts = bench.snapshot.nodes.values.map(\.pods.count)
    #expect(counts.reduce(0, +) == 1000)
    #expect((counts.max() ?? 0) - (counts.min() ?? 0) <= 4)
  }
}
