// A server's disk in the hands of a tool, while the server does not run: every call returns when its write is durable.

import Storage
import Synchronization

/// A disk that nothing uses but the calls made here. One thread.
final class OfflineDisk {
  let disk: ReplicaDisk
  private let failure = Shared<StorageError?>(nil)
  private var nextToken: UInt64 = 1
  private var isClosed = false

  /// See `ReplicaDisk.open`. Throws `inUse` while the server runs.
  init(
    path: String, identity: StorageIdentity?, files: any FileSystem = OperatingSystemFiles()
  ) throws(StorageError) {
    disk = try ReplicaDisk.open(path: path, identity: identity, files: files, makeWorker: { _ in CallersThread() })
    let failure = failure
    disk.directory.log.start { event in
      switch event {
      case .failed(let error), .full(let error): failure.set(error)
      case .durable, .promised, .hasRoom, .scrubbed: break
      }
    }
    disk.directory.state.start { event in
      switch event {
      case .failed(let error), .full(let error): failure.set(error)
      case .written, .scrubbed: break
      }
    }
  }
  deinit { close() }

  func writeLog(
    hardState: LogHardState? = nil, base: LogBase? = nil, truncateFrom: UInt64? = nil, entries: [LogEntry] = [],
    recovery: RecoveryPoint? = nil
  ) throws(StorageError) {
    disk.directory.log.append(
      LogWrite(
        token: nextToken, hardState: hardState, base: base, truncateFrom: truncateFrom, entries: entries,
        recovery: recovery))
    nextToken += 1
    try check()
  }

  func writeState(_ mark: StateMark, _ rows: @escaping @Sendable () -> StateRows) throws(StorageError) {
    disk.directory.state.write(StateWrite(mark: mark, durability: .required, rows: rows))
    try check()
  }

  func close() {
    guard !isClosed else { return }
    isClosed = true
    disk.directory.log.close { [disk] in disk.directory.state.close {} }
  }

  private func check() throws(StorageError) {
    if let error = failure.value { throw error }
  }

  private final class Shared<Value: Sendable>: Sendable {
    private let state: Mutex<Value>
    init(_ value: Value) { state = Mutex(value) }
    var value: Value { state.withLock { $0 } }
    func set(_ value: Value) { state.withLock { $0 = value } }
  }
}

/// Performs work where it is handed in, one piece after the other.
private final class CallersThread: BlockingWorker {
  private struct State {
    var queue: [@Sendable () -> Void] = []
    var isBusy = false
  }
  private let state = Mutex(State())

  func perform(_ body: @escaping @Sendable () -> Void) {
    let isFirst = state.withLock { state in
      state.queue.append(body)
      defer { state.isBusy = true }
      return !state.isBusy
    }
    guard isFirst else { return }  // It is performed by the call up the stack, after what that is performing.
    while true {
      let next = state.withLock { state -> (@Sendable () -> Void)? in
        if state.queue.isEmpty {
          state.isBusy = false
          return nil
        }
        return state.queue.removeFirst()
      }
      guard let next else { return }
      next()
    }
  }

  func finish() {}
}
