import ArgumentParser
import EventLoop
import Glibc
import HTTP
import JSON
import Replica
import TLS
import World

struct BackupCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup",
    abstract: "Back up the whole cluster into a file, online, and verify it.",
    discussion: """
      One consistent state, with everything that was committed before; writing goes on meanwhile. The file is read back, \
      every checksum compared and the state's hash computed again from its objects; only then it gets its name.

        trireme backup /backup/monday.trireme
        trireme backup verify /backup/monday.trireme
        trireme backup key > /safe/place/backup.key

      Backups hold Secrets and are sealed with the cluster's backup key: keep the key, but elsewhere. To restore: \
      trireme restore --help
      """, subcommands: [Create.self, Verify.self, Key.self], defaultSubcommand: Create.self)

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a backup (the default).", discussion: "  trireme backup /backup/monday.trireme")

    @Argument(help: "File to be made; must not exist.")
    var file: String
    @OptionGroup var connection: ConnectionOptions
    @Flag(help: "Of what the server that is asked holds: also without a majority, perhaps not the newest.")
    var local = false
    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    func run() throws {
      let (options, file, local, output) = (connection, try FileSystemPaths.absolute(file), local, output)
      guard !FileSystem.exists(file) else { throw CommandFailure("\(file) exists already. Nothing was changed") }
      try MainLoop.run { loop in
        let start = loop.now
        let cluster = try options.connect(on: loop)
        let keyText = try await cluster.json("GET", "/trireme/backup/key")["key"].string ?? ""
        guard let key = BackupKey(text: keyText) else { throw CommandFailure("the server gave no backup key") }
        let (backup, bytes) = try await BackupFile.receive(into: file, key: key) { take in
          try await cluster.exchange(
            "POST", "/trireme/backup\(local ? "?local=true" : "")", within: .seconds(60)
          ) { response in
            guard case .stream(let pipe) = response.body else {
              return try await take(response.body.collect(upTo: 1 << 30))
            }
            while let block = try await pipe.next() { try await take(block) }
          }
        }
        let header = backup.header
        let summary: JSONValue = [
          "file": .string(file), "revision": .string("\(header.revision)"), "bytes": .string("\(bytes)"),
          "objects": .string("\(header.objects)"), "stateHash": .string(String(header.stateHash, radix: 16)),
          "server": .string("\(header.node)"), "cluster": .string(header.cluster),
        ]
        // The file is good whether or not the cluster remembers it.
        let isNoted = local ? false : (try? await cluster.json("POST", "/trireme/backup/record", summary)) != nil
        if output == .json { return Terminal.say(summary.description) }
        let seconds = ((loop.now - start).inSeconds * 100).rounded() / 100
        Terminal.say(
          """
          \(file): \(Sizes.text(bytes)), \(header.objects) objects at revision \(header.revision), in \(seconds) s
          Verified: read back whole, and the objects add up to the state's hash \(String(header.stateHash, radix: 16))
          Sealed with the key \(header.keyID ?? "-"); keep a copy elsewhere: trireme backup key
          """)
        if !isNoted, !local { Terminal.say("The cluster could not note it: trireme status will not show this backup.") }
      }
    }
  }

  struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Read a backup whole and say what is in it.",
      discussion: "  trireme backup verify /backup/monday.trireme --key /safe/place/backup.key")

    @Argument(help: "The backup.")
    var file: String
    @Option(help: "File with the backup key (default: the cluster is asked for it).")
    var key: String?
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
      let (options, file, keyFile) = (connection, file, key)
      try MainLoop.run { loop in
        let key: BackupKey?
        if let keyFile {
          key = try BackupFile.key(at: keyFile)
        } else {
          key = BackupKey(
            text: try await options.connect(on: loop).json("GET", "/trireme/backup/key")["key"].string ?? "")
        }
        let backup = try BackupFile.read(file, key: key)
        Terminal.say(BackupFile.description(of: backup))
      }
    }
  }

  struct Key: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the key that backups are sealed with, to be kept elsewhere.",
      discussion: "  trireme backup key > /safe/place/backup.key")

    @OptionGroup var connection: ConnectionOptions

    func run() throws {
      let options = connection
      try MainLoop.run { loop in
        Terminal.write(try await options.connect(on: loop).json("GET", "/trireme/backup/key")["key"].string ?? "")
      }
    }
  }
}

/// Backups as files of this machine.
enum BackupFile {
  private static let blockBytes = 1 << 20

  /// Writes what `produce` hands out, verifies it on the way, and gives the file its name when it is whole and durable.
  static func receive(
    into path: String, key: BackupKey, _ produce: (_ take: (_ bytes: [UInt8]) async throws -> Void) async throws -> Void
  ) async throws -> (VerifiedBackup, Int) {
    let partial = "\(path).partial"
    let descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw CommandFailure("cannot write \(partial): \(String(cString: strerror(errno)))") }
    var isOpen = true
    defer { if isOpen { close(descriptor) } }
    do {
      var count = 0
      try await produce { bytes in
        try write(bytes, to: descriptor, partial)
        count += bytes.count
      }
      guard fsync(descriptor) == 0 else {
        throw CommandFailure("\(partial) is not on the disk: \(String(cString: strerror(errno)))")
      }
      close(descriptor)
      isOpen = false
      // What counts is what the file holds, not what was sent.
      let backup = try read(partial, key: key)
      try FileSystem.rename(partial, to: path)
      try FileSystem.synchronizeDirectory(FileSystem.parent(of: path))
      return (backup, count)
    } catch {
      try? FileSystem.remove(partial)
      throw error
    }
  }

  static func key(at path: String) throws -> BackupKey {
    guard let key = BackupKey(text: try FileSystem.readText(path)) else {
      throw CommandFailure("\(path) holds no backup key")
    }
    return key
  }

  /// Reads a backup whole. Throws `CommandFailure` that names the file.
  static func read(_ path: String, key: BackupKey?) throws -> VerifiedBackup {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw CommandFailure("cannot read \(path): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var reader = BackupReader(key: key)
    var buffer = [UInt8](repeating: 0, count: blockBytes)
    do {
      while true {
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw CommandFailure("cannot read \(path): \(String(cString: strerror(errno)))") }
        if count == 0 { return try reader.finish() }
        try reader.take(Array(buffer[..<count]))
      }
    } catch let error as BackupError {
      throw CommandFailure("\(path): \(error). Nothing was changed")
    }
  }

  private static func write(_ bytes: [UInt8], to descriptor: Int32, _ path: String) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw CommandFailure("cannot write \(path): \(String(cString: strerror(errno)))") }
      rest = rest.dropFirst(count)
    }
  }

  static func description(of backup: VerifiedBackup) -> String {
    let header = backup.header
    let rows = backup.objectsByResource.map { [$0.resource, "\($0.objects)"] }
    return """
      Verified: \(header.objects) objects at revision \(header.revision), state hash \(String(header.stateHash, radix: 16))
      Made \(header.created.rfc3339) by server \(header.node) of cluster \(header.cluster), \
      \(header.keyID.map { "sealed with the key \($0)" } ?? "not sealed")

      \(TextTable(header: ["RESOURCE", "OBJECTS"], rows: rows).text)
      """
  }
}

enum Sizes {
  static func text(_ bytes: Int) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes >= size {
      return "\((Double(bytes) * 10 / Double(size)).rounded() / 10) \(unit)"
    }
    return "\(bytes) bytes"
  }
}
