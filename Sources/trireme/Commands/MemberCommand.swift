import ArgumentParser
import Client
import EventLoop
import JSON
import Schema
import World

struct MemberCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "member",
    abstract: "List, add, remove and promote the servers of the group, and hand leadership over.",
    discussion: """
      Every change is made online, one at a time, through any server. What would cost the cluster its majority is \
      refused, and nothing is changed then.

        trireme member list
        trireme member add server-4               # prints what to run on the new machine
        trireme member remove server-2
        trireme member transfer-leader server-3
      """, subcommands: [List.self, Add.self, Remove.self, Promote.self, TransferLeader.self])

  enum ListFormat: String, CaseIterable, ExpressibleByArgument { case table, json, haproxy }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the servers of the group.",
      discussion: """
        -o haproxy prints the lines of a load balancer's backend, for its configuration to follow the members:

          trireme member list
          trireme member list -o haproxy
        """)

    @OptionGroup var connection: ConnectionOptions
    @Option(name: .shortAndLong, help: "table, json or haproxy.")
    var output = ListFormat.table

    func run() throws {
      let (options, output) = (connection, output)
      try MainLoop.run { loop in
        let answer = try await options.connect(on: loop).json("GET", "/trireme/members")
        let members = answer["members"].elements
        switch output {
        case .json: Terminal.say(answer.description)
        case .haproxy:
          for member in members {
            Terminal.say(HAProxyConfiguration.serverLine(member["name"].string ?? "", member["address"].string ?? ""))
          }
        case .table: Terminal.say(MemberTable.text(members))
        }
      }
    }
  }

  struct Add: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Prepare a place for a new server: prints the command that it joins with.",
      discussion: """
        Members add themselves: the new machine runs `trireme server --join …` with a token made here for its name, and is \
        a voter when it has caught up. Nothing of the group changes before that.

          trireme member add server-4
        """)

    @Argument(help: "Name of the new server.")
    var name: String
    @OptionGroup var connection: ConnectionOptions
    @Option(help: "How long the token is good: 90s, 10m, 2h, 3d.")
    var ttl = "1h"

    func validate() throws {
      if let problem = ServerName.problem(name) { throw ValidationError(problem) }
      guard DurationArgument.seconds(ttl) ?? 0 > 0 else {
        throw ValidationError("--ttl \(ttl) is no time: 90s, 10m, 2h, 3d")
      }
    }

    func run() throws {
      let (options, name, seconds) = (connection, name, DurationArgument.seconds(ttl) ?? 3600)
      try MainLoop.run { loop in
        let cluster = try options.connect(on: loop)
        let members = try await cluster.json("GET", "/trireme/members")["members"].elements
        if let known = members.first(where: { $0["name"].string == name }) {
          throw CommandFailure(
            "there is a member \(name) at \(known["address"].string ?? "") already; nothing was changed. Choose another name, "
              + "or, if its disk is lost, let it take its own place: trireme token create --for \(name), and there "
              + "trireme server --join … --replace")
        }
        let answer = try await cluster.json(
          "POST", "/trireme/tokens",
          ["seconds": .integer(seconds), "server": .string(name), "description": "trireme member add"])
        Terminal.say(JoinInstructions.text(answer, server: name))
      }
    }
  }

  struct Remove: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take a server out of the group for good.",
      discussion: """
        A leader hands over first; a server that runs loses its vote, lets its clients go to others, is removed, and ends. \
        One that is dead is removed as it is. Its number is never used again, and its disk never starts again.

          trireme member remove server-2

        Refused where the rest would have no majority that answers. Afterwards the machine may join anew, from a wiped \
        folder. It has seen the cluster's keys: if it is not to be trusted any more, make a new cluster from a backup.
        """)

    @Argument(help: "Name of the server.")
    var name: String
    @OptionGroup var connection: ConnectionOptions
    func validate() throws { try MemberArgument.check(name) }
    @Flag(help: "Try it although too few seem to answer.")
    var force = false
    @Option(name: .shortAndLong, help: "table or json.")
    var output = OutputFormat.table

    func run() throws {
      let (options, name, force, output) = (connection, name, force, output)
      try MainLoop.run { loop in
        let cluster = try options.connect(on: loop)
        let answer = try await cluster.json(
          "DELETE", "/trireme/members/\(name)\(force ? "?force=true" : "")")
        if output == .json { return Terminal.say(answer.description) }
        Terminal.say("\(name) (server \(answer["removed"]["id"].integer ?? 0)) is removed")
        if let note = answer["note"].string { Terminal.say("Note: \(note).") }
      }
    }
  }

  struct Promote: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give a server that has joined its vote.",
      discussion: """
        Servers that join ask for it themselves; this is for one that was told not to, or has given up.

          trireme member promote server-4
        """)

    @Argument(help: "Name of the server.")
    var name: String
    @OptionGroup var connection: ConnectionOptions

    func validate() throws { try MemberArgument.check(name) }
    func run() throws {
      let (options, name) = (connection, name)
      try MainLoop.run { loop in
        _ = try await options.connect(on: loop).json("POST", "/trireme/members/\(name)/promote")
        Terminal.say("\(name) is a voter")
      }
    }
  }

  struct TransferLeader: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Hand leadership to a server, without a pause for clients.",
      discussion: "  trireme member transfer-leader server-3")

    @Argument(help: "Name of the server.")
    var name: String
    @OptionGroup var connection: ConnectionOptions

    func validate() throws { try MemberArgument.check(name) }
    func run() throws {
      let (options, name) = (connection, name)
      try MainLoop.run { loop in
        _ = try await options.connect(on: loop).json("POST", "/trireme/members/\(name)/lead")
        Terminal.say("\(name) leads")
      }
    }
  }
}

enum MemberArgument {
  static func check(_ name: String) throws {
    if let problem = ServerName.problem(name) { throw ValidationError(problem) }
  }
}

enum MemberTable {
  static func text(_ members: [JSONValue]) -> String {
    TextTable(
      header: ["NAME", "ID", "ADDRESS", "ROLE", "STATE", "BEHIND"],
      rows: members.map { member in
        [
          member["name"].string ?? "", member["id"].integer.map(String.init) ?? "-", member["address"].string ?? "",
          member["role"].string ?? "-", member["answers"].bool == true ? "answers" : "silent",
          member["lag"].integer.map { "\($0) entr\($0 == 1 ? "y" : "ies")" } ?? "-",
        ]
      }
    ).text
  }
}
