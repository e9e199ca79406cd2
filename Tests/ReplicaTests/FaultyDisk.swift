// A log's disk that a test makes slow or breaks.

import Glibc
import Storage
import Synchronization
import World

@testable import Replica

final class FaultyLogStore: LogStore {
  private let store: any LogStore
  private let world: any World
  private struct State {
    var delay = Duration.zero
    var isBroken = false
    var isFull = false
    var waiting: [LogWrite] = []
    var areResealsHeld = false
    var hasHeldReseal = false
    var heldReseals: [@Sendable () -> Void] = []
    var onEvent: (@Sendable (LogStoreEvent) -> Void)?
    var appendsUnheard = 0
  }
  private let state = Mutex(State())

  /// Writes that came before anybody listened for their completion.
  var appendsUnheard: Int { state.withLock { $0.appendsUnheard } }

  init(_ store: any LogStore, world: any World) {
    self.store = store
    self.world = world
  }

  /// Every commit is reported this much later.
  func slow(by delay: Duration) { state.withLock { $0.delay = delay } }
  /// The next write fails.
  func fail() { state.withLock { $0.isBroken = true } }
  /// Nothing but terms and votes is written any more.
  func fill() { state.withLock { $0.isFull = true } }
  func makeRoom() { state.withLock { $0.isFull = false } }

  func start(onEvent: @escaping @Sendable (LogStoreEvent) -> Void) {
    state.withLock { $0.onEvent = onEvent }
    store.start { [self] event in
      let delay = state.withLock { $0.delay }
      if delay > .zero { world.schedule(after: delay) { onEvent(event) } } else { onEvent(event) }
    }
  }
  func append(_ write: LogWrite) {
    let (isBroken, isFirst, waits, onEvent) = state.withLock { state in
      let isPromise = write.entries.isEmpty && write.base == nil && write.truncateFrom == nil
      let waits = state.isFull && !isPromise || !state.waiting.isEmpty
      defer { if waits { state.waiting.append(write) } }
      if state.onEvent == nil { state.appendsUnheard += 1 }
      return (state.isBroken, waits && state.waiting.isEmpty, waits, state.onEvent)
    }
    if isBroken {
      onEvent?(.failed(.system(operation: "fsync", code: 5)))
    } else if !waits {
      store.append(write)
    } else if isFirst {
      onEvent?(.full(.system(operation: "write", code: ENOSPC)))
    }
  }
  func maintain() {
    let (writes, onEvent) = state.withLock { state -> ([LogWrite], (@Sendable (LogStoreEvent) -> Void)?) in
      guard !state.isFull else { return ([], nil) }
      defer { state.waiting = [] }
      return (state.waiting, state.onEvent)
    }
    if !writes.isEmpty { onEvent?(.hasRoom) }
    for write in writes { store.append(write) }
    store.maintain()
  }
  func reseal(
    progress: @escaping @Sendable (Double) -> Void, _ completion: @escaping @Sendable (StorageError?) -> Void
  ) {
    let (isFirst, waits) = state.withLock { state in
      guard state.areResealsHeld else { return (false, false) }
      defer { state.hasHeldReseal = true }
      if state.hasHeldReseal { state.heldReseals.append { self.store.reseal(progress: progress, completion) } }
      return (!state.hasHeldReseal, true)
    }
    if isFirst {
      store.reseal(progress: progress) { failure in
        self.state.withLock { $0.heldReseals.append { completion(failure) } }
      }
    } else if !waits {
      store.reseal(progress: progress, completion)
    }
  }
  /// From here on the first walk is done but not told of, and those after it do not begin.
  func holdReseals() { state.withLock { $0.areResealsHeld = true } }
  var holdsReseal: Bool { state.withLock { !$0.heldReseals.isEmpty } }
  func releaseReseals() {
    let held = state.withLock { state in
      defer { state.heldReseals = [] }
      state.areResealsHeld = false
      return state.heldReseals
    }
    for reseal in held { reseal() }
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
    var disk = ReplicaDisk(directory: directory, map: map)
    disk.keyring = keyring
    return (disk, log)
  }
}
