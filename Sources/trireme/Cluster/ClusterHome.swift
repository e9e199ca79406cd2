// The folder of a cluster on this machine: where everything of `trireme up` lives, and nothing else.
import EventLoop
import Glibc
import JSON
import World

/// What `up` was asked for; kept in the folder, so that a second `up` and `status` find the same cluster.
struct ClusterPlan: Equatable {
  var port: UInt16 = 6443
  /// The numbers of the servers, ascending: server-1, server-2, … Those that were removed are missing.
  var numbers = [1, 2, 3]
  var nodes = 5
  /// Containers of the nodes take no time to start: for measurements.
  var instantContainers = false
  /// Servers listen on .1, .2, … of this loopback network.
  var network = "127.0.1"

  /// More cost every write more, and survive hardly more.
  static let maximumServers = 9

  var servers: Int { numbers.count }
  var endpoint: String { "127.0.0.1:\(port)" }
  var serverNames: [String] { numbers.map(Self.name) }
  static func name(_ number: Int) -> String { "server-\(number)" }
  func address(ofServer number: Int) -> String { "\(network).\(number):\(port)" }
  /// Every server with its address.
  var members: [(name: String, address: String)] { numbers.map { (Self.name($0), address(ofServer: $0)) } }
  /// Every server that this cluster may grow to: the load balancer knows them from the start.
  var places: [(name: String, address: String)] {
    (1...Self.maximumServers).map { (Self.name($0), address(ofServer: $0)) }
  }
  var nodeNames: [String] { nodes == 0 ? [] : (1...nodes).map { "node-\($0)" } }

  /// The servers share this machine's processors.
  var loopArguments: [String] { ["--api-loops", "\(ServerDefaults.apiLoops(servers: servers))"] }

  var json: JSONValue {
    [
      "port": .integer(Int64(port)), "servers": .integer(Int64(servers)), "nodes": .integer(Int64(nodes)),
      "network": .string(network), "instantContainers": .bool(instantContainers),
      "numbers": .array(numbers.map { .integer(Int64($0)) }),
    ]
  }

  init() {}
  init?(json: JSONValue) {
    guard let port = json["port"].integer, let servers = json["servers"].integer, let nodes = json["nodes"].integer,
      let network = json["network"].string, servers > 0
    else { return nil }
    self.port = UInt16(truncatingIfNeeded: port)
    numbers = json["numbers"].array?.compactMap { $0.integer.map(Int.init) } ?? Array(1...Int(servers))
    self.nodes = Int(nodes)
    self.network = network
    instantContainers = json["instantContainers"].bool ?? false
  }
}

struct ClusterHome {
  /// Absolute.
  let path: String

  /// `TRIREME_HOME`, or `.trireme` in the working directory.
  static func standard(_ option: String?) -> ClusterHome {
    let chosen = option ?? getenv("TRIREME_HOME").map { String(cString: $0) } ?? ".trireme"
    guard !chosen.hasPrefix("/") else { return ClusterHome(path: chosen) }
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let here = getcwd(&buffer, buffer.count).map { String(cString: $0) } ?? "/"
    return ClusterHome(path: "\(here)/\(chosen)")
  }

  func file(_ name: String) -> String { "\(path)/\(name)" }
  var kubeconfig: String { file("kubeconfig") }
  var loadBalancer: String { file("load-balancer") }
  var nodes: String { file("nodes") }
  var certificates: String { file("pki") }
  func server(_ name: String) -> String { file(name) }

  var plan: ClusterPlan? {
    guard let bytes = try? FileSystem.read(file("cluster.json")) else { return nil }
    return (try? JSONValue(parsing: bytes)).flatMap(ClusterPlan.init(json:))
  }
  func write(_ plan: ClusterPlan) throws {
    try FileSystem.write(plan.json.description + "\n", to: file("cluster.json"))
  }
}

/// A process started by `up` and found again by its pid file. A pid alone proves nothing: the process must carry the
/// folder in its command line.
struct ManagedProcess {
  /// "server-1", "load-balancer".
  var name: String
  var folder: String

  var pidFile: String { "\(folder)/pid" }
  var log: String { "\(folder)/log" }

  /// The pid, if the process lives.
  var pid: Int32? {
    guard let text = try? FileSystem.readText(pidFile), let pid = Int32(text.split(separator: "\n").first ?? "") else {
      return nil
    }
    return isOurs(pid) ? pid : nil
  }

  func isOurs(_ pid: Int32) -> Bool {
    guard pid > 1, let bytes = try? FileSystem.read("/proc/\(pid)/cmdline"), !bytes.isEmpty else { return false }
    return String(decoding: bytes, as: UTF8.self).contains(folder)
  }

  /// Starts a program in the background, its output in the log, its pid in the file.
  func start(_ executable: String, _ arguments: [String], on loop: EventLoop) async throws {
    try FileSystem.createDirectory(folder)
    let descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw CommandFailure("cannot write \(log): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var options = ChildProcessOptions(executable: executable, arguments: arguments)
    options.standardOutput = .descriptor(descriptor)
    options.standardError = .descriptor(descriptor)
    options.isDetached = true
    let started = options
    let pid = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Int32, any Error>) in
      loop.execute {
        do {
          let child = try ChildProcess(started, on: loop) { _ in }
          continuation.resume(returning: child.processIdentifier)
        } catch {
          continuation.resume(throwing: error)
        }
      }
    }
    try FileSystem.write("\(pid)\n", to: pidFile)
  }

  /// Asks the process to end, and ends it if it does not within `patience`.
  func stop(on loop: EventLoop, patience: Duration = .seconds(10)) async {
    guard let pid else { return }
    Glibc.kill(pid, SIGTERM)
    let start = loop.now
    while isOurs(pid) && !isZombie(pid) {
      if loop.now - start > patience { Glibc.kill(pid, SIGKILL) }
      if loop.now - start > patience + .seconds(5) { return }
      try? await loop.sleep(for: .milliseconds(20))
    }
  }

  /// Ended, but not yet waited for by its parent.
  private func isZombie(_ pid: Int32) -> Bool {
    guard let text = try? FileSystem.readText("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else {
      return true
    }
    return text[text.index(after: end)...].split(separator: " ").first == "Z"
  }

  /// The last lines of the log: what a person needs when a process did not come up.
  var lastWords: String {
    guard let text = try? FileSystem.readText(log) else { return "(no log)" }
    return text.split(separator: "\n").suffix(8).map { "      \($0)" }.joined(separator: "\n")
  }
}
