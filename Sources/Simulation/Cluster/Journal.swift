// What happened last, for people: faults, and the servers' own log lines, with the virtual time of each.
import DequeModule
import Logging
import World

public final class Journal: @unchecked Sendable {
  private static let kept = 400
  private let simulator: Simulator
  private var entries: Deque<String> = []
  /// Called with every line as it comes (`--trace`).
  public var onLine: ((String) -> Void)?
  /// From which level servers' log lines are kept.
  public var level = Logger.Level.info

  init(simulator: Simulator) { self.simulator = simulator }

  /// The last lines, oldest first.
  public var lines: [String] { Array(entries) }

  public func note(_ line: String) {
    let milliseconds = simulator.now.nanoseconds / 1_000_000 - 1000
    let fraction = String(milliseconds % 1000)
    let text = "\(milliseconds / 1000)." + String(repeating: "0", count: 3 - fraction.count) + "\(fraction)  \(line)"
    entries.append(text)
    if entries.count > Self.kept { entries.removeFirst() }
    onLine?(text)
  }

  /// A log whose lines end up here.
  public func logger(_ label: String) -> Logger {
    Logger(label: label) { Handler(label: $0, journal: self) }
  }

  private struct Handler: LogHandler {
    let label: String
    let journal: Journal
    var metadata: Logger.Metadata = [:]
    var logLevel: Logger.Level {
      get { journal.level }
      set {}
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
      let details = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
      journal.note("\(label): \(event.message)\(details)")
    }
  }
}
