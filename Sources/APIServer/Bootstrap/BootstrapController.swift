// Keeps what every cluster has from its first moment: namespaces, default roles, priority classes, flow control, and the
// Service, Endpoints and EndpointSlices "kubernetes" that lead to the servers (spec/2 §2.10, spec/8 §8.3).
//
// The objects are committed straight to the store, in their stored form and many to a command, not posted to the API:
// they are needed before anybody may write through it, and the addresses of the servers are the truth even where the
// API would refuse them to a client (loopback, in a cluster on one machine). They pass the same defaulting as any other.
import Kinds
import Logging
import Replica
import Schema
import Synchronization
import World

/// Where clients reach a server that is alive.
public struct ServerEndpoint: Hashable, Sendable {
  /// An IP address.
  public var address: String
  public var port: Int
  public init(address: String, port: Int) {
    self.address = address
    self.port = port
  }
}

/// Run on every server; works on the one that leads the group, and does no harm if two believe they do: every write
/// carries what it was based on as a condition.
public final class BootstrapController: Sendable {
  public struct Options: Sendable {
    /// As in APIServer.Configuration: the Service "kubernetes" takes its first address.
    public var serviceNetwork = "10.96.0.0/16"
    /// The authority of client certificates, in PEM, published for aggregated servers.
    public var clientAuthorityPEM = ""
    /// Makes the authority by which aggregated servers know ours, where there is none. Its key is by chance: not in
    /// simulations.
    public var keepsFrontProxyAuthority = false
    public init() {}
  }

  /// Everything is looked at again this often, as by the reference.
  private static let interval = Duration.seconds(60)
  /// How often the leader asks for the set of live servers, and the others whether they lead: both are in memory.
  private static let serversInterval = Duration.seconds(1)
  private static let leadershipInterval = Duration.seconds(5)
  /// After a pass that could not finish.
  private static let retryDelay = Duration.seconds(1)
  /// Writes in one command: keeps entries small beside the limit, and a new cluster at a handful of commands.
  private static let mutationsMaximum = 96
  /// Passes tried when others write the same objects at the same time.
  private static let attemptsMaximum = 8

  private let store: any ObjectStore
  private let world: any World
  private let planner: BootstrapPlanner
  private let liveServers: @Sendable () -> [ServerEndpoint]
  private let logger: Logger
  private let signal: ChangeSignal

  /// `liveServers` says who serves now, this server included; it is asked often and must be cheap. An empty answer
  /// leaves the endpoints as they are.
  public init(
    store: any ObjectStore, registry: KindRegistry = .builtIn, options: Options, world: any World,
    logger: Logger = Logger(label: "bootstrap"), liveServers: @escaping @Sendable () -> [ServerEndpoint]
  ) {
    self.store = store
    self.world = world
    self.liveServers = liveServers
    self.logger = logger
    signal = ChangeSignal(world: world)
    planner = BootstrapPlanner(registry: registry, options: options)
  }

  /// Another server leads now, perhaps this one: `isLeader` is asked at once, and not only now and then.
  public func leadershipChanged() { signal.raise() }

  /// Works while `isLeader` says so, until the task is cancelled. Never throws: what cannot be done now is tried again.
  public func run(isLeader: @escaping @Sendable () -> Bool) async {
    var subscriptions: [(any WatchSubscription)?] = []
    defer { for subscription in subscriptions { subscription?.cancel() } }
    var lastServers: [ServerEndpoint]?
    var lastFlowControl: FlowControlState?
    var due = world.now
    while !Task.isCancelled {
      if subscriptions.isEmpty || signal.hasEnded {
        for subscription in subscriptions { subscription?.cancel() }
        subscriptions = [BootstrapPlanner.schemaResource, BootstrapPlanner.levelResource].map {
          signal.subscribe(store, resource: $0)
        }
      }
      let leads = isLeader()
      if leads {
        let servers = liveServers()
        let flowControl = flowControlState()
        if servers != lastServers || flowControl != lastFlowControl || world.now >= due {
          do {
            try await reconcile(servers)
            lastServers = servers
            lastFlowControl = flowControl
            due = world.now + Self.interval
          } catch {
            logger.warning("cannot finish what every cluster has: \(error)")
            lastServers = nil
            do { try await world.sleep(for: Self.retryDelay) } catch { return }
          }
        }
      } else {
        lastServers = nil
      }
      do { try await signal.wait(atMost: leads ? Self.serversInterval : Self.leadershipInterval) } catch { return }
    }
  }

  /// What tells two sets of schemas and levels apart.
  private struct FlowControlState: Equatable {
    var newest: Revision = 0
    var count = 0
  }

  private func flowControlState() -> FlowControlState {
    let state = store.current
    var result = FlowControlState()
    for resource in [BootstrapPlanner.schemaResource, BootstrapPlanner.levelResource] {
      for object in state.objects(resource: resource, namespace: "", after: nil, limit: 0).objects {
        result.newest = max(result.newest, object.revision)
        result.count += 1
      }
    }
    return result
  }

  /// One pass: creates and mends everything. Does nothing to a cluster that has it all.
  public func reconcile() async throws { try await reconcile(liveServers()) }

  private func reconcile(_ servers: [ServerEndpoint]) async throws {
    for _ in 0..<Self.attemptsMaximum {
      let state = try await store.linearizableState()
      let writes = try await planner.plan(state, servers: servers, now: world.wallClock, world: world)
      guard try await commit(writes) == false else { return }
    }
    throw BootstrapFailure.othersWrite
  }

  /// Whether everything was written; false when somebody else wrote one of the objects first.
  private func commit(_ writes: [BootstrapWrite]) async throws(StoreError) -> Bool {
    var rest = writes[...]
    while !rest.isEmpty {
      var command = Command(mutations: [])
      while let write = rest.first, command.mutations.count < Self.mutationsMaximum {
        command.preconditions += write.preconditions
        command.mutations += write.mutations
        rest.removeFirst()
      }
      if case .failed = try await store.commit(command) { return false }
    }
    return true
  }
}

enum BootstrapFailure: Error, CustomStringConvertible {
  case othersWrite
  var description: String { "others keep writing the same objects" }
}
