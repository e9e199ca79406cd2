// Bad requests, by seed, against a cluster of real servers.
import ArgumentParser
import EventLoop
import Glibc
import World

struct Fuzz: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Send a cluster what no client should send, and judge its answers.",
    discussion: """
      Valid objects of every kind are changed a little or a lot, in every encoding, by every verb and every type of \
      patch; bytes are cut and flipped, frames are broken. No server may crash, hang, answer 500, or grow; every error \
      must be a Status; what was accepted must be readable and writable again unchanged; and at the end all servers \
      must hold the same state. The exit status is 1 when any of that is not so.

        trireme-chaos fuzz --home /tmp/fuzz --minutes 10 --seed 7     starts three servers of its own, cut off  (root)
        trireme-chaos fuzz --home .trireme --minutes 0.5              a cluster that runs (trireme up)
        trireme-chaos fuzz --home .trireme --seed 7 --case 1234       one case again
      """)

  @Option(help: "Folder of a cluster that runs, or one to make.")
  var home: String
  @Option(help: "How long.")
  var minutes = 10.0
  @Option(help: "Everything that is sent is drawn from it.")
  var seed: UInt64 = 1
  @Option(name: .customLong("case"), help: "Send this case alone, and show it.")
  var number: Int?
  @Option(help: "Stop after so many cases, if time has not ended before.")
  var cases: Int?
  @Flag(inversion: .prefixedNo, help: "Read and write again what was accepted.")
  var readBack = true
  @Option(help: "Requests under way at once.")
  var workers = 6
  @Option(help: "Megabytes that a server may grow after it has warmed up.")
  var growth = 160
  @Option(help: "Seconds after which a request without an answer hangs.")
  var patience = 20.0
  @Option(help: "The trireme executable (default: the one beside this program).")
  var trireme: String?
  @Option(help: "Port of the servers to start.")
  var port: UInt16 = 8653
  @Option(help: "Loopback network of the servers to start.")
  var network = "127.0.67"

  func validate() throws {
    guard minutes > 0, minutes <= 24 * 60 else { throw ValidationError("--minutes must be between 0 and 1440") }
    guard patience > 0 else { throw ValidationError("--patience must be more than 0") }
    guard (1...64).contains(workers) else { throw ValidationError("--workers must be between 1 and 64") }
  }

  func run() throws {
    let folder = try Paths.absolute(home)
    let running = try ClusterPlan(runningIn: folder, executable: trireme ?? "")
    let plan =
      try running
      ?? ClusterPlan(
        executable: trireme ?? Paths.beside("trireme"), home: folder, servers: 3, nodes: 1, port: port, network: network
      )
    if running == nil { try Self.leaveTheNetwork() }
    let options = FuzzOptions(
      seed: seed, duration: .seconds(minutes * 60), number: number, workers: workers, growth: growth << 20,
      patience: .seconds(patience), cases: cases ?? .max, readsBack: readBack)
    let verdict = FuzzVerdict()
    try MainLoop.run { loop in
      let cluster =
        running == nil ? try await Cluster.start(plan, on: loop) : try Cluster(plan: plan, loop: loop)
      do {
        try await FuzzRun(options: options, cluster: cluster, loop: loop, verdict: verdict).run()
      } catch {
        if running == nil { await cluster.down() }
        throw error
      }
      if running == nil { await cluster.down() }
    }
    if !verdict.isGood { throw ExitCode(1) }
  }

  /// The servers of this run, and whatever they are talked into, stay in a network of their own: nodes and webhooks
  /// that are made up have addresses that may be somebody's. Starts this program again there, once.
  private static func leaveTheNetwork() throws {
    guard getenv(isCutOff) == nil else { return }
    setenv(isCutOff, "1", 1)
    guard let own = realpath("/proc/self/exe", nil) else { throw RunFailure("/proc/self/exe: errno \(errno)") }
    let words = ["unshare", "--net", "sh", "-c", #"ip link set lo up && exec "$0" "$@""#, String(cString: own)]
    var arguments = (words + CommandLine.arguments.dropFirst()).map { strdup($0) }
    arguments.append(nil)
    execvp("unshare", &arguments)
    throw RunFailure("servers that are sent bad requests are cut off from the network by `unshare`: errno \(errno)")
  }
  private static let isCutOff = "TRIREME_FUZZ_IS_CUT_OFF"
}
