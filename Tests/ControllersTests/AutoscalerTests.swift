// Horizontal pod autoscalers: what metrics ask for, how far that is followed, and what is said where there are none.
import Client
import HTTP
import JSON
import Schema
import Synchronization
import TestSupport
import Testing
import World

@testable import Controllers

private let now = WallTime(rfc3339: "2026-01-01T12:00:00Z")!

/// `age`: seconds since it began, and since it became (or did not become) ready.
private func pod(
  _ name: String, request: String = "1", phase: String = "Running", ready: Bool = true, age: Int64 = 3600,
  changed: Int64? = nil, deleted: Bool = false
) -> Pod {
  var json: JSONValue = [
    "metadata": ["name": .string(name), "namespace": "default"],
    "spec": ["containers": [["name": "main", "resources": ["requests": ["cpu": .string(request)]]]]],
    "status": [
      "phase": .string(phase), "startTime": .string((now + .seconds(-age)).rfc3339),
      "conditions": [
        [
          "type": "Ready", "status": ready ? "True" : "False",
          "lastTransitionTime": .string((now + .seconds(-(changed ?? age))).rfc3339),
        ]
      ],
    ],
  ]
  if deleted { json["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z" }
  return Pod(json: json)
}

private func metric(_ milli: Int64, age: Int64 = 0) -> PodMetric {
  PodMetric(value: milli, timestamp: now + .seconds(-age), window: .seconds(30))
}

private func autoscaler(_ spec: JSONValue = [:]) -> HorizontalPodAutoscaler {
  var json: JSONValue = [
    "metadata": ["name": "h", "namespace": "default"], "spec": ["minReplicas": 1, "maxReplicas": 100],
  ]
  for (key, value) in spec.object ?? [:] { json["spec"][key] = value }
  return HorizontalPodAutoscaler(json: json)
}

@Suite struct ReplicaCalculatorTests {
  private func calculate(_ usages: [Int64?], target: Int64, pods: [Pod]? = nil) throws -> ReplicaProposal {
    let pods = pods ?? usages.indices.map { pod("p\($0)") }
    var metrics: [String: PodMetric] = [:]
    for (pod, usage) in zip(pods, usages) { metrics[pod.name] = usage.map { metric($0) } }
    return try ReplicaCalculator(currentReplicas: Int64(pods.count), pods: pods, now: now)
      .utilization(metrics, of: "cpu", target: target, container: nil)
  }

  @Test(
    arguments: [
      // usage of each in thousandths of what it requests, target percent; replicas, percent
      ([300, 500, 700], 30, 5, 50), ([300, 500, 700], 50, 3, 50), ([530, 530], 50, 2, 53), ([560, 560], 50, 3, 56),
      ([100, 300, 500, 250, 250], 50, 3, 28), ([0, 0, 0], 50, 0, 0), ([1000], 1, 100, 100),
    ] as [([Int64], Int64, Int64, Int64)])
  func replicasFollowTheUse(usages: [Int64], target: Int64, replicas: Int64, percent: Int64) throws {
    let proposal = try calculate(usages, target: target)
    #expect(proposal.replicas == replicas && proposal.utilization == percent)
    #expect(proposal.value == usages.reduce(0, +) / Int64(usages.count))
  }

  @Test func whatIsMissingDampens() throws {
    // Upwards a pod that says nothing does nothing, downwards it does all it may.
    #expect(try calculate([900, 900, nil], target: 50).replicas == 4)
    #expect(try calculate([600, 600, nil], target: 50).replicas == 3)
    #expect(try calculate([100, 100, nil], target: 50).replicas == 3)
    #expect(try calculate([100, 100, nil], target: 100).replicas == 2)
  }

  @Test func podsThatBeginOrEndAreNotCounted() throws {
    let pods = [
      pod("a"), pod("b"), pod("pending", phase: "Pending"), pod("young", ready: false, age: 20),
      pod("going", deleted: true), pod("failed", phase: "Failed"),
    ]
    #expect(try calculate([250, 250, nil, 5000, 5000, 5000], target: 50, pods: pods).replicas == 1)
    // Upwards they count as doing nothing.
    #expect(try calculate([2000, 2000, nil, 5000, nil, nil], target: 50, pods: pods).replicas == 8)
    // One that was ready once and is not now has something to say; one that never was has not.
    let late = [pod("a"), pod("b", ready: false, age: 3600, changed: 100)]
    #expect(try calculate([500, 500], target: 50, pods: late).replicas == 2)
  }

  @Test func whatCannotBeToldIsSaid() {
    func failure(_ body: () throws -> ReplicaProposal) -> String {
      do { return "\(try body().replicas)" } catch { return "\(error)" }
    }
    #expect(
      failure { try calculate([nil], target: 50) }
        == "did not receive metrics for targeted pods (pods might be unready)")
    #expect(failure { try calculate([], target: 50) } == "no pods returned by selector while calculating replica count")
    let json: JSONValue = [
      "metadata": ["name": "bare"], "spec": ["containers": [["name": "main"]]], "status": ["phase": "Running"],
    ]
    let calculator = ReplicaCalculator(currentReplicas: 1, pods: [Pod(json: json)], now: now)
    #expect(
      failure { try calculator.utilization(["bare": metric(1)], of: "memory", target: 50, container: nil) }
        == "missing request for memory in container main of Pod bare")
  }

  @Test func otherThingsAreDividedAmongReplicas() throws {
    let calculator = ReplicaCalculator(currentReplicas: 4, pods: (0..<4).map { pod("p\($0)") }, now: now)
    #expect(try calculator.total(20_000, target: 10_000).replicas == 8)
    #expect(try calculator.total(10_500, target: 10_000).replicas == 4)
    #expect(ReplicaCalculator.perReplica(25_000, target: 5_000, replicas: 4).replicas == 5)
    #expect(ReplicaCalculator.perReplica(20_400, target: 5_000, replicas: 4).replicas == 4)
    // From zero, and against a target of nothing.
    #expect(try ReplicaCalculator(currentReplicas: 0, pods: [], now: now).total(25_000, target: 10_000).replicas == 3)
    // Nobody to multiply: nothing is known, and nothing is scaled away.
    #expect(throws: MetricFailure.self) {
      try ReplicaCalculator(currentReplicas: 4, pods: [], now: now).total(1, target: 10)
    }
    #expect(try calculator.total(1, target: 0).replicas == Int64(Int32.max))
    #expect(try calculator.total(0, target: 0).replicas == 0)
  }
}

