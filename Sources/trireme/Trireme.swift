// The command line: one executable, one subcommand for each thing an operator does.
import ArgumentParser
import ControlPlane
import EventLoop
import Glibc

@main
struct Trireme: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trireme",
    abstract: "A highly available, Kubernetes-compatible control plane.",
    discussion: """
      Start a whole cluster on this machine (three servers, a load balancer, five nodes):

        trireme up

      and then use kubectl with the kubeconfig it prints. `trireme down` removes it again.
      """,
    version: Version.text,
    subcommands: [
      Up.self, Down.self, Status.self, Server.self, MemberCommand.self, Token.self, BackupCommand.self, Restore.self,
      Recover.self, KeysCommand.self, SchemaCommand.self, Agent.self, SchedulerCommand.self,
      ControllerManagerCommand.self, Bench.self, Sim.self,
    ])

  static func main() {
    // A peer that goes away shows as an error of the write, not as the end of the process.
    signal(SIGPIPE, SIG_IGN)
    Allocator.configure()
    EventLoop.installAsDefaultExecutors([MainLoop.shared])
    Self.main(nil)
  }
}

enum Version {
  /// Of Trireme itself.
  static let trireme = "0.1.0"
  /// Of the Kubernetes whose behaviour it has.
  static let kubernetes = "v1.32.4"
  static let all = ServerVersions(trireme: trireme, kubernetes: kubernetes)
  static let text = "trireme \(trireme) (Kubernetes \(kubernetes))"
}

/// A failure in words for the operator: what happened, and what to do.
struct CommandFailure: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
