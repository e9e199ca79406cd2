// Time from the start of processes to their being ready.
import EventLoop
import Glibc
import HTTP
import Measure
import World

struct Readiness: Sendable {
  let target: BenchTarget
  let pidFiles: [String]

  private static let pause = Duration.milliseconds(2)
  private static let patience = Duration.seconds(120)

  /// To be started before the processes are, or soon after.
  func run(into empty: BenchResult) async throws -> BenchResult {
    guard !pidFiles.isEmpty else { throw CommandFailure("ready needs --pid-file: whose start is looked for") }
    let loop = target.loop
    let start = loop.now
    var times = LatencyHistogram()
    for number in target.servers.indices {
      while await !isReady(number) {
        guard loop.now - start < Self.patience else {
          throw CommandFailure("https://\(target.servers[number]) is not ready after \(Self.patience)")
        }
        try await loop.sleep(for: Self.pause)
      }
      guard let began = pidFiles.compactMap({ Self.start(file: $0) }).min() else {
        throw CommandFailure("no process of \(pidFiles.joined(separator: ", ")) runs")
      }
      times.record(.nanoseconds(Int64((Self.sinceBoot() - began) * 1e9)))
    }
    var result = empty
    result.figures["readyMilliseconds"] = times.milliseconds(at: 1)
    return result
  }

  private func isReady(_ number: Int) async -> Bool {
    let client = target.connect(number)
    defer { client.close() }
    let request = HTTPRequest(method: "GET", target: "/readyz", headers: [:])
    return (try? await client.send(request, within: .seconds(2)))?.status == 200
  }

  /// When the process began whose number stands in the file, in seconds since the machine did: the 22nd field of its
  /// status, in ticks (10 ms as a rule).
  private static func start(file: String) -> Double? {
    guard let text = try? FileSystem.readText(file), let process = Int32(text.split(separator: "\n").first ?? ""),
      let status = try? FileSystem.readText("/proc/\(process)/stat"), let end = status.lastIndex(of: ")")
    else { return nil }
    let fields = status[status.index(after: end)...].split(separator: " ")
    guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
    return ticks / Double(max(1, sysconf(Int32(_SC_CLK_TCK))))
  }

  private static func sinceBoot() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}