@Suite struct ScalingRulesTests {
  private func after(_ seconds: Int64) -> WallTime { now + .seconds(seconds) }

  @Test(arguments: [
    (1, 50, 4, "ScaleUpLimit"), (3, 50, 6, "ScaleUpLimit"), (60, 500, 100, "TooManyReplicas"),
    (3, 0, 1, "TooFewReplicas"), (3, 5, 5, "DesiredWithinRange"),
  ])
  func withoutBehaviourOldRulesHold(current: Int64, wanted: Int64, allowed: Int64, reason: String) {
    var history = ScalingHistory()
    let decision = history.decide(wanted, current: current, for: autoscaler(), at: now)
    #expect(decision.replicas == allowed && decision.limit.reason == reason)
    #expect(decision.isLimited == (wanted != allowed))
  }

  @Test func aFallWaitsForFiveMinutes() {
    var history = ScalingHistory()
    history.begin(with: 8, at: now)
    #expect(history.decide(2, current: 8, for: autoscaler(), at: after(15)).replicas == 8)
    #expect(
      history.decide(2, current: 8, for: autoscaler(), at: after(15)).stabilization.reason == "ScaleDownStabilized")
    #expect(history.decide(3, current: 8, for: autoscaler(), at: after(290)).replicas == 8)
    let late = history.decide(2, current: 8, for: autoscaler(), at: after(301))
    #expect(late.replicas == 3 && late.stabilization == .waitsDown)
    #expect(history.decide(2, current: 3, for: autoscaler(), at: after(700)).stabilization == .ready)
  }

  private func behaviour(_ direction: String, _ rules: JSONValue) -> HorizontalPodAutoscaler {
    var behavior: JSONValue = [:]
    behavior[direction] = rules
    return autoscaler(["behavior": behavior])
  }

  @Test func policiesBoundWhatHappensInAPeriod() {
    let slow = behaviour("scaleUp", ["policies": [["type": "Pods", "value": 2, "periodSeconds": 60]]])
    var history = ScalingHistory()
    #expect(history.decide(50, current: 10, for: slow, at: now).replicas == 12)
    history.note(from: 10, to: 12, at: now)
    let again = history.decide(50, current: 12, for: slow, at: after(30))
    #expect(again.replicas == 12 && again.limit == .tooFast)
    #expect(history.decide(50, current: 12, for: slow, at: after(61)).replicas == 14)
  }

  @Test(arguments: [("Max", 20), ("Min", 14), ("Disabled", 10)])
  func onePolicyIsSelected(_ selection: String, _ allowed: Int64) {
    let both = behaviour("scaleUp", ["selectPolicy": .string(selection)])
    var history = ScalingHistory()
    #expect(history.decide(90, current: 10, for: both, at: now).replicas == allowed)
  }

  @Test(arguments: [("Max", 5), ("Min", 8), ("Disabled", 10)])
  func downwardsTooAnOptionIsSelected(_ selection: String, _ allowed: Int64) {
    let rules: JSONValue = [
      "selectPolicy": .string(selection), "stabilizationWindowSeconds": 0,
      "policies": [
        ["type": "Percent", "value": 50, "periodSeconds": 60], ["type": "Pods", "value": 2, "periodSeconds": 60],
      ],
    ]
    var history = ScalingHistory()
    let decision = history.decide(1, current: 10, for: behaviour("scaleDown", rules), at: now)
    #expect(decision.replicas == allowed && decision.limit == .tooFastDown)
  }

  @Test func aRiseMayWaitToo() {
    let patient = behaviour("scaleUp", ["stabilizationWindowSeconds": 60])
    var history = ScalingHistory()
    history.begin(with: 4, at: now)
    let early = history.decide(6, current: 4, for: patient, at: after(30))
    #expect(early.replicas == 4 && early.stabilization == .waitsUp)
    #expect(history.decide(7, current: 4, for: patient, at: after(61)).replicas == 6)
  }
}

