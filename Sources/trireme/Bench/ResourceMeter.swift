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

  /// Of all threads, those that ended too, in ticks (of 10 ms as a rule): too coarse for runs below a second.
  static func processorSeconds(of process: Int32) -> Double {
    guard let text = try? FileSystem.readText("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") else {
      return 0
    }
    let fields = text[text.index(after: end)...].split(separator: " ")
    guard fields.count > 12 else { return 0 }
    return Double((Int(fields[11]) ?? 0) + (Int(fields[12]) ?? 0)) / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
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
