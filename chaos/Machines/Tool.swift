// Programs of the system, run to their end.
import EventLoop
import Glibc
import World

struct Tool: Sendable {
  private static let deadline = Duration.seconds(60)
  let loop: EventLoop

  /// Throws with what the program said when it fails.
  func run(_ program: String, _ arguments: [String]) async throws {
    guard let executable = Paths.find(program) else { throw RunFailure("\(program) is not installed") }
    var options = ChildProcessOptions(executable: executable, arguments: arguments)
    options.standardOutput = .capture(limit: 64 << 10)
    options.standardError = .capture(limit: 64 << 10)
    let result = try await ChildProcess.run(options, on: loop, deadline: Self.deadline)
    guard result.isSuccess else {
      let said = String(decoding: result.standardOutput + result.standardError, as: UTF8.self)
      throw RunFailure("\(program) \(arguments.joined(separator: " ")) failed (\(result.status)): \(said)")
    }
  }

  /// Sets a variable of the kernel, in the network namespace of this process.
  static func setKernelVariable(_ name: String, _ value: String) throws {
    let path = "/proc/sys/\(name)"
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw RunFailure("cannot open \(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    let bytes = Array(value.utf8)
    guard Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
      throw RunFailure("cannot set \(path) to \(value): \(String(cString: strerror(errno)))")
    }
  }
}
