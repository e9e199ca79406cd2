// Jobs: pods until enough of them have succeeded (spec/5 §5.5). What to do is decided in JobPlan, what to count in
// JobAccount; here it is seen and done.
import Client
import JSON
import Logging
import Schema
import Synchronization
import World

public final class JobController: Controller {
  public static let serviceAccount = "job-controller"
  private static let workers = 5
  /// Events of pods are gathered for so long: a job of thousands is not counted anew for each.
  private static let batchPeriod = Duration.milliseconds(100)

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let jobs: Informer<Job>
  private let pods: Informer<Pod>
  private let queue: WorkQueue<NamespacedName>
  /// Pods that a finalizer holds for a job that is not there.
  private let orphans: WorkQueue<NamespacedName>
  private let ownedPods: OwnedPods<Job>
  private let state = Mutex(State())

  private struct State {
    /// By job: pods whose finalizer was asked to be taken off, until the informer has seen it gone.
    var untracking: [NamespacedName: Set<String>] = [:]
    var backoffs: [NamespacedName: JobBackoff] = [:]
  }

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = context.recorder(Self.serviceAccount)
    logger = context.logger
    jobs = informers.jobs
    pods = informers.pods
    queue = context.makeQueue("job")
    orphans = context.makeQueue("job_orphan_pod")
    ownedPods = OwnedPods(client: client, recorder: recorder, owners: jobs, pods: pods, world: context.world)
    jobs.onEvent { [weak self] event in self?.jobChanged(event) }
    pods.onEvent { [weak self] event in self?.podChanged(event) }
  }

  public func run() async {
    await withTaskGroup(of: Void.self) { group in
      for (queue, workers, what, sync) in [
        (queue, Self.workers, "job", sync), (orphans, 1, "pod", release),
      ] as [(WorkQueue<NamespacedName>, Int, String, @Sendable (NamespacedName) async throws -> Void)] {
        group.addTask(on: world) {
          await self.work(
            queue, workers: workers, after: [self.jobs, self.pods], logger: self.logger, what, sync: sync)
        }
      }
    }
  }

  // MARK: Observing

  private func jobChanged(_ event: InformerEvent<Job>) {
    let job = event.object
    switch event {
    case .added: queue.add(job.key)
    case .updated(let old, let new):
      // Its status changes as its pods do, and with them it is looked at.
      if old.metadata.generation == new.metadata.generation, !new.metadata.isBeingDeleted {
        queue.add(new.key, after: Self.batchPeriod)
      } else {
        queue.add(new.key)
      }
    case .deleted:
      ownedPods.forget(job)
      state.withLock { state in
        state.untracking[job.key] = nil
        state.backoffs[job.key] = nil
      }
      for pod in pods.objects(index: IndexName.controllerUID, value: job.metadata.uid) where pod.isJobTracked {
        orphans.add(pod.key)
      }
    }
  }

  private func podChanged(_ event: InformerEvent<Pod>) {
    let pod = event.object
    if case .updated(let old, let new) = event, old.isJobTracked && !new.isJobTracked { untrackingObserved(new) }
    if case .deleted = event { untrackingObserved(pod) }
    for key in ownedPods.observe(event) { queue.add(key, after: Self.batchPeriod) }
    if case .deleted = event { return }
    // Its finalizer has outlived its job.
    if pod.isJobTracked, jobs.controller(of: pod) == nil { orphans.add(pod.key) }
  }

  private func untrackingObserved(_ pod: Pod) {
    guard let controller = pod.metadata.controller else { return }
    let key = NamespacedName(namespace: pod.namespace, name: controller.name)
    state.withLock { _ = $0.untracking[key]?.remove(pod.metadata.uid) }
  }

  // MARK: Reconciling

  private func sync(_ key: NamespacedName) async throws {
    guard let job = jobs.get(key) else { return }
    guard job.managedBy.isEmpty || job.managedBy == JobNames.controller else { return }
    if job.isFinished { return state.withLock { $0.backoffs[key] = nil } }
    guard job.completionMode == "NonIndexed" || job.completionMode == "Indexed" else {
      return recorder.record(
        EventRecorder.Subject(job), .warning, reason: "UnknownCompletionMode",
        message: "Skipped Job sync because completion mode is unknown")
    }
    let isSettled = ownedPods.isSettled(key)
    // Before the pods: what leaves this set later has been seen by then.
    let (untracking, known) = state.withLock { ($0.untracking[key] ?? [], $0.backoffs[key] ?? JobBackoff()) }
    let view = JobView(
      job, pods: try await claim(job), untracking: untracking, isSettled: isSettled, now: world.wallClock)
    var backoff = known
    // Pods of a suspended job were sent away, and say nothing of how the next will do.
    backoff.observe(
      succeeded: view.newSucceeded,
      failed: job.isSuspended ? view.newFailed.filter { $0.status.phase == "Failed" } : view.newFailed)
    let plan = JobPlan(view, backoff: backoff)
    if let recheck = plan.recheck { queue.add(key, after: recheck + .milliseconds(1)) }
    let outcome = await act(on: plan, job)
    try await account(JobAccount(view, plan, outcome), of: job, backoff: backoff)
    if let error = outcome.error { throw error }
  }

  /// The pods that are this job's, after adopting and releasing: its finalizer comes and goes with that.
  private func claim(_ job: Job) async throws -> [Pod] {
    try await client.claim(pods, for: job, isAdoptable: \.isActive) { pod in
      Pod(
        json: try await self.client.patch(
          .pods, namespace: pod.namespace, name: pod.name,
          [
            "metadata": [
              "ownerReferences": [job.controllerReference.json], "uid": .string(pod.metadata.uid),
              "finalizers": [.string(JobNames.finalizer)],
            ]
          ], type: .strategic))
    } release: { pod in
      try await self.untrack(pod, releasing: job.metadata.uid)
    }
  }

  // MARK: Pods

  private func act(on plan: JobPlan, _ job: Job) async -> PodOutcome {
    switch plan.action {
    case .nothing: return PodOutcome()
    case .create(let requests):
      return await ownedPods.perform(creating: requests.map { $0.creation(of: job) }, for: job)
    case .delete(let victims):
      // Of a job that ends nothing will be made: there is nothing to expect before.
      return await ownedPods.perform(deleting: victims, for: job, expecting: plan.manages)
    }
  }

  // MARK: Counting

  private func account(_ first: JobAccount, of job: Job, backoff: JobBackoff) async throws {
    var account = first
    var written = job
    if account.status != job.status {
      guard let json = try await write(account.status, to: job) else { return }
      written = Job(json: json)
      announceSuspension(account, job)
    }
    state.withLock { $0.backoffs[job.key] = backoff == JobBackoff() ? nil : backoff }
    let (untracked, error) = await untrack(account.toUntrack, of: job)
    account.untracked(untracked)
    let isFinished = account.finish(at: world.wallClock)
    if account.status != written.status {
      guard try await write(account.status, to: written) != nil else { return }
      if isFinished { announceEnd(account, job) }
    }
    if let error { throw error }
  }

  /// Under the resourceVersion that was read: counts are made of what it says. Nil when the job is gone.
  private func write(_ status: JobStatus, to job: Job) async throws -> JSONValue? {
    var object = job.json
    object["status"] = status.json
    do {
      return try await client.update(.jobs, namespace: job.namespace, name: job.name, object, subresource: "status")
    } catch let status as APIStatus where status.code == 404 { return nil }
  }

  private func announceSuspension(_ account: JobAccount, _ job: Job) {
    guard let isSuspended = account.suspensionChange else { return }
    recorder.record(
      EventRecorder.Subject(job), .normal, reason: isSuspended ? "Suspended" : "Resumed",
      message: isSuspended ? "Job suspended" : "Job resumed")
  }

  private func announceEnd(_ account: JobAccount, _ job: Job) {
    guard let verdict = account.verdict else { return }
    let subject = EventRecorder.Subject(job)
    guard !verdict.hasFailed else {
      return recorder.record(subject, .warning, reason: verdict.reason, message: verdict.message)
    }
    if let completions = job.completions, account.status.succeeded > completions {
      recorder.record(
        subject, .warning, reason: "TooManySucceededPods",
        message: "Too many succeeded pods running after completion count reached")
    }
    recorder.record(subject, .normal, reason: "Completed", message: "Job completed")
  }

  /// Takes the finalizer off; returns those that are held by it no longer, and the first error.
  private func untrack(_ pods: [Pod], of job: Job) async -> (Set<String>, (any Error)?) {
    guard !pods.isEmpty else { return ([], nil) }
    state.withLock { $0.untracking[job.key, default: []].formUnion(pods.map(\.metadata.uid)) }
    return await withTaskGroup(of: (String, (any Error)?).self) { group in
      for pod in pods {
        group.addTask(on: world) {
          do {
            try await self.untrack(pod)
            // Between the question and its answer the informer may have missed the pod's end.
            if self.pods.get(pod.key)?.metadata.uid != pod.metadata.uid { self.untrackingObserved(pod) }
            return (pod.metadata.uid, nil)
          } catch {
            self.untrackingObserved(pod)
            return (pod.metadata.uid, error)
          }
        }
      }
      return await group.reduce(into: ([], nil)) { result, one in
        if let error = one.1 { result.1 = result.1 ?? error } else { result.0.insert(one.0) }
      }
    }
  }

  /// A pod that is gone, or is another by now, holds nothing.
  private func untrack(_ pod: Pod, releasing owner: String? = nil) async throws {
    var metadata: JSONValue = [
      "uid": .string(pod.metadata.uid), "$deleteFromPrimitiveList/finalizers": [.string(JobNames.finalizer)],
    ]
    if let owner { metadata["ownerReferences"] = [["$patch": "delete", "uid": .string(owner)]] }
    do {
      try await client.patch(
        .pods, namespace: pod.namespace, name: pod.name, ["metadata": metadata], type: .strategic)
    } catch let status as APIStatus where status.code == 404 || status.code == 409 || status.code == 422 {
      let live = try await client.find(.pods, namespace: pod.namespace, name: pod.name).map(Pod.init(json:))
      if let live, live.metadata.uid == pod.metadata.uid, live.isJobTracked { throw status }
    }
  }

  /// Lets go of a pod whose job is not there any more.
  private func release(_ key: NamespacedName) async throws {
    guard let pod = pods.get(key), pod.isJobTracked else { return }
    if let job = jobs.controller(of: pod), !job.isFinished { return }
    if let controller = pod.metadata.controller, controller.kind == Job.reference.kind,
      controller.apiVersion == Job.reference.apiVersion
    {
      // The informer of jobs may be behind that of pods.
      let live = try await client.find(.jobs, namespace: pod.namespace, name: controller.name).map(Job.init(json:))
      if let live, live.metadata.uid == controller.uid, !live.isFinished { return }
    }
    try await untrack(pod)
  }
}
