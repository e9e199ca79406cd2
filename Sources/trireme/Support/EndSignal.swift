import Client
import EventLoop
import Glibc

/// The wish of an operator, or of a service manager, that a process ends.
enum EndSignal {
  /// Returns when SIGTERM or SIGINT has come.
  static func wait(_ loop: EventLoop) async {
    let ended = WorkQueue<Int32>(world: loop)
    let sources = [SIGTERM, SIGINT].compactMap { number in
      try? SignalSource(number, on: loop) { ended.add(number) }
    }
    _ = await ended.next()
    for source in sources { source.close() }
  }
}
