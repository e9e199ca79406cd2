import ArgumentParser
import EventLoop
import Replica
import Storage

struct SchemaCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schema",
    abstract: "The versions of a stopped server's tables: show them, take the step back.",
    discussion: """
      A server takes the step forward to its own version by itself when it starts. To undo an upgrade, stop the server, \
      take the step back with the newer program, and start the older one: one server after the other.

        trireme schema --home /var/lib/trireme
        trireme schema back --home /var/lib/trireme
      """, subcommands: [Show.self, Back.self], defaultSubcommand: Show.self)

  struct Show: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show the versions; nothing is changed (the default).",
      discussion: "  trireme schema --home /var/lib/trireme")

    @Option(help: "Folder of the server, which must not run.")
    var home: String

    func run() throws {
      let disk = try StoppedDisk(home)
      let versions = try disk.versions()
      let known = StorageDirectory.tableVersions
      Terminal.say(
        TextTable(
          header: ["FILE", "VERSION", "THIS PROGRAM"],
          rows: [("raft.db", versions.log), ("state.db", versions.state)].map { name, version in
            [name, version.map(String.init) ?? "-", version.map(Self.judgement) ?? "is not there"]
          }
        ).text)
      Terminal.say("\nThis program writes version \(known.upperBound) and opens those from \(known.lowerBound) on.")
    }

    private static func judgement(_ version: UInt64) -> String {
      let known = StorageDirectory.tableVersions
      if version > known.upperBound { return "refuses it: a newer one has written it" }
      return version == known.upperBound ? "writes it" : "takes the step forward at its next start"
    }
  }

  struct Back: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take the step back to the tables of the version before.",
      discussion: """
        Starting this version again takes the step forward. A crash in between leaves a disk that this version can start, \
        or step back once more.

          trireme schema back --home /var/lib/trireme
        """)

    @Option(help: "Folder of the server, which must not run.")
    var home: String

    func run() throws {
      let disk = try StoppedDisk(home)
      let before = try disk.versions()
      guard let log = before.log, let state = before.state else {
        throw CommandFailure("\(disk.home.data) does not hold a whole disk of a server. Nothing was changed")
      }
      let newest = max(log, state)
      guard newest >= StorageDirectory.tableVersions.upperBound else {
        throw CommandFailure("\(disk.home.data) has the tables of version \(newest) already. Nothing was changed")
      }
      do {
        try StorageDirectory.migrateBack(path: disk.home.data, cipher: try disk.keyring() ?? NoCipher())
      } catch {
        throw CommandFailure("\(error)")
      }
      let after = try disk.versions()
      Terminal.say(
        """
        \(disk.home.data): raft.db and state.db have the tables of version \(after.log ?? 0) now
        Start the program of the version before; this one would take the step forward again.
        """)
    }
  }
}

/// The folder of a server that does not run.
private struct StoppedDisk {
  let home: ServerHome

  init(_ path: String) throws {
    home = ServerHome(path: try FileSystemPaths.absolute(path))
    guard home.hasDisk else { throw CommandFailure("\(home.path) is not the folder of a server that was started") }
  }

  func versions() throws -> (log: UInt64?, state: UInt64?) {
    do { return try StorageDirectory.storedVersions(path: home.data) } catch {
      if case .inUse = error { throw CommandFailure("the server in \(home.path) runs: stop it first") }
      throw CommandFailure("\(error)")
    }
  }

  func keyring() throws -> EncryptionKeyring? {
    try EncryptionKeyring.existing(path: EncryptionKeyring.path(besides: home.data))
  }
}
