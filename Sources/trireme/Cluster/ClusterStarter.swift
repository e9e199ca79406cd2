// Bringing a cluster up on this machine, step by step, and saying so.
import Client
import EventLoop
import Glibc
import HTTP
import JSON
import TLS
import World

/// The processes of a cluster.
struct ClusterProcesses {
  let home: ClusterHome
  let plan: ClusterPlan

  var servers: [ManagedProcess] { plan.serverNames.map { ManagedProcess(name: $0, folder: home.server($0)) } }
  /// Servers, and what a change of their number that was cut short may have left.
  var places: [ManagedProcess] { plan.places.map { ManagedProcess(name: $0.name, folder: home.server($0.name)) } }
  var loadBalancer: ManagedProcess { ManagedProcess(name: "load-balancer", folder: home.loadBalancer) }
  var nodes: ManagedProcess { ManagedProcess(name: "nodes", folder: home.nodes) }
  var all: [ManagedProcess] { servers + [loadBalancer] + (plan.nodes > 0 ? [nodes] : []) }
}

struct ClusterStarter: Sendable {
  let home: ClusterHome
  let plan: ClusterPlan
  let executable: String
  let loop: EventLoop

  private static let serverDeadline = Duration.seconds(60)
  private static let nodeDeadline = Duration.seconds(90)

  private var processes: ClusterProcesses { ClusterProcesses(home: home, plan: plan) }

  var isRunning: Bool { processes.all.allSatisfy { $0.pid != nil } }

  func start() async throws {
    let running = processes.all.filter { $0.pid != nil }
    if running.count == processes.all.count {
      Terminal.say("The cluster in \(home.path) is running already:")
      for process in running { Terminal.say("  \(process.name): pid \(process.pid.map(String.init) ?? "?")") }
      return sayWhatNext()
    }
    if !running.isEmpty { Terminal.say("Running already: \(running.map(\.name).joined(separator: ", ")).") }
    try checkPorts()
    guard let haproxy = FileSystemPaths.find("haproxy") else {
      throw CommandFailure(
        "HAProxy is not installed. Install it (apt-get install haproxy), or use `make up`, which does.")
    }
    Terminal.say(Terminal.bold("Starting a cluster of \(plan.servers) servers and \(plan.nodes) nodes in \(home.path)"))
    try await Terminal.step("Certificates", on: loop) { try prepare() }
    try await startServers()
    try await startLoadBalancer(haproxy)
    if plan.nodes > 0 { try await startNodes() }
    Terminal.say()
    sayWhatNext()
  }

  private func prepare() throws {
    try FileSystem.createDirectory(home.path)
    try home.write(plan)
    let certificates = ClusterCertificates(home: home, plan: plan)
    try certificates.ensure(now: loop.wallClock)
    let administrator = try certificates.administrator(now: loop.wallClock)
    let kubeconfig = Kubeconfig(
      server: "https://\(plan.endpoint)", certificateAuthorityPEM: try certificates.authorityPEM,
      clientCertificatePEM: administrator.certificate, clientKeyPEM: administrator.key)
    try FileSystem.write(
      kubeconfig.yaml { Crypto.base64($0.utf8) }, to: home.kubeconfig, permissions: 0o600)
  }

  /// Somebody else on one of our addresses is told now, not by a log that nobody reads.
  private func checkPorts() throws {
    for (process, address) in zip(processes.servers, plan.members.map(\.address)) where process.pid == nil {
      try checkFree(address, for: process.name)
    }
    if processes.loadBalancer.pid == nil { try checkFree(plan.endpoint, for: "the load balancer") }
  }

  private func checkFree(_ address: String, for user: String) throws {
    try PortCheck.requireFree(address, for: user, advice: "Or start this cluster elsewhere: trireme up --port 7443")
  }

  // MARK: Steps

  private func startServers() async throws {
    for (process, member) in zip(processes.servers, plan.members) where process.pid == nil {
      var arguments = ["server", "--home", process.folder] + plan.loopArguments
      // Who has started once knows everything else.
      if try ServerHome(path: process.folder).record() == nil {
        arguments += ["--name", member.name, "--listen", member.address, "--endpoint", plan.endpoint]
        for other in plan.members { arguments += ["--member", "\(other.name)=\(other.address)"] }
      }
      try await process.start(executable, arguments, on: loop)
    }
    for (process, member) in zip(processes.servers, plan.members) {
      try await Terminal.step("\(member.name) at https://\(member.address)", on: loop) {
        try await waitUntilReady(process, address: member.address)
      }
    }
  }

  private func startLoadBalancer(_ haproxy: String) async throws {
    let process = processes.loadBalancer
    try await Terminal.step("Load balancer at https://\(plan.endpoint)", on: loop) {
      if process.pid == nil {
        try FileSystem.createDirectory(process.folder)
        let configuration = "\(process.folder)/haproxy.cfg"
        try FileSystem.write(LoadBalancer.configuration(plan, folder: process.folder), to: configuration)
        try await process.start(haproxy, ["-db", "-f", configuration], on: loop)
      }
      try await waitUntilReady(process, address: plan.endpoint)
    }
  }

