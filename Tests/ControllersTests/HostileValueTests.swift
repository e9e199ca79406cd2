// Numbers and times as large as anybody may write them: in annotations, in statuses, in specs that nothing bounds. A
// controller that added them up would end the whole server, and the next one after it.
import Client
import JSON
import Schema
import TestSupport
import Testing
import World

@testable import Controllers

@Suite struct HostileValueTests {
  private static let now = WallTime(rfc3339: "2026-01-01T12:00:00Z")!
  private static let largest = "\(Int64.max)"

  private static func template(_ text: String = "1") -> JSONValue {
    ["metadata": ["labels": ["app": "web"], "annotations": ["text": .string(text)]], "spec": ["containers": []]]
  }

  private static func replicaSet(_ name: String, revision: String, replicas: Int64 = 0) -> ReplicaSet {
    ReplicaSet(json: [
      "metadata": [
        "name": .string(name), "uid": .string(name),
        "annotations": ["deployment.kubernetes.io/revision": .string(revision)],
      ], "spec": ["replicas": .integer(replicas), "template": template(name)],
    ])
  }

  private static func deployment(_ spec: JSONValue) -> Deployment {
    var json: JSONValue = [
      "metadata": ["name": "web", "namespace": "default", "uid": "d"],
      "spec": ["selector": ["matchLabels": ["app": "web"]], "template": template("new")],
    ]
    for (key, value) in spec.object ?? [:] { json["spec"][key] = value }
    return Deployment(json: json)
  }

  @Test func afterTheLastRevisionThereIsOnlyTheLast() {
    let sets = DeploymentSets(
      deployment: Self.deployment(["replicas": 1]), sets: [Self.replicaSet("old", revision: Self.largest)])
    #expect(sets.nextRevision == .max)
    let revisions = [(1 as Int64, "a"), (.max, "b")].map { number, text in
      ControllerRevision(json: [
        "metadata": ["name": .string(text), "uid": .string(text)], "revision": .integer(number),
        "data": ["spec": ["template": Self.template(text)]],
      ])
    }
    for text in ["a", "new"] {
      switch RevisionPlan(PodTemplate(json: Self.template(text)), among: revisions) {
      case .keep: Issue.record("\(text) is not the newest")
      case .renumber(_, let number), .create(let number): #expect(number == .max)
      }
    }
  }

  @Test(arguments: ["\(Int64.max)%", "3074457345618258602%", "2147483647%"])
  func aSurgeOfAnyPercentageIsANumberOfPods(text: String) {
    let deployment = Self.deployment([
      "replicas": .integer(Int64(Int32.max)),
      "strategy": ["rollingUpdate": ["maxSurge": .string(text), "maxUnavailable": 0]],
    ])
    #expect(deployment.rollingBounds.surge == Int64(Int32.max))
    #expect(deployment.maximumReplicas == 2 * Int64(Int32.max))
    // The sets in proportion, where an annotation says that they were for one.
    var sets = ["one", "two"].map { Self.replicaSet($0, revision: "1", replicas: 1000) }
    for index in sets.indices { sets[index].metadata.annotations["deployment.kubernetes.io/max-replicas"] = "1" }
    let sizes = ProportionalScaling.sizes(deployment, DeploymentSets(deployment: deployment, sets: sets))
    #expect(sizes.values.allSatisfy { $0 >= 1000 })
  }

  @Test func failuresOfAnIndexAreWhatAnnotationsSayWithinReason() {
    var json: JSONValue = [
      "metadata": [
        "name": "p", "uid": "p", "finalizers": [.string(JobNames.finalizer)],
        "annotations": .object([
          JobNames.completionIndex: "0", JobNames.failureCount: .string(Self.largest),
          JobNames.ignoredFailureCount: .string(Self.largest),
        ]),
      ], "status": ["phase": "Failed"],
    ]
    #expect(Pod(json: json).allIndexFailures == 2 * Int(Int32.max))
    json["metadata"]["annotations"][JobNames.failureCount] = .string("\(Int64.min)")
    #expect(Pod(json: json).indexFailures == 0)
    json["metadata"]["creationTimestamp"] = "0001-01-01T00:00:00Z"
    let job = Job(json: [
      "metadata": ["name": "j", "namespace": "default", "uid": "u"],
      "spec": [
        "completionMode": "Indexed", "completions": 1, "parallelism": 1, "backoffLimit": 6,
        "backoffLimitPerIndex": .integer(Int64(Int32.max)), "template": Self.template(),
      ],
    ])
    let view = JobView(job, pods: [Pod(json: json)], untracking: [], isSettled: true, now: Self.now)
    guard case .create(let requests) = JobPlan(view, backoff: JobBackoff()).action else {
      Issue.record("the index is not made again")
      return
    }
    #expect(requests.map(\.failures) == [1])
  }

