// A machine's own wall clock: its processes run with libfaketime, which adds what a file says. Their monotonic clock
// stays as it is, as on a machine whose time is set.
import EventLoop
import Glibc

struct MachineClock: Sendable {
  /// How long a process may take to see that its clock was moved.
  static let delay = Duration.seconds(2)

  /// Where Debian and its like put it.
  static var library: String? {
    let folders = ["/usr/lib"] + ((try? FileSystem.list("/usr/lib")) ?? []).map { "/usr/lib/\($0)" }
    return folders.map { "\($0)/faketime/libfaketimeMT.so.1" }.first { FileSystem.exists($0) }
  }

  /// Outside of the machine: a full disk must not stop it.
  let file: String

  /// For processes whose clock can be moved.
  func environment() throws -> [String: String] {
    guard let library = Self.library else { throw RunFailure("libfaketime is not installed") }
    if !FileSystem.exists(file) { try move(by: .zero) }
    return [
      "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": file, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
      // Reading the file with every look at the clock would be a fault of its own.
      "FAKETIME_CACHE_DURATION": "1", "FAKETIME_DONT_RESET": "1",
    ]
  }

  func move(by offset: Duration) throws {
    let seconds = offset.components.seconds
    try FileSystem.write("\(seconds < 0 ? "" : "+")\(seconds)\n", to: file)
  }
}
