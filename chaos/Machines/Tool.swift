// Programs of the system, run to their end.
import EventLoop
import Glibc
import World

struct Tool: Sendable {
  private static let deadline = Duration.seconds(60)
  let loop: EventLoop

  /// What the program said; throws with that when it fails.
  @discardableResult
  func run(_ program: String, _ arguments: [String]) async throws -> String {
    guard let executable = program.hasPrefix("/") ? program : Paths.find(program) else {
      throw RunFailure("\(program) is not installed")
    }
    var options = ChildProcessOptions(executable: executable, arguments: arguments)
    options.standardOutput = .capture(limit: 64 << 10)
    options.standardError = .capture(limit: 64 << 10)
    let result = try await ChildProcess.run(options, on: loop, deadline: Self.deadline)
    guard result.isSuccess else {
      let said = String(decoding: result.standardOutput + result.standardError, as: UTF8.self)
      throw RunFailure("\(program) \(arguments.joined(separator: " ")) failed (\(result.status)): \(said)")
    }
    return String(decoding: result.standardOutput, as: UTF8.self)
  }

  /// Whether a command succeeds; for use before there is a loop.
  static func succeeds(_ words: [String]) -> Bool {
    var arguments = words.map { strdup($0) }
    arguments.append(nil)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for descriptor: Int32 in 0...2 {
      posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0)
    }
    var pid: pid_t = 0
    guard posix_spawnp(&pid, words[0], &actions, nil, arguments, environ) == 0 else { return false }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 { guard errno == EINTR else { return false } }
    return status == 0
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
