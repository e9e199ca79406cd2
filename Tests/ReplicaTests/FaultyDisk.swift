// A log's disk that a test makes slow or breaks.

import Storage
import Synchronization
import World

@testable import Replica

final class FaultyLogStore: LogStore {
  private let store: any LogStore
  private let world: any World
  private let state = Mutex<(delay: Duration, isBroken: Bool, onEvent: (@Sendable (LogStoreEvent) -> Void)?)>(
    (.zero, false, nil))

  init(_ store: any LogStore, world: any World) {
    self.store = store
    self.world = world
  }

  /// Every commit is reported this much later.
  func slow(by delay: Duration) { state.withLock { $0.delay = delay } }
  /// The next write fails.
  func fail() { state.withLock { $0.isBroken = true } }

  func start(onEvent: @escaping @Sendable (LogStoreEvent) -> Void) {
    state.withLock { $0.onEvent = onEvent }
    store.start { [self] event in
      let delay = state.withLock { $0.delay }
      if delay > .zero { world.schedule(after: delay) { onEvent(event) } } else { onEvent(event) }
    }
  }
  func append(_ write: LogWrite) {
    let (isBroken, onEvent) = state.withLock { ($0.isBroken, $0.onEvent) }
    if isBroken { onEvent?(.failed(.system(operation: "fsync", code: 5))) } else { store.append(write) }
  }
  func cut(to base: LogBase) { store.cut(to: base) }
  func close(_ completion: @escaping @Sendable () -> Void) { store.close(completion) }
}

extension ReplicaDisk {
  /// The same disk with a log that can be made to fail.
  func faulty(on world: any World) -> (ReplicaDisk, FaultyLogStore) {
    let log = FaultyLogStore(directory.log, world: world)
    let directory = StorageDirectory(
      identity: directory.identity, incarnation: directory.incarnation, diskID: directory.diskID, log: log,
      state: directory.state,
      logContents: directory.logContents, stateContents: directory.stateContents)
    return (ReplicaDisk(directory: directory, map: map), log)
  }
}
