import ArgumentParser
import EventLoop
import JSON
import World

extension OutputFormat: ExpressibleByArgument {}

struct Token: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make, list and delete the tokens with which servers join.",
    discussion: """
      A token lets its holder make a server of this cluster, which is to say, do anything: it lives for an hour unless \
      told otherwise, and is good for nothing but joining.

        trireme token create                     # for any server
        trireme token create --for server-4 --ttl 10m
        trireme token list
        trireme token delete k3v9ab
      """, subcommands: [Create.self, List.self, Delete.self])

  struct Create: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a token and print the command that a new server joins with.",
      discussion: """
          trireme token create --for server-4

        prints what to run on the new machine. With -q it prints the token alone:

          TOKEN=$(trireme token create -q)
        """)

    @OptionGroup var connection: ConnectionOptions
    @Option(help: "How long it is good: 90s, 10m, 2h, 3d.")
    var ttl = "1h"
    @Option(name: .customLong("for"), help: "Name of the only server that may join with it.")
    var server: String?
    @Option(help: "What it is for, to be read in the list.")
    var description: String?
    @Flag(name: .shortAndLong, help: "Print the token and nothing else.")
    var quiet = false
    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    func validate() throws {
      guard let seconds = DurationArgument.seconds(ttl), seconds > 0 else {
        throw ValidationError("--ttl \(ttl) is no time: 90s, 10m, 2h, 3d")
      }
      if let server, let problem = ServerName.problem(server) { throw ValidationError(problem) }
    }

    func run() throws {
      let (options, server, output, quiet) = (connection, server, output, quiet)
      let body: JSONValue = [
        "seconds": .integer(DurationArgument.seconds(ttl) ?? 3600), "server": .string(server ?? ""),
        "description": .string(description ?? ""),
      ]
      try MainLoop.run { loop in
        let answer = try await options.connect(on: loop).json("POST", "/trireme/tokens", body)
        if quiet { return Terminal.say(answer["token"].string ?? "") }
        if output == .json { return Terminal.say(answer.description) }
        Terminal.say(JoinInstructions.text(answer, server: server))
      }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the tokens, without their secrets.", discussion: "  trireme token list")

    @OptionGroup var connection: ConnectionOptions
    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    func run() throws {
      let (options, output) = (connection, output)
      try MainLoop.run { loop in
        let answer = try await options.connect(on: loop).json("GET", "/trireme/tokens")
        if output == .json { return Terminal.say(answer["tokens"].description) }
        let rows = answer["tokens"].elements.map { token in
          [
            token["id"].string ?? "",
            (token["expires"].string ?? "-") + (token["expired"].bool == true ? " (expired)" : ""),
            token["server"].string.flatMap { $0.isEmpty ? nil : $0 } ?? "any", token["description"].string ?? "",
          ]
        }
        if rows.isEmpty { return Terminal.say("There are no tokens. Make one: trireme token create") }
        Terminal.say(TextTable(header: ["ID", "EXPIRES", "FOR", "DESCRIPTION"], rows: rows).text)
      }
    }
  }

  struct Delete: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Delete a token: nobody joins with it any more.", discussion: "  trireme token delete k3v9ab")

    @Argument(help: "Id of the token (the part before the dot), or the token itself.")
    var id: String
    @OptionGroup var connection: ConnectionOptions

    func run() throws {
      let options = connection
      let id = JoinToken(id)?.id ?? JoinToken.parse(credential: id)?.id ?? id
      guard id.utf8.count == JoinToken.idLength,
        id.utf8.allSatisfy({ (48...57).contains($0) || (97...122).contains($0) })
      else { throw CommandFailure("\(id) is no id of a token: six lower-case letters and digits (trireme token list)") }
      try MainLoop.run { loop in
        _ = try await options.connect(on: loop).json("DELETE", "/trireme/tokens/\(id)")
        Terminal.say("token \(id) deleted")
      }
    }
  }
}

/// What to run on a machine that is to become a server.
enum JoinInstructions {
  static func text(_ answer: JSONValue, server: String?) -> String {
    let address = answer["servers"].elements.first?.string ?? answer["endpoint"].string ?? ""
    return """
      Until \(answer["expires"].string ?? ""), on the machine that is to be a server\(server.map { " (\($0))" } ?? ""):

        trireme server --home /var/lib/trireme --name \(server ?? "NAME") --listen ADDRESS:6443 \\
          --join \(address) \\
          --token \(answer["token"].string ?? "")

      It becomes a voter by itself when it has caught up: trireme member list
      """
  }
}

/// "90s", "10m", "2h", "3d".
enum DurationArgument {
  static func seconds(_ text: String) -> Int64? {
    let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    guard let last = text.last, let unit = units[last], let number = Int64(text.dropLast()), number >= 0,
      number <= 10_000_000
    else { return nil }
    return number * unit
  }
}
