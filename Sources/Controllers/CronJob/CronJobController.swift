// Cron jobs: a job for each time of a schedule (spec/5 §5.6). Nothing polls: a timer a cron job.
import Client
import JSON
import Logging
import Schema
import World

public final class CronJobController: Controller {
  public static let serviceAccount = "cronjob-controller"
  private static let workers = 5

  private let world: any World
  private let client: APIClient
  private let recorder: EventRecorder
  private let logger: Logger
  private let cronJobs: Informer<CronJob>
  private let jobs: Informer<Job>
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    recorder = context.recorder(Self.serviceAccount)
    logger = context.logger
    cronJobs = informers.cronJobs
    jobs = informers.jobs
    queue = context.makeQueue("cronjob")
    cronJobs.onEvent { [queue] event in queue.add(event.object.key) }
    jobs.onEvent { [queue] event in
      if case .updated(let old, let new) = event, old.isFinished == new.isFinished,
        old.metadata.controller == new.metadata.controller
      {
        return
      }
      guard let controller = event.object.metadata.controller, controller.kind == CronJob.reference.kind else { return }
      queue.add(NamespacedName(namespace: event.object.namespace, name: controller.name))
    }
  }

  public func run() async {
    await cronJobs.waitForSync()
    await jobs.waitForSync()
    await queue.run(
      workers: Self.workers, onError: { [logger] key, error in logger.debug("cron job \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    guard var cronJob = cronJobs.get(key) else { return }
    let owned = jobs.objects(index: IndexName.controllerUID, value: cronJob.metadata.uid)
    // The informer of jobs may be ahead of that of cron jobs.
    if owned.contains(where: { !$0.isFinished && !cronJob.status.isActive(uid: $0.metadata.uid) }),
      let live = try await client.find(.cronJobs, namespace: key.namespace, name: key.name),
      live["metadata"]["uid"].string == cronJob.metadata.uid
    {
      cronJob = CronJob(json: live)
    }
    let plan = CronJobPlan(
      cronJob, jobs: owned, vanished: try await vanished(cronJob, owned), now: world.wallClock)
    let subject = EventRecorder.Subject(cronJob)
    for remark in plan.remarks {
      recorder.record(subject, remark.type, reason: remark.reason, message: remark.message)
    }
    for job in plan.toDelete { try await delete(job.name, uid: job.metadata.uid, of: cronJob) }
    var status = plan.status
    var failure: (any Error)?
    if let start = plan.start {
      do { try await begin(start, of: cronJob, &status) } catch { failure = error }
    }
    try await write(status, to: cronJob)
    if let failure { throw failure }
    if let recheck = plan.recheck { queue.add(key, after: recheck) }
  }

  /// Jobs of the active list that are there no more: the informer does not know them, nor does the server.
  private func vanished(_ cronJob: CronJob, _ owned: [Job]) async throws -> Set<String> {
    var vanished: Set<String> = []
    let known = Set(owned.map(\.metadata.uid))
    for reference in cronJob.status.active {
      guard let uid = reference["uid"].string, !known.contains(uid) else { continue }
      let live = try await client.find(.jobs, namespace: cronJob.namespace, name: reference["name"].string ?? "")
      if live?["metadata"]["uid"].string != uid { vanished.insert(uid) }
    }
    return vanished
  }

  // MARK: Acting

  private func begin(_ start: CronJobPlan.Start, of cronJob: CronJob, _ status: inout CronJobStatus) async throws {
    let subject = EventRecorder.Subject(cronJob)
    for reference in start.replacing {
      try await delete(reference["name"].string ?? "", uid: reference["uid"].string ?? "", of: cronJob)
      status.active.removeAll { $0 == reference }
    }
    do {
      let job = Job(json: try await client.create(.jobs, namespace: cronJob.namespace, start.job))
      recorder.record(subject, .normal, reason: "SuccessfulCreate", message: "Created job \(job.name)")
      status.active.append(CronJobPlan.reference(to: job))
    } catch let refusal as APIStatus where refusal.isNamespaceTerminating {
      return
    } catch let refusal as APIStatus where refusal.code == 409 && refusal.reason == "AlreadyExists" {
      // Made by whoever was killed before it could say so; if it runs still, it is on the list from here on.
      guard let json = try await client.find(.jobs, namespace: cronJob.namespace, name: start.name) else {
        throw refusal
      }
      let job = Job(json: json)
      guard job.metadata.controller?.uid == cronJob.metadata.uid else { return }
      if !job.isFinished { status.active.append(CronJobPlan.reference(to: job)) }
    } catch {
      let text = (error as? APIStatus)?.message ?? "\(error)"
      recorder.record(subject, .warning, reason: "FailedCreate", message: "Error creating job: \(text)")
      throw error
    }
    status.lastScheduleTime = start.time
  }

  private func delete(_ name: String, uid: String, of cronJob: CronJob) async throws {
    let subject = EventRecorder.Subject(cronJob)
    do {
      try await client.delete(
        .jobs, namespace: cronJob.namespace, name: name, DeleteOptions(propagation: .background, uid: uid))
      recorder.record(subject, .normal, reason: "SuccessfulDelete", message: "Deleted job \(name)")
    } catch let status as APIStatus where status.code == 404 || status.code == 409 {
      return
    } catch {
      let text = (error as? APIStatus)?.message ?? "\(error)"
      recorder.record(subject, .warning, reason: "FailedDelete", message: "Deleted job: \(text)")
      throw error
    }
  }

  /// Under the resourceVersion that was read.
  private func write(_ status: CronJobStatus, to cronJob: CronJob) async throws {
    guard status != cronJob.status else { return }
    var object = cronJob.json
    object["status"] = status.json
    do {
      try await client.update(
        .cronJobs, namespace: cronJob.namespace, name: cronJob.name, object, subresource: "status")
    } catch let status as APIStatus where status.code == 404 { return }
  }
}
