// The thread of a server for what takes long and is nobody's turn.
import APIServer
import Storage

/// Lasts as long as the process.
struct BackgroundThread: BackgroundWork {
  private let thread = WorkerThread(name: "documents")
  func perform(_ body: @escaping @Sendable () -> Void) { thread.perform(body) }
}