  @Test func aParallelSetOfThousandsOfMillionsIsMadeInBursts() {
    let set = StatefulSet(json: [
      "metadata": ["name": "web", "namespace": "default", "uid": "set"],
      "spec": [
        "replicas": .integer(Int64(Int32.max)), "podManagementPolicy": "Parallel", "template": Self.template(),
        "ordinals": ["start": .integer(Int64(Int32.max))], "updateStrategy": ["rollingUpdate": ["partition": 0]],
      ],
    ])
    let revision = ControllerRevision(json: ["metadata": ["name": "r"], "revision": 1])
    let plan = StatefulSetPlan(
      StatefulSetObservation(
        set: set, current: revision, update: revision, pods: [], claim: { _ in nil }, now: Self.now))
    #expect(plan.phases.map(\.count) == [StatefulSetPlan.burst])
  }

  @Test func metricsAndRequestsThatDoNotAddUpAreALot() throws {
    let containers = ["c", "d"].map { name -> JSONValue in
      ["name": .string(name), "resources": ["requests": ["memory": .string(Self.largest)]]]
    }
    let pods = ["a", "b"].map { name -> Pod in
      let json: JSONValue = [
        "metadata": ["name": .string(name), "namespace": "default"], "spec": ["containers": .array(containers)],
        "status": ["phase": "Running"],
      ]
      return Pod(json: json)
    }
    let calculator = ReplicaCalculator(currentReplicas: 2, pods: pods, now: Self.now)
    let metric = PodMetric(value: .max, timestamp: Self.now, window: .seconds(30))
    let all = ["a": metric, "b": metric]
    #expect(try calculator.utilization(all, of: "memory", target: 100, container: nil).utilization == 100)
    #expect(try calculator.utilization(["a": metric], of: "memory", target: .max, container: nil).replicas >= 1)
    #expect(try calculator.average(all, of: "memory", target: 1).replicas == Int64(Int32.max))
  }

  @Test func budgetsOfWhateverControllersWant() {
    for (spec, scales) in [
      (["maxUnavailable": .string(Self.largest + "%")], ["a": .max, "b": .max]),
      (["minAvailable": .string(Self.largest + "%")], ["a": .max]), (["maxUnavailable": 1], ["a": .max, "b": 1]),
      (["maxUnavailable": 1], ["a": .max, "b": .min]), (["minAvailable": "50%"], ["a": .min, "b": .max]),
    ] as [(JSONValue, [String: Int64])] {
      let budget = PodDisruptionBudget(json: [
        "metadata": ["name": "b"], "spec": spec,
        "status": ["disruptedPods": ["p": "9999-12-31T23:59:59Z", "q": "0001-01-01T00:00:00Z"]],
      ])
      let pods = ["p", "q"].map { Pod(json: ["metadata": ["name": .string($0)]] as JSONValue) }
      #expect(DisruptionPlan(budget, pods: pods, scales: scales, now: Self.now).status.expectedPods == .max)
    }
  }

  /// Custom resources and aggregated servers say of their scales what they like.
  @Test func scalesAreOf32Bits() {
    for (said, read) in [
      (.integer(.max), Int64(Int32.max)), (.integer(.min), Int64(Int32.min)), (7, 7), ("x", 0), (.null, 0),
      (.double(1e300), 0),
    ] as [(JSONValue, Int64)] {
      #expect((["replicas": said] as JSONValue).scaleReplicas == read)
    }
  }

  @Test(arguments: ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
  func timesAtTheEndsOfTheCalendar(text: String) throws {
    let cronJob = CronJob(json: [
      "metadata": ["name": "c", "namespace": "default", "creationTimestamp": .string(text)],
      "spec": [
        "schedule": "* * * * *", "startingDeadlineSeconds": .integer(.max),
        "jobTemplate": ["spec": ["template": Self.template()]],
      ], "status": ["lastScheduleTime": .string(text)],
    ])
    let plan = CronJobPlan(cronJob, jobs: [], vanished: [], now: Self.now)
    #expect((plan.start != nil) == (text < "2026"))
    let json: JSONValue = [
      "metadata": ["name": "p", "deletionTimestamp": .string(text), "deletionGracePeriodSeconds": .integer(.max)],
      "status": [
        "phase": "Running", "startTime": .string(text),
        "conditions": [["type": "Ready", "status": "True", "lastTransitionTime": .string(text)]],
      ],
    ]
    let pod = Pod(json: json)
    #expect(PodRanking([pod, pod], siblings: [pod], now: Self.now).firstToDelete(1).count == 1)
    #expect(pod.isAvailable(minReadySeconds: Int64(Int32.max), now: Self.now) == (text < "2026"))
    #expect(JobBackoff.remaining(failures: 9, last: pod.finishTime, now: Self.now) >= .zero)
  }

  @Test func zonesOfNodesThatSayTheyHaveAnyNumberOfProcessors() {
    let nodes = [("a", "1"), ("b", "1"), ("c", "2"), ("d", "2")].map { name, zone -> Node in
      let json: JSONValue = [
        "metadata": ["name": .string(name), "labels": ["topology.kubernetes.io/zone": .string(zone)]],
        "status": [
          "allocatable": ["cpu": .string(Self.largest)], "conditions": [["type": "Ready", "status": "True"]],
        ],
      ]
      return Node(json: json)
    }
    #expect(ZoneShares(nodes).ratios == ["1": 0.5, "2": 0.5])
  }
}
