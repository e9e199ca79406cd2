// Who must go so that a pod fits, and when nobody has to.
import Client
import JSON
import Schema
import TestSupport
import Testing

@testable import Scheduler

@Suite struct PreemptionTests {
  private func pod(
    _ name: String, cpu: String = "1", priority: Int64 = 0, labels: JSONValue = [:], started: String? = nil,
    spec: JSONValue = [:]
  ) -> Pod {
    var json = Fixture.pod(name, labels: labels, cpu: cpu)
    json["metadata"]["uid"] = .string("uid-\(name)")
    json["spec"]["priority"] = .integer(priority)
    for (key, value) in spec.object?.members ?? [] { json["spec"][key] = value }
    if let started { json["status"]["startTime"] = .string(started) }
    return Pod(json: json)
  }

  private func budget(_ name: String, app: String, allowed: Int64) -> PodDisruptionBudget {
    PodDisruptionBudget(json: [
      "metadata": ["name": .string(name), "namespace": "default"],
      "spec": ["selector": ["matchLabels": ["app": .string(app)]]],
      "status": ["disruptionsAllowed": .integer(allowed)],
    ])
  }

  private func victims(_ outcome: OfflineScheduler.Outcome) -> (names: [String], node: String)? {
    guard case .madeRoom(let node, let victims) = outcome else { return nil }
    return (victims.map { String($0.dropFirst("uid-".count)) }, node)
  }

  /// What the refusal says of preemption; nil when it is none.
  private func why(_ outcome: OfflineScheduler.Outcome) -> String? {
    guard case .refused(let text) = outcome else { return nil }
    return text.split(separator: " preemption: ").last.map(String.init)
  }

  @Test func noMoreThanNeededGoAndTheLeastImportantFirst() throws {
    var bench = Bench(nodes: [Fixture.node("n", cpu: "4")])
    for (name, priority) in [("a", 1), ("b", 2), ("c", 3), ("d", 50)] as [(String, Int64)] {
      bench.force(pod(name, priority: priority), on: "n")
    }
    let chosen = try #require(victims(bench.outcome(pod("new", cpu: "2", priority: 10))))
    #expect(chosen.names == ["b", "a"])
    // It was a thought: all stand where they stood.
    #expect(bench.snapshot.nodes[0].pods.count == 4)
    #expect(bench.snapshot.rooms[0].requestedMilliCPU == 4000)
  }

