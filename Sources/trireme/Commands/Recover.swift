import ArgumentParser
import EventLoop
import Glibc
import HTTP
import JSON
import Replica
import World

struct Recover: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Go on from one surviving server when the majority is lost for good.",
    discussion: """
      To be run on the machine of the survivor that holds most (compare: trireme status). The server becomes the only voter \
      of its group, keeps everything it has, and takes writes within seconds; it need not be stopped for it. What the lost \
      servers acknowledged and this one never received is lost.

        trireme recover --home /var/lib/trireme

      Servers that come back later are told so by themselves: they put aside in a file what they hold beyond the recovery, \
      and become learners and then voters. Not needed while a majority can be started again: then start it.
      """)

  @Option(help: "Folder of the surviving server (with `trireme up`: .trireme/server-2).")
  var home: String
  @Flag(help: "Do not ask.")
  var yes = false
  @Flag(help: "Although a majority seems to be within reach.")
  var force = false

  private static let deadline = Duration.seconds(60)

  func run() throws {
    let home = ServerHome(path: try FileSystemPaths.absolute(home))
    guard let record = try home.record() else {
      throw CommandFailure("\(home.path) is not the folder of a server that was started")
    }
    guard home.hasDisk else { throw CommandFailure("\(home.data) is empty: recover on a server that holds the state") }
    let (isSure, isForced) = (yes, force)
    try MainLoop.run { loop in
      let connection = try ClusterConnection(home: home.path, servers: [], loop: loop)
      if !isForced { try await Self.checkNeed(record, connection) }
      guard isSure || Self.confirm(record) else { throw CommandFailure("nothing was changed") }
      let start = loop.now
      try RecoveryResult.forget(home)
      if try await Self.isRunning(connection, record) {
        _ = try await connection.asking(record.advertise).json(
          "POST", "/trireme/recover\(isForced ? "?force=true" : "")")
        try await Self.waitUntilWritable(record, home, connection, loop)
        let seconds = ((loop.now - start).inSeconds * 10).rounded() / 10
        for line in try RecoveryResult.read(home)?.lines ?? [] { Terminal.say("  \(line)") }
        Terminal.say("\(record.name) takes writes again, \(seconds) s after it was asked to.")
      } else {
        let report: RecoveryReport
        do { report = try Recovery.recover(path: home.data) } catch {
          throw CommandFailure("\(error). Nothing was changed")
        }
        for line in report.description { Terminal.say("  \(line)") }
        Terminal.say("Start it: trireme server --home \(home.path)")
      }
      Terminal.say(
        "Lost servers that come back become learners, then voters; for new ones: trireme token create --home \(home.path)"
      )
    }
  }

  /// Refuses where a majority lives, or would with this server started.
  private static func checkNeed(_ record: ServerRecord, _ connection: ClusterConnection) async throws {
    let survey = try? await connection.json("GET", "/trireme/cluster", within: .seconds(10))
    guard let survey else { return }
    let (answering, majority) = (survey["answering"].integer ?? 0, survey["majority"].integer ?? 1)
    let isCounted = survey["servers"].elements.contains {
      $0["name"].string == record.name && $0["answers"].bool == true
    }
    guard answering + (isCounted ? 0 : 1) >= majority else { return }
    throw CommandFailure(
      "there is nothing to recover: \(answering) of \(survey["voters"].integer ?? 0) voters answer, \(majority) are needed"
        + (isCounted ? "" : ", and \(record.name) would be one more: start it") + ". Nothing was changed")
  }

  private static func confirm(_ record: ServerRecord) -> Bool {
    guard isatty(STDIN_FILENO) == 1 else {
      Terminal.say("Say --yes: the other servers of cluster \(record.cluster) are left behind by this.")
      return false
    }
    Terminal.write(
      "The other servers of cluster \(record.cluster) are left behind; what only they have acknowledged is lost. "
        + "Type the name of this server to go on: ")
    return readLine()?.split(separator: " ").first.map(String.init) == record.name
  }

  private static func isRunning(_ connection: ClusterConnection, _ record: ServerRecord) async throws -> Bool {
    let status = try? await connection.asking(record.advertise).json("GET", "/trireme/status", within: .seconds(5))
    guard let status else { return false }
    guard status["name"].string == record.name, status["cluster"].string == record.cluster else {
      throw CommandFailure(
        "\(record.advertise) is answered by another server (\(status["name"].string ?? "?")). Nothing was changed")
    }
    return true
  }

  private static func waitUntilWritable(
    _ record: ServerRecord, _ home: ServerHome, _ connection: ClusterConnection, _ loop: EventLoop
  ) async throws {
    let start = loop.now
    while loop.now - start < deadline {
      let status = try? await connection.asking(record.advertise).json("GET", "/trireme/status", within: .seconds(2))
      if let status, status["role"].string == "leader", try RecoveryResult.read(home) != nil { return }
      try await loop.sleep(for: .milliseconds(50))
    }
    throw CommandFailure("\(record.name) does not lead after \(deadline): see its log")
  }
}
