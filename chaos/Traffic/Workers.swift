// The tasks of one traffic: they go on until they are told to end, and are waited for.
import EventLoop
import Synchronization
import World

final class Workers: Sendable {
  private let loop: EventLoop
  private let isStopping = Atomic<Bool>(false)
  private let tasks = Mutex<[SpawnedTask]>([])

  init(loop: EventLoop) { self.loop = loop }

  /// Whether they were not told to end yet.
  var goOn: Bool { !isStopping.load(ordering: .relaxed) }

  func start(_ body: @escaping @Sendable () async -> Void) {
    let task = loop.spawn(body)
    tasks.withLock { $0.append(task) }
  }

  /// Tells them to end; returns when all have.
  func stop() async {
    isStopping.store(true, ordering: .relaxed)
    for task in tasks.withLock({ $0 }) { await task.wait() }
  }
}
