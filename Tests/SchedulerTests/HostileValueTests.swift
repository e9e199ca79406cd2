// Amounts as large as pods and nodes may say: what does not add up fits nowhere, and ends nothing.
import Client
import Glibc
import JSON
import Schema
import TestSupport
import Testing

@testable import Scheduler

@Suite struct HostileValueTests {
  private static let resources = ["cpu", "memory", "ephemeral-storage", "example.com/thing"]
  private static let largest = JSONValue.string("\(Int64.max)")

  private static func greedy(_ name: String, containers: Int = 2) -> Pod {
    let requests = JSONValue.object(JSONObject(uniqueMembers: resources.map { ($0, largest) }))
    let container: JSONValue = ["name": "c", "image": "big", "resources": ["requests": requests]]
    return Bench.pod(
      name,
      spec: [
        "containers": .array(Array(repeating: container, count: containers)),
        "initContainers": [["name": "i", "restartPolicy": "Always", "resources": ["requests": requests]], container],
        "overhead": requests,
      ])
  }

  @Test func whatPodsAskForNeedNotBeANumber() {
    var endless = Fixture.node("endless")
    for name in Self.resources { endless["status"]["allocatable"][name] = Self.largest }
    var bench = Bench(nodes: [Fixture.node("a"), endless])
    #expect(bench.put(Self.greedy("p")).hasPrefix("0/2 nodes are available: "))
    #expect(bench.put(Self.greedy("q", containers: 1)).hasPrefix("0/2 nodes are available: "))
    // Somebody puts them there by the node's name, more than a sum of any width holds.
    for number in 0..<2100 { bench.force(Self.greedy("forced-\(number)", containers: 1), on: "a") }
    for number in 0..<2100 { bench.force(Self.greedy("also-\(number)", containers: 1), on: "endless") }
    #expect(bench.put(Bench.pod("plain")) != "")
    #expect(bench.put(Self.greedy("r")).hasPrefix("0/2 nodes are available: "))
  }

  /// What this thread has worked: others' work on the machine is none of it.
  private static var worked: Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }

  private static func spreading(_ name: String, _ count: Int, whenUnsatisfiable: JSONValue) -> Pod {
    let constraints = (0..<count).map { number -> JSONValue in
      [
        "maxSkew": 1, "topologyKey": .string("\(name)-\(number)"), "whenUnsatisfiable": whenUnsatisfiable,
        "labelSelector": [:],
      ]
    }
    return Bench.pod(name, spec: ["topologySpreadConstraints": .array(constraints)])
  }

  @Test(arguments: ["ScheduleAnyway", "DoNotSchedule"]) func manySpreadConstraintsCostNoMoreThanTheirNumber(
    whenUnsatisfiable: String
  ) {
    var bench = Bench(nodes: [Fixture.node("a"), Fixture.node("b"), Fixture.node("c")])
    func cost(_ count: Int) -> Duration {
      let pod = Self.spreading("p\(count)", count, whenUnsatisfiable: .string(whenUnsatisfiable))
      let start = Self.worked
      bench.put(pod)
      return Self.worked - start
    }
    let (few, many) = (cost(500), cost(4000))
    // Eight times the number: 64 times as long would be quadratic.
    #expect(many < few * 32 || many < .milliseconds(200), "500: \(few), 4000: \(many)")
  }

  @Test func topologyKeysOfPodsLongGoneAreForgotten() {
    var bench = Bench(nodes: [Fixture.node("a"), Fixture.node("b")])
    for number in 0..<12 { bench.put(Self.spreading("p\(number)", 3000, whenUnsatisfiable: "ScheduleAnyway")) }
    #expect(bench.snapshot.knownTopologyKeys < 15_000, "\(bench.snapshot.knownTopologyKeys) keys are known")
  }

  @Test func imagesMayBeOfAnySize() {
    var nodes: [JSONValue] = []
    for (name, size) in [("a", Int64.max), ("b", Int64.max), ("c", Int64.min)] {
      var node = Fixture.node(name)
      node["status"]["images"] = [["names": ["big:latest"], "sizeBytes": .integer(size)]]
      nodes.append(node)
    }
    var bench = Bench(nodes: nodes)
    let containers = (0..<3000).map { number -> JSONValue in ["name": .string("c\(number)"), "image": "big"] }
    #expect(["a", "b", "c"].contains(bench.put(Bench.pod("p", spec: ["containers": .array(containers)]))))
  }

  @Test func extendersMayAnswerWithAnyNumber() {
    let scores = ExtenderMessages.priorities([
      ["Host": "a", "Score": .integer(.max)], ["Host": "b", "Score": .integer(.min)],
    ])
    #expect(scores == ["a": Int64(Int32.max), "b": Int64(Int32.min)])
    let victim = PlacedPod(Bench.pod("victim"))
    let choice = VictimChoice(node: "a", victims: [victim], measures: VictimMeasures([victim], violations: .max))
    let left = ExtenderMessages.left(
      ["NodeNameToMetaVictims": ["a": ["Pods": [["UID": "uid-victim"]], "NumPDBViolations": .integer(.max)]]],
      of: [choice])
    #expect(left.map(\.measures.violations) == [.max])
  }
}