@Suite struct AutoscalerStories {
  private static func autoscaler(_ spec: JSONValue = [:]) -> JSONValue {
    var object: JSONValue = [
      "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": ["name": "scaler"],
      "spec": [
        "scaleTargetRef": ["apiVersion": "apps/v1", "kind": "Deployment", "name": "web"], "minReplicas": 2,
        "maxReplicas": 5,
      ],
    ]
    for (key, value) in spec.object ?? [:] { object["spec"][key] = value }
    return object
  }

  private static func condition(_ plane: ControlPlane, _ type: String) async throws -> JSONValue {
    let status = try await plane.admin.get(.horizontalPodAutoscalers, namespace: "default", name: "scaler")["status"]
    return status["conditions"].elements.first { $0["type"].string == type } ?? .null
  }

  @Test func withoutMetricsItSaysSoEveryQuarterOfAMinuteAndChangesNothing() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 3))
      try await plane.rolledOut("web")
      try await plane.admin.create(.horizontalPodAutoscalers, namespace: "default", Self.autoscaler())
      try await plane.world.eventually("it says why", within: .seconds(40)) {
        try await Self.condition(plane, "ScalingActive")["reason"] == "FailedGetResourceMetric"
      }
      let why =
        "failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource "
        + "metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"
      #expect(
        try await Self.condition(plane, "ScalingActive")["message"].string
          == "the HPA was unable to compute the replica count: \(why)")
      #expect(try await Self.condition(plane, "AbleToScale")["reason"] == "SucceededGetScale")
      let version = try await plane.admin.get(.horizontalPodAutoscalers, namespace: "default", name: "scaler")[
        "metadata"]["resourceVersion"]
      try await plane.world.sleep(for: .seconds(300))
      let object = try await plane.admin.get(.horizontalPodAutoscalers, namespace: "default", name: "scaler")
      #expect(object["metadata"]["resourceVersion"] == version, "nothing new is nothing to write")
      let events = try await plane.admin.list(.events, namespace: "default").items
        .filter { $0["involvedObject"]["name"].string == "scaler" }
      #expect(
        Set(events.compactMap { $0["reason"].string }) == ["FailedGetResourceMetric", "FailedComputeMetricsReplicas"])
      let count = events.filter { $0["reason"].string == "FailedGetResourceMetric" }.compactMap { $0["count"].integer }
        .reduce(0, +)
      #expect((18...24).contains(count), "looked \(count) times in five minutes")
      #expect(events.contains { $0["message"].string == why })
      #expect(try await plane.deployment("web")["spec"]["replicas"] == 3)
    }
  }

  @Test func boundsHoldWithoutMetrics() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.admin.create(.deployments, namespace: "default", Fixture.deployment("web", replicas: 1))
      try await plane.rolledOut("web")
      try await plane.admin.create(.horizontalPodAutoscalers, namespace: "default", Self.autoscaler())
      try await plane.world.eventually("as many as are wanted at least", within: .seconds(40)) {
        try await plane.deployment("web")["spec"]["replicas"] == 2
      }
      try await plane.world.eventually("said so") {
        try await plane.events(of: "scaler").contains(
          "SuccessfulRescale: New size: 2; reason: Current number of replicas below Spec.MinReplicas")
      }
      let status = try await plane.admin.get(.horizontalPodAutoscalers, namespace: "default", name: "scaler")["status"]
      #expect(status["lastScaleTime"].string != nil)
      // Zero replicas are nobody's to scale.
      try await plane.admin.patch(
        .deployments, namespace: "default", name: "web", ["spec": ["replicas": 0]], type: .merge, subresource: "scale")
      try await plane.world.eventually("left alone", within: .seconds(40)) {
        try await Self.condition(plane, "ScalingActive")["reason"] == "ScalingDisabled"
      }
      #expect(try await plane.deployment("web")["spec"]["replicas"] == 0)
    }
  }

  @Test func aTargetThatIsNotThereIsSaid() throws {
    try ControlPlane(nodes: 1).tell { plane in
      try await plane.admin.create(.horizontalPodAutoscalers, namespace: "default", Self.autoscaler())
      try await plane.world.eventually("it says so", within: .seconds(40)) {
        try await Self.condition(plane, "AbleToScale")["reason"] == "FailedGetScale"
      }
      let message = try await Self.condition(plane, "AbleToScale")["message"].string
      #expect(
        message
          == "the HPA controller was unable to get the target's current scale: deployments.apps \"web\" not found")
      try await plane.world.eventually("said so") {
        try await plane.events(of: "scaler").contains("FailedGetScale: deployments.apps \"web\" not found")
      }
    }
  }

  /// Given two metrics of which one cannot be had, then the other may ask for more pods, never for fewer.
  @Test func aMetricThatIsMissingKeepsPodsFromGoing() throws {
    let plane = try ControlPlane(nodes: 1, controllers: false)
    let use = PodUse()
    let manager = plane.cluster.startControllers { MeasuredTransport(base: $0, use: use) }
    try plane.tell { plane in
      var web = Fixture.deployment("web", replicas: 3)
      web["spec"]["template"]["spec"]["containers"] = [
        ["name": "main", "image": "web:1", "resources": ["requests": ["cpu": "100m"]]]
      ]
      try await plane.admin.create(.deployments, namespace: "default", web)
      try await plane.rolledOut("web")
      // Young pods are not believed.
      try await plane.world.sleep(for: .seconds(600))
      use.set(10, of: try await plane.pods("app=web").map(\.name))
      let metrics: JSONValue = [
        [
          "type": "External",
          "external": ["metric": ["name": "queue"], "target": ["type": "Value", "value": "5"]],
        ],
        [
          "type": "Resource",
          "resource": ["name": "cpu", "target": ["type": "Utilization", "averageUtilization": 50]],
        ],
      ]
      try await plane.admin.create(
        .horizontalPodAutoscalers, namespace: "default", Self.autoscaler(["metrics": metrics]))
      try await plane.world.eventually("it says what is missing", within: .seconds(40)) {
        let active = try await Self.condition(plane, "ScalingActive")
        return active["status"] == "False" && active["reason"] == "FailedGetExternalMetric"
      }
      @Sendable func shown() async throws -> JSONValue {
        try await plane.admin.get(.horizontalPodAutoscalers, namespace: "default", name: "scaler")["status"][
          "currentMetrics"]
      }
      func share(_ percent: Int64) -> JSONValue {
        [
          ["type": ""],
          [
            "type": "Resource",
            "resource": [
              "name": "cpu",
              "current": ["averageUtilization": .integer(percent), "averageValue": .string("\(percent)m")],
            ],
          ],
        ]
      }
      #expect(try await shown() == share(10))
      try await plane.world.eventually("told", within: .seconds(40)) {
        try await plane.events(of: "scaler").contains {
          $0.hasPrefix("FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 2), first error is: ")
        }
      }
      try await plane.world.sleep(for: .seconds(600))
      #expect(try await plane.deployment("web")["spec"]["replicas"] == 3)
      use.set(100, of: try await plane.pods("app=web").map(\.name))
      try await plane.world.eventually("more of them", within: .seconds(40)) {
        try await plane.deployment("web")["spec"]["replicas"] == 5
      }
      #expect(try await Self.condition(plane, "ScalingActive")["reason"] == "ValidMetricFound")
      #expect(try await shown() == share(100))
      // A target that is out of bounds is not measured.
      try await plane.admin.patch(
        .horizontalPodAutoscalers, namespace: "default", name: "scaler", ["spec": ["maxReplicas": 4]], type: .merge)
      try await plane.world.eventually("nothing to show", within: .seconds(40)) { try await shown().isNull }
    }
    manager.cancel()
  }
}

/// What each pod uses of the processor, in thousandths.
private final class PodUse: Sendable {
  private let state = Mutex<(pods: [String], milli: Int64)>(([], 0))

  func set(_ milli: Int64, of pods: [String]) { state.withLock { $0 = (pods, milli) } }

  var list: JSONValue {
    let (pods, milli) = state.withLock { $0 }
    return [
      "kind": "PodMetricsList", "apiVersion": "metrics.k8s.io/v1beta1", "metadata": [:],
      "items": .array(
        pods.map {
          [
            "metadata": ["name": .string($0), "namespace": "default"], "window": "30s",
            "containers": [["name": "main", "usage": ["cpu": .string("\(milli)m")]]],
          ]
        }),
    ]
  }
}

/// A cluster with a server of resource metrics.
private struct MeasuredTransport: HTTPTransport {
  let base: any HTTPTransport
  let use: PodUse

  func send(_ request: HTTPRequest) async throws -> HTTPResponse {
    guard request.target.hasPrefix("/apis/metrics.k8s.io/v1beta1/namespaces/default/pods") else {
      return try await base.send(request)
    }
    return HTTPResponse(status: 200, body: .bytes(use.list.bytes))
  }
}
