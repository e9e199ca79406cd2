// What processes have used so far, as the kernel counts it.
import EventLoop
import Glibc

/// Differences of these are what a run cost.
struct ResourceUse: Sendable {
  var serverSeconds = 0.0
  var clientSeconds = 0.0
  /// Bytes that the servers' processes caused to be written to disk.
  var writtenBytes = 0.0

  static func - (later: ResourceUse, earlier: ResourceUse) -> ResourceUse {
    ResourceUse(
      serverSeconds: later.serverSeconds - earlier.serverSeconds,
      clientSeconds: later.clientSeconds - earlier.clientSeconds,
      writtenBytes: later.writtenBytes - earlier.writtenBytes)
  }
}

struct ResourceMeter {
  private let processes: [Int32]

  init(_ target: BenchTarget) { processes = target.processes }

  func read() -> ResourceUse {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return ResourceUse(
      serverSeconds: processes.reduce(0) { $0 + Self.processorSeconds(of: $1) },
      clientSeconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
      writtenBytes: processes.reduce(0) { $0 + Self.writtenBytes(of: $1) })
  }

  /// Of all threads, those that ended too; 0 when the process is gone.
  static func processorSeconds(of process: Int32) -> Double {
    var clock = clockid_t()
    var time = timespec()
    // Nanoseconds: what /proc tells is in ticks of 10 ms, half of what an idle server uses in five seconds.
    guard clock_getcpuclockid(process, &clock) == 0, clock_gettime(clock, &time) == 0 else { return 0 }
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  private static func writtenBytes(of process: Int32) -> Double {
    field("write_bytes:", of: "/proc/\(process)/io")
  }

  /// Resident memory in MiB.
  static func residentMebibytes(of process: Int32) -> Double { field("VmRSS:", of: "/proc/\(process)/status") / 1024 }

  private static func field(_ name: String, of path: String) -> Double {
    guard let text = try? FileSystem.readText(path) else { return 0 }
    for line in text.split(separator: "\n") where line.hasPrefix(name) {
      return Double(line.dropFirst(name.count).split(whereSeparator: { $0 == " " || $0 == "\t" }).first ?? "") ?? 0
    }
    return 0
  }
}
