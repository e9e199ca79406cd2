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
  private let expectations: Expectations
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
    queue = WorkQueue(world: context.world)
    orphans = WorkQueue(world: context.world)
    expectations = Expectations(world: context.world)
    jobs.onEvent { [weak self] event in self?.jobChanged(event) }
    pods.onEvent { [weak self] event in self?.podChanged(event) }
  }

  public func run() async {
    await jobs.waitForSync()
    await pods.waitForSync()
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await self.queue.run(
          workers: Self.workers, onError: { [logger = self.logger] key, error in logger.debug("job \(key): \(error)") },
          sync: { try await self.sync($0) })
      }
      group.addTask {
        await self.orphans.run(
          workers: 1, onError: { [logger = self.logger] key, error in logger.debug("pod \(key): \(error)") },
          sync: { try await self.release($0) })
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
      expectations.forget(job.key)
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
    if case .updated(let old, let new) = event {
      if old.isJobTracked && !new.isJobTracked { untrackingObserved(new) }
      if old.metadata.controller != new.metadata.controller, let before = job(of: old) {
        queue.add(before.key, after: Self.batchPeriod)
      }
    }
    if case .deleted = event { untrackingObserved(pod) }
    guard let job = job(of: pod) else { return strayed(event) }
    if case .deleted = event {
      expectations.deletionObserved(job.key, pod.key)
    } else if pod.metadata.isBeingDeleted {
      expectations.deletionObserved(job.key, pod.key)
    } else if case .added = event {
      expectations.creationObserved(job.key)
    }
    queue.add(job.key, after: Self.batchPeriod)
  }

  private func untrackingObserved(_ pod: Pod) {
    guard let controller = pod.metadata.controller else { return }
    let key = NamespacedName(namespace: pod.namespace, name: controller.name)
    state.withLock { _ = $0.untracking[key]?.remove(pod.metadata.uid) }
  }

  /// A pod that no job has: some job may want it, or its finalizer has outlived its job.
  private func strayed(_ event: InformerEvent<Pod>) {
    let pod = event.object
    if case .deleted = event { return }
    if pod.isJobTracked { orphans.add(pod.key) }
    guard pod.metadata.controller == nil else { return }
    for job in jobs.objects(index: IndexName.namespace, value: pod.namespace)
    where job.selector.matches(pod.metadata.labels) {
      queue.add(job.key, after: Self.batchPeriod)
    }
  }

  /// The job that controls a pod; not an earlier one of that name.
  private func job(of pod: Pod) -> Job? {
    guard let controller = pod.metadata.controller, controller.kind == Job.reference.kind,
      controller.apiVersion == Job.reference.apiVersion,
      let job = jobs.get(namespace: pod.namespace, name: controller.name), job.metadata.uid == controller.uid
    else { return nil }
    return job
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
    let isSettled = expectations.isSatisfied(key)
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
    let (outcome, error) = await act(on: plan, job)
    try await account(JobAccount(view, plan, outcome), of: job, backoff: backoff)
    if let error { throw error }
  }

  /// The pods that are this job's, after adopting and releasing.
  private func claim(_ job: Job) async throws -> [Pod] {
    let claim = PodClaim(
      owner: job.metadata, selector: job.selector,
      controlled: pods.objects(index: IndexName.controllerUID, value: job.metadata.uid),
      orphans: pods.objects(index: IndexName.orphan, value: job.namespace))
    var owned = claim.owned
    if !claim.toAdopt.isEmpty, try await isStillThere(job) {
      for pod in claim.toAdopt {
        let adopted = try await client.patch(
          .pods, namespace: pod.namespace, name: pod.name,
          [
            "metadata": [
              "ownerReferences": [job.controllerReference.json], "uid": .string(pod.metadata.uid),
              "finalizers": [.string(JobNames.finalizer)],
            ]
          ], type: .strategic)
        owned.append(Pod(json: adopted))
      }
    }
    for pod in claim.toRelease {
      try await untrack(pod, releasing: job.metadata.uid)
    }
    return owned
  }

  private func isStillThere(_ job: Job) async throws -> Bool {
    guard let live = try await client.find(.jobs, namespace: job.namespace, name: job.name) else { return false }
    return live["metadata"]["uid"].string == job.metadata.uid && live["metadata"]["deletionTimestamp"].isNull
  }

  // MARK: Pods

  private func act(on plan: JobPlan, _ job: Job) async -> (JobOutcome, (any Error)?) {
    var outcome = JobOutcome()
    switch plan.action {
    case .nothing: return (outcome, nil)
    case .create(let requests):
      let (created, error) = await create(requests, for: job)
      outcome.created = created
      return (outcome, error)
    case .delete(let victims):
      // Of a job that ends nothing will be made: there is nothing to expect before.
      if plan.manages { expectations.expectDeletions(victims.map(\.key), by: job.key) }
      let (deleted, error) = await delete(victims, of: job)
      outcome.deleted = deleted
      return (outcome, error)
    }
  }

  private func create(_ requests: [JobPodRequest], for job: Job) async -> (Int, (any Error)?) {
    expectations.expectCreations(requests.count, by: job.key)
    let subject = EventRecorder.Subject(job)
    let (succeeded, error) = await slowStart(requests.count) { [client, recorder] position in
      let created = try await client.create(.pods, namespace: job.namespace, requests[position].pod(of: job))
      recorder.record(
        subject, .normal, reason: "SuccessfulCreate",
        message: "Created pod: \(created["metadata"]["name"].string ?? "")")
    }
    if succeeded < requests.count { expectations.creationObserved(job.key, count: requests.count - succeeded) }
    guard let error else { return (succeeded, nil) }
    if let status = error as? APIStatus, status.isNamespaceTerminating { return (succeeded, nil) }
    recorder.record(subject, .warning, reason: "FailedCreate", message: "Error creating: \(Self.text(error))")
    return (succeeded, error)
  }

  /// Returns the pods that are on their way out, and the first error.
  private func delete(_ victims: [Pod], of job: Job) async -> ([Pod], (any Error)?) {
    let subject = EventRecorder.Subject(job)
    return await withTaskGroup(of: (Pod, (any Error)?).self) { group in
      for pod in victims {
        group.addTask { [client, recorder, expectations] in
          do {
            try await client.delete(
              .pods, namespace: pod.namespace, name: pod.name, DeleteOptions(uid: pod.metadata.uid))
            recorder.record(subject, .normal, reason: "SuccessfulDelete", message: "Deleted pod: \(pod.name)")
            return (pod, nil)
          } catch {
            expectations.deletionObserved(job.key, pod.key)
            if let status = error as? APIStatus, status.code == 404 || status.code == 409 { return (pod, nil) }
            recorder.record(subject, .warning, reason: "FailedDelete", message: "Error deleting: \(Self.text(error))")
            return (pod, error)
          }
        }
      }
      return await group.reduce(into: ([], nil)) { result, one in
        if let error = one.1 { result.1 = result.1 ?? error } else { result.0.append(one.0) }
      }
    }
  }

  private static func text(_ error: any Error) -> String { (error as? APIStatus)?.message ?? "\(error)" }

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
        group.addTask {
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
    if let job = job(of: pod), !job.isFinished { return }
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