  private func startNodes() async throws {
    let process = processes.nodes
    try await Terminal.step("\(plan.nodes) nodes", on: loop) {
      if process.pid == nil {
        var arguments = [
          "agent", "--runtime", "hollow", "--home", process.folder, "--count", "\(plan.nodes)", "--name", "node-",
        ]
        if plan.instantContainers { arguments.append("--instant-containers") }
        for member in plan.members { arguments += ["--server", member.address] }
        try await process.start(executable, arguments, on: loop)
      }
      try await waitForNodes(process)
    }
  }

  // MARK: Waiting

  /// Returns when /readyz says so; throws with the end of the log when the process ended or time is up.
  func waitUntilReady(_ process: ManagedProcess, address: String) async throws {
    let client = try adminTransport(address)
    defer { client.close() }
    let start = loop.now
    while true {
      let request = HTTPRequest(method: "GET", target: "/readyz")
      if let response = try? await client.send(request, within: .seconds(2)), response.status == 200 { return }
      // A process that starts its program again has no command line for a moment.
      if process.pid == nil {
        try await loop.sleep(for: .milliseconds(300))
        guard process.pid != nil else {
          throw CommandFailure("\(process.name) ended. The end of its log (\(process.log)):\n\(process.lastWords)")
        }
      }
      guard loop.now - start < Self.serverDeadline else {
        throw CommandFailure(
          "\(process.name) is not ready after \(Self.serverDeadline). The end of its log (\(process.log)):\n\(process.lastWords)"
        )
      }
      try await loop.sleep(for: .milliseconds(50))
    }
  }

  private func waitForNodes(_ process: ManagedProcess) async throws {
    try await waitFor("The nodes are not ready", process) { [plan] client in
      try await client.list(.nodes).items.map(Node.init(json:)).filter(\.isReady).count >= plan.nodes
    }
    // The first thing that is typed may make a pod, which needs an account that a controller makes.
    try await waitFor("The namespace \"default\" has no service account yet", process) { client in
      try await client.find(.serviceAccounts, namespace: "default", name: "default") != nil
    }
  }

  /// Returns when the cluster answers so; throws with the end of the log when the process ended or time is up.
  private func waitFor(
    _ problem: String, _ process: ManagedProcess, _ isSo: (APIClient) async throws -> Bool
  ) async throws {
    let transport = try adminTransport(plan.endpoint)
    defer { transport.close() }
    let client = APIClient(transport: transport, world: loop, userAgent: "trireme/\(Version.trireme)")
    let start = loop.now
    while (try? await isSo(client)) != true {
      guard process.pid != nil, loop.now - start < Self.nodeDeadline else {
        throw CommandFailure("\(problem). The end of the nodes' log (\(process.log)):\n\(process.lastWords)")
      }
      try await loop.sleep(for: .milliseconds(100))
    }
  }

  private func adminTransport(_ address: String) throws -> HTTPClient {
    guard let endpoint = Address(address) else { throw CommandFailure("\(address) is no address") }
    let authority = try Certificate(pem: FileSystem.readText("\(home.certificates)/ca.crt"))
    let identity = try Identity(
      certificatePEM: FileSystem.readText("\(home.certificates)/admin.crt"),
      privateKeyPEM: FileSystem.readText("\(home.certificates)/admin.key"))
    let tls = try TLSConfiguration.client(trust: .certificates([authority]), identity: identity)
    return HTTPClient(
      loop: loop, endpoint: endpoint, tls: tls, serverName: String(address.prefix { $0 != ":" }))
  }

  private func sayWhatNext() {
    let kubeconfig = relative(home.kubeconfig)
    Terminal.say("\(Terminal.bold("Ready.")) Try:")
    Terminal.say("  export KUBECONFIG=\(kubeconfig)")
    Terminal.say("  kubectl get nodes")
    Terminal.say("  kubectl apply -f deploy/examples/guestbook.yaml")
    Terminal.say("  kubectl -n guestbook get pods --watch")
    Terminal.say()
    Terminal.say("Kill the leader, and see that nothing happens:")
    Terminal.say("  kill -9 $(\(command) status --leader-pid)     # \(command) up starts it again")
    Terminal.say()
    Terminal.say(
      "Logs: \(relative(home.path))/*/log    State: \(command) status    Remove: \(command) down (or make down)")
  }

  /// How the person at the terminal calls this program: by name where PATH finds it, else by path. A cluster in another
  /// folder than the standard one needs that named, too.
  private var command: String {
    let name = FileSystemPaths.find("trireme") == executable ? "trireme" : relative(executable)
    return home.path == ClusterHome.standard(nil).path ? name : "TRIREME_HOME=\(relative(home.path)) \(name)"
  }

  private func relative(_ path: String) -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    guard let here = getcwd(&buffer, buffer.count).map({ String(cString: $0) }), path.hasPrefix(here + "/") else {
      return path
    }
    return String(path.dropFirst(here.count + 1))
  }
}
