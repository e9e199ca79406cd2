// Finished jobs that are to be deleted after a while (spec.ttlSecondsAfterFinished).
import Client
import Logging
import Schema
import World

public final class TTLAfterFinishedController: Controller {
  public static let serviceAccount = "ttl-after-finished-controller"
  private static let workers = 5

  private let world: any World
  private let client: APIClient
  private let logger: Logger
  private let jobs: Informer<Job>
  private let queue: WorkQueue<NamespacedName>

  public init(context: ControllerContext, informers: SharedInformers) {
    world = context.world
    client = context.client(Self.serviceAccount)
    logger = context.logger
    jobs = informers.jobs
    queue = context.makeQueue("ttl_jobs_to_delete")
    jobs.onEvent { [queue] event in
      if case .deleted = event { return }
      if event.object.expiry != nil { queue.add(event.object.key) }
    }
  }

  public func run() async {
    await jobs.waitForSync()
    await queue.run(
      workers: Self.workers, onError: { [logger] key, error in logger.debug("finished job \(key): \(error)") },
      sync: { try await self.sync($0) })
  }

  private func sync(_ key: NamespacedName) async throws {
    guard let expiry = jobs.get(key)?.expiry else { return }
    let left = expiry - world.wallClock
    guard left <= .zero else { return queue.add(key, after: left) }
    // Its time may have been prolonged since.
    guard let live = try await client.find(.jobs, namespace: key.namespace, name: key.name).map(Job.init(json:)),
      let expiry = live.expiry
    else { return }
    let rest = expiry - world.wallClock
    guard rest <= .zero else { return queue.add(key, after: rest) }
    do {
      try await client.delete(
        .jobs, namespace: key.namespace, name: key.name,
        DeleteOptions(
          propagation: .foreground, uid: live.metadata.uid, resourceVersion: live.metadata.resourceVersion))
    } catch let status as APIStatus where status.code == 404 { return }
  }
}

extension Job {
  /// When it may be deleted; nil for a job that stays, that still runs, or that is on its way out.
  var expiry: WallTime? {
    guard let seconds = ttlSecondsAfterFinished, !metadata.isBeingDeleted,
      let end = finished?.lastTransitionTime
    else { return nil }
    return end + .seconds(seconds)
  }
}
