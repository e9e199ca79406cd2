// Why a server ends, and what is done with its disk before it starts again or not.
import EventLoop
import Glibc
import JSON
import Logging
import Replica
import Storage
import World

enum ServerEnd: Sendable, Hashable {
  /// By a signal.
  case asked
  /// The replica could not go on.
  case failed
  /// The group has removed this server.
  case removed
  /// The group was recovered by force from another server.
  case leftBehind(RecoveryPoint)
  /// It is to be recovered by force from this one.
  case recovered

  /// With everything closed. Returns the exit code, or starts the program again in this process.
  static func perform(_ end: ServerEnd, _ configuration: ServerConfiguration, logger: Logger) -> Int32 {
    let home = configuration.home
    do {
      switch end {
      case .asked: return 0
      case .failed: return 1
      case .removed:
        var record = configuration.record
        record.phase = .removed
        record.hasJoined = false
        try home.write(record)
        Terminal.say(RemovedServer.text(record, home: home))
        return 0
      case .leftBehind(let point):
        let report = try Recovery.rejoin(path: home.data, recoveredAt: point, now: MainLoop.shared.wallClock)
        logger.notice(
          "this server comes back to the recovered group as a learner",
          metadata: [
            "generation": "\(point.generation)", "entriesAside": "\(report.entries)",
            "tail": "\(report.tailFile ?? "none")",
            "state": "\(report.stateFile ?? "none")",
          ])
      case .recovered:
        let report = try Recovery.recover(path: home.data)
        try RecoveryResult.keep(report, home)
        for line in report.description { logger.notice("recovered: \(line)") }
      }
    } catch {
      logger.critical("\(error)")
      return 1
    }
    return startAgain(logger)
  }

  /// Who has joined needs no token any more; its file may be gone.
  private static func withoutJoining(_ arguments: [String]) -> [String] {
    var kept: [String] = []
    var isValue = false
    for argument in arguments {
      defer { isValue = ["--join", "--token"].contains(argument) }
      if isValue || argument == "--replace" { continue }
      if argument.hasPrefix("--join") || argument.hasPrefix("--token") { continue }
      kept.append(argument)
    }
    return kept
  }

  /// The same program with the same arguments under the same process id: whoever watches it need not know.
  private static func startAgain(_ logger: Logger) -> Int32 {
    LogWriter.shared.flush()
    var arguments: [UnsafeMutablePointer<CChar>?] = withoutJoining(CommandLine.arguments).map { strdup($0) }
    arguments.append(nil)
    guard let executable = try? FileSystemPaths.ownExecutable() else { return 1 }
    execv(executable, arguments)
    logger.critical("cannot start again: \(String(cString: strerror(errno)))")
    return 1
  }
}

/// What a recovery found, for the command that asked for it.
struct RecoveryResult: Sendable {
  var lines: [String]
  var revision: Int64

  private static func file(_ home: ServerHome) -> String { "\(home.path)/recovery.json" }

  static func keep(_ report: RecoveryReport, _ home: ServerHome) throws {
    let json: JSONValue = [
      "revision": .integer(Int64(report.revision)), "report": .array(report.description.map { .string($0) }),
      "generation": .integer(Int64(report.identity.recovery?.generation ?? 0)),
    ]
    try FileSystem.write(json.description + "\n", to: file(home), permissions: 0o600)
  }

  static func forget(_ home: ServerHome) throws {
    if FileSystem.exists(file(home)) { try FileSystem.remove(file(home)) }
  }

  static func read(_ home: ServerHome) throws -> RecoveryResult? {
    guard FileSystem.exists(file(home)) else { return nil }
    let json = try JSONValue(parsing: FileSystem.read(file(home)))
    return RecoveryResult(
      lines: json["report"].elements.compactMap(\.string), revision: json["revision"].integer ?? 0)
  }
}
