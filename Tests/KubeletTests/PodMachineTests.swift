// The life of a pod, turned by hand.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Kubelet

/// A machine with its clock.
private struct Bench {
  var machine: PodMachine
  var now = MonotonicTime(nanoseconds: 0)
  var wallClock = WallTime(secondsSinceEpoch: 1_000_000)
  var json: JSONValue

  init(_ spec: JSONValue = [:], status: JSONValue = .null) {
    json = Fixture.pod("web", node: "n")
    json["metadata"]["uid"] = "u"
    for (key, value) in spec.object?.members ?? [] { json["spec"][key] = value }
    if !status.isNull { json["status"] = status }
    machine = PodMachine(Pod(json: json), now: wallClock)
  }

  mutating func step(_ event: PodEvent) -> [PodAction] { machine.step(event, now: now, wallClock: wallClock) }
  mutating func pass(_ duration: Duration) {
    now = now + duration
    wallClock = wallClock + duration
  }
  mutating func begin() -> [PodAction] { step(.updated(Pod(json: json))) }
  mutating func start(_ name: String) -> [PodAction] {
    step(.containerStarted(name: name, StartedContainer(containerID: "hollow://\(name)", imageID: "i")))
  }
  mutating func exit(_ name: String, _ code: Int64) -> [PodAction] {
    step(.containerExited(name: name, ContainerExit(exitCode: code, reason: code == 0 ? "Completed" : "Error")))
  }
  mutating func delete(grace: Int64 = 30) -> [PodAction] {
    json["metadata"]["deletionTimestamp"] = .string((wallClock + .seconds(grace)).rfc3339)
    json["metadata"]["deletionGracePeriodSeconds"] = .integer(grace)
    return step(.updated(Pod(json: json)))
  }
  /// To the point where the container `main` runs.
  mutating func run() {
    _ = begin()
    _ = step(.sandboxCreated(address: "10.0.0.2"))
    _ = start("main")
  }
  var status: JSONValue { PodStatusWriter(machine: machine, hostIP: "1.2.3.4", wallClock: wallClock).status() }
  func condition(_ type: String) -> String? {
    status["conditions"].elements.first { $0["type"].string == type }?["status"].string
  }
}

