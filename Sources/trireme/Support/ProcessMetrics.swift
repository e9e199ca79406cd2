// What `/metrics` says of this process: the names that every exporter of process metrics uses.
import Glibc

enum ProcessMetrics {
  /// Unix seconds; asked for first when the server starts.
  static let startTime = seconds(of: CLOCK_REALTIME)

  static func text() -> String {
    var lines = ""
    func line(_ name: String, _ kind: String, _ help: String, _ value: String) {
      lines += "# HELP \(name) \(help)\n# TYPE \(name) \(kind)\n\(name) \(value)\n"
    }
    let memory = memoryBytes()
    line(
      "process_cpu_seconds_total", "counter", "Time of processors, user and system.",
      "\(seconds(of: CLOCK_PROCESS_CPUTIME_ID))")
    line("process_resident_memory_bytes", "gauge", "Memory in use.", "\(memory.resident)")
    line("process_virtual_memory_bytes", "gauge", "Memory that is mapped.", "\(memory.virtual)")
    line("process_start_time_seconds", "gauge", "When the process started, in Unix seconds.", "\(startTime)")
    line("process_open_fds", "gauge", "Open file descriptors.", "\(openDescriptors())")
    line("process_max_fds", "gauge", "File descriptors that may be open.", "\(descriptorsMaximum())")
    return lines
  }

  private static func seconds(of clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec / 1_000_000) / 1e3
  }

  /// Zero where /proc is not mounted.
  private static func memoryBytes() -> (virtual: Int, resident: Int) {
    guard let file = fopen("/proc/self/statm", "r") else { return (0, 0) }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, Int32(line.count), file) != nil else { return (0, 0) }
    let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self).split(separator: " ")
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let pages = words.prefix(2).map { Int($0) ?? 0 }
    return pages.count == 2 ? (pages[0] * page, pages[1] * page) : (0, 0)
  }

  private static func openDescriptors() -> Int {
    guard let directory = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(directory) }
    var count = 0
    while let entry = readdir(directory) {
      if entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
    }
    // The one it is counted with.
    return count - 1
  }

  private static func descriptorsMaximum() -> UInt {
    var limit = rlimit()
    return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? limit.rlim_cur : 0
  }
}
