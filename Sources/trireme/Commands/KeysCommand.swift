import ArgumentParser
import EventLoop
import JSON
import World

struct KeysCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys",
    abstract: "The keys that the servers' disks are encrypted with: show them, change them.",
    discussion: """
      Every server has a key of its own, in the file encryption-keys beside its data folder. Everything in the log is \
      sealed with it, and of the state the resources that the server was told (--encrypt-resource), Secrets by default.

        trireme keys status
        trireme keys rotate                  # every server, one after the other
        trireme keys rotate server-2

      A rotation makes a new key, seals what is stored anew while the server goes on, and forgets the old key at the \
      end. What a crash interrupts goes on at the next start.
      """, subcommands: [Status.self, Rotate.self], defaultSubcommand: Status.self)

  struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show every server's key and how far what is stored is sealed with it.",
      discussion: "  trireme keys status")

    @OptionGroup var connection: ConnectionOptions
    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    func run() throws {
      let (options, output) = (connection, output)
      try MainLoop.run { loop in
        let answer = try await options.connect(on: loop).json("GET", "/trireme/keys")
        if output == .json { return Terminal.say(answer.description) }
        Terminal.say(KeyTable.text(answer["servers"].elements))
      }
    }
  }

  struct Rotate: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give servers a new key, and seal everything stored anew.",
      discussion: """
          trireme keys rotate
          trireme keys rotate server-2

        Writing goes on meanwhile. Returns when the old keys are forgotten; --no-wait when the new ones are there.
        """)

    @Argument(help: "Names of servers (default: all, one after the other).")
    var names: [String] = []
    @Flag(help: "Do not wait until everything stored is sealed anew.")
    var noWait = false
    @OptionGroup var connection: ConnectionOptions

    func validate() throws { for name in names { try MemberArgument.check(name) } }

    func run() throws {
      let (options, names, waits) = (connection, names, !noWait)
      try MainLoop.run { loop in
        let cluster = try options.connect(on: loop)
        let servers = try await Self.chosen(names, cluster)
        for (index, name) in servers.enumerated() {
          do { try await Self.rotate(name, waits, cluster, loop) } catch let failure as CommandFailure {
            let rest = servers[(index + 1)...].joined(separator: " ")
            throw rest.isEmpty ? failure : CommandFailure("\(failure). Not begun, with the keys they had: \(rest)")
          }
        }
      }
    }

    /// Every server that is to get a key must answer before the first gets one.
    private static func chosen(_ names: [String], _ cluster: ClusterConnection) async throws -> [String] {
      let servers = try await cluster.json("GET", "/trireme/keys")["servers"].elements
      let known = servers.compactMap { $0["name"].string }
      if let stranger = names.first(where: { !known.contains($0) }) {
        throw CommandFailure("there is no member \(stranger); there are: \(known.joined(separator: ", "))")
      }
      let chosen = names.isEmpty ? known : names
      for server in servers where chosen.contains(server["name"].string ?? "") {
        let name = server["name"].string ?? ""
        if let why = server["error"].string {
          let others = servers.filter { $0["error"].isNull }.compactMap { $0["name"].string }.joined(separator: " ")
          throw CommandFailure(
            "\(name) does not answer (\(why)). Nothing was changed. Start it first, or name the others: trireme keys rotate "
              + others)
        }
        guard server["encrypted"].bool == true else {
          throw CommandFailure("\(name)'s disk is not encrypted: it has no key. Nothing was changed")
        }
      }
      return chosen
    }

    private static let silencePatience = Duration.seconds(10)

    private static func rotate(
      _ name: String, _ waits: Bool, _ cluster: ClusterConnection, _ loop: EventLoop
    ) async throws {
      let start = loop.now
      let key = try await cluster.json("POST", "/trireme/keys/\(name)/rotate")["key"].integer ?? 0
      guard waits else { return Terminal.say("\(name): everything new is sealed with key \(key) from now on") }
      var said = ""
      var lastHeard = loop.now
      while true {
        let servers = try await cluster.json("GET", "/trireme/keys")["servers"].elements
        let server = servers.first { $0["name"].string == name } ?? .null
        if let failure = server["failure"].string {
          throw CommandFailure("\(name): \(failure). What is missing is made good at its next start")
        }
        // A server that is busy, or that was started again and goes on by itself, answers soon.
        guard server["error"].isNull else {
          guard loop.now - lastHeard < Self.silencePatience else {
            throw CommandFailure("\(name) does not answer any more. It goes on at its next start: trireme keys status")
          }
          try await loop.sleep(for: .milliseconds(200))
          continue
        }
        lastHeard = loop.now
        if server["rotating"].bool != true { break }
        let progress = KeyTable.progress(server)
        if Terminal.isInteractive {
          Terminal.write("\r\u{1B}[K  … \(name): key \(key): \(progress)")
        } else if progress != said {
          Terminal.say("  \(name): key \(key): \(progress)")
          said = progress
        }
        try await loop.sleep(for: .milliseconds(200))
      }
      let seconds = ((loop.now - start).inSeconds * 10).rounded() / 10
      Terminal.say(
        "\(Terminal.isInteractive ? "\r\u{1B}[K" : "")\(name): everything stored is sealed with key \(key), and the old key is "
          + "forgotten (\(seconds) s)")
    }
  }
}

enum KeyTable {
  static func text(_ servers: [JSONValue]) -> String {
    let rows = servers.map { server -> [String] in
      let old = server["oldKeys"].elements.compactMap(\.integer).map(String.init)
      return [
        server["name"].string ?? "", server["key"].integer.map(String.init) ?? "-",
        old.isEmpty ? "-" : old.joined(separator: ", "), state(server),
        server["encrypted"].bool == true
          ? "the log; \(server["resources"].elements.compactMap(\.string).joined(separator: ", "))" : "-",
      ]
    }
    return TextTable(header: ["SERVER", "KEY", "OLD KEYS", "STATE", "ENCRYPTED"], rows: rows).text
  }

  private static func state(_ server: JSONValue) -> String {
    if !server["error"].isNull { return "silent" }
    guard server["encrypted"].bool == true else { return "not encrypted" }
    if server["rotating"].bool == true { return "being sealed anew: \(progress(server))" }
    if let failure = server["failure"].string { return "interrupted (\(failure)): goes on at its next start" }
    return "everything is sealed with the key"
  }

  static func progress(_ server: JSONValue) -> String {
    "log \(server["logPercent"].integer ?? 0) %, state \(server["statePercent"].integer ?? 0) %"
  }
}