@Suite struct PodMachineTests {
  @Test func sandboxThenContainersThenRunning() {
    var bench = Bench()
    #expect(bench.begin() == [.createSandbox])
    #expect(bench.status["phase"].string == "Pending")
    #expect(bench.status["containerStatuses"][0]["state"]["waiting"]["reason"].string == "ContainerCreating")
    #expect(bench.step(.sandboxCreated(address: "10.0.0.2")) == [.startContainer(name: "main")])
    #expect(bench.start("main") == [])
    #expect(bench.status["phase"].string == "Running")
    #expect(bench.status["podIP"].string == "10.0.0.2")
    #expect(
      ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"].allSatisfy {
        bench.condition($0) == "True"
      })
  }

  @Test func initContainersRunOneAfterTheOtherAndSidecarsStay() {
    var bench = Bench([
      "initContainers": [["name": "side", "restartPolicy": "Always"], ["name": "init"]],
      "containers": [["name": "main"]],
    ])
    _ = bench.begin()
    #expect(bench.step(.sandboxCreated(address: "a")) == [.startContainer(name: "side")])
    #expect(bench.start("side") == [.startContainer(name: "init")])
    #expect(bench.condition("Initialized") == "False")
    #expect(bench.start("init") == [])
    #expect(bench.exit("init", 0) == [.startContainer(name: "main")])
    #expect(bench.start("main") == [])
    #expect(bench.condition("Initialized") == "True")
    // Deletion: the container first, the sidecar after it, then the sandbox, then the object.
    #expect(bench.delete() == [.stopContainer(name: "main", grace: .seconds(30))])
    #expect(bench.exit("main", 0) == [.stopContainer(name: "side", grace: .seconds(30))])
    #expect(bench.exit("side", 0) == [.removeSandbox])
    #expect(bench.step(.sandboxRemoved) == [.deleteObject])
    #expect(bench.step(.wokenUp) == [])
  }

  @Test func crashesBackOff() {
    var bench = Bench()
    bench.run()
    #expect(bench.exit("main", 1) == [.startContainer(name: "main")], "the first restart is immediate")
    for seconds: Int64 in [10, 20, 40, 80, 160, 300, 300] {
      _ = bench.start("main")
      let due = bench.now + .seconds(seconds)
      #expect(bench.exit("main", 1) == [.wakeUp(at: due)])
      let status = bench.status["containerStatuses"][0]
      #expect(status["state"]["waiting"]["reason"].string == "CrashLoopBackOff")
      #expect(
        status["state"]["waiting"]["message"].string
          == "back-off \(seconds)s restarting failed container=main pod=web_default(u)")
      #expect(status["lastState"]["terminated"]["exitCode"].integer == 1)
      #expect(bench.status["phase"].string == "Running")
      bench.pass(.seconds(seconds))
      #expect(bench.step(.wokenUp) == [.startContainer(name: "main")])
    }
    #expect(bench.status["containerStatuses"][0]["restartCount"].integer == 8)
    _ = bench.start("main")
    bench.pass(.seconds(601))
    #expect(bench.exit("main", 1) == [.startContainer(name: "main")], "ten good minutes are a clean slate")
  }

  @Test(arguments: [("Never", 0, "Succeeded"), ("Never", 3, "Failed"), ("OnFailure", 0, "Succeeded")])
  func aPodThatIsDoneEnds(policy: String, code: Int, phase: String) {
    var bench = Bench([
      "restartPolicy": .string(policy), "initContainers": [["name": "side", "restartPolicy": "Always"]],
      "containers": [["name": "main"]],
    ])
    _ = bench.begin()
    _ = bench.step(.sandboxCreated(address: "a"))
    _ = bench.start("side")
    _ = bench.start("main")
    #expect(bench.exit("main", Int64(code)) == [.stopContainer(name: "side", grace: .seconds(30))])
    #expect(bench.exit("side", 0) == [.removeSandbox])
    #expect(bench.step(.sandboxRemoved) == [], "its object stays for whoever wants to read it")
    #expect(bench.status["phase"].string == phase)
    #expect(bench.condition("Ready") == "False")
    #expect(bench.delete(grace: 0) == [.deleteObject])
  }

  @Test func anInitContainerThatFailsForGoodFailsThePod() {
    var bench = Bench(["restartPolicy": "Never", "initContainers": [["name": "init"]]])
    _ = bench.begin()
    _ = bench.step(.sandboxCreated(address: "a"))
    _ = bench.start("init")
    #expect(bench.exit("init", 1) == [.removeSandbox])
    #expect(bench.status["phase"].string == "Failed")
  }

  @Test func theDeadlineEndsThePod() {
    var bench = Bench(["activeDeadlineSeconds": 30])
    _ = bench.begin()
    let actions = bench.step(.sandboxCreated(address: "a"))
    #expect(actions.contains(.wakeUp(at: bench.now + .seconds(30))))
    _ = bench.start("main")
    bench.pass(.seconds(30))
    #expect(bench.step(.wokenUp) == [.stopContainer(name: "main", grace: .seconds(30))])
    #expect(bench.exit("main", 0) == [.removeSandbox])
    #expect(bench.step(.sandboxRemoved) == [])
    #expect(bench.status["phase"].string == "Failed")
    #expect(bench.status["reason"].string == "DeadlineExceeded")
  }

  @Test func deletionWhileTheSandboxIsMadeWaitsForIt() {
    var bench = Bench()
    _ = bench.begin()
    #expect(bench.delete() == [])
    #expect(bench.step(.sandboxCreated(address: "a")) == [.removeSandbox])
    #expect(bench.step(.sandboxRemoved) == [.deleteObject])
  }

  @Test func aFailedSandboxIsTriedAgain() {
    var bench = Bench()
    _ = bench.begin()
    #expect(bench.step(.sandboxFailed(message: "no")) == [.wakeUp(at: bench.now + .seconds(2))])
    bench.pass(.seconds(2))
    #expect(bench.step(.wokenUp) == [.createSandbox])
  }

  @Test func aReadinessProbeTakesItsTime() {
    var bench = Bench(["containers": [["name": "main", "readinessProbe": ["periodSeconds": 1]]]])
    _ = bench.begin()
    _ = bench.step(.sandboxCreated(address: "a"))
    #expect(bench.start("main") == [.wakeUp(at: bench.now + .seconds(1))])
    #expect(bench.condition("Ready") == "False")
    bench.pass(.seconds(1))
    #expect(bench.step(.wokenUp) == [])
    #expect(bench.condition("Ready") == "True")
  }

  @Test(arguments: [true, false])
  func anAgentThatBeginsAnewTakesOverWhatRuns(runs: Bool) {
    var bench = Bench()
    bench.run()
    var before = bench.status
    before["containerStatuses"][0]["restartCount"] = 2
    var anew = Bench(status: before)
    #expect(anew.begin() == [.adopt(containers: ["main"])])
    #expect(anew.status["phase"].string == "Running")
    #expect(anew.condition("Ready") == "True")
    let actions = anew.step(.adopted(runs))
    if runs {
      #expect(actions == [])
      #expect(anew.status["containerStatuses"] == before["containerStatuses"])
    } else {
      #expect(actions == [.createSandbox])
      #expect(anew.status["containerStatuses"][0]["restartCount"].integer == 3)
    }
  }
}
