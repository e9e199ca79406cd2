// Horizontal pod autoscalers: as many replicas as their metrics ask for, looked at every 15 seconds (spec/5 §5.7).
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

public final class AutoscalerController: Controller {
  public static let serviceAccount = "horizontal-pod-autoscaler"
  private static let workers = 5
  private static let period = Duration.seconds(15)

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let autoscalers: Informer<HorizontalPodAutoscaler>
  private let pods: Informer<Pod>
  private let discovery: ResourceDiscovery
  private let queue: WorkQueue<NamespacedName>
  private let state = Mutex(State())

  private struct State {
    var histories: [NamespacedName: ScalingHistory] = [:]
    /// The selectors of targets, to find autoscalers that mean the same pods.
    var selectors: [NamespacedName: LabelSelector] = [:]
  }

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = context.recorder(Self.serviceAccount)
    logger = context.logger
    autoscalers = informers.autoscalers
    pods = informers.pods
    discovery = ResourceDiscovery(client: client)
    queue = context.makeQueue("horizontalpodautoscaler")
    autoscalers.onEvent { [weak self] event in self?.changed(event) }
  }

  private func changed(_ event: InformerEvent<HorizontalPodAutoscaler>) {
    let key = event.object.key
    switch event {
    case .added: queue.add(key)
    // Its own status is no news.
    case .updated(let old, let new): if old.json["spec"] != new.json["spec"] { queue.add(key) }
    case .deleted:
      state.withLock { state in
        state.histories[key] = nil
        state.selectors[key] = nil
      }
    }
  }

  public func run() async {
    await autoscalers.waitForSync()
    await pods.waitForSync()
    await queue.run(
      workers: Self.workers, onError: { [logger] key, error in logger.debug("autoscaler \(key): \(error)") },
      sync: { key in
        guard let autoscaler = self.autoscalers.get(key) else { return }
        // What fails is tried again when its time comes, not before.
        defer { self.queue.add(key, after: Self.period) }
        do { try await self.sync(autoscaler) } catch { self.logger.debug("autoscaler \(key): \(error)") }
      })
  }

  // MARK: One look

  /// Why this look comes to nothing; conditions say so already.
  private struct Abandoned: Error {}

  private func sync(_ autoscaler: HorizontalPodAutoscaler) async throws {
    let now = WallTime(secondsSinceEpoch: world.wallClock.secondsSinceEpoch)
    var status = AutoscalerStatus(autoscaler, now: now)
    do {
      try await look(autoscaler, &status, now)
    } catch is Abandoned {}
    try await write(status, to: autoscaler)
  }

  private func look(_ autoscaler: HorizontalPodAutoscaler, _ status: inout AutoscalerStatus, _ now: WallTime)
    async throws
  {
    let (resource, scale) = try await scale(of: autoscaler, &status)
    status.set(
      "AbleToScale", true,
      ScalingRemark(
        reason: "SucceededGetScale", message: "the HPA controller was able to get the target's current scale"))
    let current = scale["spec"].scaleReplicas
    state.withLock { $0.histories[autoscaler.key, default: ScalingHistory()].begin(with: current, at: now) }

    var desired = current
    var reason = ""
    // What this look did not measure is not shown.
    status.show(metrics: [])
    if current == 0 && autoscaler.minReplicas != 0 {
      status.set(
        "ScalingActive", false,
        ScalingRemark(
          reason: "ScalingDisabled",
          message: "scaling is disabled since the replica count of the target is zero"))
      desired = 0
    } else if current > autoscaler.maxReplicas {
      reason = "Current number of replicas above Spec.MaxReplicas"
      desired = autoscaler.maxReplicas
    } else if current < autoscaler.minReplicas {
      reason = "Current number of replicas below Spec.MinReplicas"
      desired = autoscaler.minReplicas
    } else {
      let wanted = try await measure(autoscaler, scale, &status, now)
      if wanted.replicas > current { reason = "\(wanted.name) above target" }
      if wanted.replicas < current { reason = "All metrics below target" }
      let decision = state.withLock {
        $0.histories[autoscaler.key, default: ScalingHistory()].decide(
          wanted.replicas, current: current, for: autoscaler, at: now)
      }
      status.set("AbleToScale", true, decision.stabilization)
      status.set("ScalingLimited", decision.isLimited, decision.limit)
      desired = decision.replicas
    }
    if desired != current {
      try await rescale(autoscaler, resource, scale, to: desired, reason, &status)
      state.withLock { $0.histories[autoscaler.key]?.note(from: current, to: desired, at: now) }
    }
    status.set(current: current, desired: desired, isScaled: desired != current)
  }

  // MARK: The target

  private func scale(of autoscaler: HorizontalPodAutoscaler, _ status: inout AutoscalerStatus) async throws -> (
    ResourceReference, JSONValue
  ) {
    let failure: String
    do {
      if let resource = try await discovery.resource(
        apiVersion: autoscaler.targetAPIVersion, kind: autoscaler.targetKind)
      {
        let path = resource.path(
          namespace: autoscaler.namespace, name: autoscaler.targetName, subresource: "scale")
        return (resource, try await client.json("GET", path, []))
      }
      failure =
        "unable to determine resource for scale target reference: no matches for kind \"\(autoscaler.targetKind)\" in "
        + "group \"\(autoscaler.targetAPIVersion.split(separator: "/").dropLast().joined())\""
    } catch {
      failure = (error as? APIStatus)?.message ?? "\(error)"
    }
    warn(autoscaler, "FailedGetScale", failure)
    status.set(
      "AbleToScale", false,
      ScalingRemark(
        reason: "FailedGetScale",
        message: "the HPA controller was unable to get the target's current scale: \(failure)"))
    throw Abandoned()
  }

  private func rescale(
    _ autoscaler: HorizontalPodAutoscaler, _ resource: ResourceReference, _ scale: JSONValue, to desired: Int64,
    _ reason: String, _ status: inout AutoscalerStatus
  ) async throws {
    var scale = scale
    let current = scale["spec"].scaleReplicas
    scale["spec"]["replicas"] = .integer(desired)
    do {
      try await client.update(
        resource, namespace: autoscaler.namespace, name: autoscaler.targetName, scale, subresource: "scale")
    } catch {
      let text = (error as? APIStatus)?.message ?? "\(error)"
      warn(autoscaler, "FailedRescale", "New size: \(desired); reason: \(reason); error: \(text)")
      status.set(
        "AbleToScale", false,
        ScalingRemark(
          reason: "FailedUpdateScale", message: "the HPA controller was unable to update the target scale: \(text)"))
      status.set(current: current)
      throw Abandoned()
    }
    status.set(
      "AbleToScale", true,
      ScalingRemark(
        reason: "SucceededRescale",
        message: "the HPA controller was able to update the target scale to \(desired)"))
    recorder.record(
      EventRecorder.Subject(autoscaler), .normal, reason: "SuccessfulRescale",
      message: "New size: \(desired); reason: \(reason)")
  }

  // MARK: Metrics

  private struct Wanted {
    var replicas: Int64
    var name: String
  }

  private func measure(
    _ autoscaler: HorizontalPodAutoscaler, _ scale: JSONValue, _ status: inout AutoscalerStatus, _ now: WallTime
  ) async throws -> Wanted {
    let current = scale["spec"].scaleReplicas
    let text = scale["status"]["selector"].string ?? ""
    do {
      let selector = try self.selector(text, of: autoscaler)
      let reader = MetricReader(
        client: MetricsClient(client: client), discovery: discovery, namespace: autoscaler.namespace, selector: text,
        statusReplicas: scale["status"].scaleReplicas,
        calculator: ReplicaCalculator(
          currentReplicas: current, pods: targets(selector, autoscaler.namespace), now: now))
      var best: MetricResult?
      var metrics: [JSONValue] = []
      var refusals: [MetricRefusal] = []
      for spec in autoscaler.metrics {
        do throws(MetricRefusal) {
          let result = try await reader.read(spec)
          metrics.append(result.status)
          let most = best?.proposal.replicas ?? 0
          if most == 0 || result.proposal.replicas > most { best = result }
        } catch {
          // Readers find a metric by its place in the spec: one that is missing leaves its place empty.
          metrics.append(["type": ""])
          warn(autoscaler, error.reason, error.message)
          refusals.append(error)
        }
      }
      status.show(metrics: metrics)
      // With a metric missing nobody knows whether fewer would do.
      if let best, refusals.isEmpty || best.proposal.replicas >= current {
        status.set(
          "ScalingActive", true,
          ScalingRemark(
            reason: "ValidMetricFound",
            message: "the HPA was able to successfully calculate a replica count from \(best.name)"))
        return Wanted(replicas: best.proposal.replicas, name: best.name)
      }
      let first = refusals.first ?? MetricRefusal(reason: "InvalidMetricSourceType", message: "", summary: "")
      status.set(
        "ScalingActive", false,
        ScalingRemark(
          reason: first.reason, message: "the HPA was unable to compute the replica count: \(first.message)"))
      warn(
        autoscaler, "FailedComputeMetricsReplicas",
        "invalid metrics (\(refusals.count) invalid out of \(autoscaler.metrics.count)), first error is: "
          + first.summary)
    } catch let bad as BadSelector {
      warn(autoscaler, bad.eventReason, bad.message)
      status.set(
        "ScalingActive", false, ScalingRemark(reason: bad.reason, message: bad.conditionMessage ?? bad.message))
      warn(autoscaler, "FailedComputeMetricsReplicas", bad.message)
    }
    status.set(current: current)
    throw Abandoned()
  }

  private func targets(_ selector: LabelSelector, _ namespace: String) -> [Pod] {
    pods.objects(index: IndexName.namespace, value: namespace).filter { selector.matches($0.metadata.labels) }
  }

  /// A target's pods cannot be told.
  private struct BadSelector: Error {
    var eventReason: String
    var reason: String
    var message: String
    var conditionMessage: String?
  }

  private func selector(_ text: String, of autoscaler: HorizontalPodAutoscaler) throws -> LabelSelector {
    guard !text.isEmpty else {
      throw BadSelector(
        eventReason: "SelectorRequired", reason: "InvalidSelector", message: "selector is required",
        conditionMessage: "the HPA target's scale is missing a selector")
    }
    let selector: LabelSelector
    do { selector = try LabelSelector(parsing: text) } catch {
      throw BadSelector(
        eventReason: "InvalidSelector", reason: "InvalidSelector",
        message: "couldn't convert selector into a corresponding internal selector object: \(error)")
    }
    let others = state.withLock { state in
      state.selectors[autoscaler.key] = selector
      return state.selectors.filter { $0.key.namespace == autoscaler.namespace && $0.key != autoscaler.key }
    }
    let rivals = others.filter { other in
      targets(selector, autoscaler.namespace).contains { other.value.matches($0.metadata.labels) }
    }
    guard rivals.isEmpty else {
      let all = (rivals.keys + [autoscaler.key]).sorted().map(\.description).joined(separator: " ")
      throw BadSelector(
        eventReason: "AmbiguousSelector", reason: "AmbiguousSelector",
        message: "pods by selector \(text) are controlled by multiple HPAs: [\(all)]")
    }
    return selector
  }

  private func warn(_ autoscaler: HorizontalPodAutoscaler, _ reason: String, _ message: String) {
    recorder.record(EventRecorder.Subject(autoscaler), .warning, reason: reason, message: message)
  }

  /// Under the resourceVersion that was read.
  private func write(_ status: AutoscalerStatus, to autoscaler: HorizontalPodAutoscaler) async throws {
    guard status.hasChanged else { return }
    var object = autoscaler.json
    object["status"] = status.json
    do {
      try await client.update(
        .horizontalPodAutoscalers, namespace: autoscaler.namespace, name: autoscaler.name, object,
        subresource: "status")
    } catch let status as APIStatus where status.code == 404 || status.code == 409 { return }
  }
}