  @Test func nobodyGoesWhereItWouldNotHelp() {
    var tainted = Fixture.node("tainted")
    tainted["spec"]["taints"] = [["key": "dedicated", "value": "db", "effect": "NoSchedule"]]
    var bench = Bench(nodes: [
      tainted, Fixture.node("equals", cpu: "1"), Fixture.node("small", cpu: "1"), Fixture.node("half", cpu: "2"),
    ])
    bench.force(pod("peer", priority: 10), on: "equals")
    bench.force(pod("filler", priority: 30), on: "small")
    bench.force(pod("low", priority: 1), on: "half")
    bench.force(pod("high", priority: 20), on: "half")
    // Never enough on two of them, a taint on one; on the last one victim would not be enough.
    #expect(
      why(bench.outcome(pod("new", cpu: "2", priority: 10)))
        == "0/4 nodes are available: 1 Insufficient cpu, 3 Preemption is not helpful for scheduling.")
    #expect(
      why(bench.outcome(pod("other", cpu: "1", priority: 1)))
        == "0/4 nodes are available: 1 Preemption is not helpful for scheduling, "
        + "3 No preemption victims found for incoming pod.")
  }

  @Test func whoMayNotPreemptSaysSo() {
    var bench = Bench(nodes: [Fixture.node("n", cpu: "1")])
    bench.force(pod("low"), on: "n")
    #expect(
      why(bench.outcome(pod("new", priority: 10, spec: ["preemptionPolicy": "Never"])))
        == "not eligible due to preemptionPolicy=Never.")
  }

  @Test func theNodeIsChosenByBudgetsThenPrioritiesThenNumbersThenAge() throws {
    func chosen(_ bench: inout Bench, _ budgets: [PodDisruptionBudget] = []) throws -> String {
      try #require(victims(bench.outcome(pod("new", cpu: "2", priority: 100), budgets: budgets))).node
    }
    func bench(_ pods: [(Pod, String)]) -> Bench {
      var bench = Bench(nodes: ["a", "b"].map { Fixture.node($0, cpu: "2") })
      for (pod, node) in pods { bench.force(pod, on: node) }
      return bench
    }
    var budgets = bench([
      (pod("guarded", cpu: "2", priority: 1, labels: ["app": "db"]), "a"), (pod("free", cpu: "2", priority: 9), "b"),
    ])
    #expect(try chosen(&budgets, [budget("db", app: "db", allowed: 0)]) == "b")
    #expect(try chosen(&budgets, [budget("db", app: "db", allowed: 1)]) == "a")
    var priorities = bench([(pod("high", cpu: "2", priority: 5), "a"), (pod("low", cpu: "2", priority: 4), "b")])
    #expect(try chosen(&priorities) == "b")
    var sums = bench([
      (pod("a1", priority: 5), "a"), (pod("a2", priority: 5), "a"), (pod("b1", priority: 5), "b"),
      (pod("b2", priority: 4), "b"),
    ])
    #expect(try chosen(&sums) == "b")
    var numbers = bench([
      (pod("a1", priority: 5), "a"), (pod("a2", priority: 5), "a"), (pod("b1", cpu: "2", priority: 5), "b"),
    ])
    #expect(try chosen(&numbers) == "b")
    var ages = bench([
      (pod("old", cpu: "2", started: "2026-01-01T00:00:00Z"), "a"),
      (pod("young", cpu: "2", started: "2026-01-02T00:00:00Z"), "b"),
    ])
    #expect(try chosen(&ages) == "b")
  }

  @Test func podsThatABudgetKeepsAreSparedWhereOthersWillDo() throws {
    var bench = Bench(nodes: [Fixture.node("n", cpu: "2")])
    bench.force(pod("guarded", priority: 1, labels: ["app": "db"]), on: "n")
    bench.force(pod("free", priority: 9), on: "n")
    let guarded = [budget("db", app: "db", allowed: 0)]
    #expect(try #require(victims(bench.outcome(pod("new", priority: 10), budgets: guarded))).names == ["free"])
    #expect(try #require(victims(bench.outcome(pod("new", priority: 10)))).names == ["guarded"])
  }

  @Test func roomIsMadeForWhatIsNotRoomToo() throws {
    // A port, and the wish of others to be left alone.
    let port: JSONValue = ["containers": [["name": "c", "ports": [["containerPort": 80, "hostPort": 80]]]]]
    var ports = Bench(nodes: [Fixture.node("n")])
    ports.force(pod("holder", spec: port), on: "n")
    ports.force(pod("bystander"), on: "n")
    #expect(try #require(victims(ports.outcome(pod("new", priority: 1, spec: port)))).names == ["holder"])
    let alone: JSONValue = [
      "affinity": [
        "podAntiAffinity": [
          "requiredDuringSchedulingIgnoredDuringExecution": [
            ["labelSelector": ["matchLabels": ["app": "web"]], "topologyKey": "kubernetes.io/hostname"]
          ]
        ]
      ]
    ]
    var apart = Bench(nodes: [Fixture.node("n")])
    apart.force(pod("hermit", spec: alone), on: "n")
    apart.force(pod("bystander"), on: "n")
    let new = pod("new", priority: 1, labels: ["app": "web"])
    #expect(try #require(victims(apart.outcome(new))).names == ["hermit"])
    #expect(why(apart.outcome(pod("equal", labels: ["app": "web"]))) != nil)
    #expect(apart.put(pod("equal", labels: ["app": "web"])).contains("existing pods anti-affinity"))
  }

  @Test func roomThatIsBeingMadeIsNotGivenToLessImportantPods() {
    var bench = Bench(nodes: [Fixture.node("n", cpu: "2")])
    bench.snapshot.nominate(PlacedPod(pod("urgent", cpu: "2", priority: 100)), to: "n")
    #expect(bench.put(pod("low", priority: 1)) == "0/1 nodes are available: 1 Insufficient cpu.")
    #expect(bench.put(pod("higher", priority: 200)) == "n")
    // Whose room it is takes it, and nothing is expected there any more.
    bench.snapshot.remove(pod: "uid-higher")
    #expect(bench.put(pod("urgent", cpu: "2", priority: 100)) == "n")
    #expect(bench.snapshot.nominations.isEmpty)
  }

  @Test func whoWaitsForVictimsLooksForNoOthers() {
    var bench = Bench(nodes: [Fixture.node("n", cpu: "1"), Fixture.node("m", cpu: "1")])
    var victim = Fixture.pod("victim", cpu: "1")
    victim["metadata"]["uid"] = "uid-victim"
    victim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    victim["status"]["conditions"] = [
      ["type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"]
    ]
    bench.force(Pod(json: victim), on: "n")
    bench.force(pod("other"), on: "m")
    let new = pod("new", priority: 10)
    bench.snapshot.nominate(PlacedPod(new), to: "n")
    #expect(why(bench.outcome(new)) == "not eligible due to a terminating pod on the nominated node.")
  }
}
